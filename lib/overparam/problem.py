"""The population: a linear model with Gaussian features.

A feature vector phi ~ N(0, Sigma) in R^p comes with the label

    y = phi' beta* + sigma z,    z ~ N(0, 1) independent of phi.

Everything that the rest of the library predicts is a function of Sigma, beta*, sigma^2 and the
number of samples. Coefficients are unscaled: the paper's sqrt(p) beta* never appears in code.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import (
    Array,
    count,
    generator,
    nonnegative_array,
    nonnegative_number,
    real_array,
    reject,
)


@dataclass(frozen=True, eq=False)
class LinearGaussianProblem:
    r"""Linear Gaussian problem :math:`(\Sigma, \beta^*, \sigma^2)`.

    The population risk of a coefficient vector, noise included, is

    .. math:: \mathcal R(\beta) = \sigma^2 + (\beta-\beta^*)^\top \Sigma (\beta-\beta^*).

    Parameters
    ----------
    covariance : array_like of shape (p,) or (p, p)
        One dimension: the variances of independent features (zeros are legal). Two dimensions:
        the full covariance, symmetric and positive semidefinite up to rounding; eigenvalues
        below ``p * eps`` times the largest count as zero.
    coefficients : array_like of shape (p,)
        The true coefficients :math:`\beta^*`.
    noise_variance : float
        :math:`\sigma^2 \ge 0`.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or type, is not finite, is negative where it must not
        be, if the matrix is not symmetric positive semidefinite, or if the signal energy
        overflows a float64.

    References
    ----------
    .. [1] X. Chang, Y. Li, S. Oymak, C. Thrampoulidis, "Provable benefits of
       overparameterization in model compression", AAAI 2021, arXiv:2012.08749: the definition of
       a linear Gaussian problem.

    Examples
    --------
    >>> problem = LinearGaussianProblem([4.0, 1.0], [0.5, 1.0], noise_variance=0.25)
    >>> problem.p
    2
    >>> float(problem.risk([0.0, 0.0]))
    2.25
    """

    covariance: Array
    coefficients: Array
    noise_variance: float

    def __init__(
        self, covariance: ArrayLike, coefficients: ArrayLike, noise_variance: float
    ) -> None:
        matrix = real_array("covariance", covariance, (1, 2))
        if matrix.ndim == 1:
            matrix = nonnegative_array("covariance", matrix)
        elif matrix.shape[0] != matrix.shape[1]:
            raise reject(
                "covariance.shape", matrix.shape, "must be (p,) or (p, p)", "Pass a square matrix."
            )
        beta = real_array("coefficients", coefficients, (1,))
        if beta.shape[0] != matrix.shape[0]:
            raise reject(
                "coefficients.shape",
                beta.shape,
                f"must be ({matrix.shape[0]},) to match `covariance`",
                "Pass one coefficient for each feature.",
            )
        for name, array in (("covariance", matrix), ("coefficients", beta)):
            own = array.copy()
            own.flags.writeable = False
            object.__setattr__(self, name, own)
        noise = nonnegative_number("noise_variance", noise_variance)
        object.__setattr__(self, "noise_variance", noise)
        _ = self.eigenvalues  # refuses a matrix that is not a covariance
        if not np.isfinite(self._risk(-self.coefficients)):
            raise reject(
                "coefficients", beta, "must have finite signal energy", "Rescale the problem."
            )

    @property
    def p(self) -> int:
        """Number of features."""
        return int(self.coefficients.shape[0])

    @property
    def is_diagonal(self) -> bool:
        """Whether the features are independent (one-dimensional `covariance`)."""
        return self.covariance.ndim == 1

    @property
    def variances(self) -> Array:
        """Variance of each feature, the diagonal of Sigma, shape (p,)."""
        return self.covariance if self.is_diagonal else np.diagonal(self.covariance)

    @property
    def saliency(self) -> Array:
        r"""Signal :math:`\Sigma_{ii} {\beta^*_i}^2` that each feature carries, shape (p,)."""
        return self.variances * self.coefficients**2

    @cached_property
    def _eigen(self) -> tuple[Array, Array]:
        asymmetry = np.abs(self.covariance - self.covariance.T).max()
        scale = np.abs(self.covariance).max()
        if asymmetry > 1e-10 * scale:
            raise reject(
                "covariance",
                self.covariance,
                f"must be symmetric (largest |S - S'| here: {asymmetry:.3g})",
                "Pass (S + S.T) / 2.",
            )
        values, vectors = np.linalg.eigh(self.covariance / (scale or 1.0))
        rounding = self.p * np.finfo(np.float64).eps
        # An indefinite matrix within the accuracy of its entries is taken for a singular one.
        if values[0] < -max(1e-10, rounding):
            raise reject(
                "covariance",
                self.covariance,
                f"must be positive semidefinite (least eigenvalue: {values[0] * scale:.3g})",
                "Pass a covariance matrix.",
            )
        values = np.where(values < rounding * values[-1], 0.0, values) * scale
        return values[::-1].copy(), vectors[:, ::-1].copy()

    @property
    def eigenvalues(self) -> Array:
        """Eigenvalues of Sigma, shape (p,): `variances` in their order, or descending if full."""
        return self.covariance if self.is_diagonal else self._eigen[0]

    @cached_property
    def rank(self) -> int:
        """Number of non-zero eigenvalues."""
        return int(np.count_nonzero(self.eigenvalues))

    @property
    def eigenvectors(self) -> Array | None:
        """Eigenvectors as columns, shape (p, p); None stands for the identity if diagonal."""
        return None if self.is_diagonal else self._eigen[1]

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw `n` independent samples.

        Parameters
        ----------
        n : int
            Number of samples, at least 1.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        features : ndarray of shape (n, p)
            One feature vector a row.
        labels : ndarray of shape (n,)
            ``features @ coefficients`` plus noise.

        Raises
        ------
        ValueError
            If `n` is not a positive integer or `rng` not a generator.

        Examples
        --------
        >>> problem = LinearGaussianProblem([1.0, 0.0], [2.0, 3.0], 0.0)
        >>> features, labels = problem.sample(4, np.random.default_rng(0))
        >>> bool(np.all(labels == 2 * features[:, 0]))
        True
        """
        rng = generator(rng)
        features = rng.standard_normal((count("n", n), self.p)) * np.sqrt(self.eigenvalues)
        if self.eigenvectors is not None:
            features = features @ self.eigenvectors.T
        noise = np.sqrt(self.noise_variance) * rng.standard_normal(n)
        return features, features @ self.coefficients + noise

    def risk(self, beta: ArrayLike) -> Array:
        r"""Population risk :math:`\mathcal R(\beta)`, noise included.

        Parameters
        ----------
        beta : array_like of shape (..., p)
            One or many coefficient vectors.

        Returns
        -------
        ndarray of shape (...)
            The risk of each, in squared units of the label.

        Raises
        ------
        ValueError
            If the last axis has not length p, an entry is not finite, or the risk overflows.

        Examples
        --------
        >>> problem = LinearGaussianProblem([4.0, 1.0], [0.5, 1.0], 0.25)
        >>> problem.risk([[0.5, 1.0], [0.0, 1.0]])
        array([0.25, 1.25])
        """
        array = real_array("beta", beta, (1, 2, 3))
        if array.shape[-1] != self.p:
            raise reject(
                "beta.shape",
                array.shape,
                f"must end in p = {self.p}",
                "Pass one coefficient for each feature along the last axis.",
            )
        risk = self._risk(array - self.coefficients)
        if not np.all(np.isfinite(risk)):
            raise reject("beta", array, "must have finite risk", "Rescale the problem.")
        return risk

    def _risk(self, error: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            if self.is_diagonal:
                return self.noise_variance + error**2 @ self.covariance
            return self.noise_variance + np.sum((error @ self.covariance) * error, axis=-1)

    def restrict(self, support: ArrayLike) -> "LinearGaussianProblem":
        r"""Return the problem of predicting the same label from a subset of the features.

        With D the support and N its complement, the Gaussian conditional law gives

        .. math::
            \beta_D' = \beta_D + \Sigma_{DD}^{-1}\Sigma_{DN}\beta_N, \qquad
            \sigma_D^2 = \sigma^2 + \beta_N^\top
            (\Sigma_{NN} - \Sigma_{ND}\Sigma_{DD}^{-1}\Sigma_{DN})\beta_N :

        what the kept features cannot explain of the missing signal acts as label noise. For
        independent features the coefficients stay and the missing saliency is added to the noise.

        Parameters
        ----------
        support : array_like of int, or of bool with shape (p,)
            The features kept, without repetition, in the order wanted.

        Returns
        -------
        LinearGaussianProblem
            With ``len(support)`` features. A singular block is inverted on its range.

        Raises
        ------
        ValueError
            If an index is out of range or repeated, or nothing is kept.

        Examples
        --------
        >>> problem = LinearGaussianProblem([4.0, 1.0], [0.5, 1.0], 0.25)
        >>> problem.restrict([0]).noise_variance
        1.25
        """
        kept = self._indices(support)
        missing = np.setdiff1d(np.arange(self.p), kept)
        beta, lost = self.coefficients[kept], self.coefficients[missing]
        if self.is_diagonal:
            noise = self.noise_variance + float(lost**2 @ self.covariance[missing])
            return LinearGaussianProblem(self.covariance[kept], beta, noise)
        block = self.covariance[np.ix_(kept, kept)]
        cross = self.covariance[np.ix_(kept, missing)] @ lost
        carried = np.linalg.lstsq(block, cross, rcond=None)[0]
        energy = float(lost @ self.covariance[np.ix_(missing, missing)] @ lost)
        unexplained = max(energy - float(cross @ carried), 0.0)
        return LinearGaussianProblem(block, beta + carried, self.noise_variance + unexplained)

    def _indices(self, support: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        way_out = f"Pass distinct indices in [0, {self.p}) or a mask of shape ({self.p},)."
        try:
            array = np.asarray(support)
        except (TypeError, ValueError) as error:
            raise reject("support", support, "must be an array of indices", way_out) from error
        if array.dtype == np.bool_ and array.shape == (self.p,):
            array = np.flatnonzero(array)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise reject("support", support, "must be a vector of indices or a mask", way_out)
        if array.size == 0:
            raise reject("support", support, "must keep at least one feature", way_out)
        if array.min() < 0 or array.max() >= self.p or np.unique(array).size < array.size:
            raise reject("support", support, "must hold distinct indices in range", way_out)
        return array.astype(np.intp)
