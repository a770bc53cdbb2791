r"""Which coordinates survive: the score law, its threshold, and the moments on either side.

Coordinate i of the fit is N(m_i, v_i^2). A rule keeps it when |beta_hat_i| exceeds a cutoff of its
own, t / w_i with weight w_i = 1 (magnitude) or sqrt(lambda_i) (Hessian), where t makes the expected
number of survivors equal to s; or it keeps a set that does not look at the fit (oracle, random).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from overparam._validation import Array, reject
from overparam.effective_ridge import BLOCK
from overparam.law import CoordinateLaw
from overparam.pruning import Rule, SiPPRule, check_rule, kept_count, prune

_FARTHEST = 40.0  # standard deviations: beyond, tails and densities are zero in float64
_COARSE = 2048  # features of the sample on which a threshold is found first
_MAX_STEPS = 200
_PEAK = (2 * np.pi) ** -0.5  # of the standard normal density
_TINY = 1e-300  # stands for a standard deviation of zero


def selection_thresholds(law: CoordinateLaw, keep: ArrayLike, rule: Rule) -> Array:
    """Return the threshold on the score at which the expected number of survivors is s.

    Parameters
    ----------
    law : CoordinateLaw
        Of a problem with diagonal covariance.
    keep : float or array_like of shape (k,)
        Fraction(s) of weights kept; s is `kept_count`.
    rule : str or SiPPRule
        A rule that looks at the fit: ``"magnitude"``, ``"hessian"`` or `SiPPRule`.

    Returns
    -------
    ndarray of the shape of `keep`
        In the units of the score; 0 where s is at least the number of coordinates that vary.

    Raises
    ------
    ValueError
        If the rule does not look at the fit, or another argument is out of range.

    Examples
    --------
    The median of a folded normal:

    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> law = min_norm_law(LinearGaussianProblem(np.ones(100), np.zeros(100), 1.0), 50)
    >>> round(float(selection_thresholds(law, 0.5, "magnitude") / law.std[0]), 4)
    0.6745
    """
    scores = _score_law(law, rule)
    counts = kept_count(keep, law.problem.p)
    return np.array([scores.threshold(int(s)) for s in counts.flat]).reshape(counts.shape)


@dataclass(frozen=True, eq=False)
class Moments:
    """E[H^k; kept] and E[H^k; removed], k = 0, 1, 2, of standard normal H, each of shape (b,)."""

    kept: tuple[Array, Array, Array]
    removed: tuple[Array, Array, Array]


@dataclass(frozen=True, eq=False)
class _ScoreLaw:
    """Law of the scores w_i |beta_hat_i| M: a Gaussian, folded, times an independent factor."""

    mean: Array
    std: Array
    factors: Array  # quadrature nodes of M
    factor_weights: Array

    def survivors(self, t: float, every: int = 1) -> tuple[float, float, float]:
        """Expected number of scores above t, and its two derivatives with respect to log t."""
        total, first, second = 0.0, 0.0, 0.0
        # The middle of each stride: for sorted features the sums are those of a midpoint rule.
        mean, std = self.mean[every // 2 :: every], self.std[every // 2 :: every]
        for begin in range(0, mean.size, BLOCK):
            part = slice(begin, begin + BLOCK)
            for factor, weight in zip(self.factors, self.factor_weights, strict=True):
                above, below = _standardized(mean[part], std[part], t / factor)
                total += weight * float((ndtr(-above) + ndtr(below)).sum())
                high, low = _density(above) / std[part], _density(below) / std[part]
                slope = weight * t / factor * float((high + low).sum())
                with np.errstate(over="ignore", invalid="ignore"):
                    bend = float(((above * high - below * low) / std[part]).sum())
                first -= slope
                second += weight * (t / factor) ** 2 * bend - slope
        return total, first, second

    def threshold(self, s: int) -> float:
        """Solve survivors(t) = s, on a coarse sample of the features first."""
        if s >= np.count_nonzero(self.std > _TINY):
            return 0.0
        every = max(1, self.mean.size // _COARSE)
        t = float(np.abs(self.mean).max() + self.std.max())
        if every > 1:
            t = self._halley(t, s / self.mean.size, every)
        return self._halley(t, s / self.mean.size, 1)

    def _halley(self, t: float, keep: float, every: int) -> float:
        """Bracketed Halley iteration for log survivors in log t."""
        goal = keep * self.mean[every // 2 :: every].size
        low, high, log_t = -np.inf, np.inf, float(np.log(t))
        for _ in range(_MAX_STEPS):
            total, first, second = self.survivors(float(np.exp(log_t)), every)
            excess = np.log(total / goal) if total > 0 else -np.inf
            low, high = (log_t, high) if excess > 0 else (low, log_t)
            step, curved = -1.0, 1.0
            # In a gap between the scores the slope vanishes; the bracket takes over.
            if -first > _TINY and total > 0:
                newton = -excess * total / first
                bend = second / first - first / total  # of log survivors, over its slope
                curved = newton * bend / 2 if np.isfinite(bend) else 1.0
                step = newton / max(1 + curved, 0.5)
            if abs(step) < 1e-14:
                return float(np.exp(log_t))
            following = log_t + step
            if not low < following < high or abs(step) > 2:
                bracketed = np.isfinite(low) and np.isfinite(high)
                following = (low + high) / 2 if bracketed else log_t + np.sign(excess)
            log_t = float(following)
            # Halley cubes the error, in units of the width over which the slope changes.
            if abs(step) < 3e-5 and abs(step) * curved**2 < 1e-13:
                return float(np.exp(log_t))
        return float(np.exp(log_t))

    def moments(self, t: float, part: slice) -> Moments:
        """Moments of the Gaussian on either side of the cutoff, averaged over the factor."""
        sums = np.zeros((4, self.mean[part].size))
        for factor, weight in zip(self.factors, self.factor_weights, strict=True):
            above, below = _standardized(self.mean[part], self.std[part], t / factor)
            high, low = _density(above), _density(below)
            lower = ndtr(below)
            tail = ndtr(-above) + lower
            inside = 1 - tail
            likely = tail > 0.5  # there the difference would lose digits
            inside[likely] = ndtr(above[likely]) - lower[likely]
            edge = above * high - below * low
            for row, piece in enumerate((tail, inside, high - low, edge)):
                sums[row] += weight * piece
        tail, inside, first, edge = sums
        return Moments((tail, first, tail + edge), (inside, -first, inside - edge))


def _standardized(mean: Array, std: Array, cutoff: float) -> tuple[Array, Array]:
    """Return (cutoff - mean) / std and (-cutoff - mean) / std, clipped where nothing is left."""
    pair = cutoff - mean, -cutoff - mean
    with np.errstate(over="ignore"):
        for side in pair:
            np.divide(side, std, out=side)
            np.clip(side, -_FARTHEST, _FARTHEST, out=side)
    return pair


def _density(x: Array) -> Array:
    density = x**2
    density *= -0.5
    np.exp(density, out=density)
    density *= _PEAK
    return density


def _score_law(law: CoordinateLaw, rule: Rule) -> _ScoreLaw:
    check_independent(law, rule)
    if rule in ("oracle", "random"):
        raise reject("rule", rule, "must look at the fit", "It has no threshold on the fit.")
    weights = np.ones(law.problem.p) if rule == "magnitude" else np.sqrt(law.problem.variances)
    factors, factor_weights = np.ones(1), np.ones(1)
    if isinstance(rule, SiPPRule):
        factors, factor_weights = _extreme_value_quadrature(rule)
    return _ScoreLaw(
        law.mean * weights, np.maximum(law.std * weights, _TINY), factors, factor_weights
    )


def _extreme_value_quadrature(rule: SiPPRule) -> tuple[Array, Array]:
    """Gauss-Legendre nodes in m for the density n (2 Phi - 1)^(n-1) 2 phi of the extreme value."""
    low, high = rule.extreme_value(np.array([1e-17, 1 - 1e-16]))
    # Few samples leave density near M = 0, where survival is flat but not analytic: more nodes.
    x, w = np.polynomial.legendre.leggauss(48 if rule.sample_size >= 10 else 128)
    m = low + (high - low) * (x + 1) / 2
    log_cdf = np.log1p(-2 * ndtr(-m))
    density = rule.sample_size * np.exp((rule.sample_size - 1) * log_cdf) * 2 * _density(m)
    weights = w * density
    return m, weights / weights.sum()


def check_independent(
    law: CoordinateLaw, rule: Rule, way_out: str = "Use pruned_risk_monte_carlo."
) -> None:
    """Refuse what the closed forms do not cover.

    Parameters
    ----------
    law : CoordinateLaw
        Must be of a problem with diagonal covariance.
    rule : str or SiPPRule
        Must be a pruning rule.
    way_out : str, optional
        What to do for a full covariance.

    Raises
    ------
    ValueError
        If one is not.

    Examples
    --------
    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> check_independent(min_norm_law(LinearGaussianProblem([1.0], [1.0], 1.0), 3), "random")
    """
    check_rule(rule)
    if not isinstance(law, CoordinateLaw):
        raise reject("law", law, "must be a CoordinateLaw", "Make one with min_norm_law.")
    if not law.problem.is_diagonal:
        raise reject(
            "law.problem.covariance.shape",
            law.problem.covariance.shape,
            "must be one-dimensional (independent features)",
            way_out,
        )


def survival(law: CoordinateLaw, s: int, rule: Rule) -> Iterator[tuple[slice, Moments]]:
    """Yield blocks of features with the moments of what is kept of them and what is removed.

    Parameters
    ----------
    law : CoordinateLaw
        Of a problem with diagonal covariance.
    s : int
        Number of survivors.
    rule : str or SiPPRule
        See `prune`.

    Yields
    ------
    part : slice
        The features of the block.
    moments : Moments
        Of the standardized coordinates, each array of the length of the block.

    Examples
    --------
    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> law = min_norm_law(LinearGaussianProblem(np.ones(100), np.zeros(100), 1.0), 50)
    >>> [(part, moments)] = survival(law, 10, "magnitude")
    >>> round(float(moments.kept[0].sum()), 10)
    10.0
    """
    p = law.problem.p
    parts = (slice(begin, begin + BLOCK) for begin in range(0, p, BLOCK))
    silent = not np.any(law.std > 0)
    if rule in ("oracle", "random") or silent:
        probability = np.full(p, s / p)
        if rule != "random":
            fixed = _fixed_support(law, s, rule)
            probability = fixed.astype(np.float64)
        zero = np.zeros(p)
        for part in parts:
            kept, none = probability[part], zero[part]
            yield part, Moments((kept, none, kept), (1 - kept, none, 1 - kept))
        return
    scores = _score_law(law, rule)
    t = scores.threshold(s)
    for part in parts:
        yield part, scores.moments(t, part)


def _fixed_support(law: CoordinateLaw, s: int, rule: Rule) -> NDArray[np.bool_]:
    """Survivors that are no matter of chance: the oracle's, or any rule's if the fit is exact."""
    if isinstance(rule, SiPPRule):
        raise reject(
            "rule", rule, "must be deterministic for a fit without any randomness", "Add noise."
        )
    problem = law.problem
    kept = prune(
        np.ones(problem.p) if rule == "oracle" else law.mean,
        1.0 if s == problem.p else s / problem.p,
        rule,
        variances=problem.variances,
        saliency=problem.saliency,
    )
    return kept != 0
