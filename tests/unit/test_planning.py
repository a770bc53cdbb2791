"""`plan` equals refitting, sees planted violations, and is right about problems with an answer."""

from typing import Any

import numpy as np
import pytest

from overparam import LinearGaussianProblem, fit, plan, prune
from overparam.planning import Plan

KEEP = 0.25


def standardized(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def refit(design: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Squared errors of the dense, pruned and retrained fit, each sample really left out."""
    squares = []
    for i, row in enumerate(design):
        rest, target = np.delete(design, i, 0), np.delete(y, i)
        center, level = rest.mean(axis=0), target.mean()
        dense = fit(rest - center, target - level)
        pruned = prune(dense, size / dense.size, "magnitude")
        support = np.flatnonzero(pruned)
        retrained = np.zeros_like(dense)
        retrained[support] = fit((rest - center)[:, support], target - level)
        squares.append(
            [(y[i] - level - (row - center) @ b) ** 2 for b in (dense, pruned, retrained)]
        )
    return np.array(squares)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("n", "widths"), [(20, [8, 40]), (40, [16, 24]), (30, [30, 64])])
def test_leave_one_out_of_the_pipeline_is_exact(n: int, widths: list[int], repeated: bool) -> None:
    rng = np.random.default_rng(2)
    x = 5 + rng.standard_normal((n, 70)) * rng.uniform(0.2, 3, 70)
    y = 7 + x[:, 0] + rng.standard_normal(n)
    if repeated:
        x[3] = x[5]
    result = plan(x, y, KEEP, np.random.default_rng(3), widths=widths)
    design = standardized(x)[:, np.random.default_rng(3).permutation(70)]
    small = refit(design[:, : result.size], y, result.size)[:, 0]
    large = [refit(design[:, :w], y, result.size)[:, 1:].T for w in widths if w >= result.size]
    squares = np.vstack([small, *large])
    np.testing.assert_allclose([o.risk for o in result.options], squares.mean(axis=1), rtol=1e-8)
    best = 1 + np.argmin(squares[1:].mean(axis=1))
    differences = squares[best] - small
    assert result.best_large == result.options[best]
    assert result.difference == pytest.approx(differences.mean(), rel=1e-6)
    assert result.standard_error == pytest.approx(differences.std(ddof=1) / n**0.5, rel=1e-6)


def test_a_sample_with_leverage_one_is_refitted() -> None:
    """A column that only one sample has is constant without it."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((30, 6)), rng.standard_normal(30)
    x[:, 2] = np.arange(30) == 7
    result = plan(x, y, 1.0, np.random.default_rng(3), widths=[6])
    design = standardized(x)[:, np.random.default_rng(3).permutation(6)]
    assert result.options[0].risk == pytest.approx(refit(design, y, 6)[:, 0].mean())


def test_units_and_intercept_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((40, 12)), rng.standard_normal(40)
    plain = plan(x, y, 0.1, np.random.default_rng(0))
    moved = plan(3 + x * np.geomspace(1e-3, 1e3, 12), 10 * y - 5, 0.1)
    scaled = [100 * option.risk for option in plain.options]
    np.testing.assert_allclose([option.risk for option in moved.options], scaled, rtol=1e-6)
    assert [option.width for option in plain.options] == [16, 20, 20, 80, 80, 160, 160]


def test_labels_of_other_samples_only() -> None:
    """With labels of pure noise no option may look better than the mean, on average."""
    excess = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((30, 90)), rng.standard_normal(30)
        result = plan(x, y, 0.1, rng, widths=[90])
        excess.append([option.risk - np.var(y) for option in result.options])
    assert np.all(np.mean(excess, axis=0) > 0)


def planned(x: np.ndarray, y: np.ndarray, keep: float = KEEP, **keywords: Any) -> Plan:
    return plan(x, y, keep, np.random.default_rng(1), **keywords)


def test_recommendations() -> None:
    rng = np.random.default_rng(6)
    spiked = LinearGaussianProblem(np.ones(200), np.repeat([1.0, 0.0], [8, 192]), 0.1)
    found = planned(*spiked.sample(150, rng), keep=0.1, widths=[100])
    assert found.recommendation.startswith("Train large, prune, retrain: predicted test risk")
    assert found.difference < -2 * found.standard_error
    dense = planned(*spiked.sample(150, rng), keep=0.95, widths=[100])
    assert dense.recommendation.startswith("The difference is within noise, so train small")
    same = planned(*spiked.sample(150, rng), keep=1.0, widths=[100])
    assert same.difference == 0
    flat = LinearGaussianProblem(np.ones(300), np.full(300, 0.1), 4.0)
    lost = planned(*flat.sample(100, rng), keep=0.4, widths=[120])
    assert lost.recommendation.startswith("Train small")


def warned(x: np.ndarray, y: np.ndarray, keep: float = 0.1, **keywords: Any) -> str:
    return " ".join(planned(x, y, keep, **({"widths": [150]} | keywords)).warnings)


def test_clean_data_give_no_warning() -> None:
    problem = LinearGaussianProblem(np.ones(60), np.full(60, 0.2), 0.1)
    found = [
        warned(*problem.sample(200, np.random.default_rng(s)), 0.5, widths=[60]) for s in range(6)
    ]
    assert sum(map(bool, found)) <= 1


def test_violations_are_noticed() -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((100, 300))
    y = x[:, :100].sum(axis=1) / 10 + rng.standard_normal(100)
    length = rng.choice([0.2, 3.0], (100, 1))
    assert "Lengths of rows" in warned(length * x, y)
    assert "samples differ in kind" in warned(length * x, y)
    assert "1 row(s) repeat" in warned(np.vstack([x, x[:1]]), np.append(y, 0.0))
    assert "3 constant column(s)" in warned(np.column_stack([x, np.ones((100, 3))]), y)
    assert "One direction has" in warned(x + 5 * rng.standard_normal((100, 1)), y)
    assert "close to the 100 samples" in warned(x, y, widths=[105])
    assert "Training small uses 105 weights" in warned(x, y, 0.7)
    assert "One label has" in warned(x, y + 1000 * (np.arange(100) == 4))
    assert "No option beats the mean" in warned(x, rng.standard_normal(100), 0.3)
    assert "linearly dependent" in warned(np.repeat(x[:, :10], 3, axis=1), y, widths=[30])


X, Y = np.random.default_rng(8).standard_normal((14, 40)), np.arange(14.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keep": 0.0}, r"`keep` must be in \(0, 1\], but it is 0.0"),
        ({"keep": 1.5}, r"`keep` must be in \(0, 1\], but it is 1.5"),
        ({"keep": [0.1, 0.2]}, r"`keep.shape` must have 0 dimension"),
        ({"keep": 0.3}, r"`keep` must not keep n - 1 or n - 2 weights, here 12"),
        ({"labels": Y[:5]}, r"`labels.shape` must be \(14,\), but it is \(5,\)"),
        ({"labels": np.ones(14)}, "`labels` must not all be equal"),
        ({"labels": np.where(Y == 3, np.nan, Y)}, r"`labels\[3\]` must be finite, but it is nan"),
        ({"features": np.where(X > 2, np.nan, X)}, r"`features\[\d+, \d+\]` must be finite"),
        ({"features": X[:9], "labels": Y[:9]}, "`features.shape` must have at least 12 rows"),
        ({"features": np.ones((14, 3))}, "`features` must"),
        ({"features": X[0]}, "`features.shape` must have 2 dimension"),
        ({"labels": 1e200 * Y}, "`labels` must have its largest entry between"),
        ({"widths": []}, "`widths` must be a sequence of ints"),
        ({"widths": 30}, "`widths` must be a sequence of ints"),
        ({"widths": [0, 30]}, "`widths` must be at least 1"),
        ({"widths": [13, 40]}, "`widths` must contain neither n - 1 = 13 nor n - 2"),
        ({"rng": 0}, "`rng` must be a numpy.random.Generator"),
    ],
)
def test_refused(changed: dict[str, Any], message: str) -> None:
    arguments = {"features": X, "labels": Y, "keep": 0.1} | changed
    with pytest.raises(ValueError, match=message):
        plan(**arguments)


def test_warnings_do_not_depend_on_the_intercept() -> None:
    problem = LinearGaussianProblem(np.ones(200), np.full(200, 0.1), 0.1)
    for seed in range(3):
        features, labels = problem.sample(100, np.random.default_rng(seed))
        shifted = warned(features, labels + 100, 0.1, widths=[200])
        assert shifted == warned(features, labels, 0.1, widths=[200])
