"""The algebra of pruning: truncated moments, and both derivations of the training loss."""

import sympy as sp

H, A, C_CUT, M, B = sp.symbols("h a c m b", real=True)
V, T, GAMMA, MU, N_SAMPLES, LAMBDA, ZETA, SIGMA2, Q, N = sp.symbols(
    "v t gamma mu n lambda zeta sigma2 Q N", positive=True
)
C, SLOPE, SLACK = sp.symbols("C slope slack", real=True)

PHI = sp.exp(-(H**2) / 2) / sp.sqrt(2 * sp.pi)
CLOSED = Q - C**2 / GAMMA + GAMMA * (SLACK + MU * N / GAMMA) ** 2


def zero(expression) -> bool:
    """Whether an expression, rational in its symbols and their roots, vanishes identically."""
    return sp.expand(sp.fraction(sp.together(expression))[0]) == 0


def density(x):
    return PHI.subs(H, x)


def upper(x):
    """Upper tail of N(0, 1)."""
    return sp.erfc(x / sp.sqrt(2)) / 2


def kept_moments(a, c):
    """E[H^k; H > a or H < c], k = 0, 1, 2, of the page."""
    tail = upper(a) + upper(-c)
    return [tail, density(a) - density(c), tail + a * density(a) - c * density(c)]


# Truncated moments -------------------------------------------------------------------------------


def test_moments_of_what_is_kept_by_integration() -> None:
    for k, claimed in enumerate(kept_moments(A, C_CUT)):
        above = sp.integrate(H**k * PHI, (H, A, sp.oo))
        below = sp.integrate(H**k * PHI, (H, -sp.oo, C_CUT))
        assert sp.simplify((above + below - claimed).rewrite(sp.erf)) == 0


def test_moments_kept_and_removed_add_up() -> None:
    for k, (kept, total) in enumerate(zip(kept_moments(A, C_CUT), (1, 0, 1), strict=True)):
        inside = sp.integrate(H**k * PHI, (H, C_CUT, A))
        assert sp.simplify((kept + inside - total).rewrite(sp.erf)) == 0


def test_form_without_cancellation() -> None:
    p0, p1, p2 = sp.symbols("p0:3")
    square = M**2 * p0 + 2 * M * V * p1 + V**2 * p2
    textbook = B**2 - 2 * B * (M * p0 + V * p1) + square
    stable = B**2 * (1 - p0) + (B - M) ** 2 * p0 - 2 * (B - M) * V * p1 + V**2 * p2
    assert sp.expand(textbook - stable) == 0


def test_kept_share_of_the_noise_at_the_peak() -> None:
    q = sp.symbols("q", positive=True)
    share = kept_moments(q, -q)
    assert sp.simplify(share[2] - (2 * upper(q) + 2 * q * density(q))) == 0
    assert share[1] == 0


def test_stein_identity_with_the_jumps_of_a_hard_threshold() -> None:
    """E[u (x - m)] = v^2 (P(|x| <= t) - t (f(t) + f(-t))) for u = x 1{|x| <= t}, x = m + v H."""
    a, c = (T - M) / V, (-T - M) / V
    tail, first, second = kept_moments(a, c)
    left = M * V * (0 - first) + V**2 * (1 - second)
    right = V**2 * (1 - tail - T * (density(a) + density(c)) / V)
    assert sp.simplify((left - right).rewrite(sp.erf)) == 0


# Isotropic features, Gaussian coefficients -------------------------------------------------------

KAPPA, OMEGA, SHARE = sp.symbols("kappa omega D", positive=True)
ABOVE = {
    "gamma": SIGMA2 * KAPPA / (KAPPA - 1) + (1 - 1 / KAPPA) * OMEGA,
    "norm": OMEGA / KAPPA + SIGMA2 / (KAPPA - 1),
    "overlap": OMEGA / KAPPA,
    "slack": 0,
    "mu": KAPPA - 1,
}
BELOW = {
    "gamma": SIGMA2 / (1 - KAPPA),
    "norm": OMEGA + KAPPA * SIGMA2 / (1 - KAPPA),
    "overlap": OMEGA,
    "slack": 1 - KAPPA,
    "mu": 0,
}


def isotropic(case):
    """Risk and training loss when the share D of the squared norm is removed."""
    quadratic = SHARE * case["norm"]
    cross = SHARE * (case["overlap"] - case["norm"])
    values = {Q: quadratic, N: quadratic, C: cross, GAMMA: case["gamma"], SLACK: case["slack"]}
    return case["gamma"] + 2 * cross + quadratic, CLOSED.subs(values).subs(MU, case["mu"])


def test_variance_of_a_fitted_coordinate() -> None:
    zeta = 1 / KAPPA
    assert zero(zeta**2 * OMEGA + KAPPA * ABOVE["gamma"] * zeta**2 - ABOVE["norm"])
    assert zero(OMEGA + KAPPA * BELOW["gamma"] - BELOW["norm"])


def test_risk_is_linear_in_the_share_of_the_norm() -> None:
    risk, _ = isotropic(ABOVE)
    assert zero(risk - ABOVE["gamma"] - SHARE * (OMEGA / KAPPA - SIGMA2 / (KAPPA - 1)))
    risk, _ = isotropic(BELOW)
    assert zero(risk - BELOW["gamma"] - SHARE * (OMEGA - KAPPA * SIGMA2 / (1 - KAPPA)))


def test_one_curve_of_the_training_loss() -> None:
    _, loss = isotropic(ABOVE)
    assert zero(loss - SHARE * (1 - SHARE) * ABOVE["norm"] - SHARE**2 * (OMEGA + SIGMA2))
    _, loss = isotropic(BELOW)
    claimed = SIGMA2 * (1 - KAPPA) + SHARE * BELOW["norm"]
    assert zero(loss - claimed + SHARE**2 * KAPPA**2 * SIGMA2 / (1 - KAPPA))


def test_quadratic_for_the_tolerated_share() -> None:
    x, tolerance = sp.symbols("x epsilon", positive=True)
    root = 2 * tolerance / (x + sp.sqrt(x**2 + 4 * (1 - x) * tolerance))
    assert sp.simplify(x * root + (1 - x) * root**2 - tolerance) == 0


# Training loss: leave one row out ----------------------------------------------------------------


def test_sherman_morrison_gives_move_and_residual() -> None:
    """One row added to a ridge fit with two features, exactly."""
    gram = sp.Matrix(2, 2, sp.symbols("g1 g2 g2 g3"))
    row, target = sp.Matrix(sp.symbols("x1 x2")), sp.symbols("y")
    moment = sp.Matrix(sp.symbols("w1 w2"))  # X'y of the other rows
    inverse = gram.inv()
    before = inverse * moment
    error = target - row.dot(before)
    leverage = (row.T * inverse * row)[0]
    after = (gram + row * row.T).inv() * (moment + row * target)
    move = after - before - inverse * row * error / (1 + leverage)
    assert move.applyfunc(sp.simplify) == sp.zeros(2, 1)
    assert sp.simplify(target - row.dot(after) - error / (1 + leverage)) == 0


def test_shift_is_the_same_for_ridge_and_least_squares() -> None:
    """(1 - k0) n M = 1 / (lambda + mu), and the leverage is k0 / (1 - k0)."""
    ridge, k0, ratio = sp.symbols("rho k0 ratio", positive=True)
    equivalent = MU / (N_SAMPLES * ridge) / (LAMBDA + MU)
    scaled = (1 - k0) * N_SAMPLES * equivalent
    assert zero(scaled.subs(ridge, MU * (1 - k0)) - 1 / (LAMBDA + MU))
    leverage = (MU / ridge * k0).subs(ridge, MU * (1 - k0))
    assert zero(leverage - k0 / (1 - k0))
    p = ratio * N_SAMPLES  # least squares: M = 1 / (lambda (n - p)), k0 = p / n
    assert zero((1 - ratio) * N_SAMPLES / (LAMBDA * (N_SAMPLES - p)) - 1 / LAMBDA)
    assert zero(p / (N_SAMPLES - p) - ratio / (1 - ratio))


def test_elimination_of_the_slope() -> None:
    with_slope = Q + 2 * (SLOPE + SLACK) * C + (SLOPE + SLACK) ** 2 * GAMMA
    assert zero(with_slope.subs(SLOPE, (MU * N - C) / GAMMA) - CLOSED)


def test_two_formulas_for_the_slope_agree() -> None:
    """Coordinate by coordinate, with Stein's identity for E[u (x - m)]."""
    linear, square, slope = sp.symbols("Eu Eux Eslope")
    variance = LAMBDA / (LAMBDA + MU)  # zeta
    stein = {square: variance * B * linear + GAMMA * variance**2 / (N_SAMPLES * LAMBDA) * slope}
    from_normal_equations = MU * square - LAMBDA * (B * linear - square)
    assert zero(from_normal_equations.subs(stein) - GAMMA / N_SAMPLES * variance * slope)


def test_special_cases() -> None:
    assert zero(CLOSED.subs(SLACK, 0) - Q - (MU**2 * N**2 - C**2) / GAMMA)
    assert zero(CLOSED.subs(MU, 0) - GAMMA * SLACK**2 - Q + C**2 / GAMMA)
    assert zero(CLOSED.subs({Q: 0, N: 0, C: 0}) - GAMMA * SLACK**2)


def test_everything_removed_leaves_the_variance_of_a_label() -> None:
    """The slope is then k0 = 1 - slack, so that Q + 2 C + gamma is left: the risk of zero."""
    with_slope = Q + 2 * (SLOPE + SLACK) * C + (SLOPE + SLACK) ** 2 * GAMMA
    left = with_slope.subs(SLOPE, 1 - SLACK)
    assert zero(left - (Q + 2 * C + GAMMA))
    noise = sp.symbols("noise", positive=True)  # variance of one coordinate
    square = ZETA**2 * B**2 + noise
    quadratic, cross = LAMBDA * square, LAMBDA * (ZETA * B**2 - square)
    gamma = SIGMA2 + LAMBDA * ((1 - ZETA) ** 2 * B**2 + noise)
    assert zero(quadratic + 2 * cross + gamma - SIGMA2 - LAMBDA * B**2)


# Training loss: Gaussian conditioning ------------------------------------------------------------


def test_both_derivations_agree() -> None:
    ridge = MU * SLACK
    along = (SLACK**2 * GAMMA + ridge * N) ** 2 / (SLACK**2 * GAMMA)
    noise = SIGMA2 - SIGMA2**2 / GAMMA
    excess = GAMMA - SIGMA2
    across = C**2 / excess**2 * noise + Q - C**2 / excess
    assert zero(across - (Q - C**2 / GAMMA))
    assert zero(along + across - CLOSED)
    # The interpolator, where the residual is zero and the dual vector takes its place.
    assert zero(N**2 / (GAMMA / MU**2) - MU**2 * N**2 / GAMMA)


def test_component_of_the_removed_part_along_the_error() -> None:
    excess = GAMMA - SIGMA2
    part = -C / excess
    # |u|^2 = part^2 |d|^2 + |u_perp|^2, u'd = part |d|^2, in the metric of Sigma.
    assert zero(part * excess + C)
    assert zero(Q - part**2 * excess - (Q - C**2 / excess))


def test_overlap_of_dual_vector_and_noise() -> None:
    """|fit|^2 - fit' true tends to sigma^2 / mu: by cor-law-norm minus the mean of the law."""
    zeta = LAMBDA / (LAMBDA + MU)
    fitted = zeta * B * (zeta * B - B)
    bias = LAMBDA * (1 - zeta) ** 2 * B**2
    assert zero(fitted + bias / MU)
    spread = GAMMA * zeta**2 / LAMBDA
    assert zero(spread - GAMMA * zeta * (1 - zeta) / MU)
    # Sum over features: gamma (1/n) sum zeta (1 - zeta) = sigma^2 + sum of the biases.
    total_bias = sp.symbols("bias", positive=True)
    assert zero((SIGMA2 + total_bias) / MU - total_bias / MU - SIGMA2 / MU)


def test_overlap_of_ridge_residual_and_noise() -> None:
    """n rho fit'(fit - true) = e'noise - |e|^2 has the limit n slack sigma^2 - n slack^2 gamma."""
    # Ridge: sum zeta (1 - zeta) + n slack = V = n (sigma^2 + bias) / gamma.
    bias, penalty = sp.symbols("bias rho", positive=True)
    flow = N_SAMPLES * (SIGMA2 + bias) / GAMMA - N_SAMPLES * SLACK
    difference = GAMMA * flow / (N_SAMPLES * MU) - bias / MU  # |fit|^2 - fit' true
    claimed = SLACK * SIGMA2 - SLACK**2 * GAMMA
    assert zero((penalty * difference).subs(penalty, MU * SLACK) - claimed)


# The right end of the curve ----------------------------------------------------------------------


def test_moments_below_a_small_threshold() -> None:
    """Expansion of count, first and second moment of a density with f, f', f'' at zero."""
    f0, f1, f2, x = sp.symbols("f0 f1 f2 x")
    shape = f0 + f1 * x + f2 * x**2 / 2
    count, first, second = (sp.integrate(x**k * shape, (x, -T, T)) for k in range(3))
    assert sp.expand(count - 2 * T * f0).coeff(T, 1) == 0
    assert sp.expand(first - sp.Rational(2, 3) * T**3 * f1) == 0
    assert sp.expand(second).coeff(T, 3) == sp.Rational(2, 3) * f0
    # The mean slope with its jumps: 2 t f - t (f(t) + f(-t)) and so on, of order t^3.
    edges = T * (shape.subs(x, T) + shape.subs(x, -T))
    assert sp.expand(count - edges + sp.Rational(2, 3) * T**3 * f2) == 0


def test_constant_of_the_cube() -> None:
    p, delta, total, weighted = sp.symbols("p delta F G", positive=True)
    threshold = p * delta / (2 * total)
    loss = sp.Rational(2, 3) * threshold**3 * weighted
    assert zero(loss - (p * delta) ** 3 / 12 * weighted / total**3)
    assert zero(loss.subs(weighted, total) - (p * delta) ** 3 / 12 / total**2)


def test_cube_of_ridge_has_the_penalty_in_it() -> None:
    """The increase over the unpruned loss is Q + 2 rho N to first order in the moments."""
    small = sp.symbols("small", positive=True)
    increase = CLOSED.subs({Q: small * Q, N: small * N, C: small * C}) - GAMMA * SLACK**2
    first = sp.diff(increase, small).subs(small, 0)
    assert zero(first - (Q + 2 * SLACK * MU * N))
