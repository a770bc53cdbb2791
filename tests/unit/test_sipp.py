"""SiPP: sensitivities against loops, the size asked for, no dependence on history."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overparam.networks import sensitivity, sipp, sipp_study
from overparam.networks.allocation import allocate, error_level, group_failure, sample_size
from overparam.networks.architectures import dense_network, lenet_5, lenet_300_100, small_cnn
from overparam.networks.error_bounds import guaranteed_errors, observed_errors
from overparam.networks.masks import density
from overparam.networks.network import activations, initialize, patches
from overparam.networks.sensitivity import quadrants, weight_sensitivities
from overparam.networks.sipp import sipp_deterministic, sipp_sampled
from overparam.networks.size_search import search_size

DENSE = dense_network([30, 20], input_shape=(4, 4, 1))
CNN = small_cnn(12, (5, 5, 1))


def model(network, seed=0, count=6):
    parameters = initialize(network, jax.random.key(seed))
    images = jax.random.normal(jax.random.key(seed + 1), (count, *network.input_shape))
    return parameters, images


def by_loops(weight, rows, mean):
    """Shares of one layer, in the words of the definition."""
    best = np.zeros(weight.shape)
    for j, i in np.ndindex(*weight.shape):
        group = weight[:, i] * weight[j, i] > 0
        for sample in rows:
            for half in (1, -1):
                a = np.maximum(half * sample, 0)
                sums = a[:, group] @ np.abs(weight[group, i])
                with np.errstate(divide="ignore", invalid="ignore"):
                    g = np.where(sums > 0, abs(weight[j, i]) * a[:, j] / sums, 0)
                best[j, i] = max(best[j, i], g.mean() if mean else g.max())
    return best


@pytest.mark.parametrize("over_patches", ["max", "mean"])
def test_sensitivities_against_loops(over_patches: str) -> None:
    network = small_cnn(3, input_shape=(4, 5, 2))
    parameters, images = model(network)
    parameters["conv1"]["weight"] = parameters["conv1"]["weight"].at[0, 0, 0, 0].set(0)
    found = weight_sensitivities(network, parameters, images, over_patches)
    outputs = activations(network, parameters, images)
    for layer in network.layers:
        rows = np.asarray(patches(layer, outputs[layer.inputs[0]]), np.float64)
        weight = np.asarray(parameters[layer.name]["weight"], np.float64)
        flat = weight.reshape(-1, weight.shape[-1])
        expected = by_loops(
            flat, rows.reshape(len(images), -1, rows.shape[-1]), over_patches == "mean"
        )
        np.testing.assert_allclose(found[layer.name].reshape(flat.shape), expected, rtol=2e-5)
    assert found["conv1"][0, 0, 0, 0] == 0


def test_chunks_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, images = model(CNN, count=7)
    whole = weight_sensitivities(CNN, parameters, images)
    monkeypatch.setattr(sensitivity, "CHUNK_BYTES", 3 * 4 * 108 * 25)
    parts = weight_sensitivities(CNN, parameters, images)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), whole, parts)
    weight = jax.random.normal(jax.random.key(0), (5, 4))
    rows = jax.random.normal(jax.random.key(1), (3, 7, 5))
    whole = sensitivity.largest_share(weight, rows)
    monkeypatch.setattr(sensitivity, "_BLOCK", 80)
    np.testing.assert_allclose(sensitivity.largest_share(weight, rows), whole, rtol=1e-6)


def test_sums_that_vanish_give_zero() -> None:
    parameters, _ = model(DENSE)
    found = weight_sensitivities(DENSE, parameters, jnp.zeros((3, 4, 4, 1)))
    assert not found["dense1"].any()
    assert all(np.isfinite(array).all() for array in found.values())
    weight = jnp.array([[1e-38], [1e-38], [-1.0]])
    tiny = quadrants(weight, jnp.full((1, 3), 1e-3))
    assert all(np.isfinite(part.reciprocal).all() for part in tiny.values())
    assert np.isfinite(sensitivity.largest_share(weight, jnp.full((1, 1, 3), 1e-3))).all()


def test_sample_size_of_the_public_configuration() -> None:
    assert sample_size(lenet_300_100()) == 152
    assert 160 <= sample_size(lenet_5()) <= 180


@pytest.mark.parametrize("network", [DENSE, CNN], ids=["dense", "cnn"])
@pytest.mark.parametrize("variant", ["random", "hybrid"])
@pytest.mark.parametrize("keep", [0.6, 0.2])
def test_size_within_half_a_per_cent(network, variant, keep: float) -> None:
    parameters, images = model(network)
    s = weight_sensitivities(network, parameters, images)
    pruned = sipp_sampled(network, parameters, s, keep, np.random.default_rng(0), variant)
    total = sum(array.size for array in s.values())
    assert abs(density(pruned.masks) - keep) <= max(0.005 * keep, 0.6 / total)
    for layer in network.layers:
        weight, mask = pruned.parameters[layer.name]["weight"], pruned.masks[layer.name]["weight"]
        np.testing.assert_array_equal(weight != 0, mask != 0)
        before = np.asarray(parameters[layer.name]["weight"])
        assert (np.sign(weight)[mask != 0] == np.sign(before)[mask != 0]).all()


def test_deterministic_keeps_the_most_sensitive() -> None:
    parameters, images = model(DENSE)
    s = weight_sensitivities(DENSE, parameters, images)
    pruned = sipp_deterministic(DENSE, parameters, s, 0.25)
    kept = np.concatenate([np.asarray(pruned.masks[name]["weight"]).ravel() != 0 for name in s])
    flat = np.concatenate([np.asarray(array).ravel() for array in s.values()])
    assert kept.sum() == round(0.25 * flat.size)
    assert flat[kept].min() >= flat[~kept].max()


@pytest.mark.parametrize("variant", ["random", "hybrid"])
def test_the_same_question_twice_has_the_same_answer(variant) -> None:
    """In the public implementation the second query of a budget lost the units to be sampled."""
    parameters, images = model(DENSE)
    s = weight_sensitivities(DENSE, parameters, images)
    before = jax.tree.map(np.array, (parameters, s))
    first, second = (
        sipp_sampled(DENSE, parameters, s, 0.3, np.random.default_rng(5), variant) for _ in range(2)
    )
    jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, before, (parameters, s))


def test_an_allocation_is_nobody_elses_memory() -> None:
    layer = sipp._layer(np.random.default_rng(0).random((40, 8)), np.ones((40, 8)))
    layers = {"one": layer}
    first = sipp._split(layers, 100.0, 1e-6)
    copy = first["one"].copy()
    cut = np.zeros(16, bool)
    sipp._thin(layer, first["one"], cut, np.random.default_rng(0))
    np.testing.assert_array_equal(first["one"], copy)
    first["one"] *= -1  # what the public implementation did to a view
    np.testing.assert_array_equal(sipp._split(layers, 100.0, 1e-6)["one"], copy)


def test_expected_number_of_distinct_weights() -> None:
    rng = np.random.default_rng(1)
    layer = sipp._layer(rng.random((60, 5)) ** 3, np.where(rng.random((60, 5)) < 0.5, 1.0, -1.0))
    allowed = 0.6 * layer.sizes
    counts = [
        np.count_nonzero(sipp._thin(layer, allowed, np.zeros(10, bool), rng)[0], axis=1)
        for _ in range(300)
    ]
    np.testing.assert_allclose(np.mean(counts, axis=0), allowed, rtol=0.03)


def test_hybrid_takes_the_smaller_bound() -> None:
    parameters, images = model(DENSE, count=40)
    s = weight_sensitivities(DENSE, parameters, images)
    made = sipp_sampled(DENSE, parameters, s, 0.5, np.random.default_rng(0), "hybrid")
    sampled = sipp_sampled(DENSE, parameters, s, 0.5, np.random.default_rng(0))
    ours = guaranteed_errors(DENSE, parameters, s, made)
    theirs = guaranteed_errors(DENSE, parameters, s, sampled)
    assert np.mean(np.concatenate([b.ravel() for b in ours.values()])) <= np.mean(
        np.concatenate([b.ravel() for b in theirs.values()])
    )


def test_bounds_and_errors() -> None:
    """On the images of the score no sum loses more than the sensitivities of what it lost."""
    parameters, images = model(CNN, count=8)
    s = weight_sensitivities(CNN, parameters, images)
    made = sipp_deterministic(CNN, parameters, s, 0.4)
    bound = guaranteed_errors(CNN, parameters, s, made, spread=1.0)
    seen = observed_errors(CNN, parameters, made.parameters, images)
    ratio = []
    for name, errors in seen.items():
        assert (errors <= bound[name] + 1e-5).all()
        ratio.append(np.median(errors / np.maximum(bound[name], 1e-9)))
    assert max(ratio) > 0.05
    same = observed_errors(CNN, parameters, parameters, images)
    assert max(errors.max() for errors in same.values()) < 1e-5


def test_search() -> None:
    rng = np.random.default_rng(0)
    seen = []

    def noisy(x):
        seen.append(x)
        return round(1000 * x**0.5 + rng.normal(0, 3)), None

    for target in (300, 700, 901):
        assert abs(search_size(noisy, target, 0, 1).size - target) <= 0.005 * target
    assert len(set(seen)) == len([x for x in seen if x != 1]) + 1
    with pytest.raises(ValueError, match="`target` must be at most 10,"):
        search_size(lambda x: (10, None), 20, 0, 1)
    with pytest.raises(ValueError, match="the nearest is 50"):
        search_size(lambda x: (50 if x > 0.5 else 0, None), 30, 0, 1)


def test_allocation_at_the_ends() -> None:
    full = allocate(1e9, [1.0, 2.0], [5, 7], 0.1)
    np.testing.assert_array_equal(full.draws, [5, 7])
    assert full.multiplier == 0
    np.testing.assert_allclose(allocate(3, [0.0, 2.0], [5, 7], 0.1).draws, [0, 3])
    wide = allocate(1e-6, [1e-12, 1e12], [1e6, 1e6], 1e-16).draws
    assert wide.sum() == pytest.approx(1e-6)
    assert np.isinf(error_level([0.0], [1.0], 0.1)[0])
    assert error_level([0.0], [0.0], 0.1)[0] == 0


def test_bad_input() -> None:
    parameters, images = model(DENSE)
    s = weight_sensitivities(DENSE, parameters, images)
    rng = np.random.default_rng(0)
    for wrong in (images[:0], images[0], images[:, :3]):
        with pytest.raises(ValueError, match=r"`inputs\.shape`"):
            weight_sensitivities(DENSE, parameters, wrong)
    with pytest.raises(ValueError, match="`inputs` must be finite"):
        weight_sensitivities(DENSE, parameters, images * jnp.nan)
    with pytest.raises(ValueError, match="over_patches"):
        weight_sensitivities(DENSE, parameters, images, "median")
    with pytest.raises(ValueError, match="dense2"):
        weight_sensitivities(DENSE, {**parameters, "dense2": {}}, images)
    broken = {**parameters, "dense2": jax.tree.map(lambda a: a * jnp.nan, parameters["dense2"])}
    with pytest.raises(ValueError, match="dense2"):
        weight_sensitivities(DENSE, broken, images)
    for prune in (
        sipp_deterministic,
        lambda *a: sipp_sampled(*a, rng),
        lambda *a: sipp_sampled(*a, rng, "hybrid"),
    ):
        for keep in (0, 1.5, float("nan")):
            with pytest.raises(ValueError, match="keep"):
                prune(DENSE, parameters, s, keep)
        with pytest.raises(ValueError, match="dense2"):
            prune(DENSE, parameters, {**s, "dense2": s["dense2"][:3]}, 0.5)
    with pytest.raises(ValueError, match=r"dense1.*must be >= 0"):
        sipp_sampled(DENSE, parameters, {**s, "dense1": -s["dense1"]}, 0.5, rng)
    with pytest.raises(ValueError, match="rng"):
        sipp_sampled(DENSE, parameters, s, 0.5, 3)
    with pytest.raises(ValueError, match="variant"):
        sipp_sampled(DENSE, parameters, s, 0.5, rng, "both")
    for arguments, name in [
        ((0, [1.0], [1], 0.1), "budget"), ((1, [-1.0], [1], 0.1), "spread_sensitivity"),
        ((1, [1.0], [1, 2], 0.1), "capacities"), ((1, [1.0], [1], 1.0), "failure"),
        ((1, [1.0], [1], 0.1, [0.0]), "weights"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=name):
            allocate(*arguments)
    with pytest.raises(ValueError, match="spread"):
        sample_size(DENSE, spread=0.5)
    with pytest.raises(ValueError, match="failure"):
        group_failure(DENSE, 0)


def test_study_runs() -> None:
    task = {
        "network": "LeNet-300-100", "epochs": 1, "retraining epochs": 1, "seed": 0,
        "methods": ["SiPP, deterministic", "magnitude"], "keep": [0.1], "retrain": [0.1],
    }  # fmt: skip
    result = sipp_study.run(task)
    assert [row["method"] for row in result["rows"]] == task["methods"]
    assert all(0 < row["after"] < 0.8 for row in result["rows"])
    assert result["rows"][0]["layers"]["output"]["violated"] <= 1
    parameters, images = model(DENSE)
    s = weight_sensitivities(DENSE, parameters, images)
    for method in sipp_study.METHODS:
        made = sipp_study.prune(method, DENSE, parameters, s, 0.2, np.random.default_rng(0))
        assert abs(density(made.masks) - 0.2) < 2e-3
    with pytest.raises(ValueError, match="network"):
        sipp_study.run({**task, "network": "other"})
    with pytest.raises(ValueError, match="method"):
        sipp_study.prune("other", None, {}, {}, 0.1, np.random.default_rng(0))


def test_less_than_a_draw_for_each_group_is_refused() -> None:
    parameters, images = model(DENSE)
    s = weight_sensitivities(DENSE, parameters, images)
    with pytest.raises(ValueError, match=r"the nearest is 1\d\d, but"):
        sipp_sampled(DENSE, parameters, s, 0.03, np.random.default_rng(0))
    tiny = allocate(1e-200, [1.0, 8.0], [1000, 1000], failure=0.01)
    assert tiny.draws.sum() == pytest.approx(1e-200, rel=1e-10)
