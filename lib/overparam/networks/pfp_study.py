"""PFP in its three variants against other ways of removing filters, and against masked weights.

A network is trained, pruned to several sizes by every method, and retrained for a few epochs.

Run ``python -m overparam.networks.pfp_study`` to make ``results/pfp.jsonl``, from LeNet-5 on MNIST,
and ``python -m overparam.networks.pfp_study digits`` for two networks with normalizations.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from math import exp, log
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam import runs
from overparam._validation import reject
from overparam.networks.architectures import lenet_5, resnet_20, small_cnn
from overparam.networks.channel_sensitivity import channel_sensitivities
from overparam.networks.channels import channel_groups, channel_masks
from overparam.networks.cost import cost, latency
from overparam.networks.criteria.filters import filter_norm, filter_random
from overparam.networks.criteria.weights import magnitude
from overparam.networks.data import Dataset, load
from overparam.networks.masks import apply_masks, highest, weight_masks
from overparam.networks.network import Network, Parameters, apply, initialize
from overparam.networks.pfp import Kept, nearest_size, prune_channels, rescale_channels
from overparam.networks.removal import remove_channels
from overparam.networks.training import Masks, TrainingPlan, calibrate, error_rate, train

NETWORKS: dict[str, Callable[[], Network]] = {
    "LeNet-5": lenet_5,
    "small CNN": lambda: small_cnn(12),
    "ResNet-20": lambda: resnet_20(4, (8, 8, 1)),
}

VARIANTS = {
    "PFP": "deterministic",
    "PFP, sampled": "sampled",
    "PFP, mixed": "mixed",
}

METHODS = (*VARIANTS, "filter norm", "random filters", "magnitude")

TIMED = ("PFP", "filter norm", "magnitude")

SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "mnist": (
        {
            "network": "LeNet-5", "data": "mnist-5000", "seeds": 3, "epochs": 20,
            "learning rate": 0.01, "retraining epochs": 5, "images": 160,
            "keep": [0.3, 0.1, 0.05, 0.03],
        },
    ),
    "digits": (
        {
            "network": "small CNN", "data": "digits", "seeds": 3, "epochs": 60,
            "learning rate": 0.05, "retraining epochs": 5, "images": 160, "keep": [0.3, 0.1],
        },
        {
            "network": "ResNet-20", "data": "digits", "seeds": 3, "epochs": 30,
            "learning rate": 0.05, "retraining epochs": 5, "images": 160, "keep": [0.3],
        },
    ),
}  # fmt: skip
"""Settings by name of the study; the results of the first are in ``results/pfp.jsonl``."""


class Candidate(NamedTuple):
    """A pruned network before anything is cut out.

    Attributes
    ----------
    parameters : dict
        Of the full network, rescaled where the method does that.
    masks : dict
        What stays.
    kept : dict or None
        Channels that stay; None if the method does not remove filters.
    level : float or None
        The error level, if the method has one.
    """

    parameters: Parameters
    masks: Masks
    kept: Kept | None = None
    level: float | None = None


def tasks(settings: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """Return one task for each network and seed.

    Parameters
    ----------
    settings : tuple of dict
        One of `SETTINGS`, or like it.

    Returns
    -------
    list of dict
        For `run`.

    Examples
    --------
    >>> len(tasks(SETTINGS["digits"]))
    6
    """
    return [
        {**{key: value for key, value in each.items() if key != "seeds"}, "seed": seed}
        for each in settings
        for seed in range(each["seeds"])
    ]


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train a network, prune it by every method to every size, retrain.

    Parameters
    ----------
    task : mapping
        One of `tasks`.

    Returns
    -------
    dict
        "dense" with its test error and counts; "seconds", of scoring for PFP, with and without
        compilation; and "rows", a list with for each method and size "size" (share of parameters
        that are left), "multiply-adds" and "bytes" (shares as well), test errors "before"
        retraining, with normalizations "calibrated" and "after", "level", "channels", and, for
        `TIMED` methods with seed 0, "latency" (the best times of the dense network and of this
        one, in seconds, for 256 images) and "largest difference" (between the outputs of the
        smaller network and of the masked one, relative to the largest).

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if task["network"] not in NETWORKS:
        raise reject("network", task["network"], f"must be one of {list(NETWORKS)}", "Pass one.")
    data = load(task["data"])
    network = NETWORKS[task["network"]]()
    keys = jax.random.split(jax.random.key(task["seed"]), 4)
    rate = task["learning rate"]
    plan = TrainingPlan(task["epochs"], learning_rate=rate, decays=(0.6, 0.9))
    again = TrainingPlan(task["retraining epochs"], learning_rate=rate, decays=(0.6, 0.9))
    dense = train(network, initialize(network, keys[0]), data.train, plan, keys[1]).parameters
    images = jnp.asarray(data.held_out.inputs[: task["images"]])
    seconds, scores = [], {}
    for _ in range(2):
        start = time.perf_counter()
        scores = channel_sensitivities(network, dense, images)
        seconds.append(time.perf_counter() - start)
    rows = []
    for keep in task["keep"]:
        for number, method in enumerate(METHODS):
            rng = np.random.default_rng([task["seed"], number, round(1000 * keep)])
            start = time.perf_counter()
            found = _prune(network, dense, method, keep, scores, rng, keys[3])
            search = time.perf_counter() - start
            retrained = train(
                network, found.parameters, data.train, again, keys[2], masks=found.masks
            )
            rows.append(
                {"method": method, "keep": keep, "search": round(search, 3)}
                | _errors(network, found, retrained.parameters, data)
                | _sizes(
                    network,
                    dense,
                    found,
                    retrained.parameters,
                    data,
                    task["seed"] == 0 and method in TIMED,
                )
            )
    counts = cost(network, dense)._asdict()
    result = {"test error": error_rate(network, dense, data.test), **counts}
    return {"dense": result, "seconds": seconds, "rows": rows}


def _prune(
    network: Network,
    parameters: Parameters,
    method: str,
    keep: float,
    scores: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
    key: jax.Array,
) -> Candidate:
    if method == "magnitude":
        masks = weight_masks(network, parameters, magnitude(network, parameters), keep)
        return Candidate(parameters, masks)
    level = None
    if method in VARIANTS:
        variant = VARIANTS[method]
        found = prune_channels(network, parameters, scores, keep, variant, rng=rng)  # type: ignore[arg-type]
        kept, level = found.kept, found.level
        parameters = rescale_channels(network, parameters, found.factors)
    else:
        filters = (
            filter_random(network, parameters, key=key)
            if method == "random filters"
            else filter_norm(1, network, parameters)
        )
        kept = same_share(network, {name: np.asarray(f) for name, f in filters.items()}, keep)
    return Candidate(parameters, channel_masks(network, parameters, kept), kept, level)


def same_share(network: Network, scores: Mapping[str, NDArray[np.floating]], keep: float) -> Kept:
    """Keep the same share of filters in every layer, such that the network has the wanted size.

    Parameters
    ----------
    network : Network
        The network.
    scores : mapping from the names of channel groups to array of shape (size,)
        The highest stay.
    keep : float
        Size, in trainable parameters, as a fraction of the given network's.

    Returns
    -------
    dict
        From the names of channel groups to arrays of bool.
    """

    def kept_at(number: float) -> Kept:
        return {name: highest(array, exp(-number)) for name, array in scores.items()}

    largest = max(group.size for group in channel_groups(network))
    return kept_at(nearest_size(network, kept_at, keep, (0.0, log(2 * largest))))


def _errors(
    network: Network, found: Candidate, retrained: Parameters, data: Dataset
) -> dict[str, Any]:
    pruned = apply_masks(found.parameters, found.masks)
    return {
        "before": error_rate(network, pruned, data.test),
        "calibrated": error_rate(network, calibrate(network, pruned, data.train), data.test),
        "after": error_rate(network, retrained, data.test),
        "level": found.level,
    }


def _sizes(
    network: Network,
    dense: Parameters,
    found: Candidate,
    retrained: Parameters,
    data: Dataset,
    timed: bool,  # noqa: FBT001
) -> dict[str, Any]:
    if found.kept is None:
        smaller, parameters = network, apply_masks(retrained, found.masks)
    else:
        smaller, parameters = remove_channels(network, retrained, found.kept)
    before, after = cost(network, dense), cost(smaller, parameters)
    sizes: dict[str, Any] = {
        "size": (after.nonzeros if found.kept is None else after.parameters) / before.parameters,
        "multiply-adds": after.multiply_adds / before.multiply_adds,
        "bytes": after.bytes / before.bytes,
    }
    if found.kept is not None:
        sizes["channels"] = [int(stay.sum()) for stay in found.kept.values()]
    if timed:
        images = data.test.inputs[:256]
        seconds = latency([(network, dense), (smaller, parameters)], images, repeats=20)
        sizes["latency"] = seconds.min(axis=0).tolist()
        masked = apply(network, apply_masks(retrained, found.masks), jnp.asarray(images))
        gap = jnp.abs(apply(smaller, parameters, jnp.asarray(images)) - masked).max()
        sizes["largest difference"] = float(gap / jnp.abs(masked).max())
    return sizes


def main(arguments: list[str] | None = None) -> None:
    """Run the study; what is finished already is not run again.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the command line.
    """
    parser = argparse.ArgumentParser(description=run.__doc__)
    parser.add_argument("study", nargs="?", default="mnist", choices=SETTINGS)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    name = "pfp" if options.study == "mnist" else f"pfp-{options.study}"
    chosen = tasks(SETTINGS[options.study])
    runs.run_all(run, chosen, f"results/{name}.jsonl", n_jobs=options.jobs)


if __name__ == "__main__":
    main()
