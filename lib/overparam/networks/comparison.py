"""All criteria on one network, one data set and one retraining budget.

``python -m overparam.networks.comparison results/criteria.jsonl`` and the same with
``results/schedules.jsonl --part schedules`` make the files that the chapter on criteria reads; an
interrupted sweep resumes. Every run prunes the same trained network, the one
of its seed, to several fractions, and retrains each for the same number of epochs.
"""

import argparse
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from overparam.networks.architectures import small_cnn
from overparam.networks.channels import filter_masks
from overparam.networks.cost import cost, latency
from overparam.networks.criteria.registry import CRITERIA, score
from overparam.networks.data import Dataset, load
from overparam.networks.masks import Scores, apply_masks, weight_masks
from overparam.networks.network import Network, Parameters, initialize
from overparam.networks.removal import remove_masked
from overparam.networks.schedules import cubic_keeps, geometric_keeps, prune_and_train
from overparam.networks.training import (
    Masks,
    TrainingPlan,
    calibrate,
    error_rate,
    loss,
    train,
)
from overparam.runs import run_all

TRAINING = TrainingPlan(epochs=60, learning_rate=0.05, decays=(0.6, 0.85))
RETRAINING = TrainingPlan(epochs=15, learning_rate=0.01)
KEEPS = {"weight": (0.5, 0.25, 0.1), "filter": (0.75, 0.5, 0.25)}
SCHEDULES = (
    "one-shot", "iterative", "gradual", "soft", "lottery ticket", "new weights", "random mask",
    "snip at initialization",
)  # fmt: skip
SCORED = 256
"""Training images that data-dependent criteria look at."""

# A column of the exact matrix costs a pass over the data.
_SLOW = {"obd-exact"}


def tasks(part: str, seeds: int) -> list[dict[str, Any]]:
    """Return the runs of a part of the comparison, weights before filters, seed by seed.

    Parameters
    ----------
    part : str
        ``"criteria"`` or ``"schedules"``.
    seeds : int
        How many networks.

    Returns
    -------
    list of dict
        What `run` takes.

    Examples
    --------
    >>> tasks("schedules", 1)[0]
    {'network': 'small-cnn', 'schedule': 'one-shot', 'keeps': [0.1], 'seed': 0}
    """
    if part == "schedules":
        return [
            {"network": "small-cnn", "schedule": name, "keeps": [0.1], "seed": seed}
            for seed in range(seeds)
            for name in SCHEDULES
        ]
    return [
        {
            "network": "small-cnn",
            "criterion": name,
            "keeps": list(keeps),
            "seed": seed,
            "epochs": RETRAINING.epochs,
        }
        for structure, keeps in KEEPS.items()
        for seed in range(seeds)
        for name, rule in CRITERIA.items()
        if rule.structure == structure and name not in _SLOW
    ]


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Prune one trained network by one criterion or schedule.

    Parameters
    ----------
    task : dict
        One of `tasks`.

    Returns
    -------
    dict
        ``"dense"``: the trained network; ``"pruned"``: what is left at each fraction, with test
        accuracy before and after retraining, training loss, and costs.
    """
    network, data, start, trained = prepared(task["seed"])
    pruned = []
    if "schedule" in task:
        for keep in task["keeps"]:
            parameters, masks = _scheduled(task, keep, network, data, start, trained)
            pruned.append({"keep": keep, **_measure(network, data, parameters)})
    else:
        rule = CRITERIA[task["criterion"]]
        few = data.train.take(slice(0, SCORED))
        filters = rule.structure == "filter"
        key = jax.random.key(1000 + task["seed"])
        scores = score(rule.name, network, trained, few, key)
        for keep in task["keeps"]:
            masks = _masks(network, trained, rule.structure, scores, keep, rule.scope)
            parameters = apply_masks(trained, masks)
            if rule.update is not None:
                parameters = rule.update(network, trained, masks, few)
            before = 1 - error_rate(network, parameters, data.test)
            calibrated = calibrate(network, parameters, data.train)
            again = train(network, parameters, data.train, RETRAINING, key, masks=masks).parameters
            pruned.append(
                {
                    "keep": keep,
                    "before": before,
                    "calibrated": 1 - error_rate(network, calibrated, data.test),
                    **_measure(network, data, apply_masks(again, masks), filters=filters),
                }
            )
    return {"dense": _measure(network, data, trained), "pruned": pruned}


@lru_cache(maxsize=16)
def prepared(seed: int) -> tuple[Network, Dataset, Parameters, Parameters]:
    """Return the network, its data, its initial and its trained parameters.

    Parameters
    ----------
    seed : int
        Of the split, the initial weights and the order of the samples.

    Returns
    -------
    tuple
        Network, data, initial and trained parameters.
    """
    data, network = load("digits", seed), small_cnn()
    start = initialize(network, jax.random.key(seed))
    key = jax.random.fold_in(jax.random.key(seed), 1)
    return network, data, start, train(network, start, data.train, TRAINING, key).parameters


def _masks(
    network: Network,
    parameters: Parameters,
    structure: str,
    scores: Scores,
    keep: float,
    scope: Any,
) -> Masks:
    if structure == "weight":
        return weight_masks(network, parameters, scores, keep, scope)
    if scope == "global":  # the best filter of every layer stays, or nothing would come through
        top = max(float(array.max()) for array in scores.values()) + 1
        scores = {name: array.at[array.argmax()].set(top) for name, array in scores.items()}
    return filter_masks(network, parameters, scores, keep, scope)


def _scheduled(
    task: dict[str, Any],
    keep: float,
    network: Network,
    data: Dataset,
    start: Parameters,
    trained: Parameters,
) -> tuple[Parameters, Masks]:
    """Prune by magnitude at another time; all but the lottery ticket train for 75 epochs."""
    key = jax.random.key(2000 + task["seed"])
    full, again = TRAINING, RETRAINING
    short = replace(again, epochs=again.epochs // 3)
    single = replace(again, epochs=1)
    samples = data.train

    def loop(keeps: tuple[float, ...], plan: TrainingPlan, **how: Any) -> tuple[Parameters, Masks]:
        return prune_and_train("magnitude", network, trained, samples, keeps, plan, key, **how)

    match task["schedule"]:
        case "one-shot":
            return loop((keep,), again)
        case "iterative":
            return loop(geometric_keeps(keep, 3), short)
        case "gradual":
            steps = again.epochs
            return loop(cubic_keeps(keep, steps - 5) + (keep,) * 5, single)
        case "soft":
            return loop((keep,) * again.epochs, single, soft=True)
        case "lottery ticket":
            return loop(geometric_keeps(keep, 3), full, rewind=start)
        case "new weights":
            other = initialize(network, key)
            return loop((keep,), full, rewind=other)
        case "random mask":
            arguments = (network, start, samples, (keep,), full, key)
            return prune_and_train("random", *arguments)
    return prune_and_train("snip", network, start, samples, (keep,), full, key)


def _measure(
    network: Network, data: Dataset, parameters: Parameters, *, filters: bool = False
) -> dict[str, Any]:
    """Accuracy and costs; without filters to remove, all tensors stay as they are, with zeros."""
    small, values = network, parameters
    if filters:
        ones = jax.tree.map(jnp.ones_like, parameters)
        small, values = remove_masked(network, parameters, ones)
    found = cost(small, values)
    return {
        "after": 1 - error_rate(network, parameters, data.test),
        "training loss": float(loss(network, parameters, data.train)),
        "parameters": found.parameters,
        "nonzeros": found.nonzeros,
        "multiply-adds": found.multiply_adds,
        "bytes": found.bytes,
        "relative latency": _relative_latency(network, small),
    }


@lru_cache(maxsize=1000)
def _relative_latency(network: Network, small: Network) -> float:
    """Time of the smaller network by that of the whole one: a matter of shapes, not of values."""
    if small == network:
        return 1.0
    images = np.zeros((256, *network.input_shape), np.float32)
    models = [(model, initialize(model, jax.random.key(0))) for model in (network, small)]
    seconds = latency(models, images, 15)
    return float(np.median(seconds[:, 1] / seconds[:, 0]))


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="file of results, such as results/criteria.jsonl")
    parser.add_argument("--part", choices=("criteria", "schedules"), default="criteria")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    run_all(run, tasks(arguments.part, arguments.seeds), arguments.path, n_jobs=arguments.jobs)


if __name__ == "__main__":
    main()
