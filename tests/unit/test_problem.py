"""The population: risk, restriction and sampling against direct computations."""

import numpy as np
import pytest

from overparam import LinearGaussianProblem


@pytest.fixture
def correlated() -> LinearGaussianProblem:
    rng = np.random.default_rng(3)
    root = rng.standard_normal((6, 9))
    return LinearGaussianProblem(root @ root.T, rng.standard_normal(6), 0.7)


def test_risk_is_the_quadratic_form(correlated: LinearGaussianProblem) -> None:
    betas = np.random.default_rng(4).standard_normal((2, 3, 6))
    risks = correlated.risk(betas)
    error = betas[1, 2] - correlated.coefficients
    assert risks.shape == (2, 3)
    assert risks[1, 2] == pytest.approx(0.7 + error @ correlated.covariance @ error, rel=1e-13)
    assert correlated.risk(correlated.coefficients) == 0.7


def test_risk_is_the_expected_squared_error(correlated: LinearGaussianProblem) -> None:
    beta = np.linspace(-1, 1, 6)
    features, labels = correlated.sample(200_000, np.random.default_rng(5))
    squares = (labels - features @ beta) ** 2
    standard_error = squares.std() / np.sqrt(squares.size)
    assert abs(squares.mean() - correlated.risk(beta)) < 5 * standard_error


@pytest.mark.parametrize("full", [False, True])
def test_sample_covariance(full: bool, correlated: LinearGaussianProblem) -> None:
    problem = correlated if full else LinearGaussianProblem([4.0, 0.0, 0.25], np.ones(3), 0.0)
    features, _ = problem.sample(100_000, np.random.default_rng(6))
    covariance = problem.covariance if full else np.diag(problem.covariance)
    scale = np.sqrt(np.outer(problem.variances, problem.variances)) * 3
    assert np.all(np.abs(features.T @ features / 100_000 - covariance) <= 5 * scale / 316)


def test_restrict_is_the_gaussian_conditional(correlated: LinearGaussianProblem) -> None:
    """The restricted problem is the best linear prediction from the features kept."""
    kept = [4, 1]
    small = correlated.restrict(kept)
    block = correlated.covariance[np.ix_(kept, kept)]
    cross = correlated.covariance[kept] @ correlated.coefficients
    best = np.linalg.solve(block, cross)
    padded = np.zeros(6)
    padded[kept] = best
    np.testing.assert_allclose(small.coefficients, best, rtol=1e-11)
    assert small.noise_variance == pytest.approx(float(correlated.risk(padded)), rel=1e-12)
    # The risk of any coefficients on the support is the same in both problems.
    padded[kept] = [0.3, -2.0]
    assert small.risk([0.3, -2.0]) == pytest.approx(float(correlated.risk(padded)), rel=1e-12)


def test_restrict_diagonal_moves_saliency_into_noise() -> None:
    problem = LinearGaussianProblem([4.0, 1.0, 0.5], [1.0, 2.0, 4.0], 0.25)
    small = problem.restrict(np.array([True, False, True]))
    assert small.noise_variance == 0.25 + problem.saliency[1]
    np.testing.assert_array_equal(small.coefficients, [1.0, 4.0])


def test_restrict_to_a_singular_block() -> None:
    """A feature repeated twice carries the signal of both copies."""
    covariance = np.ones((2, 2))
    problem = LinearGaussianProblem(covariance, [1.0, 2.0], 0.5)
    assert problem.rank == 1
    small = problem.restrict([0])
    assert small.coefficients == pytest.approx([3.0])
    assert small.noise_variance == pytest.approx(0.5, abs=1e-12)


def test_full_diagonal_matrix_equals_diagonal_problem() -> None:
    variances = np.array([3.0, 0.5, 0.0, 1.0])
    full = LinearGaussianProblem(np.diag(variances), np.ones(4), 0.1)
    np.testing.assert_allclose(full.eigenvalues, np.sort(variances)[::-1], atol=1e-15)
    np.testing.assert_array_equal(full.variances, variances)
    assert full.rank == 3


def test_arguments_are_copied_and_frozen() -> None:
    variances = np.ones(3)
    problem = LinearGaussianProblem(variances, np.zeros(3), 0.0)
    variances[0] = 9.0
    assert problem.covariance[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        problem.coefficients[0] = 1.0
