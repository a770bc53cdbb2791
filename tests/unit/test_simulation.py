"""The experiment: reproducible in every arrangement of workers, and right fit by fit."""

import numpy as np
import pytest
from joblib import parallel_config
from threadpoolctl import threadpool_info

from overparam import LinearGaussianProblem, MonteCarlo, fit, simulate, simulate_risks, width_sweep

WIDTHS = [5, 19, 20, 21, 40, 60]


def problem_with_decay(power: float = 1.0, p: int = 60) -> LinearGaussianProblem:
    index = np.arange(1.0, p + 1)
    return LinearGaussianProblem(index**-power, 1 / np.sqrt(index), 0.3)


def one_by_one(
    problem: LinearGaussianProblem,
    n: int,
    rng: np.random.Generator,
    widths: list[int] = WIDTHS,
) -> np.ndarray:
    """Fit every width on its own with `fit`, on the sample the sweep sees."""
    rows = width_sweep._feature_rows(problem, n, rng)
    labels = problem.coefficients @ rows + np.sqrt(0.3) * rng.standard_normal(n)
    risks = []
    for width in widths:
        beta = np.zeros(problem.p)
        beta[:width] = fit(rows[:width].T, labels)
        risks.append(float(problem.risk(beta)))
    return np.array(risks)


@pytest.mark.parametrize("power", [0.0, 1.0, 4.0, 8.0])
def test_sweep_equals_separate_fits(power: float) -> None:
    """Power 8 has condition numbers beyond what the kernel can carry: the guard must act."""
    problem = problem_with_decay(power)
    swept = simulate_risks(problem, 20, WIDTHS, replicates=3, seed=7).samples
    for replicate, risks in enumerate(swept):
        stream = np.random.SeedSequence(7, spawn_key=(replicate,))
        expected = one_by_one(problem, 20, np.random.default_rng(stream))
        np.testing.assert_allclose(risks, expected, rtol=1e-6)


def test_sweep_of_many_widths_equals_separate_fits() -> None:
    """More widths than blocks of features, so that blocks hold coefficients to be cleared."""
    problem, widths = problem_with_decay(), list(range(6, 61, 3))
    swept = simulate_risks(problem, 20, widths, replicates=2, seed=7).samples[1]
    stream = np.random.SeedSequence(7, spawn_key=(1,))
    expected = one_by_one(problem, 20, np.random.default_rng(stream), widths)
    np.testing.assert_allclose(swept, expected, rtol=1e-9)


def test_guard_is_what_saves_ill_conditioned_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_with_decay(8.0)
    guarded = simulate_risks(problem, 20, WIDTHS, replicates=3, seed=7).samples
    monkeypatch.setattr(width_sweep, "_GUARD", np.inf)
    unguarded = simulate_risks(problem, 20, WIDTHS, replicates=3, seed=7).samples
    assert np.abs(unguarded / guarded - 1).max() > 1e-4


@pytest.mark.parametrize("width", [60, 61, 120])
def test_guarded_fits_interpolate_to_rounding(width: int) -> None:
    """At condition numbers from 1e8 on, where singular values leave a thousand times as much."""
    rng = np.random.default_rng(3)
    problem = problem_with_decay(8.0, width)
    rows = width_sweep._feature_rows(problem, 60, rng)
    labels = problem.coefficients @ rows + rng.standard_normal(60)
    assert np.linalg.cond(rows) > 1e7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(width_sweep, "_GUARD", 0.0)
        (beta,) = width_sweep.fit_widths(rows, labels, (width,))
    assert np.linalg.norm(rows.T @ beta - labels) < 1e-12 * np.linalg.norm(labels)
    # Of all that interpolate, it is the one in the span of the samples.
    basis = np.linalg.qr(rows / np.linalg.norm(rows, axis=0))[0]
    assert np.linalg.norm(beta - basis @ (basis.T @ beta)) < 1e-12 * np.linalg.norm(beta)


def test_guarded_fits_without_an_interpolator() -> None:
    """Forty features for 20 samples, 12 of them with variance: no fit meets the labels."""
    problem = LinearGaussianProblem(np.repeat([1.0, 0.0], [12, 28]), np.full(40, 0.3), 0.3)
    swept = simulate_risks(problem, 20, [19, 20, 40], replicates=2, seed=4).samples[1]
    stream = np.random.SeedSequence(4, spawn_key=(1,))
    expected = one_by_one(problem, 20, np.random.default_rng(stream), [19, 20, 40])
    np.testing.assert_allclose(swept, expected, rtol=1e-10)


def test_results_do_not_depend_on_workers() -> None:
    problem = problem_with_decay()
    serial = simulate_risks(problem, 20, WIDTHS, replicates=4, seed=1).samples
    parallel = simulate_risks(problem, 20, WIDTHS, replicates=4, seed=1, n_jobs=2).samples
    np.testing.assert_array_equal(serial, parallel)


def test_more_replicates_extend_the_same_stream() -> None:
    few = simulate(lambda rng: rng.standard_normal(3), 2, seed=5).samples
    many = simulate(lambda rng: rng.standard_normal(3), 6, seed=5).samples
    np.testing.assert_array_equal(few, many[:2])


def test_seed_sequence_and_repetition() -> None:
    seed = np.random.SeedSequence(5, spawn_key=(3,))
    first = simulate(lambda rng: rng.random(), 3, seed).samples
    again = simulate(lambda rng: rng.random(), 3, seed).samples
    other = simulate(lambda rng: rng.random(), 3, np.random.SeedSequence(5)).samples
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


def test_sweep_with_full_covariance() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((60, 80))
    problem = LinearGaussianProblem(root @ root.T / 80, rng.standard_normal(60) / 8, 0.3)
    swept = simulate_risks(problem, 20, WIDTHS, replicates=2, seed=2).samples
    stream = np.random.SeedSequence(2, spawn_key=(1,))
    expected = one_by_one(problem, 20, np.random.default_rng(stream))
    np.testing.assert_allclose(swept[1], expected, rtol=1e-8)


def test_standard_error_and_z_score() -> None:
    samples = np.array([[1.0, 4.0], [3.0, 8.0], [2.0, 6.0]])
    result = MonteCarlo(samples)
    np.testing.assert_allclose(result.standard_error, [1 / np.sqrt(3), 2 / np.sqrt(3)])
    np.testing.assert_allclose(result.z_score([2.0, 6.0 - 2 / np.sqrt(3)]), [0.0, 1.0])
    with pytest.raises(ValueError, match="`standard_error` must be positive"):
        MonteCarlo(np.ones(4)).z_score(1.0)


def test_predictions_of_another_shape_are_refused() -> None:
    result = MonteCarlo(np.arange(12.0).reshape(3, 2, 2))
    assert result.z_score([1.0, 2.0]).shape == (2, 2)
    assert result.z_score(1.0).shape == (2, 2)
    for predicted in (np.ones((3, 2, 2)), np.ones(3), np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"`predicted.shape` must broadcast to \(2, 2\)"):
            result.z_score(predicted)
    with pytest.raises(ValueError, match=r"`predicted.shape` must broadcast to \(\)"):
        MonteCarlo(np.arange(3.0)).z_score([1.0, 2.0])


@pytest.mark.parametrize("penalty", [1e-3, 1.0])
@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (6, 6)])
def test_ridge_fit_is_stationary(shape: tuple[int, int], penalty: float) -> None:
    rng = np.random.default_rng(11)
    features, labels = rng.standard_normal(shape), rng.standard_normal(shape[0])
    beta = fit(features, labels, penalty)
    gradient = features.T @ (features @ beta - labels) / shape[0] + penalty * beta
    assert np.abs(gradient).max() < 1e-12


def test_min_norm_fit_interpolates_in_the_row_space() -> None:
    rng = np.random.default_rng(12)
    features, labels = rng.standard_normal((5, 12)), rng.standard_normal(5)
    beta = fit(features, labels)
    np.testing.assert_allclose(features @ beta, labels, rtol=1e-12)
    off_row_space = beta - features.T @ np.linalg.solve(features @ features.T, features @ beta)
    assert np.abs(off_row_space).max() < 1e-12


def test_threads_share_one_limit_and_give_it_back() -> None:
    """Under the threading backend the limit is process-wide: set before, restored after."""

    def threads(_: np.random.Generator) -> float:
        return max(pool["num_threads"] for pool in threadpool_info())

    before = [pool["num_threads"] for pool in threadpool_info()]
    with parallel_config("threading"):
        inside = simulate(threads, 16, seed=0, n_jobs=4).samples
    assert np.all(inside == 1)
    assert [pool["num_threads"] for pool in threadpool_info()] == before
