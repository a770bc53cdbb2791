"""The registry of criteria, what it refuses, schedules, and alternatives to pruning."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overparam.networks import comparison
from overparam.networks.alternatives import (
    distillation_loss,
    index_bits,
    low_rank,
    quantize_shared,
    quantize_uniform,
    separable_cost_ratio,
)
from overparam.networks.architectures import dense_network, resnet_20, small_cnn
from overparam.networks.channels import channel_groups, filter_masks
from overparam.networks.cost import cost
from overparam.networks.criteria import CRITERIA, prune_network, score
from overparam.networks.criteria.quadratic import damped, removal_costs, removal_order
from overparam.networks.data import Samples
from overparam.networks.masks import density, weight_masks, weights
from overparam.networks.network import apply
from overparam.networks.schedules import cubic_keeps, geometric_keeps, prune_and_train
from overparam.networks.training import TrainingPlan

RNG = np.random.default_rng(0)


def drawn(network, seed=0):
    """Positive and negative weights without a compilation for every shape."""
    rng = np.random.default_rng(seed)
    return {
        name: {
            leaf: jnp.asarray(np.abs(draw) if leaf in {"scale", "variance"} else draw)
            for leaf, shape in shapes.items()
            for draw in [rng.standard_normal(shape).astype(np.float32)]
        }
        for name, shapes in network.parameter_shapes.items()
    }


NETWORK = small_cnn(3, (4, 4, 1))
PARAMETERS = drawn(NETWORK)
SAMPLES = Samples(
    RNG.standard_normal((10, 4, 4, 1)).astype(np.float32), np.arange(10, dtype=np.int32)
)
KEY = jax.random.key(1)


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_scores_what_it_says(name):
    found = score(name, NETWORK, PARAMETERS, SAMPLES, KEY)
    if CRITERIA[name].structure == "weight":
        shapes = {layer: array.shape for layer, array in weights(PARAMETERS).items()}
    else:
        shapes = {group.name: (group.size,) for group in channel_groups(NETWORK)}
    assert {layer: array.shape for layer, array in found.items()} == shapes
    assert all(np.isfinite(np.asarray(array)).all() for array in found.values())
    parameters, masks = prune_network(name, NETWORK, PARAMETERS, 0.5, SAMPLES, KEY, scope="layer")
    assert density(masks) <= 0.55
    for layer, leaves in parameters.items():
        for leaf, array in leaves.items():
            assert (np.asarray(array)[np.asarray(masks[layer][leaf]) == 0] == 0).all()


def test_random_scores_need_a_key_and_differ_between_layers():
    with pytest.raises(ValueError, match="`key` must be given"):
        score("random", NETWORK, PARAMETERS)
    with pytest.raises(ValueError, match="`key` must be given"):
        score("filter-random", NETWORK, PARAMETERS)
    found = score("random", NETWORK, PARAMETERS, key=KEY)
    assert not np.array_equal(found["conv1"].ravel()[:9], found["conv2"].ravel()[:9])


def test_an_unknown_criterion_is_refused():
    with pytest.raises(ValueError, match="`name` must be one of random, magnitude"):
        score("magic", NETWORK, PARAMETERS)


@pytest.mark.parametrize("keep", [0, -0.1, 1.5, np.nan])
@pytest.mark.parametrize("name", ["magnitude", "filter-l1"])
def test_keep_outside_its_range_is_refused(name, keep):
    with pytest.raises(ValueError, match="`keep"):
        prune_network(name, NETWORK, PARAMETERS, keep)


def changed(layer, leaf, value):
    tree = {name: dict(leaves) for name, leaves in PARAMETERS.items()}
    tree[layer][leaf] = value
    return tree


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_layer(bad):
    tree = changed("conv2", "weight", PARAMETERS["conv2"]["weight"].at[0, 0, 0, 0].set(bad))
    with pytest.raises(ValueError, match=r"parameters\['conv2'\]\['weight'\].*must be finite"):
        score("magnitude", NETWORK, tree)


def test_parameters_of_another_network_are_refused_by_layer():
    with pytest.raises(ValueError, match=r"parameters\['conv1'\].*\(3, 3, 1, 3\)"):
        score("magnitude", NETWORK, drawn(small_cnn(4, (4, 4, 1))))
    missing = {name: leaves for name, leaves in PARAMETERS.items() if name != "output"}
    with pytest.raises(ValueError, match=r"parameters\['output'\]"):
        score("magnitude", NETWORK, missing)
    with pytest.raises(ValueError, match=r"parameters\['extra'\]"):
        score("magnitude", NETWORK, {**PARAMETERS, "extra": {"weight": np.ones(1)}})


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (None, "`samples` must be given"),
        (SAMPLES.take(slice(0, 0)), "to enter 'conv1'"),
        (SAMPLES._replace(inputs=SAMPLES.inputs[..., 0]), r"inputs.shape.*\*\(4, 4, 1\)"),
        (SAMPLES._replace(inputs=SAMPLES.inputs * np.nan), "`inputs` must be finite"),
        (SAMPLES._replace(labels=SAMPLES.labels[:3]), "one integer for each of the 10 images"),
        (SAMPLES._replace(labels=SAMPLES.labels + 1), "0, ..., 9, the outputs of 'output'"),
        (SAMPLES._replace(labels=SAMPLES.labels - 1), "but it is -1"),
        (SAMPLES._replace(labels=SAMPLES.labels * 0.5), "one integer"),
    ],
)
@pytest.mark.parametrize("name", [n for n, rule in CRITERIA.items() if rule.needs != "weights"])
def test_samples_that_do_not_fit_are_refused(name, samples, message):
    with pytest.raises(ValueError, match=message):
        score(name, NETWORK, PARAMETERS, samples)


def test_scores_that_do_not_match_are_refused_by_layer():
    found = dict(score("magnitude", NETWORK, PARAMETERS))
    with pytest.raises(ValueError, match=r"scores\['conv2'\]"):
        weight_masks(NETWORK, PARAMETERS, {**found, "conv2": jnp.ones(3)}, 0.5)
    with pytest.raises(ValueError, match=r"scores\['conv1'\]"):
        weight_masks(NETWORK, PARAMETERS, {**found, "conv1": found["conv1"] * np.nan}, 0.5)


def test_a_layer_that_would_lose_its_last_filter_is_named():
    scores = {"conv1": jnp.zeros(3), "conv2": jnp.ones(6)}
    with pytest.raises(ValueError, match=r"'conv1'.*would lose its last filter"):
        filter_masks(NETWORK, PARAMETERS, scores, 0.5)


def test_criteria_refuse_networks_that_lack_what_they_look_at():
    plain = dense_network([3], 10, (4, 4, 1))
    with pytest.raises(ValueError, match="must normalize the channels of 'dense1'"):
        score("normalization-scale", plain, drawn(plain))
    large = dense_network([300], 10, (4, 4, 1))
    for name in ("obs", "obd-exact"):
        with pytest.raises(ValueError, match=r"at most 3000 weights.*'dense1'"):
            score(name, large, drawn(large), SAMPLES)


def test_groups_of_several_layers_are_scored_together():
    network = resnet_20(2, (8, 8, 1))
    parameters = drawn(network)
    group = channel_groups(network)[0]
    assert len(group.producers) > 1
    scales = sum(jnp.abs(parameters[name]["scale"]) for name in group.normalizations)
    found = score("normalization-scale", network, parameters)
    np.testing.assert_allclose(found[group.name], scales)
    norms = sum(jnp.abs(parameters[n]["weight"]).sum((0, 1, 2)) for n in group.producers)
    np.testing.assert_allclose(
        score("filter-l1", network, parameters)[group.name], norms, rtol=1e-5
    )


def test_quadratic_tools_refuse_what_is_no_quadratic_form():
    with pytest.raises(ValueError, match="must be square"):
        damped(np.ones((2, 3)), 0.0)
    with pytest.raises(ValueError, match="`damping` must not be negative"):
        damped(np.eye(2), -1.0)
    with pytest.raises(ValueError, match="must be invertible"):
        removal_costs(np.ones(2), np.ones((2, 2)))
    with pytest.raises(ValueError, match="`block` must be at least 1"):
        removal_order(np.ones(2), np.eye(2), block=0)


def test_keeps_of_schedules():
    keeps = np.array(geometric_keeps(0.1, 4))
    np.testing.assert_allclose(keeps[1:] / keeps[:-1], 0.1**0.25)
    assert keeps[-1] == pytest.approx(0.1)
    cubic = cubic_keeps(0.1, 8, start=0.9)
    assert cubic[-1] == pytest.approx(0.1)
    drops = [a - b for a, b in pairwise((0.9, *cubic))]
    assert all(a > b > 0 for a, b in pairwise(drops))  # fast at first, slow at the end
    # The cubic of the sparsity: its third difference is constant.
    np.testing.assert_allclose(np.diff((0.9, *cubic), 3), -0.8 * 6 / 8**3 * -1 * -1, rtol=1e-9)
    for call in (lambda: geometric_keeps(0.0, 2), lambda: cubic_keeps(1.2, 2)):
        with pytest.raises(ValueError, match="`keep` must be in"):
            call()
    with pytest.raises(ValueError, match="`rounds` must be at least 1"):
        geometric_keeps(0.5, 0)


PLAN = TrainingPlan(epochs=1, batch_size=5, learning_rate=0.1)


def loop(keeps, **how):
    return prune_and_train("magnitude", NETWORK, PARAMETERS, SAMPLES, keeps, PLAN, KEY, **how)


def test_rounds_are_nested_and_end_at_the_last_fraction():
    _, first = loop((0.5,))
    parameters, second = loop((0.5, 0.2))
    assert density(second) == pytest.approx(0.2, abs=0.01)
    for layer, array in weights(second).items():
        assert (np.asarray(array) <= np.asarray(weights(first)[layer])).all()
        assert (np.asarray(weights(parameters)[layer])[np.asarray(array) == 0] == 0).all()


def test_rewinding_starts_every_training_from_the_given_weights():
    still = TrainingPlan(epochs=1, batch_size=5, learning_rate=0.0)
    start = drawn(NETWORK, 7)
    parameters, masks = prune_and_train(
        "magnitude", NETWORK, PARAMETERS, SAMPLES, (0.5,), still, KEY, rewind=start
    )
    chosen, _ = prune_network("magnitude", NETWORK, PARAMETERS, 0.5)
    for layer, array in weights(parameters).items():
        kept = np.asarray(weights(masks)[layer]) > 0
        np.testing.assert_array_equal(kept, np.asarray(weights(chosen)[layer]) != 0)
        np.testing.assert_array_equal(
            np.asarray(array)[kept], np.asarray(weights(start)[layer])[kept]
        )


def test_soft_pruning_lets_zeros_grow_again():
    """Weights of the last layer are so small that a step of training decides which are largest."""
    tiny = changed("output", "weight", PARAMETERS["output"]["weight"] * 1e-6)
    arguments = ("magnitude", NETWORK, tiny, SAMPLES, (0.9,), PLAN, KEY)
    first = weight_masks(NETWORK, tiny, score("magnitude", NETWORK, tiny), 0.9)
    _, hard = prune_and_train(*arguments)
    _, soft = prune_and_train(*arguments, soft=True)

    def same(found):
        return all(np.array_equal(weights(found)[k], weights(first)[k]) for k in weights(first))

    assert same(hard)
    assert not same(soft)
    assert density(soft) == pytest.approx(0.9, abs=0.01)


def test_schedules_refuse_empty_rounds():
    with pytest.raises(ValueError, match="`keeps"):
        loop(())
    with pytest.raises(ValueError, match="`keeps` must be in"):
        loop((0.5, 0.0))


def test_uniform_quantization_is_within_half_a_step():
    array = RNG.standard_normal((20, 5))
    for bits in (2, 4, 8):
        found = quantize_uniform(array, bits)
        half = np.abs(array).max() / (2**bits - 2)
        assert np.abs(found.values - array).max() <= half * (1 + 1e-12)
        assert found.levels.size <= 2**bits - 1
        assert found.bits <= array.size * bits + 32 * found.levels.size
    again = quantize_uniform(found.values, 8).values
    np.testing.assert_allclose(again, found.values)
    assert (quantize_uniform(np.zeros(4), 4).values == 0).all()
    with pytest.raises(ValueError, match="`bits` must be at least 2"):
        quantize_uniform(array, 1)


def test_shared_values_are_means_of_what_they_replace_and_beat_the_grid():
    array = RNG.standard_normal(300) ** 3
    array[:100] = 0
    found = quantize_shared(array, 7)
    assert (found.values[:100] == 0).all()
    assert found.levels.size <= 8
    for level in found.levels[found.levels != 0]:
        assert level == pytest.approx(array[found.values == level].mean())
    grid = quantize_uniform(array, 3).values
    assert np.sum((found.values - array) ** 2) < np.sum((grid - array) ** 2)
    assert quantize_shared(np.zeros(3), 2).levels.tolist() == [0.0]
    with pytest.raises(ValueError, match="finite"):
        quantize_shared(np.array([1.0, np.nan]), 2)


def test_no_code_is_shorter_than_the_bound():
    for size, nonzeros in [(1000, 10), (1000, 100), (1000, 500), (10, 0), (10, 10)]:
        costs = index_bits(size, nonzeros)
        assert costs["bound"] <= min(costs["bitmap"], costs["indices"]) + 1e-9
    share = np.array([0.1, 0.9])
    entropy = -(share * np.log2(share)).sum()
    assert index_bits(10**6, 10**5)["bound"] == pytest.approx(10**6 * entropy, rel=1e-4)
    with pytest.raises(ValueError, match="must not exceed"):
        index_bits(3, 4)


def test_low_rank_is_the_best_approximation_and_saves_as_it_says():
    network = dense_network([12], 4, (4, 4, 1))
    parameters = drawn(network)
    full, same = low_rank(network, parameters, "dense1", 12)
    np.testing.assert_allclose(
        apply(full, same, SAMPLES.inputs), apply(network, parameters, SAMPLES.inputs), atol=1e-3
    )
    smaller, factors = low_rank(network, parameters, "dense1", 3)
    product = factors["dense1.factor"]["weight"] @ factors["dense1"]["weight"]
    weight = np.asarray(parameters["dense1"]["weight"])
    values = np.linalg.svd(weight, compute_uv=False)
    assert np.sum((weight - product) ** 2) == pytest.approx(np.sum(values[3:] ** 2), rel=1e-4)
    saved = cost(network, parameters).parameters - cost(smaller, factors).parameters
    assert saved == 16 * 12 - 3 * (16 + 12)
    with pytest.raises(ValueError, match="must be a dense layer"):
        low_rank(network, parameters, "flat", 3)
    with pytest.raises(ValueError, match="at most 12 for 'dense1'"):
        low_rank(network, parameters, "dense1", 13)


def test_distillation_has_its_limits():
    student, teacher = jnp.asarray(RNG.standard_normal((2, 6, 4)), jnp.float32)
    labels = jnp.arange(6) % 4
    hard = distillation_loss(student, teacher, labels, 3.0, 0.0)
    expected = -jax.nn.log_softmax(student)[jnp.arange(6), labels].mean()
    assert float(hard) == pytest.approx(float(expected), rel=1e-5)
    assert float(distillation_loss(teacher, teacher, labels, 3.0, 1.0)) == pytest.approx(
        0, abs=1e-5
    )
    # At high temperature: half the squared distance of the centered logits over the classes.
    soft = float(distillation_loss(student, teacher, labels, 100.0, 1.0))
    centered = (student - teacher) - (student - teacher).mean(1, keepdims=True)
    assert soft == pytest.approx(float((centered**2).sum(1).mean()) / (2 * 4), rel=0.05)
    with pytest.raises(ValueError, match="`share` must be in"):
        distillation_loss(student, teacher, labels, 1.0, 1.5)
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        distillation_loss(student, teacher, labels, 0.0, 0.5)


def test_separable_convolutions_cost_what_the_ratio_says():
    side, kernel, channels, units = 7, 3, 5, 11
    ordinary = side**2 * kernel**2 * channels * units
    separable = side**2 * kernel**2 * channels + side**2 * channels * units
    assert separable_cost_ratio(kernel, units) == pytest.approx(separable / ordinary)


def test_the_comparison_runs_every_criterion_on_the_same_networks():
    found = comparison.tasks("criteria", 2)
    names = {task["criterion"] for task in found}
    assert names == set(CRITERIA) - {"obd-exact"}
    assert len(found) == 2 * len(names)
    assert len(comparison.tasks("schedules", 3)) == 3 * len(comparison.SCHEDULES)


def test_the_comparison_keeps_a_filter_in_every_layer():
    scores = {"conv1": jnp.array([0.1, 0.3, 0.2]), "conv2": jnp.arange(1.0, 7.0)}
    masks = comparison._masks(NETWORK, PARAMETERS, "filter", scores, 0.3, "global")
    kept = {k: np.asarray(masks[k]["weight"]).any((0, 1, 2)).tolist() for k in scores}
    assert kept["conv1"] == [False, True, False]
    assert sum(kept["conv2"]) == 2
