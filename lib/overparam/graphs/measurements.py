"""What is measured on trained networks besides accuracy: pruning, time, and what the law predicts.

The tasks are those of `overparam.graphs.experiment`.
"""

import gc
import resource
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import jax
import numpy as np

from overparam.graphs.convolution import Network
from overparam.graphs.dense import train_densely
from overparam.graphs.fisher import Spectrum, first_layer_spectrum
from overparam.graphs.graph import Graph
from overparam.graphs.removal import evaluate, masks_of, prunability
from overparam.graphs.training import Settings, Training, train

KEEPS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Fractions kept."""

RETRAINED = (0.1, 0.02)
"""Fractions at which the survivors of the smallest weights' removal are also trained again."""

TOLERANCES = (0.01, 0.1)
"""Rises of the training loss, as fractions of that of the uniform prediction."""


EPOCHS_TIMED = 50
"""Epochs of a timed run, one refresh among them, as many an epoch as in a whole run."""


def pruning(
    network: Network, outcome: Training, task: dict[str, Any], spectrum: Spectrum | None
) -> dict[str, Any]:
    """Prune what a run ended with.

    Parameters
    ----------
    network : Network
        The graph with a split.
    outcome : Training
        The run.
    task : dict
        The task of that run.
    spectrum : Spectrum or None
        For training once more.

    Returns
    -------
    dict
        "test" and "train_loss" of the dense network, its "prunability" for each order and
        tolerance, and for each order test accuracies "pruned" and, by magnitude, "retrained".
    """
    dense = outcome.parameters
    unit = np.log(network.classes)
    settings = Settings(**task["settings"])
    result: dict[str, Any] = {
        "test": float(outcome.test_accuracy[-1]),
        "train_loss": float(outcome.train_loss[-1]),
    }
    key = jax.random.fold_in(jax.random.key(task["seed"]), 10**6)
    for order in ("magnitude", "random"):
        masks = {keep: masks_of(dense, keep, order, key) for keep in (*KEEPS, *RETRAINED)}
        smaller = {
            keep: jax.tree.map(lambda w, m: w * m, dense, mask) for keep, mask in masks.items()
        }
        retrained = [
            train(network, settings, task["seed"], spectrum=spectrum, start=dense, masks=mask)
            for mask in (masks[keep] for keep in RETRAINED if order == "magnitude")
        ]
        rng = np.random.default_rng(task["seed"])
        result[order] = {
            "pruned": [float(evaluate(network, smaller[k]).test_accuracy) for k in KEEPS],
            "retrained": [float(one.test_accuracy[-1]) for one in retrained],
            "prunability": prunability(
                network, dense, np.multiply(TOLERANCES, unit), order, rng
            ).tolist(),
        }
    return result


def law_prediction(graph: Graph, task: dict[str, Any]) -> dict[str, Any]:
    r"""Prunability of the least-squares law on the variances of a graph's propagated features.

    The features are taken as independent, with the mean squares of the columns of PX as variances
    and n the number of training nodes. Coefficients are drawn so that a label has signal four
    times its noise, in two ways: of one size, or with one share of the signal for every feature.
    The preconditioner is :math:`(\lambda_i+\delta)^{-a}` with a the "power" of the task, undamped
    and with the relative damping that :math:`\epsilon = 0.01` means in the public scaling.

    Parameters
    ----------
    graph : Graph
        The graph.
    task : dict
        The task.

    Returns
    -------
    dict
        Prunabilities, and quantiles of variances.
    """
    from overparam.law import min_norm_law
    from overparam.problem import LinearGaussianProblem
    from overparam.prunability import law_prunability

    inputs = graph.propagated[:, :-1]
    nodes = graph.labels.size
    train_count = graph.splits[task["split"]].train.size
    variances = np.asarray(inputs.multiply(inputs).sum(axis=0)).ravel() / nodes
    variances = variances[variances > 0]
    signs = np.random.default_rng(task["seed"]).standard_normal(variances.size)
    # The public factor is N/n times the mean over nodes, and sqrt(0.01) is added to it.
    relative = 0.1 * train_count / nodes
    result: dict[str, Any] = {
        "features": int(variances.size),
        "quantiles": np.quantile(variances, [0.0, 0.1, 0.5, 0.9, 1.0]).tolist(),
        "relative_damping": relative,
    }
    for prior, coefficients in (("equal", signs), ("saliency", signs / np.sqrt(variances))):
        scaled = coefficients / np.sqrt(variances @ coefficients**2)
        problem = LinearGaussianProblem(variances, scaled, 0.25)
        for name, damping in (("undamped", 0.0), ("damped", relative)):
            entries = (variances + damping) ** -task["power"]
            law = min_norm_law(problem, train_count, preconditioner=entries)
            result[f"{prior}, {name}"] = {
                "risk": float(law.risk),
                "prunability": law_prunability(law, np.array(TOLERANCES)).tolist(),
            }
    return result


def timing(graph: Graph, task: dict[str, Any]) -> dict[str, Any]:
    """Time runs of `EPOCHS_TIMED` epochs against `overparam.graphs.dense`, after a first of each.

    Parameters
    ----------
    graph : Graph
        The graph.
    task : dict
        With "repeats" besides the rest.

    Returns
    -------
    dict
        "seconds" and "dense_seconds" of each pair of runs, one right after the other;
        "first_seconds" of the run that
        compiles, "spectrum_seconds" of the one diagonalization.
    """
    settings = Settings(**task["settings"] | {"epochs": EPOCHS_TIMED})
    network = Network.of(graph, task["split"])
    spectrum, spectrum_seconds = None, 0.0
    if settings.scaling != "none":
        floor = 1e-3 * settings.damping**0.5 * graph.splits[task["split"]].train.size
        spectrum_seconds = _seconds(lambda: first_layer_spectrum(graph, floor))
        spectrum = first_layer_spectrum(graph, floor)

    def ours() -> object:
        return train(network, settings, task["seed"], spectrum=spectrum)

    def theirs() -> object:
        weights = train_densely(graph, task["split"], settings, task["seed"])
        return [weight.block_until_ready() for weight in weights]

    first = _seconds(ours)
    theirs()
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(task["repeats"])]
    return {
        "seconds": [round(pair[0], 4) for pair in pairs],
        "dense_seconds": [round(pair[1], 4) for pair in pairs],
        "first_seconds": round(first, 3),
        "spectrum_seconds": round(spectrum_seconds, 3),
    }


def memory(task: dict[str, Any]) -> dict[str, Any]:
    """Run the task in a process of its own and report the most memory that it ever held.

    Parameters
    ----------
    task : dict
        The task of a run.

    Returns
    -------
    dict
        "megabytes", everything included: interpreter, libraries, data, compilation.
    """
    with get_context("spawn").Pool(1) as pool:
        return {"megabytes": round(pool.apply(_peak, (task,)), 1)}


def _peak(task: dict[str, Any]) -> float:
    from overparam.graphs.experiment import trained

    trained(task)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _seconds(function: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
