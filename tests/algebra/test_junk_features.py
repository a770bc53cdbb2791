"""The algebra behind train-large-then-prune with junk features: they are a ridge.

a = s / n, eta = |beta*|^2, rho = c / n with c the total variance of the junk features.
"""

import sympy as sp

A, ZETA, ETA, SIGMA2, RHO, C = sp.symbols("a zeta eta sigma2 rho c", positive=True)
RISK = (SIGMA2 + ETA * (1 - ZETA) ** 2) / (1 - A * ZETA**2)
STATIONARY = ETA * (1 - ZETA) * (1 - A * ZETA) - A * SIGMA2 * ZETA
PENALTY = (1 - A * ZETA) * (1 - ZETA) / ZETA  # from a zeta + rho zeta / (1 - zeta) = 1


def zero(expression) -> bool:
    return sp.simplify(expression) == 0


def test_without_junk_the_risk_is_that_of_least_squares() -> None:
    assert zero(RISK.subs(ZETA, 1) - SIGMA2 / (1 - A))


def test_slope_without_junk() -> None:
    assert zero(sp.diff(RISK, ZETA).subs(ZETA, 1) - 2 * A * SIGMA2 / (1 - A) ** 2)


def test_slope_and_stationarity() -> None:
    slope = -2 * STATIONARY / (1 - A * ZETA**2) ** 2
    assert zero(sp.diff(RISK, ZETA) - slope)


def test_stationarity_changes_sign_once() -> None:
    """Decreasing on [0, 1] from eta to -a sigma^2."""
    assert zero(STATIONARY.subs(ZETA, 0) - ETA)
    assert zero(STATIONARY.subs(ZETA, 1) + A * SIGMA2)
    slope = sp.diff(STATIONARY, ZETA)
    falling = -ETA * (1 - A * ZETA) - A * ETA * (1 - ZETA) - A * SIGMA2
    assert zero(slope - falling)


def test_least_risk() -> None:
    at_optimum = sp.solve(STATIONARY, SIGMA2)[0]
    assert zero(RISK.subs(SIGMA2, at_optimum) - ETA * (1 - ZETA) / (A * ZETA))


def test_best_junk_energy_is_the_best_ridge() -> None:
    """At the optimum rho = a sigma^2 / eta, that is c = s sigma^2 / eta."""
    at_optimum = sp.solve(STATIONARY, SIGMA2)[0]
    assert zero(PENALTY - (A * SIGMA2 / ETA).subs(SIGMA2, at_optimum))


def test_example() -> None:
    values = {A: sp.Rational(1, 2), ETA: 2, SIGMA2: 1}
    (best,) = [root for root in sp.solve(STATIONARY.subs(values), ZETA) if 0 < root < 1]
    assert zero(best - (7 - sp.sqrt(17)) / 4)
    assert zero(RISK.subs(values).subs(ZETA, best) - (sp.sqrt(17) - 1) / 2)
    assert RISK.subs(values).subs(ZETA, 1) == 2


def test_infinitely_many_junk_features_are_a_ridge() -> None:
    """A' (A A' + c)^-1 = (A' A + c)^-1 A', for a design of two samples and one feature."""
    x, y, u, v = sp.symbols("x y u v", real=True)
    design, labels = sp.Matrix([x, y]), sp.Matrix([u, v])
    kernel = design * design.T + C * sp.eye(2)
    dual = (design.T * kernel.inv() * labels)[0]
    primal = (design.T * labels)[0] / ((design.T * design)[0] + C)
    assert zero(dual - primal)


def test_ridge_risk_from_the_marchenko_pastur_equation() -> None:
    """With M = (1 - zeta) / rho, the limit of tr (A'A/n + rho)^-1 / s."""
    transform = (1 - ZETA) / PENALTY
    assert zero(1 / transform - PENALTY - 1 / (1 + A * transform))
    slope = 1 / sp.diff(PENALTY, ZETA)  # d zeta / d rho
    assert zero(slope + ZETA**2 / (1 - A * ZETA**2))
    square = -sp.diff(transform, ZETA) * slope
    risk = SIGMA2 + ETA * PENALTY**2 * square + A * SIGMA2 * (transform - PENALTY * square)
    assert zero(risk - RISK)


def test_projection_moments() -> None:
    """E Q_ij^2 for a uniform projection of rank r in dimension k, from the beta law of Q_ii."""
    k, r = sp.symbols("k r", positive=True)
    square = r * (r + 2) / (k * (k + 2))
    off = r * (k - r) / (k * (k - 1) * (k + 2))
    assert zero(square + (k - 1) * off - r / k)
