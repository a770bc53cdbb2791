"""Smaller tensors instead of zeros: what makes a pruned network faster and its file smaller."""

from collections.abc import Mapping
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam.networks.channels import ChannelGroup, channel_groups, checked
from overparam.networks.masks import apply_masks
from overparam.networks.network import Network, Parameters
from overparam.networks.training import Masks


def remove_channels(
    network: Network, parameters: Parameters, kept: Mapping[str, NDArray[np.bool_]]
) -> tuple[Network, Parameters]:
    """Cut channels out of a network.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    kept : mapping from the names of channel groups to ndarray of bool, shape (size,)
        Which channels stay; groups that are not named stay as they are.

    Returns
    -------
    tuple of Network and dict
        The smaller network: it computes what the network masked by `channel_masks` computes.

    Raises
    ------
    ValueError
        If a name or shape is wrong, or no channel of a group stays.

    Examples
    --------
    >>> import jax
    >>> from overparam.networks.architectures import dense_network
    >>> from overparam.networks.network import initialize
    >>> network = dense_network([4])
    >>> parameters = initialize(network, jax.random.key(0))
    >>> remove_channels(network, parameters, {"dense1": np.array([True, False, True, True])})[0]
    Network(4 nodes, 2,395 parameters)
    """
    arrays = {
        name: {leaf: np.asarray(array) for leaf, array in leaves.items()}
        for name, leaves in parameters.items()
    }
    units = {}
    for group, stay in checked(network, kept):
        for name in (*group.producers, *group.normalizations):
            arrays[name] = {leaf: array[..., stay] for leaf, array in arrays[name].items()}
        for name in group.consumers:
            weight = arrays[name]["weight"]
            rows = np.tile(stay, weight.shape[-2] // group.size)
            arrays[name]["weight"] = weight[..., rows, :]
        units.update(dict.fromkeys(group.producers, int(stay.sum())))
    nodes = tuple(replace(node, units=units.get(node.name, node.units)) for node in network.nodes)
    smaller = {
        name: {leaf: jnp.asarray(array) for leaf, array in leaves.items()}
        for name, leaves in arrays.items()
    }
    return replace(network, nodes=nodes), smaller


def remove_masked(
    network: Network, parameters: Parameters, masks: Masks
) -> tuple[Network, Parameters]:
    """Cut out every channel that the masks leave without effect.

    A channel goes if nothing makes it (all its filters, biases, scales and offsets are zero) or
    nothing reads it; its going may leave others without effect, which then go too.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    masks : dict
        Zeros and ones in the structure of the parameters.

    Returns
    -------
    tuple of Network and dict
        The smaller network, with the remaining zeros; it computes what the masked one computes.

    Raises
    ------
    ValueError
        If a layer would lose its last filter, which makes the output constant.
    """
    values = apply_masks(parameters, masks)
    while True:
        alive = {g.name: _alive(network, values, g) for g in channel_groups(network)}
        if all(stay.all() for stay in alive.values()):
            return network, values
        network, values = remove_channels(network, values, alive)


def _alive(network: Network, parameters: Parameters, group: ChannelGroup) -> NDArray[np.bool_]:
    normalized = {network.node(name).inputs[0] for name in group.normalizations}
    made = np.zeros(group.size, bool)
    for name in (*group.normalizations, *(p for p in group.producers if p not in normalized)):
        leaves = ("scale", "offset") if name in group.normalizations else ("weight", "bias")
        for leaf in leaves:
            if leaf in parameters[name]:
                made |= np.asarray(parameters[name][leaf] != 0).reshape(-1, group.size).any(axis=0)
    read = np.zeros(group.size, bool)
    for name in group.consumers:
        weight = np.asarray(parameters[name]["weight"] != 0)
        read |= weight.any(axis=-1).reshape(-1, group.size).any(axis=0)
    return made & read
