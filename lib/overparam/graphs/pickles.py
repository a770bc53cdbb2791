"""Python 2 pickles of arrays, sparse matrices and lists of neighbors, read without executing any.

A pickle is a program, and ``pickle.load`` runs it. The files that hold the citation graphs name six
globals. Here each of the six stands for an inert object that only holds what it is given, any other
name is refused, and the arrays are built afterwards, from bytes and checked shapes. So not even
NumPy sees the content of a file before it was found to be what it should.
"""

import io
import pickle
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from overparam._validation import reject

# What a broken or hostile program can make the unpickler raise.
_FAILURES = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip
_ITEMS = {"b1": "?", "u1": "u1", "i4": "i4", "i8": "i8", "f4": "f4", "f8": "f8"}
_ADVICE = "Fetch the file again from its source; do not open it with the module pickle."


def _inert_globals() -> dict[tuple[str, str], Any]:
    """Stand-ins for the six names, made anew for each file: no file can leave a trace in them."""

    class Held:
        """Keeps what a pickle hands to it."""

        def __setstate__(self, state: object) -> None:
            self.state = state

    class HeldMatrix(Held):
        kind = "matrix"

    class HeldArray(Held):
        kind = "array"

        def __init__(self, *_: object) -> None:
            self.state = None

    class HeldType(Held):
        kind = "type"

        def __init__(self, code: object, *_: object) -> None:
            self.code = code
            self.state = None

    return {
        ("scipy.sparse.csr", "csr_matrix"): HeldMatrix,
        ("numpy.core.multiarray", "_reconstruct"): HeldArray,
        ("numpy", "ndarray"): "an array",
        ("numpy", "dtype"): HeldType,
        ("__builtin__", "list"): "a list",
        # The argument is the factory of a list, which nothing here calls.
        ("collections", "defaultdict"): lambda _factory: {},
    }


ALLOWED = frozenset(_inert_globals())
"""The names, as pairs of module and name in Python 2, that a file may contain."""


class _Reader(pickle.Unpickler):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._globals = _inert_globals()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._globals:
            allowed = ", ".join(sorted(".".join(pair) for pair in ALLOWED))
            raise pickle.UnpicklingError(f"it names {module}.{name}; allowed are {allowed}")
        return self._globals[module, name]


def read_pickle(content: bytes, name: str = "content") -> Any:
    r"""Read what a Python 2 pickle of an array, a sparse matrix or a graph holds.

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        Its name, for messages.

    Returns
    -------
    ndarray, scipy.sparse.csr_matrix or dict
        A dictionary holds lists of integers under integers.

    Raises
    ------
    ValueError
        If it is damaged, names a global that is not in `ALLOWED`, or holds anything else.

    Examples
    --------
    >>> read_pickle(b"cposix\nsystem\n(S'true'\ntR.", "evil")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: `evil` must be a pickle of arrays... it names posix.system; allowed are ...
    """
    try:
        with warnings.catch_warnings():
            # About damaged escapes in strings; what they give is checked anyway.
            warnings.simplefilter("ignore", DeprecationWarning)
            return _build(_Reader(content).load())
    except _FAILURES as error:
        rule = f"must be a pickle of arrays, a sparse matrix or lists of neighbors: {error}"
        raise reject(name, content[:20], rule, _ADVICE) from error


def _build(held: Any) -> Any:
    if isinstance(held, dict):
        return {_integer(key): [_integer(entry) for entry in held[key]] for key in held}
    kind = getattr(type(held), "kind", None)
    if kind == "array":
        return _array(held)
    if kind == "matrix":
        return _matrix(held)
    raise TypeError(f"it holds a {type(held).__name__}")


def _array(held: Any) -> NDArray[Any]:
    _version, shape, held_type, fortran, content = held.state
    if getattr(type(held_type), "kind", None) != "type" or held_type.code not in _ITEMS:
        raise TypeError("an array has entries that are no numbers")
    if held_type.state[1] not in ("<", "|") or not isinstance(content, str):
        raise TypeError("an array is not little-endian bytes")
    sides = tuple(_integer(side) for side in shape)
    flat = np.frombuffer(content.encode("latin1"), dtype=np.dtype(_ITEMS[held_type.code]))
    if min(sides, default=0) < 0:
        raise ValueError("an array has a negative side")
    return flat.reshape(sides, order="F" if fortran is True else "C")


def _matrix(held: Any) -> sparse.csr_matrix:
    state = held.state
    rows, columns = (_integer(side) for side in state["_shape"])
    data, indices, ends = (_array(state[key]) for key in ("data", "indices", "indptr"))
    consistent = (
        data.ndim == indices.ndim == ends.ndim == 1
        and indices.dtype.kind == ends.dtype.kind == "i"
        and ends.shape == (rows + 1,)
        and ends[0] == 0
        and ends[-1] == data.size == indices.size
        and bool(np.all(np.diff(ends) >= 0))
        and (indices.size == 0 or 0 <= indices.min() <= indices.max() < columns)
    )
    if not consistent:
        raise ValueError("the arrays of a sparse matrix contradict each other")
    return sparse.csr_matrix((data.astype(np.float64), indices, ends), shape=(rows, columns))


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r:.40} is no integer")
    return value
