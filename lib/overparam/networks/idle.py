"""Weights that pruning leaves without effect, and pruning to a size that does not count them.

A weight into a unit whose outgoing weights are all gone changes no output; neither does anything
that belongs to a unit whose rectifier never opens. Such weights have a gradient of exactly zero on
every image, and that is how they are found, as in the code of SiPP's authors. Criteria cannot see
them, since they score weights before any other is gone; at small sizes a large share of what they
keep is idle.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from overparam._validation import nonnegative_number
from overparam.networks.checks import check_parameters, check_samples
from overparam.networks.data import Samples
from overparam.networks.masks import apply_masks, weights
from overparam.networks.network import Network, Parameters
from overparam.networks.sipp import Pruned
from overparam.networks.size_search import TOLERANCE, search_size
from overparam.networks.training import Masks, check_structure, loss
from overparam.pruning import kept_count

_CHUNK = 64  # images of which activations exist at a time


def live_masks(network: Network, parameters: Parameters, masks: Masks, samples: Samples) -> Masks:
    """Mask what is idle after pruning, besides what is masked already.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    masks : dict
        Zeros and ones in the structure of the parameters.
    samples : Samples
        Images and classes; a weight is idle if the loss of none of them depends on it, to first
        order.

    Returns
    -------
    dict
        Masks that keep no more than the given ones.

    Raises
    ------
    ValueError
        If parameters, masks or samples do not match the network.

    Notes
    -----
    Without a weight that has no path to the output, all outputs stay as they are; without a unit
    whose rectifier never opens, those on these images do. There is a third kind, rare with a
    hundred images: a weight whose unit is closed on every image on which its input is positive. It
    may be the weight that keeps it closed, and then outputs change.

    Examples
    --------
    The first of two hidden units has lost its only outgoing weight:

    >>> from overparam.networks.architectures import dense_network
    >>> network = dense_network([2], classes=2, input_shape=(1, 1, 1))
    >>> out = jnp.array([[0.0, 0.0], [1.0, -1.0]])
    >>> parameters = {
    ...     "dense1": {"weight": jnp.ones((1, 2)), "bias": jnp.zeros(2)},
    ...     "output": {"weight": out, "bias": jnp.zeros(2)},
    ... }
    >>> masks = jax.tree.map(jnp.ones_like, parameters)
    >>> masks["output"]["weight"] = jnp.abs(out)
    >>> samples = Samples(jnp.ones((1, 1, 1, 1)), jnp.zeros(1, int))
    >>> live_masks(network, parameters, masks, samples)["dense1"]["weight"]
    Array([[0., 1.]], dtype=float32)
    """
    check_parameters(network, parameters)
    check_structure("masks", masks, parameters)
    checked = check_samples(network, samples)
    pruned = apply_masks(parameters, masks)
    effect = jax.tree.map(jnp.zeros_like, parameters)
    for start in range(0, len(checked.labels), _CHUNK):
        part = checked.take(slice(start, start + _CHUNK))
        found = _gradient(network, pruned, Samples(*map(jnp.asarray, part)))  # type: ignore[arg-type]
        effect = jax.tree.map(lambda total, new: total + jnp.abs(new), effect, found)
    live = jax.tree.map(lambda mask, size: mask * (size > 0), masks, effect)
    return {
        name: {
            leaf: masks[name][leaf] if leaf in {"mean", "variance"} else array
            for leaf, array in leaves.items()
        }
        for name, leaves in live.items()
    }


@partial(jax.jit, static_argnums=0)
def _gradient(network: Network, parameters: Parameters, samples: Samples) -> Parameters:
    return jax.grad(partial(loss, network))(parameters, samples)


class Live(NamedTuple):
    """A pruned network without idle weights.

    Attributes
    ----------
    parameters : dict
        With zeros for what was pruned and for what is idle.
    masks : dict
        Zeros and ones in the structure of the parameters.
    pruned : Pruned
        Before idle weights went: what the method kept, more than was asked for.
    """

    parameters: Parameters
    masks: Masks
    pruned: Pruned


def prune_to_live_size(
    network: Network,
    samples: Samples,
    keep: float,
    prune: Callable[[float], Pruned],
    tolerance: float = TOLERANCE,
) -> Live:
    """Search the size to ask a method for such that what is *not idle* has the wanted size.

    Parameters
    ----------
    network : Network
        The network.
    samples : Samples
        See `live_masks`.
    keep : float
        Fraction of the weights that are to be kept and not idle, in (0, 1].
    prune : callable
        ``prune(fraction)`` keeps that fraction of the weights by some method.
    tolerance : float, default 0.005
        How far the number of live weights may be from the target, relative to it.

    Returns
    -------
    Live
        The pruned network; the whole one without its idle weights if it has fewer live weights
        than wanted. With the last path of a unit all of its weights become idle at once; in small
        networks sizes may jump over the tolerance, and the nearest one that was met is returned.

    Raises
    ------
    ValueError
        If an argument is out of range, or the method refuses a size.

    Examples
    --------
    >>> from overparam.networks.architectures import dense_network
    >>> from overparam.networks.masks import density, weights
    >>> from overparam.networks.network import initialize
    >>> from overparam.networks.sipp import sipp_deterministic
    >>> network = dense_network([40, 40])
    >>> parameters = initialize(network, jax.random.key(0))
    >>> images = jax.random.normal(jax.random.key(1), (20, 28, 28, 1))
    >>> samples = Samples(images, jnp.arange(20) % 10)
    >>> by_size = partial(sipp_deterministic, network, parameters, weights(parameters))
    >>> found = prune_to_live_size(network, samples, 0.01, by_size)
    >>> density(found.pruned.masks) > density(found.masks)
    True
    >>> abs(density(found.masks) - 0.01) < 1e-4
    True
    """
    shapes = [network.parameter_shapes[layer.name]["weight"] for layer in network.layers]
    target = int(kept_count(keep, sum(math.prod(shape) for shape in shapes)))
    allowed = max(0.5, nonnegative_number("tolerance", tolerance) * target)

    @cache
    def attempt(fraction: float) -> tuple[int, Live]:
        made = prune(fraction)
        masks = live_masks(network, made.parameters, made.masks, samples)
        live = Live(apply_masks(made.parameters, masks), masks, made)
        return round(float(sum(mask.sum() for mask in weights(masks).values()))), live

    low, high = 0.0, float(keep)
    size, live = attempt(high)
    while size < target - allowed and high < 1:
        # As if the idle share stayed as it is. It falls, so this is enough unless sampling errs.
        low, high = high, min(1.0, 1.01 * high * target / max(size, 1))
        size, live = attempt(high)
    if size <= target + allowed:
        return live
    return search_size(attempt, target, low, high, tolerance, 20, nearest=True).outcome
