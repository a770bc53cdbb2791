"""A sparse matrix for repeated products with narrow dense ones on a CPU."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from overparam._validation import reject

_LENGTH = 8  # entries in a piece: short ones waste little, and their loop is unrolled


@partial(jax.tree_util.register_dataclass, data_fields=["columns", "values", "rows"],
         meta_fields=["height"])  # fmt: skip
class SparseMatrix(NamedTuple):
    """Rows cut into pieces of eight entries; the sums of the pieces are added up row by row.

    A plain sum over segments of single entries moves one row of the other factor at a time through
    memory. Here eight of them are multiplied and added in registers first.

    Attributes
    ----------
    columns : ndarray of int of shape (pieces, 8)
        Column of each entry; zero where a piece is not full.
    values : ndarray of shape (pieces, 8)
        Value of each entry; zero where a piece is not full.
    rows : ndarray of int of shape (pieces,)
        Row that a piece belongs to, in ascending order.
    height : int
        Number of rows.

    Examples
    --------
    >>> matrix = SparseMatrix.of(sparse.csr_matrix([[0.0, 2.0], [0.0, 0.0], [1.0, 1.0]]))
    >>> matrix.dot(jnp.array([[1.0], [3.0]])).ravel().tolist()
    [6.0, 0.0, 4.0]
    """

    columns: jax.Array
    values: jax.Array
    rows: jax.Array
    height: int

    @classmethod
    def of(cls, matrix: Any) -> "SparseMatrix":
        """Cut a SciPy matrix.

        Parameters
        ----------
        matrix : scipy.sparse matrix
            Any format.

        Returns
        -------
        SparseMatrix
            With values in JAX's current default precision.

        Raises
        ------
        ValueError
            If it is no sparse matrix.
        """
        if not sparse.issparse(matrix):
            way_out = "Wrap it: scipy.sparse.csr_matrix(matrix)."
            raise reject("matrix", type(matrix).__name__, "must be a SciPy matrix", way_out)
        csr = sparse.csr_matrix(matrix)
        csr.sum_duplicates()
        counts = np.diff(csr.indptr)
        pieces = np.maximum(1, -(-counts // _LENGTH))
        starts = np.concatenate([[0], np.cumsum(pieces)[:-1]]) * _LENGTH
        place = np.repeat(starts - csr.indptr[:-1], counts) + np.arange(csr.nnz)
        columns = np.zeros(pieces.sum() * _LENGTH, dtype=np.int32)
        values = np.zeros(columns.size)
        columns[place], values[place] = csr.indices, csr.data
        rows = np.repeat(np.arange(csr.shape[0], dtype=np.int32), pieces)
        shape = (-1, _LENGTH)
        return cls(
            jnp.asarray(columns.reshape(shape)),
            jnp.asarray(values.reshape(shape), dtype=float),
            jnp.asarray(rows),
            csr.shape[0],
        )

    def dot(self, dense: jax.Array) -> jax.Array:
        """Multiply.

        Parameters
        ----------
        dense : jax.Array of shape (width, columns)
            The right factor.

        Returns
        -------
        jax.Array of shape (height, columns)
            The product.
        """
        pieces = sum(self.values[:, k, None] * dense[self.columns[:, k]] for k in range(_LENGTH))
        return jax.ops.segment_sum(pieces, self.rows, self.height, indices_are_sorted=True)
