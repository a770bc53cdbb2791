"""The formulas of the law, by computer algebra.

A population with two kinds of features is parametrized by its shrinkages z1 and z2, with variances
z / (xi (1 - z)): then everything is rational.
"""

import sympy as sp

Z1, Z2, XI, W1 = sp.symbols("z1 z2 xi w1", positive=True)
B1, B2 = sp.symbols("b1 b2", real=True)
NOISE, KAPPA, LAM, ENERGY, N, P, M = sp.symbols("s2 kappa lambda E n p m", positive=True)
ZETA, SIGNAL = (Z1, Z2), (B1**2, B2**2)
VARIANCES = tuple(z / (XI * (1 - z)) for z in ZETA)


def mean(function, *sequences) -> sp.Expr:
    """Average over the two kinds of features."""
    first, second = (function(*values) for values in zip(*sequences, strict=True))
    return W1 * first + (1 - W1) * second


RATIO = 1 / mean(lambda z: z, ZETA)  # kappa, from the fixed point
DENOMINATOR = 1 - RATIO * mean(lambda z: z**2, ZETA)
BIAS = mean(lambda v, z, s: v * (1 - z) ** 2 * s, VARIANCES, ZETA, SIGNAL)
GAMMA = (NOISE + BIAS) / DENOMINATOR


def vanishes(expression) -> bool:
    return sp.cancel(sp.together(expression)) == 0


def test_shrinkage_from_xi_and_variance() -> None:
    for z, variance in zip(ZETA, VARIANCES, strict=True):
        assert vanishes(XI * variance / (1 + XI * variance) - z)


def test_gamma_is_the_risk() -> None:
    width = mean(lambda v, z: v * RATIO * GAMMA * z**2 / v, VARIANCES, ZETA)
    assert vanishes(NOISE + BIAS + width - GAMMA)
    assert not vanishes(NOISE + BIAS + sp.Rational(101, 100) * width - GAMMA)


def test_forms_of_the_denominator() -> None:
    flow = RATIO * mean(lambda z: z * (1 - z), ZETA)
    assert vanishes(DENOMINATOR - flow)
    gap = 1 - 1 / RATIO - DENOMINATOR  # Jensen's inequality
    assert vanishes(gap - RATIO * W1 * (1 - W1) * (Z1 - Z2) ** 2)


def test_squared_norm() -> None:
    square = mean(lambda v, z, s: z**2 * s + RATIO * GAMMA * z**2 / v, VARIANCES, ZETA, SIGNAL)
    assert vanishes(square - XI * NOISE - mean(lambda z, s: z * s, ZETA, SIGNAL))


def test_sequence_model() -> None:
    """Ridge regression on a signal in white noise has the mean and the width of the law."""
    beta, level, mu = sp.symbols("beta gamma mu", positive=True)
    zeta, weight = LAM / (LAM + mu), sp.sqrt(LAM) / (LAM + mu)
    assert vanishes(weight * sp.sqrt(LAM) * beta - zeta * beta)
    assert vanishes(weight**2 * level / N - level * zeta**2 / (N * LAM))
    # The widest coordinates are those whose variance is the effective ridge.
    assert sp.solve(sp.diff(weight**2, LAM), LAM) == [mu]
    # Mean over width does not depend on the effective ridge.
    snr = (zeta * beta) ** 2 / (level * zeta**2 / (N * LAM))
    assert vanishes(snr - N * LAM * beta**2 / level)


# Equal variances.

FLAT = NOISE * KAPPA / (KAPPA - 1) + (1 - 1 / KAPPA) * ENERGY  # E = lambda E[B^2]


def test_isotropic_closed_forms() -> None:
    (xi,) = sp.solve(XI * LAM / (1 + XI * LAM) - 1 / KAPPA, XI)
    zeta = xi * LAM / (1 + xi * LAM)
    assert vanishes(xi - 1 / (LAM * (KAPPA - 1)))
    assert vanishes(zeta - 1 / KAPPA)
    gamma = (NOISE + (1 - zeta) ** 2 * ENERGY) / (1 - KAPPA * zeta**2)
    assert vanishes(gamma - FLAT)
    width = KAPPA * gamma * zeta**2 / LAM
    share = NOISE / (KAPPA - 1) + ENERGY / KAPPA * (1 - 1 / KAPPA)
    assert vanishes(width * LAM - share)


def test_limits_of_the_isotropic_risk() -> None:
    assert sp.limit((KAPPA - 1) * FLAT, KAPPA, 1, "+") == NOISE
    assert vanishes(sp.limit(FLAT, KAPPA, sp.oo) - NOISE - ENERGY)
    assert sp.limit(NOISE / (1 - KAPPA), KAPPA, 0) == NOISE


def test_limits_for_two_levels() -> None:
    """The pole does not see the spectrum; far beyond it the fit predicts zero."""
    low, high, share = 1, 4, sp.Rational(1, 4)
    xi = sp.symbols("x", positive=True)
    zetas = [xi * v / (1 + xi * v) for v in (high, low)]
    weights = (share, 1 - share)
    kappa = 1 / sum(w * z for w, z in zip(weights, zetas, strict=True))
    spread = sum(w * z**2 for w, z in zip(weights, zetas, strict=True))
    lost = zip(weights, (high, low), zetas, SIGNAL, strict=True)
    gamma = (NOISE + sum(w * v * (1 - z) ** 2 * s for w, v, z, s in lost)) / (1 - kappa * spread)
    # kappa falls to 1 as xi grows, and grows without bound as xi vanishes.
    assert sp.limit(sp.cancel(kappa), xi, sp.oo) == 1
    assert vanishes(sp.limit(sp.cancel((kappa - 1) * gamma), xi, sp.oo) - NOISE)
    energy = share * high * SIGNAL[0] + (1 - share) * low * SIGNAL[1]
    assert vanishes(sp.limit(sp.cancel(gamma), xi, 0) - NOISE - energy)
    # xi (kappa - 1) tends to E[1 / Lambda].
    inverse = share / high + (1 - share) / low
    assert sp.limit(sp.cancel(xi * (kappa - 1)), xi, sp.oo) == inverse


def test_best_overparameterization() -> None:
    c = sp.symbols("c", positive=True)
    risk = FLAT.subs(ENERGY, c**2 * NOISE)
    best = c / (c - 1)
    assert vanishes(sp.diff(risk, KAPPA).subs(KAPPA, best))
    assert vanishes(risk.subs(KAPPA, best) - 2 * c * NOISE)


# Exact finite-sample answers.


def inverse_moment(order: int, freedom) -> sp.Expr:
    """E[1 / chi^2_freedom ** order], by integration of the density."""
    t, k = sp.symbols("t k", positive=True)
    density = t ** (k / 2 - 1) * sp.exp(-t / 2) / (2 ** (k / 2) * sp.gamma(k / 2))
    shifted = density.subs(k, k + 2 * order)  # so that the integral converges for every k > 0
    value = sp.integrate(shifted * t**-order, (t, 0, sp.oo))
    return sp.gammasimp(value).subs(k, freedom - 2 * order)


def test_inverse_chi_square_means() -> None:
    assert vanishes(inverse_moment(1, M) - 1 / (M - 2))
    assert vanishes(inverse_moment(2, M) - 1 / ((M - 2) * (M - 4)))


def test_inverse_wishart_mean() -> None:
    """Once from the diagonal entries, once for n = 2 from the Bartlett decomposition."""
    trace = N * inverse_moment(1, P - N + 1)
    assert vanishes(trace - N / (P - N - 1))
    # W = T T' with t11^2, t22^2 chi-squares of p and p - 1 degrees of freedom, t21 normal.
    a, b, c = sp.symbols("a b c", positive=True)
    lower = sp.Matrix([[sp.sqrt(a), 0], [c, sp.sqrt(b)]])
    explicit = sp.expand(sp.simplify((lower * lower.T).inv().trace()))
    assert vanishes(explicit - 1 / a - 1 / b - c**2 / (a * b))
    first, second = inverse_moment(1, P), inverse_moment(1, P - 1)
    assert vanishes(first + second + first * second - trace.subs(N, 2))


def test_exact_risk_minus_law() -> None:
    wide = 1 + N / (P - N - 1) - P / (P - N)
    narrow = (N - 1) / (N - P - 1) - N / (N - P)
    assert vanishes(wide - N / ((P - N) * (P - N - 1)))
    assert vanishes(narrow - P / ((N - P) * (N - P - 1)))
    # Both are the exact mean 1 + min(n, p) / (|p - n| - 1) minus the limit.
    assert vanishes((N - 1) / (N - P - 1) - 1 - P / (N - P - 1))


def test_dominating_coordinate() -> None:
    """Moments of Beta(n/2, (p-n)/2): the mean of the law, and almost twice its variance."""
    first, second = (
        sp.gammasimp(
            sp.gamma(N / 2 + k) * sp.gamma(P / 2) / (sp.gamma(N / 2) * sp.gamma(P / 2 + k))
        )
        for k in (1, 2)
    )
    zeta = N / P
    law = (1 - zeta) * zeta**2 / N  # gamma zeta^2 / (n lambda) with gamma = (1 - zeta) lambda
    assert vanishes(first - zeta)
    assert vanishes((second - first**2) / law - 2 * P / (P + 2))


# The finite-size term.


def test_log_determinant_is_stationary_and_gives_the_law() -> None:
    mu, surplus = sp.symbols("mu r", positive=True)
    lams = sp.symbols("l1:4", positive=True)
    value = sum(sp.log(1 + v / mu) for v in lams) + N * sp.log(N * mu) - N + surplus / mu
    fixed_point = sum(v / (v + mu) for v in lams) + surplus / mu - N
    assert vanishes(sp.diff(value, mu) + fixed_point / mu)
    assert vanishes(sp.diff(value, lams[0]) - 1 / (lams[0] + mu))
    assert vanishes(sp.diff(value, surplus) - 1 / mu)


def test_finite_size_term() -> None:
    """The closed form of the chapter, against implicit differentiation of log(n - sum zeta^2)."""
    u, e, l_u, l_e, l_ue = sp.symbols("u e l_u l_e l_ue")
    zetas = [sp.Rational(k, 7) for k in (1, 2, 4, 5)]
    weights = [sp.Rational(k, 3) for k in (2, 5, 1, 4)]
    signal = [sp.Rational(k, 5) for k in (3, 1, 7, 2)]
    noise = sp.Rational(2, 3)  # sigma^2 / mu, at mu = 1
    ridge = sp.exp(l_u * u + l_e * e + l_ue * u * e)
    perturbed = [
        1 / (1 + ridge * (1 - z) / z * (1 + u * q + e * s))
        for z, q, s in zip(zetas, weights, signal, strict=True)
    ]
    constraint = sum(perturbed) - e * noise / ridge
    origin = {u: 0, e: 0}
    slopes = [constraint.diff(x).subs(origin) for x in (u, e)]
    rates = sp.solve([*slopes, constraint.diff(u, e).subs(origin)], [l_u, l_e, l_ue], dict=True)[0]
    size = sum(zetas)
    log_v = sp.log(size - sum(z**2 for z in perturbed))
    exact = sp.simplify((-log_v.diff(u, e) / 2).subs(rates).subs(origin))

    flow = [z * (1 - z) for z in zetas]
    total = sum(flow)
    q_bar = sum(f * q for f, q in zip(flow, weights, strict=True)) / total
    s_bar = (sum(f * s for f, s in zip(flow, signal, strict=True)) + noise) / total
    by_u = [-f * (q - q_bar) for f, q in zip(flow, weights, strict=True)]
    by_e = [-f * (s - s_bar) for f, s in zip(flow, signal, strict=True)]
    both = [
        f * ((1 - 2 * z) * (q - q_bar) * (s - s_bar) + q * s)
        for f, z, q, s in zip(flow, zetas, weights, signal, strict=True)
    ]
    c = (sum(both) - noise * q_bar) / total
    both = [x - c * f for x, f in zip(both, flow, strict=True)]
    dots = [sum(z * x for z, x in zip(zetas, xs, strict=True)) for xs in (by_u, by_e, both)]
    cross = sum(x * y for x, y in zip(by_u, by_e, strict=True))
    assert exact == (cross + dots[2]) / total + 2 * dots[0] * dots[1] / total**2


def test_finite_size_term_of_equal_variances() -> None:
    """Only the noise moves V, because a common factor of the variances is absorbed by mu."""
    u, e, beta2 = sp.symbols("u e beta2", positive=True)
    scale = LAM / (1 + u * LAM + e * beta2)
    mu = sp.symbols("mu", positive=True)
    fixed_point = P * scale / (scale + mu) - e * NOISE / mu - N
    spread = N - P * (scale / (scale + mu)) ** 2
    start = {u: 0, e: 0, mu: LAM * (P - N) / N}
    f_mu, f_u, f_e = (fixed_point.diff(x) for x in (mu, u, e))
    mu_u, mu_e = -f_u / f_mu, -f_e / f_mu

    def total(expression, x, slope):
        return expression.diff(x) + slope * expression.diff(mu)

    term = -total(total(sp.log(spread), e, mu_e), u, mu_u) / 2
    assert vanishes(sp.simplify(term.subs(start)) - NOISE * N / (P - N) ** 2)
