"""Prunability of anything with a loss and a tree of parameters, on top of `overparam.prunability`.

The curve, loss against fraction kept, is one traced function, so that it can be compiled, mapped
over many models at once, or differentiated through; reading prunability off it is NumPy.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, real_array, reject
from overparam.prunability import Crossing, Order, Unit, kept_fraction

Tree = Any
LEVELS = tuple(float(level) for level in np.arange(1, 51) / 50)
"""Fractions kept at which a curve is evaluated unless told otherwise."""


def tree_prunability(
    loss: Callable[[Tree], jax.Array],
    parameters: Tree,
    tolerance: ArrayLike,
    *,
    order: Order = "magnitude",
    threshold: Literal["global", "layer"] = "global",
    scales: Tree | None = None,
    prunable: Tree | None = None,
    unit: Unit = "absolute",
    crossing: Crossing = "first",
    keep: ArrayLike = LEVELS,
    masks: int = 10,
    key: jax.Array | None = None,
) -> Array:
    """Smallest fraction of the weights that keeps the loss within a tolerance.

    Parameters
    ----------
    loss : callable
        Training loss of a tree of parameters, without a penalty; traceable by JAX.
    parameters : tree of arrays
        The trained parameters.
    tolerance : float or array_like
        Positive.
    order, threshold, scales, prunable, masks, key
        See `pruning_curve`.
    unit, crossing
        See `overparam.kept_fraction`.
    keep : array_like of shape (k,), optional
        Levels, 1 among them; by default 50 equal steps.

    Returns
    -------
    ndarray of the shape of `tolerance`
        Fraction of the prunable weights. With random masks the mean of the curves is read off.

    Raises
    ------
    ValueError
        If an argument is out of range or a loss is not finite.

    Examples
    --------
    >>> tree = {"layer": {"weight": jnp.eye(4) * jnp.arange(1.0, 5.0), "bias": jnp.ones(4)}}
    >>> loss = lambda tree: (16 - (tree["layer"]["weight"] ** 2).max()) / 16
    >>> tree_prunability(loss, tree, [0.1, 0.9], keep=[1.0, 0.5, 0.25, 0.0625])
    array([0.0625, 0.0625])
    """
    levels = real_array("keep", keep, (1,))
    curve = jax.jit(
        lambda tree: pruning_curve(
            loss, tree, levels, order=order, threshold=threshold, scales=scales,
            prunable=prunable, masks=masks, key=key,
        )
    )(parameters)  # fmt: skip
    losses = real_array("loss(parameters)", np.asarray(curve), (1,))
    return kept_fraction(levels, losses, tolerance, unit=unit, crossing=crossing)


def pruning_curve(
    loss: Callable[[Tree], jax.Array],
    parameters: Tree,
    keep: ArrayLike,
    *,
    order: Order = "magnitude",
    threshold: Literal["global", "layer"] = "global",
    scales: Tree | None = None,
    prunable: Tree | None = None,
    masks: int = 10,
    key: jax.Array | None = None,
) -> jax.Array:
    """Loss against the fraction kept; traceable, so that it can be mapped over models.

    Parameters
    ----------
    loss : callable
        Of a tree of parameters.
    parameters : tree of arrays
        What is pruned.
    keep : array_like of shape (k,)
        Fractions in (0, 1]; of d weights max(1, round(keep d)) are kept.
    order : {"magnitude", "random", "scale-free"}
        What goes first: small absolute values, any, or small ones times `scales`.
    threshold : {"global", "layer"}
        Whether all weights compete, or each array keeps the same fraction.
    scales : tree, optional
        For ``"scale-free"``: factors that broadcast against the parameters, such as
        `overparam.networks.measures.input_scales`.
    prunable : tree of bool, optional
        Which arrays are pruned and counted: by default those of two dimensions or more, which
        leaves out biases and normalizations.
    masks : int
        Number of random orders over which the loss is averaged.
    key : jax.Array, optional
        For ``"random"``.

    Returns
    -------
    jax.Array of shape (k,)
        Losses.

    Raises
    ------
    ValueError
        If an argument is out of range or nothing is prunable.

    Examples
    --------
    >>> tree = {"weight": jnp.array([[1.0, 2.0, 3.0]])}
    >>> loss = lambda tree: 14 - (tree["weight"] ** 2).sum()
    >>> pruning_curve(loss, tree, [1 / 3, 2 / 3, 1.0])
    Array([5., 1., 0.], dtype=float32)
    """
    leaves: list[jax.Array]
    structure: Any  # JAX has no type for it that has its methods
    leaves, structure = jax.tree.flatten(parameters)
    chosen = [leaf.ndim >= 2 for leaf in leaves]
    if prunable is not None:
        chosen = [bool(flag) for flag in structure.flatten_up_to(prunable)]
    if not any(chosen):
        raise reject("prunable", prunable, "must allow an array", "Pass a tree with True in it.")
    if threshold not in ("global", "layer"):
        raise reject("threshold", threshold, "must be 'global' or 'layer'", "Pass one of these.")
    levels = real_array("keep", keep, (1,))
    if levels.min() <= 0 or levels.max() > 1:
        raise reject("keep", keep, "must be in (0, 1]", "Pass fractions kept.")
    weights = [leaf for leaf, flag in zip(leaves, chosen, strict=True) if flag]
    factors = _factors(order, scales, structure, chosen)

    def curve(score: list[jax.Array]) -> jax.Array:
        ranks = _ranks(score) if threshold == "global" else [_ranks([one])[0] for one in score]
        sizes = [one.size for one in score]
        total = [sum(sizes)] * len(sizes) if threshold == "global" else sizes

        def at(level: jax.Array) -> jax.Array:
            kept = iter(
                jnp.where(rank < jnp.maximum(1, jnp.round(level * size)), weight, 0)
                for rank, size, weight in zip(ranks, total, weights, strict=True)
            )
            pairs = zip(leaves, chosen, strict=True)
            return loss(structure.unflatten([next(kept) if flag else leaf for leaf, flag in pairs]))

        return jax.lax.map(at, jnp.asarray(levels, weights[0].dtype))

    if order != "random":
        return curve(
            [jnp.abs(weight) * factor for weight, factor in zip(weights, factors, strict=True)]
        )
    if key is None or masks < 1:
        raise reject("key", key, "must be a random key, with masks >= 1", "Pass jax.random.key(0).")

    def at_random(one: jax.Array) -> jax.Array:
        keys = jax.random.split(one, len(weights))
        draws = zip(keys, weights, strict=True)
        return curve([jax.random.uniform(part, weight.shape) for part, weight in draws])

    return jax.lax.map(at_random, jax.random.split(key, masks)).mean(axis=0)


def _ranks(scores: list[jax.Array]) -> list[jax.Array]:
    """Rank of each entry among all, 0 for the largest; ties by position."""
    flat = jnp.concatenate([score.ravel() for score in scores])
    rank = (
        jnp.zeros(flat.size, jnp.int32)
        .at[jnp.argsort(-flat)]
        .set(jnp.arange(flat.size, dtype=jnp.int32))
    )
    ends = np.cumsum([score.size for score in scores])[:-1]
    parts = zip(jnp.split(rank, ends), scores, strict=True)
    return [part.reshape(score.shape) for part, score in parts]


def _factors(
    order: Order, scales: Tree | None, structure: Any, chosen: list[bool]
) -> list[jax.Array]:
    if order not in ("magnitude", "random", "scale-free"):
        raise reject(
            "order", order, "must be 'magnitude', 'random' or 'scale-free'", "Pass one of these."
        )
    if order != "scale-free":
        return [jnp.ones(())] * sum(chosen)
    if scales is None:
        raise reject("scales", scales, "must be given for 'scale-free'", "Pass input_scales(...).")
    pairs = zip(structure.flatten_up_to(scales), chosen, strict=True)
    return [factor for factor, flag in pairs if flag]
