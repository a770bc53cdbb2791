"""PFP: one error level for all layers decides how many filters each keeps, and they are removed.

The scores are those of `overparam.networks.channel_sensitivity`, the guarantee behind a level that
of `overparam.networks.channel_sampling`.
"""

from collections.abc import Callable, Mapping
from math import exp, log
from typing import NamedTuple, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam._validation import generator, real_array, reject
from overparam.networks.channel_sampling import (
    ChannelDraw,
    Luck,
    Variant,
    choose_channels,
    draws_per_sensitivity,
)
from overparam.networks.channel_sensitivity import sums
from overparam.networks.channels import ChannelGroup, channel_groups
from overparam.networks.masks import check_scores
from overparam.networks.network import Network, Parameters
from overparam.networks.removal import remove_channels

Array: TypeAlias = NDArray[np.float64]
Kept: TypeAlias = dict[str, NDArray[np.bool_]]

LEVELS = (1e-6, 1e9)
"""Error levels between which the search looks: all channels, and one draw in every layer."""

_STEPS = 60  # halvings of the interval of log levels


class PrunedChannels(NamedTuple):
    """A smaller network, and how it was found.

    Attributes
    ----------
    network : Network
        With fewer filters.
    parameters : dict
        Its parameters.
    kept : dict
        From the names of channel groups of the given network to which channels stayed.
    factors : dict
        From the same names to what the weights that read them were multiplied by.
    draws : dict
        From the same names to the sample sizes.
    level : float
        The error level.
    """

    network: Network
    parameters: Parameters
    kept: Kept
    factors: dict[str, Array]
    draws: dict[str, int]
    level: float


def prune_channels(
    network: Network,
    parameters: Parameters,
    sensitivities: Mapping[str, Array],
    keep: float,
    variant: Variant = "deterministic",
    *,
    rng: np.random.Generator | None = None,
    failure: float = 0.01,
    spread: float = 3.0,
) -> PrunedChannels:
    """Find the one error level at which the network has the wanted size, and remove filters.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    sensitivities : mapping from the names of channel groups to array of shape (size,)
        From `channel_sensitivities`, computed once for all sizes.
    keep : float
        Size, in trainable parameters, as a fraction of the given network's, in (0, 1].
    variant : str, default "deterministic"
        See `choose_channels`.
    rng : numpy.random.Generator, optional
        Required unless deterministic.
    failure, spread : float, optional
        See `draws_per_sensitivity`; they do not change much, since the level adapts.

    Returns
    -------
    PrunedChannels
        Of the sizes that whole filters allow, the nearest to the wanted one that was met in 60
        bisections. A channel without any share goes even for ``keep=1``.

    Raises
    ------
    ValueError
        If a layer would lose its last filter, because no image gives it a share or because `keep`
        is less than one filter in each layer needs; or another argument is not as described.

    Examples
    --------
    >>> from overparam.networks.architectures import dense_network
    >>> from overparam.networks.network import initialize
    >>> network = dense_network([40, 40])
    >>> parameters = initialize(network, jax.random.key(0))
    >>> images = jax.random.normal(jax.random.key(1), (20, 28, 28, 1))
    >>> from overparam.networks.channel_sensitivity import channel_sensitivities
    >>> sensitivities = channel_sensitivities(network, parameters, images)
    >>> network, prune_channels(network, parameters, sensitivities, 0.5).network
    (Network(6 nodes, 33,450 parameters), Network(6 nodes, 16,943 parameters))
    """
    if variant not in ("deterministic", "sampled", "mixed"):
        rule = "must be 'deterministic', 'sampled' or 'mixed'"
        raise reject("variant", variant, rule, "Pass one of these.")
    scores = _check(network, sensitivities)
    luck: dict[str, Luck | None] = dict.fromkeys(scores)
    if variant != "deterministic":
        rng = generator(rng)
        luck = {name: Luck.draw(rng, values.size) for name, values in scores.items()}
    numbers = sums(network)

    def choices(log_level: float) -> dict[str, ChannelDraw]:
        return {
            name: choose_channels(
                values,
                draws_per_sensitivity(exp(log_level), numbers[name], failure, spread),
                variant,
                luck[name],
            )
            for name, values in scores.items()
        }

    def kept_at(log_level: float) -> Kept:
        return {name: choice.factors > 0 for name, choice in choices(log_level).items()}

    log_level = nearest_size(network, kept_at, keep, (log(LEVELS[0]), log(LEVELS[1])))
    found = choices(log_level)
    factors = {name: choice.factors for name, choice in found.items()}
    kept = {name: array > 0 for name, array in factors.items()}
    rescaled = rescale_channels(network, parameters, factors)
    return PrunedChannels(
        *remove_channels(network, rescaled, kept),
        kept,
        factors,
        {name: choice.draws for name, choice in found.items()},
        exp(log_level),
    )


def _check(network: Network, sensitivities: Mapping[str, Array]) -> dict[str, Array]:
    groups = channel_groups(network)
    unchecked = cast("Mapping[str, jax.Array]", sensitivities)
    arrays = check_scores(unchecked, {group.name: (group.size,) for group in groups})
    scores = {group.name: np.asarray(arrays[group.name], float) for group in groups}
    for name, values in scores.items():
        if values.min() < 0:
            advice = "Use channel_sensitivities."
            raise reject(f"sensitivities[{name!r}]", float(values.min()), "must be >= 0", advice)
        if not values.any():
            rule = "must not all be zero, or the layer would lose its last filter"
            advice = "Pass images on which some channel is positive, or train the network."
            raise reject(f"sensitivities[{name!r}]", "zero", rule, advice)
    return scores


def rescale_channels(
    network: Network, parameters: Parameters, factors: Mapping[str, Array]
) -> Parameters:
    """Multiply the weights that read a channel by its factor.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    factors : mapping from the names of channel groups to array of shape (size,)
        Zero where a channel goes.

    Returns
    -------
    dict
        A new tree.
    """
    scaled = {name: dict(leaves) for name, leaves in parameters.items()}
    for group in channel_groups(network):
        for name in group.consumers:
            scaled[name]["weight"] = _scaled(group, scaled[name]["weight"], factors[group.name])
    return scaled


def _scaled(group: ChannelGroup, weight: jax.Array, factors: Array) -> jax.Array:
    # After a flattening, the channels repeat at every position.
    repeated = np.tile(factors, weight.shape[-2] // group.size)
    return weight * jnp.asarray(repeated, weight.dtype)[:, None]


def nearest_size(
    network: Network, kept_at: Callable[[float], Kept], keep: float, bounds: tuple[float, float]
) -> float:
    """Find where a falling family of channels gives a network of the wanted size.

    Parameters
    ----------
    network : Network
        The network.
    kept_at : callable
        From a number to the channels that stay: fewer, at least by and large, at a higher number.
    keep : float
        Wanted number of trainable parameters, as a fraction of the given network's, in (0, 1].
    bounds : tuple of float
        Where to look.

    Returns
    -------
    float
        Of all numbers that bisection has tried, the one with the nearest size.

    Raises
    ------
    ValueError
        If `keep` is out of range or, by more than half a per cent, less than the upper bound has.
    """
    share = float(real_array("keep", keep, (0,)))
    if not 0 < share <= 1:
        raise reject("keep", keep, "must be in (0, 1]", "Pass the fraction of parameters to keep.")
    target = share * network.parameter_count
    groups = channel_groups(network)

    def size(number: float) -> int:
        return _size(network, groups, kept_at(number))

    low, high = bounds
    tried = {number: size(number) for number in bounds}
    if target * 1.005 < tried[high]:
        least = tried[high] / network.parameter_count
        rule = (
            f"must be at least {least:.4g} here, or {groups[0].name!r} would lose its last filter"
        )
        raise reject("keep", keep, rule, "Keep more, or start from a wider network.")
    for _ in range(_STEPS):
        middle = (low + high) / 2
        tried[middle] = size(middle)
        low, high = (low, middle) if tried[middle] < target else (middle, high)
    return min(tried, key=lambda number: abs(tried[number] - target))


def _size(network: Network, groups: tuple[ChannelGroup, ...], kept: Kept) -> int:
    """Trainable parameters of what `remove_channels` would return."""
    left = {}
    for group in groups:
        left.update(dict.fromkeys(group.producers + group.normalizations, group))
    shares = {group.name: float(kept[group.name].mean()) for group in groups}
    readers = {name: group for group in groups for name in group.consumers}
    total = 0.0
    for name, leaves in network.parameter_shapes.items():
        made = shares[left[name].name] if name in left else 1.0
        read = shares[readers[name].name] if name in readers else 1.0
        for leaf, shape in leaves.items():
            if leaf not in {"mean", "variance"}:
                total += float(np.prod(shape)) * made * (read if leaf == "weight" else 1.0)
    return round(total)
