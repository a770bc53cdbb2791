"""Graph convolutional networks and Kronecker-factored natural gradient for them, in JAX.

Every name is imported from here, as in ``from overparam.graphs import Graph``, and loads only the
modules that it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overparam.graphs.convolution import Network, Parameters, initialize
    from overparam.graphs.fisher import Factors, Spectrum, first_layer_spectrum
    from overparam.graphs.graph import Graph, Split
    from overparam.graphs.planetoid import load_planetoid
    from overparam.graphs.small import load_karate_club
    from overparam.graphs.sparse import SparseMatrix
    from overparam.graphs.training import Settings, Training, train

_HOME = {
    "Factors": "fisher",
    "Graph": "graph",
    "Network": "convolution",
    "Parameters": "convolution",
    "Settings": "training",
    "SparseMatrix": "sparse",
    "Spectrum": "fisher",
    "Split": "graph",
    "Training": "training",
    "first_layer_spectrum": "fisher",
    "initialize": "convolution",
    "load_karate_club": "small",
    "load_planetoid": "planetoid",
    "train": "training",
}

__all__ = [
    "Factors",
    "Graph",
    "Network",
    "Parameters",
    "Settings",
    "SparseMatrix",
    "Spectrum",
    "Split",
    "Training",
    "first_layer_spectrum",
    "initialize",
    "load_karate_club",
    "load_planetoid",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module 'overparam.graphs' has no attribute {name!r}; it has {', '.join(__all__)}."
        raise AttributeError(msg)
    return getattr(import_module(f"overparam.graphs.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
