"""The algebra behind the chapter on natural gradient, step by step."""

import sympy as sp

N, P, M = sp.symbols("n p m", positive=True)
S2, SIGNAL = sp.symbols("sigma2 S", positive=True)
A, C, XI = sp.symbols("a c xi", positive=True)  # a = n/p, c = p/m


def zero(expression) -> bool:
    return sp.simplify(expression) == 0


def test_exact_risk_from_its_two_parts() -> None:
    """Risk of the whitened minimum-norm fit plus |fit|^2 (p-n)/(m-p+n-1)."""
    flow = N / (P - N - 1)
    population = S2 * (1 + flow) + SIGNAL * (1 - N / P)
    norm = SIGNAL * N / P + S2 * flow
    total = population + norm * (P - N) / (M - P + N - 1)
    stated = S2 * (1 + flow * (M - 1) / (M - P + N - 1)) + SIGNAL * (1 - N / P) * (
        1 + N / (M - P + N - 1)
    )
    assert zero(total - stated)


def test_marchenko_pastur_gives_the_same_limit() -> None:
    """Second route: the metric is a Wishart matrix in Haar position, the law does the rest."""
    root = A * (1 - C * (1 - A)) / (1 - A)
    stieltjes = A / XI  # m(-xi), from E zeta = a
    equation = 1 / stieltjes - (1 - C + C * XI * stieltjes + XI)
    assert zero(equation.subs(XI, root))
    # E zeta (1 - zeta) is the logarithmic derivative of a with respect to xi.
    flow = 1 / sp.diff(sp.log(root), A)
    variance = A / flow  # 1 / (1 - (p/n) E zeta^2)
    bias = (1 - A - flow) * variance
    sizes = {A: N / P, C: P / M}
    assert zero(variance.subs(sizes) - 1 - N * M / ((P - N) * (M - P + N)))
    assert zero(bias.subs(sizes) - (1 - N / P) * (1 + N / (M - P + N)))


def test_few_unlabelled_inputs_isotropic() -> None:
    """What is left after projection: p - m features, the lost signal as noise."""
    left = P - M
    noise = S2 + SIGNAL * M / P
    risk = noise * (1 + N / (left - N - 1)) + (1 - N / left) * SIGNAL * left / P
    stated = noise * (1 + N / (P - M - N - 1)) + SIGNAL * (P - M - N) / P
    assert zero(risk - stated)


def test_best_preconditioner_is_stationary_and_consistent() -> None:
    """zeta = (s + q) / (s + q + C) with q = sigma^2 / (p - n), gamma / n = q + C, for p = 3."""
    saliency = sp.symbols("s1:4", positive=True)
    q, ridge = sp.symbols("q C", positive=True)
    zeta = [(s + q) / (s + q + ridge) for s in saliency]
    n = sum(zeta)
    noise = q * (3 - n)
    bias = sum(s * (1 - z) ** 2 for s, z in zip(saliency, zeta, strict=True))
    gamma = (noise + bias) / (1 - sum(z**2 for z in zeta) / n)
    assert zero(gamma - n * (q + ridge))
    # Lagrange: derivative of numerator - gamma * denominator is the same for all features.
    slopes = [-2 * s * (1 - z) + 2 * (q + ridge) * z for s, z in zip(saliency, zeta, strict=True)]
    assert all(zero(slope - 2 * q) for slope in slopes)


def test_jensen() -> None:
    """With sum zeta = n the noise factor is least where all zeta agree."""
    deviation = sp.symbols("d", real=True)
    even = 1 / (1 - (N / P) ** 2 * P / N)
    assert zero(even - P / (P - N))
    square = (N / P + deviation) ** 2 + (N / P - deviation) ** 2
    assert zero(square - 2 * (N / P) ** 2 - 2 * deviation**2)
