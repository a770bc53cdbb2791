r"""Second derivatives of the training loss with respect to the weights.

The Gauss-Newton matrix of cross entropy is the mean over samples, and over classes c drawn from
the network's own probabilities, of :math:`g_c g_c^\top` with :math:`g_c` the gradient of the loss
that class c would give: the Fisher matrix with labels from the model. It has no negative
eigenvalue, and is the Hessian where the logits are linear in the weights.
"""

from functools import partial
from itertools import pairwise
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam._validation import reject
from overparam.networks.criteria.passes import (
    Pull,
    gradient_sum,
    linearize,
    sample_gradients,
    sum_over,
)
from overparam.networks.data import Samples
from overparam.networks.masks import Scores, weights
from overparam.networks.network import Network, Parameters, apply

LARGEST = 3000
"""Weights for which a full matrix is still allowed: 72 MB."""


def flatten(network: Network, scores: Scores) -> NDArray[np.float64]:
    """Return all weights, or scores, as one vector, layer by layer.

    Parameters
    ----------
    network : Network
        The network.
    scores : dict
        From layers to arrays.

    Returns
    -------
    ndarray
        One number for each weight.
    """
    return np.concatenate([np.asarray(scores[x.name], np.float64).ravel() for x in network.layers])


def unflatten(network: Network, vector: NDArray[np.float64]) -> Scores:
    """Undo `flatten`.

    Parameters
    ----------
    network : Network
        The network.
    vector : ndarray
        One number for each weight.

    Returns
    -------
    dict
        From layers to arrays.
    """
    shapes = {
        layer.name: network.parameter_shapes[layer.name]["weight"] for layer in network.layers
    }
    ends = np.cumsum([0, *(prod(shape) for shape in shapes.values())])
    parts = zip(shapes.items(), pairwise(ends), strict=True)
    return {name: jnp.asarray(vector[a:b].reshape(shape)) for (name, shape), (a, b) in parts}


def gauss_newton_diagonal(network: Network, parameters: Parameters, samples: Samples) -> Scores:
    """Return the diagonal of the Gauss-Newton matrix.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images; the labels are not used.

    Returns
    -------
    dict
        From layers to arrays of the shape of their weights.
    """
    sums = sum_over(_diagonal_sums, network, parameters, samples)
    return {
        name: sums[name].reshape(array.shape) / len(samples.labels)
        for name, array in weights(parameters).items()
    }


def gauss_newton(network: Network, parameters: Parameters, samples: Samples) -> NDArray[np.float64]:
    """Return the Gauss-Newton matrix of a small network.

    Parameters
    ----------
    network : Network
        The network, of at most `LARGEST` weights.
    parameters : dict
        Its parameters.
    samples : Samples
        Images; the labels are not used.

    Returns
    -------
    ndarray of float64
        In the order of `flatten`.

    Raises
    ------
    ValueError
        If the network has too many weights.
    """
    _check_size(parameters)
    total = sum_over(_full_sums, network, parameters, samples)
    return np.asarray(total, np.float64) / len(samples.labels)


def exact_hessian(
    network: Network, parameters: Parameters, samples: Samples
) -> NDArray[np.float64]:
    """Return the Hessian of the mean cross entropy of a small network, column by column.

    Parameters
    ----------
    network : Network
        The network, of at most `LARGEST` weights.
    parameters : dict
        Its parameters.
    samples : Samples
        Images and classes.

    Returns
    -------
    ndarray of float64
        In the order of `flatten`; symmetric up to rounding.

    Raises
    ------
    ValueError
        If the network has too many weights.
    """
    _check_size(parameters)
    total = sum_over(_hessian_sums, network, parameters, samples, chunk=256)
    return np.asarray(total, np.float64) / len(samples.labels)


def _check_size(parameters: Parameters) -> None:
    sizes = {name: array.size for name, array in weights(parameters).items()}
    if sum(sizes.values()) > LARGEST:
        largest = max(sizes, key=lambda name: sizes[name])
        rule = f"must have at most {LARGEST} weights for a full matrix, of which {largest!r} alone"
        advice = "Use a diagonal or layer-wise criterion: 'obd' or 'layer-obs'."
        raise reject("parameters", f"{sum(sizes.values())} weights", f"{rule} has many", advice)


def _for_each_class(probabilities: jax.Array, pull: Pull) -> tuple[Pull, jax.Array]:
    """Gradients of all samples for one class, times the root of its probability."""
    classes = jnp.eye(probabilities.shape[1])

    def deltas(target: jax.Array) -> Scores:
        root = jnp.sqrt(probabilities @ target)
        return pull((probabilities - target) * root[:, None])

    return deltas, classes


@partial(jax.jit, static_argnums=0)
def _diagonal_sums(
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    labels: jax.Array,  # noqa: ARG001 - every pass has the same arguments
) -> Scores:
    probabilities, pull, rows = linearize(network, parameters, inputs)
    deltas, classes = _for_each_class(probabilities, pull)

    def add(total: Scores, target: jax.Array) -> tuple[Scores, None]:
        found = deltas(target)
        return {
            name: total[name] + gradient_sum(jnp.square, rows[name], found[name]) for name in rows
        }, None

    start = {name: jnp.zeros((rows[name].shape[-1], network.node(name).units)) for name in rows}
    return jax.lax.scan(add, start, classes)[0]


@partial(jax.jit, static_argnums=0)
def _full_sums(
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    labels: jax.Array,  # noqa: ARG001 - every pass has the same arguments
) -> jax.Array:
    probabilities, pull, rows = linearize(network, parameters, inputs)
    deltas, classes = _for_each_class(probabilities, pull)
    size = sum(array.size for array in weights(parameters).values())

    def add(total: jax.Array, target: jax.Array) -> tuple[jax.Array, None]:
        found = deltas(target)
        flat = [
            sample_gradients(rows[layer.name], found[layer.name]).reshape(len(inputs), -1)
            for layer in network.layers
        ]
        gradients = jnp.concatenate(flat, axis=1)
        return total + gradients.T @ gradients, None

    return jax.lax.scan(add, jnp.zeros((size, size)), classes)[0]


@partial(jax.jit, static_argnums=0)
def _hessian_sums(
    network: Network, parameters: Parameters, inputs: jax.Array, labels: jax.Array
) -> jax.Array:
    names = [layer.name for layer in network.layers]
    shapes = [parameters[name]["weight"].shape for name in names]
    ends = np.cumsum([prod(shape) for shape in shapes])

    def objective(vector: jax.Array) -> jax.Array:
        parts = zip(names, jnp.split(vector, ends[:-1]), shapes, strict=True)
        changed = {name: part.reshape(shape) for name, part, shape in parts}
        tree = {
            name: {**leaves, "weight": changed[name]} if name in changed else leaves
            for name, leaves in parameters.items()
        }
        likelihoods = jax.nn.log_softmax(apply(network, tree, inputs))
        return -jnp.take_along_axis(likelihoods, labels[:, None], axis=1).sum()

    here = jnp.concatenate([parameters[name]["weight"].ravel() for name in names])
    gradient = jax.grad(objective)

    def column(index: jax.Array) -> jax.Array:
        unit = jnp.zeros_like(here).at[index].set(1)
        return jax.jvp(gradient, (here,), (unit,))[1]

    return jax.lax.map(column, jnp.arange(here.size), batch_size=16)
