"""The networks: forward pass, training, masks, channels that go together, real removal, cost."""

import io
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overparam.networks import data
from overparam.networks.architectures import (
    dense_network,
    lenet_5,
    lenet_300_100,
    resnet_20,
    small_cnn,
)
from overparam.networks.channels import channel_groups, channel_masks, filter_masks
from overparam.networks.cost import cost, latency
from overparam.networks.data import Samples, load, with_label_noise
from overparam.networks.masks import apply_masks, density, weight_masks, weights
from overparam.networks.network import (
    INPUT,
    Network,
    Node,
    _convolve,
    activations,
    apply,
    initialize,
    patches,
)
from overparam.networks.removal import remove_channels, remove_masked
from overparam.networks.training import TrainingPlan, calibrate, error_rate, loss, train

NETWORKS = {
    "dense": dense_network([20, 15], input_shape=(8, 8, 1)),
    "lenet": lenet_5((12, 12, 2)),
    "normalized": small_cnn(6),
    "residual": resnet_20(3, (8, 8, 1)),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def trained_looking(network, seed=0):
    """Parameters without any symmetric or zero entry, so that nothing agrees by accident."""
    parameters = initialize(network, jax.random.key(seed))
    leaves, structure = jax.tree.flatten(parameters)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    noisy = [
        x + 0.2 * jnp.abs(jax.random.normal(k, x.shape)) for x, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, noisy)


def images(network, count=5):
    return jax.random.normal(jax.random.key(9), (count, *network.input_shape))


def some_channels(network, seed=3):
    rng = np.random.default_rng(seed)
    kept = {}
    for group in channel_groups(network):
        kept[group.name] = rng.random(group.size) < 0.6
        kept[group.name][0] = True
    return kept


# ResNet-20 of the notes: Keras counts a bias for every convolution and the stored statistics.
PUBLISHED = {
    5: 28.0e3,
    8: 70.0e3,
    10: 108.6e3,
    16: 275e3,
    18: 347e3,
    20: 428e3,
    25: 667e3,
    50: 2.65e6,
}


@pytest.mark.parametrize("width", PUBLISHED)
def test_parameters_of_resnet(width):
    units = [node.units for node in resnet_20(width).layers if node.kernel == 3]
    count = resnet_20(width).parameter_count + 3 * sum(units)
    assert count == pytest.approx(PUBLISHED[width], rel=0.01)


def test_parameters_of_resnet_in_keras():
    # The model summary of Keras' example for depth 20 prints 274,442.
    units = [node.units for node in resnet_20().layers if node.kernel == 3]
    assert resnet_20().parameter_count + 3 * sum(units) == 274_442


def test_parameters_of_lenets():
    assert lenet_300_100().parameter_count == 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10
    assert lenet_5().parameter_count == 61_706


def test_shapes_are_those_of_the_outputs(network):
    parameters = initialize(network, jax.random.key(0))
    outputs = jax.eval_shape(lambda: activations(network, parameters, images(network)))
    assert {name: array.shape[1:] for name, array in outputs.items()} == network.shapes


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("side", [7, 8])
def test_patches_give_the_convolution(side, kernel, stride, padding):
    node = Node("conv", "convolution", (INPUT,), 3, kernel, stride, padding)
    x = jax.random.normal(jax.random.key(0), (2, side, side + 1, 4))
    weight = jax.random.normal(jax.random.key(1), (kernel, kernel, 4, 3))
    layout = ("NHWC", "HWIO", "NHWC")
    library = jax.lax.conv_general_dilated(
        x, weight, (stride, stride), padding, dimension_numbers=layout
    )
    np.testing.assert_allclose(patches(node, x) @ weight.reshape(-1, 3), library, atol=1e-4)
    np.testing.assert_allclose(_convolve(node, x, weight), library, atol=1e-4)


def test_gates_of_one_change_nothing_and_of_zero_silence(network):
    parameters, x = trained_looking(network), images(network)
    name = network.layers[0].name
    free = activations(network, parameters, x)
    one = activations(network, parameters, x, gates={name: jnp.ones(network.shapes[name][-1])})
    zero = activations(network, parameters, x, gates={name: jnp.zeros(network.shapes[name][-1])})
    assert jnp.array_equal(free["output"], one["output"])
    assert not zero[name].any()


def test_calibration_standardizes_the_training_images(digits):
    network = small_cnn(6)
    parameters = calibrate(network, trained_looking(network), digits.train, count=500)
    outputs = activations(network, parameters, jnp.asarray(digits.train.inputs[:500]))
    leaves = parameters["norm2"]
    normal = (outputs["norm2"] - leaves["offset"]) / leaves["scale"]
    np.testing.assert_allclose(normal.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normal.std(axis=(0, 1, 2)), 1, atol=1e-3)


def test_training_learns_and_depends_on_the_key_alone(digits):
    network, plan = dense_network([30], input_shape=(8, 8, 1)), TrainingPlan(epochs=8)
    start = initialize(network, jax.random.key(0))
    lines = []
    first = train(network, start, digits.train, plan, jax.random.key(1), report=lines.append)
    again = train(network, start, digits.train, plan, jax.random.key(1))
    other = train(network, start, digits.train, plan, jax.random.key(2))
    assert len(lines) == plan.epochs
    assert error_rate(network, first.parameters, digits.test) < 0.1
    assert loss(network, first.parameters, digits.train) < first.losses[0]
    assert jax.tree.all(jax.tree.map(jnp.array_equal, first, again))
    assert not jax.tree.all(jax.tree.map(jnp.array_equal, first, other))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_is_masked_stays_zero_in_training(digits, optimizer):
    network = small_cnn(6)
    start = initialize(network, jax.random.key(0))
    masks = weight_masks(network, start, weights(start), 0.3)
    plan = TrainingPlan(2, optimizer=optimizer, weight_decay=0.01)
    result = train(network, start, digits.train, plan, jax.random.key(1), masks=masks)
    for name, array in weights(result.parameters).items():
        assert not array[masks[name]["weight"] == 0].any()
        assert (
            array[masks[name]["weight"] == 1] != start[name]["weight"][masks[name]["weight"] == 1]
        ).all()


def test_weight_decay_leaves_biases_alone():
    network = dense_network([4], input_shape=(2, 2, 1))
    parameters = jax.tree.map(jnp.ones_like, initialize(network, jax.random.key(0)))
    transformation = TrainingPlan(1, weight_decay=0.5, learning_rate=1.0).transformation(1)
    zero = jax.tree.map(jnp.zeros_like, parameters)
    steps, _ = transformation.update(zero, transformation.init(parameters), parameters)
    assert jnp.array_equal(steps["dense1"]["weight"], jnp.full((4, 4), -0.5))
    assert not steps["dense1"]["bias"].any()


def test_masks_keep_the_highest_in_each_scope():
    network = dense_network([2], classes=2, input_shape=(1, 2, 1))
    parameters = initialize(network, jax.random.key(0))
    scores = {
        "dense1": jnp.array([[4.0, 3.0], [9.0, 1.0]]),
        "output": jnp.array([[8.0, 7.0], [2.0, 6.0]]),
    }
    everywhere = weight_masks(network, parameters, scores, 0.5)
    assert everywhere["dense1"]["weight"].tolist() == [[0, 0], [1, 0]]
    assert everywhere["output"]["weight"].tolist() == [[1, 1], [0, 1]]
    by_layer = weight_masks(network, parameters, scores, 0.5, "layer")
    assert by_layer["dense1"]["weight"].tolist() == [[1, 0], [1, 0]]
    by_row = weight_masks(network, parameters, scores, 0.5, "row")
    assert by_row["dense1"]["weight"].tolist() == [[0, 1], [1, 0]]
    assert density(by_row) == 0.5


def test_groups_follow_flattening_and_shortcuts():
    lenet = {group.name: group for group in channel_groups(NETWORKS["lenet"])}
    assert lenet["conv2"].consumers == ("dense1",)
    assert "output" not in lenet
    first, *_ = channel_groups(NETWORKS["residual"])
    assert first.producers == ("stem.conv", *(f"stage1.block{b}.second.conv" for b in (1, 2, 3)))
    assert "stage2.block1.shortcut" in first.consumers
    inner = {group.name: group for group in channel_groups(NETWORKS["residual"])}
    assert inner["stage1.block1.first.conv"].producers == ("stage1.block1.first.conv",)


def test_channels_added_to_the_images_stay():
    nodes = (
        Node("conv", "convolution", (INPUT,), 2, 3),
        Node("sum", "add", ("conv", INPUT)),
        Node("mean", "mean", ("sum",)),
        Node("output", "dense", ("mean",), 3),
    )
    assert channel_groups(Network(nodes, (4, 4, 2))) == ()


def test_removed_channels_compute_what_masked_ones_do(network):
    parameters, x, kept = trained_looking(network), images(network), some_channels(network)
    masks = channel_masks(network, parameters, kept)
    masked = apply_masks(parameters, masks)
    smaller, cut = remove_channels(network, parameters, kept)
    expected = apply(network, masked, x)
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(apply(smaller, cut, x), expected, atol=1e-5 * scale)
    assert {
        n: {k: v.shape for k, v in p.items()} for n, p in cut.items()
    } == smaller.parameter_shapes
    assert cost(smaller, cut).parameters == cost(network, masked).nonzeros
    assert cost(smaller, cut).multiply_adds == cost(network, masked).multiply_adds
    assert cost(smaller, cut).bytes < cost(network, masked).bytes < cost(network, parameters).bytes
    again, found = remove_masked(network, parameters, masks)
    assert again == smaller
    assert jax.tree.all(jax.tree.map(jnp.array_equal, found, cut))


def test_a_channel_that_nothing_reads_goes_too():
    network = NETWORKS["dense"]
    parameters = trained_looking(network)
    masks = jax.tree.map(jnp.ones_like, parameters)
    masks["dense2"]["weight"] = masks["dense2"]["weight"].at[4].set(0)
    smaller, cut = remove_masked(network, parameters, masks)
    assert smaller.node("dense1").units == network.node("dense1").units - 1
    x = images(network)
    expected = apply(network, apply_masks(parameters, masks), x)
    np.testing.assert_allclose(apply(smaller, cut, x), expected, rtol=1e-4)


def test_filter_masks_keep_the_highest():
    network = NETWORKS["normalized"]
    parameters = initialize(network, jax.random.key(0))
    scores = {"conv1": jnp.arange(6.0), "conv2": 2.5 + jnp.arange(12.0)}
    kept = filter_masks(network, parameters, scores, 11 / 18)
    assert kept["norm1"]["scale"].tolist() == [0, 0, 0, 0, 0, 1]
    assert kept["norm2"]["scale"].tolist() == [0, 0, *[1] * 10]
    by_layer = filter_masks(network, parameters, scores, 0.5, "layer")
    assert by_layer["norm1"]["scale"].tolist() == [0, 0, 0, 1, 1, 1]


def test_latency_measures_every_model():
    network = NETWORKS["dense"]
    parameters = initialize(network, jax.random.key(0))
    seconds = latency([(network, parameters)] * 2, np.zeros((3, 8, 8, 1), np.float32), 4)
    assert seconds.shape == (4, 2)
    assert (seconds > 0).all()


@pytest.mark.parametrize("name", ["digits", "mnist-5000"])
def test_parts_of_the_data_do_not_overlap(name):
    data = load(name, seed=1)
    parts = [
        {row.tobytes() for row in part.inputs} for part in (data.train, data.held_out, data.test)
    ]
    total = sum(len(part.labels) for part in (data.train, data.held_out, data.test))
    assert total == {"digits": 1797, "mnist-5000": 5000}[name]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert abs(data.train.inputs.mean()) < 1e-3
    assert data.train.inputs.std() == pytest.approx(1, rel=1e-3)


def test_label_noise_changes_that_share(digits):
    noisy = with_label_noise(digits, 0.2, np.random.default_rng(0))
    changed = noisy.train.labels != digits.train.labels
    assert changed.mean() == pytest.approx(0.2, abs=1e-3)
    assert noisy.test is digits.test
    assert set(noisy.train.labels) <= set(range(10))


def bad_calls():
    network = NETWORKS["normalized"]
    p = initialize(network, jax.random.key(0))
    scores = {name: jnp.ones_like(w) for name, w in weights(p).items()}
    filters = {"conv1": jnp.arange(6.0), "conv2": 10 + jnp.arange(12.0)}
    few = Samples(np.zeros((3, 8, 8, 1), np.float32), np.zeros(3, np.int32))
    wrong = {**p, "conv1": {"weight": jnp.ones((2, 2))}}
    plan, key = TrainingPlan(1), jax.random.key(0)
    return {
        "keep zero": (lambda: weight_masks(network, p, scores, 0.0), "keep"),
        "keep above one": (lambda: filter_masks(network, p, filters, 1.5), "keep"),
        "missing layer": (
            lambda: weight_masks(network, p, {"conv1": scores["conv1"]}, 0.5),
            "conv2",
        ),
        "unknown layer": (lambda: weight_masks(network, p, {**scores, "conv9": 1}, 0.5), "conv9"),
        "not finite": (
            lambda: weight_masks(network, p, {**scores, "conv2": scores["conv2"] * jnp.nan}, 0.5),
            "conv2",
        ),
        "scope": (lambda: weight_masks(network, p, scores, 0.5, "column"), "scope"),
        "scope of filters": (lambda: filter_masks(network, p, filters, 0.5, "row"), "scope"),
        "last filter": (lambda: filter_masks(network, p, filters, 0.5), "conv1.*last filter"),
        "no such group": (lambda: channel_masks(network, p, {"norm1": [True]}), "norm1"),
        "shape of kept": (lambda: channel_masks(network, p, {"conv1": [True]}), "conv1"),
        "masks of another network": (lambda: apply_masks(p, wrong), "conv1"),
        "masks in training": (
            lambda: train(network, p, load("digits").train, plan, key, masks=wrong),
            "conv1",
        ),
        "too few samples": (lambda: train(network, p, few, plan, key), "3 samples"),
        "no epochs": (lambda: TrainingPlan(0), "epochs"),
        "learning rate": (lambda: TrainingPlan(1, learning_rate=float("nan")), "learning_rate"),
        "optimizer": (lambda: TrainingPlan(1, optimizer="lbfgs"), "optimizer"),
        "no such data": (lambda: load("imagenet"), "imagenet"),
        "label noise": (
            lambda: with_label_noise(load("digits"), 1.5, np.random.default_rng()),
            "fraction",
        ),
        "small images": (lambda: lenet_5((8, 8, 1)), "input_shape"),
        "no width": (lambda: small_cnn(0), "width"),
        "same name": (lambda: Network((Node("a", "relu", (INPUT,)),) * 2, (1, 1, 1)), "unique"),
        "unknown node": (lambda: Network((Node("a", "relu", ("b",)),), (1, 1, 1)), "unknown"),
    }


@pytest.mark.parametrize("name", bad_calls())
def test_bad_input_is_refused(name):
    call, message = bad_calls()[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_cifar_10_is_read_from_its_binary_version(monkeypatch, tmp_path) -> None:
    """Six files of rows: a class, then the red, the green and the blue plane."""
    rows = np.random.default_rng(0).integers(0, 256, (12, 3073), dtype=np.uint8)
    rows[:, 0] = np.arange(12) % 10
    archive = tmp_path / "cifar.tar.gz"
    names = [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]
    with tarfile.open(archive, "w:gz") as files:
        for name, part in zip(names, np.split(rows, 6), strict=True):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            entry.size = part.nbytes
            files.addfile(entry, io.BytesIO(part.tobytes()))
    asked = []
    monkeypatch.setattr(
        "pooch.retrieve", lambda url, known, **_: asked.append((url, known)) or str(archive)
    )
    samples, test_count = data._cifar_10()
    assert asked == [(data.CIFAR_10, data.CIFAR_10_HASH)]
    assert len(data.CIFAR_10_HASH.removeprefix("sha256:")) == 64
    assert test_count == 10_000
    np.testing.assert_array_equal(samples.labels, rows[:, 0])
    assert samples.inputs.shape == (12, 32, 32, 3)
    assert samples.inputs[7, 5, 9, 2] == rows[7, 1 + 2 * 1024 + 5 * 32 + 9]
