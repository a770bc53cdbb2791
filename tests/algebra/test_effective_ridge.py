"""The algebra behind the effective ridge and its solver, symbol by symbol."""

import sympy as sp

LEVEL = sp.symbols("ell", real=True)
LAMBDA, FIRST, SECOND, MU, XI, KAPPA, N, RHO = sp.symbols(
    "lambda lambda_1 lambda_2 mu xi kappa n rho", positive=True
)


def zero(expression) -> bool:
    return sp.simplify(expression) == 0


def shrinkage(variance, mu=None):
    mu = sp.exp(LEVEL) if mu is None else mu
    return variance / (variance + mu)


def test_derivatives_of_shrinkage_and_complement() -> None:
    """In ell = log mu: f' = +- f (1 - f) and f'' = f (1 - f) (1 - 2 f) for both."""
    zeta = shrinkage(LAMBDA)
    for f, sign in ((zeta, -1), (1 - zeta, 1)):
        assert zero(sp.diff(f, LEVEL) - sign * f * (1 - f))
        assert zero(sp.diff(f, LEVEL, 2) - f * (1 - f) * (1 - 2 * f))


def test_derivatives_of_the_sums_from_power_sums() -> None:
    """What the solver computes from S0, S1, S2 = sums of f, f^2, f^3 over a block."""
    for f, sign in ((lambda v: 1 - shrinkage(v), 1), (shrinkage, -1)):
        block = [f(FIRST), f(SECOND)]
        s0, s1, s2 = (sum(value**k for value in block) for k in (1, 2, 3))
        assert zero(sp.diff(s0, LEVEL) - sign * (s0 - s1))
        assert zero(sp.diff(s0, LEVEL, 2) - (s0 - 3 * s1 + 2 * s2))


def test_penalty_counts_as_a_tail_feature_without_shrinkage_left() -> None:
    """n rho / mu has d log / d ell = -1: the limit of zeta -> 0 with 1 - zeta = 1."""
    explicit = N * RHO * sp.exp(-LEVEL)
    assert zero(sp.diff(sp.log(explicit), LEVEL) + 1)
    assert zero(sp.diff(explicit, LEVEL, 2) - explicit)
    many = N * RHO / LAMBDA * shrinkage(LAMBDA)
    assert zero(sp.limit(many, LAMBDA, 0) - explicit)


def test_slope_and_curvature_of_the_balance() -> None:
    """Head {1 - zeta_1} + deficit, tail {zeta_2} + n rho / mu."""
    deficit = sp.symbols("d", positive=True)
    head = 1 - shrinkage(FIRST) + deficit
    explicit = N * RHO * sp.exp(-LEVEL)
    tail = shrinkage(SECOND) + explicit
    psi = sp.log(head) - sp.log(tail)
    q, zeta = 1 - shrinkage(FIRST), shrinkage(SECOND)
    rise, fall = q * (1 - q) / head, (zeta * (1 - zeta) + explicit) / tail
    assert zero(sp.diff(psi, LEVEL) - rise - fall)
    second_head = q * (1 - q) * (1 - 2 * q)
    second_tail = zeta * (1 - zeta) * (1 - 2 * zeta) + explicit
    curvature = second_head / head - rise**2 - second_tail / tail + fall**2
    assert zero(sp.diff(psi, LEVEL, 2) - curvature)


def test_curvature_is_a_variance() -> None:
    """d rise / d ell = 2 Var - R (1 - R) for weights proportional to 1 - zeta: at most 1/4."""
    weights = [1 - shrinkage(FIRST), 1 - shrinkage(SECOND)]
    values = [shrinkage(FIRST), shrinkage(SECOND)]
    total = sum(weights)
    mean, square = (
        sum(w * v**k for w, v in zip(weights, values, strict=True)) / total for k in (1, 2)
    )
    expected = 2 * (square - mean**2) - mean * (1 - mean)
    assert zero(sp.diff(mean, LEVEL) - expected)


def test_balance_is_the_fixed_point_equation() -> None:
    """H - T = n - sum zeta - n rho / mu, however the weights are split between head and tail."""
    weights, heads = sp.symbols("w1:4"), sp.symbols("a1:4")
    zetas = [shrinkage(v) for v in sp.symbols("x1:4", positive=True)]
    deficit = N - sum(heads)
    head = sum(a * (1 - z) for a, z in zip(heads, zetas, strict=True)) + deficit
    tail = sum((w - a) * z for w, a, z in zip(weights, heads, zetas, strict=True))
    total = sum(w * z for w, z in zip(weights, zetas, strict=True))
    explicit = N * RHO * sp.exp(-LEVEL)
    assert sp.expand(head - tail - explicit - (N - total - explicit)) == 0


def test_halley_step() -> None:
    """The solver's form is Halley's, which leaves an error of third order."""
    psi, slope, curvature = sp.symbols("psi s c", nonzero=True)
    newton = -psi / slope
    step = newton / (1 + newton * curvature / (2 * slope))
    assert zero(step + 2 * psi * slope / (2 * slope**2 - psi * curvature))
    e, s, c, d = sp.symbols("e s c d")
    value = s * e + c * e**2 / 2 + d * e**3 / 6
    first, second = sp.diff(value, e), sp.diff(value, e, 2)
    after = sp.series(e - 2 * value * first / (2 * first**2 - value * second), e, 0, 4).removeO()
    assert zero(after - e**3 * (c**2 / (4 * s**2) - d / (6 * s)))


def test_two_level_quadratic() -> None:
    share = sp.symbols("f", positive=True)
    levels = ((share, FIRST), (1 - share, SECOND))
    equation = sum(f * XI * v / (1 + XI * v) for f, v in levels) - 1 / KAPPA
    mean = sum(f * v for f, v in levels)
    quadratic = (1 - 1 / KAPPA) * FIRST * SECOND * XI**2
    quadratic += (mean - (FIRST + SECOND) / KAPPA) * XI - 1 / KAPPA
    assert zero(equation * (1 + XI * FIRST) * (1 + XI * SECOND) - quadratic)
    numbers = {FIRST: 25, SECOND: 1, share: sp.Rational(1, 10), KAPPA: sp.Rational(10, 3)}
    (root,) = (r for r in sp.solve(quadratic.subs(numbers), XI) if r > 0)
    assert abs(root - sp.Rational("0.307227")) < sp.Rational(1, 2 * 10**6)


def test_isotropic_with_penalty() -> None:
    """The positive root of mu^2 - ((kappa - 1) lambda + rho) mu - rho lambda, and its limits."""
    equation = KAPPA * shrinkage(LAMBDA, MU) + RHO / MU - 1
    quadratic = MU**2 - ((KAPPA - 1) * LAMBDA + RHO) * MU - RHO * LAMBDA
    assert zero(equation * MU * (LAMBDA + MU) + quadratic)
    linear = (KAPPA - 1) * LAMBDA + RHO
    root = (linear + sp.sqrt(linear**2 + 4 * RHO * LAMBDA)) / 2
    assert zero(sp.expand(quadratic.subs(MU, root)))
    excess = sp.symbols("e", positive=True)
    over = root.subs(KAPPA, 1 + excess)
    assert zero(sp.limit(over, RHO, 0) - excess * LAMBDA)
    under = root.subs(KAPPA, 1 / (1 + excess))
    assert zero(sp.limit(under / RHO, RHO, 0) - (1 + excess) / excess)
    assert zero(sp.limit(root.subs(KAPPA, 1) ** 2 / RHO, RHO, 0) - LAMBDA)


def test_bound_after_removing_k_features() -> None:
    """The start of the solver solves its quadratic, and is the trace bound without penalty."""
    mean, rank, k = sp.symbols("m r k", positive=True)
    surplus = N * RHO
    bound = (rank - k) * mean / (mean + MU) + surplus / MU - (N - k)
    linear = (rank - N) * mean + surplus
    quadratic = (N - k) * MU**2 - linear * MU - surplus * mean
    assert zero(bound * MU * (mean + MU) + quadratic)
    assert zero(quadratic.subs(RHO, 0).subs(MU, mean * (rank - N) / (N - k)))


def test_derivatives_of_the_root() -> None:
    """Implicit differentiation in log n and log rho, flow = sum zeta (1 - zeta) + n rho / mu."""
    log_n, log_rho = sp.symbols("a b", real=True)
    zetas = [shrinkage(FIRST), shrinkage(SECOND)]
    explicit = sp.exp(log_n + log_rho - LEVEL)
    equation = sum(zetas) + explicit - sp.exp(log_n)
    flow = sum(z * (1 - z) for z in zetas) + explicit
    assert zero(sp.diff(equation, LEVEL) + flow)
    assert zero(sp.diff(equation, log_rho) - explicit)
    assert zero(sp.diff(equation, log_n) - (explicit - sp.exp(log_n)))


def test_denominator_of_the_risk() -> None:
    """1 - sum zeta^2 / n = (sum zeta (1 - zeta) + n rho / mu) / n at the fixed point."""
    first, second = sp.symbols("zeta_1 zeta_2", positive=True)
    explicit = N - first - second
    flow = first * (1 - first) + second * (1 - second) + explicit
    assert zero(1 - (first**2 + second**2) / N - flow / N)


def test_leave_one_out_projection() -> None:
    """Sherman-Morrison: phi' (A + phi phi')^-1 phi = a / (1 + a), a = phi' A^-1 phi."""
    a, b, c, x, y = sp.symbols("a b c x y", positive=True)
    rest, phi = sp.Matrix([[a, b], [b, c]]), sp.Matrix([x, y])
    alone = (phi.T * rest.inv() * phi)[0]
    together = (phi.T * (rest + phi * phi.T).inv() * phi)[0]
    assert zero(together - alone / (1 + alone))


def test_bernstein_ellipse() -> None:
    """The ellipse of rate omega has its top at i (omega - 1/omega) / 2: at 2 pi i for this one."""
    omega = 2 * sp.pi + sp.sqrt(4 * sp.pi**2 + 1)
    assert zero((omega - 1 / omega) / 2 - 2 * sp.pi)
    value = sp.I * sp.symbols("b", positive=True)
    rate = value / sp.I + sp.sqrt((value / sp.I) ** 2 + 1)
    for degree in (1, 2, 3, 14):
        chebyshev = sp.chebyshevt(degree, value)
        size = (rate**degree + (-1) ** degree * rate**-degree) / 2
        assert zero(sp.expand(chebyshev - sp.I**degree * size))
