"""Pairs of models and the table of their hyperparameters, for the rank scores."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam._validation import Array, real_array, reject

Settings = Mapping[str, ArrayLike]


def checked_models(measure: ArrayLike, target: ArrayLike) -> tuple[Array, Array]:
    """Return the values of two models or more as finite arrays of one length.

    Parameters
    ----------
    measure, target : array_like of shape (N,)
        One value for each model.

    Returns
    -------
    tuple of ndarray
        Both as float64.

    Raises
    ------
    ValueError
        If a value is not finite, lengths differ, or there is one model only.

    Examples
    --------
    >>> checked_models([1, 2], [3, 4])
    (array([1., 2.]), array([3., 4.]))
    """
    values, goals = real_array("measure", measure, (1,)), real_array("target", target, (1,))
    if values.shape != goals.shape:
        raise reject(
            "target.shape", goals.shape, f"must be {values.shape}", "Pass one for each model."
        )
    if values.size < 2:
        raise reject("measure", measure, "must have two models or more", "One orders nothing.")
    return values, goals


def signs_of_pairs(
    values: Array, goals: Array, weights: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Signs of all ordered pairs, and how much each pair weighs: a model is no pair with itself.

    Parameters
    ----------
    values, goals : ndarray of shape (N,)
        Measure and target.
    weights : array_like of shape (N,), optional
        Multiplicities of the models.

    Returns
    -------
    tuple of ndarray of shape (N, N)
        Signs of the differences of the measure and of the target, and the weights of the pairs.

    Raises
    ------
    ValueError
        If the multiplicities are not those of two models or more.

    Examples
    --------
    >>> signs_of_pairs(np.array([1.0, 2.0]), np.array([3.0, 3.0]), None)[0]
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    size = values.size
    copies = np.ones(size) if weights is None else real_array("weights", weights, (1,))
    if copies.shape != (size,) or copies.min() < 0 or np.count_nonzero(copies) < 2:
        raise reject("weights", weights, f"must be {size} counts, two positive", "Draw again.")
    mass = np.outer(copies, copies)
    np.fill_diagonal(mass, 0.0)
    return np.sign(values[:, None] - values), np.sign(goals[:, None] - goals), mass


def axis_codes(settings: Settings, size: int) -> dict[str, NDArray[np.int64]]:
    """Each hyperparameter as codes 0, 1, ... of its sorted values.

    Parameters
    ----------
    settings : mapping of str to array_like of shape (N,)
        Numbers or strings.
    size : int
        N.

    Returns
    -------
    dict of str to ndarray of int
        The codes.

    Raises
    ------
    ValueError
        If there is no axis, or one has another length or holds something else.

    Examples
    --------
    >>> axis_codes({"width": [8, 2, 8]}, 3)
    {'width': array([1, 0, 1])}
    """
    if not isinstance(settings, Mapping) or not settings:
        raise reject("settings", settings, "must not be empty", "Pass {'width': [...]}.")
    axes = {}
    for name, column in settings.items():
        array = np.asarray(column)
        if array.shape != (size,) or array.dtype.kind not in "iufUb":
            raise reject(
                f"settings[{name!r}]", column, f"must hold {size} numbers or strings", "Check it."
            )
        if array.dtype.kind == "f":
            real_array(f"settings[{name!r}]", array, (1,))
        axes[name] = np.unique(array, return_inverse=True)[1].astype(np.int64)
    return axes


def joint_code(codes: list[NDArray[np.int64]], size: int) -> NDArray[np.int64]:
    """Code the combinations of several axes by 0, 1, ....

    Parameters
    ----------
    codes : list of ndarray of int, shape (N,)
        The axes; none gives one combination.
    size : int
        N.

    Returns
    -------
    ndarray of int, shape (N,)
        Equal where all axes are.

    Examples
    --------
    >>> joint_code([np.array([0, 0, 1]), np.array([5, 5, 5])], 3)
    array([0, 0, 1])
    """
    joint = np.zeros(size, dtype=np.int64)
    for code in codes:
        joint = np.unique(joint * (code.max() + 1) + code, return_inverse=True)[1]
    return joint.astype(np.int64)
