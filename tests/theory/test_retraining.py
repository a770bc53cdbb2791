"""Retraining after pruning: second routes, exact conditional laws, and simulation.

False alarms: the Monte Carlo tests share one limit on the probability that any of them fails by
chance, FALSE_ALARM for each test function. The law is asymptotic; where it is compared with finite
samples, a relative bias up to ALLOWANCE / n is tolerated, and separate tests measure that the bias
is of this order and falls like 1 / n.
"""

import numpy as np
import pytest
from scipy import optimize, stats

from overparam import (
    LinearGaussianProblem,
    MonteCarlo,
    exact_risk,
    min_norm_law,
    ridge_law,
    simulate,
)
from overparam import retraining as module
from overparam.pruning import SiPPRule, prune
from overparam.retraining import retrained_risk
from overparam.selection import Moments, selection_thresholds, survival

FALSE_ALARM = 1e-4
ALLOWANCE = 5.0
CHOOSING = ("magnitude", "hessian")
BLIND = ("oracle", "random")


def population(kind: str, p: int, noise: float) -> LinearGaussianProblem:
    """Few large and many small weights, the same proportions at every p that 10 divides."""
    index = np.arange(p)
    variances = {
        "isotropic": np.ones(p),
        "mixed": np.where(index % 5 == 0, 4.0, 0.5),
        "power": 0.2 * ((index + 0.5) / p) ** -0.8,
    }[kind]
    weights = np.where(index % 10 < 3, 2.0, 0.3) / np.sqrt(p)
    return LinearGaussianProblem(variances, weights, noise)


def law_of(kind: str, n: int, kappa: float, noise: float, penalty: float):
    return ridge_law(population(kind, round(kappa * n), noise), n, penalty)


def dense_fit(features, labels, penalty):
    """Fit a stack of samples by normal equations: well conditioned, as n and p are not close."""
    n, p = features.shape[-2:]
    turned = np.swapaxes(features, 1, 2)
    gram = features @ turned if p > n else turned @ features
    gram += n * penalty * np.eye(min(n, p))
    if p > n:
        return (turned @ np.linalg.solve(gram, labels[..., None]))[..., 0]
    return np.linalg.solve(gram, turned @ labels[..., None])[..., 0]


def refit(features, labels, beta):
    """Refit the non-zero coordinates of each row of `beta`, as many in each."""
    support = np.nonzero(beta)[1].reshape(len(beta), -1)
    chosen = np.take_along_axis(features, support[:, None, :], axis=2)
    refitted = np.zeros_like(beta)
    np.put_along_axis(refitted, support, dense_fit(chosen, labels, 0.0), axis=1)
    return refitted


def sample_stack(problem, n, batch, rng):
    features, labels = problem.sample(batch * n, rng)
    return features.reshape(batch, n, -1), labels.reshape(batch, n)


def simulated(law, keeps, rules, replicates, seed, batch=1):
    """Risks of train, prune, retrain on one sample: samples of shape (replicates, rules, keeps).

    Each is the mean over a batch of samples, because small ones are faster in stacks.
    """
    problem = law.problem

    def experiment(rng):
        features, labels = sample_stack(problem, law.n, batch, rng)
        fits = dense_fit(features, labels, law.penalty)
        given = {"variances": problem.variances, "saliency": problem.saliency, "rng": rng}
        risks = np.empty((len(rules), len(keeps)))
        for i, rule in enumerate(rules):
            pruned = np.array([prune(fit, keeps, rule, **given) for fit in fits])
            for j in range(len(keeps)):
                risks[i, j] = problem.risk(refit(features, labels, pruned[:, j])).mean()
        return risks

    return simulate(experiment, replicates, seed)


def limit(comparisons: int, degrees_of_freedom: float = np.inf) -> float:
    """Two-sided bound on z scores that all `comparisons` keep with probability 1 - FALSE_ALARM."""
    return float(stats.t.isf(FALSE_ALARM / comparisons / 2, degrees_of_freedom))


def blind_survival(law, s, rule):
    """Survival with the same probabilities, but decided without looking: no boundary terms."""
    for part, moments in survival(law, s, rule):
        kept, removed, none = moments.kept[0], moments.removed[0], np.zeros(moments.kept[0].size)
        yield part, Moments((kept, none, kept), (removed, none, removed))


# Closed forms against second routes -------------------------------------------------------------

COEFFICIENTS = [0.5, -1.0, 0.0, 0.8, 2.0, 0.1]
SMALL = {
    "minimum norm": (4, 0.0),
    "ridge, p > n": (4, 0.4),
    "ridge, p < n": (8, 0.2),
    "ridge, p = n": (6, 0.01),
    "least squares": (8, 0.0),
}


@pytest.fixture(params=SMALL.values(), ids=SMALL.keys())
def small_law(request):
    """Six features with different variances: nothing averages out."""
    n, penalty = request.param
    problem = LinearGaussianProblem([4.0, 1.0, 0.5, 0.3, 0.1, 2.0], COEFFICIENTS, 0.3)
    return ridge_law(problem, n, penalty)


def quadrature(law, s: int, rule: str):
    """Nodes h and weights, each (features, nodes), where a feature is kept and where removed."""
    cutoff = float(selection_thresholds(law, s / law.problem.p, rule))
    root = np.sqrt(law.problem.variances)
    cutoffs = cutoff / (root if rule == "hessian" else np.ones(root.size))
    low, high = (-cutoffs - law.mean) / law.std, (cutoffs - law.mean) / law.std
    x, w = np.polynomial.legendre.leggauss(100)

    def piece(begin, end):
        begin, end = np.clip(begin, -12, 12)[:, None], np.clip(end, -12, 12)[:, None]
        h = begin + (end - begin) * (x + 1) / 2
        return h, (end - begin) / 2 * w * stats.norm.pdf(h)

    far = np.full(root.size, 12.0)
    left, right = piece(-far, low), piece(high, far)
    kept = tuple(np.hstack(both) for both in zip(left, right, strict=True))
    return kept, piece(low, high)


@pytest.mark.parametrize("s", [1, 2])
@pytest.mark.parametrize("rule", CHOOSING)
def test_statement_by_quadrature(small_law, rule: str, s: int) -> None:
    """The formula of the docstring, in plain coefficients, with its expectations integrated."""
    law, problem = small_law, small_law.problem
    n, gamma, mu, noise = law.n, law.risk, law.effective_ridge, problem.noise_variance
    variances, beta = problem.variances[:, None], problem.coefficients[:, None]
    (kept, kept_weights), (removed, removed_weights) = quadrature(law, s, rule)
    fit_s = law.mean[:, None] + law.std[:, None] * kept
    fit_n = law.mean[:, None] + law.std[:, None] * removed

    def at_s(values):
        return float((values * kept_weights).sum())

    def at_n(values):
        return float((values * removed_weights).sum())

    assert at_s(np.ones_like(kept)) == pytest.approx(s, rel=1e-12)
    cross = at_s(mu * fit_s * (fit_s - beta))
    pulled = gamma * (1 - s / n) + at_s(mu**2 * fit_s**2 / variances)
    r, m = np.linalg.solve(
        [[noise + at_n(variances * (fit_n - beta) ** 2), -cross], [cross, pulled]],
        [noise - at_n(variances * (fit_n - beta) * beta), noise + at_n(mu * fit_n * beta)],
    )
    drift = at_s(variances * (r * (fit_s - beta) + m * mu * fit_s / variances) ** 2)
    level = noise + at_n(variances * beta**2 * np.ones_like(removed))
    expected = (level + drift - r**2 * gamma * s / n) * (n - 1) / (n - s - 1)
    assert retrained_risk(law, s / problem.p, rule) == pytest.approx(expected, rel=1e-11)
    fresh = level * (n - 1) / (n - s - 1)
    assert retrained_risk(law, s / problem.p, rule, "fresh") == pytest.approx(fresh, rel=1e-11)


@pytest.mark.parametrize("s", [1, 2])
@pytest.mark.parametrize("rule", CHOOSING)
def test_leave_one_out_system_has_the_same_root(small_law, rule: str, s: int) -> None:
    """Two fields g, h at each feature, three scalars c, R12, R22, and Stein's identity for c.

    beta_hat = (g + lambda beta*) / (lambda + mu), and on the survivors
    beta_tilde = beta* + h / (n lambda) - c (beta* - beta_hat) / n.
    """
    law, problem = small_law, small_law.problem
    n, gamma, mu, noise = law.n, law.risk, law.effective_ridge, problem.noise_variance
    variances, beta = problem.variances[:, None], problem.coefficients[:, None]
    kept, removed = quadrature(law, s, rule)
    first = gamma / n  # V11, in units of lambda

    def residuals(scalars):
        c, r12, r22 = scalars
        mixed, second = r12 - c * gamma / n, n * (r22 - 2 * c * r12 / n + c**2 * gamma / n**2)
        spread = (second - mixed**2 / first) / (n**2 * variances)  # of beta_tilde, given g
        new12, new22, stein = noise, noise, 0.0
        for (h, weights), survives in ((kept, 1.0), (removed, 0.0)):
            g = np.sqrt(variances * first) * h
            fit = (g + variances * beta) / (variances + mu)
            refit_mean = survives * (
                beta + mixed / first * g / (n * variances) - c * (beta - fit) / n
            )
            lost = beta - refit_mean
            new12 += (weights * variances * (beta - fit) * lost).sum()
            new22 += (weights * variances * (lost**2 + survives * spread)).sum()
            stein += (weights * refit_mean * g).sum()
        return [(stein - mixed * s / n) / first - c, new12 - r12, new22 - r22]

    start = [0.0, noise, retrained_risk(law, s / problem.p, rule, "fresh").item()]
    root = optimize.root(residuals, start, tol=1e-12)
    assert np.abs(root.fun).max() < 1e-11
    finite_size = (1 - s / n) * (n - 1) / (n - s - 1)
    predicted = retrained_risk(law, s / problem.p, rule).item()
    assert predicted == pytest.approx(root.x[2] * finite_size, rel=1e-9)


@pytest.mark.parametrize("rule", BLIND)
def test_a_support_that_has_not_seen_the_data_makes_no_difference(small_law, rule: str) -> None:
    keeps = np.array([1, 2]) / small_law.problem.p
    same = retrained_risk(small_law, keeps, rule)
    np.testing.assert_allclose(same, retrained_risk(small_law, keeps, rule, "fresh"), rtol=1e-13)


@pytest.mark.parametrize("rule", CHOOSING)
def test_without_boundary_terms_the_same_data_are_fresh(monkeypatch, small_law, rule) -> None:
    """All that selection does passes through the moments of order 1 and 2 at the threshold."""
    keeps = np.array([1, 2]) / small_law.problem.p
    same, fresh = (retrained_risk(small_law, keeps, rule, data) for data in ("same", "fresh"))
    assert np.abs(same / fresh - 1).min() > 1e-3
    monkeypatch.setattr(module, "survival", blind_survival)
    np.testing.assert_allclose(retrained_risk(small_law, keeps, rule), fresh, rtol=1e-13)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_nothing_removed_is_least_squares(penalty: float) -> None:
    """Whatever the penalty of the dense fit: the refit has none."""
    law = law_of("mixed", 100, 0.6, 0.7, penalty)
    for rule in (*CHOOSING, *BLIND, SiPPRule(10)):
        np.testing.assert_allclose(
            retrained_risk(law, 1.0, rule), exact_risk(law.problem, 100), rtol=1e-12
        )


def test_noiseless_and_complete_is_perfect() -> None:
    for penalty in (0.0, 0.3):
        law = law_of("mixed", 100, 0.6, 0.0, penalty)
        assert 0 <= retrained_risk(law, 1.0, "magnitude") < 1e-25


def test_least_squares_without_noise_selects_the_largest_weights() -> None:
    """The fit is exact: a fixed support, 20 of the 30 large weights at n = 100."""
    law = law_of("isotropic", 100, 1.0 - 0.4, 0.0, 0.0)
    weights = np.sort(law.problem.coefficients**2)[::-1]
    for data in ("same", "fresh"):
        risk = retrained_risk(law, 1 / 6, "magnitude", data)
        np.testing.assert_allclose(risk, weights[10:].sum() * 99 / 89, rtol=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("rule", [*CHOOSING, "oracle", SiPPRule(30)])
@pytest.mark.parametrize("data", ["same", "fresh"])
def test_invariances(rule, data: str, penalty: float) -> None:
    law = law_of("power", 50, 3.0, 0.4, penalty)
    problem, keeps = law.problem, np.array([0.05, 0.1, 0.3])
    risks = retrained_risk(law, keeps, rule, data)
    assert risks.shape == (3,)
    single = retrained_risk(law, 0.1, rule, data)
    assert single.shape == ()
    assert single == risks[1]
    variances, beta, noise = problem.variances, problem.coefficients, problem.noise_variance
    order = np.random.default_rng(0).permutation(problem.p)
    for scaled, factor in (
        (LinearGaussianProblem(variances[order], beta[order], noise), 1.0),
        (LinearGaussianProblem(variances, -3 * beta, 9 * noise), 9.0),
    ):
        again = retrained_risk(ridge_law(scaled, 50, penalty), keeps, rule, data)
        np.testing.assert_allclose(again, factor * risks, rtol=1e-10)
    units = LinearGaussianProblem(variances * 7, beta / np.sqrt(7), noise)
    again = retrained_risk(ridge_law(units, 50, 7 * penalty), keeps, rule, data)
    np.testing.assert_allclose(again, risks, rtol=1e-10)


@pytest.mark.parametrize("data", ["same", "fresh"])
@pytest.mark.parametrize("rule", [*CHOOSING, "oracle"])
def test_features_without_variance_change_nothing(rule: str, data: str) -> None:
    """They are kept last, and then cost no degree of freedom: 90 of 160 kept are the 40."""
    law = law_of("mixed", 50, 0.8, 0.4, 0.1)
    problem, nothing = law.problem, np.zeros(120)
    padded = LinearGaussianProblem(
        np.append(problem.variances, nothing), np.append(problem.coefficients, 1 + nothing), 0.4
    )
    np.testing.assert_allclose(
        retrained_risk(ridge_law(padded, 50, 0.1), np.array([5, 20, 40, 90]) / 160, rule, data),
        retrained_risk(law, np.array([5, 20, 40, 40]) / 40, rule, data),
        rtol=1e-11,
    )


def test_limits_of_the_penalty_and_of_the_held_out_sample() -> None:
    keeps = np.array([0.05, 0.2])
    for kappa in (0.6, 3.0):
        law = law_of("mixed", 100, kappa, 0.4, 0.0)
        nearly = ridge_law(law.problem, 100, 1e-9)
        for rule in CHOOSING:
            np.testing.assert_allclose(
                retrained_risk(nearly, keeps, rule), retrained_risk(law, keeps, rule), rtol=1e-6
            )
    hessian = retrained_risk(law, keeps, "hessian")
    gaps = [
        np.abs(retrained_risk(law, keeps, SiPPRule(size)) - hessian).max()
        for size in (1, 10, 1000, 10**9)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.01 * gaps[0]


def test_bad_input_says_what_to_do() -> None:
    law = law_of("mixed", 20, 3.0, 0.4, 0.0)
    full = min_norm_law(LinearGaussianProblem(np.eye(30), np.ones(30), 1.0), 20)
    holes = ridge_law(LinearGaussianProblem([1.0, 0.0], [1.0, 1.0], 1.0), 5, 0.1)
    for arguments, message in (
        (
            (law, 19 / 60, "magnitude"),
            r"`keep` must leave fewer than n - 1 = 19 .* It leaves 19 of",
        ),
        ((law, [0.1, 1.0], "random"), r"`keep` must leave fewer .* 1\.0\. It leaves 60 of 60"),
        ((law, 0.0, "magnitude"), r"`keep` must be in \(0, 1\]"),
        ((law, 0.1, "largest"), "`rule` must be one of"),
        ((law, 0.1, "magnitude", "new"), "`data` must be 'same' or 'fresh', but it is 'new'"),
        ((law, 0.1, "magnitude", np.ones(2)), "`data` must be 'same' or 'fresh'"),
        ((full, 0.1, "magnitude"), r"`law.problem.covariance.shape` must be one-dimensional"),
        ((None, 0.1, "magnitude"), "`law` must be a CoordinateLaw"),
        ((holes, 0.5, "random"), "`rule` must not be 'random' when features of variance zero"),
    ):
        with pytest.raises(ValueError, match=message):
            retrained_risk(*arguments)
    assert np.isfinite(retrained_risk(law, 18 / 60, "magnitude"))


# Exact finite samples: what the derivation conditions on ----------------------------------------


def test_the_sample_given_its_interpolator() -> None:
    """n = 3, p = 5: two exact chi-square laws, independent of the fit.

    With beta_hat = Phi^T alpha and A^-1 = Sigma^-1 + delta delta^T / sigma^2, the n - 1 rows
    orthogonal to alpha have the density det(Phi Phi^T) prod_j exp(-phi_j^T A^-1 phi_j / 2).
    """
    n, p, noise = 3, 5, 0.7
    variances, beta = np.linspace(0.5, 2.0, p), np.linspace(-1.0, 1.0, p)
    problem = LinearGaussianProblem(variances, beta, noise)

    features, labels = sample_stack(problem, n, 20_000, np.random.default_rng(1))
    turned = np.swapaxes(features, 1, 2)
    alpha = np.linalg.solve(features @ turned, labels[..., None])
    fit, norm = (turned @ alpha)[..., 0], (alpha**2).sum(axis=(1, 2))
    error = fit - beta
    along = fit / np.sqrt(norm)[:, None]  # the row in the direction of alpha

    def weigh(rows):
        return (rows**2 / variances).sum(axis=-1) + (rows @ error[..., None])[..., 0] ** 2 / noise

    first = weigh(along[:, None])[:, 0]
    others = weigh(features).sum(axis=1) - first
    upper = (fit**2).sum(axis=1) > np.median((fit**2).sum(axis=1))
    for half in (upper, ~upper):  # four Kolmogorov-Smirnov tests
        for values, freedom in ((first, p - n + 2), (others, (n - 1) * (p + 2))):
            test = stats.kstest(values[half], stats.chi2(freedom).cdf)
            assert test.pvalue > FALSE_ALARM / 4


def risk_given_least_squares(problem, n, beta_hat, kept):
    """Exact E[retrained risk | beta_hat] for p < n, where Phi^T Phi | beta_hat is Wishart(n + 1).

    `beta_hat` and `kept` have shape (draws, p).
    """
    root = np.sqrt(problem.variances)
    signal, fit, noise = root * problem.coefficients, root * beta_hat, problem.noise_variance
    error, removed = fit - signal, ~kept
    error_n = noise + (error**2 * removed).sum(axis=1)
    r = (noise - (error * signal * removed).sum(axis=1)) / error_n
    share = (error**2 * kept).sum(axis=1)
    residual = (fit**2 * removed).sum(axis=1) - (error * fit * removed).sum(axis=1) ** 2 / error_n
    s = kept.sum(axis=1)
    missing = (signal**2 * removed).sum(axis=1)
    return noise + missing + r**2 * share + residual * (s + share / error_n) / (n - s)


def draw_least_squares(problem, n, s, rule, draws, rng):
    """Draw fits from their exact law, a multivariate t, and their top-s supports."""
    p = problem.p
    scale = np.sqrt(problem.noise_variance / rng.chisquare(n - p + 1, (draws, 1)))
    root = np.sqrt(problem.variances)
    beta_hat = problem.coefficients + scale * rng.standard_normal((draws, p)) / root
    score = np.abs(beta_hat) * (root if rule == "hessian" else 1.0)
    cutoff = np.partition(score, p - s, axis=1)[:, p - s]
    return beta_hat, score >= cutoff[:, None]


def test_exact_risk_given_the_least_squares_fit() -> None:
    """p = 6, n = 12: the conditional expectation against refits, no allowance."""
    problem = LinearGaussianProblem(np.linspace(0.5, 3.0, 6), COEFFICIENTS, 1.5)

    features, labels = sample_stack(problem, 12, 40_000, np.random.default_rng(2))
    fits = dense_fit(features, labels, 0.0)
    pruned = np.array([prune(fit, 1 / 3, "magnitude") for fit in fits])
    given = risk_given_least_squares(problem, 12, fits, pruned != 0)
    error = problem.risk(refit(features, labels, pruned)) - given
    result = MonteCarlo(np.stack([error, error * given], axis=1))
    assert np.abs(result.z_score(np.zeros(2))).max() < limit(2)


@pytest.mark.parametrize("rule", CHOOSING)
def test_bias_falls_like_one_over_n_below_interpolation(rule: str) -> None:
    """Averages of exact conditional risks, p = 0.6 n: n times the bias is bounded."""
    sizes, scaled, errors = (50, 100, 200, 400), [], []
    for n in sizes:
        law, draws = law_of("mixed", n, 0.6, 0.5, 0.0), 8_000_000 // n
        rng, risks = np.random.default_rng([3, n]), []
        for _ in range(20):
            beta_hat, kept = draw_least_squares(law.problem, n, n * 3 // 10, rule, draws // 20, rng)
            risks.append(risk_given_least_squares(law.problem, n, beta_hat, kept))
        relative = np.concatenate(risks) / retrained_risk(law, 0.5, rule).item() - 1
        scaled.append(n * relative.mean())
        errors.append(n * relative.std() / np.sqrt(draws))
    assert np.all(np.abs(scaled) + limit(8) * np.array(errors) < ALLOWANCE)
    # n times the bias does not grow: an error of order n^(-1/2) would make it grow 2.8-fold.
    assert abs(scaled[-1]) < 1.5 * abs(scaled[0]) + limit(8) * errors[-1]


# Simulation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [0.5, 3.0])
def test_blind_rules_are_exact_at_any_size(kappa: float) -> None:
    """n = 20: no allowance, on the same data as on fresh ones."""
    law = law_of("mixed", 20, kappa, 0.5, 0.0)
    keeps = np.array([2, 8]) / law.problem.p
    result = simulated(law, keeps, BLIND, 100, seed=4, batch=100)
    predicted = [retrained_risk(law, keeps, rule) for rule in BLIND]
    assert np.abs(result.z_score(predicted)).max() < limit(8, 99)


def test_fresh_data_after_a_rule_that_looks() -> None:
    """The missing signal, with supports cut from draws of the law: no allowance."""
    law = law_of("mixed", 20, 3.0, 0.5, 0.0)
    problem, s = law.problem, 8
    for rule in CHOOSING:
        score = np.abs(law.draw(np.random.default_rng(5), 20_000))
        score *= np.sqrt(problem.variances) if rule == "hessian" else 1.0
        removed = score <= selection_thresholds(law, s / problem.p, rule)
        fresh = retrained_risk(law, s / problem.p, rule, "fresh").item()
        missing = fresh * (20 - s - 1) / 19 - problem.noise_variance
        assert abs(MonteCarlo(removed @ problem.saliency).z_score(missing)) < limit(2)


N = 160
GRID = {  # the kind of population, then kappa, two values of s / n, noise and penalty
    "least squares, mixed": ("mixed", 0.5, (0.1, 0.3), 0.5, 0.0),
    "least squares, isotropic": ("isotropic", 0.75, (0.2, 0.5), 1.0, 0.0),
    "near interpolation, mixed": ("mixed", 1.25, (0.1, 0.4), 0.25, 0.0),
    "isotropic, most kept": ("isotropic", 1.5, (0.3, 0.8), 1.0, 0.0),
    "mixed": ("mixed", 3.0, (0.1, 0.6), 0.25, 0.0),
    "power, noiseless": ("power", 3.0, (0.1, 0.5), 0.0, 0.0),
    "power, noisy": ("power", 5.0, (0.1, 0.5), 2.0, 0.0),
    "isotropic, very wide": ("isotropic", 10.0, (0.1, 0.4), 0.3, 0.0),
    "ridge, least squares": ("mixed", 0.75, (0.2, 0.5), 1.0, 0.05),
    "ridge at interpolation": ("mixed", 1.0, (0.2, 0.5), 1.0, 0.1),
    "ridge, wide": ("power", 3.0, (0.1, 0.6), 0.5, 0.1),
    "large ridge: marginal screening": ("mixed", 3.0, (0.1, 0.6), 0.5, 1e5),
}
RULES = (*CHOOSING, SiPPRule(20))
COMPARISONS = len(GRID) * len(RULES) * 2
REPLICATES = 200


@pytest.mark.parametrize("case", GRID)
def test_same_data_against_simulation(monkeypatch, case: str) -> None:
    """And the comparison has teeth: it refutes the law without its boundary terms."""
    kind, kappa, shares, noise, penalty = GRID[case]
    law = law_of(kind, N, kappa, noise, penalty)
    keeps = np.array(shares) * N / law.problem.p
    seed = np.random.SeedSequence(6, spawn_key=(list(GRID).index(case),))
    result = simulated(law, keeps, RULES, REPLICATES, seed)
    bound = limit(COMPARISONS, REPLICATES - 1)

    def worst() -> float:
        """Return the largest distance in standard errors, beyond the allowance."""
        predicted = np.array([retrained_risk(law, keeps, rule) for rule in RULES])
        gap = np.abs(result.mean - predicted) - ALLOWANCE / N * predicted
        return (gap / result.standard_error).max()

    assert worst() < bound
    monkeypatch.setattr(module, "survival", blind_survival)
    assert worst() > 2 * bound


@pytest.mark.parametrize(
    ("kind", "kappa", "share"), [("mixed", 1.2, 0.3), ("isotropic", 1.5, 0.8), ("power", 3.0, 0.2)]
)
def test_bias_falls_like_one_over_n_beyond_interpolation(
    kind: str, kappa: float, share: float
) -> None:
    """n = 20 and n = 80: n times the relative bias stays below the allowance, the bias falls."""
    scaled, errors = [], []
    for n, replicates, batch in ((20, 100, 200), (80, 100, 40)):
        law = law_of(kind, n, kappa, 0.5, 0.0)
        keep = share * n / law.problem.p
        result = simulated(law, [keep], CHOOSING, replicates, seed=7, batch=batch)
        predicted = np.array([retrained_risk(law, [keep], rule) for rule in CHOOSING])
        scaled.append(n * (result.mean / predicted - 1))
        errors.append(n * result.standard_error / predicted)
    scaled, errors = np.array(scaled), limit(12, 99) * np.array(errors)
    assert np.all(np.abs(scaled) < ALLOWANCE + errors)
    # An error of order n^(-1/2) would double n times the bias.
    assert np.all(np.abs(scaled[1]) < 1.5 * np.abs(scaled[0]) + errors[1] + errors[0])
