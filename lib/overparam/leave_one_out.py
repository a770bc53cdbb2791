"""Leave-one-out of least squares, exactly, for the price of one decomposition.

With B = Phi^+ (p x n) the minimum-norm fit is B y. Leaving sample i out moves it by a multiple of
column b_i, so that all n fits without one sample are rows of one matrix:

    p > n:  beta_(-i) = beta - b_i theta_i / |b_i|^2,   theta = B' beta
    p < n:  beta_(-i) = beta - b_i e_i / (1 - h_i),     e = y - Phi beta, h_i = (Phi B)_ii

With an intercept, which is neither penalized nor pruned, the fit is that of the centered sample,
and 1 - h_i becomes 1 - 1/n - h_i; each fit is then that of the other samples, centered by their own
means. The first form holds from p = n - 1 (with intercept: p = n) on.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import svd

from overparam._validation import Array, real_array, reject

_LEAST_ROOM = 1e-8  # one minus the leverage of a sample
_FULL_RANK = 1e-10  # least singular value, relative to the largest, that updates may divide by
_LARGEST = 1e100


def checked_sample(features: ArrayLike, labels: ArrayLike, fewest: int) -> tuple[Array, Array]:
    """Return features and labels as arrays that squares of neither leave the range of.

    Parameters
    ----------
    features : array_like of shape (n, p)
        One sample a row.
    labels : array_like of shape (n,)
        Labels, not all equal.
    fewest : int
        The least number of samples.

    Returns
    -------
    tuple of ndarray
        Both as float64.

    Raises
    ------
    ValueError
        If shapes do not match, an entry is not finite, there are too few samples, the labels are
        all equal, or the largest entry of either is beyond 1e100 or below 1e-100.

    Examples
    --------
    >>> checked_sample([[1], [2], [3]], [1, 0, 0], fewest=3)[1]
    array([1., 0., 0.])
    """
    design, target = real_array("features", features, (2,)), real_array("labels", labels, (1,))
    n = design.shape[0]
    if target.shape != (n,):
        way_out = "Pass one label for each sample."
        raise reject("labels.shape", target.shape, f"must be ({n},)", way_out)
    if n < fewest:
        rule = f"must have at least {fewest} rows"
        raise reject("features.shape", design.shape, rule, "Collect more samples.")
    for name, array in (("features", design), ("labels", target)):
        if array.any() and not 1 / _LARGEST < np.abs(array).max() < _LARGEST:
            rule = f"must have its largest entry between 1/{_LARGEST:g} and {_LARGEST:g}"
            raise reject(name, array, rule, "Change the units.")
    if np.ptp(target) == 0:
        raise reject("labels", target, "must not all be equal", "There is nothing to learn.")
    return design, target


def left_out_fits(design: Array, target: Array, *, intercept: bool = False) -> Array:
    """Fit without sample i, for every i.

    Parameters
    ----------
    design : ndarray of shape (n, p)
        With p neither n nor n - 1; with an intercept neither n - 1 nor n - 2.
    target : ndarray of shape (n,)
        Labels.
    intercept : bool, optional
        Whether each fit centers its own n - 1 samples.

    Returns
    -------
    ndarray of shape (n, p)
        Coefficients, without intercepts.

    Raises
    ------
    ValueError
        If the design has not full rank, with all samples or without one of them.

    Examples
    --------
    >>> left_out_fits(np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 0.0, 2.0]))
    array([[0.4       ],
           [0.52941176],
           [0.2       ]])
    """
    n, p = design.shape
    if intercept:
        design, target = design - design.mean(axis=0), target - target.mean()
    inverse = pseudo_inverse(design, min(n - intercept, p), _FULL_RANK)
    beta = inverse @ target
    if p >= n:
        multiples = (inverse.T @ beta) / np.sum(inverse**2, axis=0)
    else:
        room = 1 - intercept / n - np.sum(design * inverse.T, axis=1)
        if room.min() <= _LEAST_ROOM:
            rule = "must keep full rank without any one sample"
            raise reject("features", design, rule, "Drop features that only one sample has.")
        multiples = (target - design @ beta) / room
    inverse *= -multiples
    return inverse.T + beta


def pseudo_inverse(design: Array, rank: int, tolerance: float) -> Array:
    """Invert a design of known rank.

    Parameters
    ----------
    design : ndarray of shape (n, p)
        The matrix.
    rank : int
        That it must have.
    tolerance : float
        The least non-zero singular value, relative to the largest.

    Returns
    -------
    ndarray of shape (p, n)
        The Moore-Penrose inverse.

    Raises
    ------
    ValueError
        If the rank is lower.

    Examples
    --------
    >>> pseudo_inverse(np.array([[2.0, 0.0]]), 1, 1e-10)
    array([[0.5],
           [0. ]])
    """
    left, singular, right = svd(design, full_matrices=False)
    if singular[rank - 1] <= tolerance * singular[0]:
        way_out = "Drop repeated samples or constant features."
        raise reject("features", design, "must have full rank", way_out)
    return (right[:rank].T / singular[:rank]) @ left[:, :rank].T
