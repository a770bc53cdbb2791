"""Fisher factors and gradients of graph networks against dense computations that share no code."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from overparam.graphs import (
    Graph,
    Network,
    Parameters,
    Settings,
    Split,
    first_layer_spectrum,
    initialize,
    load_karate_club,
    train,
)
from overparam.graphs.fisher import factors, precondition


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def graph() -> Graph:
    """Twelve nodes, three classes, one of them isolated and one with an unknown label."""
    rng = np.random.default_rng(5)
    edges = [(i, (i + 1) % 11) for i in range(11)] + [(0, 5), (2, 9), (3, 7)]
    labels = np.append(np.arange(11) % 3, -1)
    return Graph(rng.random((12, 6)), edges, labels, {"s": Split([0, 1, 2, 3], [4, 5], [6, 7])})


def parts(graph: Graph, seed: int = 0):
    network = Network.of(graph, "s")
    weights = initialize(jax.random.key(seed), network.width, 4, network.classes)
    weights = Parameters(weights.first + 0.3, weights.second - 0.1)
    sums = network.first_sums(weights)
    kept = 2.0 * jax.random.bernoulli(jax.random.key(seed + 1), 0.5, sums.shape)
    hidden = jax.nn.relu(sums) * kept
    return network, weights, sums, kept, hidden, network.second_sums(hidden, weights)


class Dense:
    """The network in plain NumPy: dense matrices, finite differences, one parameter vector."""

    def __init__(self, graph: Graph, kept) -> None:
        self.spread = graph.propagation.toarray()
        self.inputs = graph.features.toarray()
        self.kept = np.asarray(kept)

    def forward(self, first, second, shifts=(0.0, 0.0)):
        sums = self.spread @ self.inputs @ first[:-1] + first[-1] + shifts[0]
        hidden = np.maximum(sums, 0) * self.kept
        logits = self.spread @ hidden @ second[:-1] + second[-1] + shifts[1]
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return hidden, logs

    def loss(self, first, second, targets, weights, shifts=(0.0, 0.0)):
        _, logs = self.forward(first, second, shifts)
        return -weights @ logs[np.arange(targets.size), targets]


def difference(function, point):
    """Central differences: exact to about 1e-9 here, and free of any rule of calculus."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        step = np.zeros_like(point)
        step[index] = 1e-5
        gradient[index] = (function(point + step) - function(point - step)) / 2e-5
    return gradient


def shares(graph: Graph, pseudo: float) -> np.ndarray:
    train_nodes = np.isin(np.arange(graph.labels.size), graph.splits["s"].train)
    return np.where(train_nodes, 1 / train_nodes.sum(), pseudo / (~train_nodes).sum())


@pytest.mark.parametrize("pseudo", [0.0, 0.4])
def test_gradient_and_node_gradients(graph, pseudo) -> None:
    network, weights, sums, kept, hidden, logits = parts(graph)
    first, second = (np.asarray(layer) for layer in weights)
    dense = Dense(graph, kept)
    targets = np.asarray(network.targets(logits))
    guess = dense.forward(first, second)[1].argmax(axis=1)
    train_nodes = graph.splits["s"].train
    np.testing.assert_array_equal(targets[train_nodes], graph.labels[train_nodes])
    others = np.setdiff1d(np.arange(12), train_nodes)
    np.testing.assert_array_equal(targets[others], guess[others])
    node_weights = shares(graph, pseudo)
    np.testing.assert_allclose(network.node_weights(pseudo), node_weights, rtol=1e-14)
    wrong = jax.nn.softmax(logits) - jax.nn.one_hot(targets, 3)
    back = network.backward(weights, sums, hidden, kept, node_weights[:, None] * wrong)
    loss = lambda a, b, s=(0.0, 0.0): dense.loss(a, b, targets, node_weights, s)  # noqa: E731
    expected = (
        difference(lambda a: loss(a, second), first),
        difference(lambda b: loss(first, b), second),
        difference(lambda s: loss(first, second, (s, 0.0)), np.zeros(sums.shape)),
        difference(lambda s: loss(first, second, (0.0, s)), np.zeros(logits.shape)),
    )
    found = (*back.gradient, back.first_sums, back.second_sums)
    for ours, numeric in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, numeric, atol=1e-9)


def test_propagate_then_multiply(graph) -> None:
    """The identity behind the factors: a layer's gradient is its propagated input times G."""
    network, weights, sums, kept, hidden, logits = parts(graph)
    wrong = jax.nn.softmax(logits) - jax.nn.one_hot(network.targets(logits), 3)
    back = network.backward(weights, sums, hidden, kept, wrong)
    spread = graph.propagation.toarray()
    ones = np.ones((12, 1))
    inputs = (graph.features.toarray(), np.asarray(hidden))
    node_gradients = (back.first_sums, back.second_sums)
    for layer, arriving, gradient in zip(inputs, node_gradients, back.gradient, strict=True):
        rows = np.hstack([spread @ layer, ones])
        np.testing.assert_allclose(rows.T @ np.asarray(arriving), gradient, atol=1e-13)
    # Unlabelled neighbors of labelled nodes have gradients in the first layer.
    back = network.backward(weights, sums, hidden, kept, network.node_weights(0.0)[:, None] * wrong)
    assert np.abs(np.asarray(back.second_sums)[4:]).max() == 0
    assert np.abs(np.asarray(back.first_sums)[4]).max() > 0


@pytest.mark.parametrize("scaling", ["public", "input", "per-node"])
@pytest.mark.parametrize("pseudo", [0.0, 0.4])
def test_one_step_against_the_dense_fisher(graph, scaling, pseudo) -> None:
    """The whole damped Kronecker product, formed and solved, for both layers."""
    network, weights, sums, kept, hidden, logits = parts(graph)
    wrong = jax.nn.softmax(logits) - jax.nn.one_hot(network.targets(logits), 3)
    node_weights = shares(graph, pseudo)
    back = network.backward(weights, sums, hidden, kept, node_weights[:, None] * wrong)
    root = 0.1**0.5
    held = factors(network, scaling == "per-node", scaling != "input", root, pseudo, hidden, back)
    found = precondition(first_layer_spectrum(graph), held, back.gradient, root)
    divisor = 12 if scaling == "per-node" else 4 + pseudo * 8
    spread = graph.propagation.toarray()
    for layer, node_gradient, gradient, ours in zip(
        (graph.features.toarray(), np.asarray(hidden)),
        (back.first_sums, back.second_sums),
        back.gradient,
        found,
        strict=True,
    ):
        g = np.asarray(node_gradient)
        rows = np.hstack([spread @ layer, np.ones((12, 1))])
        scale = {"public": g.shape[1] ** 2 / divisor, "input": 0.0, "per-node": 1.0}[scaling]
        a = sum(np.outer(row, row) for row in rows) / divisor + root * np.eye(rows.shape[1])
        b = scale * sum(np.outer(row, row) for row in g) + root * np.eye(g.shape[1])
        step = np.linalg.solve(np.kron(a, b), np.asarray(gradient).ravel())
        np.testing.assert_allclose(np.asarray(ours).ravel(), step, rtol=1e-10)


def test_truncated_spectrum_errs_less_than_its_floor(graph) -> None:
    network, weights, sums, kept, hidden, logits = parts(graph)
    wrong = jax.nn.softmax(logits) - jax.nn.one_hot(network.targets(logits), 3)
    back = network.backward(weights, sums, hidden, kept, wrong / 12)
    root, floor = 0.1, 0.05
    held = factors(network, 0.0, 1.0, root, 0.0, hidden, back)
    whole = precondition(first_layer_spectrum(graph), held, back.gradient, root)
    cut = first_layer_spectrum(graph, floor)
    assert 0 < cut.values.size < 7
    short = precondition(cut, held, back.gradient, root)
    error = np.linalg.norm(short.first - whole.first) / np.linalg.norm(whole.first)
    assert 0 < error <= floor / (root * 4)


def test_labels_drawn_from_the_model_give_the_fisher_matrix() -> None:
    """All 27 labelings of three weighted nodes: mean of the outer product is the Fisher matrix.

    This is what "per-node" rests on: losses weighted by the square roots of their weights, summed,
    and differentiated once, have the weighted sum of the Fisher matrices of the nodes as second
    moment, because gradients of different nodes are uncorrelated under the model.
    """
    path = Graph(
        np.random.default_rng(2).random((3, 2)),
        [(0, 1), (1, 2)],
        [0, 1, 2],
        {"s": Split([0], [1], [2])},
    )
    network, weights, sums, kept, hidden, logits = parts(path)
    law = np.asarray(jax.nn.softmax(logits))
    node_weights = np.array([0.5, 0.3, 0.2])

    def gradient(labels, factor):
        wrong = law - np.eye(3)[np.array(labels)]
        back = network.backward(weights, sums, hidden, kept, jnp.asarray(factor[:, None] * wrong))
        flat = np.concatenate([np.asarray(layer).ravel() for layer in back.gradient])
        return flat, np.asarray(back.first_sums), np.asarray(back.second_sums)

    fisher, moment, output = 0.0, 0.0, 0.0
    for node, label in product(range(3), range(3)):
        one, _, _ = gradient([label] * 3, np.eye(3)[node])
        fisher += node_weights[node] * law[node, label] * np.outer(one, one)
    for labels in product(range(3), repeat=3):
        probability = np.prod(law[np.arange(3), labels])
        flat, _, sums_gradient = gradient(labels, np.sqrt(node_weights))
        moment += probability * np.outer(flat, flat)
        output += probability * sums_gradient.T @ sums_gradient
    np.testing.assert_allclose(moment, fisher, atol=1e-14)
    # In the last layer the factor B is the weighted mean of the nodes' own Fisher matrices.
    own = sum(w * (np.diag(q) - np.outer(q, q)) for w, q in zip(node_weights, law, strict=True))
    np.testing.assert_allclose(output, own, atol=1e-14)


def test_kronecker_product_is_exact_where_nodes_agree() -> None:
    """No edges, one law of the label for all nodes: A times B is the last layer's Fisher matrix."""
    lonely = Graph(
        np.random.default_rng(3).random((4, 3)),
        [],
        [0, 1, 1, 0],
        {"s": Split([0, 1], [2], [3])},
    )
    network, weights, _sums, _kept, hidden, _ = parts(lonely)
    weights = Parameters(weights.first, jnp.zeros_like(weights.second))
    rows = np.hstack([np.asarray(hidden), np.ones((4, 1))])
    single = np.eye(2) / 2 - np.ones((2, 2)) / 4
    whole = sum(np.kron(np.outer(row, row), single) for row in rows) / 4
    np.testing.assert_allclose(np.kron(rows.T @ rows / 4, single), whole, atol=1e-15)
    # The library's A, undamped up to rounding, is the left factor.
    back = network.backward(weights, _sums, hidden, _kept, jnp.zeros((4, 2)))
    held = factors(network, 1.0, 1.0, 1e-3, 0.0, hidden, back)
    recovered = np.linalg.inv(held.second_input) - 1e-3 * np.eye(5)
    np.testing.assert_allclose(recovered, rows.T @ rows / 4, atol=1e-9)


def test_product_rule_in_symbols() -> None:
    """vec of (A + tI)^-1 V (B + tI)^-1 solves the Kronecker system; symbols, two by two."""
    t = sp.symbols("t", positive=True)
    a = sp.Matrix(2, 2, sp.symbols("a0 a1 a1 a2"))
    b = sp.Matrix(2, 2, sp.symbols("b0 b1 b1 b2"))
    v = sp.Matrix(2, 2, sp.symbols("v0:4"))
    left, right = a + t * sp.eye(2), b + t * sp.eye(2)
    step = left.inv() * v * right.inv()
    residual = sp.kronecker_product(left, right) * sp.Matrix(list(step)) - sp.Matrix(list(v))
    assert sp.simplify(residual) == sp.zeros(4, 1)


def test_order_of_decay_and_preconditioner() -> None:
    """One SGD step of each kind, by hand; what is "after" is weaker by the damping."""
    club = load_karate_club()
    network, spectrum = Network.of(club, "public"), first_layer_spectrum(club)
    base = {"optimizer": "sgd", "scaling": "public", "epochs": 1, "learning_rate": 1.0}
    kinds = {}
    for decay, strength in (("after", 0.0), ("after", 0.5), ("before", 0.5), ("decoupled", 0.5)):
        form = Settings(**base, decay=decay, weight_decay=strength)
        kinds[decay, strength] = train(network, form, 0, spectrum=spectrum).parameters.first
    start = initialize(jax.random.fold_in(jax.random.key(0), 0), 34, 16, 2).first
    none = kinds["after", 0.0]
    np.testing.assert_allclose(none - kinds["after", 0.5], 0.5 * start, atol=1e-12)
    np.testing.assert_allclose(none - kinds["decoupled", 0.5], 0.5 * start, atol=1e-12)
    before = none - kinds["before", 0.5]
    assert np.linalg.norm(before) > 5 * np.linalg.norm(0.5 * start)
