"""Risk of minimum-norm fits against width: one incremental sweep for each random sample.

All widths of a replicate share one sample. Features are rows in memory, so the first w of them are
one contiguous block. For w < n one QR factorization of the widest such block serves all its leading
blocks; for w >= n the n x n kernel Phi Phi' grows by symmetric rank-k updates, and a Cholesky
factorization gives the dual solution. The kernel squares the condition number, hence the guard: a
fit that misses its labels by more than 1e-8 (relative) is done again by a QR factorization of its
own, which for graded features is more accurate than singular values (at condition 1e9 errors of
1e-14 against 1e-10) and takes a fifth to a half of their time.
"""

from collections.abc import Callable
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg.blas import dsyrk, dtrsv
from scipy.linalg.lapack import dgeqrf, dormqr, dpotrf, dtrtrs

from overparam._validation import Array, count, real_array, reject
from overparam.law import check_sample_size
from overparam.problem import LinearGaussianProblem
from overparam.simulation import MonteCarlo, simulate

_GUARD = 1e-8
_PANEL = 32  # columns that a QR factorization treats at once, given room for them
_BLOCKS = 6  # of features, for products with coefficients that are zero beyond their width


def simulate_risks(
    problem: LinearGaussianProblem,
    n: int,
    widths: ArrayLike,
    replicates: int,
    seed: int | np.random.SeedSequence,
    n_jobs: int = 1,
    *,
    backend: str | None = None,
    progress: Callable[[str], Any] | None = None,
    path: str | PathLike[str] | None = None,
) -> MonteCarlo:
    """Simulate the risk of the minimum-norm fit that uses the first w features, for each width w.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population; features beyond w are unseen, so their signal acts as noise.
    n : int
        Number of samples.
    widths : array_like of int, shape (k,)
        Strictly increasing, from 1 to p. Widths within 1 of n are legal, but their expected risk is
        infinite, and within 3 its variance is: do not test means there.
    replicates : int
        Independent training samples, at least 2.
    seed : int or numpy.random.SeedSequence
        See `simulate`.
    n_jobs, backend, progress, path : optional
        See `simulate`: workers, a cluster, rate and remaining time, a file to resume from.

    Returns
    -------
    MonteCarlo
        ``samples`` of shape (replicates, k): the exact population risk of each fit (closed form, no
        test sample), noise included.

    Raises
    ------
    ValueError
        If `widths` is not strictly increasing within [1, p], or another argument is out of range.

    Examples
    --------
    >>> problem = LinearGaussianProblem(np.ones(60), np.full(60, 0.1), noise_variance=0.5)
    >>> result = simulate_risks(problem, n=30, widths=[10, 60], replicates=50, seed=0)
    >>> result.samples.shape
    (50, 2)
    """
    check_sample_size(problem, n, penalty=1.0)
    array = real_array("widths", widths, (1,))
    increasing = bool(np.all(np.diff(array) > 0)) and bool(np.all(array == np.round(array)))
    if not increasing or array[0] < 1 or array[-1] > problem.p:
        raise reject(
            "widths",
            widths,
            f"must be strictly increasing integers from 1 to p = {problem.p}",
            "Sort them and drop duplicates.",
        )
    steps = tuple(int(width) for width in array)
    # Never draw features that no width uses: what they carry is noise to all of them.
    visible = problem.restrict(np.arange(steps[-1]))
    return simulate(
        partial(_risks, visible, count("n", n), steps),
        replicates,
        seed,
        n_jobs,
        backend=backend,
        progress=progress,
        path=path,
    )


def _risks(
    problem: LinearGaussianProblem, n: int, widths: tuple[int, ...], rng: np.random.Generator
) -> Array:
    """Population risk of the fit of every width on one sample."""
    rows = _feature_rows(problem, n, rng)
    labels = problem.coefficients @ rows
    labels += np.sqrt(problem.noise_variance) * rng.standard_normal(n)
    return problem.risk(fit_widths(rows, labels, widths))


def fit_widths(rows: Array, labels: Array, widths: tuple[int, ...]) -> Array:
    """Fit the labels with the first w features, for each width w.

    Parameters
    ----------
    rows : ndarray of shape (p, n)
        The design transposed, contiguous: one feature a row.
    labels : ndarray of shape (n,)
        What to fit.
    widths : tuple of int, k of them
        Strictly increasing, from 1 to p.

    Returns
    -------
    ndarray of shape (k, p)
        Minimum-norm least-squares coefficients of every width, zero beyond it.

    Examples
    --------
    >>> fit_widths(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([3.0, 4.0]), (1, 2))
    array([[3., 0.],
           [3., 2.]])
    """
    fits = np.zeros((len(widths), len(rows)))
    narrow = sum(width < labels.size for width in widths)
    _fit_narrow(rows, labels, widths[:narrow], fits[:narrow])
    _fit_wide(rows, labels, widths[narrow:], fits[narrow:])
    return fits


def _feature_rows(problem: LinearGaussianProblem, n: int, rng: np.random.Generator) -> Array:
    """Draw the design transposed, shape (p, n)."""
    rows = rng.standard_normal((problem.p, n))
    if problem.eigenvectors is None:
        rows *= np.sqrt(problem.variances)[:, None]
        return rows
    return problem.eigenvectors @ (np.sqrt(problem.eigenvalues)[:, None] * rows)


def _fit_narrow(rows: Array, labels: Array, widths: tuple[int, ...], fits: Array) -> None:
    """Least squares for every width below n, from one QR factorization."""
    if not widths:
        return
    # Only the factor and Q' y are needed: the orthogonal basis itself is never formed.
    triangle, reflectors, _, _ = dgeqrf(rows[: widths[-1]].T, lwork=_PANEL * widths[-1])
    target = dormqr("L", "T", triangle, reflectors, labels[:, None], _PANEL)[0]
    for fit, width in zip(fits, widths, strict=True):
        leading = triangle[:width, :width]
        if _singular(leading, labels.size):
            fit[:width] = np.linalg.lstsq(rows[:width].T, labels, rcond=None)[0]
        else:
            fit[:width] = dtrtrs(leading, target[:width])[0][:, 0]


def _fit_wide(rows: Array, labels: Array, widths: tuple[int, ...], fits: Array) -> None:
    """Minimum-norm interpolation for every width from n on, from one growing kernel."""
    if not widths:
        return
    n = labels.size
    kernel, room = np.zeros((n, n), order="F"), np.empty((n, n), order="F")
    duals = np.zeros((len(widths), n))
    solved = 0
    for index, width in enumerate(widths):
        kernel = dsyrk(1.0, rows[solved:width].T, beta=1.0, c=kernel, lower=1, overwrite_c=1)
        solved = width
        np.copyto(room, kernel)
        factor, info = dpotrf(room, lower=1, clean=0, overwrite_a=1)
        if info == 0:
            duals[index] = dtrsv(factor, dtrsv(factor, labels, lower=1), lower=1, trans=1)
    residuals = np.tile(labels, (len(widths), 1))
    # Each block of features is for the widths that reach into it: half of all products.
    begin = 0
    for group in np.array_split(np.arange(len(widths)), min(_BLOCKS, len(widths))):
        end = widths[group[-1]]
        reaching = slice(group[0], None)
        block = np.matmul(duals[reaching], rows[begin:end].T, out=fits[reaching, begin:end])
        for coefficients, index in zip(block, group, strict=False):
            coefficients[widths[index] - begin :] = 0
        residuals[reaching] -= block @ rows[begin:end]
        begin = end
    missed = np.linalg.norm(residuals, axis=1) > _GUARD * np.linalg.norm(labels)
    for index in np.flatnonzero(missed).tolist():
        width = widths[index]
        fits[index, :width] = _interpolate(rows[:width], labels)


def _interpolate(rows: Array, labels: Array) -> Array:
    """Minimum-norm interpolation from a QR factorization of the features; rows.shape[0] >= n."""
    n = labels.size
    basis, reflectors, _, _ = dgeqrf(rows, lwork=_PANEL * n)
    triangle = basis[:n]
    if _singular(triangle, len(rows)):
        return np.asarray(np.linalg.lstsq(rows.T, labels, rcond=None)[0], dtype=np.float64)
    padded = np.zeros((len(rows), 1), order="F")
    padded[:n] = dtrtrs(triangle, labels[:, None], trans=1)[0]
    beta: Array = dormqr("L", "N", basis, reflectors, padded, _PANEL)[0][:, 0]
    return beta


def _singular(triangle: Array, size: int) -> bool:
    """Whether a triangular factor, from a matrix whose longer side is `size`, lacks full rank."""
    diagonal = np.abs(np.diagonal(triangle))
    return bool(diagonal.min() <= size * np.finfo(np.float64).eps * diagonal.max())
