"""Scores of whole filters by their weights: norms, the geometric median, normalization scales.

A score belongs to a channel group, the channels that can only be removed together. Where several
layers make a channel, their filters count together.
"""

import jax
import jax.numpy as jnp

from overparam._validation import reject
from overparam.networks.channels import ChannelGroup, channel_groups
from overparam.networks.checks import check_key
from overparam.networks.data import Samples
from overparam.networks.masks import Scores
from overparam.networks.network import Network, Parameters


def filter_random(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,  # noqa: ARG001 - every criterion has the same arguments
    key: jax.Array | None = None,
) -> Scores:
    """Score filters by uniform numbers.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : optional
        Not used.
    key : jax.Array
        Random key; each group takes its own.

    Returns
    -------
    dict
        From channel groups to scores in (0, 1).
    """
    del parameters
    root = check_key(key)
    return {
        group.name: jax.random.uniform(jax.random.fold_in(root, index), (group.size,))
        for index, group in enumerate(channel_groups(network))
    }


def filter_norm(
    order: int,
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score filters by the norm of their weights.

    Parameters
    ----------
    order : int
        1 for the sum of absolute values, 2 for the root of the sum of squares.
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples, key : optional
        Not used.

    Returns
    -------
    dict
        From channel groups to scores.

    References
    ----------
    .. [1] H. Li, A. Kadav, I. Durdanovic, H. Samet, H. P. Graf, "Pruning filters for efficient
       ConvNets", ICLR 2017.
    """
    del samples, key
    return {
        group.name: jnp.linalg.norm(_filters(parameters, group), ord=order, axis=0)
        for group in channel_groups(network)
    }


def geometric_median(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score a filter by the sum of its distances to the other filters of its group.

    The lowest score is nearest to the geometric median: the others can best replace it.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples, key : optional
        Not used.

    Returns
    -------
    dict
        From channel groups to scores.

    References
    ----------
    .. [1] Y. He, P. Liu, Z. Wang, Z. Hu, Y. Yang, "Filter pruning via geometric median for deep
       convolutional neural networks acceleration", CVPR 2019.
    """
    del samples, key
    scores = {}
    for group in channel_groups(network):
        filters = _filters(parameters, group).T
        distances = jax.lax.map(lambda one, f=filters: jnp.linalg.norm(f - one, axis=1), filters)
        scores[group.name] = distances.sum(axis=0)
    return scores


def normalization_scale(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score a channel by the absolute scale of its normalization, summed over all that it passes.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters, best trained with a penalty on the sum of the absolute scales.
    samples, key : optional
        Not used.

    Returns
    -------
    dict
        From channel groups to scores.

    Raises
    ------
    ValueError
        If a group passes no normalization.

    References
    ----------
    .. [1] Z. Liu, J. Li, Z. Shen, G. Huang, S. Yan, C. Zhang, "Learning efficient convolutional
       networks through network slimming", ICCV 2017.
    """
    del samples, key
    scores = {}
    for group in channel_groups(network):
        if not group.normalizations:
            rule = f"must normalize the channels of {group.name!r} for this criterion"
            raise reject("network", network, rule, "Use 'filter-l1', or a normalized network.")
        scales = [jnp.abs(parameters[name]["scale"]) for name in group.normalizations]
        scores[group.name] = jnp.stack(scales).sum(axis=0)
    return scores


def _filters(parameters: Parameters, group: ChannelGroup) -> jax.Array:
    """All weights that make the channels, one column a channel."""
    arrays = [parameters[name]["weight"].reshape(-1, group.size) for name in group.producers]
    return jnp.concatenate(arrays)
