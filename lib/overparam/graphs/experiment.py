"""The experiments on citation graphs; ``python -m overparam.graphs.experiment`` runs all of them.

The command writes three files of runs: ``gcn-tuning.jsonl``, on seeds of its own, from which every
free number is chosen by validation accuracy; ``gcn.jsonl``, on seeds 0 to 19, with what is
reported; and ``gcn-cost.jsonl``, time and memory. It needs the citation graphs (see
`overparam.graphs.load_planetoid`) and resumes where it was interrupted.
"""

import argparse
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from overparam.graphs.arms import DAMPINGS, Task, chosen, tasks, tuning_tasks
from overparam.graphs.convolution import Network
from overparam.graphs.fisher import Spectrum, first_layer_spectrum
from overparam.graphs.graph import Graph
from overparam.graphs.planetoid import load_planetoid
from overparam.graphs.training import Settings, Training, train
from overparam.runs import run_all

_TRUNCATION = 1e-3  # eigenvalues below this fraction of the least damping are left out


def run(task: Task) -> dict[str, Any]:
    """Run one task of the experiments.

    Parameters
    ----------
    task : dict
        With "kind" ("accuracy", "pruning", "timing", "memory" or "law"), "graph", "split",
        "settings" (those of `Settings` that are not the default), "seed", and "arm", a name.

    Returns
    -------
    dict
        Numbers; see the functions of this module.

    Examples
    --------
    >>> task = {"kind": "accuracy", "graph": "karate", "split": "public", "seed": 0}
    >>> result = run(task | {"arm": "adam", "settings": {"epochs": 3}})
    >>> sorted(result)
    ['epoch', 'last', 'test', 'train_loss', 'validation', 'validation_loss']
    """
    # Imported only where they are needed: a chapter that reads results needs neither.
    if task["kind"] == "timing":
        from overparam.graphs.measurements import timing

        return timing(_graph(task["graph"]), task)
    if task["kind"] == "law":
        from overparam.graphs.measurements import law_prediction

        return law_prediction(_graph(task["graph"]), task)
    if task["kind"] == "memory":
        from overparam.graphs.measurements import memory

        return memory(task)
    network, outcome = trained(task)
    if task["kind"] == "pruning":
        from overparam.graphs.measurements import pruning

        return pruning(network, outcome, task, _spectrum_for(task))
    best = outcome.selected
    return {
        "test": round(float(outcome.test_accuracy[best]), 6),
        "validation": round(float(outcome.validation_accuracy[best]), 6),
        "validation_loss": round(float(outcome.validation_loss[best]), 6),
        "epoch": best + 1,
        "last": round(float(outcome.test_accuracy[-1]), 6),
        "train_loss": round(float(outcome.train_loss[-1]), 6),
    }


def trained(task: Task) -> tuple[Network, Training]:
    """Train as a task says.

    Parameters
    ----------
    task : dict
        See `run`.

    Returns
    -------
    tuple of Network and Training
        The network and the run.
    """
    network = _network(task["graph"], task["split"])
    settings = Settings(**task["settings"])
    return network, train(network, settings, task["seed"], spectrum=_spectrum_for(task))


@lru_cache(maxsize=2)
def _graph(name: Any) -> Graph:
    if name == "karate":
        from overparam.graphs.small import load_karate_club

        return load_karate_club()
    return load_planetoid(name)


@lru_cache(maxsize=2)
def _network(name: str, split: str) -> Network:
    return Network.of(_graph(name), split)


@lru_cache(maxsize=2)
def _spectrum(name: str) -> Spectrum:
    graph = _graph(name)
    # For the least damping and the smallest split; the others lose less.
    fewest = min(split.train.size for split in graph.splits.values())
    return first_layer_spectrum(graph, _TRUNCATION * min(DAMPINGS) ** 0.5 * fewest)


def _spectrum_for(task: Task) -> Spectrum | None:
    if task["settings"].get("scaling", "none") == "none":
        return None
    return _spectrum(task["graph"])


def main(arguments: list[str] | None = None) -> None:
    """Run everything that the two files do not have yet.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="results", type=Path)
    parser.add_argument("--jobs", default=1, type=int, help="processes, one thread each")
    parser.add_argument("--part", choices=("all", "accuracy", "cost"), default="all")
    options = parser.parse_args(arguments)
    folder = options.folder
    # One thread: two of them cost more than they bring in products this narrow.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    tuning = folder / "gcn-tuning.jsonl"
    run_all(run, tuning_tasks(), tuning, n_jobs=options.jobs)
    final = tasks(chosen(tuning))
    cost = [task for task in final if task["kind"] in ("timing", "memory")]
    others = [task for task in final if task not in cost]
    if options.part != "cost":
        run_all(run, others, folder / "gcn.jsonl", n_jobs=options.jobs)
    if options.part != "accuracy":
        # Clocks are read in one process, while nothing else of this program runs in it.
        run_all(run, cost, folder / "gcn-cost.jsonl")


if __name__ == "__main__":
    # By its public name, so that the file of runs names the function wherever it is called from.
    from overparam.graphs.experiment import main as run_everything

    run_everything()
