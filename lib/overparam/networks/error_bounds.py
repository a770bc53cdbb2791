"""What pruning guarantees for the sums of a layer, and what it really does to them."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array
from overparam.networks.allocation import FAILURE, SPREAD, error_level, group_failure
from overparam.networks.checks import check_batch
from overparam.networks.network import Network, Parameters, activations, patches
from overparam.networks.sensitivity import quadrants
from overparam.networks.sipp import Pruned

_CHUNK = 64  # samples


def guaranteed_errors(
    network: Network,
    parameters: Parameters,
    sensitivities: Mapping[str, jax.Array],
    pruned: Pruned,
    failure: float = FAILURE,
    spread: float = SPREAD,
) -> dict[str, Array]:
    r"""Bound the relative error of every sum, given what it multiplies.

    Where weights were sampled it is :math:`\varepsilon(m)`, and holds with a probability; where
    they were dropped it is K times the sum of the sensitivities dropped.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters before pruning.
    sensitivities : mapping from layers to jax.Array
        That it was pruned by.
    pruned : Pruned
        What came out.
    failure : float, default 1e-16
        Probability that a bound for a sampled sum fails somewhere in the network.
    spread : float, default 3.0
        The factor K by which a share is supposed to exceed its sensitivity at most.

    Returns
    -------
    dict
        From layers to arrays of shape (2, units), for positive and negative weights.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    bounds = {}
    each = group_failure(network, failure)
    for name, draws in pruned.draws.items():
        weight = np.asarray(parameters[name]["weight"]).reshape(-1, draws.shape[1])
        shares = np.asarray(sensitivities[name], np.float64).reshape(weight.shape)
        gone = np.asarray(pruned.masks[name]["weight"]).reshape(weight.shape) == 0
        signs = np.stack([weight > 0, weight < 0])
        dropped = spread * (shares * (signs & gone)).sum(axis=1)
        totals = spread * (shares * signs).sum(axis=1)
        drawn = np.isfinite(draws)
        number = np.where(drawn, draws, 1.0)
        sampled = error_level(number.ravel(), totals.ravel(), each).reshape(draws.shape)
        bounds[name] = np.where(drawn, sampled, dropped)
    return bounds


def observed_errors(
    network: Network, parameters: Parameters, pruned: Parameters, inputs: ArrayLike
) -> dict[str, Array]:
    """Measure the largest relative error of every sum over a sample, layer by layer.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters before pruning.
    pruned : dict
        After it.
    inputs : array of shape (samples, height, width, channels)
        Images, fresh ones for a fair comparison.

    Returns
    -------
    dict
        From layers to arrays of shape (2, units), for positive and negative weights: the largest
        error over samples, patches and input signs. Every layer sees what it saw before pruning.

    Raises
    ------
    ValueError
        If the inputs or the parameters do not match the network or are not finite.
    """
    images = check_batch(network, parameters, inputs)
    worst: dict[str, Array] = {}
    for start in range(0, len(images), _CHUNK):
        found = _chunk_errors(network, parameters, pruned, images[start : start + _CHUNK])
        worst = {
            name: np.maximum(worst.get(name, 0.0), np.asarray(errors))
            for name, errors in found.items()
        }
    return worst


@partial(jax.jit, static_argnums=0)
def _chunk_errors(
    network: Network, parameters: Parameters, pruned: Parameters, inputs: jax.Array
) -> dict[str, jax.Array]:
    outputs = activations(network, parameters, inputs)
    errors = {}
    for layer in network.layers:
        rows = patches(layer, outputs[layer.inputs[0]])
        rows = rows.reshape(-1, rows.shape[-1])
        weight = parameters[layer.name]["weight"].reshape(rows.shape[-1], -1)
        other = pruned[layer.name]["weight"].reshape(weight.shape)
        worst = []
        for sign in (1, -1):
            found = [
                jnp.abs((part.rows @ jnp.maximum(sign * other, 0)) * part.reciprocal - 1)
                * (part.reciprocal > 0)
                for signs, part in quadrants(weight, rows).items()
                if signs[0] == sign
            ]
            worst.append(jnp.maximum(*found).max(axis=0))
        errors[layer.name] = jnp.stack(worst)
    return errors
