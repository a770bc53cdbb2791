"""PFP: the law of the draws, the guarantee on fresh inputs, and what sensitivities bound."""

from itertools import chain, combinations, pairwise
from math import ceil

import numpy as np
import pytest
from scipy.stats import chisquare
from scipy.stats import multinomial as exact_multinomial

from overparam import simulate
from overparam.networks.channel_sampling import (
    Luck,
    choose_channels,
    draws_per_sensitivity,
    multinomial,
)

LIMIT = 4.5
REPLICATES = 2000


def one_layer(seed=0, channels=30, units=6):
    """Weights of both signs, and a source of non-negative inputs."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((channels, units)) * np.geomspace(3, 0.1, channels)[:, None]

    def draw(rng, number):
        return np.maximum(rng.standard_normal((number, channels)) + 0.5, 0)

    return weight, draw


def group_sums(weight, inputs):
    """Contributions of the channels to the sums of one sign: (inputs, channels, 2 units)."""
    parts = np.concatenate([np.maximum(weight, 0), np.maximum(-weight, 0)], axis=1)
    return inputs[..., None] * parts


def shares(weight, inputs):
    added = group_sums(weight, inputs)
    total = added.sum(axis=1, keepdims=True)
    return np.divide(added, total, out=np.zeros_like(added), where=total > 0).max(axis=2)


@pytest.mark.parametrize("draws", [1, 3, 6])
def test_counts_are_multinomial(draws):
    q = np.array([0.62, 0.3, 0.08])
    rng = np.random.default_rng(draws)
    found = np.array([multinomial(q, draws, Luck.draw(rng, 3)) for _ in range(6000)], int)
    assert (found.sum(axis=1) == draws).all()
    outcomes = [(a, b, draws - a - b) for a in range(draws + 1) for b in range(draws + 1 - a)]
    expected = np.array([exact_multinomial.pmf(o, draws, q) for o in outcomes]) * len(found)
    observed = np.array([(found == o).all(axis=1).sum() for o in outcomes])
    rare = expected < 8
    expected = np.append(expected[~rare], expected[rare].sum())
    observed = np.append(observed[~rare], observed[rare].sum())
    assert chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-4


def test_more_draws_only_add_channels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        q = rng.dirichlet(np.full(12, 0.3))
        luck = Luck.draw(rng, 12)
        seen = [multinomial(q, m, luck) > 0 for m in (1, 2, 5, 20, 100, 10_000, 10**15)]
        assert all((later >= earlier).all() for earlier, later in pairwise(seen))


@pytest.mark.parametrize("variant", ["sampled", "mixed"])
def test_factors_are_unbiased_with_the_covariance_of_the_page(variant):
    s = np.array([0.9, 0.5, 0.2, 0.1, 0.05])
    rate = 4.0

    def once(rng):
        return choose_channels(s, rate, variant, Luck.draw(rng, s.size)).factors

    run = simulate(once, REPLICATES, 1)
    sure = (rate * s >= 1) & (variant == "mixed")
    rest = np.where(sure, 0, s)
    q, m = rest[~sure] / rest.sum(), ceil(rate * rest.sum())
    if variant == "mixed":
        assert sure.sum() == 2
        assert (run.samples[:, sure] == 1).all()
    open_factors = run.samples[:, ~sure]
    error = open_factors.std(axis=0, ddof=1) / REPLICATES**0.5
    assert (abs(open_factors.mean(axis=0) - 1) < LIMIT * error).all()
    products = (open_factors - 1)[:, :, None] * (open_factors - 1)[:, None]
    expected = (np.diag(1 / q) - 1) / m
    error = products.std(axis=0, ddof=1) / REPLICATES**0.5
    assert (abs(products.mean(axis=0) - expected) < LIMIT * error).all()


def test_squared_error_of_a_layer_has_the_stated_mean():
    weight, draw = one_layer()
    inputs = draw(np.random.default_rng(0), 300)
    s = shares(weight, inputs[:100]).max(axis=0)
    rate = 8.0
    moment = inputs[100:].T @ inputs[100:] / 200

    def once(rng):
        factors = choose_channels(s, rate, "sampled", Luck.draw(rng, s.size)).factors
        change = (factors - 1)[:, None] * weight
        return np.trace(change.T @ moment @ change)

    run = simulate(once, REPLICATES, 2)
    m, q = ceil(rate * s.sum()), s / s.sum()
    by_channel = (weight**2).sum(axis=1) * np.diag(moment)
    expected = ((by_channel / q).sum() - np.trace(weight.T @ moment @ weight)) / m
    assert abs(run.z_score(expected)) < LIMIT


@pytest.mark.parametrize("variant", ["sampled", "mixed"])
def test_the_guarantee_holds_at_least_as_often_as_stated(variant):
    weight, draw = one_layer()
    level, failure = 0.5, 0.2
    rng = np.random.default_rng(3)
    s = shares(weight, draw(rng, 150)).max(axis=0)
    number = 2 * weight.shape[1]

    def fails(spread, shrink):
        """Share of fresh inputs within the spread on which a sum misses the level."""
        rate = draws_per_sensitivity(level, number, failure, spread) / shrink
        bad, tried = 0, 0
        for _ in range(150):
            x = draw(rng, 20)
            x = x[(shares(weight, x) / s).max(axis=1) <= spread]
            factors = choose_channels(s, rate, variant, Luck.draw(rng, s.size)).factors
            added = group_sums(weight, x)
            exact, got = added.sum(axis=1), (added * factors[:, None]).sum(axis=1)
            bad += (abs(got - exact) > level * exact).any(axis=1).sum()
            tried += len(x)
        return bad / tried, tried

    rate, tried = fails(1.5, 1)
    assert tried > 1000
    assert rate <= failure
    assert fails(1.5, 60)[0] > failure  # with a sixtieth of the draws it does not hold


def test_a_fresh_share_exceeds_its_sensitivity_once_in_so_many():
    weight, draw = one_layer()
    size = 20

    def once(rng):
        seen = shares(weight, draw(rng, size + 1))
        return (seen[-1] > seen[:-1].max(axis=0)).astype(float)

    run = simulate(once, REPLICATES, 4)
    # Shares of exactly zero and one can tie; the channels with continuous laws obey equality.
    free = [j for j in range(weight.shape[0]) if j < 20]
    z = (run.mean[free] - 1 / (size + 1)) / run.standard_error[free]
    assert abs(z).max() < LIMIT


def test_dropped_sums_are_at_most_the_dropped_sensitivity():
    weight, draw = one_layer()
    rng = np.random.default_rng(5)
    sample, fresh = draw(rng, 100), draw(rng, 2000)
    s = shares(weight, sample).max(axis=0)
    spread = (shares(weight, fresh) / s).max(axis=1)
    dropped = choose_channels(s, 2.0, "deterministic").factors == 0
    assert 5 < dropped.sum() < 30
    added = group_sums(weight, fresh)
    total = added.sum(axis=1)
    missing = np.divide(
        added[:, dropped].sum(axis=1), total, out=np.zeros_like(total), where=total > 0
    )
    bound = np.maximum(spread, 1) * s[dropped].sum()
    assert (missing.max(axis=1) <= bound * (1 + 1e-12)).all()
    assert (missing.max(axis=1) > 0.1 * bound).any()  # loose, but not idle


def test_the_mixed_variant_keeps_what_is_cheaper_to_keep():
    s = np.array([0.8, 0.4, 0.3, 0.12, 0.05])
    rate = 5.0
    subsets = chain.from_iterable(combinations(range(5), k) for k in range(6))
    costs = {t: len(t) + rate * (s.sum() - s[list(t)].sum()) for t in subsets}
    choice = choose_channels(s, rate, "mixed", Luck.draw(np.random.default_rng(0), 5))
    best = min(costs, key=costs.get)
    assert best == (0, 1, 2)
    assert (choice.factors[list(best)] == 1).all()
    assert choice.draws == ceil(rate * s[3:].sum())
    assert costs[best] == pytest.approx(np.minimum(1, rate * s).sum())


def test_sensitivities_of_a_wide_linear_layer():
    """The formula of the page for independent Gaussian features and several outputs."""
    rng = np.random.default_rng(6)
    p, units, size = 4000, 3, 60
    lam = rng.lognormal(0, 1, p)
    weight = rng.standard_normal((p, units)) * np.array([1, 4, 0.2])
    z = rng.standard_normal((size, p))
    inputs = z * np.sqrt(lam)
    s = np.zeros(p)
    for half in (1, -1):
        s = np.maximum(s, shares(weight, np.maximum(half * inputs, 0)).max(axis=0))
    spread = np.sqrt(lam)[:, None] * abs(weight)
    totals = np.where(
        weight > 0, (spread * (weight > 0)).sum(axis=0), (spread * (weight < 0)).sum(axis=0)
    )
    largest = abs(z).max(axis=0)
    formula = np.sqrt(2 * np.pi * lam) * largest * (abs(weight) / totals).max(axis=1)
    ratio = s / formula
    assert np.corrcoef(np.log(s), np.log(formula))[0, 1] > 0.998
    assert 0.95 < np.median(ratio) < 1.1
