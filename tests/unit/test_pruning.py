"""Pruning of vectors, and the moments of Gaussians on either side of a cutoff."""

import numpy as np
import pytest
from scipy import integrate, stats

from overparam.pruning import SiPPRule, kept_count, prune
from overparam.selection import _extreme_value_quadrature, _ScoreLaw


def test_ties_go_to_the_lower_index() -> None:
    np.testing.assert_array_equal(prune([1.0, -1.0, 1.0, 1.0], 0.5, "magnitude"), [1, -1, 0, 0])


def test_keep_fractions_share_one_order() -> None:
    rng = np.random.default_rng(0)
    beta = rng.standard_normal(50)
    pruned = prune(beta, np.array([0.1, 0.5, 1.0]), "random", rng=rng)
    assert (pruned != 0).sum(axis=1).tolist() == [5, 25, 50]
    assert np.all((pruned[0] != 0) <= (pruned[1] != 0))
    np.testing.assert_array_equal(pruned[2], beta)


def test_counts_round_half_to_even_and_never_reach_zero() -> None:
    assert kept_count([1e-9, 0.25, 0.35], 10).tolist() == [1, 2, 4]


def test_scores() -> None:
    beta = np.array([1.0, 2.0, 3.0, 4.0])
    variances = np.array([100.0, 9.0, 1.0, 0.01])
    saliency = np.array([0.0, 0.0, 0.0, 1.0])
    assert np.flatnonzero(prune(beta, 0.25, "magnitude")).tolist() == [3]
    assert np.flatnonzero(prune(beta, 0.25, "hessian", variances=variances)).tolist() == [0]
    assert np.flatnonzero(prune(beta, 0.25, "oracle", saliency=saliency)).tolist() == [3]


def test_sipp_tends_to_the_hessian_rule() -> None:
    """The coefficient of variation of the extreme value falls: 0.27, 0.133, 0.088."""
    rng = np.random.default_rng(1)
    spread = []
    for size in (10, 152, 2000):
        draws = SiPPRule(size).extreme_value(rng.random(40_000))
        spread.append(draws.std() / draws.mean())
    np.testing.assert_allclose(spread, [0.27, 0.133, 0.088], rtol=0.02)


@pytest.mark.parametrize("size", [1, 2, 10, 152, 10_000])
def test_extreme_value_quadrature(size: int) -> None:
    """Against direct integration of the quantile function, on smooth functions of 1/M."""
    nodes, weights = _extreme_value_quadrature(SiPPRule(size))
    for cutoff in (0.3, 1.0, 3.0):
        exact = integrate.quad(
            lambda u, c=cutoff: stats.norm.sf(c / SiPPRule(size).extreme_value(np.array(u))),
            0, 1, epsabs=1e-12, epsrel=1e-12, limit=400,
        )[0]  # fmt: skip
        assert weights @ stats.norm.sf(cutoff / nodes) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.4])
@pytest.mark.parametrize("std", [0.1, 1.0, 7.0])
@pytest.mark.parametrize("cutoff", [0.01, 0.5, 4.0])
def test_moments_against_quadrature(mean: float, std: float, cutoff: float) -> None:
    scores = _ScoreLaw(np.array([mean]), np.array([std]), np.ones(1), np.ones(1))
    moments = scores.moments(cutoff, slice(0, 1))
    edges = np.clip([(-cutoff - mean) / std, (cutoff - mean) / std], -39, 39)
    for power in range(3):
        inside = integrate.quad(
            lambda h, k=power: h**k * stats.norm.pdf(h), *edges, epsabs=1e-14, epsrel=1e-12,
            points=[min(max(0.0, edges[0]), edges[1])],
        )[0]  # fmt: skip
        whole = [1.0, 0.0, 1.0][power]
        assert moments.removed[power][0] == pytest.approx(inside, abs=1e-12)
        assert moments.kept[power][0] == pytest.approx(whole - inside, abs=1e-12)


@pytest.mark.parametrize("s", [1, 3, 50, 199])
def test_threshold_leaves_s_survivors(s: int) -> None:
    rng = np.random.default_rng(2)
    scores = _ScoreLaw(rng.standard_normal(200), rng.random(200) + 0.01, np.ones(1), np.ones(1))
    t = scores.threshold(s)
    expected = stats.norm.sf((t - scores.mean) / scores.std) + stats.norm.cdf(
        (-t - scores.mean) / scores.std
    )
    assert expected.sum() == pytest.approx(s, rel=1e-11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": 0.0}, "`keep` must be in"),
        ({"keep": 1.5}, "`keep` must be in"),
        ({"keep": np.nan}, "`keep` must be finite"),
        ({"rule": "largest"}, "`rule` must be one of 'magnitude', 'hessian', 'oracle', 'random'"),
        ({"rule": "hessian"}, "`variances` must"),
        ({"rule": "oracle"}, "`saliency` must"),
        ({"rule": "random"}, "`rng` must be a numpy.random.Generator"),
        ({"rule": "hessian", "variances": [1.0]}, r"`variances.shape` must be \(3,\)"),
        ({"beta": [[1.0]]}, "`beta.shape` must have 1 dimension"),
    ],
)
def test_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prune(**{"beta": [1.0, 2.0, 3.0], "keep": 0.5, "rule": "magnitude", **arguments})
