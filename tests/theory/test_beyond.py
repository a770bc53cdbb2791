"""Beyond the assumptions of the theorem: what holds, and what must be seen to fail.

The limit on |z| is the book's: at most one false alarm in a thousand runs over 20,000 comparisons.
Where the law is asymptotic and no sharper bound is known, its relative error enters as 1/V, with V
the number of features in transition: the bound that holds wherever the truth is known.
"""

import numpy as np
import pytest
from scipy import special

from overparam import (
    LinearGaussianProblem,
    MonteCarlo,
    exact_risk,
    fit,
    min_norm_law,
    ridge_law,
    simulate,
)

Z_LIMIT = 5.45


def spread(p: int, noise_variance: float = 0.5) -> LinearGaussianProblem:
    """Variances from 4 down to 1/4, equal coefficients of norm one."""
    return LinearGaussianProblem(np.geomspace(4, 0.25, p), np.full(p, p**-0.5), noise_variance)


def uneven(p: int) -> LinearGaussianProblem:
    """The same variances with coefficients that are not equal."""
    rng = np.random.default_rng(3)
    return LinearGaussianProblem(np.geomspace(4, 0.25, p), rng.standard_normal(p) / p**0.5, 0.3)


def isotropic(p: int, noise_variance: float = 1.0) -> LinearGaussianProblem:
    return LinearGaussianProblem(np.ones(p), np.full(p, p**-0.5), noise_variance)


def transition(law) -> float:
    """V = n - sum zeta^2, which is n - p for p < n without penalty."""
    return law.n - float(np.sum(law.shrinkage**2))


def assert_agree(runs: MonteCarlo, predicted, bias=0.0) -> None:
    allowed = Z_LIMIT * runs.standard_error + np.asarray(bias)
    assert np.all(np.abs(runs.mean - np.asarray(predicted)) <= allowed)


# A ridge penalty


@pytest.mark.parametrize("p", [60, 120, 240])
def test_ridge_risk_training_error_and_spread_of_coordinates(p) -> None:
    n, penalties = 120, np.geomspace(0.01, 30, 6)
    problem = uneven(p)
    laws = [ridge_law(problem, n, penalty) for penalty in penalties]

    def measure(rng):
        features, labels = problem.sample(n, rng)
        rows = []
        for law in laws:
            beta = fit(features, labels, law.penalty)
            scores = (beta - law.mean) / law.std
            training = np.mean((labels - features @ beta) ** 2)
            rows.append((problem.risk(beta), training, np.mean(scores**2)))
        return np.transpose(rows)

    gamma = np.array([law.risk for law in laws])
    factor = np.array([law.penalty / law.effective_ridge for law in laws]) ** 2
    predicted = np.array([gamma, factor * gamma, np.ones_like(gamma)])
    bias = predicted / np.array([transition(law) for law in laws])
    assert_agree(simulate(measure, 40, seed=p), predicted, bias)


def test_ridge_limits() -> None:
    for p in (60, 240):
        problem = uneven(p)
        assert ridge_law(problem, 120, 1e-13).risk == pytest.approx(
            min_norm_law(problem, 120).risk, rel=1e-9
        )
        null = float(problem.risk(np.zeros(p)))
        assert ridge_law(problem, 120, 1e13).risk == pytest.approx(null, rel=1e-9)
    square = uneven(120)
    inverse = np.mean(1 / square.variances)
    peak = square.noise_variance / (2 * np.sqrt(1e-16 * inverse))
    assert ridge_law(square, 120, 1e-16).risk == pytest.approx(peak, rel=1e-6)


# The best penalty


SPECTRA = {
    "equal": np.ones,
    "geometric": lambda p: np.geomspace(4, 0.25, p),
    "power": lambda p: 1 / np.arange(1.0, p + 1),
    "two levels": lambda p: np.where(np.arange(p) < p // 5, 30.0, 0.1),
}


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("n", [40, 100, 300])
def test_best_penalty_for_equal_coefficients(spectrum, n) -> None:
    p, noise = 100, 0.7
    problem = LinearGaussianProblem(SPECTRA[spectrum](p), np.full(p, 0.2), noise)
    best = noise / (n * 0.2**2)
    risks = [ridge_law(problem, n, best * f).risk for f in (0.01, 0.5, 0.99, 1, 1.01, 2, 100)]
    assert np.all(np.diff(risks[:4]) < 0)
    assert np.all(np.diff(risks[3:]) > 0)
    law = ridge_law(problem, n, best)
    assert law.risk == pytest.approx(noise * law.effective_ridge / best, rel=1e-12)
    signal = problem.saliency
    implicit = noise + np.sum(signal * law.risk / (law.risk + n * signal))
    assert law.risk == pytest.approx(implicit, rel=1e-12)


@pytest.mark.parametrize(("n", "p"), [(20, 12), (20, 20), (20, 45)])
def test_best_isotropic_penalty_is_exact_for_every_design(n, p) -> None:
    """Averaged over noise and the rotation of beta*, each design has the same best penalty."""
    noise, energy = 0.8, 1.7
    best = p * noise / (n * energy)
    rng = np.random.default_rng(5)
    for _ in range(20):
        squares = np.linalg.svd(rng.standard_normal((n, p)), compute_uv=False) ** 2

        def risk(penalty, squares=squares):
            t = n * penalty
            return np.sum((t**2 * energy / p + noise * squares) / (squares + t) ** 2)

        assert risk(best) < min(risk(0.98 * best), risk(1.02 * best))


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_no_peak_at_the_best_penalty(spectrum) -> None:
    p, n = 120, 50
    problem = LinearGaussianProblem(SPECTRA[spectrum](p), np.full(p, 0.3), 0.4)

    def best(k, n):
        seen = problem.restrict(range(k))
        return ridge_law(seen, n, seen.noise_variance / (n * 0.3**2)).risk

    null = float(problem.risk(np.zeros(p)))
    assert np.all(np.diff([null, *(best(k, n) for k in range(1, p + 1))]) < 0)
    assert np.all(np.diff([null, *(best(p, m) for m in range(1, 200, 3))]) < 0)


def test_no_penalty_is_best_when_large_variances_carry_the_signal() -> None:
    spiked = LinearGaussianProblem(
        np.repeat([50.0, 1.0], [20, 980]), np.repeat([1.0, 0.0], [20, 980]), 1.0
    )
    law = min_norm_law(spiked, 100)
    risks = [law.risk, *(ridge_law(spiked, 100, r).risk for r in np.geomspace(1e-3, 10, 9))]
    assert np.all(np.diff(risks) > 0)

    def gain(rng):
        features, labels = spiked.sample(100, rng)
        plain, ridge = fit(features, labels), fit(features, labels, 2.0)
        return spiked.risk(ridge) - spiked.risk(plain)

    runs = simulate(gain, 40, seed=1)
    assert runs.z_score(0.0) > Z_LIMIT


# Correlated features


def correlated(kind: str, p: int) -> LinearGaussianProblem:
    rng = np.random.default_rng(11)
    index = np.arange(p)
    if kind == "autoregressive":
        scale = np.geomspace(2, 0.5, p)
        matrix = np.outer(scale, scale) * 0.8 ** abs(index[:, None] - index)
    else:
        basis = np.linalg.qr(rng.standard_normal((p, p)))[0]
        matrix = (basis / (1 + index)) @ basis.T
    return LinearGaussianProblem((matrix + matrix.T) / 2, rng.standard_normal(p) / p**0.5, 0.25)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["autoregressive", "random basis"])
def test_full_covariance_in_the_original_basis(kind, penalty) -> None:
    problem, n, replicates = correlated(kind, 100), 50, 250
    law = ridge_law(problem, n, penalty)
    fits = simulate(lambda rng: fit(*problem.sample(n, rng), penalty), replicates, seed=2)
    assert_agree(MonteCarlo(problem.risk(fits.samples)), law.risk, law.risk / transition(law))
    assert_agree(fits, law.mean)
    deviations = fits.samples.std(axis=0, ddof=1) / law.std
    assert np.abs(deviations - 1).max() < Z_LIMIT / np.sqrt(2 * (replicates - 1))


@pytest.mark.parametrize("penalty", [0.0, 0.5])
@pytest.mark.parametrize("n", [30, 90])
def test_fits_rotate_with_the_features(n, penalty) -> None:
    rng = np.random.default_rng(n)
    features, labels = correlated("random basis", 60).sample(n, rng)
    basis = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    rotated = fit(features @ basis, labels, penalty)
    np.testing.assert_allclose(basis @ rotated, fit(features, labels, penalty), atol=1e-9)


# Features that are not Gaussian


def rademacher(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def student(rng, shape):
    return rng.standard_t(6, shape) * np.sqrt(2 / 3)


def mean_risk(draw, n, p, batch):
    """Risk for unit noise and signal, given the design: mean over noise and signs."""

    def experiment(rng):
        values = []
        for _ in range(batch):
            design = draw(rng, (n, p))
            values.append(1 + np.trace(np.linalg.inv(design @ design.T)) + 1 - n / p)
        return np.mean(values)

    return experiment


@pytest.mark.parametrize(("draw", "kurtosis"), [(rademacher, -2.0), (student, 3.0)])
def test_universality_and_its_first_correction(draw, kurtosis) -> None:
    n, p = 100, 200
    runs = simulate(mean_risk(draw, n, p, 8), 40, seed=4)
    m = p - n + 1
    corrected = 1 + n / m * (1 + 2 / m + kurtosis / p) + 1 - n / p
    assert_agree(runs, corrected)
    gaussian, first_order = exact_risk(isotropic(p), n), n * kurtosis / (p * m)
    assert_agree(runs, gaussian, abs(first_order))
    # The test can tell: without the correction the same runs reject the Gaussian value.
    assert abs(runs.z_score(gaussian)) > Z_LIMIT
    assert abs(runs.mean / min_norm_law(isotropic(p), n).risk - 1) < 0.02


SQUARES = np.array([0.2, 1.8])  # values of the squared scale of a sample, equally likely


def elliptical_fit(rng, problem, n):
    scale = np.sqrt(rng.choice(SQUARES, n))
    features = scale[:, None] * problem.sample(n, rng)[0]
    noise = np.sqrt(problem.noise_variance) * rng.standard_normal(n)
    return fit(features, features @ problem.coefficients + noise)


@pytest.mark.parametrize("n", [40, 120])
def test_elliptical_features_break_the_law_at_every_size(n) -> None:
    problem = isotropic(2 * n)
    runs = simulate(lambda rng: problem.risk(elliptical_fit(rng, problem, n)), 80, seed=n)
    law = min_norm_law(problem, n).risk
    assert runs.mean > 1.5 * law
    assert runs.z_score(law) > 10
    noisier = isotropic(2 * n, float(np.mean(1 / SQUARES)))
    assert_agree(runs, 1 + exact_risk(noisier, n) - noisier.noise_variance)


def test_elliptical_features_without_noise_obey_the_law() -> None:
    problem = isotropic(160, 0.0)
    runs = simulate(lambda rng: problem.risk(elliptical_fit(rng, problem, 80)), 100, seed=1)
    assert_agree(runs, exact_risk(problem, 80))


def test_correlated_rows_act_as_noise_for_any_spectrum() -> None:
    """A left factor A multiplies the noise by tr (A'A)^-1 / n; the excess risk is the same."""
    n, p = 40, 100
    problem = spread(p)
    lag = abs(np.subtract.outer(np.arange(n), np.arange(n)))
    factor = np.linalg.cholesky(0.7**lag)
    noise = problem.noise_variance * np.trace(np.linalg.inv(0.7**lag)) / n
    louder = LinearGaussianProblem(problem.covariance, problem.coefficients, noise)

    def difference(rng):
        features = factor @ problem.sample(n, rng)[0]
        z = np.sqrt(problem.noise_variance) * rng.standard_normal(n)
        correlated = problem.risk(fit(features, features @ problem.coefficients + z))
        plain = louder.risk(fit(*louder.sample(n, rng)))
        return (correlated - problem.noise_variance) - (plain - noise)

    assert_agree(simulate(difference, 300, seed=8), 0.0)


def test_repeated_rows_do_not_count() -> None:
    problem = isotropic(80)

    def measure(rng):
        features, labels = problem.sample(50, rng)
        return problem.risk(fit(np.tile(features, (2, 1)), np.tile(labels, 2)))

    runs = simulate(measure, 150, seed=3)
    assert_agree(runs, exact_risk(problem, 50))
    assert runs.z_score(min_norm_law(problem, 100).risk) < -10


# How large is large


def test_error_is_below_one_over_v_where_the_truth_is_known() -> None:
    for n in (5, 8, 20, 60, 300):
        for p in sorted({*range(1, 3 * n, max(1, n // 10)), 10 * n}):
            for noise in (0.0, 0.1, 10.0):
                problem = isotropic(p, noise)
                if abs(p - n) <= 1 or (p < n and noise == 0):
                    continue
                law = min_norm_law(problem, n)
                error = exact_risk(problem, n) / law.risk - 1
                assert error >= -1e-12
                if transition(law) > 1:
                    assert error <= 1 / (transition(law) - 1) + 1e-12


@pytest.mark.parametrize("exponent", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("n", [12, 40])
def test_error_is_below_one_over_v_for_power_laws(exponent, n) -> None:
    p = 3 * n
    variances = np.arange(1.0, p + 1) ** -exponent
    problem = LinearGaussianProblem(variances, np.full(p, variances.sum() ** -0.5), 0.25)
    law = min_norm_law(problem, n)
    runs = simulate(lambda rng: problem.risk(fit(*problem.sample(n, rng))), 400, seed=9)
    assert_agree(runs, law.risk, law.risk / (transition(law) - 1))


def test_exponential_spectra_have_a_constant_number_of_features_in_transition() -> None:
    for n in (10, 20, 80):
        variances = np.exp(-np.arange(1.0, 4 * n + 1) / 2)
        law = min_norm_law(LinearGaussianProblem(variances, np.ones(4 * n), 0.1), n)
        assert np.sum(law.shrinkage * (1 - law.shrinkage)) == pytest.approx(2, abs=0.02)


def test_exponential_spectra_keep_their_spread() -> None:
    """The realized risk stays spread over a large factor, at any size."""
    for n in (15, 50):
        variances = np.exp(-np.arange(1.0, 2 * n + 1) / 2)
        problem = LinearGaussianProblem(variances, np.full(2 * n, 0.5), 0.25)
        runs = simulate(lambda rng: problem.risk(fit(*problem.sample(n, rng))), 200, seed=n)  # noqa: B023
        low, high = np.quantile(runs.samples, (0.05, 0.95))
        assert high / low > 4


@pytest.mark.parametrize("p", [10, 19, 20, 21, 40])
def test_distribution_of_the_realized_risk(p) -> None:
    """F distribution on both sides of p = n, where the mean does not even exist."""
    problem = LinearGaussianProblem(np.full(p, 2.0), np.zeros(p), 1.0)
    low, high = min(p, 20), abs(p - 20) + 1

    def probability(rng):
        excess = float(problem.risk(fit(*problem.sample(20, rng)))) - 1
        u = special.fdtr(low, high, excess * high / low)
        return [u, u**2, u**3]

    assert_agree(simulate(probability, 300, seed=p), [1 / 2, 1 / 3, 1 / 4])


def test_distribution_of_the_bias() -> None:
    problem = isotropic(30, 0.0)

    def probability(rng):
        u = special.betainc(5, 10, problem.risk(fit(*problem.sample(20, rng))))
        return [u, u**2, u**3]

    assert_agree(simulate(probability, 300, seed=7), [1 / 2, 1 / 3, 1 / 4])
