r"""Natural gradient for least squares: which metric, from which inputs, and what it costs.

Gradient descent preconditioned by a fixed P > 0 tends to the interpolator of least b'P^(-1)b.
P = Sigma^(-1), the inverse Fisher matrix of the Gaussian model, is natural gradient. Estimated from
m unlabelled inputs U the metric is b'U'Ub/m, and the limit is the interpolator whose predictions
on these inputs are smallest,

    minimize |U b|^2 subject to Phi b = y,

for any m > p - n; what labelled inputs add to the metric is the constant |y|^2.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import svd

from overparam._validation import (
    Array,
    count,
    nonnegative_array,
    nonnegative_number,
    real_array,
    reject,
)
from overparam.law import check_sample_size
from overparam.least_squares import fit
from overparam.problem import LinearGaussianProblem


def power_preconditioner(variances: ArrayLike, power: float, damping: float = 0.0) -> Array:
    r"""Return the diagonal preconditioner :math:`\pi_i = (\lambda_i + \delta)^{-a}`.

    Parameters
    ----------
    variances : array_like of shape (p,)
        Variances :math:`\lambda_i \ge 0` of the features.
    power : float
        The exponent a: 0 is gradient descent, 1 natural gradient, and any real number is allowed.
    damping : float, optional
        :math:`\delta \ge 0`.

    Returns
    -------
    ndarray of shape (p,)
        Scaled to have geometric mean 1: a constant factor changes nothing.

    Raises
    ------
    ValueError
        If an argument is out of range, a damped variance is zero, or the entries leave the range of
        a float64.

    Examples
    --------
    >>> power_preconditioner([4.0, 1.0], 1.0)
    array([0.5, 2. ])
    """
    damped = nonnegative_array("variances", variances) + nonnegative_number("damping", damping)
    exponent = float(real_array("power", power, (0,)))
    if not (damped.min() > 0 and np.isfinite(damped.max())):
        raise reject(
            "variances", variances, "must be positive and finite after damping", "Add damping."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        logarithms = -exponent * np.log(damped)
        logarithms -= logarithms.mean()
    if not np.abs(logarithms).max() < 700:
        raise reject("power", power, "must give entries below 1e304", "Pass a smaller power.")
    return np.exp(logarithms)


def best_preconditioner(problem: LinearGaussianProblem, n: int) -> Array:
    r"""Diagonal preconditioner of smallest asymptotic risk among all.

    .. math:: \pi_i = {\beta^*_i}^2 + \frac{\sigma^2}{(p-n)\lambda_i}

    Without noise it is the squared signal, with much noise natural gradient. It depends on the
    unknown coefficients: a bound on what preconditioning can achieve, and a guide.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population, with diagonal covariance and positive variances.
    n : int
        Number of samples, less than p.

    Returns
    -------
    ndarray of shape (p,)
        The entries :math:`\pi_i`, for `min_norm_law` and `fit`.

    Raises
    ------
    ValueError
        If p <= n, the covariance is full, a variance is zero, or an entry vanishes (no noise and a
        coefficient that is zero: the infimum is not attained).

    Notes
    -----
    Derived in the book by minimizing over the shrinkages, which may be any numbers in (0, 1) with
    sum n.

    Examples
    --------
    >>> problem = LinearGaussianProblem([4.0, 1.0, 1.0], [1.0, 2.0, 3.0], noise_variance=1.0)
    >>> best_preconditioner(problem, 2)
    array([ 1.25,  5.  , 10.  ])
    """
    check_sample_size(problem, n, 0.0)
    if not problem.is_diagonal or problem.rank < problem.p:
        raise reject(
            "problem.covariance",
            problem.covariance,
            "must be a vector of positive variances",
            "Change to the eigenbasis, and drop features of variance zero with problem.restrict.",
        )
    if n > problem.p:
        raise reject(
            "n",
            n,
            f"must be less than the number of features ({problem.p})",
            "With more samples every preconditioner gives the same fit.",
        )
    with np.errstate(over="ignore", under="ignore"):
        spread = problem.noise_variance / (problem.p - n) / problem.variances
        entries = problem.coefficients**2 + spread
    if not (entries.min() > 0 and np.all(np.isfinite(entries))):
        raise reject(
            "problem",
            problem,
            "must have noise, or a signal in every feature",
            "Add noise, or drop the features without signal.",
        )
    return entries


def natural_gradient_fit(features: ArrayLike, labels: ArrayLike, unlabelled: ArrayLike) -> Array:
    r"""Limit of natural gradient descent with the Fisher matrix of unlabelled inputs.

    The interpolator of the labels with the smallest predictions
    :math:`\|\Phi_{\mathrm u}\beta\|^2` on the unlabelled inputs and, if there are several of these,
    of smallest norm: the limit of the damping to zero.

    Parameters
    ----------
    features : array_like of shape (n, p)
        Inputs :math:`\Phi` with labels, n < p.
    labels : array_like of shape (n,)
        Labels y.
    unlabelled : array_like of shape (m, p)
        Inputs :math:`\Phi_{\mathrm u}` without labels.

    Returns
    -------
    ndarray of shape (p,)
        Fitted coefficients. If the labels cannot be interpolated, the same among the least-squares
        solutions.

    Raises
    ------
    ValueError
        If shapes do not match or an entry is not finite.

    Notes
    -----
    With :math:`\hat\beta_0=\Phi^+y` and a basis of the null space of :math:`\Phi`, the rest is a
    least-squares problem without constraint; no Fisher matrix is formed or inverted. Labelled
    inputs may be among the unlabelled ones: they change nothing.

    Examples
    --------
    The unlabelled inputs are large in the second direction, so the fit uses the first:

    >>> natural_gradient_fit([[1.0, 1.0]], [2.0], [[0.0, 3.0]]).round(12)
    array([2., 0.])
    """
    beta = fit(features, labels)
    design = real_array("features", features, (2,))
    inputs = real_array("unlabelled", unlabelled, (2,))
    n, p = design.shape
    if inputs.shape[1] != p:
        raise reject(
            "unlabelled.shape",
            inputs.shape,
            f"must have {p} columns, as many as `features`",
            "Pass inputs with the same features.",
        )
    _, singular, right = svd(design, full_matrices=True)
    rank = int(np.sum(singular > np.finfo(np.float64).eps * max(n, p) * singular[0]))
    null = right[rank:]
    if null.shape[0] == 0:
        return beta
    with np.errstate(over="ignore", invalid="ignore"):
        reduced, predictions = inputs @ null.T, inputs @ beta
        if np.any(reduced != 0) and np.all(np.isfinite(reduced)):
            beta = beta - fit(reduced, predictions) @ null
    if not np.all(np.isfinite(beta)):
        raise reject("unlabelled", inputs, "must give finite predictions", "Rescale the inputs.")
    return beta


def natural_gradient_risk(
    problem: LinearGaussianProblem, n: int, unlabelled: int | None = None
) -> float:
    r"""Exact expected risk of natural gradient with a Fisher matrix from unlabelled inputs.

    With m unlabelled inputs, m > p - n + 1, and signal energy
    :math:`S={\beta^*}^\top\Sigma\beta^*`,

    .. math::
        \sigma^2\Bigl(1+\frac{n}{p-n-1}\,\frac{m-1}{m-p+n-1}\Bigr)
        + S\Bigl(1-\frac np\Bigr)\Bigl(1+\frac{n}{m-p+n-1}\Bigr)

    for Gaussian features of any invertible covariance. For m < p - n - 1 the fit depends on the
    covariance, and the formula for isotropic features is used.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population, of full rank.
    n : int
        Number of labelled samples, less than p - 1.
    unlabelled : int or None, optional
        m, or None for the Fisher matrix of the population (m to infinity).

    Returns
    -------
    float
        Expectation of the population risk of `natural_gradient_fit`, noise included.

    Raises
    ------
    ValueError
        If the expectation is infinite or no formula is known.

    Notes
    -----
    At m = p - n the labelled and the unlabelled inputs together can just be interpolated: a second
    peak, in the number of *unlabelled* inputs.

    Examples
    --------
    >>> problem = LinearGaussianProblem(np.linspace(1.0, 9.0, 202), np.zeros(202), 1.0)
    >>> natural_gradient_risk(problem, 101)
    2.01
    >>> natural_gradient_risk(problem, 101, unlabelled=202)
    3.0301
    """
    check_sample_size(problem, n, 0.0)
    p, noise = problem.p, problem.noise_variance
    if problem.rank < p:
        raise reject(
            "problem.covariance",
            problem.covariance,
            "must be invertible",
            "Drop features of variance zero with problem.restrict.",
        )
    if n >= p - 1:
        raise reject(
            "n",
            n,
            f"must be less than p - 1 = {p - 1}",
            "The expected risk is infinite, or no choice is left to the metric.",
        )
    signal = float(problem.risk(np.zeros(p))) - noise
    flow = n / (p - n - 1)  # noise of the interpolator, for each unit of label noise
    if unlabelled is None:
        return float(noise * (1 + flow) + signal * (1 - n / p))
    m = count("unlabelled", unlabelled)
    spare = m - p + n
    if abs(spare) <= 1:
        raise reject(
            "unlabelled",
            m,
            f"must differ from p - n = {p - n} by more than 1",
            "The expected risk is infinite there.",
        )
    if spare > 0:
        loss = n / (spare - 1)
        return float(
            noise * (1 + flow * ((m - 1) / (spare - 1))) + signal * (1 - n / p) * (1 + loss)
        )
    eigenvalues = problem.eigenvalues
    if eigenvalues.max() > eigenvalues.min() * (1 + 1e-12):
        raise reject(
            "unlabelled",
            m,
            f"must exceed p - n + 1 = {p - n + 1} unless all variances are equal",
            "No formula is known: simulate natural_gradient_fit.",
        )
    missed = m / p  # share of the signal that is set to zero on the unlabelled inputs
    left = (p - m - n) / p
    return float((noise + signal * missed) * (1 + n / (-spare - 1)) + signal * left)
