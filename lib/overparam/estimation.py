"""From data alone: effective ridge, risk, and exact leave-one-out of pruned fits.

All n leave-one-out fits cost one singular value decomposition (see `leave_one_out`), are exact, and
can each be pruned and retrained as if sample i had never been seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, reject
from overparam.leave_one_out import checked_sample, left_out_fits, pseudo_inverse
from overparam.pruning import Rule, check_rule, kept_count, prune


@dataclass(frozen=True)
class PlugInLaw:
    """Estimates of the scalars of the law, made by `estimate_law`.

    Attributes
    ----------
    effective_ridge : float
        Estimate of mu, 0 for p < n, in the units of the features squared.
    risk : float
        Estimate of gamma, by generalized cross-validation, in squared units of the label.
    """

    effective_ridge: float
    risk: float


def estimate_law(features: ArrayLike, labels: ArrayLike) -> PlugInLaw:
    r"""Estimate effective ridge and risk of the minimum-norm fit from its training sample.

    For p > n, :math:`\hat\mu = 1/\operatorname{tr}(\Phi\Phi^\top)^{-1}` and
    :math:`\hat\gamma = n\hat\mu^2\, y^\top(\Phi\Phi^\top)^{-2}y`; for p < n,
    :math:`\hat\mu = 0` and :math:`\hat\gamma = n\|y - \Phi\hat\beta\|^2/(n-p)^2`.

    Parameters
    ----------
    features : array_like of shape (n, p)
        Design matrix of full rank, n different from p.
    labels : array_like of shape (n,)
        Labels.

    Returns
    -------
    PlugInLaw
        Consistent where the law holds; no knowledge of the covariance or the coefficients enters.

    Raises
    ------
    ValueError
        If shapes do not match, an entry is not finite, n = p, or the design is rank deficient.

    References
    ----------
    .. [1] G. Golub, M. Heath, G. Wahba, "Generalized cross-validation as a method for choosing a
       good ridge parameter", Technometrics 21 (1979).

    Examples
    --------
    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> problem = LinearGaussianProblem(np.ones(1200), np.full(1200, 1200**-0.5), 0.5)
    >>> law = min_norm_law(problem, 400)
    >>> estimate = estimate_law(*problem.sample(400, np.random.default_rng(1)))
    >>> bool(abs(estimate.effective_ridge / law.effective_ridge - 1) < 0.02)
    True
    >>> bool(abs(estimate.risk / law.risk - 1) < 0.1)
    True
    """
    design, target = _sample(features, labels)
    n, p = design.shape
    tolerance = float(np.finfo(np.float64).eps) * max(n, p)
    inverse = pseudo_inverse(design, min(n, p), tolerance)
    beta = inverse @ target
    if p < n:
        residual = target - design @ beta
        return PlugInLaw(0.0, n * float(residual @ residual) / (n - p) ** 2)
    dual = inverse.T @ beta
    mu = 1 / float(np.sum(inverse**2))
    return PlugInLaw(mu, n * mu**2 * float(dual @ dual))


def leave_one_out_errors(
    features: ArrayLike,
    labels: ArrayLike,
    keep: ArrayLike = 1.0,
    rule: Rule = "magnitude",
    *,
    retrain: bool = False,
) -> Array:
    """Leave out each sample, fit, prune, optionally retrain, and predict the sample: exactly.

    Parameters
    ----------
    features : array_like of shape (n, p)
        Design matrix of full rank, n different from p.
    labels : array_like of shape (n,)
        Labels.
    keep : float or array_like of shape (k,), optional
        Fraction(s) of weights kept; 1 prunes nothing.
    rule : str, optional
        ``"magnitude"`` or ``"hessian"``, the latter with the sample's second moments.
    retrain : bool, optional
        Whether to fit the surviving weights again by least squares, on the same n - 1 samples.

    Returns
    -------
    ndarray of shape (n,) or (n, k)
        Prediction errors ``y_i - prediction``; the mean of their squares estimates the risk at
        n - 1 samples without bias.

    Raises
    ------
    ValueError
        If an argument is out of range, the rule needs more than the sample, or retraining keeps as
        many weights as there are samples left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((20, 50)), rng.standard_normal(20)
    >>> leave_one_out_errors(x, y, [0.1, 1.0]).shape
    (20, 2)
    """
    design, target = _sample(features, labels)
    n, p = design.shape
    check_rule(rule)
    if rule not in ("magnitude", "hessian"):
        raise reject("rule", rule, "must need no more than the sample", "Pass 'magnitude'.")
    counts = kept_count(keep, p)
    if retrain and counts.max() >= n - 1:
        raise reject(
            "keep", keep, f"must leave fewer than n - 1 = {n - 1} weights", "Keep fewer weights."
        )
    errors = np.empty((n, *counts.shape))
    squares = np.sum(design**2, axis=0)
    for i, (row, left_out) in enumerate(zip(design, left_out_fits(design, target), strict=True)):
        variances = (squares - row**2).clip(min=0.0) / (n - 1)
        pruned = prune(left_out, keep, rule, variances=variances)
        if retrain:
            pruned = _retrain(np.delete(design, i, 0), np.delete(target, i), pruned)
        errors[i] = target[i] - pruned @ row
    return errors


def _retrain(design: Array, target: Array, pruned: Array) -> Array:
    """Least squares on the support of each row of `pruned`."""
    retrained = np.zeros_like(pruned)
    for old, new in zip(np.atleast_2d(pruned), np.atleast_2d(retrained), strict=True):
        support = np.flatnonzero(old)
        new[support] = np.linalg.lstsq(design[:, support], target, rcond=None)[0]
    return retrained


def _sample(features: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    design, target = checked_sample(features, labels, fewest=3)
    n, p = design.shape
    if n in (p, p + 1):
        raise reject(
            "features.shape", design.shape, "must not be (p, p) or (p + 1, p)",
            "Use another number of features: the risk is infinite here.",
        )  # fmt: skip
    return design, target
