"""The fit itself: minimum-norm least squares and ridge regression on a sample."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import svd

from overparam._validation import Array, nonnegative_number, real_array, reject


def fit(features: ArrayLike, labels: ArrayLike, penalty: float = 0.0) -> Array:
    r"""Fit linear coefficients by least squares.

    Without penalty the least-squares solution of smallest norm, :math:`\Phi^+ y`: the interpolator
    that gradient descent from zero converges to if p > n. With a penalty the minimizer of
    :math:`\|y-\Phi\beta\|^2/n + \rho\|\beta\|^2`.

    Parameters
    ----------
    features : array_like of shape (n, p)
        Design matrix :math:`\Phi`, one sample a row.
    labels : array_like of shape (n,)
        Labels y.
    penalty : float, optional
        Ridge penalty :math:`\rho \ge 0`.

    Returns
    -------
    ndarray of shape (p,)
        Fitted coefficients.

    Raises
    ------
    ValueError
        If shapes do not match, an entry is not finite, or `penalty` is negative.

    Notes
    -----
    By the singular value decomposition, backward stable: singular values below ``eps * max(n, p)``
    times the largest count as zero. `simulate_risks` is the fast route.

    Examples
    --------
    >>> fit([[1.0, 1.0]], [2.0])
    array([1., 1.])
    >>> fit([[1.0], [1.0]], [2.0, 2.0], penalty=1.0)
    array([1.])
    """
    design = real_array("features", features, (2,))
    target = real_array("labels", labels, (1,))
    penalty = nonnegative_number("penalty", penalty)
    n, p = design.shape
    if target.shape != (n,):
        raise reject(
            "labels.shape", target.shape, f"must be ({n},)", "Pass one label for each sample."
        )
    left, singular, right = svd(design, full_matrices=False)
    present = singular > np.finfo(np.float64).eps * max(n, p) * singular[0]
    # s / (s^2 + n penalty), written so that s^2 cannot underflow.
    filtered = 1 / (singular[present] + n * (penalty / singular[present]))
    beta = (filtered * (target @ left[:, present])) @ right[present]
    if not np.all(np.isfinite(beta)):
        raise reject("features", design, "must give coefficients below 1e308", "Rescale them.")
    return beta
