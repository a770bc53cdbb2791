r"""A graph convolutional network of two layers, its semi-supervised loss, and its gradient.

With :math:`P` the propagation matrix of the graph and :math:`X` the features,

.. math::
    S_1 = PXW_1 + 1b_1^\top,\quad H = \mathrm{dropout}(\max(S_1, 0)),\quad S_2 = PHW_2 + 1b_2^\top,

and the softmax of a row of :math:`S_2` is the predicted law of the class of that node. A bias is
the last row of the weights of its layer.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from overparam._validation import reject
from overparam.graphs.graph import Graph, Indices
from overparam.graphs.sparse import SparseMatrix


class Parameters(NamedTuple):
    """Weights of the two layers, each with its bias as last row; also gradients and masks of them.

    Attributes
    ----------
    first : jax.Array of shape (d + 1, hidden)
        From features to hidden units.
    second : jax.Array of shape (hidden + 1, classes)
        From hidden units to classes.
    """

    first: jax.Array
    second: jax.Array


class Backward(NamedTuple):
    """A gradient, and what the factors of the Fisher matrix are made of.

    Attributes
    ----------
    gradient : Parameters
        Of the loss.
    first_sums : jax.Array of shape (N, hidden)
        Gradient with respect to :math:`S_1`, a row for each node.
    second_sums : jax.Array of shape (N, classes)
        Gradient with respect to :math:`S_2`.
    """

    gradient: Parameters
    first_sums: jax.Array
    second_sums: jax.Array


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["features", "transposed", "propagation", "labels", "train", "validation", "test"],
    meta_fields=["classes", "width"],
)
class Network(NamedTuple):
    """A graph and one of its splits as the arrays that the network computes with.

    Attributes
    ----------
    features, transposed, propagation : SparseMatrix
        :math:`X`, its transpose, and :math:`P`.
    labels : jax.Array of int of shape (N,)
        Classes; -1 where unknown.
    train, validation, test : jax.Array of shape (N,)
        One for the nodes of that part, zero for the others.
    classes, width : int
        Number of classes and of features.

    Examples
    --------
    >>> from overparam.graphs import load_karate_club
    >>> network = Network.of(load_karate_club(), "public")
    >>> int(network.train.sum()), network.classes
    (4, 2)
    """

    features: SparseMatrix
    transposed: SparseMatrix
    propagation: SparseMatrix
    labels: jax.Array
    train: jax.Array
    validation: jax.Array
    test: jax.Array
    classes: int
    width: int

    @classmethod
    def of(cls, graph: Graph, split: str) -> "Network":
        """Lay out a graph.

        Parameters
        ----------
        graph : Graph
            The graph.
        split : str
            The name of one of its splits.

        Returns
        -------
        Network
            In JAX's current default precision.

        Raises
        ------
        ValueError
            If the graph has no such split.
        """
        if split not in graph.splits:
            rule = f"must be a split of the graph, {', '.join(sorted(graph.splits))}"
            raise reject("split", split, rule, "Pass one of these.")
        nodes = np.arange(graph.labels.size)

        def mask(part: Indices) -> jax.Array:
            return jnp.asarray(np.isin(nodes, part), dtype=float)

        parts = graph.splits[split]
        return cls(
            SparseMatrix.of(graph.features),
            SparseMatrix.of(sparse.csr_matrix(graph.features.T)),
            SparseMatrix.of(graph.propagation),
            jnp.asarray(graph.labels),
            mask(parts.train),
            mask(parts.validation),
            mask(parts.test),
            graph.classes,
            graph.features.shape[1],
        )

    def first_sums(self, parameters: Parameters) -> jax.Array:
        """Inputs of the hidden units, :math:`S_1`.

        Parameters
        ----------
        parameters : Parameters
            Weights.

        Returns
        -------
        jax.Array of shape (N, hidden)
            Before the rectifier.
        """
        weights, bias = parameters.first[:-1], parameters.first[-1]
        return self.propagation.dot(self.features.dot(weights)) + bias

    def second_sums(self, hidden: jax.Array, parameters: Parameters) -> jax.Array:
        """Logits of the classes, :math:`S_2`.

        Parameters
        ----------
        hidden : jax.Array of shape (..., N, hidden)
            Outputs of the hidden units; several of them share one propagation.
        parameters : Parameters
            Weights.

        Returns
        -------
        jax.Array of shape (..., N, classes)
            Logits.
        """
        weights, bias = parameters.second[:-1], parameters.second[-1]
        products = hidden @ weights
        flat = jnp.moveaxis(products, -2, 0).reshape(products.shape[-2], -1)
        spread = self.propagation.dot(flat).reshape(-1, *products.shape[:-2], self.classes)
        return jnp.moveaxis(spread, 0, -2) + bias

    def targets(self, logits: jax.Array) -> jax.Array:
        """True labels on the training nodes, the current best guess on all others.

        Parameters
        ----------
        logits : jax.Array of shape (N, classes)
            Current logits.

        Returns
        -------
        jax.Array of int of shape (N,)
            Classes.
        """
        return jnp.where(self.train > 0, self.labels, jnp.argmax(logits, axis=1))

    def node_weights(self, pseudo_weight: jax.Array | float) -> jax.Array:
        r"""What a node counts in the loss.

        Parameters
        ----------
        pseudo_weight : float
            Weight :math:`\lambda` of the mean over the nodes that are not for training.

        Returns
        -------
        jax.Array of shape (N,)
            One over the number of training nodes for these, :math:`\lambda` over the number of
            the others for the others.
        """
        count = jnp.sum(self.train)
        others = 1 - self.train
        return self.train / count + pseudo_weight * others / jnp.sum(others)

    def backward(
        self,
        parameters: Parameters,
        first_sums: jax.Array,
        hidden: jax.Array,
        kept: jax.Array,
        second_sums: jax.Array,
    ) -> Backward:
        """Carry a gradient from the logits back to the weights.

        Parameters
        ----------
        parameters : Parameters
            Weights.
        first_sums : jax.Array of shape (N, hidden)
            :math:`S_1`.
        hidden : jax.Array of shape (N, hidden)
            Outputs of the hidden units, dropout included.
        kept : jax.Array of shape (N, hidden)
            What dropout multiplied them by.
        second_sums : jax.Array of shape (N, classes)
            Gradient of the loss with respect to :math:`S_2`.

        Returns
        -------
        Backward
            As P is symmetric, the gradient of a layer is its input times P times what arrives.
        """
        arriving = self.propagation.dot(second_sums)
        second = jnp.vstack([hidden.T @ arriving, jnp.sum(second_sums, axis=0)])
        inner = (arriving @ parameters.second[:-1].T) * kept * (first_sums > 0)
        weights = self.transposed.dot(self.propagation.dot(inner))
        first = jnp.vstack([weights, jnp.sum(inner, axis=0)])
        return Backward(Parameters(first, second), inner, second_sums)


def initialize(key: jax.Array, width: int, hidden: int, classes: int) -> Parameters:
    """Draw weights of Glorot's uniform law; biases are zero.

    Parameters
    ----------
    key : jax.Array
        Source of randomness.
    width, hidden, classes : int
        Numbers of features, hidden units and classes.

    Returns
    -------
    weights : Parameters
        With the biases as last rows.

    Examples
    --------
    >>> initialize(jax.random.key(0), 5, 3, 2).first.shape
    (6, 3)
    """

    def draw(one: jax.Array, rows: int, columns: int) -> jax.Array:
        bound = (6 / (rows + columns)) ** 0.5
        weights = jax.random.uniform(one, (rows, columns), float, -bound, bound)
        return jnp.vstack([weights, jnp.zeros((1, columns))])

    first, second = jax.random.split(key)
    return Parameters(draw(first, width, hidden), draw(second, hidden, classes))
