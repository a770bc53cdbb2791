"""Compare SiPP and PFP of this library with the code of their authors, on the same networks.

    python benchmarks/public_code.py --repository CLONE --python OTHER/bin/python

A network is trained here, pruned by both, and retrained here in the same way, so that nothing but
the pruning differs; seeds change the split of the images as well. CLONE is a clone of
github.com/lucaslie/torchprune (measured at commit 14b392c), OTHER an environment with torch, numpy,
scipy and cvxpy. Results are in results/public-code.jsonl.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam import runs
from overparam.networks.allocation import sample_size
from overparam.networks.architectures import lenet_5, lenet_300_100
from overparam.networks.channel_sensitivity import OverCells, channel_sensitivities
from overparam.networks.channels import channel_masks
from overparam.networks.criteria.filters import filter_norm
from overparam.networks.data import Samples, load
from overparam.networks.idle import prune_to_live_size
from overparam.networks.masks import apply_masks, weights
from overparam.networks.network import Network, Parameters, apply
from overparam.networks.pfp import prune_channels
from overparam.networks.pfp_study import same_share
from overparam.networks.sensitivity import weight_sensitivities
from overparam.networks.sipp_study import prune, train_dense
from overparam.networks.training import Masks, error_rate, train

RESULTS = Path(__file__).parents[1] / "results" / "public-code.jsonl"
NETWORKS: dict[str, Callable[[], Network]] = {
    "LeNet-300-100": lenet_300_100,
    "five layers": partial(lenet_5, filters=(8, 24), padding="VALID"),
}
WEIGHTS = {
    "SiPPNet": "SiPP, deterministic", "SiPPNetRand": "SiPP, random",
    "SiPPNetHybrid": "SiPP, hybrid", "ThresNet": "magnitude",
}  # fmt: skip
FILTERS = {"PFPNet": "PFP", "FilterThresNet": "filter norm"}
Array = NDArray[np.float64]


class Made(NamedTuple):
    """A pruned network, and how long that took; the first size includes the scores."""

    parameters: Parameters
    masks: Masks
    seconds: float


def tasks() -> list[dict[str, Any]]:
    """Return one task for each network, set of methods and seed."""
    dense = {"network": "LeNet-300-100", "epochs": 40, "retraining epochs": 10}
    small = {"network": "five layers", "epochs": 20, "retraining epochs": 5}
    keep = [0.3, 0.1, 0.05, 0.03, 0.02, 0.01]
    ours = [
        (8, {**dense, "flat": "linear", "methods": ["SiPPNet", "ThresNet"], "keep": keep}),
        (8, {**small, "flat": "linear", "methods": ["SiPPNet", "PFPNet"], "keep": keep[:4]}),
        (8, {**small, "flat": "convolution", "methods": [*FILTERS], "keep": keep[:4]}),
        (3, {**dense, "flat": "linear", "methods": ["SiPPNetRand", "SiPPNetHybrid"],
             "keep": [0.3, 0.1, 0.03]}),
    ]  # fmt: skip
    return [{**task, "seed": seed} for seeds, task in ours for seed in range(seeds)]


def compare(task: dict[str, Any]) -> dict[str, Any]:
    """Train, prune by both, retrain: sizes, test errors and seconds of processor time."""
    network, seed = NETWORKS[task["network"]](), task["seed"]
    data = load("mnist-5000", seed)
    dense, again, key = train_dense(task, network, data.train)
    samples = data.held_out.take(slice(sample_size(network)))
    theirs, version = _theirs(task, network, dense, samples)
    rows = []

    def add(by: str, method: str, number: int, made: Made) -> None:
        after = train(network, made.parameters, data.train, again, key, masks=made.masks)
        rows.append(
            {
                "method": method,
                "keep": task["keep"][number],
                "by": by,
                "seconds": round(made.seconds, 3),
                **_sizes(made.masks),
                "before": error_rate(network, made.parameters, data.test),
                "after": error_rate(network, after.parameters, data.test),
            }
        )

    for method in task["methods"]:
        for number in range(len(task["keep"])):
            add("authors", method, number, theirs[method, number])
        for by in ("library", "library, largest cell")[: 2 if method == "PFPNet" else 1]:
            scores, scoring = _scores(method, by, network, dense, samples)
            for number in range(len(task["keep"])):
                size = _sizes(theirs[method, number].masks)
                made = _ours(method, network, dense, samples, scores, size, [seed, number])
                spent = made.seconds + (scoring if number == 0 else 0)
                add(by, method, number, made._replace(seconds=spent))
    return {"dense": error_rate(network, dense, data.test), "torch": version, "rows": rows}


def _theirs(
    task: dict[str, Any], network: Network, dense: Parameters, samples: Samples
) -> tuple[dict[tuple[str, int], Made], str]:
    given: dict[str, Any] = {
        "layers": [layer.name for layer in network.layers], "input_shape": network.input_shape,
        "inputs": samples.inputs, "labels": samples.labels,
        **{key: task[key] for key in ("methods", "keep", "seed", "flat")},
    }  # fmt: skip
    for layer in network.layers:
        given[f"{layer.name}.padding"] = layer.padding
        for leaf, array in dense[layer.name].items():
            given[f"{layer.name}.{leaf}"] = np.asarray(array)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("given.npz", "made.npz")]
        np.savez(paths[0], **given)
        script = str(Path(__file__).with_name("torchprune_side.py"))
        other = os.environ["OTHER_PYTHON"], script, os.environ["TORCHPRUNE"], *paths
        subprocess.run(other, check=True)  # noqa: S603 - what the user of this script names
        with np.load(paths[1]) as file:
            made = dict(file)
    gap = np.abs(made["logits"] - apply(network, dense, jnp.asarray(samples.inputs))).max()
    if not gap < 1e-3:
        raise RuntimeError(f"the network differs over there, by {gap:g} in a logit")
    found = {}
    for method in task["methods"]:
        for number in range(len(task["keep"])):
            key = f"{method}|{number}|"
            parameters = {
                layer.name: {
                    leaf: jnp.asarray(made[f"{key}{layer.name}.{leaf}"])
                    for leaf in ("weight", "bias")
                }
                for layer in network.layers
            }
            masks = jax.tree.map(lambda array: (array != 0) * 1.0, parameters)
            found[method, number] = Made(parameters, masks, float(made[f"{key}seconds"]))
    return found, str(made["version"])


def _scores(
    method: str, by: str, network: Network, dense: Parameters, samples: Samples
) -> tuple[dict[str, Any], float]:
    """Scores, and the seconds they take once they are compiled."""

    def score() -> dict[str, Any]:
        match method:
            case "PFPNet":
                cells: OverCells = "sum" if by == "library" else "max"
                return channel_sensitivities(network, dense, jnp.asarray(samples.inputs), cells)
            case "FilterThresNet":
                norms = filter_norm(1, network, dense)
                return {name: np.asarray(array) for name, array in norms.items()}
            case _:
                over = "mean" if method == "SiPPNet" else "max"
                return weight_sensitivities(network, dense, samples.inputs, over)

    jax.block_until_ready(score())
    start = time.process_time()
    found = score()
    jax.block_until_ready(found)
    return found, time.process_time() - start


def _ours(
    method: str,
    network: Network,
    dense: Parameters,
    samples: Samples,
    scores: dict[str, Any],
    size: dict[str, float],
    seeds: list[int],
) -> Made:
    """Prune to the size that the authors' code came out at."""

    def make(rng: np.random.Generator) -> tuple[Parameters, Masks]:
        match method:
            case "PFPNet" | "FilterThresNet":
                keep = size["parameters"]
                kept = (
                    prune_channels(network, dense, scores, keep).kept
                    if method == "PFPNet"
                    else same_share(network, scores, keep)
                )
                masks = channel_masks(network, dense, kept)
                return apply_masks(dense, masks), masks
            case _:
                by_size = partial(prune, WEIGHTS[method], network, dense, scores, rng=rng)
                live = prune_to_live_size(network, samples, size["weights"], by_size)
                return live.parameters, live.masks

    make(np.random.default_rng(seeds))  # compilation
    start = time.process_time()
    made = make(np.random.default_rng(seeds))
    jax.block_until_ready(made)
    return Made(*made, time.process_time() - start)


def _sizes(masks: Masks) -> dict[str, float]:
    """Shares of the parameters and of the weights that are left."""

    def share(tree: Any) -> float:
        leaves = jax.tree.leaves(tree)
        return float(sum(leaf.sum() for leaf in leaves)) / sum(leaf.size for leaf in leaves)

    return {"parameters": share(masks), "weights": share(weights(masks))}


def main() -> None:
    """Make the file of results, or go on with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repository", required=True, help="clone of torchprune")
    parser.add_argument("--python", required=True, help="interpreter with torch and cvxpy")
    options = parser.parse_args()
    os.environ |= {"TORCHPRUNE": options.repository, "OTHER_PYTHON": options.python}
    runs.run_all(compare, tasks(), RESULTS)


if __name__ == "__main__":
    main()
