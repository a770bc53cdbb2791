"""What must hold for every problem: limits, symmetries and monotonicity of the law."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from overparam import LinearGaussianProblem, min_norm_law, ridge_law, solve_effective_ridge


@st.composite
def problems(draw: st.DrawFn) -> tuple[LinearGaussianProblem, int]:
    """Draw an overparameterized problem with up to 40 features and variances over 1e12."""
    p = draw(st.integers(2, 40))
    logs = draw(st.lists(st.floats(-6, 6), min_size=p, max_size=p))
    beta = draw(st.lists(st.floats(-3, 3), min_size=p, max_size=p))
    problem = LinearGaussianProblem(10.0 ** np.array(logs), beta, draw(st.floats(0, 4)))
    return problem, draw(st.integers(1, p - 1))


@given(problems())
def test_fixed_point_and_degrees_of_freedom(case: tuple[LinearGaussianProblem, int]) -> None:
    problem, n = case
    law = min_norm_law(problem, n)
    assert law.shrinkage.sum() == pytest.approx(n, rel=1e-12)
    assert np.all((law.shrinkage > 0) & (law.shrinkage <= 1))
    assert law.xi == 1 / law.effective_ridge


@given(problems())
def test_risk_is_the_fixed_point_of_its_own_law(case: tuple[LinearGaussianProblem, int]) -> None:
    """gamma = sigma^2 + E sum lambda (beta* - beta_hat)^2 under the law it defines."""
    problem, n = case
    law = min_norm_law(problem, n)
    bias = (law.mean - problem.coefficients) ** 2 @ problem.variances
    expected = problem.noise_variance + bias + law.std**2 @ problem.variances
    # Solved for gamma: 1 - sum zeta^2 / n cancels where all of zeta is near 1.
    room = 1 - law.shrinkage**2 @ np.ones(problem.p) / n
    assume(room > 1e-6)
    assert law.risk == pytest.approx(expected, rel=1e-9)


@given(problems(), st.floats(1e-3, 1e3))
def test_scaling_features_changes_nothing(
    case: tuple[LinearGaussianProblem, int], scale: float
) -> None:
    problem, n = case
    scaled = LinearGaussianProblem(
        problem.covariance * scale**2, problem.coefficients / scale, problem.noise_variance
    )
    law, other = min_norm_law(problem, n), min_norm_law(scaled, n)
    assert other.risk == pytest.approx(law.risk, rel=1e-12)
    assert other.effective_ridge == pytest.approx(law.effective_ridge * scale**2, rel=1e-12)
    np.testing.assert_allclose(other.std * scale, law.std, rtol=1e-12)


@given(problems(), st.randoms())
def test_order_of_features_does_not_matter(
    case: tuple[LinearGaussianProblem, int], random: st.DataObject
) -> None:
    problem, n = case
    order = np.array(random.sample(range(problem.p), problem.p))
    law, other = min_norm_law(problem, n), min_norm_law(problem.restrict(order), n)
    assert other.risk == pytest.approx(law.risk, rel=1e-12)
    np.testing.assert_allclose(other.mean, law.mean[order], rtol=1e-12)


@given(problems(), st.floats(1e-6, 1e6))
def test_bounds_and_monotonicity(case: tuple[LinearGaussianProblem, int], penalty: float) -> None:
    problem, n = case
    law = min_norm_law(problem, n)
    kappa = problem.p / n
    assert law.risk >= problem.noise_variance * kappa / (kappa - 1) * (1 - 1e-12)
    assert ridge_law(problem, n, penalty).effective_ridge >= max(penalty, law.effective_ridge)
    if n > 1:
        fewer = solve_effective_ridge(problem.variances, n - 1).value
        assert fewer > law.effective_ridge
    noisier = LinearGaussianProblem(
        problem.covariance, problem.coefficients, problem.noise_variance + 1
    )
    assert min_norm_law(noisier, n).risk > law.risk


@given(problems())
def test_min_norm_is_the_limit_of_ridge(case: tuple[LinearGaussianProblem, int]) -> None:
    """The penalty adds n rho / mu to the tail surplus T, and log mu moves by at most its share."""
    problem, n = case
    law = min_norm_law(problem, n)
    penalty = 1e-9 * law.effective_ridge
    surplus = np.sort(law.shrinkage)[: problem.p - n].sum()
    moved = np.log(ridge_law(problem, n, penalty).effective_ridge / law.effective_ridge)
    assert -1e-14 <= moved <= 1e-9 * n / surplus + 1e-14
    assert ridge_law(problem, n, 0.0).risk == law.risk
