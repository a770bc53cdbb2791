"""From data to a decision: train small, or train large, prune and perhaps retrain.

Every option is judged by leave-one-out. The models have an intercept, which is neither penalized
nor pruned: the fit is the minimum-norm solution on centered data. One decomposition serves all n
fits (see `leave_one_out`), each centered by its own n - 1 samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import helmert, svd

from overparam._validation import Array, count, generator, real_array, reject
from overparam.estimation import estimate_law
from overparam.least_squares import fit
from overparam.leave_one_out import checked_sample, left_out_fits
from overparam.pruning import kept_count, prune

_FEWEST, _NOISE = 12, 3.0  # samples; standard errors, which can be too small by a factor of 2


@dataclass(frozen=True)
class Option:
    """One way to arrive at a model with the wanted number of weights.

    Attributes
    ----------
    strategy : str
        ``"train small"``, ``"train large, prune"`` or ``"train large, prune, retrain"``.
    width : int
        Number of features that are trained.
    risk : float
        Predicted test risk, the mean squared leave-one-out error.
    standard_error : float
        Of `risk`, as if left-out errors were independent.
    """

    strategy: str
    width: int
    risk: float
    standard_error: float


@dataclass(frozen=True)
class Plan:
    """What `plan` found out.

    Attributes
    ----------
    size : int
        Number of weights that every option ends with, the intercept not counted.
    options : tuple of Option
        Training small first, then the large widths in increasing order.
    best_large : Option
        The large option with the least predicted risk.
    difference, standard_error : float
        Predicted risk of `best_large` minus that of training small, and its standard error, from
        the differences of squared errors on the same left-out samples.
    recommendation : str
        A sentence that names the numbers.
    warnings : tuple of str
        A sentence for each assumption that looks violated.
    """

    size: int
    options: tuple[Option, ...]
    best_large: Option
    difference: float
    standard_error: float
    recommendation: str
    warnings: tuple[str, ...]


def plan(
    features: ArrayLike,
    labels: ArrayLike,
    keep: float,
    rng: np.random.Generator | None = None,
    *,
    widths: Sequence[int] | NDArray[np.int64] | None = None,
) -> Plan:
    r"""Compare training small with training large and pruning, from one sample.

    Columns are divided by their standard deviations, which use no labels. A width is the number of
    columns of a random subset, in an order drawn once, or, if a width exceeds the number of
    columns, that of random ReLU features :math:`\max(0, w^\top x)` with Gaussian w. Pruning is by
    magnitude and keeps ``s = max(1, round(keep * max(widths)))`` weights; training small uses the
    first s features. An intercept is always fitted anew on the training samples and never pruned.

    Parameters
    ----------
    features : array_like of shape (n, d)
        One sample a row, at least 12.
    labels : array_like of shape (n,)
        Labels, not all equal.
    keep : float
        Fraction of the weights of the widest model to keep, in (0, 1].
    rng : numpy.random.Generator, optional
        Draws the column order or the ReLU features; by default one with seed 0.
    widths : sequence of int, optional
        Numbers of features to consider, neither n - 1 nor n - 2 (infinite risk). By default
        n / 2, 2 n and d where d is at least 2 n, otherwise n / 2, 2 n and 4 n.

    Returns
    -------
    Plan
        Options with predicted risks, a recommendation and warnings.

    Raises
    ------
    ValueError
        If an argument is out of range, shapes do not match, or an entry is missing.

    Notes
    -----
    Leave-one-out of the pipeline, pruning and retraining included, is exact given column scales:
    it equals refitting n times. Its mean is the risk at n - 1 samples. Standard errors neglect the
    dependence of left-out errors, and the best of several options looks better than it is: the
    recommendation asks for three. If features are linearly dependent, all n refits are computed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 200))
    >>> result = plan(x, x[:, :100].sum(axis=1), keep=0.1, rng=rng, widths=[200])
    >>> result.size, result.best_large.width
    (20, 200)
    """
    inputs, target, fraction = _checked(features, labels, keep)
    rng = np.random.default_rng(0) if rng is None else generator(rng)
    varying = np.ptp(inputs, axis=0) > 0
    if not varying.any():
        raise reject("features", inputs, "must have a column that varies", "Pass other features.")
    inputs = _standardized(inputs[:, varying])
    n, d = inputs.shape
    sizes = _checked_widths(widths, n, d)
    s = int(kept_count(fraction, sizes[-1]))
    if s in (n - 1, n - 2):
        rule = f"must not keep n - 1 or n - 2 weights, here {s}"
        raise reject("keep", keep, rule, "The risk is infinite there: keep fewer or more.")
    design = _candidates(inputs, sizes[-1], rng)
    small = _left_out_errors(design[:, :s], target, s)[0] ** 2
    options, squares = [_option("train small", s, small)], [small]
    alarms = _data_warnings(inputs, target, int(np.sum(~varying)))
    for width in sizes[np.searchsorted(sizes, s) :]:
        dense, pruned, retrained = _left_out_errors(design[:, :width], target, s) ** 2
        for name, square in (("prune", pruned), ("prune, retrain", retrained)):
            options.append(_option(f"train large, {name}", width, square))
            squares.append(square)
        alarms += _width_warnings(design[:, :width], target, dense)
    if abs(s - n) < 0.1 * n:
        alarms.append(f"Training small uses {s} weights for {n} samples, where its risk peaks.")
    risks = np.mean(squares, axis=1)
    best = 1 + int(np.argmin(risks[1:]))
    mean_alone = float(np.var(target)) * (n / (n - 1)) ** 2
    if risks.min() >= mean_alone:
        alarms.append(f"No option beats the mean of the labels, with risk {mean_alone:.3g}.")
    compared = _option("difference", s, squares[best] - small)
    found = (s, tuple(options), options[best], compared.risk, compared.standard_error)
    return Plan(*found, _advice(options[0], options[best], compared), tuple(alarms))


def _checked(features: ArrayLike, labels: ArrayLike, keep: float) -> tuple[Array, Array, float]:
    inputs, target = checked_sample(features, labels, _FEWEST)
    fraction = float(real_array("keep", keep, (0,)))
    kept_count(fraction, 1)
    return inputs, target, fraction


def _checked_widths(widths: Sequence[int] | NDArray[np.int64] | None, n: int, d: int) -> list[int]:
    if widths is None:
        return sorted({n // 2, 2 * n, d if d >= 2 * n else 4 * n})
    listed = widths.ravel().tolist() if isinstance(widths, np.ndarray) else widths
    if not isinstance(listed, Sequence) or not listed:
        raise reject("widths", widths, "must be a sequence of ints", "Pass at least one width.")
    sizes = sorted({count("widths", width) for width in listed})
    if n - 1 in sizes or n - 2 in sizes:
        rule = f"must contain neither n - 1 = {n - 1} nor n - 2"
        raise reject("widths", widths, rule, "The risk is infinite there: choose another.")
    return sizes


def _standardized(columns: Array) -> Array:
    centered = columns - columns.mean(axis=0)
    scale = np.abs(centered).max(axis=0)
    centered /= np.where(scale == 0, 1, scale)  # first, so that squares cannot underflow
    return centered / np.where(scale == 0, 1, centered.std(axis=0))


def _candidates(inputs: Array, widest: int, rng: np.random.Generator) -> Array:
    d = inputs.shape[1]
    if widest <= d:
        return inputs[:, rng.permutation(d)[:widest]]
    return _standardized(np.maximum(inputs @ rng.standard_normal((d, widest)), 0))


def _left_out_errors(design: Array, target: Array, size: int) -> Array:
    """Errors of the dense, pruned and retrained fits on the sample left out, of shape (3, n)."""
    n, p = design.shape
    errors = np.empty((3, n))
    for i, dense in enumerate(_left_out_fits(design, target)):
        pruned = prune(dense, size / p, "magnitude")
        retrained, support = pruned.copy(), np.flatnonzero(pruned)
        rest, known = np.delete(design, i, 0), np.delete(target, i)
        center, level = rest.mean(axis=0), known.mean()
        if size < p and support.size:
            retrained[support] = fit((rest - center)[:, support], known - level)
        fitted = np.stack([dense, pruned, retrained]) @ (design[i] - center)
        errors[:, i] = target[i] - level - fitted
    return errors


def _left_out_fits(design: Array, target: Array) -> Array:
    """Coefficients without sample i, of shape (n, p), all refitted where features are dependent."""
    try:
        return left_out_fits(design, target, intercept=True)
    except ValueError:
        rests = (np.delete(design, i, 0) for i in range(target.size))
        return np.array(
            [fit(x - x.mean(axis=0), np.delete(target, i)) for i, x in enumerate(rests)]
        )


def _option(strategy: str, width: int, squares: Array) -> Option:
    error = float(np.std(squares, ddof=1)) / squares.size**0.5
    return Option(strategy, width, float(np.mean(squares)), error)


def _advice(small: Option, large: Option, compared: Option) -> str:
    numbers = (
        f"predicted test risk {large.risk:.3g} ({large.strategy}, width {large.width}) against "
        f"{small.risk:.3g} (train small, width {small.width}); the difference is "
        f"{compared.risk:.2g} with standard error {compared.standard_error:.2g}"
    )
    if abs(compared.risk) <= _NOISE * compared.standard_error:
        return f"The difference is within noise, so train small, which is simpler: {numbers}."
    name = large.strategy if compared.risk < 0 else small.strategy
    return f"{name.capitalize()}: {numbers}."


def _data_warnings(inputs: Array, target: Array, dropped: int) -> list[str]:
    n, d = inputs.shape
    repeated = n - len(np.unique(inputs, axis=0))
    spectrum = svd(inputs, compute_uv=False) ** 2 / n
    share = spectrum[0] / spectrum.sum()
    # Var |x|^2 = 2 tr Sigma^2 >= 2 d for Gaussian rows; a sample adds about d^2 / n to tr Sigma^2.
    expected = 2 * max(float(spectrum @ spectrum) - d**2 / n, d)
    ratio = (float(np.var(np.sum(inputs**2, axis=1))) / expected) ** 0.5
    errors = (target - target.mean()) ** 2
    sentences = {
        f"{dropped} constant column(s) were dropped.": dropped > 0,
        f"{repeated} row(s) repeat another: copies of a left-out sample are in its training set, "
        "and predicted risks are too low.": repeated > 0,
        f"Lengths of rows spread {ratio:.1f} times as much as for Gaussian features with these "
        "correlations: the law and generalized cross-validation need not hold.": ratio > 2,
        f"One direction has {share:.0%} of the variance of the columns.": d > 2 and share > 0.5,
        "One label has most of the variance of all.": errors.max() > 0.5 * errors.sum(),
    }
    return [sentence for sentence, looks_so in sentences.items() if looks_so]


def _width_warnings(design: Array, target: Array, dense: Array) -> list[str]:
    n, p = design.shape
    if abs(p - n) < 0.1 * n:
        return [f"Width {p} is close to the {n} samples, where the risk peaks and varies wildly."]
    # Orthonormal contrasts remove the intercept; sums over samples do not see the rotation.
    contrasts = helmert(n)
    try:
        generalized = estimate_law(contrasts @ design, contrasts @ target).risk
    except ValueError:
        return [f"The {p} features are linearly dependent on this sample."]
    left_out = _option("dense", p, dense)
    level = _NOISE * left_out.standard_error
    numbers = f"{left_out.risk:.3g} and generalized cross-validation {generalized:.3g}"
    sentence = f"Leave-one-out predicts {numbers} (dense, width {p}): samples differ in kind."
    return [sentence] if abs(left_out.risk - generalized) > level else []
