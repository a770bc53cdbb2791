"""The effective ridge and what follows from it, against 50 digits and closed forms.

The reference is exact arithmetic on 256-bit fixed-point integers: without gmpy2, Python's own
integers are several times faster than mpmath, and one Newton step from the root of the solver
doubles its digits. It is itself checked against mpmath.
"""

from dataclasses import dataclass
from itertools import product

import mpmath
import numpy as np
import pytest

from overparam import (
    LinearGaussianProblem,
    min_norm_law,
    ridge_law,
    risk_curve,
    solve_effective_ridge,
)
from overparam.effective_ridge import solve_checked

BITS = 256
ONE = 1 << BITS
TOLERANCE = 1e-12
ROUNDING = 2e-15
SWEEPS = 6


@dataclass(frozen=True)
class Exact:
    """Root, shrinkage and risk as integers, in units of 2**-256."""

    mu: int
    shrinkage: list[int]
    risk: int


def fixed(values):
    """Floats as fixed-point integers: exact down to about 1e-61."""
    return [int(value) for value in np.ldexp(np.atleast_1d(values), BITS).tolist()]


def error(measured, exact) -> float:
    """Return the largest relative difference; what is exactly zero must be zero."""
    numbers = zip(fixed(measured), np.atleast_1d(np.array(exact, dtype=object)), strict=True)
    return max(abs(a - b) / b if b else float(a != 0) for a, b in numbers)


def exact_law(problem, n, penalty, start) -> Exact:
    """Correct the root `start` by two Newton steps on sum zeta + n penalty / mu = n; use it."""
    variances, (mu,) = fixed(problem.variances), fixed(start)
    surplus = n * fixed(penalty)[0]
    for sweep in range(3):
        shrinkage = [(v << BITS) // (v + mu) for v in variances]
        explicit = (surplus << BITS) // mu
        excess = sum(shrinkage) + explicit - n * ONE
        flow = (sum(z * (ONE - z) for z in shrinkage) >> BITS) + explicit
        if sweep < 2:
            mu += mu * excess // flow
    assert abs(excess) < flow >> 166, "the reference itself has not 50 digits"
    bias = sum(
        s * (ONE - z) ** 2 >> 2 * BITS
        for s, z in zip(fixed(problem.saliency), shrinkage, strict=True)
    )
    risk = n * ((fixed(problem.noise_variance)[0] + bias) << BITS) // flow
    return Exact(mu, shrinkage, risk)


def problem_with(variances, noise_variance=0.5) -> LinearGaussianProblem:
    index = np.arange(len(variances))
    return LinearGaussianProblem(variances, np.cos(index) / np.sqrt(1 + index), noise_variance)


def power_law(a, p=2000):
    return np.arange(1.0, p + 1) ** -a


def spectra() -> dict[str, tuple[np.ndarray, list[int]]]:
    """Variances and the sample sizes to try, from one sample to one less than the rank."""
    shuffled = np.random.default_rng(0).permutation
    return {
        "isotropic": (np.full(2000, 3.0), [1, 600, 1999]),
        "isotropic, kappa from 1.0001 to 1e4": (np.full(10_001, 3.0), [1, 10_000]),
        "two-level": (np.repeat([25.0, 1.0], [200, 1800]), [1, 199, 200, 600, 1999]),
        "power 0.5": (power_law(0.5), [1, 500, 1999]),
        "power 1": (power_law(1), [1, 500, 1999]),
        "power 1, kappa from 1.0001 to 1e4": (power_law(1, 10_001), [1, 10_000]),
        "power 2": (power_law(2), [1, 500, 1999]),
        "power 4": (power_law(4), [1, 500, 1999]),
        "gap of 1e16": (np.repeat([1e8, 1e-8], [500, 1500]), [1, 499, 500, 501, 1999]),
        "log-uniform over 1e16": (np.geomspace(1e8, 1e-8, 2000), [1, 500, 1999]),
        "repeated, unsorted": (shuffled(np.repeat([4, 1, 0.25], [50, 1900, 50])), [50, 1950]),
        "half zeros, unsorted": (shuffled(np.repeat([2.0, 0.0], 1000)), [1, 500, 999]),
        "zeros behind a power law": (np.append(power_law(2, 1000), np.zeros(1000)), [10, 999]),
        "five spikes": (np.repeat([1e8, 1.0], [5, 1995]), [4, 5, 6, 1000]),
    }


SPECTRA = spectra()
CASES = [
    pytest.param(variances, n, id=f"{name}, n = {n}")
    for name, (variances, ns) in SPECTRA.items()
    for n in ns
]


def check(problem, n, penalty) -> None:
    """Compare root, shrinkage and risk with the exact ones, and the root with its certificate."""
    solved = solve_effective_ridge(problem.variances, n, penalty)
    law = ridge_law(problem, n, penalty)
    exact = exact_law(problem, n, penalty, solved.value)
    assert error(solved.value, exact.mu) <= solved.certificate + ROUNDING
    assert solved.sweeps <= SWEEPS
    # The laws leave out the sweep that only certifies.
    quick = solve_checked(problem.variances, n, penalty, certify=False)
    assert quick.value == solved.value
    assert error(quick.value, exact.mu) <= quick.certificate + ROUNDING
    assert error(law.xi, (1 << 2 * BITS) // exact.mu) < TOLERANCE
    assert error(law.shrinkage, exact.shrinkage) < TOLERANCE
    assert error(law.risk, exact.risk) < TOLERANCE


@pytest.mark.parametrize(("variances", "n"), CASES)
def test_interpolation(variances, n) -> None:
    check(problem_with(variances), n, penalty=0.0)


@pytest.mark.parametrize("penalty", [1e-12, 1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", ["two-level", "power 2", "gap of 1e16", "half zeros, unsorted"])
def test_ridge(name, penalty) -> None:
    """Fewer samples than features, as many as the rank, as many as features, and more."""
    for n in (200, 1000, 2000, 5000):
        check(problem_with(SPECTRA[name][0]), n, penalty)


def test_minimum_norm_is_ridge_without_penalty() -> None:
    problem = problem_with(SPECTRA["power 1"][0])
    first, second = min_norm_law(problem, 500), ridge_law(problem, 500, 0.0)
    assert (first.xi, first.risk) == (second.xi, second.risk)


@pytest.mark.parametrize(
    ("a", "n"),
    [pytest.param(1, 100, id="a = 1, kappa = 1e4"), pytest.param(2, 999_999, id="a = 2, n = p-1")],
)
def test_a_million_features(a, n) -> None:
    check(problem_with(power_law(a, 1_000_000)), n, penalty=0.0)


def test_noiseless_risk() -> None:
    check(problem_with(SPECTRA["power 1"][0], noise_variance=0.0), 500, penalty=0.0)


def test_more_samples_than_features() -> None:
    """Every shrinkage is one, and zeros do not count."""
    variances = SPECTRA["half zeros, unsorted"][0]
    law = min_norm_law(problem_with(variances), 3000)
    assert law.xi == np.inf
    np.testing.assert_array_equal(law.shrinkage, variances > 0)
    assert law.risk == pytest.approx(0.5 * 3000 / 2000, rel=1e-14)


@pytest.mark.parametrize("name", SPECTRA)
def test_any_start_leads_to_the_root(name) -> None:
    """From 250 orders of magnitude away, on both sides, in two sweeps more than usual."""
    variances, ns = SPECTRA[name]
    for n in ns:
        root = solve_effective_ridge(variances, n).value
        for factor in (1e-250, 1e-10, 0.1, 10.0, 1e10, 1e250):
            solved = solve_effective_ridge(variances, n, start=factor * root)
            assert solved.value == pytest.approx(root, rel=2 * ROUNDING)
            assert solved.sweeps <= SWEEPS + 2


def test_reference_agrees_with_mpmath() -> None:
    variances, n, penalty, noise = [7.0, 3.0, 1.0, 0.1, 0.1], 3, 0.0625, 0.5
    problem = problem_with(variances, noise)
    exact = exact_law(problem, n, penalty, solve_effective_ridge(variances, n, penalty).value)
    with mpmath.workdps(60):
        values = [mpmath.mpf(v) for v in variances]

        def kept(mu):
            return [v / (v + mu) for v in values]

        mu = mpmath.findroot(lambda x: sum(kept(x)) + n * penalty / x - n, (0.1, 10), "anderson")
        bias = sum(s * (1 - z) ** 2 for s, z in zip(problem.saliency, kept(mu), strict=True))
        risk = (noise + bias) / (1 - sum(z**2 for z in kept(mu)) / n)
        for integer, number in ((exact.mu, mu), (exact.risk, risk)):
            assert abs(mpmath.ldexp(integer, -BITS) / number - 1) < mpmath.mpf(10) ** -50


@pytest.mark.parametrize(
    ("n", "penalty"),
    [(1, 0.0), (30, 0.0), (99, 0.0), *product([1, 99, 100, 101, 1000], [1e-12, 0.5, 1e6])],
)
def test_isotropic_closed_form(n, penalty) -> None:
    with mpmath.workdps(50):
        linear = (mpmath.mpf(100) / n - 1) * 3 + mpmath.mpf(penalty)
        mu = (linear + mpmath.sqrt(linear**2 + 12 * mpmath.mpf(penalty))) / 2
    assert solve_effective_ridge([3.0] * 100, n, penalty).value == pytest.approx(mu, rel=1e-13)


def test_two_level_closed_form() -> None:
    """A tenth of the variances 25, the rest 1, kappa = 10/3: xi = 0.307227."""
    with mpmath.workdps(50):
        kappa = mpmath.mpf(10) / 3
        quadratic = (1 - 1 / kappa) * 25, mpmath.mpf("0.1") * 25 + mpmath.mpf("0.9") - 26 / kappa
        xi = max(mpmath.polyroots([*quadratic, -1 / kappa]))
    variances = np.repeat([25.0, 1.0], [100, 900])
    assert 1 / solve_effective_ridge(variances, 300).value == pytest.approx(xi, rel=1e-14)
    assert round(float(xi), 6) == 0.307227


@pytest.mark.parametrize("spread", [1e8, 1e16, 1e100, 1e300])
def test_two_features_and_one_sample(spread) -> None:
    """The root is the geometric mean, however far apart the variances are."""
    root = solve_effective_ridge([np.sqrt(spread), 1 / np.sqrt(spread)], 1).value
    assert root == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("name", SPECTRA)
def test_curve_is_the_law_at_every_point(name) -> None:
    variances, ns = SPECTRA[name]
    problem = problem_with(variances)
    rank = np.count_nonzero(variances)
    ns = sorted({*ns, *np.linspace(1, rank - 1, 8).astype(int).tolist()})
    above = [problem.p + 1, 4 * problem.p]
    curve = risk_curve(problem, [*ns, *above])
    laws = [min_norm_law(problem, n) for n in [*ns, *above]]
    np.testing.assert_allclose(curve.xi, [law.xi for law in laws], rtol=TOLERANCE)
    np.testing.assert_allclose(curve.risk, [law.risk for law in laws], rtol=TOLERANCE)


def balance(variances, weights, n, penalty, mu):
    """Head deficit and tail surplus of weighted atoms in descending order, for any real n > 0."""
    before = np.cumsum(weights) - weights
    head = np.clip(n - before, 0, weights)
    deficit = max(n - weights.sum(), 0.0)
    high = (head * mu / (variances + mu)).sum() + deficit
    low = ((weights - head) * variances / (variances + mu)).sum() + n * penalty / mu
    return high, low


def test_slope_of_the_balance_is_between_one_and_two() -> None:
    """Mean slopes over random steps: weighted atoms, ties, zeros, real n, penalty, n > p."""
    rng = np.random.default_rng(1)
    for trial in range(2000):
        spread = rng.choice([0.0, 1.0, 30.0])
        variances = np.sort(np.exp(spread * rng.standard_normal(rng.integers(2, 12))))[::-1]
        variances[: rng.integers(0, 3)] = variances[0]
        variances = np.append(variances, np.zeros(rng.integers(0, 3)))
        weights = rng.choice([1.0, 2.5, 0.3], variances.size)
        penalty = np.exp(10 * rng.standard_normal()) * (trial % 2)
        limit = 2 * weights.sum() if penalty else weights[variances > 0].sum()
        n = limit * rng.uniform(0.01, 0.99)
        mu = np.exp(rng.uniform(-40, 40))
        factor = np.exp(rng.uniform(0.1, 3))
        (h0, t0), (h1, t1) = (balance(variances, weights, n, penalty, m) for m in (mu, mu * factor))
        slope = (np.log(h1 / h0) - np.log(t1 / t0)) / np.log(factor)
        assert 1 - 1e-12 < slope < 2 + 1e-12


@pytest.mark.parametrize("name", SPECTRA)
def test_bounds(name) -> None:
    """Trace bounds with k features removed from above; harmonic and two trace ones from below."""
    variances, ns = SPECTRA[name]
    ordered = np.sort(variances[variances > 0])[::-1]
    rank = ordered.size
    tails = np.append(np.cumsum(ordered[::-1])[::-1], 0)
    harmonic = np.arange(1, rank + 1) / np.cumsum(1 / ordered)
    for n in ns:
        mu = solve_effective_ridge(variances, n).value
        k = np.arange(n)
        upper = (rank - n) / ((rank - k) * (n - k)) * tails[:n]
        k = np.arange(n + 1, rank + 1)
        lower = (k - n) / n * harmonic[n:]
        traces = tails[0] / n - (ordered**2).sum() / tails[0]
        slack = 1 + 1e-12
        assert max(lower.max(), traces) <= mu * slack
        assert mu <= upper.min() * slack
        assert np.all((k - n) / n * ordered[n:] <= lower * slack)
        if name.startswith("isotropic"):
            bounds = [lower[-1], traces, upper[0]]
            np.testing.assert_allclose(bounds, mu, rtol=1e-11)


def test_more_samples_or_less_penalty_lower_it() -> None:
    variances = power_law(1, 50)
    grid = np.array(
        [[solve_effective_ridge(variances, n, rho).value for n in (10, 49, 50, 51, 500)]
         for rho in (1e-9, 1e-3, 1.0, 1e3)]
    )  # fmt: skip
    assert np.all(np.diff(grid, axis=1) < 0)
    assert np.all(np.diff(grid, axis=0) > 0)


def test_laws_leave_out_the_sweep_that_only_certifies() -> None:
    variances = power_law(1)
    solved = solve_effective_ridge(variances, 200)
    quick = solve_checked(variances, 200, 0.0, certify=False)
    assert quick.sweeps == solved.sweeps - 1
    assert solved.certificate < ROUNDING < quick.certificate


def test_vanishing_penalty() -> None:
    """mu0 for n < p, sqrt(penalty * harmonic mean) for n = p, penalty n / (n - p) for n > p."""
    variances, rho = np.repeat([25.0, 1.0], [100, 900]), 1e-20
    harmonic = 1000 / np.sum(1 / variances)
    limits = {
        300: solve_effective_ridge(variances, 300).value,
        1000: np.sqrt(rho * harmonic),
        1500: rho * 1500 / 500,
    }
    for n, limit in limits.items():
        mu = solve_effective_ridge(variances, n, rho).value
        assert mu == pytest.approx(limit, rel=1e-9)
        assert mu > rho


def test_no_variance_leaves_the_penalty() -> None:
    assert solve_effective_ridge([0.0, 0.0], 3, 0.25).value == 0.25


def test_spectrum_beyond_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="`variances` must span less than 1e308"):
        solve_effective_ridge([1e200, 1e-200], 1)


def test_penalty_that_vanishes_beside_the_variances_is_refused() -> None:
    with pytest.raises(ValueError, match="`penalty` must be at least 1e-307 of the variances"):
        solve_effective_ridge([1e300] * 5, 10, 1e-300)
