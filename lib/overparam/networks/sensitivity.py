r"""Empirical sensitivities: the largest share that a weight ever had in its unit's sum.

On one input, a weight's share is what it adds to the sum of its sign group, divided by that sum.
Weights and inputs are split by sign, so that all summands are non-negative: with the parts
:math:`w^\pm` and :math:`a^\pm` there are four quadrants, and the share of weight j into unit i is

.. math:: g_{ij} = |w_{ij}|\,a_j^\pm \Big/ \sum_{k:\ w_{ik}w_{ij}>0} |w_{ik}|\,a_k^\pm ,

zero where the sum is. Biases take no part. The positions of a convolution are inputs of their own:
its patches are the rows that its weights multiply.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import reject
from overparam.networks.checks import check_batch
from overparam.networks.masks import Scores
from overparam.networks.network import Network, Parameters, activations, patches

OverPatches = Literal["max", "mean"]

LayerScore: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""From a weight (fan_in, units) and rows (samples, patches, fan_in) to the largest score."""

CHUNK_BYTES = 1 << 23
"""Samples are scored in chunks whose largest array of patches takes at most this much."""

_BLOCK = 1 << 15  # products that one step of the search for a maximum makes, to fit into a cache


def weight_sensitivities(
    network: Network,
    parameters: Parameters,
    inputs: ArrayLike,
    over_patches: OverPatches = "max",
) -> Scores:
    """Score every weight by its largest share over a sample.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : array of shape (samples, height, width, channels)
        Images that took no part in training.
    over_patches : str, default "max"
        What a convolution does with the shares at the positions of one image: ``"max"`` or
        ``"mean"``. The maximum over images and input signs comes after it.

    Returns
    -------
    dict
        From the names of the layers to sensitivities in [0, 1], of the shapes of the weights.

    Raises
    ------
    ValueError
        If the inputs are empty, of the wrong shape or not finite, or parameters do not match the
        network or are not finite; the message names the layer.

    Notes
    -----
    Of the activations and patches only a chunk of the samples exists at a time.

    Examples
    --------
    A unit that sees the same input on three weights of one sign; the fourth is alone:

    >>> from overparam.networks.architectures import dense_network
    >>> network = dense_network([], classes=1, input_shape=(1, 4, 1))
    >>> weight = jnp.array([[1.0], [1.0], [2.0], [-0.1]])
    >>> parameters = {"output": {"weight": weight, "bias": jnp.zeros(1)}}
    >>> weight_sensitivities(network, parameters, jnp.ones((1, 1, 4, 1)))["output"][:, 0]
    Array([0.25, 0.25, 0.5 , 1.  ], dtype=float32)
    """
    if over_patches not in ("max", "mean"):
        raise reject("over_patches", over_patches, "must be 'max' or 'mean'", "Pass one of these.")
    score = largest_share if over_patches == "max" else largest_mean_share
    scores = largest_over_samples(network, parameters, inputs, score)
    return {name: array.reshape(parameters[name]["weight"].shape) for name, array in scores.items()}


def largest_over_samples(
    network: Network, parameters: Parameters, inputs: ArrayLike, score: LayerScore
) -> Scores:
    """Apply a score to every layer, chunk by chunk, and keep the largest values.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : array of shape (samples, height, width, channels)
        Images.
    score : callable
        ``score(weight, rows)``, traceable, with weight of shape (fan_in, units) and rows of shape
        (samples, patches, fan_in): a maximum over the samples, of any shape. Pass a function
        defined once, since it is compiled for every new one.

    Returns
    -------
    dict
        From the names of the layers to arrays.

    Raises
    ------
    ValueError
        As `weight_sensitivities`.
    """
    images = check_batch(network, parameters, inputs)
    per_sample = 4 * max(rows * fan_in for rows, fan_in in _rows_and_fans(network).values())
    size = min(len(images), max(1, CHUNK_BYTES // per_sample))
    best: Scores | None = None
    for start in range(0, len(images), size):
        chunk = images[start : start + size]
        if len(chunk) < size:  # a repeated image changes no maximum, and saves a compilation
            chunk = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), axis=0)])
        found = _score_chunk(network, score, parameters, chunk)
        best = found if best is None else jax.tree.map(jnp.maximum, best, found)
    return best if best is not None else {}


@partial(jax.jit, static_argnums=(0, 1))
def _score_chunk(
    network: Network, score: LayerScore, parameters: Parameters, inputs: jax.Array
) -> Scores:
    outputs = activations(network, parameters, inputs)
    scores = {}
    for layer in network.layers:
        rows = patches(layer, outputs[layer.inputs[0]])
        weight = parameters[layer.name]["weight"]
        matrix = weight.reshape(-1, weight.shape[-1])
        scores[layer.name] = score(matrix, rows.reshape(rows.shape[0], -1, rows.shape[-1]))
    return scores


class Quadrant(NamedTuple):
    """One pair of signs.

    Attributes
    ----------
    weight : jax.Array of shape (fan_in, units)
        Magnitudes of the weights of one sign, zero elsewhere.
    rows : jax.Array of shape (..., fan_in)
        Magnitudes of the inputs of one sign, zero elsewhere.
    reciprocal : jax.Array of shape (..., units)
        One over the sums ``rows @ weight``, zero where nothing was summed.
    """

    weight: jax.Array
    rows: jax.Array
    reciprocal: jax.Array


def quadrants(weight: jax.Array, rows: jax.Array) -> dict[tuple[int, int], Quadrant]:
    """Split weights and inputs by sign, and sum.

    Parameters
    ----------
    weight : jax.Array of shape (fan_in, units)
        Weights of a layer.
    rows : jax.Array of shape (..., fan_in)
        What they multiply.

    Returns
    -------
    dict
        From the signs (of the weights, of the inputs), 1 or -1, to the four `Quadrant`.

    Examples
    --------
    >>> parts = quadrants(jnp.array([[2.0], [-1.0], [6.0]]), jnp.array([[1.0, 1.0, -1.0]]))
    >>> {signs: float(part.reciprocal[0, 0]) for signs, part in parts.items()}
    {(1, 1): 0.5, (1, -1): 0.1666666716337204, (-1, 1): 1.0, (-1, -1): 0.0}
    """
    parts = {}
    for sign in (1, -1):
        magnitudes = jnp.maximum(sign * weight, 0)
        for half in (1, -1):
            seen = jnp.maximum(half * rows, 0)
            total = seen @ magnitudes
            # A sum that is not a normal number has no usable reciprocal.
            usable = total > float(np.finfo(total.dtype).tiny)
            reciprocal = jnp.where(usable, 1 / jnp.where(usable, total, 1), 0)
            parts[sign, half] = Quadrant(magnitudes, seen, reciprocal)
    return parts


def largest_share(weight: jax.Array, rows: jax.Array) -> jax.Array:
    """Largest share of every weight over samples, patches and input signs.

    Parameters
    ----------
    weight : jax.Array of shape (fan_in, units)
        Weights of a layer.
    rows : jax.Array of shape (samples, patches, fan_in)
        What they multiply.

    Returns
    -------
    jax.Array of shape (fan_in, units)
        In [0, 1].
    """
    flat = rows.reshape(-1, rows.shape[-1])
    parts = quadrants(weight, flat)
    # The matrix product max over rows of a_rj r_ri: a maximum where a product would have a sum.
    # An input has one sign, so two of the four quadrants are zero for each of them.
    factors = (
        jnp.abs(flat),
        flat > 0,
        *(parts[sign, half].reciprocal for sign in (1, -1) for half in (1, -1)),
    )
    positive = weight > 0
    block = min(len(flat), max(1, _BLOCK // weight.size))
    steps = -(-len(flat) // block)
    missing = steps * block - len(flat)

    def shaped(array: jax.Array) -> jax.Array:
        padded = jnp.concatenate([array, jnp.zeros((missing, array.shape[1]), array.dtype)])
        return padded.reshape(steps, block, array.shape[1])

    def step(best: jax.Array, batch: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        sizes, up = (array[:, :, None] for array in batch[:2])
        rates = [array[:, None, :] for array in batch[2:]]
        rate = jnp.where(
            positive, jnp.where(up, rates[0], rates[1]), jnp.where(up, rates[2], rates[3])
        )
        return jnp.maximum(best, sizes * rate), None

    # One candidate for each row of a block until the end: entry by entry is fast, reducing is not.
    start = jnp.zeros((block, *weight.shape), weight.dtype)
    candidates, _ = jax.lax.scan(step, start, tuple(map(shaped, factors)))
    best = candidates.max(axis=0)
    return _as_share(weight, best)


def largest_mean_share(weight: jax.Array, rows: jax.Array) -> jax.Array:
    """Largest share of every weight over samples and input signs, averaged over patches first.

    Parameters
    ----------
    weight : jax.Array of shape (fan_in, units)
        Weights of a layer.
    rows : jax.Array of shape (samples, patches, fan_in)
        What they multiply.

    Returns
    -------
    jax.Array of shape (fan_in, units)
        In [0, 1]; with one patch, `largest_share`.
    """
    if rows.shape[1] == 1:
        return largest_share(weight, rows)

    def step(best: jax.Array, sample: jax.Array) -> tuple[jax.Array, None]:
        parts = quadrants(weight, sample)
        means = {signs: part.rows.T @ part.reciprocal for signs, part in parts.items()}
        positive, negative = (jnp.maximum(means[sign, 1], means[sign, -1]) for sign in (1, -1))
        found = jnp.where(weight > 0, positive, negative) / len(sample)
        return jnp.maximum(best, found), None

    best, _ = jax.lax.scan(step, jnp.zeros_like(weight), rows)
    return _as_share(weight, best)


def _as_share(weight: jax.Array, rate: jax.Array) -> jax.Array:
    """Multiply by the weight; rounding may exceed 1, and a weight of zero has no share."""
    return jnp.where(weight == 0, 0, jnp.minimum(jnp.abs(weight) * rate, 1))


def neurons(network: Network) -> tuple[int, int]:
    """Count the outputs of all layers, the positions of a convolution one by one.

    Parameters
    ----------
    network : Network
        The network.

    Returns
    -------
    tuple of int
        In all layers together, and in the widest one.

    Examples
    --------
    >>> from overparam.networks.architectures import lenet_300_100
    >>> neurons(lenet_300_100())
    (410, 300)
    """
    sizes = [int(np.prod(network.shapes[layer.name])) for layer in network.layers]
    return sum(sizes), max(sizes)


def _rows_and_fans(network: Network) -> dict[str, tuple[int, int]]:
    """Rows that one sample gives a layer, and their length."""
    found = {}
    for layer in network.layers:
        shape = network.parameter_shapes[layer.name]["weight"]
        rows = int(np.prod(network.shapes[layer.name][:-1])) if layer.kind != "dense" else 1
        found[layer.name] = rows, int(np.prod(shape[:-1]))
    return found
