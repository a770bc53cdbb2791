r"""ThiNet: remove the channels that the next layer misses least.

Channel c contributes :math:`\hat x_{ic}` to output i of the next layer, and the output is the sum
over c. Removing a set T changes it by the sum over T, whose squared norm over all samples,
positions and outputs is the sum of the entries of :math:`K_{TT}`, with
:math:`K = \hat X^\top \hat X`. K needs no pass of its own: with P'P the second moments of the
layer's inputs and W its weights, it is the entrywise product of P'P and WW', summed over the
positions inside the kernel.
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam.networks.channels import channel_groups
from overparam.networks.checks import check_samples
from overparam.networks.criteria.passes import second_moments, sum_over
from overparam.networks.data import Samples
from overparam.networks.masks import Scores
from overparam.networks.network import Network, Parameters
from overparam.networks.training import Masks


def contribution_moments(
    network: Network, parameters: Parameters, samples: Samples | None
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return K of every group, for each layer that reads it.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images.

    Returns
    -------
    dict
        ``{group: {consumer: (channels, channels)}}``, means over samples.
    """
    checked = check_samples(network, samples)
    moments = sum_over(second_moments, network, parameters, checked)
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for group in channel_groups(network):
        found[group.name] = {}
        for name in group.consumers:
            array = np.asarray(parameters[name]["weight"], np.float64)
            matrix = array.reshape(-1, array.shape[-1])
            products = np.asarray(moments[name], np.float64) * (matrix @ matrix.T)
            # Rows are (position in the kernel or before flattening, channel).
            blocks = products.reshape(-1, group.size, len(matrix) // group.size, group.size)
            found[group.name][name] = blocks.sum(axis=(0, 2)) / len(checked.labels)
    return found


def greedy_removal(moments: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return channels in the order in which a greedily growing set removes them.

    Parameters
    ----------
    moments : ndarray of shape (channels, channels)
        K.

    Returns
    -------
    ndarray of int
        The first one to be removed first.

    Examples
    --------
    >>> greedy_removal(np.diag([3.0, 1.0, 2.0]))
    array([1, 2, 0])
    """
    overlap = np.zeros(len(moments))  # of each channel with the sum of those removed
    left = np.ones(len(moments), bool)
    order = []
    while left.any():
        added = np.diag(moments) + 2 * overlap  # what removing one more adds to the squared norm
        chosen = int(np.argmin(np.where(left, added, np.inf)))
        order.append(chosen)
        left[chosen] = False
        overlap += moments[chosen]
    return np.array(order)


def thinet(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score channels by the step in which the greedy removal takes them, first 0.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images.
    key : optional
        Not used.

    Returns
    -------
    dict
        From channel groups to scores in [0, 1): the channel removed first has the lowest.

    References
    ----------
    .. [1] J.-H. Luo, J. Wu, W. Lin, "ThiNet: a filter level pruning method for deep neural network
       compression", ICCV 2017.
    """
    del key
    scores = {}
    for name, moments in contribution_moments(network, parameters, samples).items():
        order = greedy_removal(np.sum(list(moments.values()), axis=0))
        rank = np.empty(order.size)
        rank[order] = np.arange(order.size) / order.size  # not the order itself: its inverse
        scores[name] = jnp.asarray(rank)
    return scores


def thinet_update(
    network: Network, parameters: Parameters, masks: Masks, samples: Samples
) -> Parameters:
    """Scale the kept channels, for each layer that reads them, to restore its outputs best.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters before pruning.
    masks : dict
        Made by `channel_masks`.
    samples : Samples
        Images.

    Returns
    -------
    dict
        New parameters, zero where the masks are.
    """
    scaled = {name: dict(leaves) for name, leaves in parameters.items()}
    groups = {group.name: group for group in channel_groups(network)}
    for name, found in contribution_moments(network, parameters, samples).items():
        stay = np.asarray(masks[name]["weight"]).reshape(-1, groups[name].size).any(axis=0)
        for consumer, moments in found.items():
            factors = np.zeros(stay.size)
            target = moments[stay].sum(axis=1)
            factors[stay] = np.linalg.lstsq(moments[np.ix_(stay, stay)], target, rcond=None)[0]
            weight = scaled[consumer]["weight"]
            repeated = np.tile(factors, weight.shape[-2] // stay.size)[:, None]
            scaled[consumer]["weight"] = weight * jnp.asarray(repeated, weight.dtype)
    return jax.tree.map(jnp.multiply, scaled, masks)
