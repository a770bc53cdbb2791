"""Scores of single weights that look at no gradient: random, magnitude, Wanda."""

import jax
import jax.numpy as jnp

from overparam.networks.checks import check_key, check_samples
from overparam.networks.criteria.passes import second_moments, sum_over
from overparam.networks.data import Samples
from overparam.networks.masks import Scores, weights
from overparam.networks.network import Network, Parameters


def random_scores(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,  # noqa: ARG001 - every criterion has the same arguments
    key: jax.Array | None = None,
) -> Scores:
    """Score by uniform numbers: what any other criterion has to beat.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples, optional
        Not used.
    key : jax.Array
        Random key; each layer takes its own.

    Returns
    -------
    dict
        From layers to scores in (0, 1).
    """
    del network
    root = check_key(key)
    arrays = weights(parameters)
    return {
        name: jax.random.uniform(jax.random.fold_in(root, index), array.shape)
        for index, (name, array) in enumerate(arrays.items())
    }


def magnitude(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score by absolute value.

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
        From layers to scores.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. Dally, "Learning both weights and connections for
       efficient neural network", NeurIPS 2015.
    """
    del network, samples, key
    return {name: jnp.abs(array) for name, array in weights(parameters).items()}


def wanda(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    r"""Score by absolute value times the norm of the input: :math:`|w_{ij}| \lVert x_i \rVert`.

    To be ranked among the weights into one output. Half its square over the number of samples is
    what removing the weight adds to the squared error of the layer's output.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images; for a convolution, the norm goes over samples and positions.
    key : optional
        Not used.

    Returns
    -------
    dict
        From layers to scores.

    References
    ----------
    .. [1] M. Sun, Z. Liu, A. Bair, J. Z. Kolter, "A simple and effective pruning approach for
       large language models", ICLR 2024.
    """
    del key
    moments = sum_over(second_moments, network, parameters, check_samples(network, samples))
    return {
        name: jnp.abs(array) * jnp.sqrt(jnp.diag(moments[name])).reshape(*array.shape[:-1], 1)
        for name, array in weights(parameters).items()
    }
