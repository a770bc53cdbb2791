"""PFP: sensitivities against loops, the size that was asked for, filters that are really gone."""

import copy
from functools import partial
from math import log

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overparam.networks import pfp_study
from overparam.networks.architectures import dense_network, lenet_5, small_cnn
from overparam.networks.channel_sampling import Luck, choose_channels, draws_per_sensitivity
from overparam.networks.channel_sensitivity import channel_sensitivities, channel_shares, sums
from overparam.networks.channels import channel_groups, channel_masks
from overparam.networks.cost import cost
from overparam.networks.masks import apply_masks
from overparam.networks.network import (
    INPUT,
    Network,
    Node,
    activations,
    apply,
    patches,
)
from overparam.networks.pfp import (
    LEVELS,
    _size,
    nearest_size,
    prune_channels,
    rescale_channels,
)
from overparam.networks.removal import remove_channels
from overparam.networks.sensitivity import weight_sensitivities


def residual():
    """A shortcut around two convolutions, and two readers of what it adds."""
    conv = partial(Node, kind="convolution", kernel=3, bias=False)
    return Network(
        (
            conv("stem", inputs=(INPUT,), units=5),
            Node("norm", "normalization", ("stem",)),
            Node("relu", "relu", ("norm",)),
            conv("first", inputs=("relu",), units=8),
            Node("norm1", "normalization", ("first",)),
            Node("relu1", "relu", ("norm1",)),
            conv("second", inputs=("relu1",), units=5),
            Node("norm2", "normalization", ("second",)),
            Node("add", "add", ("norm2", "relu")),
            Node("relu2", "relu", ("add",)),
            conv("third", inputs=("relu2",), units=6, stride=2),
            Node("relu3", "relu", ("third",)),
            Node("mean", "mean", ("relu3",)),
            Node("output", "dense", ("mean",), 10),
        ),
        (4, 4, 1),
    )


NETWORKS = {
    "dense": dense_network([20, 15], input_shape=(4, 4, 1)),
    "lenet": lenet_5((12, 12, 1)),
    "normalized": small_cnn(6),
    "residual": residual(),
}
VARIANTS = ["deterministic", "sampled", "mixed"]


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


def parameters_of(network, seed=0):
    """Weights of both signs, and nothing that is zero or one by design."""
    rng = np.random.default_rng(seed)
    return {
        name: {
            leaf: jnp.asarray(rng.normal(0.1, 0.4, shape), jnp.float32)
            if leaf in {"weight", "bias", "offset"}
            else jnp.asarray(rng.uniform(0.5, 1.5, shape), jnp.float32)
            for leaf, shape in shapes.items()
        }
        for name, shapes in network.parameter_shapes.items()
    }


def images_of(network, count=5):
    rng = np.random.default_rng(9)
    return rng.standard_normal((count, *network.input_shape)).astype(np.float32)


def some_scores(network, seed=0):
    rng = np.random.default_rng(seed)
    return {g.name: rng.random(g.size) ** 2 + 1e-3 for g in channel_groups(network)}


def slow_shares(network, parameters, inputs, largest_cell):
    """The definition, one sum at a time."""
    outputs = activations(network, parameters, inputs)
    shares = {}
    for group in channel_groups(network):
        best = np.zeros((len(inputs), group.size))
        for name in group.consumers:
            layer = network.node(name)
            rows = np.asarray(patches(layer, outputs[layer.inputs[0]]), float)
            rows = rows.reshape(len(inputs), -1, rows.shape[-1])
            weight = np.asarray(parameters[name]["weight"], float)
            weight = weight.reshape(-1, weight.shape[-1])
            owner = np.arange(len(weight)) % group.size
            for image, position, unit in np.ndindex(*rows.shape[:2], weight.shape[1]):
                for sign, half in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                    added = np.maximum(sign * weight[:, unit], 0)
                    added *= np.maximum(half * rows[image, position], 0)
                    if not added.sum() > 0:
                        continue
                    for channel in range(group.size):
                        part = added[owner == channel]
                        share = (part.max() if largest_cell else part.sum()) / added.sum()
                        best[image, channel] = max(best[image, channel], share)
        shares[group.name] = best
    return shares


@pytest.mark.parametrize("over_cells", ["sum", "max"])
@pytest.mark.parametrize("name", ["dense", "normalized"])
def test_shares_are_those_of_the_definition(name, over_cells):
    network = NETWORKS[name]
    parameters, inputs = parameters_of(network), images_of(network, 3)
    found = channel_shares(network, parameters, inputs, over_cells)
    for group, slow in slow_shares(network, parameters, inputs, over_cells == "max").items():
        np.testing.assert_allclose(found[group], slow, rtol=1e-4)


def test_readers_after_flattening_and_shortcuts_are_all_seen():
    for network, name in ((NETWORKS["lenet"], "conv2"), (NETWORKS["residual"], "stem")):
        parameters, inputs = parameters_of(network), images_of(network, 1)
        found = channel_shares(network, parameters, inputs)[name]
        slow = slow_shares(network, parameters, inputs, largest_cell=False)[name]
        np.testing.assert_allclose(found, slow, rtol=1e-4)
    assert channel_groups(NETWORKS["residual"])[0].consumers == ("first", "third")


def test_inputs_of_both_signs_are_two_inputs():
    """A layer that reads no rectifier: the share of a negative input counts."""
    network = dense_network([2], classes=1, input_shape=(1, 1, 1))
    nodes = tuple(node for node in network.nodes if node.kind != "relu")
    linear = type(network)((*nodes[:-1], nodes[-1].__class__("output", "dense", ("dense1",), 1)), (
        1, 1, 1,
    ))  # fmt: skip
    parameters = {
        "dense1": {"weight": jnp.array([[-1.0, 1.0]]), "bias": jnp.zeros(2)},
        "output": {"weight": jnp.array([[1.0], [3.0]]), "bias": jnp.zeros(1)},
    }
    found = channel_sensitivities(linear, parameters, np.ones((1, 1, 1, 1)))
    assert found["dense1"].tolist() == [1, 1]


@pytest.mark.parametrize("units", [1, 4])
def test_between_dense_layers_it_is_the_largest_weight_sensitivity(units):
    """With one output unit, PFP and SiPP coincide."""
    network = dense_network([9], classes=units, input_shape=(3, 3, 1))
    parameters, inputs = parameters_of(network), images_of(network, 40)
    weights = weight_sensitivities(network, parameters, inputs)["output"]
    channels = channel_sensitivities(network, parameters, inputs)["dense1"]
    np.testing.assert_allclose(channels, weights.max(axis=1), rtol=1e-6)


def test_chunks_of_images_make_no_difference():
    network = NETWORKS["normalized"]
    parameters, inputs = parameters_of(network), images_of(network, 37)
    whole = channel_shares(network, parameters, inputs)["conv1"]
    parts = [channel_shares(network, parameters, inputs[i : i + 1])["conv1"] for i in (0, 20, 36)]
    assert whole.shape == (37, 6)
    np.testing.assert_allclose(whole[[0, 20, 36]], np.concatenate(parts), rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_removed_filters_compute_what_masked_ones_do(network, variant):
    scores = some_scores(network)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), parameters_of(network))
        inputs = jnp.asarray(images_of(network), jnp.float64)
        found = prune_channels(network, wide, scores, 0.3, variant, rng=np.random.default_rng(2))
        rescaled = rescale_channels(network, wide, found.factors)
        masked = apply_masks(rescaled, channel_masks(network, wide, found.kept))
        expected = apply(network, masked, inputs)
        np.testing.assert_allclose(
            apply(found.network, found.parameters, inputs),
            expected,
            atol=1e-10 * float(jnp.abs(expected).max()),
        )
        assert found.parameters["output"]["weight"].dtype == jnp.float64
        dense, masked_cost = cost(network, wide), cost(network, masked)
        smaller = cost(found.network, found.parameters)
        assert smaller.multiply_adds == masked_cost.multiply_adds < dense.multiply_adds
        assert smaller.parameters < 0.4 * dense.parameters
        held = sum(array.nbytes for array in jax.tree.leaves(found.parameters))
        assert held < 0.5 * sum(array.nbytes for array in jax.tree.leaves(wide))
        for name, shapes in found.network.parameter_shapes.items():
            assert {leaf: x.shape for leaf, x in found.parameters[name].items()} == shapes


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.2, 0.08])
def test_the_size_is_the_nearest_there_is(network, keep):
    scores = some_scores(network)
    parameters = parameters_of(network)
    found = prune_channels(network, parameters, scores, keep)
    target = keep * network.parameter_count
    numbers = sums(network)
    reachable = set()
    for level in np.geomspace(0.01, 1e5, 700):
        kept = {
            name: choose_channels(
                values, draws_per_sensitivity(level, numbers[name]), "deterministic"
            ).factors
            > 0
            for name, values in scores.items()
        }
        reachable.add(_size(network, channel_groups(network), kept))
    nearest = min(abs(size - target) for size in reachable)
    assert abs(found.network.parameter_count - target) <= nearest
    assert found.parameters.keys() == parameters.keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_counting_is_that_of_the_smaller_network(network, variant):
    rng = np.random.default_rng(0)
    kept = {g.name: np.append(True, rng.random(g.size - 1) < 0.5) for g in channel_groups(network)}
    smaller, _ = remove_channels(network, parameters_of(network), kept)
    assert _size(network, channel_groups(network), kept) == smaller.parameter_count
    found = prune_channels(
        network, parameters_of(network), some_scores(network), 0.5, variant, rng=rng
    )
    assert found.network.parameter_count == pytest.approx(
        0.5 * network.parameter_count, rel=0.08 if network.parameter_count > 2000 else 0.2
    )


def test_one_level_decides_for_all_layers():
    network = NETWORKS["lenet"]
    scores, numbers = some_scores(network), sums(network)
    found = prune_channels(network, parameters_of(network), scores, 0.2, failure=0.1, spread=2.0)
    for name, values in scores.items():
        rate = draws_per_sensitivity(found.level, numbers[name], 0.1, 2.0)
        choice = choose_channels(values, rate, "deterministic")
        assert np.array_equal(choice.factors > 0, found.kept[name])
        assert choice.draws == found.draws[name] == int(np.ceil(rate * values.sum()))
        best = np.sort(values)[::-1][: found.kept[name].sum()]
        assert set(best) == set(values[found.kept[name]])


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_draw_empties_a_layer(variant):
    network = NETWORKS["lenet"]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = prune_channels(
            network, parameters_of(network), some_scores(network, seed), 0.01, variant, rng=rng
        )
        assert all(stay.any() for stay in found.kept.values())


def test_nothing_left_to_draw_from_is_no_division_by_zero():
    """The mixed variant of the public code divides zero by zero here."""
    luck = Luck.draw(np.random.default_rng(0), 4)
    choice = choose_channels(np.array([1.0, 0.0, 0.5, 0.0]), 10.0, "mixed", luck)
    assert choice.factors.tolist() == [1, 0, 1, 0]
    assert choice.draws == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_channel_without_share_goes_first(variant):
    network = NETWORKS["dense"]
    scores = some_scores(network)
    scores["dense1"][3] = 0
    luck = np.random.default_rng(1)
    found = prune_channels(network, parameters_of(network), scores, 1.0, variant, rng=luck)
    assert not found.kept["dense1"][3]
    assert found.kept["dense1"].sum() == 19
    assert found.kept["dense2"].all()


def test_the_same_generator_gives_the_same_network():
    network, parameters = NETWORKS["lenet"], parameters_of(NETWORKS["lenet"])
    scores = some_scores(network)
    first, again = (
        prune_channels(network, parameters, scores, 0.3, "sampled", rng=np.random.default_rng(5))
        for _ in range(2)
    )
    assert jax.tree.all(jax.tree.map(jnp.array_equal, first.parameters, again.parameters))


def test_the_search_refuses_a_size_below_one_filter_a_layer():
    network = NETWORKS["dense"]
    one = {g.name: np.arange(g.size) == 0 for g in channel_groups(network)}
    least = _size(network, channel_groups(network), one) / network.parameter_count
    kept_at = {True: one, False: {name: np.ones_like(stay) for name, stay in one.items()}}
    assert nearest_size(network, lambda t: kept_at[t > 0.3], least, (0.0, 1.0)) > 0.3
    with pytest.raises(
        ValueError, match=r"`keep` must be at least .* 'dense1' would lose its last"
    ):
        nearest_size(network, lambda t: kept_at[t > 0.3], 0.9 * least, (0.0, 1.0))


def bad_calls():
    network = NETWORKS["normalized"]
    p, x = parameters_of(network), images_of(network)
    scores = some_scores(network)
    dead = {**scores, "conv2": np.zeros(12)}
    nan = {**p, "conv2": {"weight": p["conv2"]["weight"] * jnp.nan}}
    return {
        "keep zero": (lambda: prune_channels(network, p, scores, 0.0), "`keep`"),
        "keep above one": (lambda: prune_channels(network, p, scores, 1.1), "`keep`"),
        "keep not a number": (lambda: prune_channels(network, p, scores, float("nan")), "`keep`"),
        "last filter": (
            lambda: prune_channels(network, p, scores, 0.001), "'conv1' would lose its last filter",
        ),
        "no share": (
            lambda: prune_channels(network, p, dead, 0.5), "conv2.*lose its last filter",
        ),
        "variant": (lambda: prune_channels(network, p, scores, 0.5, "random"), "variant"),
        "no generator": (lambda: prune_channels(network, p, scores, 0.5, "mixed"), "rng"),
        "no luck": (lambda: choose_channels(np.ones(3), 1.0, "sampled"), "luck"),
        "missing group": (
            lambda: prune_channels(network, p, {"conv1": scores["conv1"]}, 0.5), "conv2",
        ),
        "unknown group": (
            lambda: prune_channels(network, p, {**scores, "output": np.ones(10)}, 0.5), "output",
        ),
        "not finite": (
            lambda: prune_channels(network, p, {**scores, "conv1": np.full(6, np.nan)}, 0.5),
            "conv1.*finite",
        ),
        "negative": (
            lambda: prune_channels(network, p, {**scores, "conv1": -scores["conv1"]}, 0.5), "conv1",
        ),
        "level": (lambda: draws_per_sensitivity(0.0, 3), "level"),
        "infinite level": (lambda: draws_per_sensitivity(float("inf"), 3), "level"),
        "failure": (lambda: draws_per_sensitivity(0.1, 3, failure=1.0), "failure"),
        "spread": (lambda: draws_per_sensitivity(0.1, 3, spread=0.5), "spread"),
        "number": (lambda: draws_per_sensitivity(0.1, 0), "number"),
        "over cells": (lambda: channel_shares(network, p, x, "mean"), "over_cells"),
        "no images": (lambda: channel_sensitivities(network, p, x[:0]), "inputs"),
        "wrong images": (lambda: channel_sensitivities(network, p, x[:, 1:]), "inputs"),
        "weights not finite": (lambda: channel_sensitivities(network, nan, x), "conv2"),
        "no such network": (lambda: pfp_study.run({"network": "VGG"}), "VGG"),
    }  # fmt: skip


@pytest.mark.parametrize("name", bad_calls())
def test_bad_input_is_refused(name):
    call, message = bad_calls()[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_is_changed_or_half_pruned():
    network = NETWORKS["residual"]
    parameters, scores = parameters_of(network), some_scores(network)
    before = copy.deepcopy((parameters, scores))
    prune_channels(network, parameters, scores, 0.3, "mixed", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="last filter"):
        prune_channels(network, parameters, scores, 1e-4)
    assert jax.tree.all(jax.tree.map(np.array_equal, (parameters, scores), before))


def test_levels_of_the_search_reach_both_ends():
    rate = [draws_per_sensitivity(level, 10**7, spread=100.0) for level in LEVELS]
    everything = choose_channels(np.append(np.ones(499), 1e-6), rate[0], "deterministic")
    assert everything.factors.all()
    assert everything.draws < 1 << 62
    assert choose_channels(np.ones(500), rate[1], "deterministic").draws == 1
    assert log(LEVELS[1]) > log(LEVELS[0])


def test_study_compares_all_methods_at_one_size(monkeypatch):
    tiny = {"LeNet-5": lambda: dense_network([24], input_shape=(8, 8, 1))}
    monkeypatch.setattr(pfp_study, "NETWORKS", tiny)
    settings = pfp_study.SETTINGS["mnist"][0] | {
        "data": "digits", "epochs": 3, "retraining epochs": 1, "keep": [0.5], "seeds": 1,
    }  # fmt: skip
    result = pfp_study.run(pfp_study.tasks((settings,))[0])
    rows = {row["method"]: row for row in result["rows"]}
    assert set(rows) == set(pfp_study.METHODS)
    for method, row in rows.items():
        assert row["size"] == pytest.approx(0.5, abs=0.03)
        assert 0 <= row["after"] <= 1
        assert ("channels" in row) == (method != "magnitude")
        assert (row["level"] is None) == (method not in pfp_study.VARIANTS)
    assert {m for m, row in rows.items() if "latency" in row} == set(pfp_study.TIMED)
    assert rows["PFP"]["multiply-adds"] == pytest.approx(12 / 24)
    assert rows["PFP"]["largest difference"] < 1e-5
