r"""First-order scores of single weights.

With :math:`g_m` the gradient of the loss of sample m with respect to a weight w, three averages of
the same products :math:`g_m w`: Taylor takes the mean of their absolute values, Fisher half the
mean of their squares, SNIP the absolute value of their mean. At a minimum of the training loss the
last one is zero for every weight; the other two are not, since they average after the sign is gone.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from overparam.networks.checks import check_samples
from overparam.networks.criteria.passes import gradient_sum, linearize, sum_over
from overparam.networks.data import Samples
from overparam.networks.masks import Scores, weights
from overparam.networks.network import Network, Parameters


def _average(
    moment: Callable[[jax.Array], jax.Array] | None,
    network: Network,
    parameters: Parameters,
    samples: Samples | None,
) -> Scores:
    checked = check_samples(network, samples)
    sums = sum_over(partial(_gradient_sums, moment), network, parameters, checked)
    return {
        name: sums[name].reshape(array.shape) / len(checked.labels)
        for name, array in weights(parameters).items()
    }


@partial(jax.jit, static_argnums=(0, 1))
def _gradient_sums(
    moment: Callable[[jax.Array], jax.Array] | None,
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    labels: jax.Array,
) -> Scores:
    probabilities, pull, rows = linearize(network, parameters, inputs)
    deltas = pull(probabilities - jax.nn.one_hot(labels, probabilities.shape[1]))
    if moment is None:
        return {name: jnp.einsum("bpd,bpu->du", rows[name], deltas[name]) for name in rows}
    return {name: gradient_sum(moment, rows[name], deltas[name]) for name in rows}


def snip(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    r"""Score by the connection sensitivity, :math:`|w\,\partial L/\partial w|`, over its sum.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters; in the original at initialization, before any training.
    samples : Samples
        One batch.
    key : optional
        Not used.

    Returns
    -------
    dict
        From layers to scores.

    References
    ----------
    .. [1] N. Lee, T. Ajanthan, P. Torr, "SNIP: single-shot network pruning based on connection
       sensitivity", ICLR 2019.
    """
    del key
    mean = _average(None, network, parameters, samples)
    scores = {name: jnp.abs(mean[name] * array) for name, array in weights(parameters).items()}
    total = sum(array.sum() for array in scores.values())
    # Without any gradient all connections are alike, and stay alike.
    return {name: array / jnp.where(total > 0, total, 1) for name, array in scores.items()}


def taylor(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    r"""Score by the mean over samples of :math:`|g_m w|`, a first-order change of their losses.

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
        From layers to scores.

    References
    ----------
    .. [1] P. Molchanov, A. Mallya, S. Tyree, I. Frosio, J. Kautz, "Importance estimation for
       neural network pruning", CVPR 2019, has squares instead; with squares before averaging this
       is twice the Fisher score.
    """
    del key
    mean = _average(jnp.abs, network, parameters, samples)
    return {name: mean[name] * jnp.abs(array) for name, array in weights(parameters).items()}


def fisher(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    r"""Score by :math:`\frac12 w^2` times the mean over samples of :math:`g_m^2`.

    Optimal brain damage, with the diagonal of the empirical Fisher matrix for that of the Hessian.

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
        From layers to scores.

    References
    ----------
    .. [1] L. Theis, I. Korshunova, A. Tejani, F. Huszar, "Faster gaze prediction with dense
       networks and Fisher pruning", arXiv:1801.05787.
    """
    del key
    mean = _average(jnp.square, network, parameters, samples)
    return {name: mean[name] * array**2 / 2 for name, array in weights(parameters).items()}
