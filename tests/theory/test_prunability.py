"""Prunability in closed form against simulation, and the naive form failing the same test.

Limit on |z| and allowance for the finite size as in `test_pruned_law`: both curves are means over
replicates, and the crossing of a curve that moves by a part in a hundred moves with it.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import erf, ndtri
from scipy.stats import norm

from overparam import (
    LinearGaussianProblem,
    fit,
    kept_fraction,
    law_prunability,
    logistic_fit,
    logistic_law,
    measure_prunability,
    min_norm_law,
    prune,
    pruned_logistic_losses,
    pruned_training_loss,
    ridge_law,
    simulate,
)
from overparam.law import CoordinateLaw
from overparam.logistic import LogisticLaw, _margins
from overparam.selection import selection_thresholds, survival

Z_LIMIT = 5.45
LEVELS = np.arange(1, 51) / 50
TOLERANCES = np.array([0.02, 0.1, 0.4])
RULES = ("magnitude", "hessian", "random")
SIZE = 400


def population(kind: str, p: int, noise_variance: float) -> LinearGaussianProblem:
    rng = np.random.default_rng(3)
    variances = {
        "isotropic": np.ones(p),
        "two levels": np.where(np.arange(p) < p // 8, 6.0, 0.5),
        "log-uniform": np.geomspace(10, 0.1, p),
    }[kind]
    beta = rng.standard_normal(p) / np.sqrt(variances.sum())
    return LinearGaussianProblem(variances, beta, noise_variance)


def laws() -> dict[str, CoordinateLaw]:
    found = {}
    for kind in ("isotropic", "two levels", "log-uniform"):
        for kappa in (1.3, 2.0, 4.0):
            n = int(SIZE / kappa)
            found[f"{kind}, p/n = {kappa}"] = min_norm_law(population(kind, SIZE, 0.25), n)
        found[f"{kind}, least squares"] = min_norm_law(population(kind, SIZE // 2, 0.25), 300)
        found[f"{kind}, ridge"] = ridge_law(population(kind, SIZE, 0.5), 300, 0.1)
    return found


LAWS = laws()


def label_variance(law: CoordinateLaw) -> float:
    return law.problem.noise_variance + law.problem.saliency.sum()


def measured(law: CoordinateLaw) -> tuple[np.ndarray, np.ndarray]:
    """Kept fractions of single fits, for all rules: mean and standard error."""
    problem, bounds = law.problem, TOLERANCES * label_variance(law)

    def curve(beta: np.ndarray, rule: str, x: np.ndarray, y: np.ndarray, rng) -> np.ndarray:
        kept = prune(beta, LEVELS, rule, variances=problem.variances, rng=rng)
        return np.mean((y - kept @ x.T) ** 2, axis=1)

    def experiment(rng: np.random.Generator) -> list[np.ndarray]:
        x, y = problem.sample(law.n, rng)
        beta, found = fit(x, y, law.penalty), []
        for rule in RULES:
            # Several random orders, as the definition averages over masks.
            masks = 4 if rule == "random" else 1
            curves = [curve(beta, rule, x, y, rng) for _ in range(masks)]
            found.append(kept_fraction(LEVELS, np.mean(curves, axis=0), bounds))
        return found

    result = simulate(experiment, 20, seed=17)
    return result.mean, result.standard_error


def from_curve(curve: np.ndarray, law: CoordinateLaw) -> np.ndarray:
    """The same levels and the same interpolation as in the simulation."""
    return kept_fraction(LEVELS, curve, TOLERANCES * label_variance(law))


def naive_curve(law: CoordinateLaw, rule: str) -> np.ndarray:
    """Dense loss plus the population value of what is removed, Q alone."""
    dense = float(pruned_training_loss(law, 1.0, rule))
    curve = []
    for s in np.round(LEVELS * law.problem.p).astype(int):
        q = 0.0
        for part, moments in survival(law, int(s), rule):
            d0, d1, d2 = moments.removed
            mean, std = law.mean[part], law.std[part]
            q += law.problem.variances[part] @ (mean**2 * d0 + 2 * mean * std * d1 + std**2 * d2)
        curve.append(dense + q)
    return np.array(curve)


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    """All settings at once: predicted, naive, measured, standard error."""
    rows = []
    for law in LAWS.values():
        exact = [from_curve(pruned_training_loss(law, LEVELS, rule), law) for rule in RULES]
        naive = [from_curve(naive_curve(law, rule), law) for rule in RULES]
        rows.append([exact, naive, *measured(law)])
    predicted, naive, mean, error = np.moveaxis(np.array(rows), 1, 0)
    return {"predicted": predicted, "naive": naive, "mean": mean, "error": error}


def test_closed_form_and_naive_form_against_simulation(
    table: dict[str, np.ndarray], record_property: Callable[[str, object], None]
) -> None:
    """At least 30 settings; finite-size differences of order 1/n are far below 0.003."""
    assert len(LAWS) * len(RULES) >= 30
    gap = np.abs(table["mean"] - table["predicted"])
    z = gap / np.maximum(table["error"], 1e-4)
    record_property("median and largest |z|", (float(np.median(z)), float(z.max())))
    assert np.all(gap <= Z_LIMIT * table["error"] + 0.003), z
    assert np.median(z) < 1.5
    wrong = np.abs(table["mean"] - table["naive"])
    assert np.sum(wrong > Z_LIMIT * table["error"] + 0.003) > z.size // 10


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", list(LAWS)[::3])
def test_solved_equals_read_off_a_fine_curve(name: str, rule: str) -> None:
    law = LAWS[name]
    fine = np.arange(1, law.problem.p + 1) / law.problem.p
    curve = pruned_training_loss(law, fine, rule)
    for crossing in ("first", "last"):
        np.testing.assert_allclose(
            law_prunability(law, TOLERANCES, rule, crossing=crossing),
            kept_fraction(fine, curve, TOLERANCES * label_variance(law), crossing=crossing),
            atol=1e-9,
        )


def isotropic(kappa: float, noise: float, tolerance: float, rule: str) -> float:
    """Root of the quadratic for isotropic features with Gaussian coefficients of energy one."""
    x = (1 / kappa + noise / (kappa - 1)) / (1 + noise)
    share = 2 * tolerance / (x + np.sqrt(x**2 + 4 * (1 - x) * tolerance))
    if rule == "random":
        return 1 - share
    q = brentq(lambda q: erf(q / np.sqrt(2)) - 2 * q * norm.pdf(q) - share, 0, 20)
    return 2 * norm.sf(q)


@pytest.mark.parametrize("rule", ["magnitude", "random"])
@pytest.mark.parametrize("noise", [0.25, 1.0])
def test_isotropic_features_have_a_quadratic(noise: float, rule: str) -> None:
    p = 3000
    quantiles = ndtri((np.arange(p) + 0.5) / p) / np.sqrt(p)
    for n in (150, 750, 1500, 2700):
        law = min_norm_law(LinearGaussianProblem(np.ones(p), quantiles, noise), n)
        expected = [isotropic(p / n, noise, t, rule) for t in TOLERANCES]
        np.testing.assert_allclose(law_prunability(law, TOLERANCES, rule), expected, atol=2e-3)


def test_published_values_of_the_notes() -> None:
    kappas = (1.1, 1.5, 2, 4)
    found = [[isotropic(k, s2, 0.1, "magnitude") for k in kappas] for s2 in (0.25, 1.0)]
    expected = [[0.592, 0.434, 0.370, 0.288], [0.675, 0.489, 0.401, 0.295]]
    np.testing.assert_allclose(found, expected, atol=5e-4)


def test_first_and_last_crossing_differ_near_the_threshold() -> None:
    """Just above p = n the loss exceeds the variance of the labels before it returns."""
    law = min_norm_law(population("isotropic", SIZE, 0.25), 380)
    first = law_prunability(law, 1.2, "magnitude")
    last = law_prunability(law, 1.2, "magnitude", crossing="last")
    assert first > last == 1 / SIZE


def test_crossings_of_a_curve_that_returns() -> None:
    """Within the tolerance down to 0.8, out at 0.6, in again at 0.4, out at 0.2."""
    curve = [0.2, 0.4, 0.6, 0.8, 1.0], [3.0, 1.0, 3.0, 1.0, 0.0]
    assert kept_fraction(*curve, 2.0) == pytest.approx(0.7)
    assert kept_fraction(*curve, 2.0, crossing="last") == pytest.approx(0.3)
    assert kept_fraction(*curve, 3.0) == pytest.approx(0.2)


def test_units() -> None:
    law = LAWS["isotropic, ridge"]
    scale = label_variance(law)
    by_labels = law_prunability(law, 0.1)
    assert law_prunability(law, 0.1 * scale, unit="absolute") == pytest.approx(by_labels)
    dense = float(pruned_training_loss(law, 1.0, "magnitude"))
    assert law_prunability(law, 0.1 * scale / dense, unit="loss") == pytest.approx(by_labels)
    with pytest.raises(ValueError, match="interpolates"):
        law_prunability(LAWS["isotropic, p/n = 2.0"], 0.1, unit="loss")


@pytest.mark.parametrize("tolerance", [0.0, -0.1, np.nan, np.inf, [], "x", [0.1, -1.0]])
def test_bad_tolerances(tolerance: object) -> None:
    law = LAWS["isotropic, ridge"]
    for call in (
        lambda: law_prunability(law, tolerance),
        lambda: kept_fraction([0.5, 1.0], [1.0, 0.0], tolerance),
        lambda: measure_prunability(lambda w: float(w @ w), np.ones(3), tolerance),
    ):
        with pytest.raises(ValueError, match="tolerance"):
            call()


@pytest.mark.parametrize(
    ("keep", "losses", "match"),
    [
        ([], [], "keep"),
        ([0.5], [0.0], "keep"),
        ([0.5, 1.0], [np.nan, 0.0], "losses"),
        ([0.5, 1.0], [0.0], "losses"),
        ([0.0, 1.0], [1.0, 0.0], "keep"),
        ([1.0, 1.0], [1.0, 0.0], "keep"),
    ],
)
def test_bad_curves(keep: list, losses: list, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        kept_fraction(keep, losses, 0.1)


def test_bad_choices() -> None:
    law, w = LAWS["isotropic, ridge"], np.arange(1.0, 5.0)
    with pytest.raises(ValueError, match="unit"):
        law_prunability(law, 0.1, unit="percent")
    with pytest.raises(ValueError, match="crossing"):
        law_prunability(law, 0.1, crossing="second")
    with pytest.raises(ValueError, match="law"):
        law_prunability("law", 0.1)
    for changes, match in (
        ({"order": "size"}, "order"),
        ({"order": "random"}, "rng"),
        ({"order": "scale-free"}, "scales"),
        ({"order": "scale-free", "scales": [1.0]}, "scales"),
        ({"groups": [1.0]}, "groups"),
        ({"prunable": np.zeros(4, bool)}, "prunable"),
        ({"prunable": [1, 0, 1, 0]}, "prunable"),
        ({"unit": "labels"}, "unit"),
    ):
        with pytest.raises(ValueError, match=match):
            measure_prunability(lambda v: float(v @ v), w, 0.1, **changes)
    with pytest.raises(ValueError, match="loss"):
        measure_prunability(lambda v: np.nan, w, 0.1)


def test_orders_groups_and_what_may_be_pruned() -> None:
    """The loss is the weight removed, so that kept fractions can be counted on fingers."""
    w = np.array([4.0, 3.0, 2.0, 1.0])

    def loss(v: np.ndarray) -> float:
        return float(w.sum() - v.sum())

    quarters = np.arange(1, 5) / 4
    assert measure_prunability(loss, w, 3.0, keep=quarters) == 0.5
    # The order is turned around, and 4 goes first.
    scaled = measure_prunability(loss, w, 4.0, order="scale-free", scales=1 / w**2, keep=quarters)
    assert scaled == 0.75
    # Two layers lose one weight each: 3 and 1.
    halves = {"groups": [0, 0, 1, 1], "keep": [0.5, 1.0]}
    assert measure_prunability(loss, w, 4.0, **halves) == 0.5
    assert measure_prunability(loss, w, 3.5, **halves) == pytest.approx(1 - 0.5 * 3.5 / 4)
    # Of the first two only.
    first = np.array([True, True, False, False])
    assert measure_prunability(loss, w, 3.0, prunable=first, keep=[0.5, 1.0]) == 0.5
    # Random masks remove half of the sum on average at half.
    rng = np.random.default_rng(0)
    found = measure_prunability(loss, w, 5.0, order="random", masks=400, rng=rng, keep=quarters)
    assert found == pytest.approx(0.5, abs=0.02)


def test_scale_free_order_ignores_units_of_features() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((40, 80)), rng.standard_normal(40)
    units = np.exp(rng.standard_normal(80))
    beta = fit(x, y)
    kept = []
    for factor in (np.ones(80), units):
        a, b = x * factor, beta / factor
        kept.append([
            measure_prunability(
                lambda w, a=a: float(np.mean((y - a @ w) ** 2)), b, 0.1, order=order,
                scales=np.sqrt(np.mean(a**2, axis=0)),
            )
            for order in ("magnitude", "scale-free")
        ])  # fmt: skip
    assert kept[0][1] == pytest.approx(kept[1][1], rel=1e-12)
    assert kept[0][0] != pytest.approx(kept[1][0], rel=1e-3)


def loss_without_pull(law: LogisticLaw, s: int) -> float:
    """Training loss of magnitude pruning as if training rows lost what fresh rows lose."""
    coordinates, grid, overlaps = law.coordinates, _margins(law.moments, law.leverage), np.zeros(2)
    for part, moments in survival(coordinates, s, "magnitude"):
        mean, std, (d0, d1, d2) = coordinates.mean[part], coordinates.std[part], moments.removed
        lam = coordinates.problem.variances[part]
        overlaps += [
            lam @ (law.signal[part] * (mean * d0 + std * d1)),
            lam @ (mean**2 * d0 + 2 * mean * std * d1 + std**2 * d2),
        ]
    slopes = np.linalg.solve(law.moments, overlaps)
    logits = grid.fitted - slopes[0] * grid.true - slopes[1] * grid.fresh
    noise = np.random.default_rng(0).standard_normal((200, 1, 1))
    spread = np.sqrt(max(overlaps[1] - slopes @ overlaps, 0.0))
    return float(np.sum(grid.weights * np.logaddexp(0, spread * noise - logits).mean(axis=0)))


@pytest.mark.parametrize("kind", ["isotropic", "two levels"])
def test_logistic_losses_against_simulation(kind: str) -> None:
    p, n, penalty, keeps = 300, 200, 0.02, np.array([0.03, 0.1, 0.3, 0.6, 1.0])
    problem = population(kind, p, 0.0)
    beta = 2 * problem.coefficients / np.sqrt(problem.saliency.sum())
    law = logistic_law(problem.variances, beta, n, penalty)
    predicted = np.array([pruned_logistic_losses(law, keeps, rule) for rule in RULES])

    def experiment(rng: np.random.Generator) -> np.ndarray:
        x, fresh = (problem.sample(size, rng)[0] for size in (n, 2000))
        y, z = (
            np.where(rng.random(len(a)) < 1 / (1 + np.exp(-a @ beta)), 1, -1) for a in (x, fresh)
        )
        fitted, out = logistic_fit(x, y, penalty), []
        for rule in RULES:
            kept = prune(fitted, keeps, rule, variances=problem.variances, rng=rng)
            out.append(
                [
                    np.logaddexp(0, -y * (kept @ x.T)).mean(1),
                    np.logaddexp(0, -z * (kept @ fresh.T)).mean(1),
                ]
            )
        return np.array(out)  # fmt: skip

    result = simulate(experiment, 24, seed=5)
    allowed = Z_LIMIT * result.standard_error + 0.02 * predicted
    assert np.all(np.abs(result.mean - predicted) <= allowed)
    # Without the pull of a row's own label the test fails.
    naive = [loss_without_pull(law, round(keep * p)) for keep in keeps]
    assert np.any(np.abs(result.mean[0, 0] - naive) > 2 * allowed[0, 0])
    assert law.training_loss == pytest.approx(predicted[0, 0, -1], rel=1e-9)
    assert law.test_loss == pytest.approx(predicted[0, 1, -1], rel=1e-9)


def test_logistic_slope_has_a_second_formula() -> None:
    """The pull c from the normal equations equals (1/n) sum lambda E u' / (chi lambda + rho)."""
    problem = population("two levels", 300, 0.0)
    law = logistic_law(problem.variances, 2 * problem.coefficients, 200, 0.05)
    coordinates, lam = law.coordinates, problem.variances
    t = float(selection_thresholds(coordinates, 0.4, "magnitude"))
    mean, std = coordinates.mean, coordinates.std
    density = (norm.pdf((t - mean) / std) + norm.pdf((-t - mean) / std)) / std
    slope = norm.cdf((t - mean) / std) - norm.cdf((-t - mean) / std) - t * density
    chi = coordinates.penalty / coordinates.effective_ridge
    second = np.sum(lam * slope / (chi * lam + coordinates.penalty)) / 200
    [(part, moments)] = survival(coordinates, 120, "magnitude")
    d0, d1, d2 = moments.removed
    first_moment = mean * d0 + std * d1
    square = mean**2 * d0 + 2 * mean * std * d1 + std**2 * d2
    grid = _margins(law.moments, law.leverage)
    overlaps = [lam @ (law.signal * first_moment), lam @ square]
    a, b = np.linalg.solve(law.moments, overlaps)
    pull = np.sum(grid.weights * (a * grid.true + b * grid.fresh) * grid.residual)
    first = (coordinates.penalty * square.sum() - pull) / np.sum(grid.weights * grid.residual**2)
    assert part == slice(0, lam.size) or part.stop >= lam.size
    assert first == pytest.approx(second, rel=1e-8)


def test_logistic_without_signal_strength_tends_to_ridge() -> None:
    """Strong penalty: l'' = 1/4 everywhere, and the effective ridge is that of four times it."""
    lam, p = np.geomspace(4, 0.2, 200), 200
    law = logistic_law(lam, np.full(p, 0.01), 100, 50.0)
    reference = ridge_law(LinearGaussianProblem(lam, np.ones(p), 1.0), 100, 200.0)
    assert law.coordinates.effective_ridge == pytest.approx(reference.effective_ridge, rel=2e-3)


def test_logistic_fit_is_stationary_even_when_a_full_step_overshoots() -> None:
    rng = np.random.default_rng(8)
    x = 30 * rng.standard_normal((40, 20))
    y = np.sign(x[:, 0] + rng.standard_normal(40))
    beta = logistic_fit(x, y, 1e-3)
    slope = 1e-3 * beta - x.T @ (y / (1 + np.exp(y * (x @ beta)))) / 40
    assert np.abs(slope).max() < 1e-7
    for labels, penalty, match in ((y + 1, 0.1, "labels"), (y[1:], 0.1, "labels"), (y, 0.0, "pen")):
        with pytest.raises(ValueError, match=match):
            logistic_fit(x, labels, penalty)


def test_bad_logistic_arguments() -> None:
    good = (np.ones(4), np.ones(4), 3, 0.1)
    for position, value, match in (
        (0, -np.ones(4), "variances"),
        (1, np.zeros(4), "coefficients"),
        (2, 0, "n"),
        (3, 0.0, "penalty"),
        (3, np.nan, "penalty"),
    ):
        arguments = list(good)
        arguments[position] = value
        with pytest.raises(ValueError, match=match):
            logistic_law(*arguments)
    with pytest.raises(ValueError, match="law"):
        pruned_logistic_losses("law", 0.5, "magnitude")
