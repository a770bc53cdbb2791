r"""Nonlinear features, replaced by the Gaussian features with the same second moments.

Inputs x ~ N(0, I_d) pass through phi_i = psi(r_i' x) with fixed weights r_i, and the label is
linear in x. The *equivalent* linear Gaussian problem has Sigma = E[phi phi'], coefficients
Sigma^-1 E[y phi], and as noise what is left of the label. Its risk function is exactly that of the
features; that fits to n samples behave alike is a Gaussian-equivalence heuristic, to be checked by
simulation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from overparam._validation import Array, count, generator, nonnegative_number, real_array, reject
from overparam.problem import LinearGaussianProblem

_DEGREE = 64
_EDGE = 12.0  # standard deviations, beyond which the normal density is below 1e-31


@dataclass(frozen=True, eq=False)
class RandomFeatures:
    r"""Features :math:`\phi = \psi(Rx)` of Gaussian inputs with a linear teacher.

    Parameters
    ----------
    weights : array_like of shape (p, d)
        R, one feature a row; no row may be zero.
    teacher : array_like of shape (d,)
        :math:`\theta` in :math:`y = \theta^\top x + \sigma_0 z`.
    noise_variance : float
        :math:`\sigma_0^2 \ge 0`.
    activation : callable, optional
        :math:`\psi`, vectorized, smooth except possibly at 0, growing at most polynomially. None
        is the ReLU, in closed form.

    Raises
    ------
    ValueError
        If shapes do not match, a number is not finite, or a row of `weights` is zero.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> weights, teacher = rng.standard_normal((30, 10)) / 10**0.5, np.ones(10) / 10**0.5
    >>> RandomFeatures(weights, teacher, noise_variance=0.1).equivalent().p
    30
    """

    weights: Array
    teacher: Array
    noise_variance: float
    activation: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        weights = real_array("weights", self.weights, (2,))
        teacher = real_array("teacher", self.teacher, (1,))
        if teacher.shape[0] != weights.shape[1]:
            raise reject(
                "teacher.shape",
                teacher.shape,
                f"must be ({weights.shape[1]},)",
                "Pass one for each input.",
            )
        if not np.all(np.any(weights != 0, axis=1)):
            raise reject("weights", weights, "must have no zero row", "Drop constant features.")
        if self.activation is not None and not callable(self.activation):
            raise reject(
                "activation", self.activation, "must be callable", "Pass None for the ReLU."
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "teacher", teacher)
        noise = nonnegative_number("noise_variance", self.noise_variance)
        object.__setattr__(self, "noise_variance", noise)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw `n` samples of the nonlinear features and their labels.

        Parameters
        ----------
        n : int
            Number of samples.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        features : ndarray of shape (n, p)
            One sample a row, not centered.
        labels : ndarray of shape (n,)
            Teacher plus noise.

        Examples
        --------
        >>> features = RandomFeatures([[1.0, 0.0]], [1.0, 1.0], 0.0)
        >>> phi, y = features.sample(5, np.random.default_rng(0))
        >>> phi.shape, bool(np.all(phi >= 0))
        ((5, 1), True)
        """
        inputs = generator(rng).standard_normal((count("n", n), self.teacher.size))
        noise = np.sqrt(self.noise_variance) * rng.standard_normal(n)
        activation = _relu if self.activation is None else self.activation
        return activation(inputs @ self.weights.T), inputs @ self.teacher + noise

    def equivalent(self) -> LinearGaussianProblem:
        r"""Return the linear Gaussian problem with the same second moments.

        Returns
        -------
        LinearGaussianProblem
            With :math:`\Sigma = \mathbb E\phi\phi^\top`, :math:`\beta^* = \Sigma^+ b`,
            :math:`b = \mathbb E y\phi`, and noise variance
            :math:`\sigma_0^2 + \|\theta\|^2 - b^\top\Sigma^+ b`.

        Notes
        -----
        ReLU: the arc-cosine kernel of order one,
        :math:`\Sigma_{ij} = \|r_i\|\|r_j\|(\sin w + (\pi - w)\cos w)/2\pi` with w the angle, and
        :math:`b = R\theta/2`. Other activations: Hermite coefficients
        :math:`c_k(a) = \mathbb E\,\psi(aH)\,\mathrm{he}_k(H)` at the norm a of each row,
        :math:`\Sigma_{ij} = \sum_k c_k(\|r_i\|)c_k(\|r_j\|)\cos^k w` up to degree 64 off the
        diagonal, and exact on it.

        References
        ----------
        .. [1] Y. Cho, L. Saul, "Kernel methods for deep learning", NeurIPS 2009: the kernel.
        .. [2] X. Chang, Y. Li, S. Oymak, C. Thrampoulidis, AAAI 2021, arXiv:2012.08749: the
           equivalent linear problem.

        Examples
        --------
        >>> problem = RandomFeatures([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0], 0.0).equivalent()
        >>> problem.variances
        array([0.5, 2. ])
        """
        norms = np.linalg.norm(self.weights, axis=1)
        directions = self.weights / norms[:, None]
        cosines = np.clip(directions @ directions.T, -1.0, 1.0)
        if self.activation is None:
            kernel, slopes = _arc_cosine(cosines, norms), norms / 2
        else:
            kernel, slopes = _hermite(self.activation, cosines, norms)
        covariance = (kernel + kernel.T) / 2
        # E[psi(a h) theta' x] along r: the degree-one coefficient times theta' r / |r|.
        cross = slopes * (directions @ self.teacher)
        coefficients = np.linalg.lstsq(covariance, cross, rcond=None)[0]
        unexplained = max(float(self.teacher @ self.teacher - cross @ coefficients), 0.0)
        return LinearGaussianProblem(covariance, coefficients, self.noise_variance + unexplained)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _arc_cosine(cosines: Array, norms: Array) -> Array:
    angles = np.arccos(cosines)
    kernel = (np.sin(angles) + (np.pi - angles) * cosines) / (2 * np.pi)
    np.fill_diagonal(kernel, 0.5)
    return kernel * np.outer(norms, norms)


def _hermite(
    activation: Callable[[Array], Array], cosines: Array, norms: Array
) -> tuple[Array, Array]:
    """Kernel and degree-one coefficients of any activation, by quadrature split at its kink."""
    x, w = np.polynomial.legendre.leggauss(128)
    nodes = _EDGE * np.concatenate([(x - 1) / 2, (x + 1) / 2])
    weights = np.concatenate([w, w]) * _EDGE / 2 * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
    values = real_array("activation(x)", activation(norms[:, None] * nodes), (2,))
    older, newer = np.zeros_like(nodes), np.ones_like(nodes)
    kernel, power = np.zeros_like(cosines), np.ones_like(cosines)
    slopes = values @ (weights * nodes)
    for degree in range(_DEGREE + 1):
        coefficients = values @ (weights * newer)
        kernel += np.outer(coefficients, coefficients) * power
        power *= cosines
        following = (nodes * newer - np.sqrt(degree) * older) / np.sqrt(degree + 1)
        older, newer = newer, following
    np.fill_diagonal(kernel, values**2 @ weights)
    return kernel, slopes
