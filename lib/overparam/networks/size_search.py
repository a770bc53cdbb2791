"""Prune to a size that cannot be asked for directly: search the setting that leads to it."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from overparam._validation import count, nonnegative_number, reject

T = TypeVar("T")

TOLERANCE = 0.005
"""Relative distance from the target size at which a search ends."""


class Found(NamedTuple, Generic[T]):
    """Where a search ended.

    Attributes
    ----------
    setting : float
        The setting.
    size : int
        The size that it led to.
    outcome : object
        What came with that size.
    evaluations : int
        How many settings were tried.
    """

    setting: float
    size: int
    outcome: T
    evaluations: int


def search_size(
    attempt: Callable[[float], tuple[int, T]],
    target: int,
    low: float,
    high: float,
    tolerance: float = TOLERANCE,
    evaluations: int = 40,
    *,
    nearest: bool = False,
) -> Found[T]:
    """Find a setting whose size is within a tolerance of the target.

    Parameters
    ----------
    attempt : callable
        ``attempt(setting)`` returns a size, which grows with the setting apart from noise, and
        anything else. It gets no setting twice.
    target : int
        The size wanted.
    low, high : float
        Settings at which the size is too small, and large enough.
    tolerance : float, default 0.005
        Relative distance allowed; a distance of half a unit always is.
    evaluations : int, default 40
        Give up after so many.
    nearest : bool, default False
        Whether to return the nearest size that was met instead of giving up.

    Returns
    -------
    Found
        The first attempt within the tolerance.

    Raises
    ------
    ValueError
        If the size at `high` is too small, or the tolerance was not met: sizes jump over it.

    Notes
    -----
    False position with the weights of the Illinois rule, which do not let one end stay. The
    interval starts to widen again when noise has made it empty.

    Examples
    --------
    >>> found = search_size(lambda x: (round(1000 * x**3), "pruned"), 500, 0, 1)
    >>> found.outcome, abs(found.size - 500) <= 2
    ('pruned', True)
    """
    goal = count("target", target)
    allowed = max(0.5, nonnegative_number("tolerance", tolerance) * goal)
    size, outcome = attempt(high)
    if abs(size - goal) <= allowed:
        return Found(high, size, outcome, 1)
    if size < goal:
        rule = f"must be at most {size}, the size at the largest setting"
        raise reject("target", target, rule, "Ask for less.")
    left, right = float(low), float(high)
    below, above = -float(goal), float(size - goal)
    best, stayed = Found(high, size, outcome, evaluations), ""
    for number in range(2, evaluations + 1):
        setting = left - below * (right - left) / (above - below)
        if not left < setting < right:
            setting = left + (right - left) / 2
        size, outcome = attempt(setting)
        if abs(size - goal) <= allowed:
            return Found(setting, size, outcome, number)
        if abs(size - goal) < abs(best.size - goal):
            best = Found(setting, size, outcome, evaluations)
        grows = size < goal
        if grows:
            left, below = setting, float(size - goal)
            above /= 2 if stayed == "right" else 1
        else:
            right, above = setting, float(size - goal)
            below /= 2 if stayed == "left" else 1
        stayed = "right" if grows else "left"
        if right - left < 1e-9 * abs(right):
            left, right = max(float(low), 0.99 * left), min(float(high), 1.01 * right)
    if nearest:
        return best
    rule = f"must be a size that can be met within {allowed:g}; the nearest is {best.size}"
    raise reject("target", target, rule, "Allow a larger tolerance.")
