"""The algebra behind retraining on the same data, step by step.

Notation, after whitening: signal b, error delta and q = mu Sigma^(-1/2) beta_hat of the dense fit
x = b + delta; kept part _s, removed part _n. All numbers are inner products of these vectors.
"""

import sympy as sp

NOISE, GAMMA, MU, RHO, N = sp.symbols("sigma^2 gamma mu rho n", positive=True)
SIZE = sp.symbols("s", positive=True)
BB, DB, DD_N = sp.symbols("bn.bn deltan.bn deltan.deltan", real=True)  # removed
QX_N = sp.symbols("qn.xn", real=True)
DD, QD, QQ = sp.symbols("deltas.deltas qs.deltas qs.qs", real=True)  # kept
G = NOISE + DD_N  # the removed part's share of gamma
RISK = G + DD  # gamma = sigma^2 + |delta|^2


def zero(expression) -> bool:
    simple = sp.simplify(expression)
    return simple.is_zero_matrix if isinstance(simple, sp.MatrixBase) else simple == 0


def vector(name: str, size: int) -> sp.Matrix:
    return sp.Matrix(sp.symbols(f"{name}:{size}", real=True))


def test_rows_that_the_fit_explains() -> None:
    """Precision I + delta delta^T / sigma^2 is the covariance of phi given zero residual."""
    delta = vector("delta", 3)
    gamma = NOISE + delta.dot(delta)
    covariance = sp.eye(3) - delta * delta.T / gamma
    precision = sp.eye(3) + delta * delta.T / NOISE
    assert zero(covariance * precision - sp.eye(3))
    # The residual is sigma z - phi . delta: Cov(phi, residual) = -delta, variance gamma.
    conditional = sp.eye(3) - (-delta) * (-delta).T / gamma
    assert zero(covariance - conditional)


def test_regression_of_the_labels_on_the_survivors() -> None:
    """Labels Phi x = Phi_s theta + e: theta - b_s = r0 delta_s, the precision of Phi_s, Var e."""
    kept, removed, signal = vector("d", 2), vector("e", 2), vector("b", 4)
    delta = sp.Matrix([*kept, *removed])
    fit = signal + delta
    gamma = NOISE + delta.dot(delta)
    share = NOISE + removed.dot(removed)
    covariance = sp.eye(4) - delta * delta.T / gamma
    inverse = covariance[:2, :2].inv()
    assert zero(inverse - sp.eye(2) - kept * kept.T / share)
    carried = inverse * covariance[:2, 2:] * fit[2:, :]
    r0 = (NOISE - removed.dot(signal[2:, :])) / share
    assert zero(fit[:2, :] + carried - signal[:2, :] - r0 * kept)
    schur = covariance[2:, 2:] - covariance[2:, :2] * inverse * covariance[:2, 2:]
    variance = (fit[2:, :].T * schur * fit[2:, :])[0]
    lost = fit[2:, :]
    assert zero(variance - lost.dot(lost) + removed.dot(lost) ** 2 / share)


def solution():
    """Solve the two equations, stated with the row along alpha still in it."""
    r, m = sp.symbols("r m")
    slack = GAMMA * RHO / MU
    share = SIZE / N
    equations = (
        r * G - m * QD - (NOISE - DB),
        r * QD + m * (GAMMA * (1 - share) + QQ) - (QD + QX_N + slack),
    )
    found = sp.solve(equations, (r, m), dict=True)[0]
    return found[r], found[m]


def test_two_equations_from_one_special_row() -> None:
    """Sherman-Morrison: add the row q_s / (mu |alpha|) to a refit with n - s rows to spare."""
    r, m = solution()
    r0 = (NOISE - DB) / G
    norm = GAMMA / (N * MU**2)  # |alpha|^2
    spare = N - SIZE
    length = (QQ + QD**2 / G) / MU**2 / norm / spare  # u^T W^-1 u
    missed = (QX_N / MU + QD / MU * (1 - r0) + N * RHO * norm) / sp.sqrt(norm)
    weight = missed / (1 + length)
    # W^-1 u = (v_s + delta_s (v_s . delta_s) / G) / (|alpha| (n - s))
    along_q = weight / (sp.sqrt(norm) * spare * MU)
    along_delta = r0 + weight * QD / MU / G / (sp.sqrt(norm) * spare)
    assert zero(m - along_q)
    assert zero(r - along_delta)


def test_risk_from_the_moments_of_the_inverse_wishart() -> None:
    """|r delta + m q|^2, plus what W^-1 and W^-2 add at random, is the stated risk."""
    r, m = sp.symbols("r m")
    r0 = r - m * QD / G
    share = SIZE / (N - SIZE)
    fit_n = BB + 2 * DB + DD_N
    residual = fit_n - (DB + DD_N) ** 2 / G  # Var e
    systematic = r**2 * DD + 2 * r * m * QD + m**2 * QQ
    random = m**2 * share * (QQ + QD**2 / G)
    risk = NOISE + BB + systematic + random + share * residual
    stated = (NOISE + BB + systematic - r**2 * RISK * SIZE / N) / (1 - SIZE / N)
    first = r0 - (NOISE - DB) / G  # zero by the first equation
    solved = {DB: sp.solve(first, DB)[0]}
    assert zero((risk - stated).subs(solved))


def test_right_side_without_the_penalty() -> None:
    """q . delta = sigma^2 - gamma rho / mu under the law, by the two equations of mu and gamma."""
    first, second, b1, b2 = sp.symbols("lambda1 lambda2 b1 b2", positive=True)
    zetas = [value / (value + MU) for value in (first, second)]
    count = sum(zetas) + N * RHO / MU  # = n
    bias = sum((1 - z) ** 2 * b**2 for z, b in zip(zetas, (b1, b2), strict=True))
    product = sum(
        -((1 - z) ** 2) * b**2 + GAMMA / N * z * (1 - z)
        for z, b in zip(zetas, (b1, b2), strict=True)
    )
    noise = GAMMA * (1 - sum(z**2 for z in zetas) / N) - bias  # the definition of gamma
    gap = product - (noise - GAMMA * RHO / MU)
    assert zero(gap - GAMMA * (count - N) / N)


def test_leave_one_out_gives_the_same_equations() -> None:
    """R12 = r gamma and Stein's identity with c / n = r - m are linear combinations of them."""
    r, m, qb = sp.symbols("r m qn.bn")
    # R12 = sigma^2 + delta . (beta_tilde - b): kept r delta + m q, removed -b.
    cross = NOISE - DB + r * DD + m * QD - r * RISK
    assert zero(cross + (r * G - m * QD - (NOISE - DB)))
    # sum E[beta_tilde g]: kept b + r delta + m q against delta + q; b . (delta + q) sums to 0.
    stein = -(DB + qb) + r * (DD + QD) + m * (QD + QQ)
    balance = stein - (r - m) * RISK - m * RISK * SIZE / N
    second = r * QD + m * (RISK * (1 - SIZE / N) + QQ) - (NOISE + qb)
    assert zero(balance - cross - second)


def test_selection_without_looking_gives_the_fresh_risk() -> None:
    """Independent survival with probabilities P: r = m solves both equations, nothing is added."""
    r = sp.symbols("r")
    kept, zetas, signal = vector("P", 2), vector("zeta", 2), vector("b", 2)
    removed = sp.ones(2, 1) - kept
    spread = GAMMA / N  # variance of delta_i + q_i, one standard normal in both

    def inner(first, second, weights):
        pairs = zip(first, second, weights, strict=True)
        return sum(w * (a[0] * c[0] + spread * a[1] * c[1]) for a, c, w in pairs)

    b = [(signal[i], 0) for i in range(2)]
    delta = [(-(1 - zetas[i]) * signal[i], zetas[i]) for i in range(2)]
    q = [((1 - zetas[i]) * signal[i], 1 - zetas[i]) for i in range(2)]
    noise = GAMMA - inner(delta, delta, sp.ones(2, 1))
    share = sum(kept) / N
    pulled = inner(q, delta, kept)
    first = r * (noise + inner(delta, delta, removed)) - r * pulled
    first -= noise - inner(delta, b, removed)
    second = r * pulled + r * (GAMMA * (1 - share) + inner(q, q, kept))
    second -= noise + inner(q, b, removed)
    assert zero(first - second)
    drift = r**2 * (inner(delta, delta, kept) + 2 * pulled + inner(q, q, kept))
    assert zero(drift - r**2 * GAMMA * share)
