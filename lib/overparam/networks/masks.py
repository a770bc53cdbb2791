"""From scores to masks: which weights stay."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam._validation import reject
from overparam.networks.network import Network, Parameters
from overparam.networks.training import Masks, check_structure
from overparam.pruning import kept_count

Scores: TypeAlias = dict[str, jax.Array]
"""A number for every weight, layer by layer; the highest stay."""

Scope = Literal["global", "layer", "row"]
SCOPES = ("global", "layer", "row")


def weights(parameters: Parameters) -> Scores:
    """Return what can be pruned one by one: the weights of every layer.

    Parameters
    ----------
    parameters : dict
        Of a network.

    Returns
    -------
    dict
        From layers to weights; biases and normalizations are not among them.
    """
    return {name: leaves["weight"] for name, leaves in parameters.items() if "weight" in leaves}


def weight_masks(
    network: Network,
    parameters: Parameters,
    scores: Mapping[str, jax.Array],
    keep: float,
    scope: Scope = "global",
) -> Masks:
    """Keep the weights with the highest scores.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    scores : mapping from layers to jax.Array
        A finite number for every weight.
    keep : float
        Fraction to keep, in (0, 1]: of all weights, of each layer, or of the weights into each
        output unit, according to `scope`; at least one.
    scope : str, default "global"
        ``"global"``, ``"layer"`` or ``"row"``. Ties are broken by position.

    Returns
    -------
    dict
        Zeros and ones in the structure of the parameters; biases and normalizations stay.

    Raises
    ------
    ValueError
        If the scores do not match the weights or are not finite, or `keep` is out of range.

    Examples
    --------
    >>> from overparam.networks.architectures import dense_network
    >>> from overparam.networks.network import initialize
    >>> network = dense_network([30])
    >>> parameters = initialize(network, jax.random.key(0))
    >>> masks = weight_masks(network, parameters, weights(parameters), 0.1)
    >>> round(density(masks), 3)
    0.1
    """
    layers = {layer.name for layer in network.layers}
    arrays = check_scores(scores, {name: parameters[name]["weight"].shape for name in layers})
    masks = jax.tree.map(jnp.ones_like, parameters)
    kept: dict[str, NDArray[np.bool_]]
    if scope not in SCOPES:
        advice = "Pass one of these."
        raise reject("scope", scope, "must be 'global', 'layer' or 'row'", advice)
    if scope == "global":
        flat = np.concatenate([array.ravel() for array in arrays.values()])
        parts = np.split(highest(flat, keep), np.cumsum([a.size for a in arrays.values()])[:-1])
        kept = dict(zip(arrays, parts, strict=True))
    elif scope == "layer":
        kept = {name: highest(array.ravel(), keep) for name, array in arrays.items()}
    else:
        kept = {
            name: highest(array.reshape(-1, array.shape[-1]).T, keep).T
            for name, array in arrays.items()
        }
    for name, mask in kept.items():
        masks[name]["weight"] = jnp.asarray(mask.reshape(arrays[name].shape), jnp.float32)
    return masks


def check_scores(
    scores: Mapping[str, jax.Array], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.floating]]:
    """Return scores as NumPy arrays in the order of `shapes`, or refuse them.

    Parameters
    ----------
    scores : mapping from names to arrays
        To be checked.
    shapes : mapping from names to tuple of int
        What is expected.

    Returns
    -------
    dict
        The arrays.

    Raises
    ------
    ValueError
        If a name is missing or unknown, or an array has another shape or is not finite; the
        message names the layer.
    """
    arrays: dict[str, NDArray[np.floating]] = {}
    for name in sorted({*shapes, *scores}):
        if name not in shapes:
            raise reject("scores", name, "has a layer that cannot be scored", "Leave it out.")
        array = np.asarray(scores[name]) if name in scores else np.empty(0)
        if array.shape != shapes[name]:
            rule = f"must have the shape {shapes[name]}"
            raise reject(f"scores[{name!r}]", array.shape, rule, "Score every weight or filter.")
        if not np.isfinite(array).all():
            advice = "Check the parameters and the data of this layer."
            raise reject(f"scores[{name!r}]", "not finite", "must be finite", advice)
        arrays[name] = array
    return arrays


def highest(scores: NDArray[np.floating], keep: float) -> NDArray[np.bool_]:
    """Mark the highest scores along the last axis.

    Parameters
    ----------
    scores : ndarray
        Numbers; ties are broken by position.
    keep : float
        Fraction to mark, in (0, 1]; at least one.

    Returns
    -------
    ndarray of bool
        Of the same shape.

    Examples
    --------
    >>> highest(np.array([0.1, 3.0, 2.0, 0.0]), 0.5)
    array([False,  True,  True, False])
    """
    order = np.argsort(-scores, axis=-1, kind="stable")
    mask = np.zeros(scores.shape, bool)
    count = int(kept_count(keep, scores.shape[-1]))
    np.put_along_axis(mask, order[..., :count], values=True, axis=-1)
    return mask


def apply_masks(parameters: Parameters, masks: Masks) -> Parameters:
    """Set what is masked to zero.

    Parameters
    ----------
    parameters : dict
        Of a network.
    masks : dict
        Zeros and ones in the same structure.

    Returns
    -------
    dict
        A new tree.

    Raises
    ------
    ValueError
        If the structures differ.
    """
    check_structure("masks", masks, parameters)
    return jax.tree.map(jnp.multiply, parameters, masks)


def density(masks: Masks) -> float:
    """Share of the weights that are kept.

    Parameters
    ----------
    masks : dict
        Zeros and ones in the structure of the parameters.

    Returns
    -------
    float
        In [0, 1].
    """
    arrays = weights(masks).values()
    return float(sum(array.sum() for array in arrays)) / sum(array.size for array in arrays)
