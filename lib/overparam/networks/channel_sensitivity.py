r"""Channel sensitivities: the largest share that a channel ever had in a sum of the next layers.

On one input, the share of channel j in output unit i is what its weights add to the sum of their
sign group, divided by that sum (`overparam.networks.sensitivity` has the same for single weights);
its sensitivity :math:`s_j` is the largest share over a sample, all units that read the channel, all
positions and both signs. Layers may share channels through a shortcut; to the channels, the units
of all their readers are one layer.
"""

from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam._validation import reject
from overparam.networks.channels import channel_groups
from overparam.networks.checks import check_batch
from overparam.networks.network import INPUT, Network, Node, Parameters, activations, patches
from overparam.networks.sensitivity import quadrants

Array: TypeAlias = NDArray[np.float64]
OverCells = Literal["sum", "max"]

_CHUNK = 16  # images of which activations exist at a time


def channel_shares(
    network: Network, parameters: Parameters, inputs: jax.Array, over_cells: OverCells = "sum"
) -> dict[str, Array]:
    """Largest share of every channel, image by image.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : array of shape (images, height, width, channels)
        Images that took no part in training.
    over_cells : str, default "sum"
        What a channel's weights in one unit count for: ``"sum"`` of them, which is what the
        removal of the channel removes, or ``"max"``, the largest single one, as in the code of the
        authors of the method.

    Returns
    -------
    dict
        From the names of channel groups to arrays of shape (images, size), entries in [0, 1].

    Raises
    ------
    ValueError
        If the inputs are empty, of the wrong shape or not finite, or the parameters do not match
        the network or are not finite.
    """
    if over_cells not in ("sum", "max"):
        raise reject("over_cells", over_cells, "must be 'sum' or 'max'", "Pass one of these.")
    images = check_batch(network, parameters, inputs)
    groups = channel_groups(network)
    parts: list[dict[str, Array]] = []
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        filled = np.concatenate([chunk, np.repeat(chunk[-1:], _CHUNK - len(chunk), axis=0)])
        read = _reader_inputs(network, parameters, filled)
        parts.append(
            {
                group.name: np.max(
                    [
                        _layer_shares(
                            replace(network.node(name), name="", inputs=()),
                            group.size,
                            over_cells,
                            _is_nonnegative(network, network.node(name).inputs[0]),
                            parameters[name]["weight"],
                            read[name],
                        )
                        for name in group.consumers
                    ],
                    axis=0,
                )
                for group in groups
            }
        )
    return {
        group.name: np.concatenate([part[group.name] for part in parts])[: len(images)].astype(
            float
        )
        for group in groups
    }


@partial(jax.jit, static_argnums=0)
def _reader_inputs(
    network: Network, parameters: Parameters, inputs: jax.Array
) -> dict[str, jax.Array]:
    outputs = activations(network, parameters, inputs)
    return {layer.name: outputs[layer.inputs[0]] for layer in network.layers}


# The node has no name here: layers of the same form are compiled once.
@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _layer_shares(
    layer: Node,
    size: int,
    over_cells: OverCells,
    nonnegative: bool,  # noqa: FBT001
    weight: jax.Array,
    inputs: jax.Array,
) -> jax.Array:
    rows = patches(layer, inputs)
    score = partial(
        _image_shares,
        weight.reshape(-1, size, weight.shape[-1]),
        over_cells,
        (1,) if nonnegative else (1, -1),
    )
    return jax.lax.map(score, rows.reshape(rows.shape[0], -1, rows.shape[-1]))


def _image_shares(
    weight: jax.Array, over_cells: OverCells, signs: tuple[int, ...], rows: jax.Array
) -> jax.Array:
    """Shares of the channels on one image; the axes of the weight are cells, channels, units."""
    cells, size, units = weight.shape
    best = jnp.zeros(size)
    for (_, half), part in quadrants(weight.reshape(-1, units), rows).items():
        if half not in signs:
            continue
        seen = part.rows.reshape(-1, cells, size)
        magnitudes = part.weight.reshape(weight.shape)
        if over_cells == "sum":
            added = jnp.einsum("pks,ksu->psu", seen, magnitudes)
        else:
            added = (seen[..., None] * magnitudes).max(axis=1)
        best = jnp.maximum(best, (added * part.reciprocal[:, None]).max(axis=(0, 2)))
    return jnp.minimum(best, 1)  # a sum in another order may round to more


def _is_nonnegative(network: Network, name: str) -> bool:
    if name == INPUT:
        return False
    node = network.node(name)
    passes = node.kind in {"max_pool", "mean", "flatten", "add"}
    return node.kind == "relu" or (passes and all(_is_nonnegative(network, n) for n in node.inputs))


def channel_sensitivities(
    network: Network, parameters: Parameters, inputs: jax.Array, over_cells: OverCells = "sum"
) -> dict[str, Array]:
    """Largest share of every channel over a sample: the score of PFP.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : array of shape (images, height, width, channels)
        Images that took no part in training.
    over_cells : str, default "sum"
        See `channel_shares`.

    Returns
    -------
    dict
        From the names of channel groups to arrays of shape (size,), entries in [0, 1].

    Raises
    ------
    ValueError
        As `channel_shares`.

    Examples
    --------
    Two hidden units, of which the output reads the second one three times as strongly:

    >>> from overparam.networks.architectures import dense_network
    >>> network = dense_network([2], classes=1, input_shape=(1, 1, 1))
    >>> parameters = {
    ...     "dense1": {"weight": jnp.ones((1, 2)), "bias": jnp.zeros(2)},
    ...     "output": {"weight": jnp.array([[1.0], [3.0]]), "bias": jnp.zeros(1)},
    ... }
    >>> channel_sensitivities(network, parameters, np.ones((1, 1, 1, 1)))
    {'dense1': array([0.25, 0.75])}
    """
    shares = channel_shares(network, parameters, inputs, over_cells)
    return {name: array.max(axis=0) for name, array in shares.items()}


def sums(network: Network) -> dict[str, int]:
    """Count what has to come out right for each group of channels: units, positions and signs.

    Weights have two signs; inputs that pass no rectifier on their way double the number.

    Parameters
    ----------
    network : Network
        The network.

    Returns
    -------
    dict
        From the names of channel groups to the number of sums of one sign that read them.

    Examples
    --------
    >>> from overparam.networks.architectures import lenet_5
    >>> sums(lenet_5())
    {'conv1': 3200, 'conv2': 240, 'dense1': 168, 'dense2': 20}
    """

    def of_reader(name: str) -> int:
        signs = 2 if _is_nonnegative(network, network.node(name).inputs[0]) else 4
        return signs * int(np.prod(network.shapes[name]))

    return {
        group.name: sum(of_reader(name) for name in group.consumers)
        for group in channel_groups(network)
    }
