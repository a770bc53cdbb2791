"""Effective ridge and risk at many sample sizes at once, from one compressed spectrum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam._validation import Array, count, nonnegative_number, real_array, reject
from overparam.compressed_spectrum import CompressedSpectrum, compress_spectrum
from overparam.effective_ridge import solve_effective_ridge
from overparam.law import check_sample_size, law_at, min_norm_law
from overparam.problem import LinearGaussianProblem

_MAX_STEPS = 100
_LARGEST = 2.0**53
# Below this sensitivity of log(sum zeta) to log mu, rounding in the node sums would be amplified.
_FLAT = 4e-3


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


def risk_curve(
    problem: LinearGaussianProblem | CompressedSpectrum,
    ns: ArrayLike,
    *,
    noise_variance: float | None = None,
) -> RiskCurve:
    """Return xi and risk of the minimum-norm fit for many sample sizes.

    Parameters
    ----------
    problem : LinearGaussianProblem or CompressedSpectrum
        The population. A compressed spectrum whose weights are the saliency is one too, without its
        noise: compressed once, it gives any number of curves, each in a time that does not depend
        on p.
    ns : array_like of int, shape (k,)
        Sample sizes; none may equal p.
    noise_variance : float, optional
        For a compressed spectrum, and only for it.

    Returns
    -------
    RiskCurve
        The values `min_norm_law` gives one by one, to 1e-12 relative.

    Raises
    ------
    ValueError
        If a sample size is not an integer of at least 1, or no law exists there, or
        `noise_variance` is missing or passed for a problem, which has its own.

    Notes
    -----
    Costs one pass over the spectrum (see `compress_spectrum`) plus work that does not depend on p.
    Where the fixed point is so flat that the nodes lose digits (a gap of many orders of magnitude
    just at n), one direct solution started from theirs restores them. A compressed spectrum has
    nothing to restore them from: there 1e-7 relative remains.

    Examples
    --------
    >>> problem = LinearGaussianProblem(np.ones(100), np.full(100, 0.1), noise_variance=1.0)
    >>> risk_curve(problem, [50, 200]).risk
    array([2.5, 2. ])

    Once compressed, many noise levels:

    >>> small = compress_spectrum(problem.variances, problem.saliency)
    >>> [float(risk_curve(small, [50], noise_variance=v).risk[0].round(9)) for v in (0.0, 1.0)]
    [0.5, 2.5]
    """
    sizes = real_array("ns", ns, (1,))
    if not np.all(sizes == np.round(sizes)) or np.abs(sizes).max() > _LARGEST:
        raise reject("ns", ns, "must hold integers up to 2^53", "Round them.")
    counts = sizes.astype(np.int64)
    if isinstance(problem, CompressedSpectrum):
        return _compressed_curve(problem, counts, noise_variance)
    for n in counts:
        check_sample_size(problem, int(n), penalty=0.0)
    if noise_variance is not None:
        rule = "must not be passed with a problem, which has its own"
        raise reject("noise_variance", noise_variance, rule, "Leave it out.")
    xi, risk = np.full(sizes.shape, np.inf), np.empty(sizes.shape)
    wide = counts < problem.p
    for index in np.flatnonzero(~wide):
        risk[index] = min_norm_law(problem, int(counts[index])).risk
    if wide.any():
        xi[wide], risk[wide] = _overparameterized(problem, counts[wide])
    return RiskCurve(counts, xi, risk)


def _compressed_curve(
    small: CompressedSpectrum, ns: NDArray[np.int64], noise_variance: float | None
) -> RiskCurve:
    way_out = "Pass the noise variance that goes with the compressed spectrum."
    if noise_variance is None:
        raise reject("noise_variance", None, "must be a number", way_out)
    noise = nonnegative_number("noise_variance", noise_variance)
    for n in ns:
        if count("n", n) == small.rank:
            rule = "must differ from the number of features"
            raise reject("n", int(n), rule, "The risk is infinite there: change n.")
    xi, risk = np.full(ns.shape, np.inf), noise * ns / np.maximum(ns - small.rank, 1)
    wide = ns < small.rank
    if wide.any():
        mu, risk[wide], _ = _on_nodes(small, ns[wide].astype(np.float64), noise)
        xi[wide] = 1 / mu
    return RiskCurve(ns, xi, risk)


def _overparameterized(
    problem: LinearGaussianProblem, ns: NDArray[np.int64]
) -> tuple[Array, Array]:
    coefficients = problem.coefficients
    if problem.eigenvectors is not None:
        coefficients = coefficients @ problem.eigenvectors
    small = compress_spectrum(problem.eigenvalues, problem.eigenvalues * coefficients**2)
    mu, risk, elasticity = _on_nodes(small, ns.astype(np.float64), problem.noise_variance)
    for index in np.flatnonzero(elasticity < _FLAT):
        n = int(ns[index])
        ridge = solve_effective_ridge(problem.eigenvalues, n, start=float(mu[index]))
        law = law_at(problem, n, 0.0, ridge.value)
        mu[index], risk[index] = law.effective_ridge, law.risk
    return 1 / mu, risk


def _on_nodes(
    small: CompressedSpectrum, ns: Array, noise_variance: float
) -> tuple[Array, Array, Array]:
    """Effective ridge, risk and the elasticity of the fixed point there, of the shape of `ns`."""
    # A power of two keeps sums in range and rescales without rounding.
    scale = 2.0 ** np.frexp(small.nodes.max())[1]
    nodes = small.nodes / scale
    if nodes.min() == 0:
        way_out = "Drop the features below that."
        raise reject("variances", small.nodes, "must span less than 1e308", way_out)
    mu = _solve_on_nodes(nodes, small.counts, small.rank, ns)
    kept, lost = _shrinkage(nodes, mu)
    # Products row by row: BLAS splits larger ones over threads, and their bits with them.
    flow = np.vecdot(kept * lost, small.counts)
    elasticity = flow / np.vecdot(kept, small.counts) + flow / np.vecdot(lost, small.counts)
    risk = ns * (noise_variance + np.vecdot(lost**2, small.weights)) / flow
    with np.errstate(over="ignore", under="ignore"):
        mu = mu * scale
    if not np.all(np.isfinite(mu) & (mu > 0)):
        raise reject("variances", small.nodes, "must have a root in float64", "Rescale them.")
    return mu, risk, elasticity


def _shrinkage(nodes: Array, mu: Array) -> tuple[Array, Array]:
    """Return zeta and 1 - zeta of every node (along rows) for every mu."""
    inverse = np.reciprocal(nodes + mu[:, None])
    return nodes * inverse, mu[:, None] * inverse


def _solve_on_nodes(nodes: Array, counts: Array, rank: int, ns: Array) -> Array:
    """Solve sum zeta = n for every n by bracketed Newton steps on the log odds, in log mu."""
    goal = np.log((rank - ns) / ns)
    mean = float((counts * nodes).sum()) / rank
    # mu lies between (r-n)/n times the least variance (up to 1 below its nodes) and the mean.
    low, high = goal + np.log(nodes.min()) - 1, goal + np.log(mean) + 1e-9
    ell = high.copy()
    for _ in range(_MAX_STEPS):
        kept, lost = _shrinkage(nodes, np.exp(ell))
        total, missing = np.vecdot(kept, counts), np.vecdot(lost, counts)
        flow = np.vecdot(np.multiply(kept, lost, out=kept), counts)
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
    return np.exp(ell)
