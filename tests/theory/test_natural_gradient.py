"""Preconditioned interpolators: the law, its pruning, and Fisher matrices of unlabelled inputs.

The limit on |z| is the book's: at most one false alarm in a thousand runs over 20,000 comparisons.
What is asymptotic has a bias of order 1/n, below one part in a hundred at these sizes; what is
exact is tested without an allowance.
"""

import numpy as np
import pytest
from scipy.optimize import minimize

from overparam import (
    LinearGaussianProblem,
    best_preconditioner,
    fit,
    min_norm_law,
    natural_gradient_fit,
    natural_gradient_risk,
    power_preconditioner,
    prune,
    pruned_risk,
    pruned_training_loss,
    retrained_risk,
    ridge_law,
    simulate,
)
from overparam.pruning import Rule

Z_LIMIT = 5.45
BIAS = 0.01
N, P = 200, 400
KEEPS = np.array([0.05, 0.2, 0.6])
METRICS = ("powers below", "natural", "powers above", "arbitrary")


def problem_of(p: int, noise: float = 0.25, alignment: float = 0.0) -> LinearGaussianProblem:
    variances = 10 ** (1 - 2 * (np.arange(p) + 0.5) / p)
    beta = variances ** (alignment / 2) * (-1.0) ** np.arange(p)
    return LinearGaussianProblem(variances, beta / np.sqrt(variances @ beta**2), noise)


def metric(name: str, variances: np.ndarray) -> np.ndarray:
    if name == "arbitrary":
        return np.exp(np.sin(np.arange(variances.size)))
    power = {"powers below": 0.5, "natural": 1.0, "powers above": 1.6}[name]
    return power_preconditioner(variances, power)


def changed(problem: LinearGaussianProblem, entries: np.ndarray) -> LinearGaussianProblem:
    """Return the problem in the coordinates in which the fit has minimum norm."""
    return LinearGaussianProblem(
        problem.variances * entries, problem.coefficients / np.sqrt(entries), problem.noise_variance
    )


# The interpolator -------------------------------------------------------------------------------


def test_interpolator_is_the_formula_and_the_limit_of_descent() -> None:
    rng = np.random.default_rng(1)
    design, y = rng.standard_normal((6, 15)), rng.standard_normal(6)
    root = rng.standard_normal((15, 15)) + 3 * np.eye(15)
    matrix = root @ root.T
    formula = matrix @ design.T @ np.linalg.solve(design @ matrix @ design.T, y)
    fitted = fit(design, y, preconditioner=matrix)
    np.testing.assert_allclose(fitted, formula, rtol=1e-9)
    np.testing.assert_allclose(design @ fitted, y, rtol=1e-10)
    beta, step = np.zeros(15), 1 / np.linalg.eigvalsh(design @ matrix @ design.T).max()
    for _ in range(20_000):
        beta += step * matrix @ design.T @ (y - design @ beta)
    np.testing.assert_allclose(beta, fitted, rtol=1e-8)


def test_diagonal_and_matrix_agree_and_identity_is_nothing() -> None:
    rng = np.random.default_rng(2)
    design, y, entries = rng.standard_normal((5, 9)), rng.standard_normal(5), rng.uniform(0.1, 3, 9)
    diagonal = fit(design, y, 0.3, preconditioner=entries)
    np.testing.assert_allclose(
        diagonal, fit(design, y, 0.3, preconditioner=np.diag(entries)), rtol=1e-9
    )
    normal = np.linalg.solve(design.T @ design + 5 * 0.3 * np.diag(1 / entries), design.T @ y)
    np.testing.assert_allclose(diagonal, normal, rtol=1e-9)
    np.testing.assert_allclose(
        fit(design, y, preconditioner=np.ones(9)), fit(design, y), rtol=1e-12
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_labelled_inputs_in_the_fisher_change_nothing(weighted: bool) -> None:
    """Damped empirical Fisher, plain or weighted by anything; and added to unlabelled inputs."""
    rng = np.random.default_rng(3)
    design, y, others = (
        rng.standard_normal((6, 15)),
        rng.standard_normal(6),
        rng.standard_normal((20, 15)),
    )
    weights = np.diag(rng.uniform(0.1, 9, 6)) if weighted else np.eye(6)
    for base, expected in (
        (0.1 * np.eye(15), fit(design, y)),
        (others.T @ others, natural_gradient_fit(design, y, others)),
    ):
        matrix = np.linalg.inv(base + design.T @ weights @ design)
        np.testing.assert_allclose(
            fit(design, y, preconditioner=matrix), expected, rtol=1e-8, atol=1e-10
        )
        # ... and the comparison can fail: other inputs do change it.
        matrix = np.linalg.inv(base + others[:6].T @ others[:6] * 7)
        assert np.abs(fit(design, y, preconditioner=matrix) - expected).max() > 1e-2


@pytest.mark.parametrize("m", [3, 9, 12, 15, 40])
def test_natural_gradient_fit_is_the_undamped_limit(m: int) -> None:
    rng = np.random.default_rng(m)
    design, y, others = (
        rng.standard_normal((6, 15)),
        rng.standard_normal(6),
        rng.standard_normal((m, 15)),
    )
    beta = natural_gradient_fit(design, y, others)
    np.testing.assert_allclose(design @ beta, y, atol=1e-12)
    values, vectors = np.linalg.eigh(others.T @ others)
    matrix = (vectors / (values.clip(min=0) + 1e-7)) @ vectors.T
    damped = fit(design, y, preconditioner=(matrix + matrix.T) / 2)
    np.testing.assert_allclose(beta, damped, rtol=1e-5, atol=1e-5)
    # Least predictions: no interpolator nearby has smaller ones.
    null = np.linalg.svd(design)[2][6:]
    for shift in rng.standard_normal((20, 9)) @ null:
        assert np.sum((others @ (beta + shift)) ** 2) > np.sum((others @ beta) ** 2) - 1e-12


def test_natural_gradient_fit_without_a_choice_is_least_squares() -> None:
    rng = np.random.default_rng(4)
    design, y, others = (
        rng.standard_normal((9, 4)),
        rng.standard_normal(9),
        rng.standard_normal((7, 4)),
    )
    np.testing.assert_array_equal(natural_gradient_fit(design, y, others), fit(design, y))
    np.testing.assert_array_equal(
        natural_gradient_fit(design[:3], y[:3], 0 * others), fit(design[:3], y[:3])
    )


# The law ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [100, 600])
@pytest.mark.parametrize("penalty", [0.0, 0.2])
@pytest.mark.parametrize("name", METRICS)
def test_change_of_variables(name: str, penalty: float, n: int) -> None:
    """Risk, coordinates, and all that Hessian pruning does, whose score does not see the change."""
    problem = problem_of(300)
    entries = metric(name, problem.variances)
    law = ridge_law(problem, n, penalty, preconditioner=entries)
    other = ridge_law(changed(problem, entries), n, penalty)
    assert law.risk == pytest.approx(other.risk, rel=1e-12)
    np.testing.assert_allclose(law.mean, np.sqrt(entries) * other.mean, rtol=1e-12)
    np.testing.assert_allclose(law.std, np.sqrt(entries) * other.std, rtol=1e-12)
    for function in (pruned_risk, pruned_training_loss):
        first, second = (function(x, KEEPS, "hessian") for x in (law, other))
        np.testing.assert_allclose(first, second, rtol=1e-9)
    keeps = KEEPS[:2]
    first, second = (retrained_risk(x, keeps, "hessian") for x in (law, other))
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_ones_change_no_bit_and_scale_does_not_matter() -> None:
    problem = problem_of(300)
    law, same = min_norm_law(problem, 100), min_norm_law(problem, 100, preconditioner=np.ones(300))
    assert (law.risk, law.effective_ridge) == (same.risk, same.effective_ridge)
    np.testing.assert_array_equal(law.std, same.std)
    entries = metric("arbitrary", problem.variances)
    one, two = (min_norm_law(problem, 100, preconditioner=c * entries) for c in (1.0, 7.0))
    assert one.risk == pytest.approx(two.risk, rel=1e-12)
    assert pruned_training_loss(one, 0.1, "magnitude") == pytest.approx(
        pruned_training_loss(two, 0.1, "magnitude"), rel=1e-9
    )


def test_preconditioner_of_the_law_cannot_be_changed_from_outside() -> None:
    entries = np.ones(300)
    law = min_norm_law(problem_of(300), 100, preconditioner=entries)
    entries[0] = 9.0
    assert law.preconditioner[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        law.preconditioner[0] = 2.0


@pytest.mark.parametrize("rule", ["magnitude", "hessian"])
@pytest.mark.parametrize("name", ["natural", "arbitrary"])
def test_pruning_against_simulation(name: str, rule: Rule) -> None:
    """Risk, pruned risk and training loss, with one allowance of order 1/n."""
    problem = problem_of(P)
    entries = 5 * metric(name, problem.variances)  # the scale must not matter
    law = min_norm_law(problem, N, preconditioner=entries)

    def measure(rng: np.random.Generator) -> np.ndarray:
        design, y = problem.sample(N, rng)
        beta = fit(design, y, preconditioner=entries)
        kept = prune(beta, KEEPS, rule, variances=problem.variances)
        losses = np.mean((y - kept @ design.T) ** 2, axis=1)
        return np.r_[problem.risk(beta), problem.risk(kept), losses]

    result = simulate(measure, replicates=40, seed=31)
    predicted = np.r_[
        law.risk, pruned_risk(law, KEEPS, rule), pruned_training_loss(law, KEEPS, rule)
    ]
    gap = np.abs(result.mean - predicted) - BIAS * predicted
    assert np.all(gap < Z_LIMIT * result.standard_error)
    # It has teeth: the training loss with the Euclidean norm of what is removed is refuted.
    if rule == "magnitude":
        ordinary = min_norm_law(changed(problem, entries), N)
        object.__setattr__(law, "preconditioner", None)
        law.__dict__["_spectrum"], law.__dict__["std"] = ordinary._spectrum, law.std
        wrong = pruned_training_loss(law, KEEPS, rule)
        gap = np.abs(result.mean[4:] - wrong) - BIAS * wrong
        assert np.any(gap > 2 * Z_LIMIT * result.standard_error[4:])


def test_retraining_on_the_same_data_against_simulation() -> None:
    """40 of 300 features kept; the fresh-data risk is refuted."""
    problem = problem_of(300, noise=0.5)
    entries = metric("natural", problem.variances)
    law = min_norm_law(problem, 150, preconditioner=entries)
    keeps, rules = np.array([0.05, 0.15]), ("magnitude", "hessian")

    def measure(rng: np.random.Generator) -> np.ndarray:
        design, y = problem.sample(150, rng)
        beta = fit(design, y, preconditioner=entries)
        rows = []
        for rule in rules:
            for keep in keeps:
                kept = np.flatnonzero(prune(beta, keep, rule, variances=problem.variances))
                again = np.zeros(problem.p)
                again[kept] = fit(design[:, kept], y)
                rows.append(problem.risk(again))
        return np.array(rows)

    result = simulate(measure, replicates=200, seed=32)
    same, fresh = (
        np.concatenate([retrained_risk(law, keeps, rule, data) for rule in rules])
        for data in ("same", "fresh")
    )
    assert np.all(np.abs(result.mean - same) - BIAS * same < Z_LIMIT * result.standard_error)
    assert np.any(np.abs(result.mean - fresh) - BIAS * fresh > Z_LIMIT * result.standard_error)


# Which preconditioner ---------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.05, 1.0, 30.0])
@pytest.mark.parametrize("alignment", [-2.0, 0.0, 1.0])
def test_best_preconditioner_against_a_numerical_search(noise: float, alignment: float) -> None:
    problem = problem_of(24, noise, alignment)
    entries = best_preconditioner(problem, 10)
    best = min_norm_law(problem, 10, preconditioner=entries).risk

    def risk(logarithms: np.ndarray) -> float:
        return min_norm_law(problem, 10, preconditioner=np.exp(logarithms)).risk

    found = minimize(risk, np.zeros(24), method="BFGS", options={"gtol": 1e-7})
    assert best <= found.fun * (1 + 1e-10)
    assert found.fun == pytest.approx(best, rel=1e-5)
    shifts = np.random.default_rng(5).standard_normal((20, 24))
    assert all(risk(np.log(entries) + 0.1 * shift) > best for shift in shifts)


def test_best_powers() -> None:
    """Without noise the signal decides: coefficients squared like variances to the r want -r."""
    powers = np.linspace(-2, 2, 9)
    for alignment in (-1.0, 0.0, 0.5):
        problem = problem_of(60, 0.0, alignment)
        risks = [
            min_norm_law(
                problem, 20, preconditioner=power_preconditioner(problem.variances, a)
            ).risk
            for a in powers
        ]
        assert powers[np.argmin(risks)] == -alignment


def test_natural_gradient_has_the_least_noise_of_all_interpolators() -> None:
    """Sample by sample, not only in the law: Gauss and Markov."""
    rng = np.random.default_rng(6)
    variances = problem_of(30).variances
    design = rng.standard_normal((10, 30)) * np.sqrt(variances)

    def noise(entries: np.ndarray) -> float:
        maps = np.stack([fit(design, e, preconditioner=entries) for e in np.eye(10)])
        return float(np.sum(maps**2 @ variances))

    least = noise(1 / variances)
    assert least == pytest.approx(
        np.trace(np.linalg.inv((design / variances) @ design.T)), rel=1e-10
    )
    for shift in rng.standard_normal((20, 30)):
        assert noise(np.exp(shift) / variances) > least


# Unlabelled inputs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("isotropic", "sizes"), [(False, (46, 50, 60, 90, 400)), (True, (2, 12, 24, 50, 60))]
)
def test_exact_risk_with_unlabelled_inputs(isotropic: bool, sizes: tuple[int, ...]) -> None:
    """n = 20, p = 60, both sides of m = p - n = 40, correlated features; no allowance."""
    rng = np.random.default_rng(7)
    lag = np.abs(np.subtract.outer(np.arange(60), np.arange(60)))
    covariance = np.eye(60) if isotropic else 0.8**lag + np.diag(rng.uniform(0, 2, 60))
    problem = LinearGaussianProblem(covariance, rng.standard_normal(60) / 8, 0.5)

    def measure(rng: np.random.Generator) -> list[float]:
        design, y = problem.sample(20, rng)
        others, _ = problem.sample(max(sizes), rng)
        return [float(problem.risk(natural_gradient_fit(design, y, others[:m]))) for m in sizes]

    result = simulate(measure, replicates=1500, seed=33)
    predicted = [natural_gradient_risk(problem, 20, m) for m in sizes]
    assert np.abs(result.z_score(predicted)).max() < Z_LIMIT
    assert np.abs(result.z_score([1.05 * risk for risk in predicted])).max() > Z_LIMIT


@pytest.mark.parametrize("m", [23, 40])
def test_excess_is_exact_and_not_only_asymptotic(m: int) -> None:
    """n = 10, p = 25, by Lagrange multipliers in whitened coordinates: terms of order 1/n count."""
    signal = LinearGaussianProblem(np.ones(25), np.full(25, 0.2), 0.0)
    noise = LinearGaussianProblem(np.ones(25), np.zeros(25), 1.0)

    def measure(rng: np.random.Generator) -> np.ndarray:
        known, others = rng.standard_normal((300, 10, 25)), rng.standard_normal((300, m, 25))
        labels = np.stack([known @ signal.coefficients, rng.standard_normal((300, 10))], axis=-1)
        system = np.zeros((300, 35, 35))
        system[:, :25, :25] = others.transpose(0, 2, 1) @ others
        system[:, 25:, :25] = known
        system[:, :25, 25:] = known.transpose(0, 2, 1)
        right = np.concatenate([np.zeros((300, 25, 2)), labels], axis=1)
        moved = np.linalg.solve(system, right)[:, :25] - np.linalg.pinv(known) @ labels
        return (moved**2).sum(axis=1).mean(axis=0)

    result = simulate(measure, replicates=40, seed=34)
    excess = np.array(
        [natural_gradient_risk(q, 10, m) - natural_gradient_risk(q, 10) for q in (signal, noise)]
    )
    assert np.abs(result.z_score(excess)).max() < Z_LIMIT
    # Without the "-1" in n_u - p + n - 1 this share would be missing from one or both.
    assert np.abs(result.z_score(excess * (m - 16) / (m - 15))).max() > Z_LIMIT


def test_many_unlabelled_inputs_are_the_population() -> None:
    problem = problem_of(60)
    limit = natural_gradient_risk(problem, 20)
    assert natural_gradient_risk(problem, 20, 10**9) == pytest.approx(limit, rel=1e-6)
    # And the law with the population's metric differs from it by order 1/n only.
    for factor in (1, 10, 100):
        large = problem_of(60 * factor)
        law = min_norm_law(large, 20 * factor, preconditioner=1 / large.variances)
        exact = natural_gradient_risk(large, 20 * factor)
        assert law.risk == pytest.approx(exact, rel=0.03 / factor)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: natural_gradient_risk(problem_of(60), 20, 41), "must differ from p - n = 40"),
        (lambda: natural_gradient_risk(problem_of(60), 20, 30), "unless all variances are equal"),
        (lambda: natural_gradient_risk(problem_of(60), 59), "must be less than p - 1"),
        (lambda: best_preconditioner(problem_of(60), 70), "must be less than the number"),
        (
            lambda: best_preconditioner(LinearGaussianProblem([1.0, 1.0], [1.0, 0.0], 0.0), 1),
            "must have noise",
        ),
        (
            lambda: min_norm_law(
                LinearGaussianProblem(np.eye(3), np.ones(3), 1.0), 2, preconditioner=np.ones(3)
            ),
            "Change variables yourself",
        ),
        (lambda: min_norm_law(problem_of(5), 2, preconditioner=np.ones(4)), r"must be \(5,\)"),
        (lambda: min_norm_law(problem_of(5), 2, preconditioner=np.zeros(5)), "must be positive"),
        (lambda: fit(np.eye(2), np.ones(2), preconditioner=-np.eye(2)), "positive definite"),
        (lambda: fit(np.eye(2), np.ones(2), preconditioner=[[1, 1], [0, 1]]), "symmetric"),
        (lambda: fit(np.eye(2), np.ones(2), preconditioner=np.ones(3)), "one row for each"),
        (lambda: natural_gradient_fit(np.ones((1, 2)), [1.0], np.ones((2, 3))), "2 columns"),
        (lambda: power_preconditioner([7.0], 9.3e307), "Pass a smaller power"),
        (lambda: power_preconditioner([0.0, 1.0], 1.0), "Add damping"),
    ],
)
def test_refusals_say_what_to_do(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
