"""The law against simulation, against exact finite-sample answers and against second routes.

Monte Carlo comparisons use Student's t and one limit: at most one false alarm in a thousand runs
of this file, shared out over COMPARISONS of them. The law is asymptotic, so its leading
finite-size term of order 1/n is added to the prediction, not allowed for: half the logarithm of
V = n - sum zeta^2 in the expected log-determinant (chapter "The law") is differentiated here by
central differences, a route that shares no formula with the library. What remains is of order
1/n^2, far below the standard errors. For p < n the finite-size answers are exact.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.optimize import brentq, root
from scipy.special import stdtr

from overparam import (
    LinearGaussianProblem,
    MonteCarlo,
    exact_risk,
    fit,
    min_norm_law,
    ridge_law,
    simulate,
    simulate_risks,
    solve_effective_ridge,
)
from overparam.law import CoordinateLaw

COMPARISONS = 5000
FALSE_ALARM = 1e-3


def assert_agrees(result: MonteCarlo, predicted) -> None:
    """Means equal predictions up to chance; what does not vary must be exact."""
    predicted = np.broadcast_to(predicted, result.mean.shape)
    off = np.abs(result.mean - predicted)
    still = result.standard_error <= 1e-13 * np.abs(predicted).max()
    assert np.all(off[still] <= 1e-12 * np.abs(predicted).max())
    t = off[~still] / result.standard_error[~still]
    chance = 2 * stdtr(result.replicates - 1, -t)
    assert chance.min() > FALSE_ALARM / COMPARISONS, f"|t| up to {t.max():.2f}"


# The leading finite-size terms.


def half_log_spread(variances: np.ndarray, n: int, surplus: float, near: float) -> float:
    """Half of log(n - sum zeta^2) where sum zeta + surplus / mu = n, with mu `near` a guess."""

    def excess(log_mu: float) -> float:
        return float(np.sum(1 / (1 + np.exp(log_mu) / variances)) + surplus / np.exp(log_mu) - n)

    log_mu = brentq(excess, np.log(near) - 1, np.log(near) + 1, xtol=1e-14, rtol=1e-14)
    return 0.5 * float(np.log(n - np.sum((1 + np.exp(log_mu) / variances) ** -2.0)))


def mixed_difference(function: Callable[[float, float], float], u: float, e: float) -> float:
    corners = function(u, e) - function(u, -e) - function(-u, e) + function(-u, -e)
    return corners / (4 * u * e)


def in_eigenbasis(law: CoordinateLaw) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and squared coefficients of the features that have a variance."""
    problem, vectors = law.problem, law.problem.eigenvectors
    beta = problem.coefficients if vectors is None else problem.coefficients @ vectors
    present = problem.eigenvalues > 0
    return problem.eigenvalues[present], beta[present] ** 2


def error_term(law: CoordinateLaw, weights: np.ndarray) -> float:
    """Leading finite-size term of E sum_i weights_i (fit_i - beta*_i)^2 in the eigenbasis."""
    variances, signal = in_eigenbasis(law)
    noise = law.problem.noise_variance

    def perturbed(u: float, e: float) -> float:
        changed = variances / (1 + u * weights + e * signal)
        surplus = law.n * law.penalty - noise * e
        return half_log_spread(changed, law.n, surplus, law.effective_ridge)

    scale = law.n * min(law.effective_ridge, 1.0) / (noise + signal @ variances)
    return -mixed_difference(perturbed, 2e-3 / weights.max(), 2e-3 * scale)


def shrinkage_term(law: CoordinateLaw) -> np.ndarray:
    """Leading finite-size term of E[fit_i] / beta*_i, by the derivative in log lambda_i."""
    variances, _ = in_eigenbasis(law)
    fixed = law.n, law.n * law.penalty, law.effective_ridge
    slopes = np.empty(variances.size)
    for i, unit in enumerate(np.eye(variances.size)):
        up, down = (half_log_spread(variances * np.exp(h * unit), *fixed) for h in (1e-3, -1e-3))
        slopes[i] = (up - down) / 2e-3
    return slopes


# The settings.


def problem_with(p: int, *, zeros: int = 0, rotated: bool = False, noise: float = 0.5):
    rng = np.random.default_rng(p)
    variances = 10 ** (1 - 2 * (np.arange(p) + 0.5) / p)
    variances[p - zeros :] = 0
    beta = rng.standard_normal(p) / np.sqrt(p)
    if not rotated:
        return LinearGaussianProblem(variances, beta, noise)
    basis = np.linalg.qr(rng.standard_normal((p, p)))[0]
    return LinearGaussianProblem((basis * variances) @ basis.T, beta, noise)


SETTINGS = {
    "p > n": min_norm_law(problem_with(80), 40),
    "p > n, no noise": min_norm_law(problem_with(80, noise=0.0), 20),
    "p > n, full covariance": min_norm_law(problem_with(80, rotated=True), 50),
    "p > n, zero variances": min_norm_law(problem_with(80, zeros=20), 30),
    "p < n": min_norm_law(problem_with(40), 80),
    "p < n, full covariance": min_norm_law(problem_with(40, rotated=True), 60),
    "p < n, zero variances": min_norm_law(problem_with(40, zeros=10), 60),
    "ridge, p > n": ridge_law(problem_with(80), 40, 0.3),
    "ridge, p = n": ridge_law(problem_with(60), 60, 0.1),
    "ridge, p < n": ridge_law(problem_with(40, rotated=True), 80, 0.2),
    "ridge, zero variances": ridge_law(problem_with(60, zeros=20), 40, 0.3),
}


def fitted(law: CoordinateLaw, rng: np.random.Generator) -> np.ndarray:
    return fit(*law.problem.sample(law.n, rng), law.penalty)


def finite_size(law: CoordinateLaw) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and mean squared error of each coordinate in the eigenbasis, and the risk."""
    present = law.problem.eigenvalues > 0
    variances, signal = in_eigenbasis(law)
    zeta = law.shrinkage[present]
    spread = law.risk * zeta**2 / (law.n * variances)
    if law.effective_ridge == 0:
        exact = (law.n - variances.size) / (law.n - variances.size - 1)
        return zeta, spread * exact, exact_risk(law.problem, law.n)
    units = np.eye(variances.size)
    errors = (1 - zeta) ** 2 * signal + spread + [error_term(law, unit) for unit in units]
    return zeta + shrinkage_term(law), errors, law.risk + error_term(law, variances)


@pytest.mark.parametrize("name", SETTINGS)
def test_mean_width_and_risk_against_simulation(name: str) -> None:
    law = SETTINGS[name]
    problem, vectors = law.problem, law.problem.eigenvectors
    present = problem.eigenvalues > 0
    beta = problem.coefficients if vectors is None else problem.coefficients @ vectors
    shrinkage, errors, risk = finite_size(law)

    def measure(rng: np.random.Generator) -> np.ndarray:
        estimate = fitted(law, rng)
        rotated = estimate if vectors is None else estimate @ vectors
        off = ((rotated - beta) ** 2)[present]
        original = (estimate - law.mean) ** 2
        return np.concatenate([rotated[present], off, [problem.risk(estimate)], original])

    samples = simulate(measure, replicates=500, seed=31).samples
    mean = shrinkage * beta[present]
    exact = np.concatenate([mean, errors, [risk]])
    assert_agrees(MonteCarlo(samples[:, : exact.size]), exact)
    # The law itself is within a few per cent of these finite-size values.
    assert law.risk == pytest.approx(risk, rel=0.12)
    assert np.all(np.abs(law.shrinkage[present] - shrinkage) < 0.05)
    # In the original basis the leading term of the widths, of relative order 1/n, is not known:
    # products of coefficients meet covariances of that order. Three times 1/n is allowed.
    result = MonteCarlo(samples[:, exact.size :])
    off = np.abs(result.mean - law.std**2) - 3 / law.n * law.std**2
    t = np.max(off / np.where(off > 0, result.standard_error, 1))
    assert 2 * stdtr(499, -t) > FALSE_ALARM / COMPARISONS


def averaged_risk(law: CoordinateLaw, rng: np.random.Generator) -> float:
    """Risk given the design, averaged exactly over the noise and the signs of its columns."""
    problem = law.problem
    features, _ = problem.sample(law.n, rng)
    pinv = np.linalg.solve(features @ features.T, features)
    missed = np.eye(problem.p) - features.T @ pinv
    noise = problem.noise_variance * (1 + np.sum(pinv**2 @ problem.variances))
    return float(noise + problem.variances @ missed**2 @ problem.coefficients**2)


@pytest.mark.parametrize("n", [24, 40, 60])
def test_risk_to_a_fraction_of_a_percent(n: int) -> None:
    """Sharp enough that a gamma one per cent off cannot pass, in either direction."""
    law = min_norm_law(problem_with(120), n)
    result = simulate(partial(averaged_risk, law), replicates=500, seed=33)
    assert result.standard_error < 1.5e-3 * law.risk
    variances, _ = in_eigenbasis(law)
    assert_agrees(result, law.risk + error_term(law, variances))


# Exact finite-sample answers.


@pytest.mark.parametrize(
    ("problem", "sizes"),
    [
        (problem_with(30), [40, 60, 120]),
        (problem_with(30, rotated=True), [45]),
        (problem_with(40, zeros=10), [45]),
        (LinearGaussianProblem(np.full(60, 2.0), np.full(60, 0.1), 0.7), [20, 40, 50, 75]),
        (LinearGaussianProblem(np.repeat([3.0, 0.0], [60, 9]), np.full(69, 0.1), 0.7), [30]),
    ],
)
def test_exact_risk_against_simulation_without_any_bias(problem, sizes: list[int]) -> None:
    for n in sizes:
        result = simulate_risks(problem, n, [problem.p], replicates=400, seed=34)
        assert_agrees(result, exact_risk(problem, n))


def test_law_against_exact_risk() -> None:
    """The difference is sigma^2 min(n, p) / (d (d - 1)) with d = |p - n|, for all n and p."""
    for p in range(1, 40):
        problem = LinearGaussianProblem(np.full(p, 3.0), np.full(p, 0.2), 0.7)
        for n in range(1, 40):
            distance = abs(p - n)
            if distance < 2:
                continue
            law = min_norm_law(problem, n)
            gap = 0.7 * min(n, p) / (distance * (distance - 1))
            assert exact_risk(problem, n) - law.risk == pytest.approx(gap, rel=1e-9)
            assert law.shrinkage == pytest.approx(min(1, n / p), rel=1e-13)


def test_leading_term_of_the_isotropic_error() -> None:
    for p, n in [(80, 20), (100, 50), (90, 60)]:
        law = min_norm_law(LinearGaussianProblem(np.ones(p), np.full(p, 0.1), 0.7), n)
        term = error_term(law, np.ones(p))
        assert term == pytest.approx(0.7 * n / (p - n) ** 2, rel=1e-3)


# Identities and second routes.


def random_law(rng: np.random.Generator) -> CoordinateLaw:
    p, n = rng.integers(2, 40, 2)
    variances = np.exp(rng.normal(0, 2, p)) * (rng.random(p) < rng.choice([0.7, 1.0]))
    beta, noise = rng.standard_normal(p), rng.exponential() * rng.integers(2)
    if rng.random() < 0.3:
        basis = np.linalg.qr(rng.standard_normal((p, p)))[0]
        problem = LinearGaussianProblem((basis * variances) @ basis.T, beta, noise)
    else:
        problem = LinearGaussianProblem(variances, beta, noise)
    exists = problem.rank > n or (problem.p < n and problem.rank < n)
    penalty = 0.0 if exists and rng.random() < 0.7 else rng.exponential() + 1e-3
    return ridge_law(problem, int(n), float(penalty))


def test_gamma_is_the_risk_of_the_law() -> None:
    """Corollary on the risk, and the law's mean squared norm, at 500 random problems."""
    rng = np.random.default_rng(35)
    without_penalty = 0
    for _ in range(500):
        law = random_law(rng)
        problem, vectors = law.problem, law.problem.eigenvectors
        scale = float(problem.risk(np.zeros(problem.p)))
        covariance = problem.covariance if vectors is not None else np.diag(problem.covariance)
        basis = np.eye(problem.p) if vectors is None else vectors
        spread = law.risk / law.n * law.shrinkage**2
        assert abs(problem.risk(law.mean) + spread.sum() - law.risk) <= 1e-12 * scale
        # The same from the standard deviations in the original basis.
        inverse = np.divide(1, problem.eigenvalues, where=problem.eigenvalues > 0, out=0 * spread)
        widths = (basis * (spread * inverse)) @ basis.T
        np.testing.assert_allclose(np.diag(widths), law.std**2, rtol=1e-9, atol=1e-12 * scale)
        assert np.sum(widths * covariance) == pytest.approx(spread.sum(), rel=1e-9)
        if law.penalty == 0 and law.effective_ridge > 0:
            without_penalty += 1
            assert law.shrinkage.sum() == pytest.approx(law.n, rel=1e-12)
            signal = law.shrinkage @ (problem.coefficients @ basis) ** 2
            square = law.mean @ law.mean + law.std @ law.std
            short = law.xi * problem.noise_variance + signal
            assert square == pytest.approx(short, rel=1e-11)
    assert without_penalty > 100


def saddle_function(problem, n: int, theta: float, tau: float) -> float:
    """The saddle function D of the derivation, at finite p."""
    xi, kappa = theta / tau, problem.p / n
    shrunk = 1 / (1 / problem.variances + xi)
    noise = theta * tau + theta * problem.noise_variance / tau
    return 0.5 * (
        noise - kappa * theta**2 * shrunk.mean() + xi * float(problem.coefficients**2 @ shrunk)
    )


@pytest.mark.parametrize(("p", "n", "noise"), [(80, 40, 0.5), (300, 30, 0.1), (120, 100, 1.0)])
def test_saddle_point(p: int, n: int, noise: float) -> None:
    """Stationarity of D gives xi and gamma, its value is half the squared norm of the fit."""
    problem = problem_with(p, noise=noise)
    law = min_norm_law(problem, n)

    def slopes(logs: np.ndarray) -> list[float]:
        step = 1e-4
        values = [
            [saddle_function(problem, n, *np.exp(logs + s * step * e)) for s in (-2, -1, 1, 2)]
            for e in np.eye(2)
        ]
        return [(v[0] - 8 * v[1] + 8 * v[2] - v[3]) / (12 * step) for v in values]

    # Started well away from the answer; the stationary point is unique.
    found = root(slopes, np.log([1.3 * law.xi * law.risk**0.5, 0.8 * law.risk**0.5]))
    theta, tau = np.exp(found.x)
    assert theta / tau == pytest.approx(law.xi, rel=1e-7)
    assert tau**2 == pytest.approx(law.risk, rel=1e-7)
    value = saddle_function(problem, n, theta, tau)
    assert value == pytest.approx((law.mean @ law.mean + law.std @ law.std) / 2, rel=1e-9)
    # A saddle: concave in theta, convex in tau.
    for s in (0.9, 1.1):
        assert saddle_function(problem, n, s * theta, tau) < value
        assert saddle_function(problem, n, theta, s * tau) > value


@pytest.mark.parametrize(("p", "n", "penalty"), [(30, 12, 0.0), (12, 30, 0.0), (20, 20, 0.4)])
def test_rotation_equivariance(p: int, n: int, penalty: float) -> None:
    full = problem_with(p, rotated=True)
    basis = full.eigenvectors
    diagonal = LinearGaussianProblem(full.eigenvalues, full.coefficients @ basis, 0.5)
    turned, straight = ridge_law(full, n, penalty), ridge_law(diagonal, n, penalty)
    assert turned.risk == pytest.approx(straight.risk, rel=1e-12)
    np.testing.assert_allclose(turned.shrinkage, straight.shrinkage, rtol=1e-12)
    np.testing.assert_allclose(turned.mean, basis @ straight.mean, atol=1e-13)
    np.testing.assert_allclose(turned.std**2, basis**2 @ straight.std**2, rtol=1e-12)
    draws = [law.draw(np.random.default_rng(36), 50) for law in (turned, straight)]
    np.testing.assert_allclose(draws[0], draws[1] @ basis.T, atol=1e-13)


@pytest.mark.parametrize("name", ["p > n, full covariance", "p < n, zero variances"])
def test_draws_have_the_mean_the_widths_and_the_risk_of_the_law(name: str) -> None:
    law = SETTINGS[name]

    draws = law.draw(np.random.default_rng(37), 4000)
    square, risk = (draws - law.mean) ** 2, law.problem.risk(draws)
    assert_agrees(MonteCarlo(draws), law.mean)
    assert_agrees(MonteCarlo(square), law.std**2)
    assert_agrees(MonteCarlo(risk), law.risk)


@pytest.mark.parametrize(("p", "n"), [(60, 20), (20, 60)])
def test_small_penalties_lead_to_the_minimum_norm_law(p: int, n: int) -> None:
    """The difference vanishes in proportion to the penalty, on both sides of p = n."""
    problem = problem_with(p)
    limit = min_norm_law(problem, n)
    near, nearer = (ridge_law(problem, n, penalty) for penalty in (1e-5, 1e-6))
    for part in ("risk", "mean", "std", "shrinkage"):
        first, second = (
            np.subtract(getattr(a, part), getattr(limit, part)) for a in (near, nearer)
        )
        assert np.abs(first).max() < 1e-2
        np.testing.assert_allclose(first, 10 * second, rtol=1e-2, atol=1e-9)
    assert ridge_law(problem, n, 0.0).risk == limit.risk


# Subsets of the features.


@pytest.mark.parametrize("rotated", [False, True])
def test_restriction_is_the_regression_on_a_subset(rotated: bool) -> None:
    """By brute force: regress labels of the full problem on some of its features."""
    problem, kept = problem_with(12, rotated=rotated), np.array([7, 0, 4, 11, 2])
    small = problem.restrict(kept)

    def regression(rng: np.random.Generator) -> np.ndarray:
        features, labels = problem.sample(20_000, rng)
        beta, residual, *_ = np.linalg.lstsq(features[:, kept], labels)
        return np.append(beta, residual / (20_000 - kept.size))

    result = simulate(regression, replicates=60, seed=38)
    assert_agrees(result, np.append(small.coefficients, small.noise_variance))


@pytest.mark.parametrize("rotated", [False, True])
def test_law_of_a_fit_on_a_subset(rotated: bool) -> None:
    """The fit sees 60 of 90 features; its risk in the full problem is that of the restriction."""
    problem, kept = problem_with(90, rotated=rotated), np.arange(10, 70)
    law = min_norm_law(problem.restrict(kept), 30)

    def measure(rng: np.random.Generator) -> float:
        features, labels = problem.sample(30, rng)
        beta = np.zeros(90)
        beta[kept] = fit(features[:, kept], labels)
        return float(problem.risk(beta))

    result = simulate(measure, replicates=500, seed=39)
    assert_agrees(result, law.risk + error_term(law, in_eigenbasis(law)[0]))


# From data alone, and reference values.


def plug_in(law: CoordinateLaw, rng: np.random.Generator) -> np.ndarray:
    """Estimates of xi and gamma from one sample, relative to the law."""
    features, labels = law.problem.sample(law.n, rng)
    inverse = np.linalg.inv(features @ features.T)
    dual = inverse @ labels
    score = law.n * dual @ dual / inverse.trace() ** 2
    return np.array([inverse.trace() / law.xi, score / law.risk])


def test_plug_in_estimates() -> None:
    """Doubling removes the term of order 1/n: twice the mean at 2 n minus the mean at n."""
    large, small = (
        simulate(partial(plug_in, min_norm_law(problem_with(p), p // 2)), replicates, seed=40)
        for p, replicates in ((160, 1000), (80, 2000))
    )
    doubled = 2 * large.mean - small.mean
    error = np.hypot(2 * large.standard_error, small.standard_error)
    assert np.all(error < [0.004, 0.03])
    assert 2 * stdtr(999, -np.abs((doubled - 1) / error).max()) > FALSE_ALARM / COMPARISONS


def test_two_level_reference_value() -> None:
    """A tenth of the variances 25, the rest 1, kappa = 10/3: the root of a quadratic equation."""
    share, high, low, kappa = 0.1, 25.0, 1.0, 10 / 3
    linear = share * high + (1 - share) * low - (high + low) / kappa
    xi = np.roots([(1 - 1 / kappa) * high * low, linear, -1 / kappa]).max()
    assert xi == pytest.approx(0.307227, abs=5e-7)
    solved = solve_effective_ridge(np.repeat([high, low], [100, 900]), 300)
    assert 1 / solved.value == pytest.approx(xi, rel=1e-13)
    problem = LinearGaussianProblem(np.repeat([high, low], [100, 900]), np.zeros(1000), 1.0)
    assert min_norm_law(problem, 300).xi == pytest.approx(xi, rel=1e-13)


@pytest.mark.parametrize(
    ("head", "decay", "risk"), [(25.0, 0.0, 0.287), (25.0, 1.0, 0.168), (1.0, 1.0, 0.700)]
)
def test_reference_risks(head: float, decay: float, risk: float) -> None:
    """A thousand features, 300 samples, no noise, unit signal: a spike of 100 features or none."""
    index = np.arange(1, 1001)
    variances = np.where(index <= 100, head, 1.0)
    energy = 1 - decay * index / 1000
    beta = np.sqrt(energy / (energy @ variances))
    law = min_norm_law(LinearGaussianProblem(variances, beta, 0.0), 300)
    assert law.risk == pytest.approx(risk, abs=5e-4)


def test_floor_of_the_risk() -> None:
    """Gamma is at least sigma^2 kappa / (kappa - 1), with equality for isotropic noise."""
    rng = np.random.default_rng(41)
    for _ in range(100):
        n, extra = rng.integers(1, 50, 2)
        p = int(n + extra)
        variances = np.exp(rng.normal(0, 2, p))
        law = min_norm_law(LinearGaussianProblem(variances, np.zeros(p), 1.0), int(n))
        assert law.risk >= p / (p - n) * (1 - 1e-12)
    flat = min_norm_law(LinearGaussianProblem(np.full(50, 7.0), np.zeros(50), 1.0), 20)
    assert flat.risk == pytest.approx(50 / 30, rel=1e-13)
