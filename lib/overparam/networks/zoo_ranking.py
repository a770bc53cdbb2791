"""How well each measure orders the networks of the zoo: scores with bootstrap errors.

Run ``python -m overparam.networks.zoo_ranking`` after `overparam.networks.zoo` to make
``results/zoo-ranking.jsonl`` from ``results/zoo.jsonl``.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam import runs
from overparam.networks.zoo import AXES, KEEP
from overparam.prunability import kept_fraction
from overparam.rank_information import conditional_mutual_information
from overparam.ranking import bootstrap_models, granulated_kendall, kendall_tau, worst_sign_error

TOLERANCE = 0.1
"""Rise of the training loss, in nats, at which prunability is read off the curves."""

GRID = tuple(axis for axis in AXES if axis != "seed")
"""Hyperparameters that the scores condition on: models that differ in the seed are repeats."""

CONVERGED = 0.02
"""Networks whose training loss, in nats, is larger did not train and are left out."""

_REPLICATES = 40


def zoo_table(models: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """Every measure of every network that trained, prunability and held-out error among them.

    Parameters
    ----------
    models : list of dict
        Networks as `overparam.networks.zoo.train_group` describes them.

    Returns
    -------
    dict of str to ndarray of shape (models,)
        The measures; the hyperparameters of `GRID`; the targets ``"test loss"``, ``"test error"``
        and ``"gap"``, the difference of test and training loss.

    Examples
    --------
    >>> model = {"settings": dict.fromkeys(AXES, 1), "measures": {"norm": 2.0}, "test loss": 0.5,
    ...     "test error": 0.1, "training loss": 0.01, "training error": 0.0, "held-out error": 0.2,
    ...     "curves": {"magnitude": [2 - 2 * keep for keep in KEEP]}}
    >>> table = zoo_table([model])
    >>> table["prunability, magnitude"], table["gap"]
    (array([0.95]), array([0.49]))
    """
    models = [model for model in models if model["training loss"] <= CONVERGED]
    table = {axis: np.array([model["settings"][axis] for model in models]) for axis in GRID}
    for name in models[0]["measures"]:
        table[name] = np.array([model["measures"][name] for model in models])
    for order in models[0]["curves"]:
        kept = [float(kept_fraction(KEEP, model["curves"][order], TOLERANCE)) for model in models]
        table[f"prunability, {order}"] = np.array(kept)
    if "parameters" in table:
        table["kept count, magnitude"] = table["prunability, magnitude"] * table["parameters"]
    for name in ("training loss", "held-out error", "test loss", "test error"):
        table[name] = np.array([model[name] for model in models])
    table["gap"] = table["test loss"] - table["training loss"]
    return table


def scores(
    measure: NDArray[Any], target: NDArray[Any], grid: Mapping[str, NDArray[Any]]
) -> dict[str, Callable[[NDArray[np.float64] | None], float]]:
    """Return the four scores as functions of the multiplicities of the models.

    Parameters
    ----------
    measure, target : ndarray of shape (models,)
        What orders, and what is to be ordered.
    grid : mapping of str to ndarray of shape (models,)
        Hyperparameters.

    Returns
    -------
    dict of str to callable
        ``"tau"``, ``"granulated"``, ``"information"`` and ``"worst sign error"``.

    Examples
    --------
    >>> found = scores(np.arange(4), np.arange(4), {"width": np.array([1, 1, 2, 2])})
    >>> found["tau"](None), found["granulated"](None)
    (1.0, 1.0)
    """
    return {
        "tau": lambda w: kendall_tau(measure, target, weights=w),
        "granulated": lambda w: granulated_kendall(measure, target, grid, weights=w).score,
        "information": lambda w: (
            conditional_mutual_information(measure, target, grid, weights=w).score
        ),
        "worst sign error": lambda w: (
            worst_sign_error(measure, target, grid, fewest=20, weights=w).worst
        ),
    }


def rank(path: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """Score one measure against one target.

    Parameters
    ----------
    path : str
        The zoo.
    task : mapping
        ``"measure"``, ``"target"``, ``"seed"`` of the bootstrap.

    Returns
    -------
    dict
        For each score its value and, under ``"<score> error"``, its bootstrap standard error.
    """
    table = zoo_table([model for run in runs.read(path).runs for model in run["result"]["models"]])
    grid = {axis: table[axis] for axis in GRID}
    result: dict[str, float] = {}
    found = scores(table[task["measure"]], table[task["target"]], grid)
    for index, (name, score) in enumerate(found.items()):
        rng = np.random.default_rng(np.random.SeedSequence([task["seed"], index]))
        draws = bootstrap_models(score, len(table["gap"]), _REPLICATES, rng)
        result |= {name: score(None), f"{name} error": float(draws.std(ddof=1))}
    return result


def main(arguments: list[str] | None = None) -> None:
    """Score all measures, or go on with it.

    Parameters
    ----------
    arguments : list of str, optional
        Of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("zoo", nargs="?", default="results/zoo.jsonl", help="file of the zoo")
    parser.add_argument(
        "path", nargs="?", default="results/zoo-ranking.jsonl", help="file of results"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    models = runs.read(Path(options.zoo)).runs[0]["result"]["models"]
    left_out = {*GRID, "test loss", "test error", "gap"}
    names = [name for name in zoo_table(models) if name not in left_out]
    tasks = [
        {"measure": name, "target": target, "seed": 0}
        for name in names
        for target in ("test loss", "gap")
    ]
    runs.run_all(partial(rank, options.zoo), tasks, options.path, n_jobs=options.jobs)


if __name__ == "__main__":
    main()
