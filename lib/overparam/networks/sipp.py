r"""SiPP: prune single weights by their sensitivities, in three variants.

*Deterministic*: keep the weights with the largest sensitivities of the network. *Random*: split the
budget over units and weight signs so that the guaranteed errors are smallest, draw weights with
replacement, j with probability :math:`q_j` in proportion to its sensitivity, and multiply what was
drawn :math:`n_j` times in m draws by :math:`n_j / (m q_j)`, which keeps every sum unbiased.
*Hybrid*: the same split, but where dropping the smallest has the smaller guaranteed error, do that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from overparam._validation import Array, generator, reject
from overparam.networks.allocation import FAILURE, SPREAD, allocate, error_level, group_failure
from overparam.networks.masks import check_scores, weight_masks
from overparam.networks.network import Network, Parameters
from overparam.networks.size_search import TOLERANCE, search_size
from overparam.networks.training import Masks
from overparam.pruning import kept_count

Flags: TypeAlias = NDArray[np.bool_]

_HALVINGS = 21  # draws up to two to this power
_LEAST = 0.1  # of a budget: every group is down to one draw there, or to nothing if it is cut


class Pruned(NamedTuple):
    """A network after pruning single weights.

    Attributes
    ----------
    parameters : dict
        With zeros, and with new weights where they were sampled.
    masks : dict
        Zeros and ones in the structure of the parameters.
    draws : dict
        From layers to arrays of shape (2, units), for the positive and the negative weights of each
        unit: how many draws were made; infinite where nothing was sampled.
    """

    parameters: Parameters
    masks: Masks
    draws: dict[str, Array]


def sipp_deterministic(
    network: Network, parameters: Parameters, sensitivities: Mapping[str, jax.Array], keep: float
) -> Pruned:
    """Keep the weights with the largest sensitivities of all layers.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    sensitivities : mapping from layers to jax.Array
        From `weight_sensitivities`, for convolutions with the mean over patches.
    keep : float
        Fraction of the weights to keep, in (0, 1]; exact.

    Returns
    -------
    Pruned
        No weight is changed but to zero.

    Raises
    ------
    ValueError
        If sensitivities do not match the weights, or `keep` is out of range.

    References
    ----------
    .. [1] C. Baykal, L. Liebenwein, I. Gilitschenski, D. Feldman, D. Rus, "SiPPing neural
       networks: sensitivity-informed provable pruning", arXiv:1910.05422.
    """
    masks = weight_masks(network, parameters, sensitivities, keep)
    draws = {layer.name: np.full((2, layer.units), np.inf) for layer in network.layers}
    return Pruned(jax.tree.map(jnp.multiply, parameters, masks), masks, draws)


def sipp_sampled(
    network: Network,
    parameters: Parameters,
    sensitivities: Mapping[str, jax.Array],
    keep: float,
    rng: np.random.Generator,
    variant: Literal["random", "hybrid"] = "random",
    tolerance: float = TOLERANCE,
) -> Pruned:
    """Sample the weights of every unit and sign, and reweight them.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    sensitivities : mapping from layers to jax.Array
        From `weight_sensitivities`, with the maximum over patches.
    keep : float
        Fraction of the weights to keep, in (0, 1].
    rng : numpy.random.Generator
        For the draws.
    variant : str, default "random"
        ``"random"`` samples everywhere; ``"hybrid"`` drops the smallest instead wherever that has
        the smaller bound.
    tolerance : float, default 0.005
        How far the number of distinct weights may be from the target, relative to it.

    Returns
    -------
    Pruned
        Sampled weights are unbiased, but for the requirement that the size be met; where nothing
        was sampled, ``draws`` is infinite.

    Raises
    ------
    ValueError
        If an argument is out of range, sensitivities do not match the weights, or the size cannot
        be met within the tolerance: every sampled group keeps a weight.

    References
    ----------
    .. [1] C. Baykal, L. Liebenwein, I. Gilitschenski, D. Feldman, D. Rus, "SiPPing neural
       networks: sensitivity-informed provable pruning", arXiv:1910.05422.
    """
    if variant not in ("random", "hybrid"):
        raise reject("variant", variant, "must be 'random' or 'hybrid'", "Pass one of these.")
    rng = generator(rng)
    shapes = network.parameter_shapes
    scores = check_scores(
        sensitivities, {layer.name: shapes[layer.name]["weight"] for layer in network.layers}
    )
    for name, array in scores.items():
        if array.min() < 0:
            raise reject(f"sensitivities[{name!r}]", float(array.min()), "must be >= 0", "Rescore.")
    weights = {name: np.asarray(parameters[name]["weight"], np.float64) for name in scores}
    layers = {name: _layer(scores[name].astype(np.float64), weights[name]) for name in scores}
    failure = group_failure(network, FAILURE)
    scorable = int(sum(layer.sizes.sum() for layer in layers.values()))
    target = min(int(kept_count(keep, sum(w.size for w in weights.values()))), scorable)

    def attempt(budget: float) -> tuple[int, tuple[dict[str, Array], dict[str, Array]]]:
        allocation = _split(layers, budget, failure)
        factors, draws = {}, {}
        for name, layer in layers.items():
            cut = _cut_is_better(layer, allocation[name], failure)
            factors[name], draws[name] = _thin(
                layer, allocation[name], cut & (variant == "hybrid"), rng
            )
        return sum(int(np.count_nonzero(part)) for part in factors.values()), (factors, draws)

    found = search_size(attempt, target, _LEAST, float(scorable), tolerance)
    factors, draws = found.outcome
    result = {name: dict(leaves) for name, leaves in parameters.items()}
    masks = jax.tree.map(jnp.ones_like, parameters)
    for name, factor in factors.items():
        units = len(factor) // 2
        both = (factor[:units] + factor[units:]).T.reshape(weights[name].shape)
        result[name]["weight"] = jnp.asarray(weights[name] * both, jnp.float32)
        masks[name]["weight"] = jnp.asarray(both != 0, jnp.float32)
    return Pruned(result, masks, {name: m.reshape(2, -1) for name, m in draws.items()})


def sample_group(probabilities: Array, draws: NDArray[np.int64], rng: np.random.Generator) -> Array:
    r"""Draw with replacement and return the unbiased factors :math:`n_j / (m q_j)`.

    Parameters
    ----------
    probabilities : ndarray of shape (groups, size)
        :math:`q_j` of each group: they add up to one, or are all zero.
    draws : ndarray of int, shape (groups,)
        m of each group.
    rng : numpy.random.Generator
        For the draws.

    Returns
    -------
    ndarray of shape (groups, size)
        Factors of mean 1 where the probability is positive; 0 elsewhere.

    Examples
    --------
    >>> q = np.array([[0.5, 0.5, 0.0]])
    >>> bool(sample_group(q, np.array([10]), np.random.default_rng(0)) @ q[0] == 1)
    True
    """
    counts = rng.multinomial(draws, probabilities)
    scale = draws[:, None] * probabilities
    return np.where(scale > 0, counts / np.where(scale > 0, scale, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class _Layer:
    """The groups of a layer: rows 0 to units - 1 for its positive weights, then its negative."""

    shares: Array  # (2 * units, fan_in): sensitivities, zero for weights of the other sign
    totals: Array  # (2 * units,)
    sizes: Array  # (2 * units,): weights that have a sensitivity
    distinct: Array  # (grid, 2 * units): expected number of distinct weights, for draws on a grid
    dropped: Array  # (2 * units, fan_in + 1): sum of all but the k largest, for every k


_GRID = 2.0 ** (np.arange(2 * _HALVINGS) / 2)  # draws


def _layer(sensitivity: Array, weight: Array) -> _Layer:
    s = sensitivity.reshape(-1, sensitivity.shape[-1]).T
    w = weight.reshape(s.shape[::-1]).T
    shares = np.concatenate([np.where(w > 0, s, 0), np.where(w < 0, s, 0)])
    totals = shares.sum(axis=1)
    q = shares / np.where(totals > 0, totals, 1)[:, None]
    distinct = np.empty((_GRID.size, totals.size))
    for first in (0, 1):
        missed = 1 - q if first == 0 else (1 - q) ** 2**0.5
        for step in range(first, _GRID.size, 2):  # (1 - q)^(2 m) is a square
            distinct[step] = q.shape[1] - missed.sum(axis=1)
            missed = missed * missed
    ascending = np.cumsum(np.sort(shares, axis=1), axis=1)[:, ::-1]
    dropped = np.concatenate([ascending, np.zeros((totals.size, 1))], axis=1)
    return _Layer(shares, totals, np.count_nonzero(shares, axis=1) * 1.0, distinct, dropped)


def _split(layers: dict[str, _Layer], budget: float, failure: float) -> dict[str, Array]:
    """Weights for each group, from a budget for the network: a new array by every call."""
    layer_list = list(layers.values())
    costs = np.concatenate([SPREAD * layer.totals for layer in layer_list])
    sizes = np.concatenate([layer.sizes for layer in layer_list])
    # A layer counts as one, however many units it has.
    weights = np.concatenate(
        [np.full(layer.totals.size, 2 / layer.totals.size) for layer in layer_list]
    )
    draws = allocate(budget, costs, sizes, failure, weights).draws
    ends = np.cumsum([layer.totals.size for layer in layer_list])[:-1]
    return dict(zip(layers, np.split(draws, ends), strict=True))


def _cut_is_better(layer: _Layer, allowed: Array, failure: float) -> Flags:
    kept = np.minimum(np.round(allowed), layer.sizes).astype(np.int64)
    bound = SPREAD * np.take_along_axis(layer.dropped, kept[:, None], axis=1)[:, 0]
    return bound <= error_level(allowed, SPREAD * layer.totals, failure)


def _thin(
    layer: _Layer, allowed: Array, cut: Flags, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Factors of the weights of every group, and the draws made."""
    fan_in = layer.shares.shape[1]
    kept = np.minimum(np.round(allowed), layer.sizes)
    # As many draws as give, in expectation, as many distinct weights as are allowed.
    wanted = np.array(
        [
            np.interp(count, column, _GRID) if count < column[-1] else np.inf
            for count, column in zip(allowed, layer.distinct.T, strict=True)
        ]
    )
    whole = np.isinf(wanted) | (kept >= layer.sizes)
    drawn = ~whole & ~cut & (layer.totals > 0)
    rank = np.empty(layer.shares.shape, np.int64)
    np.put_along_axis(
        rank, np.argsort(-layer.shares, axis=1, kind="stable"), np.arange(fan_in)[None], axis=1
    )
    factors = np.where(
        (rank < np.where(whole, layer.sizes, kept)[:, None]) & ~drawn[:, None], 1.0, 0.0
    )
    draws = np.full(whole.size, np.inf)
    draws[drawn] = np.maximum(1, np.round(wanted[drawn]))
    q = layer.shares[drawn] / layer.totals[drawn, None]
    factors[drawn] = sample_group(q, draws[drawn].astype(np.int64), rng)
    return factors, draws
