r"""What retraining after pruning does, on fresh data and on the data that chose the support.

On fresh data the survivors are a least-squares problem of their own, with the removed signal as
noise. On the same data, the support has already seen the noise that is to be fitted. But given the
dense fit, the sample is known: all rows but one look like fresh rows on which that fit happens to
make no error. Least squares of such rows on the survivors S gives, for i in S,

    beta_tilde_i = beta*_i + r (beta_hat_i - beta*_i) + m mu beta_hat_i / lambda_i + noise,

with two numbers r and m that solve two linear equations.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, reject
from overparam.law import CoordinateLaw
from overparam.pruning import Rule, kept_count
from overparam.selection import check_independent, survival

_Field = tuple[Array, Array]  # intercept and slope of a quantity that is affine in the normal H


def retrained_risk(
    law: CoordinateLaw, keep: ArrayLike, rule: Rule, data: Literal["same", "fresh"] = "same"
) -> Array:
    r"""Risk after pruning a fit and refitting the survivors by least squares without penalty.

    With s survivors S, removed features N and :math:`\sigma_S^2 = \sigma^2 +
    \sum_i \lambda_i {\beta^*_i}^2\, P(i \in N)`, the risk is

    .. math::
        \sigma_S^2\,\frac{n-1}{n-s-1} \quad\text{(fresh)}, \qquad
        \Bigl(\sigma_S^2 + \|r\delta_S + mq_S\|^2 - r^2\gamma\tfrac sn\Bigr)\frac{n-1}{n-s-1}
        \quad\text{(same)}

    where :math:`b = \Sigma^{1/2}\beta^*` is the signal, :math:`\delta = \Sigma^{1/2}(\hat\beta -
    \beta^*)` the error of the dense fit, :math:`q = \mu\Sigma^{-1/2}P^{-1}\hat\beta` (P the
    preconditioner of the dense fit, the identity if it has none), and r and m solve

    .. math::
        r\,(\sigma^2 + \|\delta_N\|^2) - m\,q_S\!\cdot\!\delta_S
        &= \sigma^2 - \delta_N\!\cdot b_N \\
        r\,q_S\!\cdot\!\delta_S + m\,\bigl(\gamma(1-\tfrac sn) + \|q_S\|^2\bigr)
        &= \sigma^2 + q_N\!\cdot b_N

    with every inner product replaced by its expectation under the law.

    Parameters
    ----------
    law : CoordinateLaw
        The dense fit (minimum norm, ridge, or p < n), of a problem with diagonal covariance.
    keep : float or array_like of shape (k,)
        Fraction(s) of weights kept, in (0, 1], with s < n - 1.
    rule : str or SiPPRule
        See `prune`.
    data : {"same", "fresh"}, optional
        Retrain on the n samples of the dense fit, or on n new ones.

    Returns
    -------
    ndarray of the shape of `keep`
        The risk, noise included.

    Raises
    ------
    ValueError
        If s >= n - 1 (the expected risk is infinite), the covariance is full, or an argument is
        out of range.

    Notes
    -----
    For ``"oracle"`` and ``"random"``, whose support has not seen the data, both options agree and
    are the exact expectation in finite samples. For the other rules ``"fresh"`` is exact given the
    survival probabilities of the law, and ``"same"`` is the limit times :math:`(1-\frac sn)
    \frac{n-1}{n-s-1}`, so that the two options differ by the effect of the selection alone;
    relative errors are of order 1/n.
    The determinant of the two equations is at least :math:`(\sigma^2 + \|\delta_N\|^2)\gamma
    (1-\frac sn)`: they have one solution. For p < n without penalty q = 0 and r is explicit.
    Features of variance zero take no degree of freedom of the refit.

    References
    ----------
    .. [1] X. Chang, Y. Li, S. Oymak, C. Thrampoulidis, AAAI 2021, arXiv:2012.08749: the chain of
       training, pruning and retraining, with a prediction for fresh data.

    Examples
    --------
    Pruning pure noise: the survivors are those that fit the noise of the sample best.

    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> law = min_norm_law(LinearGaussianProblem(np.ones(200), np.zeros(200), 1.0), 1001)
    >>> retrained_risk(law, [0.01, 0.1, 1.0], "magnitude", data="fresh").round(3)
    array([1.002, 1.02 , 1.25 ])
    >>> retrained_risk(law, [0.01, 0.1, 1.0], "magnitude").round(3)
    array([1.014, 1.087, 1.25 ])
    """
    _check(law, rule, data)
    problem, n = law.problem, law.n
    counts = kept_count(keep, problem.p)
    risks = []
    for fraction, count in zip(np.ravel(keep), counts.flat, strict=True):
        kept, missing, *products = _expected_sums(law, int(count), rule)
        s = round(kept)  # whole up to rounding
        if s >= n - 1:
            raise reject(
                "keep",
                float(fraction),
                f"must leave fewer than n - 1 = {n - 1} features of non-zero variance",
                f"It leaves {s} of {problem.p}: keep less, or train on more samples.",
            )
        level = problem.noise_variance + missing
        if data == "same" and law.risk > 0:
            level += _selection_effect(law, s, *products)
        risks.append(level * (n - 1) / (n - s - 1))
    return np.array(risks).reshape(counts.shape)


def _selection_effect(
    law: CoordinateLaw,
    s: int,
    error_removed: float,  # |delta_N|^2
    error_signal_removed: float,  # delta_N . b_N
    pull_signal_removed: float,  # q_N . b_N
    error_kept: float,  # |delta_S|^2
    pull_error_kept: float,  # q_S . delta_S
    pull_kept: float,  # |q_S|^2
) -> float:
    """Return |r delta_S + m q_S|^2 - r^2 gamma s / n, which is 0 for a support given beforehand."""
    noise, gamma, share = law.problem.noise_variance, law.risk, s / law.n
    matrix = [
        [noise + error_removed, -pull_error_kept],
        [pull_error_kept, gamma * (1 - share) + pull_kept],
    ]
    right = [noise - error_signal_removed, noise + pull_signal_removed]
    r, m = np.linalg.solve(matrix, right).tolist()
    effect = r**2 * (error_kept - gamma * share) + 2 * r * m * pull_error_kept + m**2 * pull_kept
    return float(effect)


def _expected_sums(law: CoordinateLaw, s: int, rule: Rule) -> list[float]:
    """Return the number of survivors with variance, |b_N|^2, and the six inner products above."""
    problem, std = law.problem, np.sqrt(law.risk / law.n)
    total = np.zeros(8)
    for part, moments in survival(law, s, rule):
        kept, removed = moments.kept, moments.removed
        root, beta = np.sqrt(problem.variances[part]), problem.coefficients[part]
        shrinkage, present = law.shrinkage[part], root > 0
        # mu beta_hat / (pi lambda) = (1 - zeta) beta_hat / zeta, but zeta cancels: it may be tiny.
        complement = np.where(present, law.complement[part], 0.0)
        signal: _Field = (root * beta, np.zeros(beta.size))
        error: _Field = (-complement * root * beta, shrinkage * std)
        pull: _Field = (complement * root * beta, complement * std)
        total += np.array(
            [
                kept[0] @ present,
                _inner(signal, signal, removed),
                _inner(error, error, removed),
                _inner(error, signal, removed),
                _inner(pull, signal, removed),
                _inner(error, error, kept),
                _inner(pull, error, kept),
                _inner(pull, pull, kept),
            ]
        )
    return [float(value) for value in total]


def _inner(first: _Field, second: _Field, moments: tuple[Array, Array, Array]) -> float:
    """Return the sum over features of E[first second; event], from E[H^k; event]."""
    (a, b), (c, d) = first, second
    zeroth, linear, square = moments
    return float((a * c) @ zeroth + (a * d + b * c) @ linear + (b * d) @ square)


def _check(law: CoordinateLaw, rule: Rule, data: object) -> None:
    if not isinstance(data, str) or data not in ("same", "fresh"):
        raise reject("data", data, "must be 'same' or 'fresh'", "Pass one of these.")
    check_independent(law, rule, "Fit, prune and refit simulated data instead.")
    if rule == "random" and law.problem.rank < law.problem.p:
        raise reject(
            "rule",
            rule,
            "must not be 'random' when features of variance zero make the refit's size random",
            "Drop these features with problem.restrict.",
        )
