"""Identities that criteria must satisfy; no stored numbers."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overparam.networks.architectures import dense_network, lenet_5, resnet_20, small_cnn
from overparam.networks.channels import channel_groups
from overparam.networks.criteria import prune_network, score
from overparam.networks.criteria.curvature import (
    exact_hessian,
    flatten,
    gauss_newton,
    gauss_newton_diagonal,
    unflatten,
)
from overparam.networks.criteria.passes import second_moments, sum_over
from overparam.networks.criteria.quadratic import refit, removal_costs, removal_order
from overparam.networks.criteria.thinet import contribution_moments, greedy_removal
from overparam.networks.data import Samples
from overparam.networks.masks import weights
from overparam.networks.network import Network, Node, activations, apply, patches
from overparam.networks.training import loss

SHAPE = (6, 6, 2)
CNN = small_cnn(3, SHAPE)
DENSE = dense_network([5], 3, (1, 4, 1))
LINEAR = dense_network([], 3, (1, 6, 1))


@lru_cache
def case(network: Network, count: int = 20) -> tuple[dict, Samples]:
    """Random parameters, none of them at a special value, and noise as data."""
    rng = np.random.default_rng(5)
    noisy = {}
    for name, shapes in network.parameter_shapes.items():
        noisy[name] = {}
        for leaf, shape in shapes.items():
            draw = rng.standard_normal(shape).astype(np.float32)
            if leaf == "weight":  # of the size of an initial weight
                draw *= np.float32((2 / np.prod(shape[:-1])) ** 0.5)
            elif leaf in {"scale", "variance"}:
                draw = 1 + 0.1 * np.abs(draw)
            else:
                draw *= 0.1
            noisy[name][leaf] = jnp.asarray(draw)
    inputs = rng.standard_normal((count, *network.input_shape)).astype(np.float32)
    classes = network.shapes[network.nodes[-1].name][0]
    return noisy, Samples(inputs, rng.integers(0, classes, count).astype(np.int32))


def gradients_one_by_one(network, parameters, samples):
    """Per-sample gradients by nothing but jax.grad of the training loss."""
    one = jax.jit(jax.grad(lambda tree, x, y: loss(network, tree, Samples(x, y))))
    pairs = zip(samples.inputs, samples.labels, strict=True)
    found = [one(parameters, x[None], y[None]) for x, y in pairs]
    return jax.tree.map(lambda *arrays: np.stack(arrays), *found)


@pytest.mark.parametrize(
    "network", [CNN, DENSE, lenet_5((12, 12, 1))], ids=["cnn", "dense", "lenet"]
)
def test_first_order_scores_are_averages_of_the_same_products(network):
    parameters, samples = case(network, 5)
    each = gradients_one_by_one(network, parameters, samples)
    names = {
        name: score(name, network, parameters, samples) for name in ("snip", "taylor", "fisher")
    }
    total = sum(np.abs(each[k]["weight"].mean(0) * w).sum() for k, w in weights(parameters).items())
    for layer, weight in weights(parameters).items():
        products = each[layer]["weight"] * np.asarray(weight)
        tolerance = 1e-5 * np.abs(products).max()
        close = {"rtol": 2e-4, "atol": tolerance}
        np.testing.assert_allclose(names["taylor"][layer], np.abs(products).mean(0), **close)
        np.testing.assert_allclose(
            names["fisher"][layer], (products**2).mean(0) / 2, rtol=2e-4, atol=tolerance**2
        )
        np.testing.assert_allclose(names["snip"][layer] * total, np.abs(products.mean(0)), **close)


def test_scores_do_not_depend_on_the_chunks():
    parameters, samples = case(CNN, 75)  # chunks of 32, 32 and 11
    whole = sum_over(second_moments, CNN, parameters, samples, chunk=1000)
    pieces = sum_over(second_moments, CNN, parameters, samples)
    for name in whole:
        np.testing.assert_allclose(pieces[name], whole[name], rtol=1e-4, atol=1e-3)


def test_gauss_newton_is_the_hessian_where_logits_are_linear_in_the_weights():
    parameters, samples = case(LINEAR)
    matrix = gauss_newton(LINEAR, parameters, samples)
    np.testing.assert_allclose(matrix, exact_hessian(LINEAR, parameters, samples), atol=1e-5)
    assert np.linalg.eigvalsh(matrix).min() > -1e-6


@pytest.mark.parametrize("network", [CNN, DENSE], ids=["cnn", "dense"])
def test_gauss_newton_diagonal_is_the_fisher_score_with_labels_from_the_model(network):
    parameters, samples = case(network, 6)
    probabilities = np.asarray(jax.nn.softmax(apply(network, parameters, samples.inputs)))
    expected = 0.0
    for index in range(6):
        for label, probability in enumerate(probabilities[index]):
            one = Samples(samples.inputs[index : index + 1], np.array([label], np.int32))
            part = score("fisher", network, parameters, one)
            expected = expected + probability * flatten(network, part) / 6
    found = flatten(network, score("obd", network, parameters, samples))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())
    diagonal = gauss_newton_diagonal(network, parameters, samples)
    full = np.diag(gauss_newton(network, parameters, samples))
    np.testing.assert_allclose(flatten(network, diagonal), full, rtol=1e-3, atol=1e-6)


def test_exact_hessian_is_the_second_difference_of_the_loss():
    parameters, samples = case(DENSE)
    hessian = exact_hessian(DENSE, parameters, samples)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-5)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), parameters)
        data = Samples(samples.inputs.astype(np.float64), samples.labels)
        here = flatten(DENSE, weights(wide))
        step = 1e-3 * np.random.default_rng(0).standard_normal(here.size)

        def at(vector):
            parts = unflatten(DENSE, vector)
            tree = {name: {**wide[name], "weight": parts[name]} for name in wide}
            return float(loss(DENSE, tree, data))

        second = at(here + step) - 2 * at(here) + at(here - step)
    assert second == pytest.approx(step @ hessian @ step, rel=1e-3)
    np.testing.assert_array_equal(flatten(DENSE, unflatten(DENSE, here)), here.astype(np.float32))


def test_obd_is_half_the_square_of_wanda_on_a_linear_layer():
    """Squared loss of the layer's own output, one output at a time, over the number of samples."""
    parameters, samples = case(LINEAR)
    rows = samples.inputs.reshape(20, 6).astype(np.float64)
    weight = np.asarray(parameters["output"]["weight"], np.float64)
    diagonal = np.mean(rows**2, axis=0)
    obd = diagonal[:, None] * weight**2 / 2
    wanda = np.asarray(score("wanda", LINEAR, parameters, samples)["output"], np.float64)
    np.testing.assert_allclose(wanda**2 / (2 * 20), obd, rtol=1e-5)
    # And both are the loss that removal adds, other weights as they are.
    for i, j in [(0, 0), (5, 2), (3, 1)]:
        change = rows[:, i] * weight[i, j]
        assert obd[i, j] == pytest.approx(np.mean(change**2) / 2)


def test_wanda_of_a_convolution_counts_positions():
    parameters, samples = case(CNN)
    node = CNN.node("conv2")
    source = activations(CNN, parameters, jnp.asarray(samples.inputs))[node.inputs[0]]
    norms = np.linalg.norm(np.asarray(patches(node, source)).reshape(-1, 27), axis=0)
    weight = np.asarray(parameters["conv2"]["weight"])
    found = np.asarray(score("wanda", CNN, parameters, samples)["conv2"])
    expected = np.abs(weight.reshape(27, -1)) * norms[:, None]
    np.testing.assert_allclose(found.reshape(27, -1), expected, rtol=1e-4)


def least_squares(rng, n, d):
    features = rng.standard_normal((n, d)) @ np.diag(rng.uniform(0.3, 2, d))
    labels = rng.standard_normal(n)
    return features, labels, np.linalg.lstsq(features, labels, rcond=None)[0]


def test_obs_is_the_exact_loss_after_refitting_the_others():
    rng = np.random.default_rng(0)
    features, labels, beta = least_squares(rng, 30, 6)
    hessian = features.T @ features / 30
    base = np.mean((labels - features @ beta) ** 2) / 2
    for j, cost in enumerate(removal_costs(beta, hessian)):
        others = np.delete(features, j, axis=1)
        fitted = np.linalg.lstsq(others, labels, rcond=None)[0]
        loss_without = np.mean((labels - others @ fitted) ** 2) / 2
        assert cost == pytest.approx(loss_without - base, rel=1e-9)
        moved = refit(beta, hessian, np.arange(6) != j)
        np.testing.assert_allclose(np.delete(moved, j), fitted, rtol=1e-9)
        # OBD ignores that the others adjust, so it can only be larger.
        assert cost <= hessian[j, j] * beta[j] ** 2 / 2


@pytest.mark.parametrize("block", [1, 3])
def test_obs_in_sequence_ends_where_refitting_does(block):
    rng = np.random.default_rng(1)
    features, labels, beta = least_squares(rng, 40, 9)
    hessian = features.T @ features / 40
    base = np.mean((labels - features @ beta) ** 2) / 2
    order, total = removal_order(beta, hessian, block=block)
    assert sorted(order) == list(range(9))
    for removed in range(block, 9, block):
        kept = ~np.isin(np.arange(9), order[:removed])
        fitted = refit(beta, hessian, kept)
        np.testing.assert_allclose(
            fitted[kept], np.linalg.lstsq(features[:, kept], labels, rcond=None)[0], rtol=1e-8
        )
        value = np.mean((labels - features @ fitted) ** 2) / 2 - base
        assert total[removed - 1] == pytest.approx(value, rel=1e-8)


def test_a_singular_hessian_needs_damping_and_costs_nothing_until_n_weights_remain():
    rng = np.random.default_rng(2)
    n, d = 5, 12
    features, labels, beta = least_squares(rng, n, d)
    hessian = features.T @ features / n
    with pytest.raises(ValueError, match=r"must be invertible.*damping"):
        removal_costs(beta, hessian)
    order, total = removal_order(beta, hessian, damping=1e-9)
    assert total[d - n - 1] < 1e-7
    assert total[d - n] > 1e-3
    kept = np.isin(np.arange(d), order[d - n :])
    fitted = refit(beta, hessian, kept)
    np.testing.assert_allclose(features @ fitted, labels, atol=1e-7)


def test_layer_obs_is_the_exact_cost_in_the_layers_output():
    parameters, samples = case(DENSE, 30)
    masks = jax.tree.map(jnp.ones_like, parameters)
    rng = np.random.default_rng(0)
    masks["dense1"]["weight"] = jnp.asarray(rng.random((4, 5)) < 0.6, jnp.float32)
    from overparam.networks.criteria.second_order import DAMPING, layer_obs_update

    updated = layer_obs_update(DENSE, parameters, masks, samples)
    rows = samples.inputs.reshape(30, 4).astype(np.float64)
    weight = np.asarray(parameters["dense1"]["weight"], np.float64)
    level = DAMPING * np.mean(rows**2)  # mean diagonal entry of X'X/B
    for unit in range(5):
        kept = np.asarray(masks["dense1"]["weight"][:, unit]) > 0
        # Ridge regression of the old output on what is left, toward the old weights.
        target = rows @ weight[:, unit] - rows[:, kept] @ weight[kept, unit]
        gram = rows[:, kept].T @ rows[:, kept] / 30 + level * np.eye(kept.sum())
        expected = weight[kept, unit] + np.linalg.solve(gram, rows[:, kept].T @ target / 30)
        found = np.asarray(updated["dense1"]["weight"])[:, unit]
        np.testing.assert_allclose(found[kept], expected, rtol=1e-4, atol=1e-5)
        assert (found[~kept] == 0).all()
    # The output layer keeps all its weights, hence its values.
    np.testing.assert_allclose(
        updated["output"]["weight"], parameters["output"]["weight"], rtol=1e-5
    )


def test_snip_vanishes_at_a_minimum_where_taylor_and_fisher_do_not():
    """Logistic regression with noise for labels: a convex loss with a finite minimum."""
    network = dense_network([], 3, (1, 4, 1))
    parameters, samples = case(network, 60)
    layer = parameters["output"]
    start = {"output": {"weight": jnp.zeros_like(layer["weight"]), "bias": jnp.zeros(3)}}
    tree = start
    slope = jax.jit(jax.grad(lambda p: loss(network, p, samples)))
    for _ in range(1500):
        tree = jax.tree.map(lambda w, g: w - 0.5 * g, tree, slope(tree))
    weight = np.abs(np.asarray(tree["output"]["weight"]))
    mean = np.abs(np.asarray(slope(tree)["output"]["weight"])) * weight
    spread = np.asarray(score("taylor", network, tree, samples)["output"])
    square = np.asarray(score("fisher", network, tree, samples)["output"])
    assert mean.max() < 1e-5 * spread.max()
    assert (square > 0).all()
    assert spread.min() > 1e3 * mean.max()


def test_what_goes_into_a_rectified_unit_comes_out_of_it():
    """Sum of weight times gradient, bias included: the same before and after, sample by sample.

    So at a stationary point both are zero on average, for every unit.
    """
    parameters, samples = case(DENSE, 8)
    each = gradients_one_by_one(DENSE, parameters, samples)
    into = (each["dense1"]["weight"] * np.asarray(parameters["dense1"]["weight"])).sum(1)
    into += each["dense1"]["bias"] * np.asarray(parameters["dense1"]["bias"])
    out = (each["output"]["weight"] * np.asarray(parameters["output"]["weight"])).sum(2)
    np.testing.assert_allclose(into, out, rtol=1e-4, atol=1e-6)
    fisher = np.asarray(score("channel-fisher", DENSE, parameters, samples)["dense1"])
    taylor = np.asarray(score("channel-taylor", DENSE, parameters, samples)["dense1"])
    squares = np.asarray(score("filter-taylor", DENSE, parameters, samples)["dense1"])
    np.testing.assert_allclose(fisher, (out**2).mean(0) / 2, rtol=1e-4)
    np.testing.assert_allclose(squares, 2 * fisher, rtol=1e-4)  # nothing is normalized here
    mean = np.abs(out).mean(0)
    np.testing.assert_allclose(taylor, mean / np.linalg.norm(mean), rtol=1e-4)


@pytest.mark.parametrize("network", [CNN, resnet_20(2, (8, 8, 1))], ids=["cnn", "resnet"])
def test_filter_taylor_sums_weight_times_gradient_of_the_filter(network):
    parameters, samples = case(network, 3)
    each = gradients_one_by_one(network, parameters, samples)
    found = score("filter-taylor", network, parameters, samples)
    for group in channel_groups(network):
        total = 0.0
        for name in group.producers:
            for leaf, array in parameters[name].items():
                products = each[name][leaf] * np.asarray(array)
                total = total + products.reshape(3, -1, group.size).sum(1)
        expected = (total**2).mean(0)
        np.testing.assert_allclose(
            found[group.name], expected, rtol=2e-2, atol=1e-3 * expected.max()
        )


def test_scaling_a_filter_changes_its_norm_and_nothing_that_looks_at_the_function():
    network = lenet_5((12, 12, 1))
    parameters, samples = case(network, 6)
    scaled = {name: dict(leaves) for name, leaves in parameters.items()}
    factor = jnp.array([7.0, *[1.0] * 5])
    scaled["conv1"]["weight"] = parameters["conv1"]["weight"] * factor
    scaled["conv1"]["bias"] = parameters["conv1"]["bias"] * factor
    scaled["conv2"]["weight"] = parameters["conv2"]["weight"] / factor[:, None]
    for name in ("apoz", "channel-taylor", "filter-taylor", "channel-fisher", "thinet"):
        before = score(name, network, parameters, samples)["conv1"]
        after = score(name, network, scaled, samples)["conv1"]
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-8)
    before = score("filter-l1", network, parameters)["conv1"]
    np.testing.assert_allclose(score("filter-l1", network, scaled)["conv1"], before * factor)


def test_norm_and_geometric_median_disagree_at_equal_norms():
    network = small_cnn(4, SHAPE)
    parameters, _ = case(network)
    filters = np.zeros((18, 4), np.float32)
    filters[0, 0] = filters[1, 1] = 1  # far from everything
    filters[2, 2:] = 1  # twins: either replaces the other
    parameters = {**parameters, "conv1": {"weight": jnp.asarray(filters.reshape(3, 3, 2, 4))}}
    np.testing.assert_allclose(score("filter-l2", network, parameters)["conv1"], 1)
    found = np.asarray(score("geometric-median", network, parameters)["conv1"])
    np.testing.assert_allclose(found, np.sqrt(2) * np.array([3, 3, 2, 2]), rtol=1e-6)


def test_apoz_counts_zeros_and_needs_a_rectifier():
    parameters, samples = case(CNN)
    maps = activations(CNN, parameters, jnp.asarray(samples.inputs))["relu1"]
    expected = -(np.asarray(maps) == 0).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(
        score("apoz", CNN, parameters, samples)["conv1"], expected, rtol=1e-5
    )
    np.testing.assert_allclose(
        score("activation-mean", CNN, parameters, samples)["conv1"],
        np.asarray(maps).mean(axis=(0, 1, 2)),
        rtol=1e-4,
    )
    # A smooth unit is never exactly zero: every channel would have the same score.
    assert (np.asarray(jax.nn.softplus(maps)) == 0).mean() == 0
    nodes = (
        Node("conv1", "convolution", ("input",), 3, kernel=3),
        Node("mean", "mean", ("conv1",)),
        Node("output", "dense", ("mean",), 10),
    )
    smooth = Network(nodes, SHAPE)
    with pytest.raises(ValueError, match="must rectify the channels of 'conv1'"):
        score("apoz", smooth, *case(smooth))


def explicit_contributions(network, parameters, samples, consumer, size):
    """What each channel adds to each output of a layer: (samples, positions, units; channels)."""
    node = network.node(consumer)
    outputs = activations(network, parameters, jnp.asarray(samples.inputs))
    rows = np.asarray(patches(node, outputs[node.inputs[0]]), np.float64)
    rows = rows.reshape(len(rows), -1, rows.shape[-1] // size, size)
    weight = np.asarray(parameters[consumer]["weight"], np.float64).reshape(-1, size, node.units)
    return np.einsum("bpac,acu->bpuc", rows, weight).reshape(-1, size)


@pytest.mark.parametrize(
    ("network", "group", "consumer"),
    [
        (CNN, "conv1", "conv2"),
        (CNN, "conv2", "output"),
        (lenet_5((12, 12, 1)), "conv2", "dense1"),
        (DENSE, "dense1", "output"),
    ],
    ids=["convolution", "mean", "flatten", "dense"],
)
def test_thinet_moments_are_those_of_explicit_contributions(network, group, consumer):
    parameters, samples = case(network, 6)
    size = next(g.size for g in channel_groups(network) if g.name == group)
    parts = explicit_contributions(network, parameters, samples, consumer, size)
    found = contribution_moments(network, parameters, samples)[group][consumer]
    expected = parts.T @ parts / 6
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_thinet_removes_first_what_the_next_layer_misses_least():
    """A guard: ranks, not the order itself, and low ranks for what goes."""
    parameters, samples = case(CNN)
    parameters = {
        **parameters,
        "conv2": {"weight": parameters["conv2"]["weight"].at[:, :, 1].set(0)},
    }
    found = np.asarray(score("thinet", CNN, parameters, samples)["conv1"])
    assert found.argmin() == 1  # nothing reads this channel
    _, masks = prune_network("thinet", CNN, parameters, 0.7, samples)
    assert np.asarray(masks["conv1"]["weight"]).reshape(-1, 3).any(0).tolist() == [
        True,
        False,
        True,
    ]
    # An order that is not its own inverse tells ranks from indices.
    order = greedy_removal(np.diag([2.0, 3.0, 1.0]))
    assert order.tolist() == [2, 0, 1]
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6))
    left, removed = list(range(6)), np.zeros(50)
    for chosen in greedy_removal(parts.T @ parts):
        costs = {c: np.sum((removed + parts[:, c]) ** 2) for c in left}
        assert chosen == min(costs, key=costs.get)
        removed = removed + parts[:, chosen]
        left.remove(chosen)


def test_thinet_scores_are_the_inverse_of_the_order():
    parameters, samples = case(CNN)
    found = score("thinet", CNN, parameters, samples)
    for group, moments in contribution_moments(CNN, parameters, samples).items():
        order = greedy_removal(sum(moments.values()))
        assert np.argsort(np.asarray(found[group])).tolist() == order.tolist()


def test_thinet_rescales_by_least_squares():
    parameters, samples = case(CNN)
    updated, masks = prune_network("thinet", CNN, parameters, 0.7, samples)
    stay = np.asarray(masks["conv1"]["weight"]).reshape(-1, 3).any(0)
    parts = explicit_contributions(CNN, parameters, samples, "conv2", 3)
    factors = np.linalg.lstsq(parts[:, stay], parts.sum(1), rcond=None)[0]
    alive = np.asarray(masks["conv2"]["weight"]) > 0
    ratio = np.asarray(updated["conv2"]["weight"] / parameters["conv2"]["weight"])
    for factor, channel in zip(factors, np.flatnonzero(stay), strict=True):
        np.testing.assert_allclose(ratio[:, :, channel][alive[:, :, channel]], factor, rtol=1e-3)
