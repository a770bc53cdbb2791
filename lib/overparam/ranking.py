r"""How well one number orders models by another: rank correlations, and what confounds them.

All scores look at pairs of models and only at signs: which of the two has the larger measure, which
the larger target. They differ in the pairs they compare and in how they average. `settings` is the
table of hyperparameters of the models, ``{"width": [...], "seed": [...]}``.

Every score takes the multiplicities of a bootstrap sample as `weights`: a pair of copies of the
same model is not a pair, and would only add ties.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau

from overparam._pairs import Settings, axis_codes, checked_models, joint_code, signs_of_pairs
from overparam._validation import Array, count, generator, reject


def kendall_tau(
    measure: ArrayLike,
    target: ArrayLike,
    variant: Literal["a", "b"] = "b",
    *,
    weights: ArrayLike | None = None,
) -> float:
    r"""Kendall's rank correlation of a measure with a target.

    .. math::
        \tau_a = \frac{1}{N(N-1)}\sum_{a\ne b}\operatorname{sgn}(\mu_a-\mu_b)
        \operatorname{sgn}(g_a-g_b)

    Variant b divides by the numbers of untied pairs instead, so that it can reach one with ties.

    Parameters
    ----------
    measure, target : array_like of shape (N,)
        One value for each of at least two models.
    variant : {"a", "b"}
        How ties count.
    weights : array_like of shape (N,), optional
        Multiplicities of the models.

    Returns
    -------
    float
        In [-1, 1]; 0 if one of the two is constant, since it orders nothing.

    Raises
    ------
    ValueError
        If there are fewer than two models, or a value is not finite.

    Examples
    --------
    Six pairs, five in the same order and one tie in the measure:

    >>> round(6 * kendall_tau([1, 2, 2, 3], [1, 2, 3, 4], "a"), 12)
    5.0
    """
    if variant not in ("a", "b"):
        raise reject("variant", variant, "must be 'a' or 'b'", "Pass one of these.")
    values, goals = checked_models(measure, target)
    if variant == "b" and weights is None:
        with np.errstate(invalid="ignore", divide="ignore"):
            tau = float(kendalltau(values, goals, variant="b").statistic)
        return tau if np.isfinite(tau) else 0.0
    signs, goal_signs, mass = signs_of_pairs(values, goals, weights)
    agreement = float(np.sum(mass * signs * goal_signs))
    if variant == "a":
        return agreement / float(mass.sum())
    untied = float(np.sum(mass * signs**2) * np.sum(mass * goal_signs**2))
    return agreement / np.sqrt(untied) if untied > 0 else 0.0


@dataclass(frozen=True)
class GranulatedKendall:
    r"""Kendall's tau within the models that differ in one hyperparameter only.

    Attributes
    ----------
    score : float
        The mean over the axes.
    axes : dict of str to float
        For each axis the mean of :math:`\tau_a` over the settings of all others.
    """

    score: float
    axes: dict[str, float]


def granulated_kendall(
    measure: ArrayLike, target: ArrayLike, settings: Settings, *, weights: ArrayLike | None = None
) -> GranulatedKendall:
    r"""Granulated Kendall coefficient: no single hyperparameter can make the whole correlation.

    .. math:: \Psi = \frac1k\sum_i\psi_i,\qquad \psi_i=\frac1{m_i}\sum\tau_a(\text{axis } i)

    where the inner sum is over the settings of all axes but i.

    Parameters
    ----------
    measure, target : array_like of shape (N,)
        One value for each model.
    settings : mapping of str to array_like of shape (N,)
        The hyperparameters; at least one must vary. Settings with one model only are left out of
        the average, and so are axes without any pair.
    weights : array_like of shape (N,), optional
        Multiplicities of the models.

    Returns
    -------
    GranulatedKendall
        Scores of the axes and their mean.

    Raises
    ------
    ValueError
        If the grid is empty, no axis has two models that differ in it alone, or `kendall_tau`
        refuses.

    References
    ----------
    .. [1] Y. Jiang, B. Neyshabur, H. Mobahi, D. Krishnan, S. Bengio, "Fantastic generalization
       measures and where to find them", ICLR 2020, arXiv:1912.02178.

    Examples
    --------
    The measure follows the depth and contradicts the width:

    >>> grid = {"width": [1, 1, 2, 2], "depth": [1, 2, 1, 2]}
    >>> granulated_kendall([2, 4, 1, 3], [1, 2, 3, 4], grid)
    GranulatedKendall(score=0.0, axes={'width': -1.0, 'depth': 1.0})
    """
    values, goals = checked_models(measure, target)
    axes = axis_codes(settings, values.size)
    signs, goal_signs, mass = signs_of_pairs(values, goals, weights)
    scores = {}
    for name, codes in axes.items():
        others = joint_code([other for key, other in axes.items() if key != name], values.size)
        # Models that share all hyperparameters differ in none and are no pair of this axis.
        pairs = (others[:, None] == others) & (codes[:, None] != codes)
        total = np.bincount(others, weights=(mass * pairs).sum(axis=1))
        agreement = np.bincount(others, weights=(mass * pairs * signs * goal_signs).sum(axis=1))
        if np.any(total > 0):
            scores[name] = float(np.mean(agreement[total > 0] / total[total > 0]))
    if not scores:
        raise reject("settings", dict(settings), "must have an axis that varies alone", "Add runs.")
    return GranulatedKendall(float(np.mean(list(scores.values()))), scores)


@dataclass(frozen=True)
class SignError:
    """Worst environment of a measure.

    Attributes
    ----------
    worst : float
        Largest sign error over the environments.
    environment : tuple
        The axis and the two values at which it occurs.
    environments : dict of tuple to float
        Sign error of each environment.
    """

    worst: float
    environment: tuple[str, object, object]
    environments: dict[tuple[str, object, object], float]


def worst_sign_error(
    measure: ArrayLike,
    target: ArrayLike,
    settings: Settings,
    *,
    fewest: int = 1,
    weights: ArrayLike | None = None,
) -> SignError:
    r"""How often a measure orders wrongly, where it does so most.

    An environment is one hyperparameter and two of its values; its pairs are the models that have
    these two values and agree in all other hyperparameters. The sign error is
    :math:`\frac12(1-\E\operatorname{sgn}\operatorname{sgn})`: the share of wrong orders, a tie
    counting one half.

    Parameters
    ----------
    measure, target : array_like of shape (N,)
        One value for each model.
    settings : mapping of str to array_like of shape (N,)
        The hyperparameters.
    fewest : int
        Environments with fewer pairs are not looked at.
    weights : array_like of shape (N,), optional
        Multiplicities of the models.

    Returns
    -------
    SignError
        A coin has one half; so has a constant measure.

    Raises
    ------
    ValueError
        If no environment has enough pairs, or `kendall_tau` refuses.

    References
    ----------
    .. [1] G. K. Dziugaite, A. Drouin, B. Neal, N. Rajkumar, E. Caballero, L. Wang, I. Mitliagkas,
       D. M. Roy, "In search of robust measures of generalization", NeurIPS 2020, arXiv:2010.11924.

    Examples
    --------
    >>> grid = {"width": [1, 1, 2, 2], "depth": [1, 2, 1, 2]}
    >>> result = worst_sign_error([2, 4, 1, 3], [1, 2, 3, 4], grid)
    >>> result.worst, result.environment
    (1.0, ('width', 1, 2))
    """
    values, goals = checked_models(measure, target)
    axes = axis_codes(settings, values.size)
    signs, goal_signs, mass = signs_of_pairs(values, goals, weights)
    least = count("fewest", fewest)
    errors = {}
    for name, codes in axes.items():
        others = joint_code([other for key, other in axes.items() if key != name], values.size)
        alike = others[:, None] == others
        choices = np.unique(np.asarray(settings[name]))
        for low, high in combinations(range(choices.size), 2):
            pairs = alike & (codes[:, None] == low) & (codes == high)
            total = float(mass[pairs].sum())
            if pairs.sum() >= least and total > 0:
                agreement = float((mass * signs * goal_signs)[pairs].sum())
                key = (name, choices[low].item(), choices[high].item())
                errors[key] = (1 - agreement / total) / 2
    if not errors:
        raise reject("settings", dict(settings), "must have an environment", "Lower `fewest`.")
    worst = max(errors, key=lambda key: errors[key])
    return SignError(errors[worst], worst, errors)


def bootstrap_models(
    score: Callable[[Array], float], models: int, replicates: int, rng: np.random.Generator
) -> Array:
    """Draw models with replacement and score each sample.

    Parameters
    ----------
    score : callable
        ``score(weights)`` with the multiplicities of the models, as the scores of this module take.
    models : int
        How many there are, at least 3.
    replicates : int
        How many samples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (replicates,)
        Scores; their standard deviation estimates the standard error of the score over models
        drawn like these.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> x = np.arange(30.0)
    >>> y = x + 10 * np.random.default_rng(0).standard_normal(30)
    >>> draws = bootstrap_models(
    ...     lambda w: kendall_tau(x, y, weights=w), 30, 100, np.random.default_rng(1))
    >>> bool(0.02 < draws.std() < 0.2)
    True
    """
    number = count("models", models, minimum=3)
    source = generator(rng)
    drawn = source.multinomial(number, np.full(number, 1 / number), count("replicates", replicates))
    return np.array([score(row.astype(np.float64)) for row in drawn])
