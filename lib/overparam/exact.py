"""Finite-sample truth, where it is known in closed form: the law's independent witness."""

import numpy as np

from overparam._validation import reject
from overparam.law import check_sample_size
from overparam.problem import LinearGaussianProblem


def exact_risk(problem: LinearGaussianProblem, n: int) -> float:
    r"""Exact expected risk of the minimum-norm least-squares fit to `n` Gaussian samples.

    With r features of non-zero variance,

    .. math::
        \mathbb E\,\mathcal R(\hat\beta) = \sigma^2\,\frac{n-1}{n-r-1} \quad (r < n-1), \qquad
        \mathbb E\,\mathcal R(\hat\beta) = \sigma^2\Bigl(1 + \frac{n}{r-n-1}\Bigr)
        + \Bigl(1-\frac nr\Bigr)\lambda\|\beta^*\|^2 \quad (r > n+1),

    the first for every covariance (inverse Wishart mean), the second if all r non-zero variances
    equal :math:`\lambda` (a projection onto a uniformly random n-plane).

    Parameters
    ----------
    problem : LinearGaussianProblem
        The population.
    n : int
        Number of samples.

    Returns
    -------
    float
        The expectation over training samples, noise included.

    Raises
    ------
    ValueError
        If the expectation is infinite (r within 1 of n) or no closed form is known (r > n with
        different variances).

    Examples
    --------
    >>> problem = LinearGaussianProblem([1.0, 4.0], [1.0, 1.0], noise_variance=1.0)
    >>> exact_risk(problem, 13)
    1.2
    """
    check_sample_size(problem, n, 0.0)
    rank = problem.rank
    if abs(rank - n) <= 1:
        raise reject(
            "n", n, f"must be more than 1 away from the rank {rank}", "The mean is infinite there."
        )
    if rank < n:
        return problem.noise_variance * (n - 1) / (n - rank - 1)
    present = problem.eigenvalues[problem.eigenvalues > 0]
    if present.max() - present.min() > rank * np.finfo(np.float64).eps * present.max():
        raise reject(
            "problem",
            present,
            "must have equal non-zero variances when there are more than n",
            "No closed form is known otherwise: use min_norm_law or simulate_risks.",
        )
    energy = float(problem.risk(np.zeros(problem.p))) - problem.noise_variance
    return problem.noise_variance * (1 + n / (rank - n - 1)) + (1 - n / rank) * energy
