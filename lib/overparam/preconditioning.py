r"""Diagonal preconditioners inside the law: a change of variables.

Gradient descent preconditioned by P = diag(pi) is gradient descent in the coordinates
beta_i / sqrt(pi_i). There the features have variances pi_i lambda_i.
"""

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, positive_array, reject
from overparam.problem import LinearGaussianProblem


def checked_preconditioner(
    problem: LinearGaussianProblem, preconditioner: ArrayLike | None
) -> Array | None:
    """Return a read-only copy of the entries of a preconditioner that fits a problem.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population, of diagonal covariance if there is a preconditioner.
    preconditioner : array_like of shape (p,) or None
        Positive entries; None is the identity.

    Returns
    -------
    ndarray of shape (p,) or None
        The entries.

    Raises
    ------
    ValueError
        If the covariance is full, an entry is not positive, the shapes differ, or a product with a
        variance leaves the range of a float64.

    Examples
    --------
    >>> checked_preconditioner(LinearGaussianProblem([4.0, 2.0], [1.0, 1.0], 0.0), [1, 3])
    array([1., 3.])
    """
    if preconditioner is None:
        return None
    if not problem.is_diagonal:
        raise reject(
            "problem.covariance.shape",
            problem.covariance.shape,
            "must be one-dimensional (independent features) with a preconditioner",
            "Change variables yourself: features times P^(1/2), coefficients times P^(-1/2).",
        )
    entries = positive_array("preconditioner", preconditioner).copy()
    if entries.shape != (problem.p,):
        raise reject(
            "preconditioner.shape",
            entries.shape,
            f"must be ({problem.p},)",
            "Pass one positive number for each feature.",
        )
    with np.errstate(over="ignore", under="ignore"):
        spectrum = entries * problem.variances
    if not np.all(np.isfinite(spectrum)) or np.any((spectrum == 0) & (problem.variances > 0)):
        raise reject(
            "preconditioner",
            entries,
            "must give products with the variances that are positive float64 numbers",
            "Rescale it: a constant factor changes nothing.",
        )
    entries.flags.writeable = False
    return entries


def preconditioned_spectrum(problem: LinearGaussianProblem, preconditioner: Array | None) -> Array:
    r"""Return the eigenvalues :math:`\lambda_i`, or :math:`\pi_i\lambda_i` if preconditioned.

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population.
    preconditioner : ndarray of shape (p,) or None
        What `checked_preconditioner` returned.

    Returns
    -------
    ndarray of shape (p,)
        Variances of the features in the coordinates :math:`\beta_i/\sqrt{\pi_i}`.

    Examples
    --------
    >>> problem = LinearGaussianProblem([4.0, 2.0], [1.0, 1.0], 0.0)
    >>> preconditioned_spectrum(problem, np.array([1, 3]))
    array([4., 6.])
    """
    if preconditioner is None:
        return problem.eigenvalues
    return preconditioner * problem.variances
