"""A graph with features and labels on its nodes, checked once and for all when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from overparam._validation import reject

Indices = NDArray[np.int64]
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Which nodes' labels are for training, for choosing, and for the final score.

    Attributes
    ----------
    train, validation, test : ndarray of int
        Indices of nodes, sorted; no node is in two of them or twice in one.

    Raises
    ------
    ValueError
        If a part is not a list of indices, is empty, repeats a node or shares one with another.

    Examples
    --------
    >>> Split([0, 1], [2], [4, 3]).test
    array([3, 4])
    >>> Split([0, 1], [1], [2])
    Traceback (most recent call last):
    ...
    ValueError: `validation` must not share nodes with `train`, but it is [1]. Remove them from one.
    """

    train: Indices
    validation: Indices
    test: Indices

    def __init__(self, train: ArrayLike, validation: ArrayLike, test: ArrayLike) -> None:
        parts: dict[str, Indices] = {}
        for name, values in zip(_PARTS, (train, validation, test), strict=True):
            indices = _integers(name, values, 1)
            if indices.size == 0:
                raise reject(name, [], "must not be empty", "Give it a node.")
            if indices.min() < 0:
                way_out = "Count nodes from zero."
                raise reject(name, int(indices.min()), "must hold no negative index", way_out)
            if np.unique(indices).size < indices.size:
                raise reject(name, indices.tolist(), "must not repeat a node", "Use np.unique.")
            for other, taken in parts.items():
                shared = np.intersect1d(indices, taken)
                if shared.size:
                    rule = f"must not share nodes with `{other}`"
                    raise reject(name, shared.tolist(), rule, "Remove them from one.")
            parts[name] = np.sort(indices)
            object.__setattr__(self, name, parts[name])


@dataclass(frozen=True, eq=False)
class Graph:
    r"""An undirected graph whose nodes have features and, all or some, labels.

    What is irregular but has an obvious meaning is mended: loops are dropped (the convolution adds
    its own), an edge that is listed twice or in both directions counts once, an edge that is listed
    in one direction counts for both, and an isolated node is its own only neighbor. What has none
    is refused.

    Parameters
    ----------
    features : array_like or sparse matrix of shape (N, d)
        Finite and not negative. Rows are divided by their sum where this is more than one.
    edges : array_like of int of shape (E, 2)
        Pairs of nodes; may be empty.
    labels : array_like of int of shape (N,)
        Classes from 0; -1 marks a node whose label is unknown, which may be in no split.
    splits : mapping of str to Split
        At least one.
    classes : int, optional
        Number of classes, by default one more than the largest label.

    Attributes
    ----------
    features : scipy.sparse.csr_matrix of shape (N, d)
        With normalized rows.
    edges : ndarray of shape (E, 2)
        Every edge once, first the smaller node, in lexicographic order.
    labels : ndarray of shape (N,)
        As passed.
    splits : mapping of str to Split
        As passed.
    classes : int
        Number of classes.
    propagation : scipy.sparse.csr_matrix of shape (N, N)
        :math:`P = D^{-1/2}(A + I)D^{-1/2}`, with :math:`D` the row sums of :math:`A + I`.
    propagated : scipy.sparse.csr_matrix of shape (N, d + 1)
        :math:`[PX, 1]`, the input of the first layer with a column for the bias.

    Raises
    ------
    ValueError
        If an edge or a split names a node that does not exist, a label is out of range, a node of
        a split has no label, or a feature is negative or not finite.

    Examples
    --------
    A path of three nodes, its first edge listed in both directions, and a loop:

    >>> split = {"only": Split([0], [1], [2])}
    >>> graph = Graph(np.eye(3), [(0, 1), (1, 0), (1, 2), (2, 2)], [0, 1, 1], split)
    >>> graph.edges
    array([[0, 1],
           [1, 2]])
    >>> graph.propagation.toarray().round(3)
    array([[0.5  , 0.408, 0.   ],
           [0.408, 0.333, 0.408],
           [0.   , 0.408, 0.5  ]])
    """

    features: sparse.csr_matrix
    edges: Indices
    labels: Indices
    splits: Mapping[str, Split]
    classes: int

    def __init__(
        self,
        features: object,
        edges: ArrayLike,
        labels: ArrayLike,
        splits: Mapping[str, Split],
        classes: int | None = None,
    ) -> None:
        matrix = _features(features)
        nodes = matrix.shape[0]
        known = _labels(labels, nodes, classes)
        _check_splits(splits, known)
        fields = {
            "features": matrix,
            "edges": _edges(edges, nodes),
            "labels": known,
            "splits": MappingProxyType(dict(splits)),
            "classes": int(known.max()) + 1 if classes is None else classes,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        count, width = self.features.shape
        return (
            f"Graph({count:,} nodes, {len(self.edges):,} edges, "
            f"{width:,} features, {self.classes} classes)"
        )

    @cached_property
    def propagation(self) -> sparse.csr_matrix:
        """The propagation matrix; its square root of degrees counts every node's own loop."""
        nodes = self.features.shape[0]
        loops = np.arange(nodes)
        rows = np.concatenate([self.edges[:, 0], self.edges[:, 1], loops])
        columns = np.concatenate([self.edges[:, 1], self.edges[:, 0], loops])
        root = 1 / np.sqrt(np.bincount(rows, minlength=nodes))
        values = root[rows] * root[columns]
        return sparse.csr_matrix((values, (rows, columns)), shape=(nodes, nodes))

    @cached_property
    def propagated(self) -> sparse.csr_matrix:
        """The input of the first layer, with a column of ones."""
        ones = np.ones((self.features.shape[0], 1))
        return sparse.hstack([self.propagation @ self.features, ones], format="csr")


def _integers(name: str, value: ArrayLike, ndim: int) -> Indices:
    array = np.asarray(value)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)  # An empty list has no type of its own.
    if array.dtype.kind not in "iu" or array.ndim != ndim:
        rule = f"must be integers in {ndim} dimension(s)"
        raise reject(name, value, rule, "Pass a NumPy array of node or class numbers.")
    return array.astype(np.int64)


def _features(value: object) -> sparse.csr_matrix:
    try:
        matrix = sparse.csr_matrix(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        way_out = "Pass a NumPy array or a SciPy sparse matrix, one row for each node."
        raise reject("features", value, "must be a matrix of real numbers", way_out) from error
    if 0 in matrix.shape:
        raise reject("features.shape", matrix.shape, "must not be empty", "Pass np.eye(nodes).")
    if not np.isfinite(matrix.data).all() or matrix.data.min(initial=0.0) < 0:
        where = np.argmax(~(np.isfinite(matrix.data) & (matrix.data >= 0)))
        rule = "must be finite and not negative"
        raise reject("features", float(matrix.data[where]), rule, "Rows are divided by their sum.")
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    total = np.asarray(matrix.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(total, 1.0)) @ matrix)


def _edges(value: ArrayLike, nodes: int) -> Indices:
    pairs = _integers("edges", np.reshape(value, (-1, 2)) if np.size(value) == 0 else value, 2)
    if pairs.shape[1] != 2:
        raise reject("edges.shape", pairs.shape, "must be (edges, 2)", "Transpose it, perhaps.")
    outside = (pairs < 0) | (pairs >= nodes)
    if outside.any():
        edge = pairs[outside.any(axis=1)][0].tolist()
        rule = f"must join nodes from 0 to {nodes - 1}"
        raise reject("edges", edge, rule, "Add the node to `features`, or drop the edge.")
    ordered = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(ordered, axis=0)


def _labels(value: ArrayLike, nodes: int, classes: int | None) -> Indices:
    labels = _integers("labels", value, 1)
    if labels.size != nodes:
        raise reject("labels.shape", labels.shape, f"must be ({nodes},)", "One for each node.")
    limit = int(labels.max()) + 1 if classes is None else classes
    bad = (labels < -1) | (labels >= limit)
    if bad.any() or limit < 2:
        worst = int(labels[bad][0]) if bad.any() else limit
        rule = f"must be -1 (unknown) or one of at least two classes, here 0 to {limit - 1}"
        raise reject("labels", worst, rule, "Number the classes from 0.")
    return labels


def _check_splits(splits: Mapping[str, Split], labels: Indices) -> None:
    if not splits:
        raise reject("splits", splits, "must hold a Split", 'Pass {"public": Split(...)}.')
    for name, split in splits.items():
        for part in _PARTS:
            indices = getattr(split, part)
            if indices.max() >= labels.size:
                rule = f"must name nodes from 0 to {labels.size - 1}"
                raise reject(f"splits[{name!r}].{part}", int(indices.max()), rule, "Drop it.")
            unknown = indices[labels[indices] < 0]
            if unknown.size:
                rule = "must name nodes whose label is known"
                raise reject(f"splits[{name!r}].{part}", unknown.tolist(), rule, "Drop them.")
