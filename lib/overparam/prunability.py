r"""Prunability: the smallest fraction of weights that can be kept at a given cost in training loss.

The measure is one number read off a curve, the training loss against the fraction kept. For a
least-squares fit the curve is `pruned_training_loss`, and `law_prunability` solves it; for anything
else it is measured, by pruning and evaluating, and `measure_prunability` does that. Both read the
number off in the same way, which `kept_fraction` states.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam._validation import Array, count, generator, real_array, reject
from overparam.law import CoordinateLaw
from overparam.pruned_law import pruned_training_loss
from overparam.pruning import Rule, kept_count
from overparam.selection import check_independent

Unit = Literal["absolute", "loss"]
Crossing = Literal["first", "last"]
Order = Literal["magnitude", "random", "scale-free"]

_SCANNED = 48  # levels at which the curve is looked at before a crossing is bisected


def kept_fraction(
    keep: ArrayLike,
    losses: ArrayLike,
    tolerance: ArrayLike,
    *,
    unit: Unit = "absolute",
    crossing: Crossing = "first",
) -> Array:
    r"""Read prunability off a curve: how little can be kept within a tolerance.

    The loss may exceed that at ``keep = 1`` by the tolerance. Between the last level within the
    tolerance and the next one beyond it the curve is taken to be a straight line.

    Parameters
    ----------
    keep : array_like of shape (k,)
        Fractions kept in (0, 1], all different, in any order; 1 must be among them.
    losses : array_like of shape (k,)
        Training loss at each of them.
    tolerance : float or array_like
        Positive.
    unit : {"absolute", "loss"}
        Whether the tolerance is a loss, or a fraction of the loss at ``keep = 1``. A fit that
        interpolates in squared loss has loss zero, and then only the first makes sense.
    crossing : {"first", "last"}
        The loss need not rise monotonically as less is kept. ``"first"`` stops where it first
        leaves the tolerance; ``"last"`` takes the least fraction at which it is within it.

    Returns
    -------
    ndarray of the shape of `tolerance`
        In (0, 1]; the least level of `keep` if the loss never leaves the tolerance.

    Raises
    ------
    ValueError
        If there are no levels, 1 is not among them, a value is not finite, a tolerance is not
        positive, or it is relative to a loss of zero.

    Examples
    --------
    >>> kept_fraction([1.0, 0.75, 0.5, 0.25], [0.0, 0.1, 0.3, 0.7], [0.1, 0.2, 5.0])
    array([0.75 , 0.625, 0.25 ])
    """
    levels = real_array("keep", keep, (1,))
    values = real_array("losses", losses, (1,))
    if values.shape != levels.shape:
        raise reject(
            "losses.shape", values.shape, f"must be {levels.shape}", "Pass one loss for each level."
        )
    if levels.min() <= 0 or levels.max() != 1 or np.unique(levels).size < levels.size:
        raise reject(
            "keep", levels, "must hold different fractions in (0, 1], 1 among them", "Add 1.0."
        )
    descending = np.argsort(-levels)
    levels, values = levels[descending], values[descending]
    bounds = _bounds(tolerance, float(values[0]), unit)
    return _read_off(levels, values, bounds, _check_crossing(crossing))


def law_prunability(
    law: CoordinateLaw,
    tolerance: ArrayLike,
    rule: Rule = "magnitude",
    *,
    unit: Literal["labels", "absolute", "loss"] = "labels",
    crossing: Crossing = "first",
) -> Array:
    r"""Prunability of a least-squares fit in the proportional regime.

    The smallest :math:`\alpha` such that the training loss after pruning stays within

    .. math::
        Q - \frac{C^2}{\gamma} + \gamma\Bigl(1-\kappa_0+\frac{\mu N}{\gamma}\Bigr)^2
        \le \gamma(1-\kappa_0)^2 + \epsilon\,\mathrm{unit}

    from there to :math:`\alpha = 1`; the moments are those of `pruned_training_loss`.

    Parameters
    ----------
    law : CoordinateLaw
        Of a problem with diagonal covariance: an interpolator, ridge, or least squares.
    tolerance : float or array_like
        Positive.
    rule : str or SiPPRule
        See `prune`.
    unit : {"labels", "absolute", "loss"}
        What the tolerance is a multiple of: the variance of a label, one, or the training loss of
        the fit, which is zero for an interpolator.
    crossing : {"first", "last"}
        See `kept_fraction`.

    Returns
    -------
    ndarray of the shape of `tolerance`
        Kept fractions. They are solved to a count and interpolated between two counts, so that they
        are smooth in the tolerance.

    Raises
    ------
    ValueError
        If a tolerance is not positive, the unit is zero, or `pruned_training_loss` refuses.

    Notes
    -----
    The curve is scanned at about fifty levels, which are finer near both ends, before each
    crossing is bisected. Two crossings between neighboring levels would go unnoticed; the curves of
    the laws turn at most once.

    Examples
    --------
    Twice as many features as samples, then four times, at one tenth of the variance of the labels:

    >>> from overparam import LinearGaussianProblem, min_norm_law
    >>> values = np.random.default_rng(0).standard_normal(2000) / 2000**0.5
    >>> problem = LinearGaussianProblem(np.ones(2000), values, noise_variance=0.25)
    >>> [float(law_prunability(min_norm_law(problem, n), 0.1).round(2)) for n in (1000, 500)]
    [0.37, 0.29]
    """
    check_independent(law, rule)
    _check_crossing(crossing)
    if unit not in ("labels", "absolute", "loss"):
        raise reject("unit", unit, "must be 'labels', 'absolute' or 'loss'", "Pass one of these.")
    loss_at = _cached_loss(law, rule)
    p = law.problem.p
    dense = loss_at(p)
    scale = 1.0
    if unit == "labels":
        scale = law.problem.noise_variance + float(law.problem.saliency.sum())
    bounds = _bounds(tolerance, dense, "loss" if unit == "loss" else "absolute", scale)
    counts = _scan(p)
    values = np.array([loss_at(int(s)) for s in counts])
    return np.array(
        [_solve(loss_at, counts, values, bound, crossing) / p for bound in bounds.flat]
    ).reshape(bounds.shape)


def measure_prunability(
    loss: Callable[[Array], float],
    parameters: ArrayLike,
    tolerance: ArrayLike,
    *,
    order: Order = "magnitude",
    scales: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    prunable: ArrayLike | None = None,
    unit: Unit = "absolute",
    crossing: Crossing = "first",
    keep: ArrayLike | None = None,
    masks: int = 10,
    rng: np.random.Generator | None = None,
) -> Array:
    r"""Prunability of any model whose parameters are a vector, measured by pruning it.

    Parameters
    ----------
    loss : callable
        Training loss of a parameter vector, without a penalty.
    parameters : array_like of shape (d,)
        The trained parameters.
    tolerance : float or array_like
        Positive.
    order : {"magnitude", "random", "scale-free"}
        What goes first: small :math:`|w_j|`, any, or small :math:`|w_j|` times ``scales[j]``.
    scales : array_like of shape (d,), optional
        For ``"scale-free"``: the root mean square of what weight j multiplies. The order then does
        not change when a feature is measured in other units.
    groups : array_like of shape (d,), optional
        Layer of each weight. The fraction kept is then that of every layer; by default all weights
        compete for one threshold.
    prunable : array_like of bool, shape (d,), optional
        Which parameters may be removed and are counted, by default all; biases are usually not.
    unit, crossing
        See `kept_fraction`.
    keep : array_like of shape (k,), optional
        Levels at which the loss is evaluated, 1 among them; by default 50 equal steps. The curve is
        interpolated between them.
    masks : int
        Random orders over which the loss is averaged, before the crossing is sought.
    rng : numpy.random.Generator, optional
        For ``"random"``.

    Returns
    -------
    ndarray of the shape of `tolerance`
        Kept fraction of the prunable parameters.

    Raises
    ------
    ValueError
        If an argument is out of range, the model has no prunable parameter, or a loss is not
        finite.

    References
    ----------
    .. [1] L. Kuhn, C. Lyle, A. N. Gomez, J. Rothfuss, Y. Gal, "Robustness to pruning predicts
       generalization in deep neural networks", arXiv:2103.06002: the measure.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.standard_normal((50, 100)), rng.standard_normal(50)
    >>> beta = np.linalg.pinv(x) @ y
    >>> loss = lambda w: np.mean((y - x @ w)**2)
    >>> bool(measure_prunability(loss, beta, 0.1) < measure_prunability(loss, beta, 0.01))
    True
    """
    vector = real_array("parameters", parameters, (1,))
    allowed = _mask("prunable", prunable, vector.size)
    if not allowed.any():
        raise reject("prunable", prunable, "must allow a parameter", "Allow at least one.")
    levels = np.arange(1, 51) / 50 if keep is None else real_array("keep", keep, (1,))
    orders = _orders(vector, order, scales, masks, rng)
    labels = np.zeros(vector.size) if groups is None else real_array("groups", groups, (1,))
    if labels.shape != vector.shape:
        raise reject("groups.shape", labels.shape, f"must be {vector.shape}", "One per weight.")
    curves = []
    for score in orders:
        kept = _kept(score, labels, allowed, levels)
        curves.append([float(loss(np.where(row, vector, 0.0))) for row in kept])
    return kept_fraction(
        levels,
        real_array("loss(parameters)", curves, (2,)).mean(axis=0),
        tolerance,
        unit=unit,
        crossing=crossing,
    )


def _read_off(levels: Array, values: Array, bounds: Array, crossing: Crossing) -> Array:
    """Descending levels: the end of the first stretch within each bound, or of the last."""
    found = np.empty(bounds.shape)
    for index, bound in np.ndenumerate(bounds):
        within = values <= bound
        # The dense model itself is within every bound, so that there is such a level.
        last = np.flatnonzero(within)[-1] if crossing == "last" else np.argmin(within) - 1
        if within.all() or last + 1 == levels.size:
            found[index] = levels[-1]
            continue
        share = (bound - values[last]) / (values[last + 1] - values[last])
        found[index] = levels[last] + share * (levels[last + 1] - levels[last])
    return found


def _solve(
    loss_at: Callable[[int], float], counts: NDArray[np.int64], values: Array, bound: float,
    crossing: Crossing,
) -> float:  # fmt: skip
    """Bisect between two scanned counts, descending, and interpolate between neighbors."""
    within = values <= bound
    if within.all() or (crossing == "last" and within[-1]):
        return float(counts[-1])
    last = int(np.flatnonzero(within)[-1] if crossing == "last" else np.argmin(within) - 1)
    good, bad = int(counts[last]), int(counts[last + 1])
    while good - bad > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if loss_at(middle) <= bound else (good, middle)
    return good - (bound - loss_at(good)) / (loss_at(bad) - loss_at(good))


def _scan(p: int) -> NDArray[np.int64]:
    """Counts from p down to 1, denser at both ends, where the curves bend."""
    x = (1 + np.cos(np.pi * np.arange(_SCANNED + 1) / _SCANNED)) / 2
    return np.unique(kept_count(np.maximum(x, 0.5 / p), p))[::-1]


def _cached_loss(law: CoordinateLaw, rule: Rule) -> Callable[[int], float]:
    known: dict[int, float] = {}

    def loss_at(s: int) -> float:
        if s not in known:
            known[s] = float(pruned_training_loss(law, s / law.problem.p, rule))
        return known[s]

    return loss_at


def _bounds(tolerance: ArrayLike, dense: float, unit: Unit, scale: float = 1.0) -> Array:
    allowed = real_array("tolerance", tolerance, (0, 1, 2))
    if allowed.min() <= 0:
        raise reject("tolerance", tolerance, "must be positive", "Pass 0.1, for example.")
    if unit not in ("absolute", "loss"):
        raise reject("unit", unit, "must be 'absolute' or 'loss'", "Pass one of these.")
    if unit == "loss":
        scale = dense
    if scale <= 0:
        raise reject(
            "unit", unit, "must not be zero", "The fit interpolates: pass an absolute tolerance."
        )
    return dense + allowed * scale


def _check_crossing(crossing: Crossing) -> Crossing:
    if crossing not in ("first", "last"):
        raise reject("crossing", crossing, "must be 'first' or 'last'", "Pass one of these.")
    return crossing


def _orders(
    vector: Array, order: Order, scales: ArrayLike | None, masks: int,
    rng: np.random.Generator | None,
) -> list[Array]:  # fmt: skip
    """Scores, larger survives: one vector, or as many as there are random masks."""
    if order == "random":
        source = generator(rng)
        return [source.random(vector.size) for _ in range(count("masks", masks))]
    if order not in ("magnitude", "scale-free"):
        raise reject(
            "order", order, "must be 'magnitude', 'random' or 'scale-free'", "Pass one of these."
        )
    if order == "magnitude":
        return [np.abs(vector)]
    if scales is None:
        raise reject("scales", scales, "must be given for 'scale-free'", "Pass rms of the inputs.")
    factors = real_array("scales", scales, (1,))
    if factors.shape != vector.shape or factors.min() < 0:
        raise reject(
            "scales", factors, f"must be >= 0, of shape {vector.shape}", "Pass one for each weight."
        )
    return [np.abs(vector) * factors]


def _kept(
    score: Array, labels: Array, allowed: NDArray[np.bool_], levels: Array
) -> NDArray[np.bool_]:
    """Which parameters survive at each level; those that are not prunable always do."""
    kept = np.ones((levels.size, score.size), dtype=bool)
    for label in np.unique(labels[allowed]):
        members = np.flatnonzero((labels == label) & allowed)
        rank = np.empty(members.size, dtype=np.int64)
        rank[np.argsort(-score[members], kind="stable")] = np.arange(members.size)
        kept[:, members] = rank < kept_count(levels, members.size)[:, None]
    return kept


def _mask(name: str, value: ArrayLike | None, size: int) -> NDArray[np.bool_]:
    if value is None:
        return np.ones(size, dtype=bool)
    array = np.asarray(value)
    if array.dtype != np.bool_ or array.shape != (size,):
        raise reject(name, value, f"must be bool, of shape ({size},)", "Pass a mask.")
    return array
