"""Claims pass when they hold, fail when they do not, and say what went wrong."""

import numpy as np
import pytest
import sympy
from scipy import stats

import bookkit
from bookkit.claims import BUDGET, FALSE_ALARM, Z_LIMIT


def test_limit_bounds_the_false_alarms_of_the_whole_book():
    assert 2 * stats.norm.sf(Z_LIMIT) * BUDGET == pytest.approx(FALSE_ALARM)
    assert pytest.approx(5.45, abs=0.005) == Z_LIMIT


def test_verdict_of_a_passing_claim(capsys):
    bookkit.claim("thm-a", [1, 2], [1.01, 2.03], 0.01, what="two means")
    assert "✓ thm-a: two means; worst |z| = 3.0 of 5.5 allowed over 2 comparisons" in (
        capsys.readouterr().out
    )


def test_failing_claim_names_the_worst_comparison():
    with pytest.raises(bookkit.ClaimError) as failure:
        bookkit.claim("thm-a", [[1.0, 2.0]], [[1.001, 2.5]], 0.01, what="two means", bias=0.1)
    assert str(failure.value) == (
        "thm-a: two means: worst at index [0, 1] of 2: predicted 2, measured 2.5, "
        "standard error 0.01, bias 0.1, z = 40, limit 5.45"
    )


def test_failed_claim_leaves_a_failed_verdict_even_if_the_error_is_caught(capsys):
    with pytest.raises(bookkit.ClaimError):
        bookkit.claim("thm-a", 0, 1, 0.01, what="a mean")
    assert "FAILED thm-a: a mean" in capsys.readouterr().out


@pytest.mark.parametrize("side", [-1, 1])
def test_limit_is_sharp(side):
    bookkit.claim("thm-a", 0, side * 0.99 * Z_LIMIT, 1, what="just inside")
    with pytest.raises(bookkit.ClaimError):
        bookkit.claim("thm-a", 0, side * 1.01 * Z_LIMIT, 1, what="just outside")


@pytest.mark.parametrize("freedom", [1, 4, 19, 1000])
def test_estimated_errors_are_judged_by_student_t(freedom):
    t = stats.t.isf(stats.norm.sf(Z_LIMIT), freedom)
    arguments = {"what": "a mean", "degrees_of_freedom": freedom}
    bookkit.claim("thm-a", 0, 0.999 * t, 1, **arguments)
    with pytest.raises(bookkit.ClaimError):
        bookkit.claim("thm-a", 0, 1.001 * t, 1, **arguments)


def test_huge_t_is_a_finite_failure():
    with pytest.raises(bookkit.ClaimError, match=r"z = \d+\.?\d*, limit"):
        bookkit.claim("thm-a", 0, 1e200, 1, what="far off", degrees_of_freedom=99)


def test_bias_allows_its_size_and_no_more():
    bookkit.claim("thm-a", 1.0, 1.1, 1e-9, what="biased", bias=0.1 + 1e-12)
    with pytest.raises(bookkit.ClaimError):
        bookkit.claim("thm-a", 1.0, 1.1, 1e-9, what="biased", bias=0.09)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("position", range(3))
def test_a_number_that_is_not_finite_fails(bad, position, capsys):
    numbers = [1.0, 1.0, 0.1]
    numbers[position] = bad
    with pytest.raises(bookkit.ClaimError, match=str(bad)):
        bookkit.claim("thm-a", *numbers, what="broken")
    assert "a number is not finite" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 0.0), "must be positive; .* use `claim_close`"),
        ((0, 0, -1.0), "`standard_error` must be positive"),
        (([1, 2], [1, 2, 3], 1), r"do not broadcast together: `predicted` \(2,\), `measured`"),
        (([], [], 1), "nothing to compare"),
    ],
)
def test_arguments_that_make_no_comparison(arguments, message):
    with pytest.raises(ValueError, match=message):
        bookkit.claim("thm-a", *arguments, what="nothing")


def test_negative_bias_and_no_freedom_are_errors():
    with pytest.raises(ValueError, match="`bias` must not be negative"):
        bookkit.claim("thm-a", 0, 0, 1, what="nothing", bias=-1)
    with pytest.raises(ValueError, match="`degrees_of_freedom` must be at least 1"):
        bookkit.claim("thm-a", 0, 0, 1, what="nothing", degrees_of_freedom=0)


def test_close(capsys):
    bookkit.claim_close("eq-a", [1.0, 0.0], [1.0 + 1e-12, 0.0], what="two routes")
    assert "worst relative difference 1.0e-12 of 1e-10 allowed" in capsys.readouterr().out
    with pytest.raises(bookkit.ClaimError, match=r"eq-a: .* index \[1\] of 2: .* limit 1e-10"):
        bookkit.claim_close("eq-a", [1.0, 0.0], [1.0, 1e-12], what="two routes")
    bookkit.claim_close("eq-a", [1.0, 0.0], [1.0, 1e-12], what="two routes", atol=1e-11)
    with pytest.raises(bookkit.ClaimError, match="nan"):
        bookkit.claim_close("eq-a", np.nan, np.nan, what="two routes")
    with pytest.raises(ValueError, match="need 0 < `rtol` < 1"):
        bookkit.claim_close("eq-a", 1, 1, what="two routes", rtol=0)
    with pytest.raises(ValueError, match="need 0 < `rtol` < 1"):
        bookkit.claim_close("eq-a", 1.0, -5.0, what="two routes", rtol=2.0)


X, Y = sympy.symbols("x y", positive=True)


@pytest.mark.parametrize(
    "zero",
    [
        (X + Y) ** 2 - X**2 - 2 * X * Y - Y**2,
        sympy.log(X * Y) - sympy.log(X) - sympy.log(Y),
        1 / (sympy.sqrt(X) + sympy.sqrt(Y)) - (sympy.sqrt(X) - sympy.sqrt(Y)) / (X - Y),
        sympy.sin(X) ** 2 + sympy.cos(X) ** 2 - 1,
        sympy.Matrix([[X - X, X * Y - Y * X]]),
        [X / Y - 1 / (Y / X), 0],
    ],
    ids=str,
)
def test_identities_that_hold(zero):
    bookkit.claim_identity("eq-a", zero, what="an identity")


def test_false_identity_is_refuted_at_a_point():
    with pytest.raises(bookkit.ClaimError) as failure:
        bookkit.claim_identity("eq-a", [X - X, (X + Y) ** 2 - X**2 - Y**2], what="a square")
    message = str(failure.value)
    assert "eq-a: a square: expression 2 of 2" in message
    assert "is not zero: at x = " in message


class _Riddle(sympy.Function):
    """Zero everywhere, but only numerically."""

    def _eval_evalf(self, prec):
        return sympy.Float(0, precision=prec)


def test_identity_that_is_not_proved_is_not_claimed():
    with pytest.raises(bookkit.ClaimError, match="not proved to be zero: no simplification"):
        bookkit.claim_identity("eq-a", _Riddle(X), what="a riddle")


def test_identity_needs_expressions():
    with pytest.raises(ValueError, match="there is nothing to prove"):
        bookkit.claim_identity("eq-a", [], what="nothing")
    with pytest.raises(TypeError, match="is not an expression: write an equation as the"):
        bookkit.claim_identity("eq-a", sympy.Eq(X, Y), what="an equation")
