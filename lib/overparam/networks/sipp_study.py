"""SiPP in its three variants against magnitudes and chance, with and without retraining.

A network is trained, scored once, pruned to several sizes by every method, and retrained for a few
epochs. Sizes do not count idle weights (`overparam.networks.idle`).

Run ``python -m overparam.networks.sipp_study`` to make ``results/sipp.jsonl``.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from overparam import runs
from overparam._validation import reject
from overparam.networks.allocation import sample_size
from overparam.networks.architectures import lenet_5, lenet_300_100
from overparam.networks.data import Samples, load
from overparam.networks.error_bounds import guaranteed_errors, observed_errors
from overparam.networks.idle import prune_to_live_size
from overparam.networks.masks import Scores, apply_masks, density, weight_masks, weights
from overparam.networks.network import Network, Parameters, initialize
from overparam.networks.sensitivity import weight_sensitivities
from overparam.networks.sipp import Pruned, sipp_deterministic, sipp_sampled
from overparam.networks.training import Masks, TrainingPlan, error_rate, train

NETWORKS: dict[str, Callable[[], Network]] = {"LeNet-300-100": lenet_300_100, "LeNet-5": lenet_5}

VARIANTS = ("SiPP, deterministic", "SiPP, random", "SiPP, hybrid")

METHODS = (*VARIANTS, "SiPP, layer by layer", "magnitude", "uniform")

SETTINGS: tuple[dict[str, Any], ...] = (
    {
        "network": "LeNet-300-100", "seeds": 3, "epochs": 40, "retraining epochs": 10,
        "methods": list(METHODS),
        "keep": [0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01],
        "retrain": [0.1, 0.05, 0.03, 0.02, 0.01],
    },
)  # fmt: skip

_BOUND_SAMPLES = 500


def tasks(settings: tuple[dict[str, Any], ...] = SETTINGS) -> list[dict[str, Any]]:
    """Return one task for each network and seed.

    Parameters
    ----------
    settings : tuple of dict, optional
        Like `SETTINGS`.

    Returns
    -------
    list of dict
        For `run`; low seeds first.

    Examples
    --------
    >>> len(tasks())
    3
    """
    return [
        {**{key: value for key, value in each.items() if key != "seeds"}, "seed": seed}
        for seed in range(max(each["seeds"] for each in settings))
        for each in settings
        if seed < each["seeds"]
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
        "dense", the test error; "images", scored with; "seconds" of processor time for scoring
        and for a variant with its search, without compilation, the best of five; and "rows", for
        each method and size with "density", "idle" (the share of weights that the method kept and
        that had no effect, so that they went as well), test errors "before" and "after"
        retraining, and, for the variants, "layers": medians over units and signs of the
        "guaranteed" and the largest "observed" error over fresh images while idle weights are in
        place, the share of bounds "violated", and of bounds that are "vacuous", at least 1.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if task["network"] not in NETWORKS:
        raise reject("network", task["network"], f"must be one of {list(NETWORKS)}", "Pass one.")
    network, data = NETWORKS[task["network"]](), load("mnist-5000", task["seed"])
    dense, again, key = train_dense(task, network, data.train)
    samples = data.held_out.take(slice(sample_size(network)))
    images = samples.inputs
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        best = np.inf
        for _ in range(5):
            start = time.process_time()
            result = work()
            jax.block_until_ready(result)  # type: ignore[no-untyped-call]
            best = min(best, time.process_time() - start)
        seconds[name] = round(best, 4)
        return result

    weight_sensitivities(network, dense, images)  # compilation
    largest = timed("scoring", lambda: weight_sensitivities(network, dense, images))
    average = weight_sensitivities(network, dense, images, "mean")
    rows = []
    for number, keep in enumerate(task["keep"]):
        for method in task["methods"]:
            rng = np.random.default_rng([task["seed"], number, METHODS.index(method)])
            sensitivities = largest if method in VARIANTS[1:] else average
            by_size = partial(prune, method, network, dense, sensitivities, rng=rng)
            live = prune_to_live_size(network, samples, keep, by_size)
            kept = density(live.masks)
            row = {
                "method": method, "keep": keep, "density": kept,
                "idle": 1 - kept / density(live.pruned.masks),
                "before": error_rate(network, live.parameters, data.test),
            }  # fmt: skip
            if method in VARIANTS:
                fresh = data.test.inputs[:_BOUND_SAMPLES]
                row["layers"] = _bounds(network, dense, sensitivities, live.pruned, fresh)
            if keep in task["retrain"] and method != "SiPP, layer by layer":
                trained = train(network, live.parameters, data.train, again, key, masks=live.masks)
                row["after"] = error_rate(network, trained.parameters, data.test)
            rows.append(row)
    for method in VARIANTS:
        if method in task["methods"]:
            rng = np.random.default_rng(0)
            by_size = partial(prune, method, network, dense, largest, rng=rng)
            timed(method, partial(prune_to_live_size, network, samples, 0.1, by_size))
    dense_error = error_rate(network, dense, data.test)
    return {"dense": dense_error, "images": len(images), "seconds": seconds, "rows": rows}


def train_dense(
    task: Mapping[str, Any], network: Network, samples: Samples
) -> tuple[Parameters, TrainingPlan, jax.Array]:
    """Train a network as the experiments of the authors do.

    Parameters
    ----------
    task : mapping
        With "epochs", "retraining epochs" and "seed".
    network : Network
        The network.
    samples : Samples
        What to train on.

    Returns
    -------
    tuple
        Parameters; the plan and the key for retraining.
    """
    keys = jax.random.split(jax.random.key(task["seed"]), 3)
    plan, again = (
        TrainingPlan(task[name], decays=(0.6, 0.9)) for name in ("epochs", "retraining epochs")
    )
    start = initialize(network, keys[0])
    for leaves in start.values():  # the variance 1 / (3 fan-in) of PyTorch's initial weights
        leaves["weight"] = leaves["weight"] / 6**0.5
    return train(network, start, samples, plan, keys[1]).parameters, again, keys[2]


def prune(
    method: str,
    network: Network,
    parameters: Parameters,
    sensitivities: Scores,
    keep: float,
    rng: np.random.Generator,
) -> Pruned:
    """Prune by one of `METHODS`.

    Parameters
    ----------
    method : str
        Which.
    network : Network
        The network.
    parameters : dict
        Its parameters.
    sensitivities : dict
        From `weight_sensitivities`.
    keep : float
        Fraction of the weights to keep.
    rng : numpy.random.Generator
        For the methods that draw.

    Returns
    -------
    Pruned
        The outcome; without draws for the methods that are not SiPP.

    Raises
    ------
    ValueError
        If there is no such method, or the method refuses its arguments.
    """
    match method:
        case "SiPP, deterministic":
            return sipp_deterministic(network, parameters, sensitivities, keep)
        case "SiPP, random":
            return sipp_sampled(network, parameters, sensitivities, keep, rng)
        case "SiPP, hybrid":
            return sipp_sampled(network, parameters, sensitivities, keep, rng, "hybrid")
        case "SiPP, layer by layer":
            return _masked(
                parameters, weight_masks(network, parameters, sensitivities, keep, "layer")
            )
        case "magnitude":
            scores = jax.tree.map(jnp.abs, weights(parameters))
        case "uniform":
            scores = {
                name: jnp.asarray(rng.random(array.shape))
                for name, array in weights(parameters).items()
            }
        case _:
            raise reject("method", method, f"must be one of {METHODS}", "Pass one of these.")
    return _masked(parameters, weight_masks(network, parameters, scores, keep))


def _masked(parameters: Parameters, masks: Masks) -> Pruned:
    return Pruned(apply_masks(parameters, masks), masks, {})


def _bounds(
    network: Network, dense: Parameters, sensitivities: Scores, made: Pruned, fresh: ArrayLike
) -> dict[str, dict[str, float]]:
    guaranteed = guaranteed_errors(network, dense, sensitivities, made)
    observed = observed_errors(network, dense, made.parameters, fresh)
    return {
        name: {
            "guaranteed": float(np.median(bound)),
            "observed": float(np.median(observed[name])),
            "violated": float(np.mean(observed[name] > bound + 1e-4)),
            "vacuous": float(np.mean(bound >= 1)),
        }
        for name, bound in guaranteed.items()
    }


def main(arguments: list[str] | None = None) -> None:
    """Make the file of results.

    Parameters
    ----------
    arguments : list of str, optional
        Of the command line.
    """
    parser = argparse.ArgumentParser(description="Prune by SiPP and by other methods.")
    parser.add_argument("--path", default="results/sipp.jsonl", help="file of results")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    runs.run_all(run, tasks(), options.path, n_jobs=options.jobs)


if __name__ == "__main__":
    main()
