"""What a network costs: parameters, operations, bytes, and measured time."""

import time
from collections.abc import Sequence
from functools import partial
from math import prod
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from overparam._validation import count
from overparam.networks.masks import apply_masks, weights
from overparam.networks.network import Network, Parameters, apply
from overparam.networks.training import Masks


class Cost(NamedTuple):
    """Counts, which do not depend on a machine.

    Attributes
    ----------
    parameters : int
        Numbers that training may change, zeros included.
    nonzeros : int
        Those that are not zero.
    multiply_adds : int
        For one image: multiplications with weights that are not zero. Hardware that multiplies
        with zeros too saves them only when tensors get smaller.
    bytes : int
        Of a file with four bytes for every stored number; where a layer has zero weights, one bit
        for each weight says where they are and only the others are stored, if that is smaller.
    """

    parameters: int
    nonzeros: int
    multiply_adds: int
    bytes: int


def cost(network: Network, parameters: Parameters, masks: Masks | None = None) -> Cost:
    """Count what a network costs.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    masks : dict, optional
        What is zero; without it, all parameters as they are.

    Returns
    -------
    Cost
        The counts.

    Examples
    --------
    >>> from overparam.networks.architectures import small_cnn
    >>> from overparam.networks.network import initialize
    >>> network = small_cnn()
    >>> cost(network, initialize(network, jax.random.key(0))).multiply_adds
    78496
    """
    values = parameters if masks is None else apply_masks(parameters, masks)
    nonzeros = {name: int((array != 0).sum()) for name, array in weights(values).items()}
    trained = [
        array
        for leaves in values.values()
        for leaf, array in leaves.items()
        if leaf not in {"mean", "variance", "weight"}
    ]
    operations = sum(prod(network.shapes[name][:-1]) * number for name, number in nonzeros.items())
    statistics = sum(
        leaves[leaf].size
        for leaves in values.values()
        for leaf in ("mean", "variance")
        if leaf in leaves
    )
    stored = sum(
        min(4 * array.size, 4 * nonzeros[name] + -(-array.size // 8))
        for name, array in weights(values).items()
    )
    others = sum(array.size for array in trained)
    return Cost(
        network.parameter_count,
        sum(nonzeros.values()) + sum(int((array != 0).sum()) for array in trained),
        operations,
        stored + 4 * (others + statistics),
    )


def latency(
    models: Sequence[tuple[Network, Parameters]],
    inputs: NDArray[np.float32],
    repeats: int = 20,
) -> NDArray[np.float64]:
    """Measure how long networks take, one after the other, again and again.

    Interleaving makes ratios of the columns robust: what else runs on the machine disturbs all
    of them alike. The first, compiling call is not measured.

    Parameters
    ----------
    models : sequence of tuple of Network and dict
        Networks with parameters.
    inputs : ndarray of shape (batch, height, width, channels)
        Images.
    repeats : int, default 20
        How often.

    Returns
    -------
    ndarray of shape (repeats, models)
        Seconds.
    """
    images = jax.numpy.asarray(inputs)
    forward = partial(jax.jit, static_argnums=0)(apply)
    for network, parameters in models:
        forward(network, parameters, images).block_until_ready()
    seconds = np.empty((count("repeats", repeats), len(models)))
    for row in seconds:
        for column, (network, parameters) in enumerate(models):
            start = time.perf_counter()
            forward(network, parameters, images).block_until_ready()
            row[column] = time.perf_counter() - start
    return seconds
