r"""Ridge logistic regression in the proportional regime: its law, and what pruning does to it.

Labels are y = +1 with probability s(phi' beta*), s the logistic function, and the fit minimizes

    (1/n) sum_i log(1 + exp(-y_i phi_i' beta)) + (penalty / 2) |beta|^2 .

Its coordinates have the law of a ridge fit to other labels: N(zeta_i a beta*_i, g zeta_i^2 /
(n lambda_i)) with zeta_i = lambda_i / (lambda_i + mu) for scalars mu, a, g that solve a fixed
point. Derived by leaving one row out, as for least squares; not proved.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from overparam._validation import (
    Array,
    count,
    nonnegative_array,
    nonnegative_number,
    real_array,
    reject,
)
from overparam.law import CoordinateLaw
from overparam.problem import LinearGaussianProblem
from overparam.pruning import Rule, kept_count
from overparam.selection import check_independent, survival

_NODES = 48  # of a Gauss-Hermite rule in each dimension
_MAX_STEPS = 5000
_MAX_NEWTON = 100
_RTOL = 1e-11


@dataclass(frozen=True, eq=False)
class LogisticLaw:
    r"""Law of a ridge logistic fit; made by `logistic_law`.

    Attributes
    ----------
    coordinates : CoordinateLaw
        The law of the coefficients, as that of a ridge fit to a linear problem with the same
        variances, coefficients ``amplification`` times as large, and the same effective ridge. Its
        ``risk`` is the scalar g, its ``penalty`` that of the logistic fit.
    signal : ndarray of shape (p,)
        True coefficients of the logistic model.
    amplification : float
        a; for least squares it is 1.
    leverage : float
        k: the logit of a training row is the one predicted without it plus k times the residual.
    """

    coordinates: CoordinateLaw
    signal: Array
    amplification: float
    leverage: float

    @cached_property
    def moments(self) -> Array:
        """Covariance of true and fitted logit of a fresh row, shape (2, 2)."""
        law = self.coordinates
        variances = law.problem.variances
        cross = float(variances @ (self.signal * law.mean))
        own = float(variances @ (law.mean**2 + law.std**2))
        return np.array([[float(variances @ self.signal**2), cross], [cross, own]])

    @property
    def training_loss(self) -> float:
        """Mean logistic loss on the training rows."""
        grid = _margins(self.moments, self.leverage)
        return float(np.sum(grid.weights * np.logaddexp(0, -grid.fitted)))

    @property
    def test_loss(self) -> float:
        """Mean logistic loss on fresh rows."""
        grid = _margins(self.moments, self.leverage)
        return float(np.sum(grid.weights * np.logaddexp(0, -grid.fresh)))


def logistic_law(
    variances: ArrayLike, coefficients: ArrayLike, n: int, penalty: float
) -> LogisticLaw:
    r"""Law of ridge logistic regression with independent Gaussian features.

    Parameters
    ----------
    variances : array_like of shape (p,)
        Of the features.
    coefficients : array_like of shape (p,)
        Of the logistic model that draws the labels.
    n : int
        Number of samples.
    penalty : float
        Positive. Without a penalty a minimizer need not exist.

    Returns
    -------
    LogisticLaw
        The solution of

        .. math::
            k=\frac1n\sum_i\frac{\lambda_i}{\chi\lambda_i+\rho},\quad
            \chi=\E\frac{\ell''}{1+k\ell''},\quad \mu=\frac\rho\chi,\quad
            g=\frac{\E\psi^2}{\chi^2},\quad
            a=\frac{\E[t\psi]+\chi\,\mathrm{Cov}(t,m)}{\chi\,\E t^2}

        with true logit t, left-out logit m, and residual :math:`\psi=-\ell'(m+k\psi)`.

    Raises
    ------
    ValueError
        If an argument is out of range, the coefficients are zero, or the fixed point is not found
        in 5000 steps (a tiny penalty, or logits beyond 1e3).

    References
    ----------
    .. [1] F. Salehi, E. Abbasi, B. Hassibi, "The impact of regularization on high-dimensional
       logistic regression", NeurIPS 2019, arXiv:1906.03761: the isotropic case, by Gaussian
       min-max.

    Examples
    --------
    Pruning half of the weights raises the training loss and hardly touches the test loss:

    >>> law = logistic_law(np.ones(300), np.full(300, 0.1), n=200, penalty=0.05)
    >>> round(law.training_loss, 2), round(law.test_loss, 2)
    (0.11, 0.83)
    >>> [round(float(x), 2) for x in pruned_logistic_losses(law, 0.5, "magnitude")]
    [0.14, 0.83]
    """
    lam = nonnegative_array("variances", variances)
    problem = LinearGaussianProblem(lam, coefficients, 0.0)
    beta = problem.coefficients
    n, rho = count("n", n), nonnegative_number("penalty", penalty)
    if rho == 0:
        raise reject("penalty", penalty, "must be positive", "Pass a small one.")
    strength = float(problem.saliency.sum())
    if strength == 0:
        raise reject("coefficients", coefficients, "must not all be zero", "Labels are coins then.")
    state = np.array([0.2, 1.0, 4.0])  # chi, a, g
    for _ in range(_MAX_STEPS):
        chi, a, _g = state.tolist()
        k = float(np.sum(lam / (chi * lam + rho))) / n
        law = LogisticLaw(_coordinates(problem, n, rho, state), beta, a, k)
        following = _next_state(law, strength)
        if np.all(np.abs(following - state) <= _RTOL * state):
            return law
        state = (state + following) / 2
    raise reject("penalty", penalty, "must let the fixed point converge", "Pass a larger one.")


def pruned_logistic_losses(law: LogisticLaw, keep: ArrayLike, rule: Rule) -> Array:
    r"""Training and test loss of a ridge logistic fit after pruning, without retraining.

    The logit of a training row loses :math:`g + c\psi`: what a fresh row would lose, and a multiple
    of its own residual. The slope c follows from :math:`\rho N = \E[g\psi] + c\,\E\psi^2` with
    :math:`N = u^\top\hat\beta` of the part u removed.

    Parameters
    ----------
    law : LogisticLaw
        Of the dense fit.
    keep : float or array_like of shape (k,)
        Fractions kept, in (0, 1].
    rule : str or SiPPRule
        See `prune`.

    Returns
    -------
    ndarray of shape (2,) or (2, k)
        Training loss and test loss.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> law = logistic_law(np.ones(30), np.full(30, 0.3), n=20, penalty=0.1)
    >>> bool(np.all(pruned_logistic_losses(law, [0.1, 0.5, 1.0], "random")[0, :-1] > 0.3))
    True
    """
    if not isinstance(law, LogisticLaw):
        raise reject("law", law, "must be a LogisticLaw", "Make one with logistic_law.")
    check_independent(law.coordinates, rule)
    counts = kept_count(keep, law.signal.size)
    losses = np.array([_losses(law, int(s), rule) for s in counts.flat])
    return losses.T.reshape(2, *counts.shape)


def logistic_fit(features: ArrayLike, labels: ArrayLike, penalty: float) -> Array:
    r"""Fit ridge logistic regression to one sample, by Newton's method.

    Minimizes :math:`\frac1n\sum_j\log(1+e^{-y_j\phi_j^\top\beta}) + \frac\rho2\|\beta\|^2`.

    Parameters
    ----------
    features : array_like of shape (n, p)
        Design matrix.
    labels : array_like of shape (n,)
        Labels -1 and 1.
    penalty : float
        Positive.

    Returns
    -------
    ndarray of shape (p,)
        The minimizer, up to a gradient of norm 1e-9 times the size of the features.

    Raises
    ------
    ValueError
        If an argument is out of range or 100 steps do not suffice (a tiny penalty).

    Examples
    --------
    >>> beta = logistic_fit([[1.0], [2.0], [-1.0]], [1, 1, -1], penalty=0.1)
    >>> round(float(beta[0]), 3)
    1.513
    """
    design, target = real_array("features", features, (2,)), real_array("labels", labels, (1,))
    n, rho = len(design), nonnegative_number("penalty", penalty)
    if target.shape != (n,) or not np.all(np.abs(target) == 1):
        raise reject("labels", target, f"must be {n} numbers -1 or 1", "Pass one for each row.")
    if rho == 0:
        raise reject("penalty", penalty, "must be positive", "Pass a small one.")

    def objective(beta: Array) -> float:
        margins = target * (design @ beta)
        return float(np.logaddexp(0, -margins).mean() + rho / 2 * (beta @ beta))

    beta = np.zeros(design.shape[1])
    for _ in range(_MAX_NEWTON):
        residual = expit(-target * (design @ beta))
        gradient = rho * beta - design.T @ (target * residual) / n
        if np.abs(gradient).max() <= 1e-9 * max(1.0, float(np.abs(design).max())):
            return beta
        # Solve in the space of the samples, by the Woodbury identity.
        scaled = design * np.sqrt(residual * (1 - residual) / n)[:, None]
        inner = np.linalg.solve(scaled @ scaled.T + rho * np.eye(n), scaled @ gradient)
        step = (gradient - scaled.T @ inner) / rho
        value, length = objective(beta), 1.0
        while objective(beta - length * step) > value and length > 1e-6:
            length /= 2
        beta = beta - length * step
    raise reject("penalty", penalty, "must let Newton's method converge", "Pass a larger one.")


def _losses(law: LogisticLaw, s: int, rule: Rule) -> tuple[float, float]:
    with_true, own, norm = _removed(law, s, rule)
    grid = _margins(law.moments, law.leverage)
    # Regress what a fresh row loses on its two logits; the rest is independent of them.
    overlaps = np.array([with_true, own])  # the fit times what is removed of it is its square
    slopes = np.linalg.solve(law.moments, overlaps)
    spread = np.sqrt(max(own - slopes @ overlaps, 0.0))
    lost = slopes[0] * grid.true + slopes[1] * grid.fresh
    square = float(np.sum(grid.weights * grid.residual**2))
    overlap = float(np.sum(grid.weights * lost * grid.residual))
    c = (law.coordinates.penalty * norm - overlap) / square
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    noise = spread * nodes[:, None, None]
    outer = weights[:, None, None] / weights.sum() * grid.weights
    training = grid.fitted - lost - c * grid.residual - noise
    test = grid.fresh - lost - noise
    return (
        float(np.sum(outer * np.logaddexp(0, -training))),
        float(np.sum(outer * np.logaddexp(0, -test))),
    )


def _removed(law: LogisticLaw, s: int, rule: Rule) -> tuple[float, float, float]:
    """Moments of the part removed: with the true logit, of its own logit, and its squared norm."""
    coordinates, total = law.coordinates, np.zeros(3)
    for part, moments in survival(coordinates, s, rule):
        variances = coordinates.problem.variances[part]
        mean, std = coordinates.mean[part], coordinates.std[part]
        d0, d1, d2 = moments.removed
        first = mean * d0 + std * d1
        second = mean**2 * d0 + 2 * mean * std * d1 + std**2 * d2
        total += variances @ (law.signal[part] * first), variances @ second, second.sum()
    with_true, own, norm = total.tolist()
    return with_true, own, norm


def _next_state(law: LogisticLaw, strength: float) -> Array:
    grid = _margins(law.moments, law.leverage)
    curvature = expit(grid.fitted) * grid.residual
    chi = float(np.sum(grid.weights * curvature / (1 + law.leverage * curvature)))
    # Stein's identity, E[t psi] = E[t^2] eta - Cov(t, m) chi, gives the mean slope eta in t.
    overlap = float(np.sum(grid.weights * grid.true * grid.residual))
    eta = (overlap + chi * law.moments[0, 1]) / strength
    square = float(np.sum(grid.weights * grid.residual**2))
    return np.array([chi, eta / chi, square / chi**2])


def _coordinates(
    problem: LinearGaussianProblem, n: int, penalty: float, state: Array
) -> CoordinateLaw:
    chi, a, g = state.tolist()
    surrogate = LinearGaussianProblem(problem.covariance, a * problem.coefficients, 0.0)
    return CoordinateLaw(surrogate, n, penalty, penalty / chi, g)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Quadrature over a row: logits times the label, so that the label is always +1."""

    weights: Array
    true: Array
    fresh: Array  # predicted without the row
    fitted: Array
    residual: Array


def _margins(covariance: Array, leverage: float) -> _Grid:
    """Gaussian logits (t, m) tilted by 2 s(t), and p with p = m + k s(-p)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights /= weights.sum()
    root = np.linalg.cholesky(covariance)
    true = root[0, 0] * nodes[:, None] + 0 * nodes
    fresh = root[1, 0] * nodes[:, None] + root[1, 1] * nodes
    tilted = np.outer(weights, weights) * 2 * expit(true)
    fitted = _proximal(fresh, leverage)
    return _Grid(tilted, true, fresh, fitted, expit(-fitted))


def _proximal(fresh: Array, leverage: float) -> Array:
    """Solve p = m + k s(-p), increasing in p: bisect down to where Newton's method is safe."""
    low, high = fresh, fresh + leverage
    for _ in range(8 + int(np.log2(1 + leverage))):
        middle = (low + high) / 2
        above = middle > fresh + leverage * expit(-middle)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    fitted = (low + high) / 2
    for _ in range(5):
        residual = expit(-fitted)
        error = fitted - fresh - leverage * residual
        fitted = fitted - error / (1 + leverage * residual * (1 - residual))
    return fitted
