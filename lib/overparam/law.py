r"""The theorem: the distribution of least squares, coordinate by coordinate.

For independent Gaussian features, coordinate i of the minimum-norm (or ridge) fit behaves like

    beta_hat_i ~ N(zeta_i beta*_i, gamma zeta_i^2 / (n lambda_i)),  zeta_i = lambda_i/(lambda_i+mu),

mu the effective ridge and gamma the risk of the fit itself. For p < n without penalty, zeta = 1.
A full covariance is handled in its eigenbasis, because the fit is equivariant under rotations.

Gradient descent preconditioned by diag(pi) is the minimum-norm fit in the coordinates
beta_i / sqrt(pi_i), whose features have variances pi_i lambda_i: zeta and mu are computed from
these, and nothing else in the display changes.
"""

from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, count, generator, nonnegative_number, reject
from overparam.effective_ridge import BLOCK, solve_checked
from overparam.preconditioning import checked_preconditioner, preconditioned_spectrum
from overparam.problem import LinearGaussianProblem


@dataclass(frozen=True, eq=False)
class CoordinateLaw:
    r"""Law of the coordinates of a least-squares fit; made by `min_norm_law` and `ridge_law`.

    Attributes
    ----------
    problem : LinearGaussianProblem
        The population.
    n : int
        Number of samples.
    penalty : float
        Ridge penalty; 0 is the minimum-norm fit.
    effective_ridge : float
        :math:`\mu`; 0 for p < n without penalty.
    risk : float
        :math:`\gamma`, the limit of the population risk of the fit, noise included.
    preconditioner : ndarray of shape (p,) or None
        Entries :math:`\pi_i` of a diagonal preconditioner; None is the identity.

    Notes
    -----
    All arrays have shape (p,). For a full covariance `shrinkage` belongs to the eigenvectors (in
    the order of ``problem.eigenvalues``), while `mean`, `std` and `draw` are in the original basis.
    Features of variance zero have shrinkage, mean and standard deviation 0.
    """

    problem: LinearGaussianProblem
    n: int
    penalty: float
    effective_ridge: float
    risk: float
    preconditioner: Array | None = None

    def __post_init__(self) -> None:
        if not isfinite(self.risk):
            raise reject("problem", self.problem, "must have a finite risk", "Rescale the labels.")

    @property
    def xi(self) -> float:
        r"""Inverse effective ridge :math:`\xi = 1/\mu`; inf for p < n without penalty."""
        return 1 / self.effective_ridge if self.effective_ridge > 0 else np.inf

    @cached_property
    def shrinkage(self) -> Array:
        r"""Factor :math:`\zeta_i = \lambda_i / (\lambda_i + \mu)` in [0, 1], shape (p,).

        With a preconditioner, :math:`\pi_i\lambda_i` takes the place of :math:`\lambda_i`.
        """
        eigenvalues = self._spectrum
        if self.effective_ridge == 0:
            return (eigenvalues > 0).astype(np.float64)
        return eigenvalues / (eigenvalues + self.effective_ridge)

    @cached_property
    def complement(self) -> Array:
        r"""What shrinkage takes away, :math:`1 - \zeta_i` without cancellation, shape (p,)."""
        eigenvalues, mu = self._spectrum, self.effective_ridge
        return (eigenvalues == 0).astype(np.float64) if mu == 0 else mu / (eigenvalues + mu)

    @cached_property
    def mean(self) -> Array:
        r"""Mean :math:`\zeta_i \beta^*_i` of each coordinate, shape (p,)."""
        vectors, coefficients = self.problem.eigenvectors, self.problem.coefficients
        if vectors is None:
            return self.shrinkage * coefficients
        return vectors @ (self.shrinkage * (coefficients @ vectors))

    @cached_property
    def std(self) -> Array:
        r"""Standard deviation :math:`\sqrt{\gamma/(n\lambda_i)}\,\zeta_i` of each, shape (p,)."""
        vectors = self.problem.eigenvectors
        if vectors is None:
            return self._spectral_std
        return np.sqrt(vectors**2 @ self._spectral_std**2)

    @cached_property
    def _spectrum(self) -> Array:
        """Variances in the coordinates in which the fit has minimum norm."""
        return preconditioned_spectrum(self.problem, self.preconditioner)

    @cached_property
    def _spectral_std(self) -> Array:
        """Standard deviations along the eigenvectors; zero where the eigenvalue is."""
        root = np.sqrt(self.problem.eigenvalues)
        inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
        return np.sqrt(self.risk / self.n) * self.shrinkage * inverse

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Draw coefficient vectors from the law.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        size : int
            How many vectors.

        Returns
        -------
        ndarray of shape (size, p)
            Each row has the law of the fitted coefficients.

        Raises
        ------
        ValueError
            If `size` is not a positive integer or `rng` not a generator.

        Examples
        --------
        >>> problem = LinearGaussianProblem(np.ones(4), np.zeros(4), 1.0)
        >>> min_norm_law(problem, 2).draw(np.random.default_rng(0), size=3).shape
        (3, 4)
        """
        noise = generator(rng).standard_normal((count("size", size), self.problem.p))
        noise *= self._spectral_std
        vectors = self.problem.eigenvectors
        return self.mean + (noise if vectors is None else noise @ vectors.T)


def min_norm_law(
    problem: LinearGaussianProblem, n: int, *, preconditioner: ArrayLike | None = None
) -> CoordinateLaw:
    r"""Law of the minimum-norm least-squares fit to `n` samples.

    For p > n, :math:`\sum_i \zeta_i = n` fixes :math:`\mu` and

    .. math::
        \gamma = \frac{\sigma^2 + \sum_i \lambda_i (1-\zeta_i)^2 {\beta^*_i}^2}
                      {1 - \frac1n \sum_i \zeta_i^2};

    for p < n, :math:`\zeta_i = 1` and :math:`\gamma = \sigma^2 n / (n-p)`.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population. Features of variance zero do not count towards p < n.
    n : int
        Number of samples, different from p.
    preconditioner : array_like of shape (p,), optional
        Positive entries :math:`\pi_i` of a diagonal preconditioner, for a diagonal covariance:
        the law of the interpolator of smallest :math:`\sum_i \beta_i^2/\pi_i`, the limit of
        preconditioned gradient descent. :math:`\zeta` is computed from :math:`\pi_i\lambda_i`.
        All ones is gradient descent, :math:`1/\lambda_i` natural gradient.

    Returns
    -------
    CoordinateLaw
        With ``penalty = 0``.

    Raises
    ------
    ValueError
        If n = p or n equals the number of non-zero variances (the risk is infinite), if p > n but
        at most n variances are non-zero (no interpolator exists), or if the preconditioner is not
        positive or the covariance is full and a preconditioner is passed.

    Notes
    -----
    The denominator is computed as :math:`\frac1n\sum_i \zeta_i(1-\zeta_i)`, equal by the fixed
    point and free of cancellation. The theorem is asymptotic; within a few features of n = p the
    expected risk (``abs(n - p) <= 1``) or its variance (``<= 3``) is infinite in finite samples.

    References
    ----------
    .. [1] X. Chang, Y. Li, S. Oymak, C. Thrampoulidis, AAAI 2021, arXiv:2012.08749: the asymptotic
       distribution characterization of overparameterized least squares.

    Examples
    --------
    Isotropic features, p = 2 n, unit signal and noise: risk = 2 + 1/2.

    >>> problem = LinearGaussianProblem(np.ones(400), np.full(400, 0.05), noise_variance=1.0)
    >>> round(min_norm_law(problem, 200).risk, 12)
    2.5
    """
    return _law(problem, n, 0.0, preconditioner)


def ridge_law(
    problem: LinearGaussianProblem,
    n: int,
    penalty: float,
    *,
    preconditioner: ArrayLike | None = None,
) -> CoordinateLaw:
    r"""Law of ridge regression, the minimizer of :math:`\|y-\Phi\beta\|^2/n + \rho\|\beta\|^2`.

    The effective ridge solves :math:`\sum_i \zeta_i + n\rho/\mu = n`; mean, standard deviation and
    :math:`\gamma` are those of `min_norm_law` at this :math:`\mu`.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population.
    n : int
        Number of samples; any, n = p included, when `penalty` is positive.
    penalty : float
        :math:`\rho \ge 0`, in units of the variances (scikit-learn's ``alpha`` is n times it).
        0 is the minimum-norm law, the limit from above.
    preconditioner : array_like of shape (p,), optional
        As in `min_norm_law`; the penalty is then :math:`\rho\sum_i\beta_i^2/\pi_i`.

    Returns
    -------
    CoordinateLaw
        With this penalty.

    Raises
    ------
    ValueError
        If `penalty` is negative or not finite, or is 0 where `min_norm_law` does not exist, or the
        preconditioner is refused.

    Examples
    --------
    >>> problem = LinearGaussianProblem(np.ones(200), np.full(200, 0.05), noise_variance=1.0)
    >>> ridge_law(problem, 200, penalty=1.0).risk < ridge_law(problem, 200, penalty=0.01).risk
    True
    """
    return _law(problem, n, nonnegative_number("penalty", penalty), preconditioner)


def _law(
    problem: LinearGaussianProblem, n: int, penalty: float, preconditioner: ArrayLike | None
) -> CoordinateLaw:
    check_sample_size(problem, n, penalty)
    entries = checked_preconditioner(problem, preconditioner)
    spectrum = preconditioned_spectrum(problem, entries)
    if penalty == 0 and problem.p < n:
        risk = problem.noise_variance * n / (n - problem.rank)
        return CoordinateLaw(problem, n, 0.0, 0.0, risk, entries)
    mu = solve_checked(spectrum, int(n), penalty, certify=False).value
    return law_at(problem, n, penalty, mu, entries)


def check_sample_size(problem: LinearGaussianProblem, n: int, penalty: float) -> None:
    """Refuse a sample size at which the law does not exist.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population.
    n : int
        Number of samples.
    penalty : float
        Ridge penalty, already checked.

    Raises
    ------
    ValueError
        If `problem` is no problem, `n` no positive integer, or no law exists there.

    Examples
    --------
    >>> check_sample_size(LinearGaussianProblem([1.0], [1.0], 0.0), 2, 0.0)
    """
    if not isinstance(problem, LinearGaussianProblem):
        raise reject(
            "problem", problem, "must be a LinearGaussianProblem", "Build one from its covariance."
        )
    n = count("n", n)
    if penalty > 0:
        return
    rank = problem.rank
    if n in (problem.p, rank):
        raise reject(
            "n",
            n,
            f"must differ from the number of features ({rank} of {problem.p} with variance)",
            "The risk is infinite there: change n or p, or pass a penalty > 0 to ridge_law.",
        )
    if rank < n < problem.p:
        raise reject(
            "n",
            n,
            f"must be less than the {rank} non-zero variances when p = {problem.p} > n",
            "Drop the features of variance zero with problem.restrict, or use ridge_law.",
        )


def law_at(
    problem: LinearGaussianProblem,
    n: int,
    penalty: float,
    mu: float,
    preconditioner: Array | None = None,
) -> CoordinateLaw:
    r"""Return the law for an effective ridge that is already known, with its risk.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population.
    n : int
        Number of samples.
    penalty : float
        Ridge penalty.
    mu : float
        The effective ridge of this problem, positive.
    preconditioner : ndarray of shape (p,), optional
        Positive entries, already checked.

    Returns
    -------
    CoordinateLaw
        With :math:`\gamma = n(\sigma^2 + \sum\lambda{\beta^*}^2(1-\zeta)^2)
        / (\sum\zeta(1-\zeta) + n\rho/\mu)`.

    Examples
    --------
    >>> problem = LinearGaussianProblem(np.ones(4), np.zeros(4), 1.0)
    >>> law_at(problem, 2, 0.0, 1.0).risk
    2.0
    """
    eigenvalues, vectors = problem.eigenvalues, problem.eigenvectors
    coefficients = problem.coefficients
    if vectors is not None:
        coefficients = coefficients @ vectors
    spectrum = preconditioned_spectrum(problem, preconditioner)
    bias, spread = 0.0, 0.0
    room = np.empty((3, min(BLOCK, problem.p)))
    for begin in range(0, problem.p, BLOCK):
        part = slice(begin, begin + BLOCK)
        variances = spectrum[part]
        shifted, kept, lost = room[:, : variances.size]
        np.add(variances, mu, out=shifted)
        np.divide(mu, shifted, out=lost)
        # zeta is not 1 - lost here: it would lose its digits where it is small.
        np.divide(variances, shifted, out=kept)
        spread += float(kept.dot(lost))
        lost *= coefficients[part]
        lost *= lost
        bias += float(lost.dot(eigenvalues[part]))
    risk = n * (problem.noise_variance + bias) / (spread + n * (penalty / mu))
    return CoordinateLaw(problem, n, penalty, mu, risk, preconditioner)
