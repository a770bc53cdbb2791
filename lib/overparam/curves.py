"""Effective ridge and risk at many sample sizes at once, from one compressed spectrum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam._validation import Array, real_array, reject
from overparam.compressed_spectrum import CompressedSpectrum, compress_spectrum
from overparam.effective_ridge import solve_effective_ridge
from overparam.law import check_sample_size, law_at, min_norm_law
from overparam.problem import LinearGaussianProblem

_MAX_STEPS = 100
_LARGEST = 2.0**53
# Below this sensitivity of log(sum zeta) to log mu, rounding in the node sums would be amplified.
_FLAT = 1e-3


@dataclass(frozen=True, eq=False)
class RiskCurve:
    """Dense risk against the number of samples; made by `risk_curve`.

    Attributes
    ----------
    ns : ndarray of int, shape (k,)
        Sample sizes, in the order asked for.
    xi : ndarray of shape (k,)
        Inverse effective ridge; inf for n > p.
    risk : ndarray of shape (k,)
        The risk gamma, noise included.
    """

    ns: NDArray[np.int64]
    xi: Array
    risk: Array


def risk_curve(problem: LinearGaussianProblem, ns: ArrayLike) -> RiskCurve:
    """Return xi and risk of the minimum-norm fit for many sample sizes.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population.
    ns : array_like of int, shape (k,)
        Sample sizes; none may equal p.

    Returns
    -------
    RiskCurve
        The values `min_norm_law` gives one by one, to 1e-12 relative.

    Raises
    ------
    ValueError
        If a sample size is not an integer of at least 1, or no law exists there.

    Notes
    -----
    Costs one pass over the spectrum (see `compress_spectrum`) plus work that does not depend on p.
    Where the fixed point is so flat that the nodes lose digits (a gap of many orders of magnitude
    just at n), one direct solution started from theirs restores them.

    Examples
    --------
    >>> problem = LinearGaussianProblem(np.ones(100), np.full(100, 0.1), noise_variance=1.0)
    >>> risk_curve(problem, [50, 200]).risk
    array([2.5, 2. ])
    """
    sizes = real_array("ns", ns, (1,))
    if not np.all(sizes == np.round(sizes)) or np.abs(sizes).max() > _LARGEST:
        raise reject("ns", ns, "must hold integers up to 2^53", "Round them.")
    counts = sizes.astype(np.int64)
    for n in counts:
        check_sample_size(problem, int(n), penalty=0.0)
    xi, risk = np.full(sizes.shape, np.inf), np.empty(sizes.shape)
    wide = counts < problem.p
    for index in np.flatnonzero(~wide):
        risk[index] = min_norm_law(problem, int(counts[index])).risk
    if wide.any():
        xi[wide], risk[wide] = _overparameterized(problem, counts[wide])
    return RiskCurve(counts, xi, risk)


def _overparameterized(
    problem: LinearGaussianProblem, ns: NDArray[np.int64]
) -> tuple[Array, Array]:
    coefficients = problem.coefficients
    if problem.eigenvectors is not None:
        coefficients = coefficients @ problem.eigenvectors
    small = compress_spectrum(problem.eigenvalues, problem.eigenvalues * coefficients**2)
    mu, elasticity = _solve_on_nodes(small, ns.astype(np.float64))
    kept = small.nodes / (small.nodes + mu[:, None])
    lost = mu[:, None] / (small.nodes + mu[:, None])
    bias = (small.weights * lost**2).sum(axis=1)
    risk = ns * (problem.noise_variance + bias) / (small.counts * kept * lost).sum(axis=1)
    for index in np.flatnonzero(elasticity < _FLAT):
        n = int(ns[index])
        ridge = solve_effective_ridge(problem.eigenvalues, n, start=float(mu[index]))
        law = law_at(problem, n, 0.0, ridge.value)
        mu[index], risk[index] = law.effective_ridge, law.risk
    return 1 / mu, risk


def _solve_on_nodes(small: CompressedSpectrum, ns: Array) -> tuple[Array, Array]:
    """Solve sum zeta = n for every n by bracketed Newton steps on the log odds, in log mu.

    Returns mu and the slope of the log odds at the root, both of the shape of `ns`.
    """
    logs = np.log(small.nodes)
    goal = np.log((small.rank - ns) / ns)
    mean = float((small.counts * small.nodes).sum()) / small.rank
    # mu lies between (r-n)/n times the least variance (up to 1 below its nodes) and the mean.
    low, high = goal + logs.min() - 1, goal + np.log(mean) + 1e-9
    ell = high.copy()
    for _ in range(_MAX_STEPS):
        kept = 1 / (1 + np.exp(ell[:, None] - logs))
        lost = 1 / (1 + np.exp(logs - ell[:, None]))
        total, missing = ((small.counts * kept).sum(axis=1), (small.counts * lost).sum(axis=1))
        flow = (small.counts * kept * lost).sum(axis=1)
        slope = flow / total + flow / missing
        value = np.log(missing) - np.log(total) - goal
        low, high = np.where(value < 0, ell, low), np.where(value > 0, ell, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = ell - value / slope
        inside = (newton >= low) & (newton <= high)
        following = np.where(inside, newton, (low + high) / 2)
        moved = np.abs(following - ell)
        ell = following
        if moved.max() < 1e-14 * max(1.0, np.abs(ell).max()):
            break
    return np.exp(ell), slope
