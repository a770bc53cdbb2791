"""Scores of channels by what they do on data: zeros, means, and first-order changes of the loss."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from overparam._validation import reject
from overparam.networks.channels import ChannelGroup, channel_groups
from overparam.networks.checks import check_samples
from overparam.networks.criteria.passes import channel_contributions, sum_over
from overparam.networks.data import Samples
from overparam.networks.masks import Scores
from overparam.networks.network import Network, Parameters, activations


def apoz(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score a channel by minus its average percentage of zeros after the rectifier, as a share.

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
        From channel groups to scores in [-1, 0].

    Raises
    ------
    ValueError
        If no rectifier follows a group: without exact zeros the criterion says nothing.

    References
    ----------
    .. [1] H. Hu, R. Peng, Y.-W. Tai, C.-K. Tang, "Network trimming", arXiv:1607.03250.
    """
    del key
    found = _map_means(network, parameters, samples)
    return {name: -values[0] for name, values in found.items()}


def activation_mean(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score a channel by its mean value after the rectifier.

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
        From channel groups to scores.

    Raises
    ------
    ValueError
        If no rectifier follows a group.
    """
    del key
    found = _map_means(network, parameters, samples)
    return {name: values[1] for name, values in found.items()}


def channel_taylor(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score by the mean over samples of the absolute first-order change of their losses, 2017.

    The change is the sum over positions of activation times gradient; scores are normalized to
    Euclidean norm 1 in every group.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images and classes.
    key : optional
        Not used.

    Returns
    -------
    dict
        From channel groups to scores.

    References
    ----------
    .. [1] P. Molchanov, S. Tyree, T. Karras, T. Aila, J. Kautz, "Pruning convolutional neural
       networks for resource efficient inference", ICLR 2017.
    """
    del key
    means = _contribution_means(network, parameters, samples, normalized=True)
    return {
        name: first / jnp.maximum(jnp.linalg.norm(first), np.finfo(np.float32).tiny)
        for name, (first, _) in means.items()
    }


def filter_taylor(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score by the mean over samples of the square of the summed weight times gradient, 2019.

    The sum goes over the weights and bias of the filter.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images and classes.
    key : optional
        Not used.

    Returns
    -------
    dict
        From channel groups to scores.

    References
    ----------
    .. [1] P. Molchanov, A. Mallya, S. Tyree, I. Frosio, J. Kautz, "Importance estimation for
       neural network pruning", CVPR 2019.
    """
    del key
    means = _contribution_means(network, parameters, samples, normalized=False)
    return {name: second for name, (_, second) in means.items()}


def channel_fisher(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score by half the mean over samples of the squared first-order change of their losses.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images and classes.
    key : optional
        Not used.

    Returns
    -------
    dict
        From channel groups to scores.

    References
    ----------
    .. [1] L. Theis, I. Korshunova, A. Tejani, F. Huszar, "Faster gaze prediction with dense
       networks and Fisher pruning", arXiv:1801.05787.
    """
    del key
    means = _contribution_means(network, parameters, samples, normalized=True)
    return {name: second / 2 for name, (_, second) in means.items()}


def _contribution_means(
    network: Network, parameters: Parameters, samples: Samples | None, *, normalized: bool
) -> dict[str, tuple[jax.Array, jax.Array]]:
    checked = check_samples(network, samples)
    sums = sum_over(partial(_contribution_sums, normalized), network, parameters, checked)
    return {
        name: (first / len(checked.labels), second / len(checked.labels))
        for name, (first, second) in sums.items()
    }


@partial(jax.jit, static_argnums=(0, 1))
def _contribution_sums(
    normalized: bool,  # noqa: FBT001 - static arguments of jax.jit are positional
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    labels: jax.Array,
) -> dict[str, tuple[jax.Array, jax.Array]]:
    found = channel_contributions(network, parameters, inputs, labels, normalized=normalized)
    return {
        name: (jnp.abs(array).sum(axis=0), jnp.square(array).sum(axis=0))
        for name, array in found.items()
    }


def rectified(network: Network, group: ChannelGroup) -> tuple[str, ...]:
    """Return the rectifiers that pass the channels of a group on.

    Parameters
    ----------
    network : Network
        The network.
    group : ChannelGroup
        One of its groups.

    Returns
    -------
    tuple of str
        Names of the nodes.

    Raises
    ------
    ValueError
        If there is none.
    """
    carriers = set(group.producers)
    for node in network.nodes:
        passes = node.kind in {"normalization", "relu", "max_pool", "add"}
        if passes and carriers.intersection(node.inputs):
            carriers.add(node.name)
    names = tuple(n.name for n in network.nodes if n.kind == "relu" and n.name in carriers)
    if not names:
        rule = f"must rectify the channels of {group.name!r} for this criterion"
        raise reject("network", network, rule, "Use a criterion that does not count zeros.")
    return names


def _map_means(
    network: Network, parameters: Parameters, samples: Samples | None
) -> dict[str, tuple[jax.Array, jax.Array]]:
    checked = check_samples(network, samples)
    for group in channel_groups(network):
        rectified(network, group)
    sums = sum_over(_map_sums, network, parameters, checked)
    return {
        name: (zeros / len(checked.labels), values / len(checked.labels))
        for name, (zeros, values) in sums.items()
    }


@partial(jax.jit, static_argnums=0)
def _map_sums(
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    labels: jax.Array,  # noqa: ARG001 - every pass has the same arguments
) -> dict[str, tuple[jax.Array, jax.Array]]:
    outputs = activations(network, parameters, inputs)
    sums = {}
    for group in channel_groups(network):
        maps = [outputs[name] for name in rectified(network, group)]
        axes = tuple(range(1, maps[0].ndim - 1))
        zeros = jnp.stack([(array == 0).mean(axis=axes).sum(axis=0) for array in maps])
        values = jnp.stack([array.mean(axis=axes).sum(axis=0) for array in maps])
        sums[group.name] = (zeros.mean(axis=0), values.mean(axis=0))
    return sums
