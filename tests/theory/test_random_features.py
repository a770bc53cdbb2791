"""The equivalent linear problem of random features: second moments, labels and fits."""

import numpy as np
import pytest

from overparam import fit, min_norm_law, simulate
from overparam.random_features import RandomFeatures


def make(p: int, d: int = 20, activation=None, noise: float = 0.09) -> RandomFeatures:
    rng = np.random.default_rng(9)
    weights = rng.standard_normal((p, d)) / np.sqrt(d) * rng.uniform(0.5, 1.5, p)[:, None]
    teacher = rng.standard_normal(d)
    return RandomFeatures(weights, teacher / np.linalg.norm(teacher), noise, activation)


def test_closed_form_equals_quadrature_for_relu() -> None:
    """Two independent routes: the arc-cosine kernel, and Hermite coefficients."""
    closed = make(60).equivalent()
    series = make(60, activation=lambda x: np.maximum(x, 0)).equivalent()
    np.testing.assert_allclose(closed.covariance, series.covariance, atol=1e-13)
    np.testing.assert_allclose(closed.coefficients, series.coefficients, atol=1e-11)
    assert closed.noise_variance == pytest.approx(series.noise_variance, rel=1e-12)


@pytest.mark.parametrize("activation", [None, np.tanh, np.sign, np.cos], ids=str)
def test_second_moments_against_sampling(activation) -> None:
    features = make(12, d=6, activation=activation)
    problem = features.equivalent()
    phi, labels = features.sample(200_000, np.random.default_rng(1))
    for measured, expected in (
        (phi[:, :, None] * phi[:, None, :], problem.covariance),
        (phi * labels[:, None], problem.covariance @ problem.coefficients),
        ((labels - phi @ problem.coefficients) ** 2, problem.noise_variance),
    ):
        error = measured.std(axis=0) / np.sqrt(len(phi))
        assert np.all(np.abs(measured.mean(axis=0) - expected) <= 5.45 * error + 1e-12)


@pytest.mark.parametrize(("p", "bias"), [(60, 0.03), (600, 0.10)])
def test_fit_behaves_like_the_equivalent_problem(p: int, bias: float) -> None:
    """Gaussian equivalence is a heuristic; at d = n/10 it is a few per cent off, more for p > n."""
    features = make(p)
    problem = features.equivalent()
    result = simulate(
        lambda rng: problem.risk(fit(*features.sample(200, rng))), replicates=20, seed=4
    )
    law = min_norm_law(problem, 200)
    assert abs(result.mean - law.risk) < 5.45 * result.standard_error + bias * law.risk


def test_activation_by_name_is_refused() -> None:
    with pytest.raises(ValueError, match="`activation` must be callable"):
        RandomFeatures(np.eye(2), np.ones(2), 0.0, "relu")


def test_zero_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="`weights` must have no zero row"):
        RandomFeatures(np.zeros((2, 3)), np.ones(3), 0.0)
