"""Second-order criteria: optimal brain damage, optimal brain surgeon, and its layer-wise form."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam.networks.checks import check_samples
from overparam.networks.criteria.curvature import (
    exact_hessian,
    flatten,
    gauss_newton,
    gauss_newton_diagonal,
    unflatten,
)
from overparam.networks.criteria.passes import second_moments, sum_over
from overparam.networks.criteria.quadratic import refit, removal_costs, removal_order
from overparam.networks.data import Samples
from overparam.networks.masks import Scores, weights
from overparam.networks.network import Network, Parameters
from overparam.networks.training import Masks

DAMPING = 0.01
"""Share of the mean diagonal entry that is added to a matrix before it is inverted."""

_BLOCKS = 100  # steps in which optimal brain surgeon removes all weights


def obd(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    r"""Score by :math:`\frac12 H_{jj} w_j^2`, with the Gauss-Newton matrix for the Hessian.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images; the labels are not used.
    key : optional
        Not used.

    Returns
    -------
    dict
        From layers to scores.

    References
    ----------
    .. [1] Y. LeCun, J. Denker, S. Solla, "Optimal brain damage", NeurIPS 1989.
    """
    del key
    diagonal = gauss_newton_diagonal(network, parameters, check_samples(network, samples))
    return {name: diagonal[name] * array**2 / 2 for name, array in weights(parameters).items()}


def obd_exact(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    r"""Score by :math:`\frac12 H_{jj} w_j^2` with the exact Hessian; for small networks.

    A score may be negative: the quadratic model then promises that removal lowers the loss.

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

    Raises
    ------
    ValueError
        If the network has too many weights.
    """
    del key
    hessian = exact_hessian(network, parameters, check_samples(network, samples))
    diagonal = unflatten(network, np.diag(hessian).copy())
    return {name: diagonal[name] * array**2 / 2 for name, array in weights(parameters).items()}


def obs(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score by the order in which optimal brain surgeon removes the weights; for small networks.

    The first weight to go has score 0, the last one almost 1. The matrix is Gauss-Newton, damped
    by `DAMPING`; one hundredth of the weights goes at a time.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images; the labels are not used.
    key : optional
        Not used.

    Returns
    -------
    dict
        From layers to scores.

    Raises
    ------
    ValueError
        If the network has too many weights.

    References
    ----------
    .. [1] B. Hassibi, D. Stork, "Second order derivatives for network pruning: optimal brain
       surgeon", NeurIPS 1992.
    """
    del key
    hessian = gauss_newton(network, parameters, check_samples(network, samples))
    vector = flatten(network, weights(parameters))
    block = max(1, round(vector.size / _BLOCKS))
    order, _ = removal_order(vector, hessian, DAMPING, block)
    rank = np.empty(order.size)
    rank[order] = np.arange(order.size) / order.size
    return unflatten(network, rank)


def obs_update(
    network: Network, parameters: Parameters, masks: Masks, samples: Samples
) -> Parameters:
    """Adjust the weights that are left to the removal of the others, by the quadratic model.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters before pruning.
    masks : dict
        What is kept.
    samples : Samples
        Images.

    Returns
    -------
    dict
        New parameters, zero where the masks are.
    """
    hessian = gauss_newton(network, parameters, check_samples(network, samples))
    kept = flatten(network, weights(masks)) > 0
    vector = refit(flatten(network, weights(parameters)), hessian, kept, DAMPING)
    return _with_weights(parameters, unflatten(network, vector), masks)


def layer_obs(
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    r"""Score by :math:`w_{ij}^2 / (2 [H^{-1}]_{ii})` with H = X'X/B of the layer's inputs, damped.

    What removing the weight adds to half the squared error of the layer's output if the other
    weights into this output are adjusted.

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
        From layers to scores.

    References
    ----------
    .. [1] X. Dong, S. Chen, S. Pan, "Learning to prune deep neural networks via layer-wise optimal
       brain surgeon", NeurIPS 2017.
    .. [2] E. Frantar, D. Alistarh, "SparseGPT: massive language models can be accurately pruned in
       one-shot", ICML 2023.
    """
    del key
    scores = {}
    for name, matrix in _layer_hessians(network, parameters, samples).items():
        array = parameters[name]["weight"]
        columns = np.asarray(array, np.float64).reshape(-1, array.shape[-1])
        scores[name] = jnp.asarray(removal_costs(columns, matrix, DAMPING).reshape(array.shape))
    return scores


def layer_obs_update(
    network: Network, parameters: Parameters, masks: Masks, samples: Samples
) -> Parameters:
    """Adjust, output by output, the weights that are left so that the layer's output changes least.

    All layers are adjusted to the inputs that they had before pruning.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters before pruning.
    masks : dict
        What is kept.
    samples : Samples
        Images.

    Returns
    -------
    dict
        New parameters, zero where the masks are.
    """
    changed = {}
    for name, matrix in _layer_hessians(network, parameters, samples).items():
        array = parameters[name]["weight"]
        columns = np.asarray(array, np.float64).reshape(-1, array.shape[-1])
        kept = np.asarray(masks[name]["weight"]).reshape(columns.shape) > 0
        pairs = zip(columns.T, kept.T, strict=True)
        fitted = np.stack([refit(column, matrix, stay, DAMPING) for column, stay in pairs], axis=1)
        changed[name] = jnp.asarray(fitted.reshape(array.shape), array.dtype)
    return _with_weights(parameters, changed, masks)


def _layer_hessians(
    network: Network, parameters: Parameters, samples: Samples | None
) -> dict[str, NDArray[np.float64]]:
    checked = check_samples(network, samples)
    moments = sum_over(second_moments, network, parameters, checked)
    return {
        name: np.asarray(matrix, np.float64) / len(checked.labels)
        for name, matrix in moments.items()
    }


def _with_weights(parameters: Parameters, changed: Scores, masks: Masks) -> Parameters:
    tree = {
        name: {**leaves, "weight": changed[name].astype(leaves["weight"].dtype)}
        if name in changed
        else leaves
        for name, leaves in parameters.items()
    }
    return jax.tree.map(jnp.multiply, tree, masks)
