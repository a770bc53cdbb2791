"""The algebra behind ridge regression: saddle point, denominators, the best penalty."""

import sympy as sp

XI, GAMMA, KAPPA, RHO, SIGMA2, WEIGHT = sp.symbols("xi gamma kappa rho sigma2 q", positive=True)
MU, N, P, C = sp.symbols("mu n p c", positive=True)
LAMBDAS = sp.symbols("lambda_1:3", positive=True)
COEFFICIENTS = sp.symbols("b_1:3", real=True)


def zero(expression) -> bool:
    return sp.simplify(expression) == 0


def mean(function):
    """Expectation over (Lambda, B), a law with two atoms."""
    first, second = zip(LAMBDAS, COEFFICIENTS, strict=True)
    return WEIGHT * function(*first) + (1 - WEIGHT) * function(*second)


def zeta(variance):
    return XI * variance / (1 + XI * variance)


SUM_RULE = KAPPA * mean(lambda v, _: zeta(v)) + RHO * XI
SADDLE = (GAMMA * XI * (1 - SUM_RULE) + SIGMA2 * XI + mean(lambda v, b: zeta(v) * b**2)) / 2
BIAS = mean(lambda v, b: v * b**2 * (1 - zeta(v)) ** 2)
FLOW = KAPPA * mean(lambda v, _: zeta(v) * (1 - zeta(v))) + RHO * XI


def test_penalty_is_a_quadratic_term_of_the_dual() -> None:
    a, v = sp.symbols("a v", real=True)
    dual = v * a / P - N * RHO * v**2 / (2 * P)
    (best,) = sp.solve(sp.diff(dual, v), v)
    assert zero(best - a / (N * RHO))
    assert zero(dual.subs(v, best) - a**2 / (2 * N * RHO * P))


def test_saddle_in_the_variables_theta_and_tau() -> None:
    """The auxiliary problem with the term -rho theta^2 / 2, rewritten in xi and gamma."""
    theta, tau = sp.symbols("theta tau", positive=True)
    ratio = theta / tau
    auxiliary = (
        theta * tau
        + theta * SIGMA2 / tau
        - KAPPA * theta**2 * mean(lambda v, _: 1 / (1 / v + ratio))
        + mean(lambda v, b: b**2 * ratio / (1 / v + ratio))
        - RHO * theta**2
    ) / 2
    assert zero(auxiliary.subs(theta, XI * tau) - SADDLE.subs(GAMMA, tau**2))


def test_fixed_point_from_the_derivative_in_gamma() -> None:
    assert zero(2 * sp.diff(SADDLE, GAMMA) - XI * (1 - SUM_RULE))


def test_risk_from_the_derivative_in_xi() -> None:
    """At the root of the sum rule, gamma times the flow is noise plus bias."""
    stationary = GAMMA * (1 - SUM_RULE) - GAMMA * FLOW + SIGMA2 + BIAS
    assert zero(2 * sp.diff(SADDLE, XI) - stationary)


def test_the_two_denominators_agree_at_the_root() -> None:
    square = mean(lambda v, _: zeta(v) ** 2)
    assert zero(FLOW - (SUM_RULE - KAPPA * square))


def test_training_error_and_norm_add_up_to_the_value() -> None:
    """The least value of |y - Phi b|^2 / n + rho |b|^2 is 2 rho times the saddle.

    Its derivative in rho is |b|^2, and the saddle is stationary, so xi and gamma stay fixed.
    """
    at_root = {KAPPA: sp.solve(SUM_RULE - 1, KAPPA)[0]}
    norm = sp.diff(2 * RHO * SADDLE, RHO).subs(at_root)
    training = RHO**2 * XI**2 * GAMMA
    assert zero(RHO * norm + training - 2 * RHO * SADDLE.subs(at_root))


def test_limits_of_the_isotropic_law() -> None:
    """Least squares for p < n, the interpolator for p > n, the null risk for a large penalty."""
    s = sp.symbols("s", positive=True)  # signal energy
    shrunk = 1 / (1 + MU)
    risk = (SIGMA2 + s * (1 - shrunk) ** 2) / (1 - KAPPA * shrunk**2)
    assert zero(sp.limit(risk, MU, 0) - SIGMA2 / (1 - KAPPA))
    over = risk.subs(MU, KAPPA - 1)
    assert zero(over - SIGMA2 * KAPPA / (KAPPA - 1) - s * (1 - 1 / KAPPA))
    assert zero(sp.limit(risk, MU, sp.oo) - SIGMA2 - s)


def test_best_isotropic_penalty() -> None:
    """Stationarity of gamma in mu is rho = kappa sigma^2 lambda / (signal energy)."""
    variance, signal = sp.symbols("lambda s", positive=True)
    kept = variance / (variance + MU)
    risk = (SIGMA2 + signal * (1 - kept) ** 2) / (1 - KAPPA * kept**2)
    penalty = MU * (1 - KAPPA * kept)  # from kappa zeta + rho / mu = 1
    best = KAPPA * SIGMA2 * variance / signal
    slope = 2 * variance * signal * (penalty - best)
    slope /= (variance + MU) ** 3 * (1 - KAPPA * kept**2) ** 2
    assert zero(sp.diff(risk, MU) - slope)


def test_best_penalty_in_a_finite_sample() -> None:
    """Along each singular vector the minimum is at n rho = sigma^2 / a, whatever the value s."""
    s, t, a = sp.symbols("s t a", positive=True)
    along = (t**2 * a + SIGMA2 * s**2) / (s**2 + t) ** 2
    assert zero(sp.diff(along, t) - 2 * s**2 * (t * a - SIGMA2) / (s**2 + t) ** 3)


def test_best_penalty_for_equal_coefficients_of_any_spectrum() -> None:
    """The sign of d gamma / d mu is that of c n rho - sigma^2, and gamma = n c mu at zero."""
    kept = [v / (v + MU) for v in LAMBDAS]
    penalty = MU * (N - sum(kept)) / N
    numerator = SIGMA2 + C * sum(v * (1 - z) ** 2 for v, z in zip(LAMBDAS, kept, strict=True))
    freedom = N - sum(z**2 for z in kept)
    risk = N * numerator / freedom
    weight = sum(z**2 * (1 - z) for z in kept)
    excess = C * N * penalty - SIGMA2
    assert zero(sp.diff(risk, MU) * MU * freedom**2 - 2 * N * excess * weight)
    assert zero((C * MU - risk / N) * freedom - excess)


def test_error_of_the_law_where_the_truth_is_known() -> None:
    below = (N - 1) / (N - P - 1) * (N - P) / N - 1
    assert zero(below - P / (N * (N - P - 1)))
    beyond = N / (P - N - 1) - N / (P - N)
    assert zero(beyond - N / ((P - N) * (P - N - 1)))
    # 1 / (V - 1) less the worst relative error n / (p (p - n - 1)), with d = p - n >= 1.
    gap = sp.symbols("d", positive=True)
    flow = N * gap / (N + gap)
    slack = 1 / (flow - 1) - N / ((N + gap) * (gap - 1))
    positive = gap * (N * (2 * gap - 1) + gap * (gap - 1))
    assert zero(slack - positive / ((N + gap) ** 2 * (gap - 1) * (flow - 1)))


def test_height_of_the_regularized_peak() -> None:
    """At p = n, gamma sqrt(rho) tends to sigma^2 / (2 sqrt(E 1 / Lambda))."""
    kept = [v / (v + MU) for v in LAMBDAS]
    penalty = MU * (1 - sum(kept) / 2)
    denominator = 1 - sum(z**2 for z in kept) / 2
    product = sp.limit(SIGMA2**2 * penalty / denominator**2, MU, 0)
    inverse = sum(1 / v for v in LAMBDAS) / 2
    assert zero(product - SIGMA2**2 / (4 * inverse))
