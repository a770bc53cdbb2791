"""What others do, in a few lines each: the methods of the peers, re-implemented, not their code.

Each function takes variances, saliency, noise variance and n, and returns the effective ridge and
the risk of the minimum-norm fit. Times of the real packages are larger than these.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import bisect, brentq

Array = NDArray[np.float64]
Prediction = tuple[float, float]


def brentq_in_log_ridge(variances: Array, saliency: Array, noise: float, n: int) -> Prediction:
    """Solve sum zeta = n in log mu between bounds from Jensen's inequality, then the risk."""
    p = variances.size
    low, high = variances.min() * (p / n - 1), variances.mean() * (p / n - 1)

    def excess(log_mu: float) -> float:
        return float(np.sum(variances / (variances + np.exp(log_mu)))) - n

    mu = np.exp(brentq(excess, np.log(low) - 1e-9, np.log(high) + 1e-9, xtol=1e-15, rtol=1e-15))
    return float(mu), _risk(variances, saliency, noise, n, mu)


def brentq_in_xi(variances: Array, saliency: Array, noise: float, n: int) -> Prediction:
    """Solve in xi on a wide bracket, as one would at first, with the textbook formula of gamma."""

    def excess(xi: float) -> float:
        return float(np.mean(1 / (1 + 1 / (xi * variances)))) - n / variances.size

    xi = brentq(excess, 1e-12 / variances.max(), 1e12 / variances.min(), xtol=1e-300, rtol=1e-15)
    kept = xi * variances / (1 + xi * variances)
    risk = (noise + np.sum(saliency / (1 + xi * variances) ** 2)) / (1 - np.sum(kept**2) / n)
    return 1 / xi, float(risk)


def bisection_like_eigenlearning(
    variances: Array, saliency: Array, noise: float, n: int
) -> Prediction:
    """Bisect on [1e-15, 1e10] to an absolute tolerance, as eigenlearning does (in NumPy here)."""

    def excess(mu: float) -> float:
        return float(np.sum(variances / (variances + mu))) - n

    mu = float(bisect(excess, 1e-15, 1e10, xtol=2e-12, maxiter=200))
    return mu, _risk(variances, saliency, noise, n, mu)


def state_evolution_like_gcm(
    variances: Array, saliency: Array, noise: float, n: int, penalty: float = 1e-3
) -> Prediction:
    """Iterate the state evolution of ridge regression, damped by one half, as GCMProject does.

    It has no limit without penalty, so a small one, relative to the mean variance, is used.
    """
    p = variances.size
    alpha, ridge = n / p, penalty * variances.mean()
    v, q, m, risk = 1.0, 0.0, 0.0, np.inf
    for _ in range(1000):
        v_hat = alpha / (1 + v)
        q_hat = alpha * (noise + saliency.sum() + q - 2 * m) / (1 + v) ** 2
        resolvent = 1 / (ridge + v_hat * variances)
        new_v = np.mean(variances * resolvent)
        new_m = v_hat * np.sum(saliency * variances * resolvent)
        squared = (variances * resolvent) ** 2
        new_q = v_hat**2 * np.sum(saliency * squared) + q_hat * np.mean(squared)
        v, q, m = (v + new_v) / 2, (q + new_q) / 2, (m + new_m) / 2
        before, risk = risk, noise + saliency.sum() + q - 2 * m
        if abs(risk - before) < 1e-8 * risk:
            break
    return ridge * (1 + v) / alpha, float(risk)


def _risk(variances: Array, saliency: Array, noise: float, n: int, mu: float) -> float:
    kept, lost = variances / (variances + mu), mu / (variances + mu)
    return float(n * (noise + np.sum(saliency * lost**2)) / np.sum(kept * lost))
