"""Claims: statements of the book tied to checks that can fail.

The limit on ``|z|`` is fixed once for the whole book. Over a budget of
`BUDGET` comparisons a false alarm may occur in one run out of a thousand, so
that, by Bonferroni's inequality, each two-sided comparison may fail by chance
with probability ``FALSE_ALARM / BUDGET``.
"""

from html import escape
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bookkit.evidence import Claim, show

BUDGET: Final = 20_000
FALSE_ALARM: Final = 1e-3
Z_LIMIT: Final = float(-special.ndtri(FALSE_ALARM / BUDGET / 2))


class ClaimError(AssertionError):
    """A statement of the book that its check does not bear out."""


def claim(
    label: str,
    predicted: ArrayLike,
    measured: ArrayLike,
    standard_error: ArrayLike,
    *,
    what: str,
    degrees_of_freedom: ArrayLike | None = None,
    bias: ArrayLike = 0.0,
) -> None:
    r"""Check a prediction against Monte Carlo means; raise if it fails.

    The statistic is ``z = (|predicted - measured| - bias) / standard_error``,
    or zero when the difference is within `bias`. The claim fails when any
    ``z`` is beyond `Z_LIMIT`, about 5.5, or when any number is not finite.

    Parameters
    ----------
    label
        Label of the statement that is checked.
    predicted, measured, standard_error
        Numbers or arrays that broadcast together.
    what
        What is compared, in words, for the verdict line.
    degrees_of_freedom
        When the standard error is itself estimated from R replicates, R - 1:
        the statistic is then Student's t and is converted to the normal ``z``
        that is exceeded with the same probability.
    bias
        A *derived* bound on the finite-size difference between prediction and
        expectation, explained on the page; never a fitted allowance.

    Raises
    ------
    ClaimError
        If the claim fails. The message names the worst comparison.
    ValueError
        If the arguments make no comparison: shapes that do not broadcast,
        nothing to compare, a standard error that is not positive, a negative
        bias.

    Examples
    --------
    >>> claim("thm-mean", 1.0, [1.02, 0.99], 0.01, what="sample means")
    """
    arrays = _broadcast(
        predicted=predicted,
        measured=measured,
        standard_error=standard_error,
        bias=bias,
        degrees_of_freedom=(1.0 if degrees_of_freedom is None else degrees_of_freedom),
    )
    first, second, error, allowance, freedom = arrays
    if np.any(error <= 0):
        raise ValueError(
            "`standard_error` must be positive; when there is no sampling error, use `claim_close`"
        )
    if np.any(allowance < 0):
        raise ValueError("`bias` must not be negative: it bounds an absolute difference")
    if np.any(freedom < 1):
        raise ValueError("`degrees_of_freedom` must be at least 1: replicates minus one")
    # Numbers that are not finite fail the claim below; no warning is needed.
    with np.errstate(invalid="ignore"):
        z = np.maximum(np.abs(first - second) - allowance, 0.0) / error
    if degrees_of_freedom is not None:
        z = _normal_equivalent(z, freedom)
    finite = np.all([np.isfinite(a) for a in arrays], axis=0)
    worst = _worst(z, finite)
    outcome = Claim(
        label,
        what,
        "statistical",
        z.size,
        float(z[worst]) if finite.all() else None,
        Z_LIMIT,
        bool(finite.all() and z[worst] <= Z_LIMIT),
    )
    _conclude(
        outcome,
        f"predicted {first[worst]:.10g}, measured {second[worst]:.10g}, "
        f"standard error {error[worst]:.3g}, bias {allowance[worst]:.3g}, "
        f"z = {z[worst]:.3g}, limit {Z_LIMIT:.3g}",
        worst,
    )


def claim_close(
    label: str,
    first: ArrayLike,
    second: ArrayLike,
    *,
    what: str,
    rtol: float = 1e-10,
    atol: float = 0.0,
) -> None:
    """Check that two deterministic routes agree; raise if they do not.

    The claim holds when ``|first - second| <= rtol * size`` everywhere, where
    ``size = max(|first|, |second|, atol / rtol)``.

    Parameters
    ----------
    label
        Label of the statement that is checked.
    first, second
        Numbers or arrays that broadcast together.
    what
        What is compared, in words, for the verdict line.
    rtol
        Allowed relative difference.
    atol
        Allowed absolute difference, for numbers that may vanish.

    Raises
    ------
    ClaimError
        If the routes differ, or if any number is not finite.
    ValueError
        If there is nothing to compare or a tolerance is out of range.

    Examples
    --------
    >>> claim_close("prop-sum", 0.1 + 0.2, 0.3, what="a sum of tenths")
    """
    if not (0 < rtol < 1 and 0 <= atol < np.inf):
        raise ValueError(f"need 0 < `rtol` < 1 and a finite `atol` >= 0, got {rtol} and {atol}")
    one, two = _broadcast(first=first, second=second)
    size = np.maximum(np.maximum(np.abs(one), np.abs(two)), atol / rtol)
    # Numbers that are not finite fail the claim below; no warning is needed.
    with np.errstate(invalid="ignore"):
        relative = np.divide(np.abs(one - two), size, out=np.zeros_like(size), where=size > 0)
    finite = np.isfinite(one) & np.isfinite(two)
    worst = _worst(relative, finite)
    outcome = Claim(
        label,
        what,
        "close",
        relative.size,
        float(relative[worst]) if finite.all() else None,
        rtol,
        bool(finite.all() and relative[worst] <= rtol),
    )
    _conclude(
        outcome,
        f"first {one[worst]:.17g}, second {two[worst]:.17g}, "
        f"relative difference {relative[worst]:.3g}, limit {rtol:.3g}",
        worst,
    )


def conclude(outcome: Claim, reason: str) -> None:
    """Show the verdict, and raise `ClaimError` if the claim failed."""
    # Shown even on failure, so that a cell that catches the error still
    # leaves a failed claim behind for the checks to find.
    style = "bookkit-claim" + " bookkit-failed" * (not outcome.passed)
    mark, text = str(outcome).split(f" {outcome.label}: ", 1)
    show(
        outcome,
        {
            "text/plain": str(outcome),
            "text/html": (
                f'<p class="{style}">{mark} <code>{escape(outcome.label)}</code> {escape(text)}</p>'
            ),
        },
    )
    if not outcome.passed:
        raise ClaimError(f"{outcome.label}: {outcome.what}: {reason}")


def _conclude(outcome: Claim, numbers: str, worst: tuple[np.intp, ...]) -> None:
    index = ", ".join(str(i) for i in worst)
    where = f"worst at index [{index}] of {outcome.comparisons}: "
    conclude(outcome, where * (outcome.comparisons > 1) + numbers)


def _broadcast(**named: ArrayLike) -> list[NDArray[np.float64]]:
    arrays = [np.asarray(value, dtype=np.float64) for value in named.values()]
    try:
        arrays = list(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(f"`{name}` {a.shape}" for name, a in zip(named, arrays, strict=True))
        raise ValueError(f"the shapes do not broadcast together: {shapes}") from None
    if arrays[0].size == 0:
        raise ValueError("there is nothing to compare: the arrays are empty")
    return arrays


def _worst(size: NDArray[np.float64], finite: NDArray[np.bool_]) -> tuple[np.intp, ...]:
    """Index of the worst comparison: the first non-finite, else the largest."""
    return np.unravel_index(np.argmax(np.where(finite, size, np.inf)), size.shape)


def _normal_equivalent(t: NDArray[np.float64], freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal deviate with the upper tail probability of t >= 0."""
    # Far in the tail the probability underflows; the smallest positive number
    # caps z at 38, far beyond any limit, instead of sending it to infinity.
    tail = np.maximum(special.stdtr(freedom, -t), np.finfo(float).tiny)
    return np.abs(special.ndtri(tail))
