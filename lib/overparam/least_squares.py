"""The fit itself: minimum-norm least squares and ridge regression on a sample."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import svd

from overparam._validation import Array, nonnegative_number, positive_array, real_array, reject


def fit(
    features: ArrayLike,
    labels: ArrayLike,
    penalty: float = 0.0,
    *,
    preconditioner: ArrayLike | None = None,
) -> Array:
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
    preconditioner : array_like of shape (p,) or (p, p), optional
        A symmetric positive definite matrix P, or its diagonal: the norm is then
        :math:`\beta^\top P^{-1}\beta`, and without penalty the solution
        :math:`P\Phi^\top(\Phi P\Phi^\top)^{-1}y`, to which gradient descent preconditioned by P
        converges from zero if p > n.

    Returns
    -------
    ndarray of shape (p,)
        Fitted coefficients.

    Raises
    ------
    ValueError
        If shapes do not match, an entry is not finite, `penalty` is negative, or the
        preconditioner is not symmetric positive definite.

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
    >>> fit([[1.0, 1.0]], [2.0], preconditioner=[3.0, 1.0])
    array([1.5, 0.5])
    """
    design = real_array("features", features, (2,))
    target = real_array("labels", labels, (1,))
    penalty = nonnegative_number("penalty", penalty)
    n, p = design.shape
    if target.shape != (n,):
        raise reject(
            "labels.shape", target.shape, f"must be ({n},)", "Pass one label for each sample."
        )
    if preconditioner is not None:
        # The fit of smallest norm in the coordinates R^(-1) beta, where P = R R'.
        root = _root(preconditioner, p)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            changed = design * root if root.ndim == 1 else design @ root
            if not np.all(np.isfinite(changed)):
                raise reject("preconditioner", preconditioner, "must be smaller", "Rescale it.")
            moved = fit(changed, target, penalty)
            beta = root * moved if root.ndim == 1 else root @ moved
        if not np.all(np.isfinite(beta)):
            raise reject("preconditioner", preconditioner, "must be smaller", "Rescale it.")
        return beta
    left, singular, right = svd(design, full_matrices=False)
    present = singular > np.finfo(np.float64).eps * max(n, p) * singular[0]
    # s / (s^2 + n penalty), written so that s^2 cannot underflow.
    filtered = 1 / (singular[present] + n * (penalty / singular[present]))
    beta = (filtered * (target @ left[:, present])) @ right[present]
    if not np.all(np.isfinite(beta)):
        raise reject("features", design, "must give coefficients below 1e308", "Rescale them.")
    return beta


def _root(preconditioner: ArrayLike, p: int) -> Array:
    """Return a factor R of P = R R', as the diagonal of R if P is a vector."""
    matrix = real_array("preconditioner", preconditioner, (1, 2))
    if matrix.shape not in ((p,), (p, p)):
        raise reject(
            "preconditioner.shape",
            matrix.shape,
            f"must be ({p},) or ({p}, {p})",
            "Pass one row for each feature.",
        )
    if matrix.ndim == 1:
        return np.sqrt(positive_array("preconditioner", matrix))
    if np.abs(matrix - matrix.T).max() > 1e-10 * np.abs(matrix).max():
        raise reject("preconditioner", matrix, "must be symmetric", "Pass (P + P.T) / 2.")
    try:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise reject("preconditioner", matrix, "must be positive definite", "Damp it.") from error
