r"""What the order by a measure tells about the order by a target, once hyperparameters are known.

A measure can order models well only because it follows a hyperparameter that does. Mutual
information between the two orders, conditional on the hyperparameters, does not credit it for that.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from overparam._pairs import Settings, axis_codes, checked_models, joint_code, signs_of_pairs
from overparam._validation import Array, count, reject


@dataclass(frozen=True)
class ConditionalInformation:
    r"""Normalized mutual information of the two orders, given hyperparameters.

    Attributes
    ----------
    score : float
        The least over all sets of conditions, in [0, 1].
    sets : dict of tuple of str to float
        :math:`I(V_\mu;V_g\mid U_S)/H(V_g\mid U_S)` for each set S of axes.
    """

    score: float
    sets: dict[tuple[str, ...], float]


def conditional_mutual_information(
    measure: ArrayLike,
    target: ArrayLike,
    settings: Settings,
    *,
    weighting: Literal["pairs", "cells"] = "pairs",
    largest_set: int = 2,
    weights: ArrayLike | None = None,
) -> ConditionalInformation:
    r"""How much the order by the measure says about that by the target, hyperparameters known.

    For an ordered pair of models, :math:`V` is the sign of the difference and :math:`U_S` the
    values of the axes in S in both models.

    Parameters
    ----------
    measure, target : array_like of shape (N,)
        One value for each model. Signs have three values, ties being one.
    settings : mapping of str to array_like of shape (N,)
        The hyperparameters.
    weighting : {"pairs", "cells"}
        Whether the value u of :math:`U_S` counts by the number of its pairs, which is the
        definition of a conditional information, or all values alike, as some published scores do.
    largest_set : int
        The largest number of conditions, 0 or more.
    weights : array_like of shape (N,), optional
        Multiplicities of the models.

    Returns
    -------
    ConditionalInformation
        The score is 0 for a constant measure. Sets that determine the order of the target are left
        out: nothing remains to be said.

    Raises
    ------
    ValueError
        If the grid is empty, every set determines the order (a constant target), or `kendall_tau`
        refuses.

    References
    ----------
    .. [1] Y. Jiang et al., ICLR 2020, arXiv:1912.02178.

    Examples
    --------
    The measure is the width in disguise, and knowing the width nothing is left of it:

    >>> grid = {"width": [1, 1, 2, 2], "depth": [1, 2, 1, 2]}
    >>> result = conditional_mutual_information([1, 1, 2, 2], [1, 2, 3, 4], grid, largest_set=1)
    >>> {key: round(value, 3) for key, value in result.sets.items()}
    {(): 0.667, ('width',): 0.0, ('depth',): 1.0}
    """
    if weighting not in ("pairs", "cells"):
        raise reject("weighting", weighting, "must be 'pairs' or 'cells'", "Pass one of these.")
    values, goals = checked_models(measure, target)
    axes = axis_codes(settings, values.size)
    signs, goal_signs, mass = signs_of_pairs(values, goals, weights)
    outcome = (3 * (signs + 1) + goal_signs + 1).astype(np.int64)
    sets = {}
    for size in range(min(count("largest_set", largest_set, minimum=0), len(axes)) + 1):
        for names in combinations(axes, size):
            codes = joint_code([axes[name] for name in names], values.size)
            cells = codes[:, None] * (codes.max() + 1) + codes
            counts = np.bincount((9 * cells + outcome).ravel(), mass.ravel()).astype(np.float64)
            table = np.append(counts, np.zeros(-counts.size % 9)).reshape(-1, 3, 3)
            ratio = _information_ratio(table, by_pairs=weighting == "pairs")
            if ratio is not None:
                sets[names] = ratio
    if not sets:
        raise reject("target", goals, "must order models with equal settings", "Pass other models.")
    return ConditionalInformation(min(sets.values()), sets)


def _information_ratio(table: Array, *, by_pairs: bool) -> float | None:
    """I / H from weights of shape (cells, 3, 3): sign of the measure, sign of the target."""
    table = table[table.sum(axis=(1, 2)) > 0]
    mass = table.sum(axis=(1, 2), keepdims=True)
    joint = table / mass
    first, second = joint.sum(axis=2, keepdims=True), joint.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.where(joint > 0, joint * np.log(joint / (first * second)), 0.0)
        entropy = -np.where(second > 0, second * np.log(second), 0.0)
    share = (mass / mass.sum()).ravel() if by_pairs else np.full(len(table), 1 / len(table))
    total = float(share @ entropy.sum(axis=(1, 2)))
    if total < 1e-12:
        return None
    return max(float(share @ information.sum(axis=(1, 2))) / total, 0.0)
