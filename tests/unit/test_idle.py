"""Idle weights: against paths in a graph, no output changed, sizes that do not count them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overparam.networks.architectures import dense_network, lenet_5, small_cnn
from overparam.networks.data import Samples
from overparam.networks.idle import live_masks, prune_to_live_size
from overparam.networks.masks import apply_masks, density, weight_masks, weights
from overparam.networks.network import apply, initialize
from overparam.networks.sensitivity import weight_sensitivities
from overparam.networks.sipp_study import METHODS, prune

DENSE = dense_network([30, 20], input_shape=(4, 4, 1))


def model(network, count=12):
    parameters = initialize(network, jax.random.key(0))
    images = jax.random.normal(jax.random.key(1), (count, *network.input_shape))
    return parameters, Samples(np.asarray(images), np.arange(count, dtype=np.int32) % 10)


def positive(network):
    """A network in which every rectifier is open: only paths decide what is idle."""
    parameters, samples = model(network)
    parameters = {
        name: {leaf: (leaf != "mean") * (jnp.abs(array) + 0.1) for leaf, array in leaves.items()}
        for name, leaves in parameters.items()
    }
    return parameters, samples._replace(inputs=np.abs(samples.inputs) + 0.1)


def random_masks(network, parameters, keep):
    rng = np.random.default_rng(3)
    scores = {name: rng.random(array.shape) for name, array in weights(parameters).items()}
    return weight_masks(network, parameters, scores, keep)


def test_live_is_what_has_a_path_to_the_output() -> None:
    parameters, samples = positive(DENSE)
    masks = random_masks(DENSE, parameters, 0.05)
    live = live_masks(DENSE, parameters, masks, samples)
    reaches = np.ones(10, bool)
    for name in ("output", "dense2", "dense1"):
        mask = np.asarray(masks[name]["weight"]) > 0
        np.testing.assert_array_equal(live[name]["weight"] > 0, mask & reaches)
        np.testing.assert_array_equal(live[name]["bias"] > 0, reaches)
        reaches = (mask & reaches).any(axis=1)
    assert density(live) < 0.8 * density(masks)


@pytest.mark.parametrize("network", [DENSE, lenet_5((12, 12, 1)), small_cnn(4)], ids=str)
def test_no_output_changes_and_nothing_is_left_to_remove(network) -> None:
    parameters, samples = positive(network)
    dead, leaf = next(
        (name, leaf)
        for name, leaves in parameters.items()
        for leaf in ("bias", "offset")
        if leaf in leaves
    )
    parameters[dead][leaf] = parameters[dead][leaf].at[:3].set(-1e4)
    masks = random_masks(network, parameters, 0.06)
    live = live_masks(network, parameters, masks, samples)
    before, after = (
        apply(network, apply_masks(parameters, each), jnp.asarray(samples.inputs))
        for each in (masks, live)
    )
    np.testing.assert_allclose(after, before, rtol=1e-5)
    assert not live[dead][leaf][:3].any()
    assert live[dead][leaf][3:].any()
    assert density(live) < density(masks)
    again = live_masks(network, parameters, live, samples)
    jax.tree.map(np.testing.assert_array_equal, again, live)
    for name, leaves in masks.items():
        for leaf in leaves.keys() & {"mean", "variance"}:
            np.testing.assert_array_equal(live[name][leaf], leaves[leaf])


def test_to_first_order_only() -> None:
    """The third kind of the notes: -x + 1/2 is closed at x = 1, and its weight idle at x = 0."""
    network = dense_network([1], classes=2, input_shape=(1, 1, 1))
    parameters = {
        "dense1": {"weight": jnp.array([[-1.0]]), "bias": jnp.array([0.5])},
        "output": {"weight": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)},
    }
    images = np.array([0.0, 1.0], np.float32).reshape(2, 1, 1, 1)
    masks = jax.tree.map(jnp.ones_like, parameters)
    live = live_masks(network, parameters, masks, Samples(images, np.zeros(2, np.int32)))
    assert live["dense1"]["weight"].item() == 0
    assert live["output"]["weight"].all()
    after = apply(network, apply_masks(parameters, live), jnp.asarray(images))
    assert float(after[1, 0]) == 0.5


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, samples = model(DENSE)
    masks = random_masks(DENSE, parameters, 0.1)
    whole = live_masks(DENSE, parameters, masks, samples)
    monkeypatch.setattr("overparam.networks.idle._CHUNK", 5)
    jax.tree.map(
        np.testing.assert_array_equal, live_masks(DENSE, parameters, masks, samples), whole
    )


@pytest.mark.parametrize("keep", [0.3, 0.03])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "SiPP, random"])
def test_the_size_does_not_count_idle_weights(method: str, keep: float) -> None:
    parameters, samples = model(DENSE)
    scores = weight_sensitivities(DENSE, parameters, samples.inputs)
    by_size = partial(prune, method, DENSE, parameters, scores, rng=np.random.default_rng(0))
    found = prune_to_live_size(DENSE, samples, keep, by_size)
    total = sum(array.size for array in scores.values())
    # A unit's last path takes a few other weights with it.
    assert abs(density(found.masks) - keep) <= max(0.005 * keep, 4.1 / total)
    assert density(found.pruned.masks) > density(found.masks)
    jax.tree.map(
        lambda array, mask: np.testing.assert_array_equal(array == 0, mask == 0),
        *(weights(tree) for tree in (found.parameters, found.masks)),
    )


def test_half_a_per_cent_where_sizes_do_not_jump() -> None:
    network = dense_network([300, 100])
    parameters, samples = model(network, count=64)
    by_size = partial(prune, "magnitude", network, parameters, {}, rng=np.random.default_rng(0))
    found = prune_to_live_size(network, samples, 0.01, by_size)
    assert abs(density(found.masks) / 0.01 - 1) <= 0.005
    assert density(found.pruned.masks) > 0.011


def test_the_whole_network_if_it_has_no_more() -> None:
    parameters, samples = model(DENSE)
    parameters["dense1"]["bias"] = parameters["dense1"]["bias"].at[:5].set(-100.0)
    by_size = partial(prune, "magnitude", DENSE, parameters, {}, rng=np.random.default_rng(0))
    found = prune_to_live_size(DENSE, samples, 0.99, by_size)
    assert density(found.pruned.masks) == 1
    assert density(found.masks) < 0.9


def test_refused() -> None:
    parameters, samples = model(DENSE)
    masks = jax.tree.map(jnp.ones_like, parameters)
    with pytest.raises(ValueError, match="dense1"):
        live_masks(DENSE, parameters, {**masks, "dense1": {}}, samples)
    with pytest.raises(ValueError, match="samples"):
        live_masks(DENSE, parameters, masks, samples._replace(labels=samples.labels + 10))
    by_size = partial(prune, "magnitude", DENSE, parameters, {}, rng=np.random.default_rng(0))
    for keep, tolerance, name in ((0.0, 0.005, "keep"), (0.5, -1.0, "tolerance")):
        with pytest.raises(ValueError, match=name):
            prune_to_live_size(DENSE, samples, keep, by_size, tolerance)
