"""Leave-one-out without refitting equals refitting, and the plug-in equals its definition."""

import numpy as np
import pytest

from overparam import LinearGaussianProblem, fit, min_norm_law, simulate
from overparam.estimation import estimate_law, leave_one_out_errors
from overparam.pruning import prune


def refit(features: np.ndarray, labels: np.ndarray, keep: float, rule: str, retrain: bool) -> list:
    """Leave every sample out by really leaving it out."""
    errors = []
    for i, row in enumerate(features):
        rest, target = np.delete(features, i, 0), np.delete(labels, i)
        beta = prune(fit(rest, target), keep, rule, variances=np.mean(rest**2, axis=0))
        if retrain:
            support = np.flatnonzero(beta)
            beta[support] = fit(rest[:, support], target)
        errors.append(labels[i] - row @ beta)
    return errors


@pytest.mark.parametrize("retrain", [False, True])
@pytest.mark.parametrize("rule", ["magnitude", "hessian"])
@pytest.mark.parametrize("shape", [(20, 50), (40, 15)])
def test_leave_one_out_is_exact(shape: tuple[int, int], rule: str, retrain: bool) -> None:
    rng = np.random.default_rng(5)
    features = rng.standard_normal(shape) * rng.uniform(0.2, 3, shape[1])
    labels = features[:, 0] + rng.standard_normal(shape[0])
    swift = leave_one_out_errors(features, labels, 0.2, rule, retrain=retrain)
    np.testing.assert_allclose(swift, refit(features, labels, 0.2, rule, retrain), atol=1e-12)


@pytest.mark.parametrize("p", [60, 600])
def test_plug_in_is_consistent(p: int) -> None:
    """Mean over samples against the law; the bias left is of order 1/n, below 2 per cent here."""
    rng = np.random.default_rng(6)
    problem = LinearGaussianProblem(rng.uniform(0.2, 3, p), rng.standard_normal(p) / p**0.5, 0.5)
    law = min_norm_law(problem, 200)

    def estimate(rng: np.random.Generator) -> list[float]:
        plug_in = estimate_law(*problem.sample(200, rng))
        return [plug_in.effective_ridge, plug_in.risk]

    result = simulate(estimate, replicates=40, seed=3)
    expected = np.array([law.effective_ridge, law.risk])
    assert np.all(np.abs(result.mean - expected) <= 5.45 * result.standard_error + 0.02 * expected)


@pytest.mark.parametrize(
    ("features", "labels", "keywords", "message"),
    [
        (np.ones((3, 5)), [1, 2, 3], {}, "`features` must have full rank"),
        (np.eye(4), [1, 2, 3, 4], {}, r"`features.shape` must not be \(p, p\)"),
        (np.ones((4, 6)), [1, 2, 3], {}, r"`labels.shape` must be \(4,\)"),
        (np.ones((4, 6)), [1, 1, 1, 1], {}, "`labels` must not all be equal"),
        (np.ones((4, 6)), [1, np.nan, 1, 1], {}, r"`labels\[1\]` must be finite"),
        (np.ones((4, 6)), [1, 2, 3, 4], {"rule": "oracle"}, "`rule` must need no more"),
        (np.ones((4, 6)), [1, 2, 3, 4], {"retrain": True}, "`keep` must leave fewer than"),
    ],
)
def test_refused(features: np.ndarray, labels: list, keywords: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        leave_one_out_errors(features, labels, **keywords)


def test_leverage_one_is_refused() -> None:
    features = np.random.default_rng(0).standard_normal((12, 3))
    features[:, 2] = np.arange(12) == 5
    with pytest.raises(ValueError, match="must keep full rank without any one sample"):
        leave_one_out_errors(features, np.arange(12.0))


@pytest.mark.parametrize("scale", [1e160, 1e-170])
def test_extreme_units_are_refused(scale: float) -> None:
    features = np.random.default_rng(0).standard_normal((6, 12))
    with pytest.raises(ValueError, match="`features` must have its largest entry between"):
        estimate_law(features * scale, np.arange(6.0))
    with pytest.raises(ValueError, match="`labels` must have its largest entry between"):
        estimate_law(features, np.arange(6.0) * scale)
