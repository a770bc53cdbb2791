r"""Removing coordinates of the minimizer of a quadratic function.

The function is :math:`\frac12 (v - w)^\top H (v - w)`: what a loss is near its minimum w, and
what the squared error of a linear layer is everywhere.
"""

import numpy as np
from numpy.typing import NDArray

from overparam._validation import count, nonnegative_number, real_array, reject

Vector = NDArray[np.float64]


def damped(hessian: Vector, damping: float) -> Vector:
    """Return the matrix with a share of its mean diagonal entry added to the diagonal.

    Parameters
    ----------
    hessian : ndarray of shape (d, d)
        Symmetric, without negative eigenvalues.
    damping : float
        The share.

    Returns
    -------
    ndarray of shape (d, d)
        A new matrix.

    Raises
    ------
    ValueError
        If it is not square or not finite, or `damping` is negative.
    """
    matrix = real_array("hessian", hessian, (2,))
    if matrix.shape[0] != matrix.shape[1]:
        raise reject("hessian.shape", matrix.shape, "must be square", "Pass X.T @ X / len(X).")
    share = nonnegative_number("damping", damping)
    return matrix + share * np.diag(matrix).mean() * np.eye(len(matrix))


def _inverse(hessian: Vector, damping: float) -> Vector:
    matrix = damped(hessian, damping)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[0] <= len(matrix) * np.finfo(float).eps * max(values[-1], 0.0):
        rule = "must be invertible (its smallest and largest eigenvalue are these)"
        advice = "Use a larger damping, such as 0.01."
        raise reject("hessian", (float(values[0]), float(values[-1])), rule, advice)
    return (vectors / values) @ vectors.T


def removal_costs(weights: Vector, hessian: Vector, damping: float = 0.0) -> Vector:
    r"""Return what removing each coordinate costs if all others are adjusted.

    Optimal brain surgeon: :math:`w_j^2 / (2 [H^{-1}]_{jj})`.

    Parameters
    ----------
    weights : ndarray of shape (d,) or (d, units)
        The minimizer; one column for each output of a layer.
    hessian : ndarray of shape (d, d)
        H, the same for all columns.
    damping : float, default 0
        See `damped`.

    Returns
    -------
    ndarray
        Of the shape of `weights`.

    Raises
    ------
    ValueError
        If H, damped, is singular: adjusting the others then makes some removals free.

    Examples
    --------
    >>> removal_costs(np.array([1.0, 1.0]), np.array([[2.0, 1.0], [1.0, 2.0]]))
    array([0.75, 0.75])
    """
    diagonal = np.diag(_inverse(hessian, damping))
    return weights**2 / (2 * diagonal.reshape(-1, *(1,) * (weights.ndim - 1)))


def removal_order(
    weights: Vector, hessian: Vector, damping: float = 0.0, block: int = 1
) -> tuple[NDArray[np.int64], Vector]:
    """Remove coordinates one after the other by optimal brain surgeon, adjusting the others.

    Parameters
    ----------
    weights : ndarray of shape (d,)
        The minimizer.
    hessian : ndarray of shape (d, d)
        H.
    damping : float, default 0
        See `damped`.
    block : int, default 1
        How many to remove at once, jointly adjusted, before the costs are computed again.

    Returns
    -------
    order : ndarray of int, shape (d,)
        Indices, the first to be removed first.
    total : ndarray of shape (d,)
        Value of the quadratic function, with the damped matrix, after each block, repeated for
        the members of the block.

    Raises
    ------
    ValueError
        If H, damped, is singular.

    Examples
    --------
    >>> order, total = removal_order(np.array([1.0, 3.0]), np.diag([2.0, 2.0]))
    >>> order, total
    (array([0, 1]), array([ 1., 10.]))
    """
    inverse = _inverse(hessian, damping)
    values = real_array("weights", weights, (1,)).copy()
    alive = np.ones(values.size, bool)
    order: list[int] = []
    total: list[float] = []
    step = count("block", block)
    while alive.any():
        diagonal = np.where(alive, np.diag(inverse), 1.0)
        costs = np.where(alive, values**2 / diagonal, np.inf)
        chosen = np.argsort(costs, kind="stable")[: min(step, int(alive.sum()))]
        gains = np.linalg.solve(inverse[np.ix_(chosen, chosen)], inverse[chosen])
        cost = values[chosen] @ np.linalg.solve(inverse[np.ix_(chosen, chosen)], values[chosen])
        values -= values[chosen] @ gains
        inverse -= inverse[:, chosen] @ gains  # now the inverse for those that are left
        alive[chosen] = False
        values[chosen] = 0
        order += chosen.tolist()
        total += [(total[-1] if total else 0.0) + float(cost) / 2] * chosen.size
    return np.array(order), np.array(total)


def refit(
    weights: Vector, hessian: Vector, kept: NDArray[np.bool_], damping: float = 0.0
) -> Vector:
    r"""Minimize the quadratic function over the vectors that are zero outside a set.

    On the set K, :math:`v_K = w_K + H_{KK}^{-1} H_{K\bar K} w_{\bar K}`: where a sequence of
    optimal brain surgeon updates ends, whatever its order.

    Parameters
    ----------
    weights : ndarray of shape (d,)
        The minimizer without the constraint.
    hessian : ndarray of shape (d, d)
        H.
    kept : ndarray of bool, shape (d,)
        The set.
    damping : float, default 0
        See `damped`; it keeps the vector near `weights`.

    Returns
    -------
    ndarray of shape (d,)
        The minimizer with the constraint; the one nearest to `weights` if there are several.

    Examples
    --------
    >>> hessian = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> refit(np.array([1.0, 1.0]), hessian, np.array([True, False]))
    array([1.5, 0. ])
    """
    matrix = damped(hessian, damping)
    pull = matrix[np.ix_(kept, ~kept)] @ weights[~kept]
    result = np.zeros_like(weights, dtype=np.float64)
    block = matrix[np.ix_(kept, kept)]
    # Least squares rather than solve: without damping the block may be singular.
    result[kept] = weights[kept] + np.linalg.lstsq(block, pull, rcond=None)[0]
    return result
