"""Checks of what callers pass in; messages name the argument, its value, the rule, the way out."""

from math import isfinite

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LONGEST = 80  # characters of a value that a message quotes


def reject(name: str, value: object, rule: str, way_out: str) -> ValueError:
    """Return the `ValueError` that every refused argument gets.

    Parameters
    ----------
    name : str
        The argument as the caller wrote it.
    value : object
        What was passed; long values are cut.
    rule : str
        What must hold, as a clause: "must be ...".
    way_out : str
        What to do instead, as a sentence.

    Returns
    -------
    ValueError
        To be raised by the caller.

    Examples
    --------
    >>> reject("n", -1, "must be at least 1", "Pass a count.")
    ValueError('`n` must be at least 1, but it is -1. Pass a count.')
    """
    shown = repr(value)
    if len(shown) > _LONGEST:
        shown = f"{shown[:_LONGEST]}..."
    return ValueError(f"`{name}` {rule}, but it is {shown}. {way_out}")


def real_array(name: str, value: object, ndims: tuple[int, ...]) -> Array:
    """Return `value` as a finite, non-empty float64 array with one of the dimensions `ndims`.

    Parameters
    ----------
    name : str
        The argument as the caller wrote it.
    value : array_like
        Real numbers; integers are converted, bools, strings and complex numbers refused.
    ndims : tuple of int
        The dimensions allowed.

    Returns
    -------
    ndarray of float64
        `value` itself where nothing had to be converted.

    Raises
    ------
    ValueError
        If a rule above is broken.

    Examples
    --------
    >>> real_array("variances", [1, 2], (1,))
    array([1., 2.])
    """
    way_out = "Pass a NumPy array of finite real numbers."
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise reject(name, value, "must be an array", way_out) from error
    if array.dtype.kind not in "iuf":
        raise reject(name, value, "must hold real numbers (integers or floats)", way_out)
    if array.ndim not in ndims:
        dimensions = " or ".join(str(ndim) for ndim in ndims)
        raise reject(
            f"{name}.shape", array.shape, f"must have {dimensions} dimension(s)", "Reshape it."
        )
    if array.size == 0:
        raise reject(f"{name}.shape", array.shape, "must not be empty", "Pass at least one entry.")
    with np.errstate(over="ignore"):
        array = array.astype(np.float64, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(index) for index in np.argwhere(~finite)[0])
        entry = f"{name}[{', '.join(map(str, where))}]" if where else name
        raise reject(entry, float(array[where]), "must be finite", way_out)
    return array


def nonnegative_array(name: str, value: object) -> Array:
    """Return `value` as a one-dimensional float64 array without negative entries.

    Parameters
    ----------
    name : str
        The argument as the caller wrote it.
    value : array_like of shape (p,)
        Finite numbers, zero allowed.

    Returns
    -------
    ndarray of shape (p,)
        The checked array.

    Raises
    ------
    ValueError
        If an entry is negative or `real_array` refuses the value.

    Examples
    --------
    >>> nonnegative_array("variances", [0, 2])
    array([0., 2.])
    """
    array = real_array(name, value, (1,))
    if array.min() < 0:
        index = int(array.argmin())
        raise reject(
            f"{name}[{index}]", float(array[index]), "must not be negative", "Pass variances >= 0."
        )
    return array


def positive_array(name: str, value: object) -> Array:
    """Return `value` as a finite, non-empty vector of positive numbers.

    Parameters
    ----------
    name : str
        The argument as the caller wrote it.
    value : array_like
        One dimension.

    Returns
    -------
    ndarray of float64
        Shape (p,).

    Raises
    ------
    ValueError
        If a rule above is broken.

    Examples
    --------
    >>> positive_array("preconditioner", [2, 1])
    array([2., 1.])
    """
    array = nonnegative_array(name, value)
    if not array.min() > 0:
        raise reject(name, value, "must be positive everywhere", "Drop the entries that are zero.")
    return array


def nonnegative_number(name: str, value: object) -> float:
    """Return `value` as a finite float >= 0.

    Parameters
    ----------
    name : str
        The argument as the caller wrote it.
    value : float or int
        A real scalar; bools are refused.

    Returns
    -------
    float
        The checked number.

    Raises
    ------
    ValueError
        If it is not a finite real number, or negative.

    Examples
    --------
    >>> nonnegative_number("penalty", 1)
    1.0
    """
    if isinstance(value, float) and isfinite(value):  # almost always: no array is needed
        number = float(value)
    else:
        number = float(real_array(name, value, (0,)))
    if number < 0:
        raise reject(name, number, "must not be negative", "Pass a number >= 0.")
    return number


def count(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an integer that is at least `minimum`.

    Parameters
    ----------
    name : str
        The argument as the caller wrote it.
    value : int
        A Python or NumPy integer; bools and floats are refused.
    minimum : int, optional
        The least value allowed.

    Returns
    -------
    int
        The checked count.

    Raises
    ------
    ValueError
        If it is not an integer, or too small.

    Examples
    --------
    >>> count("n", np.int64(3))
    3
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise reject(name, value, "must be an integer", "Pass an int, such as int(n).")
    if value < minimum:
        raise reject(name, value, f"must be at least {minimum}", "Pass a larger count.")
    if value >= 2**63:
        raise reject(name, value, "must fit into 64 bits", "Pass a smaller count.")
    return int(value)


def generator(rng: object) -> np.random.Generator:
    """Return `rng` if it is a NumPy random generator.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    numpy.random.Generator
        `rng` itself.

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> isinstance(generator(np.random.default_rng(0)), np.random.Generator)
    True
    """
    if not isinstance(rng, np.random.Generator):
        raise reject(
            "rng", rng, "must be a numpy.random.Generator", "Pass np.random.default_rng(seed)."
        )
    return rng
