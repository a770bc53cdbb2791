"""SiPP in a linear model: what is exact, what holds for many features, what the bounds say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from scipy.optimize import minimize
from scipy.stats import norm, spearmanr

from overparam import LinearGaussianProblem, SiPPRule, fit, min_norm_law, pruned_risk, simulate
from overparam.networks.allocation import allocate, draws_needed, error_level
from overparam.networks.sensitivity import largest_share
from overparam.networks.sipp import sample_group

share = jax.jit(largest_share)


def sensitivities(beta, inputs):
    return np.asarray(share(jnp.asarray(beta[:, None]), jnp.asarray(inputs[:, None, :])))[:, 0]


def extreme_mean(n):
    """Mean of the largest of n folded normals."""
    m = np.linspace(0, 12, 24_001)
    return np.trapezoid(1 - (2 * norm.cdf(m) - 1) ** n, m)


@pytest.mark.parametrize("law", ["normal", "skewed"])
def test_a_fresh_share_exceeds_the_sensitivity_once_in_n_plus_one_times(law: str) -> None:
    n, p = 12, 150

    def exceeds(rng):
        beta = rng.standard_normal(p)
        x = (
            rng.standard_normal((n + 1, p))
            if law == "normal"
            else rng.standard_gamma(0.5, (n + 1, p))
        )
        return np.mean(sensitivities(beta, x[-1:]) > sensitivities(beta, x[:-1]))

    result = simulate(exceeds, 400, 1)
    assert abs(result.z_score(1 / (n + 1))) < 4
    assert result.standard_error < 0.1 / (n + 1)


def linear_model(p=800, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(p), np.exp(rng.standard_normal(p)), rng


def test_many_independent_features() -> None:
    """Score = sqrt(2 pi) |w| sqrt(lambda) M / A; total sqrt(2 pi) E M; ranking towards OBD's."""
    beta, variances, rng = linear_model()
    obd = np.abs(beta) * np.sqrt(variances)
    correlations = []
    for n in (10, 152, 2000):
        z = rng.standard_normal((n, beta.size))
        s = sensitivities(beta, z * np.sqrt(variances))
        group = np.where(beta > 0, obd[beta > 0].sum(), obd[beta < 0].sum())
        expected = np.sqrt(2 * np.pi) * obd * np.abs(z).max(axis=0) / group
        assert np.corrcoef(s, expected)[0, 1] > 0.97
        for sign in (1, -1):
            total = s[sign * beta > 0].sum()
            assert total == pytest.approx(np.sqrt(2 * np.pi) * extreme_mean(n), rel=0.08)
        correlations.append(spearmanr(s[beta > 0], obd[beta > 0]).statistic)
    assert correlations[0] < correlations[1] < correlations[2]
    assert correlations[2] > 0.99


def test_the_rule_of_the_linear_theory_is_what_sensitivities_do() -> None:
    n, p, images = 60, 150, 15
    problem = LinearGaussianProblem(
        np.geomspace(5, 0.2, p), np.linspace(1.5, 0.2, p) * (-1.0) ** np.arange(p) / 8, 0.3
    )

    def experiment(rng):
        beta = fit(*problem.sample(n, rng))
        s = sensitivities(beta, problem.sample(images, rng)[0])
        kept = s >= np.sort(s)[-45]
        return problem.risk(np.where(kept, beta, 0))

    result = simulate(experiment, 300, 2)
    law = min_norm_law(problem, n)
    predicted, without = (float(pruned_risk(law, 0.3, r)) for r in (SiPPRule(images), "magnitude"))
    assert abs(result.z_score(predicted)) < 4
    assert abs(result.z_score(without)) > 5


def test_sampled_weights_are_unbiased_with_the_variance_of_the_formula() -> None:
    beta, variances, rng = linear_model(40)
    correlated = np.full((40, 40), 0.3) + 0.7 * np.eye(40)
    covariance = correlated * np.sqrt(np.outer(variances, variances))
    q = np.stack([np.abs(beta) * (sign * beta > 0) * rng.uniform(0.5, 2, 40) for sign in (1, -1)])
    q /= q.sum(axis=1, keepdims=True)
    draws = np.array([30, 17])
    expected = 0.0
    for row, m in zip(q, draws, strict=True):
        part = np.where(row > 0, beta, 0)
        terms = np.where(row > 0, part**2 * variances / np.where(row > 0, row, 1), 0).sum()
        expected += (terms - part @ covariance @ part) / m

    def deviation(rng):
        return beta * sample_group(q, draws, rng).sum(axis=0) - beta

    result = simulate(deviation, 4000, 3)
    assert np.abs(result.z_score(0.0)).max() < 4.5
    # The two groups are independent, so their cross terms vanish in the mean.
    errors = np.einsum("ri,ij,rj->r", result.samples, covariance, result.samples)
    assert abs(errors.mean() - expected) < 4 * errors.std() / np.sqrt(errors.size)


def test_error_level_inverts_bernstein() -> None:
    e, c, m = sp.symbols("epsilon C m", positive=True)
    v = c / m
    level = v + sp.sqrt(v**2 + 6 * v)
    assert sp.simplify((6 + 2 * level) * c / level**2 - m) == 0
    assert sp.simplify(sp.diff(level, m, 2).subs({c: 1, m: 2})) > 0
    # One Bernstein exponent, with variance and range of one draw from the sensitivity condition.
    k_s, z = sp.symbols("KS z", positive=True)
    exponent = (e * z) ** 2 / 2 / (z**2 * k_s / m + (z * k_s / m) * e * z / 3)
    assert sp.simplify(exponent - 3 * m * e**2 / ((6 + 2 * e) * k_s)) == 0
    for target in (0.05, 0.5, 3.0):
        number = draws_needed(target, 7.0, 1e-3)
        assert (
            error_level([number], [7.0], 1e-3)[0]
            <= target
            < error_level([number - 1], [7.0], 1e-3)[0]
        )


def test_the_bound_for_sampled_sums_holds() -> None:
    """The observed rate of failure is below the promised one, at a level that is not vacuous."""
    beta, variances, rng = linear_model(60)
    w = np.abs(beta)[None]
    x = np.abs(rng.standard_normal((20, 60))) * np.sqrt(variances)
    g = w * x / (w * x).sum(axis=1, keepdims=True)
    g, s = g[0], g.max(axis=0)
    level, failure = 0.4, 0.2
    m = draws_needed(level, s.sum(), failure)
    q = np.broadcast_to(s / s.sum(), (5000, 60))
    errors = np.abs(sample_group(q, np.full(5000, m), rng) @ g - 1)
    assert np.mean(errors >= level / 3) > 0
    assert np.mean(errors >= level) <= failure


def test_allocation_is_the_minimum() -> None:
    rng = np.random.default_rng(4)
    costs, full = rng.uniform(1, 20, 6), np.array([200.0, 200, 200, 30, 200, 60])
    weights = rng.uniform(0.1, 1, 6)
    found = allocate(500, costs, full, 1e-6, weights)

    def total(draws):
        return float(weights @ error_level(draws, costs, 1e-6))

    limits = {"type": "ineq", "fun": lambda draws: 500 - draws.sum()}
    bounds = [(1, m) for m in full]
    options = {"ftol": 1e-14, "maxiter": 1000}
    best = minimize(total, np.full(6, 50.0), bounds=bounds, constraints=limits, options=options)
    assert total(found.draws) <= best.fun * (1 + 1e-9)
    assert found.draws.sum() == pytest.approx(500, rel=1e-10)
    free = found.draws < full - 1e-9
    assert free.sum() >= 3
    assert (~free).any()
    step = 1e-4 * np.eye(6)
    slopes = [(total(found.draws - h) - total(found.draws + h)) / 2e-4 for h in step[free]]
    np.testing.assert_allclose(slopes, found.multiplier, rtol=1e-6)


def test_deterministic_beats_sampling_in_a_dense_linear_model() -> None:
    beta, variances, rng = linear_model(400)
    s = np.abs(beta) * np.sqrt(variances)
    q = np.stack([s * (beta > 0), s * (beta < 0)])
    q /= q.sum(axis=1, keepdims=True)
    order = np.argsort(-s)
    for m in (60, 200, 600):
        factors = sample_group(np.tile(q, (50, 1)), np.full(100, m // 2), rng)
        both = factors[::2] + factors[1::2]
        sampled = np.mean(((both - 1) ** 2) @ (beta**2 * variances))
        kept = int(np.count_nonzero(both, axis=1).mean())
        assert sampled > 3 * np.sum(s[order[kept:]] ** 2)
