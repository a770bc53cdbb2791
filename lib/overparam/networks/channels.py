"""Channels that can only be removed together, and masks for whole filters.

A filter makes a channel. Normalization, rectifier, pooling and flattening pass channels on; adding
two nodes ties their channels to each other, which is how a shortcut couples layers; the next layers
read them. Everything that makes, passes on or reads the same channels is one group.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam._validation import reject
from overparam.networks.masks import Scope, check_scores, highest
from overparam.networks.network import INPUT, Network, Parameters
from overparam.networks.training import Masks


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that several layers share.

    Attributes
    ----------
    name : str
        Name of the first layer that makes them.
    size : int
        How many channels.
    producers : tuple of str
        The layers that make them: more than one where outputs are added.
    normalizations : tuple of str
        The normalizations that they pass.
    consumers : tuple of str
        The layers that read them.
    """

    name: str
    size: int
    producers: tuple[str, ...]
    normalizations: tuple[str, ...]
    consumers: tuple[str, ...]


def channel_groups(network: Network) -> tuple[ChannelGroup, ...]:
    """Return all groups of channels that may be removed, in the order of their first layers.

    Parameters
    ----------
    network : Network
        The network.

    Returns
    -------
    tuple of ChannelGroup
        Without those of the images and of the logits, which have to stay.

    Examples
    --------
    >>> from overparam.networks.architectures import resnet_20
    >>> group = channel_groups(resnet_20(4))[0]
    >>> group.name, group.size, group.producers[1]
    ('stem.conv', 4, 'stage1.block1.second.conv')
    """
    order = {node.name: index for index, node in enumerate(network.nodes)}
    tied = {INPUT: INPUT}  # from each node to the source of its channels

    def root(name: str) -> str:
        while tied[name] != name:
            name = tied[name]
        return name

    for node in network.nodes:
        if node in network.layers:
            tied[node.name] = node.name
            continue
        sources = sorted({root(name) for name in node.inputs}, key=lambda s: order.get(s, -1))
        tied[node.name] = sources[0]
        for source in sources[1:]:
            tied[source] = sources[0]

    def members(kind: str, source: str) -> tuple[str, ...]:
        return tuple(
            node.name
            for node in network.nodes
            if (node in network.layers) == (kind != "normalization")
            and (kind != "normalization" or node.kind == kind)
            and root(node.inputs[0] if kind == "consumer" else node.name) == source
        )

    fixed = {root(INPUT), root(network.nodes[-1].name)}
    return tuple(
        ChannelGroup(
            layer.name,
            layer.units,
            members("producer", layer.name),
            members("normalization", layer.name),
            members("consumer", layer.name),
        )
        for layer in network.layers
        if root(layer.name) == layer.name and layer.name not in fixed
    )


def filter_masks(
    network: Network,
    parameters: Parameters,
    scores: Mapping[str, jax.Array],
    keep: float,
    scope: Scope = "global",
) -> Masks:
    """Keep the channels with the highest scores.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    scores : mapping from the names of channel groups to jax.Array of shape (size,)
        A finite number for every channel.
    keep : float
        Fraction of the channels to keep, in (0, 1].
    scope : str, default "global"
        ``"global"`` compares all channels, ``"layer"`` those of each group. Ties are broken by
        position.

    Returns
    -------
    dict
        Masks, see `channel_masks`.

    Raises
    ------
    ValueError
        If the scores do not match the groups or are not finite, `keep` is out of range, or a
        layer would lose its last filter.
    """
    sizes = {group.name: (group.size,) for group in channel_groups(network)}
    arrays = check_scores(scores, sizes)
    if scope == "layer":
        kept = {name: highest(array, keep) for name, array in arrays.items()}
    elif scope == "global":
        flat = np.concatenate(list(arrays.values()))
        chosen = highest(flat, keep)
        ends = np.cumsum([array.size for array in arrays.values()])[:-1]
        kept = dict(zip(arrays, np.split(chosen, ends), strict=True))
    else:
        advice = "Pass one of these."
        raise reject("scope", scope, "must be 'global' or 'layer' for filters", advice)
    return channel_masks(network, parameters, kept)


def channel_masks(
    network: Network, parameters: Parameters, kept: Mapping[str, NDArray[np.bool_]]
) -> Masks:
    """Return masks that take channels out, with everything that belongs to them.

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
    dict
        Masks: zero for the filters and biases that make a channel, for its scale and offset in
        normalizations, and for the weights that read it.

    Raises
    ------
    ValueError
        If a name or shape is wrong, or no channel of a group stays.
    """
    masks = {
        name: {leaf: np.ones(array.shape, np.float32) for leaf, array in leaves.items()}
        for name, leaves in parameters.items()
    }
    for group, stay in checked(network, kept):
        for name in group.producers:
            for leaf in masks[name].values():
                leaf[..., ~stay] = 0
        for name in group.normalizations:
            masks[name]["scale"][~stay] = 0
            masks[name]["offset"][~stay] = 0
        for name in group.consumers:
            weight = masks[name]["weight"]
            # After a flattening, the channels repeat at every position.
            weight[..., ~np.tile(stay, weight.shape[-2] // group.size), :] = 0
    return jax.tree.map(jnp.asarray, masks)


def checked(
    network: Network, kept: Mapping[str, NDArray[np.bool_]]
) -> list[tuple[ChannelGroup, NDArray[np.bool_]]]:
    """Return each group with the channels that stay, or refuse them.

    Parameters
    ----------
    network : Network
        The network.
    kept : mapping from the names of channel groups to ndarray of bool, shape (size,)
        Which channels stay.

    Returns
    -------
    list of tuple
        Groups and channels.

    Raises
    ------
    ValueError
        If a name or shape is wrong, or no channel of a group stays.
    """
    groups = {group.name: group for group in channel_groups(network)}
    pairs = []
    for name, values in kept.items():
        if name not in groups:
            rule = f"must name channel groups ({', '.join(groups)})"
            raise reject("kept", name, rule, "Use channel_groups to list them.")
        stay = np.asarray(values, bool)
        if stay.shape != (groups[name].size,):
            rule = f"must have the shape ({groups[name].size},)"
            raise reject(f"kept[{name!r}]", stay.shape, rule, "Pass a bool for each channel.")
        if not stay.any():
            advice = "Keep at least one filter of this layer, or more of all."
            raise reject(f"kept[{name!r}]", "empty", "would lose its last filter", advice)
        pairs.append((groups[name], stay))
    return pairs
