"""Claims of computer algebra: expressions that must be zero."""

import random
from collections.abc import Callable
from typing import Any, Final

import sympy

from bookkit.claims import conclude
from bookkit.evidence import Claim

# Tried in this order until one of them arrives at zero, the cheap ones first.
# None of them makes zero of an expression that is not zero.
_STRATEGIES: Final[tuple[Callable[[Any], Any], ...]] = (
    # For rational functions, and much faster than to cancel common factors.
    lambda e: sympy.expand(sympy.fraction(sympy.together(e))[0]),
    sympy.simplify,
    lambda e: sympy.radsimp(sympy.together(e)),
    sympy.trigsimp,
    lambda e: sympy.simplify(sympy.powdenest(sympy.expand_log(e))),
    lambda e: sympy.simplify(e.rewrite(sympy.erf)),
    lambda e: sympy.simplify(e.rewrite(sympy.exp)),
)
_TRIES: Final = 3

# SymPy has no type information: an expression, or a matrix or list of them.
Expressions = Any


def claim_identity(label: str, expressions: Expressions, *, what: str) -> None:
    """Check that expressions are identically zero; raise if not proved.

    Parameters
    ----------
    label
        Label of the statement that is checked.
    expressions
        SymPy expression, or a list or matrix of them, each of which must be
        zero for all values of its symbols. Put assumptions such as
        ``positive=True`` on the symbols.
    what
        What is proved, in words, for the verdict line.

    Raises
    ------
    bookkit.ClaimError
        If an expression is not proved to be zero. The message says whether it
        is false, with a point where it is not zero, or merely not proved.
    ValueError
        If there is no expression.
    TypeError
        If something is not an expression, such as an equation.

    Examples
    --------
    >>> x = sympy.symbols("x")
    >>> claim_identity("eq-sq", (x + 1)**2 - x**2 - 2*x - 1, what="a square")
    """
    flat = _flatten(expressions)
    if not flat:
        raise ValueError("`expressions` is empty: there is nothing to prove")
    failures = [
        f"expression {number} of {len(flat)}, {sympy.sstr(expression)}, {failure}"
        for number, expression in enumerate(flat, start=1)
        if (failure := _failure(expression))
    ]
    conclude(
        Claim(
            label,
            what,
            "identity",
            len(flat),
            worst=float(len(failures)),
            limit=0.0,
            passed=not failures,
        ),
        "; ".join(failures),
    )


def _flatten(expressions: Expressions) -> list[Any]:
    if isinstance(expressions, sympy.MatrixBase | list | tuple):
        return [e for part in expressions for e in _flatten(part)]
    expression = sympy.sympify(expressions)
    if not isinstance(expression, sympy.Expr):
        raise TypeError(
            f"{expression} is not an expression: write an equation as the difference of its sides"
        )
    return [expression]


def _failure(expression: Any) -> str:
    """Say why an expression is not accepted as zero; nothing if it is."""
    # Points first: they expose what is false at once, proofs can take long.
    symbols = sorted(expression.free_symbols, key=lambda s: s.name)
    draw = random.Random(0)  # noqa: S311 - a failure is the same on every run
    for _ in range(_TRIES):
        point = {symbol: _rational(symbol, draw) for symbol in symbols}
        value = expression.evalf(30, subs=point)
        if value.is_number and value.is_finite and abs(value) > 1e-9:
            where = ", ".join(f"{s} = {x}" for s, x in point.items())
            return f"is not zero: at {where or 'every point'} it is {value:.6}"
    if any(strategy(expression) == 0 for strategy in _STRATEGIES):
        return ""
    return (
        f"is not proved to be zero: no simplification succeeds, although it vanishes at {_TRIES} "
        "random points; rewrite it, or give its symbols their assumptions"
    )


def _rational(symbol: Any, draw: random.Random) -> Any:
    """Return a random rational that satisfies the assumptions on `symbol`."""
    number = sympy.Rational(draw.randint(1, 40), draw.randint(1, 40))
    if symbol.is_integer:
        number = sympy.Integer(draw.randint(1, 40))
    if symbol.is_negative or (not symbol.is_positive and draw.random() < 0.5):
        number = -number
    return number
