"""Risk and training loss of pruned fits: closed forms against simulation and reference values.

The limit on |z| is the book's: at most one false alarm in a thousand runs over 20,000 comparisons.
The laws are asymptotic; at these sizes their bias is of order 1/n, measured below one part in a
hundred, and enters as such.
"""

import numpy as np
import pytest

from overparam import LinearGaussianProblem, fit, min_norm_law, ridge_law, simulate
from overparam.law import CoordinateLaw
from overparam.pruned_law import pruned_risk, pruned_risk_monte_carlo, pruned_training_loss
from overparam.pruning import Rule, SiPPRule, prune
from overparam.selection import selection_thresholds

Z_LIMIT = 5.45
BIAS = 0.01
KEEPS = np.array([0.05, 0.3, 0.7, 1.0])
RULES: list[Rule] = ["magnitude", "hessian", "oracle", "random", SiPPRule(20)]


def mixed(p: int, noise_variance: float = 0.25) -> LinearGaussianProblem:
    rng = np.random.default_rng(8)
    variances = np.where(np.arange(p) < p // 6, 4.0, 0.5)
    return LinearGaussianProblem(variances, rng.standard_normal(p) / np.sqrt(p), noise_variance)


LAWS = {
    "p > n": min_norm_law(mixed(600), 300),
    "p < n": min_norm_law(mixed(300), 450),
    "ridge, p = n": ridge_law(mixed(400), 400, 0.1),
    "no noise": min_norm_law(mixed(600, 0.0), 200),
}


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", LAWS)
def test_risk_and_training_loss_against_simulation(name: str, rule: Rule) -> None:
    law = LAWS[name]
    problem = law.problem

    def measure(rng: np.random.Generator) -> np.ndarray:
        features, labels = problem.sample(law.n, rng)
        beta = fit(features, labels, law.penalty)
        pruned = prune(
            beta, KEEPS, rule, variances=problem.variances, saliency=problem.saliency, rng=rng
        )
        return np.array([problem.risk(pruned), np.mean((labels - pruned @ features.T) ** 2, 1)])

    result = simulate(measure, replicates=16, seed=21)
    predicted = np.array([pruned_risk(law, KEEPS, rule), pruned_training_loss(law, KEEPS, rule)])
    allowed = Z_LIMIT * result.standard_error + BIAS * predicted.clip(min=1e-9)
    assert np.all(np.abs(result.mean - predicted) <= allowed)


def test_naive_training_loss_is_refuted() -> None:
    """The population form Q alone, as if what is removed knew nothing of the labels, is far off."""
    law = LAWS["no noise"]
    problem = law.problem
    t = float(selection_thresholds(law, 0.05, "magnitude"))
    draws = law.draw(np.random.default_rng(4), 2000)
    naive = np.mean((draws * (np.abs(draws) <= t)) ** 2 @ problem.variances)

    def measure(rng: np.random.Generator) -> float:
        features, labels = problem.sample(law.n, rng)
        pruned = prune(fit(features, labels), 0.05, "magnitude")
        return float(np.mean((labels - features @ pruned) ** 2))

    result = simulate(measure, replicates=16, seed=22)
    assert abs(result.z_score(naive)) > 2 * Z_LIMIT
    closed = pruned_training_loss(law, 0.05, "magnitude")
    assert abs(result.mean - closed) < Z_LIMIT * result.standard_error + BIAS * closed


def reference(kind: str) -> CoordinateLaw:
    """Return the setting of the notes: p=1000, n=300, s=100, no noise, unit signal energy."""
    p = 1000
    spiked = np.where(np.arange(p) < 100, 25.0, 1.0)
    variances = np.ones(p) if kind == "identity" else spiked
    beta = np.ones(p) if kind == "flat" else np.sqrt(1 - np.arange(1, p + 1) / p)
    beta /= np.sqrt(variances @ beta**2)
    return min_norm_law(LinearGaussianProblem(variances, beta, 0.0), 300)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("identity", [0.910, 0.910, 0.926]),
        ("flat", [0.669, 0.352, 0.348]),
        ("decay", [0.383, 0.202, 0.201]),
    ],
)
def test_reference_values(kind: str, expected: list[float]) -> None:
    """The notes drew their values from the law (errors up to 0.5 per cent); these are closed."""
    law = reference(kind)
    values = [float(pruned_risk(law, 0.1, rule)) for rule in RULES[:3]]
    np.testing.assert_allclose(values, expected, rtol=0.01)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_closed_form_against_drawing(rule: Rule) -> None:
    law = LAWS["p > n"]
    drawn = pruned_risk_monte_carlo(law, KEEPS, rule, np.random.default_rng(3), draws=400)
    # A draw keeps exactly s coordinates, the closed form s on average: a bias of order 1/p.
    gap = np.abs(drawn.mean - pruned_risk(law, KEEPS, rule))
    assert np.all(gap <= Z_LIMIT * drawn.standard_error + 1 / law.problem.p)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", LAWS)
def test_nothing_pruned(name: str, rule: Rule) -> None:
    law = LAWS[name]
    assert pruned_risk(law, 1.0, rule) == pytest.approx(law.risk, rel=1e-12)
    slack = 1 - law.shrinkage.sum() / law.n
    assert pruned_training_loss(law, 1.0, rule) == pytest.approx(
        law.risk * slack**2, rel=1e-9, abs=1e-20
    )


def test_risk_equals_gamma_plus_what_is_removed() -> None:
    """R + 2C + Q, the form with cancellation, agrees with the form without."""
    law = LAWS["p > n"]
    t = float(selection_thresholds(law, 0.3, "hessian"))
    rng = np.random.default_rng(0)
    draws = law.draw(rng, 20_000)
    removed = draws * (np.sqrt(law.problem.variances) * np.abs(draws) <= t)
    lost = law.problem.coefficients - draws
    total = law.risk + (removed**2 + 2 * removed * lost) @ law.problem.variances
    error = total.std() / np.sqrt(total.size)
    assert abs(total.mean() - pruned_risk(law, 0.3, "hessian")) < Z_LIMIT * error


def test_fit_without_randomness_is_sorted() -> None:
    """No noise and p < n: the fit is exact, and pruning removes the least saliency."""
    problem = mixed(60, noise_variance=0.0)
    law = min_norm_law(problem, 100)
    saliency = np.sort(problem.saliency)
    assert float(pruned_risk(law, 0.5, "hessian")) == pytest.approx(saliency[:30].sum(), rel=1e-12)
    assert pruned_training_loss(law, 0.5, "hessian") > 0


def test_sipp_tends_to_hessian() -> None:
    law = LAWS["p > n"]
    hessian = float(pruned_risk(law, 0.3, "hessian"))
    gaps = [abs(float(pruned_risk(law, 0.3, SiPPRule(k))) - hessian) for k in (10, 152, 10**6)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.01 * hessian


def test_full_covariance_is_refused() -> None:
    law = min_norm_law(LinearGaussianProblem(np.eye(4), np.ones(4), 1.0), 2)
    with pytest.raises(ValueError, match=r"must be one-dimensional .* pruned_risk_monte_carlo"):
        pruned_risk(law, 0.5, "magnitude")


@pytest.mark.parametrize("small", [1e-6, 1e-12, 1e-15])
def test_nothing_pruned_across_a_gap(small: float) -> None:
    """Where shrinkage is 1 to the last digit, its complement still has all of its own."""
    problem = LinearGaussianProblem(
        np.repeat([1.0, small], [5, 100]), np.repeat([1.0, 0.0], [5, 100]), 0.0
    )
    law = min_norm_law(problem, 50)
    assert float(pruned_risk(law, 1.0, "magnitude")) == pytest.approx(law.risk, rel=1e-10)
