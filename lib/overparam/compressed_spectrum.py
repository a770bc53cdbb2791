r"""A spectrum of any size, compressed to a few hundred nodes without loss.

As a function of log lambda, the shrinkage lambda / (lambda + mu) is the logistic sigmoid shifted
by log mu, analytic within pi of the real axis wherever mu is. On an interval of length one in log
lambda its Chebyshev interpolant with K nodes therefore converges like rho^-K with the Bernstein
ellipse rho = 2 pi + sqrt(4 pi^2 + 1) = 12.6, uniformly in mu: K = 14 reaches rounding. Moving each
variance onto the nodes of its interval with Lagrange weights leaves every sum over features

    sum_i weight_i f(lambda_i),   f a polynomial in the shrinkage,

unchanged. One pass compresses; after it, a prediction costs the same for a thousand features and
for a billion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, nonnegative_array, real_array, reject
from overparam.effective_ridge import BLOCK

_NODES = 14
_ANGLES = np.pi * (np.arange(_NODES) + 0.5) / _NODES
_COSINES = np.cos(np.outer(np.arange(_NODES), _ANGLES))  # T_m at node j


@dataclass(frozen=True, eq=False)
class CompressedSpectrum:
    """Nodes and weights that stand for a spectrum; made by `compress_spectrum`.

    Attributes
    ----------
    nodes : ndarray of shape (m,)
        Positive variances, descending within each unit interval of their logarithm.
    counts : ndarray of shape (m,)
        How many features each node stands for: real, possibly negative, with sum `rank`.
    weights : ndarray of shape (m,)
        The second weight (such as the saliency) carried by each node.
    rank : int
        Number of non-zero variances.
    """

    nodes: Array
    counts: Array
    weights: Array
    rank: int


def compress_spectrum(variances: ArrayLike, weights: ArrayLike) -> CompressedSpectrum:
    r"""Compress variances and one weight for each of them onto Chebyshev nodes.

    Parameters
    ----------
    variances : array_like of shape (p,)
        :math:`\lambda_i \ge 0`, in any order, not all zero. Zeros are dropped.
    weights : array_like of shape (p,)
        Any real weights :math:`w_i`, carried along.

    Returns
    -------
    CompressedSpectrum
        With at most 14 nodes for each unit of log variance that is occupied.

    Raises
    ------
    ValueError
        If the shapes differ, an entry is not finite or negative, or all variances are zero.

    Notes
    -----
    Relative error of :math:`\sum_i w_i \zeta_i^a (1-\zeta_i)^b` for small powers: about 1e-15 times
    the sum of absolute values. Intervals with no more variances than nodes are kept as they are.

    Examples
    --------
    >>> variances = 1 / np.arange(1.0, 100_001)
    >>> small = compress_spectrum(variances, variances)
    >>> small.nodes.size < 200
    True
    >>> exact, mu = np.sum(variances / (variances + 1e-3)), 1e-3
    >>> bool(abs(np.sum(small.counts * small.nodes / (small.nodes + mu)) / exact - 1) < 1e-14)
    True
    """
    array = nonnegative_array("variances", variances)
    carried = real_array("weights", weights, (1,))
    if carried.shape != array.shape:
        raise reject(
            "weights.shape", carried.shape, f"must be {array.shape}", "Pass one for each variance."
        )
    if not np.all(array[:-1] >= array[1:]):
        order = np.argsort(-array, kind="stable")
        array, carried = array[order], carried[order]
    rank = int(np.count_nonzero(array))
    if rank == 0:
        raise reject("variances", array, "must not all be zero", "Drop the problem: it is noise.")
    array, carried = array[:rank], carried[:rank]
    first, last = np.floor(np.log(array[[0, -1]])).astype(int)
    floors = np.exp(np.arange(first, last, -1, dtype=np.float64))
    # Counting from the small end turns "at least the floor of the interval" into a slice.
    edges = rank - np.searchsorted(array[::-1], floors, side="left")
    pieces = [
        _compress_interval(array[begin:end], carried[begin:end], low)
        for begin, end, low in zip(
            np.r_[0, edges], np.r_[edges, rank], np.arange(first, last - 1, -1), strict=True
        )
        if end > begin
    ]
    nodes, counts, moved = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return CompressedSpectrum(nodes, counts, moved, rank)


def _compress_interval(variances: Array, weights: Array, low: int) -> tuple[Array, Array, Array]:
    """Move variances with log in [low, low + 1] onto its Chebyshev nodes."""
    if variances.size <= _NODES:
        return variances, np.ones(variances.size), weights
    moments = np.zeros((_NODES, 2))
    room = np.empty((_NODES, min(BLOCK, variances.size)))
    for begin in range(0, variances.size, BLOCK):
        z = np.log(variances[begin : begin + BLOCK])
        z -= low + 0.5
        z *= 2
        chebyshev = room[:, : z.size]
        chebyshev[0], chebyshev[1] = 1, z
        z *= 2
        for m in range(2, _NODES):  # T_m = 2 z T_(m-1) - T_(m-2)
            np.multiply(z, chebyshev[m - 1], out=chebyshev[m])
            chebyshev[m] -= chebyshev[m - 2]
        moments[:, 0] += chebyshev.sum(axis=1)
        moments[:, 1] += chebyshev @ weights[begin : begin + BLOCK]
    # Lagrange polynomial of node j: (1/K) sum_m (2 - [m = 0]) T_m(z_j) T_m(z).
    moments[1:] *= 2
    counts, moved = moments.T @ _COSINES / _NODES
    return np.exp(low + (np.cos(_ANGLES) + 1) / 2), counts, moved
