r"""What pruning does to the law: risk and training loss of a pruned fit in closed form.

Every functional of a pruned fit that is quadratic in its coordinates needs only the moments of
order at most 2 of the coordinates kept and removed, which `selection` has in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, count, generator, reject
from overparam.law import CoordinateLaw
from overparam.pruning import Rule, check_rule, kept_count, prune
from overparam.selection import check_independent, survival
from overparam.simulation import MonteCarlo


def pruned_risk(law: CoordinateLaw, keep: ArrayLike, rule: Rule) -> Array:
    r"""Risk of the fit after pruning, without retraining.

    .. math::
        \sigma^2 + \sum_i \lambda_i\,\mathbb E\bigl(\beta^*_i -
        \hat\beta_i 1\{i\text{ kept}\}\bigr)^2

    Parameters
    ----------
    law : CoordinateLaw
        Of a problem with diagonal covariance.
    keep : float or array_like of shape (k,)
        Fraction(s) of weights kept, in (0, 1].
    rule : str or SiPPRule
        See `prune`.

    Returns
    -------
    ndarray of the shape of `keep`
        The limit of the population risk, noise included. ``keep=1`` gives ``law.risk``.

    Raises
    ------
    ValueError
        If the covariance is full (use `pruned_risk_monte_carlo`) or an argument out of range.

    Notes
    -----
    What is removed and what is kept enter by their own squared errors, so that nothing of the size
    of the dense risk cancels near n = p. A curve costs a few sweeps over the spectrum for each
    keep fraction; `SiPPRule` multiplies that by the 48 nodes of a quadrature over its extreme value
    (128 for samples below 10). Without any randomness in the fit (no noise, p < n) the threshold is
    found by sorting.

    References
    ----------
    .. [1] X. Chang, Y. Li, S. Oymak, C. Thrampoulidis, AAAI 2021, arXiv:2012.08749: risk of
       magnitude, Hessian and oracle pruning.

    Examples
    --------
    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> problem = LinearGaussianProblem(np.ones(400), np.full(400, 0.05), noise_variance=1.0)
    >>> law = min_norm_law(problem, 200)
    >>> pruned_risk(law, [0.1, 1.0], "magnitude").round(3)
    array([2.267, 2.5  ])
    """
    return _over_keep(law, keep, rule, lambda sums: sums.risk)


def pruned_training_loss(law: CoordinateLaw, keep: ArrayLike, rule: Rule) -> Array:
    r"""Mean squared training residual of the fit after pruning, without retraining.

    With u the part removed, :math:`Q = u^\top\Sigma u`,
    :math:`C = u^\top\Sigma(\beta^*-\hat\beta)`, :math:`N = u^\top P^{-1}\hat\beta` (P the
    preconditioner of the fit, the identity if it has none),
    :math:`\kappa_0 = \frac1n\sum_i\zeta_i` and the risk :math:`\gamma` of the fit,

    .. math:: Q - \frac{C^2}{\gamma} + \gamma\Bigl(1-\kappa_0+\frac{\mu N}{\gamma}\Bigr)^2 .

    Derived (leave-one-out, Gaussian conditioning), not proved.

    Parameters
    ----------
    law : CoordinateLaw
        Of a problem with diagonal covariance.
    keep : float or array_like of shape (k,)
        Fraction(s) of weights kept, in (0, 1].
    rule : str or SiPPRule
        See `prune`.

    Returns
    -------
    ndarray of the shape of `keep`
        The limit of :math:`\|y - \Phi\hat\beta_{\text{pruned}}\|^2 / n`.

    Raises
    ------
    ValueError
        As `pruned_risk`.

    Notes
    -----
    Near ``keep=1`` the loss itself is tiny and loses digits: at p = 200,000 the relative error is
    2e-3 with one weight removed, and invisible from twenty on.

    Examples
    --------
    Nothing removed from an interpolator, nothing lost; everything but one weight in a thousand
    removed, and the loss is nearly the variance of the labels, here 2:

    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> problem = LinearGaussianProblem(np.ones(4000), np.full(4000, 4000**-0.5), 1.0)
    >>> pruned_training_loss(min_norm_law(problem, 2000), [0.001, 1.0], "random").round(2)
    array([2., 0.])
    """
    gamma, mu = law.risk, law.effective_ridge
    # 1 - sum zeta / n without cancellation: rho / mu by the fixed point, or 1 - rank / n if mu = 0.
    slack = law.penalty / mu if mu > 0 else 1 - law.problem.rank / law.n

    def loss(sums: _RemovedSums) -> float:
        if gamma == 0:  # no noise, and the fit is exact
            return sums.quadratic
        pull = slack + mu * sums.norm / gamma
        return sums.quadratic - sums.cross**2 / gamma + gamma * pull**2

    return _over_keep(law, keep, rule, loss)


def pruned_risk_monte_carlo(
    law: CoordinateLaw, keep: ArrayLike, rule: Rule, rng: np.random.Generator, draws: int
) -> MonteCarlo:
    """Risk of the pruned fit for any covariance: draw from the law, prune the draw, measure.

    For a full covariance the theorem describes rotated coordinates, while pruning acts on the
    original ones: that their joint law may be used coordinate by coordinate is a conjecture here.

    Parameters
    ----------
    law : CoordinateLaw
        Of any problem.
    keep : float or array_like of shape (k,)
        Fraction(s) of weights kept, in (0, 1].
    rule : str or SiPPRule
        See `prune`.
    rng : numpy.random.Generator
        Source of randomness.
    draws : int
        At least 2.

    Returns
    -------
    MonteCarlo
        ``samples`` of shape (draws,) or (draws, k).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> problem = LinearGaussianProblem(np.eye(400), np.full(400, 0.05), noise_variance=1.0)
    >>> law = min_norm_law(problem, 200)
    >>> result = pruned_risk_monte_carlo(law, 0.1, "magnitude", np.random.default_rng(0), 50)
    >>> bool(abs(result.z_score(2.267)) < 5)
    True
    """
    if not isinstance(law, CoordinateLaw):
        raise reject("law", law, "must be a CoordinateLaw", "Make one with min_norm_law.")
    problem = law.problem
    check_rule(rule)
    rng = generator(rng)
    variances, saliency = problem.variances, problem.saliency
    risks = []
    for _ in range(count("draws", draws, minimum=2)):
        beta = law.draw(rng, 1)[0]
        kept = prune(beta, keep, rule, variances=variances, saliency=saliency, rng=rng)
        risks.append(problem.risk(kept))
    return MonteCarlo(np.array(risks))


@dataclass(frozen=True)
class _RemovedSums:
    """Sums over features: Q, C and N of the part removed, and the risk of what is kept."""

    quadratic: float
    cross: float
    norm: float
    risk: float


def _over_keep(
    law: CoordinateLaw, keep: ArrayLike, rule: Rule, functional: Callable[[_RemovedSums], float]
) -> Array:
    check_independent(law, rule)
    counts = kept_count(keep, law.problem.p)
    values = [functional(_removed_sums(law, int(s), rule)) for s in counts.flat]
    return np.array(values).reshape(counts.shape)


def _removed_sums(law: CoordinateLaw, s: int, rule: Rule) -> _RemovedSums:
    """Add up the four sums over blocks of features, for s survivors."""
    problem, weights = law.problem, law.preconditioner
    total = np.zeros(4)
    for part, moments in survival(law, s, rule):
        variances, beta = problem.variances[part], problem.coefficients[part]
        mean, std = law.mean[part], law.std[part]
        lost = beta * law.complement[part]
        d0, d1, d2 = moments.removed
        first = mean * d0 + std * d1
        second = mean**2 * d0 + 2 * mean * std * d1 + std**2 * d2
        p0, p1, p2 = moments.kept
        kept_error = lost**2 * p0 - 2 * lost * std * p1 + std**2 * p2
        total += (
            variances @ second,
            variances @ (beta * first - second),
            (second if weights is None else second / weights[part]).sum(),
            variances @ (beta**2 * d0 + kept_error),
        )
    quadratic, cross, norm, excess = total.tolist()
    return _RemovedSums(quadratic, cross, norm, problem.noise_variance + excess)
