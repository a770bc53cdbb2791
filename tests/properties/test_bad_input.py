"""Whatever a caller passes: a finite answer, or a ValueError that says what to do instead."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam import (
    LinearGaussianProblem,
    MonteCarlo,
    best_preconditioner,
    compress_spectrum,
    estimate_law,
    exact_risk,
    fit,
    min_norm_law,
    natural_gradient_fit,
    natural_gradient_risk,
    plan,
    power_preconditioner,
    prune,
    pruned_risk,
    retrained_risk,
    ridge_law,
    risk_curve,
    simulate,
    simulate_risks,
    solve_effective_ridge,
)

GOOD = LinearGaussianProblem(np.ones(6), np.ones(6), 0.5)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.complex_numbers(), st.floats(), st.integers(),
    st.sampled_from([np.nan, np.inf, -np.inf, -1, 0, 10**400, 1e308, 5e-324, np.float32(2), "3"]),
)  # fmt: skip
ARRAYS = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=7),
    st.lists(st.floats(), max_size=7),
    st.lists(st.floats(0, 1e308), min_size=6, max_size=6),
    st.lists(st.lists(st.floats(-10, 10), min_size=2, max_size=2), max_size=3),
    st.lists(st.integers(-3, 9), max_size=7),
    st.sampled_from(
        [np.zeros((0, 3)), np.ones((2, 3)), np.ones((6, 6)), -np.eye(6), np.triu(np.ones((6, 6))),
         np.ones((1, 2, 3)), np.array([object()]), np.ones(6, dtype=complex), np.ones(6, bool),
         np.zeros(6), np.full(6, 1e-320), np.array(["a"] * 6), [[1, 2], [3]], {"a": 1}]
    ),
)  # fmt: skip


def small(value: Any) -> Any:
    """Return `value`, but no integer that would only take long."""
    return min(value, 9) if isinstance(value, int) else value


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "problem covariance": lambda a, s: LinearGaussianProblem(a, np.ones(6), 0.5),
    "problem coefficients": lambda a, s: LinearGaussianProblem(np.ones(6), a, s),
    "problem all": lambda a, s: LinearGaussianProblem(a, a, s),
    "sample": lambda a, s: GOOD.sample(small(s), a),
    "risk": lambda a, s: GOOD.risk(a),
    "restrict": lambda a, s: GOOD.restrict(a),
    "solve n": lambda a, s: solve_effective_ridge(np.ones(6), s),
    "solve variances": lambda a, s: solve_effective_ridge(a, 3).value,
    "solve penalty": lambda a, s: solve_effective_ridge(a, 3, s).value,
    "compress": lambda a, s: compress_spectrum(a, a).counts,
    "min_norm_law": lambda a, s: min_norm_law(GOOD, s).risk,
    "min_norm_law problem": lambda a, s: min_norm_law(a, 3).risk,
    "ridge_law": lambda a, s: ridge_law(GOOD, 6, s).risk,
    "risk_curve": lambda a, s: risk_curve(GOOD, a).risk,
    "exact_risk": lambda a, s: exact_risk(GOOD, s),
    "draw": lambda a, s: min_norm_law(GOOD, 3).draw(np.random.default_rng(0), a),
    "draw rng": lambda a, s: min_norm_law(GOOD, 3).draw(a, 2),
    "fit": fit,
    "fit penalty": lambda a, s: fit(np.ones((2, 3)), np.ones(2), s),
    "fit labels": lambda a, s: fit(np.ones((2, 3)), a),
    "simulate": lambda a, s: simulate(lambda rng: a, 2, 0).mean,
    "simulate seed": lambda a, s: simulate(lambda rng: 1.0, 2, s).mean,
    "simulate replicates": lambda a, s: simulate(lambda rng: 1.0, small(s), 0).mean,
    "widths": lambda a, s: simulate_risks(GOOD, 3, a, 2, 0).mean,
    "widths n": lambda a, s: simulate_risks(GOOD, small(s), [2], 2, 0).mean,
    "plan": lambda a, s: plan(a, np.arange(20.0), 0.5).difference,
    "plan labels": lambda a, s: plan(np.eye(20), a, s).difference,
    "prune": lambda a, s: prune(a, 0.5, "magnitude"),
    "prune keep": lambda a, s: prune(np.ones(4), a, "magnitude"),
    "prune rule": lambda a, s: prune(np.ones(4), 0.5, s),
    "prune variances": lambda a, s: prune(np.ones(6), 0.5, "hessian", variances=a),
    "pruned_risk": lambda a, s: pruned_risk(min_norm_law(GOOD, 3), a, "magnitude"),
    "retrained_risk": lambda a, s: retrained_risk(min_norm_law(GOOD, 3), a, "hessian"),
    "retrained_risk data": lambda a, s: retrained_risk(min_norm_law(GOOD, 3), 0.1, "hessian", s),
    "estimate_law": lambda a, s: estimate_law(a, np.arange(2.0)).risk,
    "law preconditioner": lambda a, s: min_norm_law(GOOD, 3, preconditioner=a).risk,
    "ridge preconditioner": lambda a, s: ridge_law(GOOD, 6, 0.1, preconditioner=a).risk,
    "fit preconditioner": lambda a, s: fit(np.ones((2, 6)), np.ones(2), preconditioner=a),
    "power": power_preconditioner,
    "power damping": lambda a, s: power_preconditioner(np.ones(6), 1.0, s),
    "best": lambda a, s: best_preconditioner(GOOD, s),
    "best problem": lambda a, s: best_preconditioner(a, 3),
    "natural fit": lambda a, s: natural_gradient_fit(np.ones((2, 6)), np.ones(2), a),
    "natural fit features": lambda a, s: natural_gradient_fit(a, np.ones(2), a),
    "natural risk": lambda a, s: natural_gradient_risk(GOOD, 3, s),
    "natural risk n": lambda a, s: natural_gradient_risk(GOOD, s),
    "z_score": lambda a, s: MonteCarlo(np.array([1.0, 2.0])).z_score(a),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@given(array=ARRAYS, scalar=SCALARS)
def test_finite_answer_or_value_error(name: str, array: Any, scalar: Any) -> None:
    try:
        result = CALLS[name](array, scalar)
    except ValueError as error:
        message = str(error)
        assert message.startswith("`"), message
        assert " must " in message, message
        assert "but it is" in message, message
        assert message.endswith("."), message
        return
    if isinstance(result, (float, np.ndarray)):
        assert not np.any(np.isnan(result))
        assert np.all(np.isfinite(result))
