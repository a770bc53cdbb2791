r"""The fixed point: the ridge that interpolation acts like.

The minimum-norm interpolator of n samples shrinks feature i like a ridge regression would, by
zeta_i = lambda_i / (lambda_i + mu), where the *effective ridge* mu > 0 solves

    sum_i lambda_i / (lambda_i + mu) + n penalty / mu = n.

**Method (balanced logarithms).** Sort the variances in descending order and carry the n largest
terms to the other side. With l = log mu the equation becomes H = T, both sums of positive terms:

    H(l) = sum_{i<=n} mu/(lambda_i+mu) [+ n-p if n > p]     (head deficit, increasing)
    T(l) = sum_{i>n} lambda_i/(lambda_i+mu) + n penalty/mu  (tail surplus, decreasing)

and Psi = log H - log T has 1 <= Psi'(l) < 2 for every spectrum, because d log H / dl is a mean of
zeta over the head (weights 1 - zeta), -d log T / dl a mean of 1 - zeta over the tail (weights zeta;
the penalty term counts as a feature with zeta -> 0), each is at most 1, and every zeta in the head
is at least as large as every zeta in the tail, so that they add up to at least 1.

Hence the root is unique, log mu has condition number at most one, and |Psi| at any point is an
upper bound of the error |log(mu / mu_exact)| there: the certificate. The step is Halley's, clipped
to the interval [-Psi, -Psi/2] that must contain the exact one; where |Psi| did not halve, the step
-2 Psi/3 is taken, which divides the error by at least 3.
"""

from dataclasses import dataclass
from math import exp, frexp, fsum, inf, isfinite, ldexp, log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, count, nonnegative_array, nonnegative_number, reject

# A block and its temporaries stay in the cache, and are too short for BLAS to split over threads,
# so results do not depend on their number.
BLOCK = 8192
_MAX_SWEEPS = 60
_ROUNDING = 2.0**-51
_TINY = 2.0**-1022  # the least number that has all its digits
_SMALL = 2.0**-64  # within this factor of one, squares and sums need no rescaling
_LONGEST_STEP = 700.0  # exp of more overflows


@dataclass(frozen=True)
class EffectiveRidge:
    """Root of the fixed-point equation, with its certificate.

    Attributes
    ----------
    value : float
        The effective ridge mu, in the units of the variances; 1 / mu is the paper's xi.
    certificate : float
        Upper bound of ``abs(log(value / exact))``, up to rounding of a few 1e-16.
    sweeps : int
        Passes over the spectrum that were needed.
    """

    value: float
    certificate: float
    sweeps: int


def solve_effective_ridge(
    variances: ArrayLike, n: int, penalty: float = 0.0, *, start: float | None = None
) -> EffectiveRidge:
    r"""Solve :math:`\sum_i \lambda_i/(\lambda_i+\mu) + n\rho/\mu = n` for :math:`\mu > 0`.

    Parameters
    ----------
    variances : array_like of shape (p,)
        Variances :math:`\lambda_i \ge 0` in any order; sorted descending is fastest.
    n : int
        Number of samples. Without penalty, fewer than the non-zero variances.
    penalty : float, optional
        Ridge penalty :math:`\rho \ge 0` of the objective
        :math:`\|y-\Phi\beta\|^2/n + \rho\|\beta\|^2`, in units of the variances.
    start : float, optional
        A first guess of the root, for continuation along a curve.

    Returns
    -------
    EffectiveRidge
        Relative error of a few units of 1e-16 for every spectrum.

    Raises
    ------
    ValueError
        If an argument is out of its range, or if no positive root exists: without penalty,
        when `n` is at least the number of non-zero variances.

    Notes
    -----
    At most 6 sweeps were needed on any spectrum tried (spreads up to 1e300). A sweep costs one
    division for each variance; memory is one block beyond the input, plus a sorted copy if the
    input is not sorted.

    Examples
    --------
    All variances equal to 2 gives mu = 2 (p - n) / n:

    >>> solve_effective_ridge([2.0] * 40, n=10).value
    6.0
    """
    array = nonnegative_array("variances", variances)
    n = count("n", n)
    penalty = nonnegative_number("penalty", penalty)
    if not np.all(array[:-1] >= array[1:]):
        array = np.sort(array)[::-1]
    # Zeros are last, so that their number is known without a pass over all.
    rank = array.size - int(np.searchsorted(array[::-1], 0.0, side="right"))
    if rank == 0 and penalty > 0:
        return EffectiveRidge(penalty, 0.0, 0)  # n penalty / mu = n
    if penalty == 0 and n >= rank:
        raise reject(
            "n",
            n,
            f"must be less than the {rank} non-zero variances when there is no penalty",
            "Pass fewer samples, more features, or a penalty > 0.",
        )
    # The equation is homogeneous; a power of two rescales without rounding, where there is need.
    scale = ldexp(0.5, frexp(max(float(array[0]), penalty))[1])
    scale = 1.0 if _SMALL < scale < 1 / _SMALL else scale
    if scale != 1:
        array, penalty = array / scale, penalty / scale
    if n >= rank and penalty < _TINY * max(float(array[0]), 1.0):
        raise reject(
            "penalty", penalty * scale, "must be at least 1e-307 of the variances", "Raise it."
        )
    if array[rank - 1] == 0:
        raise reject(
            "variances", variances, "must span less than 1e308", "Drop the features below that."
        )
    head, tail = array[:n], array[n:]
    surplus, deficit = n * penalty, max(n - array.size, 0)
    if start is None:
        mu = _upper_bound(array, n, rank, surplus)
    else:
        mu = nonnegative_number("start", start) / scale
        if mu == 0:
            raise reject("start", start, "must be positive", "Leave it out.")
    mu, certificate, sweeps = _iterate(head, tail, mu, surplus, deficit)
    value = mu * scale
    if not (isfinite(value) and value >= _TINY):
        raise reject("variances", variances, "must have a root in float64", "Rescale them.")
    return EffectiveRidge(value, certificate, sweeps)


def _upper_bound(array: Array, n: int, rank: int, surplus: float) -> float:
    """Bound mu from above, exactly if the features after the k largest are isotropic, k the best.

    At the root n - k <= sum_{i>k} zeta_i + surplus / mu, since zeta < 1, and Jensen's inequality
    bounds the sum by (r-k) m / (m + mu), m the mean of the r-k variances. The bound is the positive
    root of (n-k) mu^2 - ((r-n) m + surplus) mu - surplus m = 0. Tried are k = 0, n/4, n/2, 3n/4.
    """
    cuts = [k * min(n, rank) // 4 for k in range(4)]
    tail, bounds = 0.0, []
    for k, end in zip(cuts[::-1], [rank, *cuts[:0:-1]], strict=True):
        tail += float(array[k:end].sum())
        mean = tail / (rank - k)
        linear = (rank - n) * mean + surplus
        root = sqrt(linear**2 + 4 * (n - k) * surplus * mean)
        if linear > 0:
            bounds.append((linear + root) / (2 * (n - k)))
        else:
            bounds.append(2 * surplus * mean / (root - linear))
    return min(bounds)


def _iterate(
    head: Array, tail: Array, mu: float, surplus: float, deficit: int
) -> tuple[float, float, int]:
    """Run the safeguarded Halley iteration from `mu`; return root, certificate and sweeps."""
    previous, last_step = inf, inf
    room = np.empty((2, min(BLOCK, max(head.size, tail.size))))
    for sweeps in range(1, _MAX_SWEEPS + 1):
        # Near the root an error e becomes O(e^3), so after such a step only rounding is left,
        # and the certificate, which needs no derivatives, is all that remains to be computed.
        final = abs(last_step) ** 3 < _ROUNDING
        h, h1, h2 = _power_sums(head, mu, room, head_side=True, plain=final)
        t, t1, t2 = _power_sums(tail, mu, room, head_side=False, plain=final)
        balance = h + deficit, t + surplus / mu
        psi = _log_ratio(*balance)
        if final or abs(psi) < _ROUNDING:
            return mu, abs(psi), sweeps
        rise, fall = h1 / balance[0], (t1 + surplus / mu) / balance[1]
        slope = rise + fall
        curvature = h2 / balance[0] - rise**2 - (t2 + surplus / mu) / balance[1] + fall**2
        newton = -psi / slope
        step = newton / max(1 + newton * curvature / (2 * slope), 0.5)
        low, high = sorted((-psi, -psi / 2))
        step = min(max(step, low), high)
        if abs(psi) > previous / 2:
            step = -2 * psi / 3
        previous, last_step = abs(psi), step
        mu *= exp(min(step, _LONGEST_STEP))
    msg = f"no convergence in {_MAX_SWEEPS} sweeps, which the bounds on Psi' exclude: report this."
    raise ArithmeticError(msg)


def _log_ratio(a: float, b: float) -> float:
    """Return log(a / b); near a = b the difference of logarithms would lose |log a| digits."""
    ratio = a / b
    return log(ratio) if 0 < ratio < inf else log(a) - log(b)


def _power_sums(
    part: Array, mu: float, room: Array, *, head_side: bool, plain: bool
) -> tuple[float, float, float]:
    """Sum f, |f'| and f'' over `part`, f = 1 - zeta for the head and zeta for the tail.

    Derivatives are in l = log mu: f' = f (1-f) for the head and minus that for the tail, and
    f'' = f (1-f) (1-2f) for both. `plain` leaves them out. `room` holds two blocks.
    """
    sums: list[tuple[float, float, float]] = []
    for begin in range(0, part.size, BLOCK):
        block = part[begin : begin + BLOCK]
        value, square = room[0, : block.size], room[1, : block.size]
        np.add(block, mu, out=value)
        np.divide(mu if head_side else block, value, out=value)
        s0 = float(value.sum())
        if plain:
            sums.append((s0, 0.0, 0.0))
            continue
        s1 = float(np.dot(value, value))
        np.multiply(value, value, out=square)
        s2 = float(np.dot(square, value))
        sums.append((s0, s0 - s1, s0 - 3 * s1 + 2 * s2))
    return fsum(s[0] for s in sums), fsum(s[1] for s in sums), fsum(s[2] for s in sums)
