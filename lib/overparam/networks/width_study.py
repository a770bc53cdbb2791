"""Train large, prune, retrain: networks of many widths, pruned to the size of a narrow one.

The experiment of Chang et al. (AAAI 2021, Figures 1 and 5): for every width, train, keep as many of
the largest weights as a network of a small target width has, and retrain what is left from three
starting points.

Run ``python -m overparam.networks.width_study`` to make ``results/width-study-dense.jsonl``, and
see ``--help`` for the other scales.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from overparam import runs
from overparam._validation import reject
from overparam.networks.architectures import dense_network, resnet_20
from overparam.networks.data import Dataset, Samples, load, with_label_noise
from overparam.networks.masks import apply_masks, weight_masks, weights
from overparam.networks.network import Network, Parameters, initialize
from overparam.networks.training import TrainingPlan, calibrate, error_rate, loss, train

Shape = tuple[int, int, int]

FAMILIES: dict[str, Callable[[int, Shape], Network]] = {
    "dense": lambda width, shape: dense_network([width], input_shape=shape),
    "residual": resnet_20,
}
"""Networks by width: one hidden layer, ResNet-20."""

SCALES: dict[str, dict[str, Any]] = {
    "dense": {
        "family": "dense", "data": "digits", "samples": 500, "label noise": 0.2,
        "widths": [2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 256],
        "targets": [4, 8, 16], "seeds": 10, "optimizer": "adam", "learning rate": 0.003,
        "batch size": 50, "epochs": 400, "retraining epochs": 400,
    },
    "mnist": {
        "family": "dense", "data": "mnist-5000", "samples": 1000, "label noise": 0.2,
        "widths": [2, 4, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256], "targets": [4, 8], "seeds": 5,
        "optimizer": "adam", "learning rate": 0.002, "batch size": 100, "epochs": 150,
        "retraining epochs": 150,
    },
    "paper": {
        "family": "residual", "data": "cifar-10", "samples": 45_000, "label noise": 0.0,
        "widths": [1, 5, 8, 10, 12, 14, 16, 18, 20, 25, 30, 35, 40, 45, 50],
        "targets": [5, 8, 10], "seeds": 3, "optimizer": "adam", "learning rate": 0.001,
        "batch size": 128, "epochs": 100, "retraining epochs": 100,
    },
}  # fmt: skip
"""Settings by name. The last one is that of the paper as far as its code shows it, without
augmentation; it needs a GPU, and nothing on the pages of the book comes from it."""


def tasks(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one task for each width and seed.

    Parameters
    ----------
    settings : mapping
        One of `SCALES`, or like it.

    Returns
    -------
    list of dict
        For `run`.

    Examples
    --------
    >>> len(tasks(SCALES["dense"]))
    160
    """
    shared = {key: value for key, value in settings.items() if key not in {"widths", "seeds"}}
    return [
        {**shared, "width": width, "seed": seed}
        for width in settings["widths"]
        for seed in range(settings["seeds"])
    ]


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train one network, prune it to every target narrower than it, retrain.

    Parameters
    ----------
    task : mapping
        One of `tasks`.

    Returns
    -------
    dict
        "dense", and for each target "pruned" (nothing after pruning), "original" (retrained from
        the initial weights that the mask keeps, as a lottery ticket is), "random" (retrained from
        other initial weights) and "continued" (trained on from where the dense network ended);
        each with "test error", "training error", "test loss" and "nonzeros".

    Raises
    ------
    ValueError
        If there is no such family of networks.
    """
    if task["family"] not in FAMILIES:
        raise reject("family", task["family"], f"must be one of {list(FAMILIES)}", "Pass one.")
    data = _data(task)
    shape = data.train.inputs.shape[1:]
    network = FAMILIES[task["family"]](task["width"], shape)
    # The seed draws the weights, the other weights, the order of training and of retraining.
    keys = jax.random.split(jax.random.key(task["seed"]), 4)
    start, other = initialize(network, keys[0]), initialize(network, keys[1])
    plan = TrainingPlan(
        task["epochs"],
        task["batch size"],
        task["optimizer"],
        task["learning rate"],
        weight_decay=0.0,
    )
    again = replace(plan, epochs=task["retraining epochs"])
    dense = train(network, start, data.train, plan, keys[2]).parameters
    result: dict[str, Any] = {"dense": _describe(network, dense, data)}
    for target in task["targets"]:
        narrow = FAMILIES[task["family"]](target, shape)
        if target >= task["width"]:
            continue
        keep = _weight_count(narrow) / _weight_count(network)
        masks = weight_masks(network, dense, weights(dense), keep)
        pruned = calibrate(network, apply_masks(dense, masks), data.train)
        result[str(target)] = {
            "pruned": _describe(network, pruned, data),
            **{
                name: _describe(
                    network,
                    train(network, begin, data.train, again, keys[3], masks=masks).parameters,
                    data,
                )
                for name, begin in (("original", start), ("random", other), ("continued", dense))
            },
        }
    return result


def _data(task: Mapping[str, Any]) -> Dataset:
    data = load(task["data"])
    rng = np.random.default_rng(task["seed"])
    order = rng.permutation(len(data.train.labels))[: task["samples"]]
    return with_label_noise(replace(data, train=data.train.take(order)), task["label noise"], rng)


def _weight_count(network: Network) -> int:
    shapes = network.parameter_shapes.values()
    return sum(int(np.prod(leaves["weight"])) for leaves in shapes if "weight" in leaves)


def _describe(network: Network, parameters: Parameters, data: Dataset) -> dict[str, float]:
    return {
        "test error": error_rate(network, parameters, data.test),
        "training error": error_rate(network, parameters, data.train),
        "test loss": _loss(network, parameters, data.test),
        "nonzeros": int(sum((array != 0).sum() for array in weights(parameters).values())),
    }


def _loss(network: Network, parameters: Parameters, samples: Samples, size: int = 1000) -> float:
    parts = [samples.take(slice(at, at + size)) for at in range(0, len(samples.labels), size)]
    total = sum(len(part.labels) * float(loss(network, parameters, part)) for part in parts)
    return total / len(samples.labels)


def main(arguments: list[str] | None = None) -> None:
    """Run a study; what is finished already is not run again.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the command line.
    """
    parser = argparse.ArgumentParser(description=run.__doc__)
    parser.add_argument("scale", nargs="?", default="dense", choices=SCALES)
    parser.add_argument("--widths", type=int, nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, help="only so many")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    chosen = {"widths": options.widths, "seeds": options.seeds}
    settings = SCALES[options.scale] | {k: v for k, v in chosen.items() if v is not None}
    path = f"results/width-study-{options.scale}.jsonl"
    runs.run_all(run, tasks(settings), path, n_jobs=options.jobs)


if __name__ == "__main__":
    main()
