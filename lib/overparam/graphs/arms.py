"""What the experiments on citation graphs consist of: settings, seeds, and how numbers are chosen.

`overparam.graphs.experiment` runs it.
"""

import os
from collections import defaultdict
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam.graphs.training import Settings
from overparam.runs import read

Task = dict[str, Any]

DAMPINGS = (0.01, 0.1, 0.464)
"""Dampings among which one is chosen."""

_TUNING_SEEDS = range(1000, 1003)
_SEEDS = range(20)
_POWER = 3.0  # of the pseudo-label weight where it is not itself what is chosen
_DECAYS: dict[str, dict[str, Any]] = {
    "no decay": {"weight_decay": 0.0},
    "after": {},
    "before": {"decay": "before"},
}


def tuning_tasks() -> list[Task]:
    """Everything that something is chosen from.

    Returns
    -------
    list of dict
        Tasks whose arms are "what is chosen : where".

    Examples
    --------
    >>> len({task["arm"] for task in tuning_tasks()})
    30
    """
    arms: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for graph in ("cora", "citeseer"):
        here = arms[graph, "public"]
        here += [("power", {"pseudo_power": power}) for power in (1.0, 2.0, 3.0, 5.0)]
        here += [("decoupled", {"decay": "decoupled", "weight_decay": d}) for d in (0.1, 0.5, 2.0)]
        here += [("decay", {"weight_decay": d}) for d in (5e-5, 5e-4, 5e-3)]
        metrics = [("public", name, pseudo) for name in _DECAYS for pseudo in (None, _POWER)]
        if graph == "cora":
            names = ("after", "before")
            metrics += [("per-node", name, pseudo) for name in names for pseudo in (None, _POWER)]
        else:
            metrics.append(("per-node", "after", None))
        for scaling, name, pseudo in metrics:
            arm = f"damping : {scaling}, {name}, {_pseudo_name(pseudo)}"
            for damping in DAMPINGS:
                form = {"scaling": scaling, "damping": damping} | _DECAYS[name]
                here.append((arm, form | _pseudo(pseudo)))
        larger = arms[graph, "complete"]
        larger += [("decay", {"weight_decay": d}) for d in (5e-5, 5e-4, 5e-3)]
        for name in ("after", "before") if graph == "cora" else ("after",):
            arm = f"damping : public, {name}, off"
            for damping in DAMPINGS:
                form = {"scaling": "public", "damping": damping} | _DECAYS[name]
                larger.append((arm, form))
    plain = {"optimizer": "sgd", "weight_decay": 0.0}
    here = arms["cora", "public"]
    here += [("rate : sgd", plain | {"learning_rate": rate}) for rate in (0.1, 0.3, 1.0)]
    form = plain | {"scaling": "public"}
    here += [("damping : sgd", form | {"damping": damping}) for damping in (0.001, 0.01, 0.1)]
    return [
        _task("accuracy", graph, split, f"{graph} {split} {arm}", settings, seed)
        for (graph, split), forms in arms.items()
        for arm, settings in forms
        for seed in _TUNING_SEEDS
    ]


def chosen(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Settings of highest mean validation accuracy in each arm of a file of tuning runs.

    Parameters
    ----------
    path : path-like
        Made by this module.

    Returns
    -------
    dict of dict
        Settings under the names of the arms.
    """
    accuracy: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    settings = {}
    for one in read(path).runs:
        task = one["task"]
        form = _form(task["settings"])
        settings[task["arm"], form] = task["settings"]
        accuracy[task["arm"]][form].append(one["result"]["validation"])
    return {
        arm: settings[arm, max(forms, key=lambda form: float(np.mean(forms[form])))]
        for arm, forms in accuracy.items()
    }


def reported(graph: str, split: str, best: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings whose accuracy is reported, by name.

    Parameters
    ----------
    graph : {"cora", "citeseer"}
        The graph.
    split : {"public", "complete"}
        The split.
    best : dict of dict
        What `chosen` returned.

    Returns
    -------
    dict of dict
        Some names may have the same settings, if these were chosen.
    """
    prefix = f"{graph} {split}"
    power = _pseudo(best[f"{graph} public power"]["pseudo_power"])
    after = best[f"{prefix} damping : public, after, off"]
    arms: dict[str, dict[str, Any]] = {
        "adam, L2": {},
        "public 0.01": {"scaling": "public"},
        "public": after,
        "adam, chosen L2": best[f"{prefix} decay"],
    }
    if split == "complete":
        if graph == "cora":
            arms["public, before"] = best[f"{prefix} damping : public, before, off"]
            arms["adam, L2, pseudo"] = power
        return arms
    on = best[f"{prefix} damping : public, after, on"] | power
    arms |= {
        "adam, no decay": _DECAYS["no decay"],
        "adam, L2, pseudo": power,
        "public, pseudo": on,
    }
    if graph == "citeseer":
        return arms
    plain = {"optimizer": "sgd", "weight_decay": 0.0}
    damping = {"scaling": "public", "damping": after["damping"]}
    decoupled = best[f"{prefix} decoupled"]
    return arms | {
        "adam, decoupled": decoupled,
        "public 0.01, pseudo": {"scaling": "public"} | power,
        "public 0.01, before": {"scaling": "public", "decay": "before"},
        "public 0.01, no decay": {"scaling": "public", "weight_decay": 0.0},
        "public, before": damping | {"decay": "before"},
        "public, before, pseudo": best[f"{prefix} damping : public, before, on"] | power,
        "public, no decay": damping | {"weight_decay": 0.0},
        "public, decoupled": damping | decoupled,
        "input 0.01": {"scaling": "input"},
        "per-node, after": best[f"{prefix} damping : per-node, after, off"],
        "per-node, before": best[f"{prefix} damping : per-node, before, off"],
        "sgd": plain,
        "sgd, chosen": best[f"{prefix} rate : sgd"],
        "sgd-kfac 0.01": plain | {"scaling": "public"},
        "sgd-kfac, chosen": best[f"{prefix} damping : sgd"],
    }


def tasks(best: dict[str, dict[str, Any]]) -> list[Task]:
    """Everything that is reported, given what was chosen.

    Parameters
    ----------
    best : dict of dict
        What `chosen` returned.

    Returns
    -------
    list of dict
        Tasks, all different.
    """
    result = [
        _task("law", graph, "public", f"law {power}", {}, 0) | {"power": power}
        for graph in ("cora", "citeseer")
        for power in (0.0, 0.5, 1.0)
    ]
    arms = reported("cora", "public", best)
    result += [
        _task("pruning", "cora", "public", arm, arms[arm], seed)
        for arm in ("adam, L2", "adam, no decay", "public", "sgd, chosen", "sgd-kfac, chosen")
        for seed in range(5)
    ]
    for graph, split in product(("cora", "citeseer"), ("public", "complete")):
        forms: dict[str, dict[str, Any]] = {}
        for settings in reported(graph, split, best).values():
            forms.setdefault(_form(settings), settings)
        result += [
            _task("accuracy", graph, split, "", settings, seed)
            for settings in forms.values()
            for seed in _SEEDS
        ]
    result += [
        _task("memory", graph, "public", "kfac 0.01", {"scaling": "public"}, 0)
        for graph in ("cora", "citeseer")
    ]
    timed: tuple[tuple[str, dict[str, Any], int], ...] = (
        ("cora", {}, 3),
        ("cora", {"scaling": "public"}, 3),
        ("citeseer", {"scaling": "public"}, 2),
    )
    result += [
        _task("timing", graph, "public", "kfac 0.01" if form else "adam", form, 0)
        | {"repeats": repeats}
        for graph, form, repeats in timed
    ]
    return result


def accuracies(
    runs: list[dict[str, Any]], graph: str, split: str, settings: dict[str, Any]
) -> NDArray[np.float64]:
    """Test accuracies of one choice of settings, in the order of the seeds.

    Parameters
    ----------
    runs : list of dict
        Of `overparam.runs.read`.
    graph, split : str
        Where.
    settings : dict
        One of those that `reported` returned.

    Returns
    -------
    ndarray of shape (seeds,)
        At the epoch of lowest validation loss.

    Examples
    --------
    >>> task = {"kind": "accuracy", "graph": "g", "split": "s", "settings": {}, "seed": 0}
    >>> accuracies([{"task": task, "result": {"test": 0.5}}], "g", "s", {})
    array([0.5])
    """
    found = {
        one["task"]["seed"]: one["result"]["test"]
        for one in runs
        if one["task"]["kind"] == "accuracy"
        and (one["task"]["graph"], one["task"]["split"]) == (graph, split)
        and _form(one["task"]["settings"]) == _form(settings)
    }
    return np.array([found[seed] for seed in sorted(found)])


def _pseudo(power: float | None) -> dict[str, Any]:
    return {} if power is None else {"pseudo_power": power}


def _pseudo_name(power: float | None) -> str:
    return "off" if power is None else "on"


def _form(settings: dict[str, Any]) -> str:
    """What tells settings apart: a default that is written out is the default."""
    return repr(Settings(**settings))


def _task(kind: str, graph: str, split: str, arm: str, settings: dict[str, Any], seed: int) -> Task:
    return {
        "kind": kind,
        "graph": graph,
        "split": split,
        "arm": arm,
        "settings": settings,
        "seed": seed,
    }
