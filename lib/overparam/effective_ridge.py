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
    return solve_checked(
        nonnegative_array("variances", variances),
        count("n", n),
        nonnegative_number("penalty", penalty),
        start,
    )


def solve_checked(
    array: Array, n: int, penalty: float, start: float | None = None, *, certify: bool = True
) -> EffectiveRidge:
    """Solve for arguments of the right types, with or without the sweep for the certificate.

    Parameters
    ----------
    array : ndarray of shape (p,)
        Variances, finite and not negative.
    n : int
        Number of samples, at least 1.
    penalty : float
        Ridge penalty, finite and not negative.
    start : float, optional
        A first guess of the root.
    certify : bool, optional
        Whether to spend one more sweep on the certificate of the root. Without it the certificate
        is a bound from before the last step, which takes the error to its third power.

    Returns
    -------
    EffectiveRidge
        As from `solve_effective_ridge`; the root is the same either way.

    Examples
    --------
    >>> solve_checked(np.array([2.0, 2.0]), 1, 0.0, certify=False).value
    2.0
    """
    if not (array[:-1] >= array[1:]).all():
        array = np.sort(array)[::-1]
    # Zeros are last, so that their number is known without a pass over all.
    rank = array.size if array[-1] > 0 else int(np.count_nonzero(array))
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
    largest = float(array[0])
    scale = ldexp(0.5, frexp(max(largest, penalty))[1])
    scale = 1.0 if _SMALL < scale < 1 / _SMALL else scale
    if scale != 1:
        array, penalty, largest = array / scale, penalty / scale, largest / scale
    if n >= rank and penalty < _TINY * max(largest, 1.0):
        raise reject(
            "penalty", penalty * scale, "must be at least 1e-307 of the variances", "Raise it."
        )
    if array[rank - 1] == 0:
        raise reject(
            "variances", array * scale, "must span less than 1e308", "Drop the features below that."
        )
    surplus, deficit = n * penalty, max(n - array.size, 0)
    if start is None:
        mu = _upper_bound(array, n, rank, surplus)
    else:
        mu = nonnegative_number("start", start) / scale
        if mu == 0:
            raise reject("start", start, "must be positive", "Leave it out.")
    mu, certificate, sweeps = _iterate(array[:n], array[n:], mu, surplus, deficit, certify=certify)
    value = mu * scale
    if not (isfinite(value) and value >= _TINY):
        raise reject("variances", array * scale, "must have a root in float64", "Rescale them.")
    return EffectiveRidge(value, certificate, sweeps)


def _upper_bound(array: Array, n: int, rank: int, surplus: float) -> float:
    """Bound mu from above, exactly if the features after the k largest are isotropic, k the best.

    At the root n - k <= sum_{i>k} zeta_i + surplus / mu, since zeta < 1, and Jensen's inequality
    bounds the sum by (r-k) m / (m + mu), m the mean of the r-k variances. The bound is the positive
    root of (n-k) mu^2 - ((r-n) m + surplus) mu - surplus m = 0. Tried are k = 0, n/4, n/2, 3n/4.
    """
    cuts = sorted({k * min(n, rank) // 4 for k in range(4)})
    sums = np.add.reduceat(array[:rank], cuts).tolist()
    tail, bounds = 0.0, []
    for k, part in zip(cuts[::-1], sums[::-1], strict=True):
        tail += part
        mean = tail / (rank - k)
        linear = (rank - n) * mean + surplus
        root = sqrt(linear**2 + 4 * (n - k) * surplus * mean)
        if linear > 0:
            bounds.append((linear + root) / (2 * (n - k)))
        else:
            bounds.append(2 * surplus * mean / (root - linear))
    return min(bounds)


def _iterate(
    head: Array, tail: Array, mu: float, surplus: float, deficit: int, *, certify: bool
) -> tuple[float, float, int]:
    """Run the safeguarded Halley iteration from `mu`; return root, certificate and sweeps."""
    previous, last_step = inf, inf
    room = np.empty((2, min(BLOCK, max(head.size, tail.size))))
    head_blocks, tail_blocks = _blocks(head, room), _blocks(tail, room)
    for sweeps in range(1, _MAX_SWEEPS + 1):
        # Near the root an error e becomes O(e^3), so after such a step only rounding is left,
        # and the certificate, which needs no derivatives, is all that remains to be computed.
        final = abs(last_step) ** 3 < _ROUNDING
        if final and not certify:
            return mu, previous / 2, sweeps - 1
        h, h1, h2 = _power_sums(head_blocks, mu, head_side=True, plain=final)
        t, t1, t2 = _power_sums(tail_blocks, mu, head_side=False, plain=final)
        high, low = h + deficit, t + surplus / mu
        psi = _log_ratio(high, low)
        if final or abs(psi) < _ROUNDING:
            return mu, abs(psi), sweeps
        rise, fall = h1 / high, (t1 + surplus / mu) / low
        slope = rise + fall
        curvature = h2 / high - rise**2 - (t2 + surplus / mu) / low + fall**2
        newton = -psi / slope
        step = newton / max(1 + newton * curvature / (2 * slope), 0.5)
        # The exact step is between -psi and -psi / 2.
        step = min(max(abs(step), abs(psi) / 2), abs(psi)) * (-1 if psi > 0 else 1)
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


def _blocks(part: Array, room: Array) -> list[tuple[Array, Array, Array]]:
    """Cut `part` into blocks, each with two arrays of its size from `room`."""
    return [
        (block, room[0, : block.size], room[1, : block.size])
        for block in (part[begin : begin + BLOCK] for begin in range(0, part.size, BLOCK))
    ]


def _power_sums(
    blocks: list[tuple[Array, Array, Array]], mu: float, *, head_side: bool, plain: bool
) -> tuple[float, float, float]:
    """Sum f, |f'| and f'' over blocks, f = 1 - zeta for the head and zeta for the tail.

    Derivatives are in l = log mu: f' = f (1-f) for the head and minus that for the tail, and
    f'' = f (1-f) (1-2f) for both. With `plain` only the first sum is computed.
    """
    sums: tuple[list[float], list[float], list[float]] = [], [], []
    for block, value, square in blocks:
        np.add(block, mu, out=value)
        np.divide(mu if head_side else block, value, out=value)
        sums[0].append(float(np.add.reduce(value)))
        if plain:
            continue
        sums[1].append(float(value.dot(value)))
        np.multiply(value, value, out=square)
        sums[2].append(float(square.dot(value)))
    s0, s1, s2 = map(fsum, sums)
    return s0, s0 - s1, s0 - 3 * s1 + 2 * s2
