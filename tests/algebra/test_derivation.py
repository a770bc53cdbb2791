"""The algebra of the Gaussian min-max theorem and of the derivation, step by step."""

from fractions import Fraction
from itertools import product
from random import Random

import pytest
import sympy as sp

THETA, TAU, XI, GAMMA, KAPPA, SIGMA2, N, P = sp.symbols(
    "theta tau xi gamma kappa sigma2 n p", positive=True
)
LAMBDA, R, TAU_W, KAPPA_N = sp.symbols("lambda r tau_w kappa_n", positive=True)
B, H, W = sp.symbols("b h w", real=True)

# A population with two kinds of features: an expectation is a weighted sum, so that a mean of a
# square is not the square of a mean.
SHARE = sp.symbols("q", positive=True)
KINDS = [
    (SHARE, *sp.symbols("lambda_1 b_1", positive=True)),
    (1 - SHARE, *sp.symbols("lambda_2 b_2", positive=True)),
]


def zero(expression) -> bool:
    """Whether an expression, rational in its symbols and their roots, vanishes identically."""
    return sp.expand(sp.fraction(sp.together(expression))[0]) == 0


def mean(f):
    """Expectation of f(variance, coefficient) over the two kinds."""
    return sum(weight * f(variance, b) for weight, variance, b in KINDS)


def normal_mean(polynomial, variable):
    """Expectation of a polynomial in a standard normal variable, exactly."""
    moments = {0: 1, 1: 0, 2: 1, 3: 0, 4: 3}
    terms = sp.Poly(sp.expand(polynomial), variable).terms()
    return sum(coefficient * moments[power] for (power,), coefficient in terms)


def shrinkage(variance, xi=XI):
    return xi * variance / (1 + xi * variance)


def saddle_function(theta, tau):
    """D of the derivation, in the form of its definition."""
    xi = theta / tau
    return (
        theta * (tau + SIGMA2 / tau)
        - KAPPA * theta**2 * mean(lambda v, _: 1 / (1 / v + xi))
        + mean(lambda v, b: b**2 * xi / (1 / v + xi))
    ) / 2


# The constants of the theorem, with kappa expressed through xi.
FIXED = 1 / mean(lambda v, _: shrinkage(v))
RISK = (SIGMA2 + mean(lambda v, b: v * (1 - shrinkage(v)) ** 2 * b**2)) / (
    1 - FIXED * mean(lambda v, _: shrinkage(v) ** 2)
)
VALUE = (XI * SIGMA2 + mean(lambda v, b: shrinkage(v) * b**2)) / 2


# The Gaussian min-max theorem --------------------------------------------------------------------


def inner(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def norm(a):
    return sp.sqrt(inner(a, a))


def primary_process(w, v):
    """Coefficients of v' G w + g0 |v| |w| in the entries of G and g0."""
    return [x * y for x, y in product(v, w)] + [norm(v) * norm(w)]


def auxiliary_process(w, v):
    """Coefficients of |w| g' v + |v| h' w in the entries of g and h."""
    return [norm(w) * x for x in v] + [norm(v) * x for x in w]


W1, W2 = sp.symbols("w1:4", real=True), sp.symbols("x1:4", real=True)
V1, V2 = sp.symbols("v1:3", real=True), sp.symbols("u1:3", real=True)


def covariance_gap(w, v, w_, v_):
    """Covariance of the primary process minus that of the auxiliary process."""
    primary = inner(primary_process(w, v), primary_process(w_, v_))
    return primary - inner(auxiliary_process(w, v), auxiliary_process(w_, v_))


def test_covariances_of_the_two_processes() -> None:
    dot_w, dot_v = inner(W1, W2), inner(V1, V2)
    size_w, size_v = norm(W1) * norm(W2), norm(V1) * norm(V2)
    primary = inner(primary_process(W1, V1), primary_process(W2, V2))
    auxiliary = inner(auxiliary_process(W1, V1), auxiliary_process(W2, V2))
    assert sp.expand(primary - (dot_v * dot_w + size_v * size_w)) == 0
    assert sp.expand(auxiliary - (size_w * dot_v + size_v * dot_w)) == 0


def test_difference_of_covariances_factorizes() -> None:
    factors = (norm(W1) * norm(W2) - inner(W1, W2)) * (norm(V1) * norm(V2) - inner(V1, V2))
    assert sp.expand(covariance_gap(W1, V1, W2, V2) - factors) == 0


def test_gordon_needs_equal_covariances_for_one_w_and_larger_ones_otherwise() -> None:
    """Equality if w = w' or v = v', positive otherwise: the order of a min-max."""
    assert sp.expand(covariance_gap(W1, V1, W1, V2)) == 0
    assert sp.expand(covariance_gap(W1, V1, W2, V1)) == 0
    draw = Random(0)
    for _ in range(20):
        symbols = (*W1, *V1, *W2, *V2)
        point = {symbol: sp.Rational(draw.randint(-9, 9), 7) for symbol in symbols}
        assert covariance_gap(W1, V1, W2, V2).subs(point).evalf(30) > 0


def test_distance_to_a_random_subspace() -> None:
    """Minimum of sqrt(c^2 + 1) - c sqrt(kappa), with kappa = odds / (1 + odds)."""
    c, odds = sp.symbols("c odds", positive=True)
    kappa = odds / (1 + odds)
    bracket = sp.sqrt(c**2 + 1) - c * sp.sqrt(kappa)
    best = sp.sqrt(odds)
    assert sp.simplify(best**2 - kappa / (1 - kappa)) == 0
    assert sp.simplify(sp.diff(bracket, c).subs(c, best)) == 0
    assert sp.simplify(bracket.subs(c, best) - sp.sqrt(1 - kappa)) == 0
    assert sp.simplify(sp.diff(bracket, c, 2) - (c**2 + 1) ** sp.Rational(-3, 2)) == 0


def test_integral_in_the_counterexample_without_convexity() -> None:
    """Completing the square: int phi(x) e^(-x - x^2/2) dx = e^(1/4) Q(1/sqrt 2) / sqrt 2."""
    x, t = sp.symbols("x t", real=True)
    assert sp.expand(-(x**2) / 2 - x - x**2 / 2 - (sp.Rational(1, 4) - (x + sp.S.Half) ** 2)) == 0
    integral = sp.integrate(sp.exp(-(t**2)), (t, sp.S.Half, sp.oo)) / sp.sqrt(2 * sp.pi)
    upper_tail = sp.erfc(sp.S.Half) / 2  # Q(x) = erfc(x / sqrt 2) / 2 at x = 1 / sqrt 2
    assert sp.simplify((integral - upper_tail / sp.sqrt(2)).rewrite(sp.erf)) == 0
    assert (2 * sp.sqrt(2) * sp.exp(sp.Rational(1, 4)) * upper_tail).evalf() < 1


# Steps 1 to 3: the primary and the auxiliary problem ---------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_primary_saddle_point_in_exact_arithmetic(seed: int) -> None:
    """Stationarity and value at (w, v), for rational data and roots of variances."""
    draw = Random(seed)

    def matrix(rows, columns):
        entries = [Fraction(draw.randint(-9, 9), draw.randint(1, 9)) for _ in range(rows * columns)]
        return sp.Matrix(rows, columns, [sp.Rational(x) for x in entries])

    n, p, root_p = 2, 4, 2
    gauss, z, beta_star, sigma = matrix(n, p), matrix(n, 1), matrix(p, 1), sp.Rational(3, 5)
    root = sp.diag(1, sp.Rational(1, 2), 3, sp.Rational(2, 3))
    features = gauss * root
    labels = features * beta_star + sigma * z
    dual = (features * features.T).inv() * labels
    fit = features.T * dual
    w, v = root_p * root * (fit - beta_star), -root_p * dual
    assert gauss * w - root_p * sigma * z == sp.zeros(n, 1)
    x = root_p * beta_star + root.inv() * w
    assert x == root_p * fit
    assert gauss.T * v + root.inv() * x == sp.zeros(p, 1)
    # Value, and the same stationarity by differentiation, from the objective of the page.
    unknown = sp.Matrix(sp.symbols(f"w1:{p + 1}"))
    quadratic = root_p * beta_star + root.inv() * unknown
    objective = (v.T * gauss * unknown - root_p * sigma * v.T * z)[0] / p
    objective += quadratic.dot(quadratic) / (2 * p)
    at = dict(zip(unknown, w, strict=True))
    assert sp.expand(objective.subs(at) - fit.dot(fit) / 2) == 0
    assert [sp.diff(objective, u).subs(at) for u in unknown] == [0] * p


def test_bound_on_the_solution_in_terms_of_kappa() -> None:
    n, p = sp.symbols("n p", positive=True)
    sigma, least = sp.symbols("sigma lambda_min", positive=True)
    smallest = sp.sqrt(least) * (sp.sqrt(p) - sp.sqrt(n)) / 2
    noise = sigma * 2 * sp.sqrt(n) / smallest
    root = sp.sqrt(p) / sp.sqrt(n)
    assert zero(noise - 4 * sigma / (sp.sqrt(least) * (root - 1)))
    bound = sp.symbols("M", positive=True)
    assert zero(sp.sqrt(n) * bound / smallest - 2 * bound / (sp.sqrt(least) * (root - 1)))


def test_coefficient_of_theta_in_the_auxiliary_problem() -> None:
    """Dividing by p: |v| = sqrt(kappa_n) theta along g and |(w, sqrt(p) sigma)| = sqrt(p) tau."""
    n, p, tau, size = sp.symbols("n p tau size_g", positive=True)
    overlap, extra, sigma = sp.symbols("overlap h_0 sigma", real=True)  # overlap = h' w
    length = sp.sqrt(p / n) * THETA
    objective = sp.sqrt(p) * tau * size * length - length * (overlap + sp.sqrt(p) * sigma * extra)
    claimed = THETA * (
        size / sp.sqrt(n) * tau - sp.sqrt(p / n) * (overlap / p + sigma * extra / sp.sqrt(p))
    )
    assert zero(objective / p - claimed)


# Step 4: two scalars -----------------------------------------------------------------------------


def test_square_root_as_a_minimum() -> None:
    """(tau + s^2 / tau) / 2 = s + (tau - s)^2 / (2 tau): the minimum is s, at tau = s."""
    s = sp.symbols("s", positive=True)
    assert zero((TAU + s**2 / TAU) / 2 - s - (TAU - s) ** 2 / (2 * TAU))


def coordinate(w):
    """One coordinate of the objective at (theta, tau)."""
    linear = sp.sqrt(KAPPA) * THETA * H * w
    return R * THETA / (2 * TAU) * w**2 - linear + (B + w / sp.sqrt(LAMBDA)) ** 2 / 2


def test_completing_the_square_in_one_coordinate() -> None:
    curvature = 1 / LAMBDA + R * THETA / TAU
    drive = sp.sqrt(KAPPA) * THETA * H - B / sp.sqrt(LAMBDA)
    square = curvature * (W - drive / curvature) ** 2 / 2
    assert zero(coordinate(W) - (B**2 / 2 - drive**2 / (2 * curvature) + square))
    assert zero(sp.diff(coordinate(W), W).subs(W, drive / curvature))


def test_square_root_term_splits_into_constant_and_coordinates() -> None:
    """r theta tau(w) with the square root as a minimum; size2 = |w|^2 / p."""
    size2 = sp.symbols("size2", positive=True)
    whole = R * THETA * (TAU + (SIGMA2 + size2) / TAU) / 2
    assert zero(whole - R * THETA / 2 * (TAU + SIGMA2 / TAU) - R * THETA / (2 * TAU) * size2)


# Steps 5 and 6: limit and saddle point -----------------------------------------------------------


def test_mean_of_the_finite_saddle_function_over_the_gaussians() -> None:
    """Each coordinate of D_n at r = 1 has the mean that defines D."""
    curvature = 1 / LAMBDA + THETA / TAU
    drive = sp.sqrt(KAPPA) * THETA * H - B / sp.sqrt(LAMBDA)
    average = B**2 - normal_mean(drive**2, H) / curvature
    claimed = -KAPPA * THETA**2 / curvature + B**2 * (THETA / TAU) / curvature
    assert zero(average - claimed)


def test_saddle_function_in_xi_and_gamma() -> None:
    changed = GAMMA * XI * (1 - KAPPA * mean(lambda v, _: shrinkage(v))) + XI * SIGMA2
    changed += mean(lambda v, b: shrinkage(v) * b**2)
    assert zero(saddle_function(XI * sp.sqrt(GAMMA), sp.sqrt(GAMMA)) - changed / 2)


def test_curvatures_of_the_saddle_function() -> None:
    def convex(v, b):
        curved = (KAPPA * THETA**3 * v**2 + THETA * v * b**2) / (TAU + THETA * v) ** 3
        return THETA * SIGMA2 / TAU**3 + curved

    def concave(v, b):
        return (KAPPA * v * TAU**3 + v**2 * TAU * b**2) / (TAU + THETA * v) ** 3

    saddle = saddle_function(THETA, TAU)
    assert zero(sp.diff(saddle, TAU, 2) - mean(convex))
    assert zero(sp.diff(saddle, THETA, 2) + mean(concave))


def test_derivatives_of_the_shrinkage() -> None:
    zeta = shrinkage(LAMBDA)
    assert zero(sp.diff(zeta, XI) - LAMBDA / (1 + XI * LAMBDA) ** 2)
    assert zero(sp.diff(zeta, XI) - LAMBDA * (1 - zeta) ** 2)
    assert zero(XI * sp.diff(zeta, XI) - zeta * (1 - zeta))
    assert zero(zeta - XI * LAMBDA * (1 - zeta))
    assert zero(zeta - XI / (1 / LAMBDA + XI))


def test_stationarity_gives_the_equations_for_xi_and_gamma() -> None:
    """The gradient in the original variables vanishes at the constants of the theorem."""
    saddle = saddle_function(THETA, TAU)
    in_theta = sp.diff(saddle, THETA).subs(THETA, XI * TAU).subs(KAPPA, FIXED)
    in_tau = sp.diff(saddle, TAU).subs(THETA, XI * TAU).subs(KAPPA, FIXED)
    for slope in (in_theta, in_tau):
        assert zero(slope.subs(TAU, sp.sqrt(GAMMA)).subs(GAMMA, RISK))


def test_each_derivative_in_the_new_variables() -> None:
    saddle = saddle_function(XI * sp.sqrt(GAMMA), sp.sqrt(GAMMA))
    z1 = mean(lambda v, _: shrinkage(v))
    z2 = mean(lambda v, _: shrinkage(v) ** 2)
    assert zero(sp.diff(saddle, GAMMA) - XI * (1 - KAPPA * z1) / 2)
    balance = SIGMA2 + mean(lambda v, b: v * (1 - shrinkage(v)) ** 2 * b**2)
    at_root = sp.diff(saddle, XI).subs(KAPPA, FIXED)
    assert zero(2 * at_root - (balance - GAMMA * (1 - FIXED * z2)))


def test_value_at_the_saddle_point() -> None:
    saddle = saddle_function(XI * sp.sqrt(GAMMA), sp.sqrt(GAMMA))
    assert zero(saddle.subs(KAPPA, FIXED) - VALUE)


# Steps 7 and 8: certificate and law --------------------------------------------------------------


def candidate(variance, b):
    """Coordinate w* of the certificate, as a polynomial in h."""
    drive = sp.sqrt(KAPPA) * XI * sp.sqrt(GAMMA) * H - b / sp.sqrt(variance)
    return drive / (1 / variance + XI)


def limit(f):
    """Limit of (1/p) sum f(w*, b, h, variance) at the fixed point, gamma left as a symbol."""
    average = mean(lambda v, b: normal_mean(f(candidate(v, b), b, v), H))
    return average.subs(KAPPA, FIXED)


def test_certificate_has_the_coordinates_of_the_law() -> None:
    zeta = shrinkage(LAMBDA)
    x = B + candidate(LAMBDA, B) / sp.sqrt(LAMBDA)
    assert zero(x - zeta * B - sp.sqrt(KAPPA * GAMMA / LAMBDA) * zeta * H)


def test_noise_level_at_the_certificate_is_the_risk() -> None:
    level = SIGMA2 + limit(lambda w, _, __: w**2)
    assert zero(level.subs(GAMMA, RISK) - RISK)


def test_constraint_vanishes_at_the_certificate() -> None:
    """c(w*) tends to sqrt(gamma) - sqrt(kappa) E[H W]."""
    correlation = limit(lambda w, _, __: H * w)
    assert zero(sp.sqrt(GAMMA) - sp.sqrt(FIXED) * correlation)


def test_half_the_squared_norm_at_the_certificate_is_the_saddle_value() -> None:
    half = limit(lambda w, b, v: (b + w / sp.sqrt(v)) ** 2) / 2
    assert zero(half.subs(GAMMA, RISK) - VALUE)


def test_gradient_of_the_lower_bound_at_the_certificate() -> None:
    """p times the gradient, coordinate by coordinate; the gradient of p tau(w) is w / tau(w)."""
    theta, w = XI * sp.sqrt(GAMMA), candidate(LAMBDA, B)
    gradient = theta * (R * w / TAU_W - sp.sqrt(KAPPA_N) * H)
    gradient += (B + w / sp.sqrt(LAMBDA)) / sp.sqrt(LAMBDA)
    claimed = XI * (R * sp.sqrt(GAMMA) / TAU_W - 1) * w
    claimed += theta * (sp.sqrt(KAPPA) - sp.sqrt(KAPPA_N)) * H
    assert zero(gradient - claimed)


def test_gradient_of_the_noise_level() -> None:
    p, other = sp.symbols("p other", positive=True)
    tau = sp.sqrt(SIGMA2 + (W**2 + other) / p)
    assert zero(p * sp.diff(tau, W) - W / tau)


def test_gap_that_excludes_the_bad_set() -> None:
    """-eta + delta^2 / (2 lambda_max) = 3 eta for eta = delta^2 / (8 lambda_max)."""
    delta, largest = sp.symbols("delta lambda_max", positive=True)
    eta = delta**2 / (8 * largest)
    assert zero(-eta + delta**2 / (2 * largest) - 3 * eta)


# Below the threshold, and the exercises ----------------------------------------------------------


def test_error_below_the_threshold() -> None:
    """Mean of sigma^2 chi^2_p / chi^2_(n-p+1), and its limit."""
    n = sp.symbols("n", positive=True)
    exact = SIGMA2 * KAPPA * n / ((n - KAPPA * n + 1) - 2)
    assert zero(exact - SIGMA2 * KAPPA * n / (n - KAPPA * n - 1))
    target = SIGMA2 * KAPPA / (1 - KAPPA)
    assert zero(sp.limit(exact, n, sp.oo) - target)
    assert zero(SIGMA2 + target - SIGMA2 / (1 - KAPPA))


def test_isotropic_exercise() -> None:
    at = {XI: 1 / (KAPPA - 1)}
    for _, variance, _b in KINDS:
        at[variance] = 1
    energy = mean(lambda _, b: b**2)
    assert zero(FIXED.subs(at) - KAPPA)
    risk = SIGMA2 * KAPPA / (KAPPA - 1) + (1 - 1 / KAPPA) * energy
    assert zero(RISK.subs(at) - risk)
    assert zero(2 * VALUE.subs(at) - (SIGMA2 / (KAPPA - 1) + energy / KAPPA))


def test_pure_noise_exercise() -> None:
    """|c g - y| = c |h| squared, and the limit of the root."""
    c, gg, hh, gy, yy = sp.symbols("c gg hh gy yy", positive=True)
    assert (
        sp.expand(c**2 * gg - 2 * c * gy + yy - c**2 * hh + (c**2 * (hh - gg) + 2 * c * gy - yy))
        == 0
    )
    (root,) = sp.solve((c**2 * (hh - gg) - yy).subs({hh: KAPPA * N, gg: N, yy: SIGMA2 * N}), c**2)
    assert zero(root - SIGMA2 / (KAPPA - 1))


def test_weighted_norm_exercise() -> None:
    """Variances lambda / omega and coefficients sqrt(omega) b: back in the original scale."""
    omega, mu = sp.symbols("omega mu", positive=True)
    zeta = shrinkage(LAMBDA / omega, 1 / mu)
    assert zero(zeta - LAMBDA / (LAMBDA + mu * omega))
    fitted = zeta * sp.sqrt(omega) * B + sp.sqrt(KAPPA * GAMMA / (LAMBDA / omega)) * zeta * H
    assert zero(fitted / sp.sqrt(omega) - zeta * B - sp.sqrt(KAPPA * GAMMA / LAMBDA) * zeta * H)
    assert zero(LAMBDA / omega * (sp.sqrt(omega) * B) ** 2 - LAMBDA * B**2)
