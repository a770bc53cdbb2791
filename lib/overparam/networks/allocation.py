r"""How many weights each unit may keep: sample sizes, error levels, and the best split of a budget.

If no share exceeds K times its sensitivity, m draws from a group of total sensitivity S miss the
group's sum by more than the factor :math:`1 \pm \varepsilon` with a probability of at most
:math:`2\exp(-3m\varepsilon^2 / ((6 + 2\varepsilon) K S))` (Bernstein). Solved for the level at
failure probability :math:`\delta`, with :math:`v = K S \log(2/\delta) / (3m)`,

.. math:: \varepsilon(m) = v + \sqrt{v^2 + 6v} ,

which is convex in m: the split of a budget over groups that minimizes a weighted sum of levels has
one multiplier, and given the multiplier every group is on its own.
"""

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, nonnegative_array, nonnegative_number, reject
from overparam.networks.network import Network
from overparam.networks.sensitivity import neurons

FAILURE = 1e-16
"""Probability with which something may go wrong, by default."""

SPREAD = 3.0
"""The factor K by which the share of a weight may exceed its sensitivity, by default."""


def sample_size(network: Network, failure: float = FAILURE, spread: float = SPREAD) -> int:
    r"""Return how many inputs to score a network with.

    Parameters
    ----------
    network : Network
        The network.
    failure : float, default 1e-16
        Probability :math:`\delta`.
    spread : float, default 3.0
        The factor K.

    Returns
    -------
    int
        :math:`\lceil K \log(8\,\eta^*\eta/\delta) \rceil`, with :math:`\eta` outputs in all layers
        and :math:`\eta^*` in the widest.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from overparam.networks.architectures import lenet_300_100
    >>> sample_size(lenet_300_100())
    152
    """
    total, widest = neurons(network)
    _check_constants(failure, spread)
    return ceil(spread * log(8 * widest * total / failure))


def group_failure(network: Network, failure: float = FAILURE) -> float:
    """Failure probability of one sum such that all sums of one input together fail with `failure`.

    Parameters
    ----------
    network : Network
        The network.
    failure : float, default 1e-16
        Of any of them.

    Returns
    -------
    float
        `failure` over four times the number of outputs: each has four quadrants.

    Raises
    ------
    ValueError
        If `failure` is out of range.

    Examples
    --------
    >>> from overparam.networks.architectures import lenet_300_100
    >>> group_failure(lenet_300_100(), failure=0.0164)
    1e-05
    """
    _check_constants(failure, SPREAD)
    return failure / (4 * neurons(network)[0])


def error_level(draws: ArrayLike, spread_sensitivity: ArrayLike, failure: float) -> Array:
    r"""Relative error that m draws guarantee.

    Parameters
    ----------
    draws : array_like of shape (groups,)
        m >= 0; not necessarily integers.
    spread_sensitivity : array_like of shape (groups,)
        K S, the total sensitivity of the group times the factor K.
    failure : float
        Probability :math:`\delta` in (0, 1).

    Returns
    -------
    ndarray of shape (groups,)
        :math:`\varepsilon(m)`; infinite without draws, zero for a group without sensitivity.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> error_level([220], [3.0], failure=0.1).round(2)
    array([0.3])
    """
    cost = _cost(spread_sensitivity, failure)
    number = nonnegative_array("draws", draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        v = np.where(cost > 0, cost / number, 0.0)
        return np.where(np.isinf(v), np.inf, v + np.sqrt(v * v + 6 * v))


def draws_needed(level: float, spread_sensitivity: float, failure: float) -> int:
    r"""Draws that guarantee a relative error: the inverse of `error_level`.

    Parameters
    ----------
    level : float
        :math:`\varepsilon > 0`.
    spread_sensitivity : float
        K S.
    failure : float
        Probability :math:`\delta` in (0, 1).

    Returns
    -------
    int
        :math:`\lceil (6 + 2\varepsilon)\,K S \log(2/\delta) / (3\varepsilon^2) \rceil`.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> draws_needed(0.3, 3.0, failure=0.1)
    220
    """
    if not nonnegative_number("level", level) > 0:
        raise reject("level", level, "must be positive", "Pass a relative error.")
    cost = float(_cost([spread_sensitivity], failure)[0])
    return ceil((6 + 2 * level) * cost / level**2)


@dataclass(frozen=True, eq=False)
class Allocation:
    """A budget, split.

    Attributes
    ----------
    draws : ndarray of shape (groups,)
        What each group gets; not rounded.
    multiplier : float
        What one more draw would take off the sum of levels; 0 if every group has all it can use,
        infinite if it is beyond the range of floats.
    """

    draws: Array
    multiplier: float


def allocate(
    budget: float,
    spread_sensitivity: ArrayLike,
    capacities: ArrayLike,
    failure: float,
    weights: ArrayLike | None = None,
) -> Allocation:
    r"""Split a budget so that the weighted sum of error levels is as small as possible.

    Minimizes :math:`\sum_i c_i\,\varepsilon_i(m_i)` over :math:`\sum_i m_i \le b` and
    :math:`0 \le m_i \le M_i`.

    Parameters
    ----------
    budget : float
        b, positive.
    spread_sensitivity : array_like of shape (groups,)
        K S of every group; one of zero gets nothing.
    capacities : array_like of shape (groups,)
        M, the largest number of draws a group can use.
    failure : float
        Probability :math:`\delta` in (0, 1).
    weights : array_like of shape (groups,), optional
        c, positive; ones by default.

    Returns
    -------
    Allocation
        The split. It is computed anew by every call and shares memory with nothing.

    Raises
    ------
    ValueError
        If an argument is out of range or lengths differ.

    Notes
    -----
    A group that is neither empty nor full satisfies :math:`-c\,\varepsilon'(m) = \nu`. With
    :math:`v = C/m` this is :math:`h(v) = \nu C/c`,
    :math:`h(v) = v^2 (1 + (v + 3)/\sqrt{v^2 + 6v})`; the logarithm of h has a slope between 3/2 and
    2 in the logarithm of v, so Newton's method in logarithms converges from anywhere. The
    multiplier is found by bisection, as the sum of draws falls with it.

    Examples
    --------
    Sensitivity attracts draws, but less than in proportion:

    >>> allocate(100, [1.0, 8.0], [1000, 1000], failure=0.01).draws.round(1)
    array([31., 69.])
    """
    cost = _cost(spread_sensitivity, failure)
    full = nonnegative_array("capacities", capacities)
    scale = np.ones_like(cost) if weights is None else nonnegative_array("weights", weights)
    for name, array in (("capacities", full), ("weights", scale)):
        if array.shape != cost.shape:
            rule = f"must be {cost.shape}, as `spread_sensitivity`"
            raise reject(f"{name}.shape", array.shape, rule, "Pass one for each group.")
    if not scale.min() > 0:
        raise reject("weights", weights, "must be positive", "Leave out groups that do not count.")
    if not nonnegative_number("budget", budget) > 0:
        raise reject("budget", budget, "must be positive", "Pass a number of draws.")
    full = np.where(cost > 0, full, 0.0)
    active = np.flatnonzero(full > 0)
    draws = np.zeros_like(cost)
    if full.sum() <= budget:
        return Allocation(full, 0.0)
    log_cost, ratio = np.log(cost[active]), np.log(cost[active] / scale[active])

    def split(log_multiplier: float) -> Array:
        return np.minimum(full[active], np.exp(log_cost - _log_v(log_multiplier + ratio)))

    low, high = -1.0, 1.0
    while split(low).sum() < budget:
        low *= 2 if low < -1 else 4
    while split(high).sum() > budget:
        high *= 4
    while high - low > 1e-14 * max(1.0, abs(low)):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if split(middle).sum() > budget else (low, middle)
    draws[active] = split(high)
    with np.errstate(over="ignore"):
        return Allocation(draws, float(np.exp(high)))


def _log_v(log_h: Array) -> Array:
    """Solve h(v) = exp(log_h) for log v."""
    log_v = np.where(log_h > 0, (log_h - np.log(2)) / 2, (log_h - np.log(np.sqrt(1.5))) / 1.5)
    for _ in range(6):
        v = np.exp(np.minimum(log_v, 200.0))  # beyond, the slope is 2 to the last digit
        root = np.sqrt(v * (v + 6))
        slope = 1 + (v + 3) / root
        # d log h / d log v, from h = v^2 slope and slope' = -9 / root^3.
        derivative = 2 - 9 * v / (root**3 * slope)
        log_v = log_v - (2 * log_v + np.log(slope) - log_h) / derivative
    return log_v


def _cost(spread_sensitivity: ArrayLike, failure: float) -> Array:
    """K S log(2 / failure) / 3: the v of one draw."""
    _check_constants(failure, SPREAD)
    return nonnegative_array("spread_sensitivity", spread_sensitivity) * (log(2 / failure) / 3)


def _check_constants(failure: float, spread: float) -> None:
    if not 0 < nonnegative_number("failure", failure) < 1:
        raise reject("failure", failure, "must be in (0, 1)", "Pass a probability such as 0.01.")
    if not nonnegative_number("spread", spread) >= 1:
        raise reject("spread", spread, "must be at least 1", "Pass a factor such as 3.")
