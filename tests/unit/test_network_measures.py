"""Generalization measures and prunability of networks, against values worked out by other means."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overparam import measure_prunability
from overparam.networks import double_descent, zoo, zoo_ranking
from overparam.networks.architectures import dense_network, small_cnn
from overparam.networks.measures import NOISE_FLOOR, Training, input_scales, margin, measures
from overparam.networks.network import apply, initialize
from overparam.networks.prunability import pruning_curve, tree_prunability
from overparam.runs import read

NETWORK = dense_network([6, 5], classes=3, input_shape=(2, 2, 1))
START = initialize(NETWORK, jax.random.key(0))
MOVED = jax.tree.map(lambda leaf: leaf + 0.1, START)
INPUTS = jax.random.normal(jax.random.key(1), (40, 2, 2, 1))
LABELS = apply(NETWORK, MOVED, INPUTS).argmax(1)
USED = jnp.arange(40) < 30
TRAINING = Training(START, INPUTS, LABELS, USED, jnp.asarray(7.0))


def matrices(tree) -> list[np.ndarray]:
    return [np.asarray(tree[layer]["weight"]) for layer in ("dense1", "dense2", "output")]


@pytest.fixture(scope="module")
def values() -> dict[str, float]:
    found = jax.jit(lambda tree: measures(NETWORK, tree, TRAINING, jax.random.key(2)))(MOVED)
    return {name: float(value) for name, value in found.items()}


def test_norms(values: dict[str, float]) -> None:
    now, start = matrices(MOVED), matrices(START)
    spectral = [np.linalg.svd(w, compute_uv=False)[0] ** 2 for w in now]
    frobenius = [np.sum(w**2) for w in now]
    moved = [np.sum((w - v) ** 2) for w, v in zip(now, start, strict=True)]
    gamma = float(margin(NETWORK, MOVED, TRAINING))
    log_margin = np.log(gamma**2)
    expected = {
        "parameters": 4 * 6 + 6 + 6 * 5 + 5 + 5 * 3 + 3,
        "inverse margin": gamma**-2,
        "norm": sum(frobenius),
        "distance": sum(moved),
        "log spectral": np.log(spectral).sum(),
        "log spectral over margin": np.log(spectral).sum() - log_margin,
        "log spectral-Frobenius": np.log(
            np.prod(spectral) * np.divide(moved, spectral).sum() / gamma**2
        ),
        "stable rank": np.divide(frobenius, spectral).sum(),
        "sum of losses": 7.0,
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-4), name


def test_margin_is_the_tenth_percentile_of_the_training_samples() -> None:
    logits = np.asarray(apply(NETWORK, MOVED, INPUTS))[:30]
    ordered = np.sort(logits, axis=1)
    expected = np.percentile(ordered[:, -1] - ordered[:, -2], 10)
    assert float(margin(NETWORK, MOVED, TRAINING)) == pytest.approx(expected, rel=1e-4)
    wrong = TRAINING._replace(labels=(LABELS + 1) % 3)
    found = measures(NETWORK, MOVED, wrong, jax.random.key(0))
    assert float(found["inverse margin"]) == np.inf


def test_path_norm_sums_over_all_paths(values: dict[str, float]) -> None:
    """Products of squares along the paths from each input and each bias to each output."""
    first, second, last = matrices(MOVED)
    biases = [np.asarray(MOVED[layer]["bias"]) ** 2 for layer in ("dense1", "dense2", "output")]
    total = sum(
        (first[i, j] * second[j, k] * last[k, o]) ** 2
        for i in range(4) for j in range(6) for k in range(5) for o in range(3)
    )  # fmt: skip
    total += sum(
        biases[0][j] * (second[j, k] * last[k, o]) ** 2
        for j in range(6) for k in range(5) for o in range(3)
    )  # fmt: skip
    total += sum(biases[1][k] * last[k, o] ** 2 for k in range(5) for o in range(3))
    total += biases[2].sum()
    assert values["log path norm"] == pytest.approx(np.log(total), rel=1e-4)


def test_flatness_is_where_a_tenth_of_the_accuracy_is_lost(values: dict[str, float]) -> None:
    w, unravel = jax.flatten_util.ravel_pytree(MOVED)

    def lost(s: float, spread: jax.Array) -> float:
        keys = jax.random.split(jax.random.key(9), 200)
        draws = [s * spread * jax.random.normal(key, w.shape) for key in keys]
        right = [
            apply(NETWORK, unravel(w + d), INPUTS).argmax(1)[:30] == LABELS[:30] for d in draws
        ]
        return 1 - float(np.mean(right))

    for name, spread in (("flatness", jnp.ones_like(w)), ("magnitude-aware flatness", jnp.abs(w))):
        s = values[name] ** -0.5
        assert lost(s / 3, spread) < 0.1 < lost(3 * s, spread)


def test_bounds(values: dict[str, float]) -> None:
    w, start = (
        np.asarray(jax.flatten_util.ravel_pytree(tree)[0], np.float64) for tree in (MOVED, START)
    )
    s, aware = values["flatness"] ** -0.5, values["magnitude-aware flatness"] ** -0.5
    for name, d in (("distance", w - start), ("norm", w)):
        bound = np.sum(d**2) / (4 * s**2) + np.log(30 / s) + 10
        assert values[f"PAC-Bayes {name}"] == pytest.approx(bound, rel=1e-4)
        top = NOISE_FLOOR**2 + (aware**2 + 1) * np.sum(d**2) / w.size
        bottom = NOISE_FLOOR**2 + aware**2 * d**2
        bound = np.log(top / bottom).sum() / 4 + np.log(30 / aware) + 10
        assert values[f"magnitude-aware PAC-Bayes {name}"] == pytest.approx(bound, rel=1e-3)


def test_normalizations_have_no_scale() -> None:
    network = small_cnn()
    start = initialize(network, jax.random.key(0))
    with pytest.raises(ValueError, match="normalizations"):
        measures(network, start, TRAINING, jax.random.key(0))


def test_scale_free_order_ignores_the_scale_of_hidden_units() -> None:
    """A rectifier passes a factor from its inputs to its outputs."""
    factors = jnp.exp(jax.random.normal(jax.random.key(4), (6,)))
    other = {name: dict(leaves) for name, leaves in MOVED.items()}
    other["dense1"] = jax.tree.map(lambda leaf: leaf * factors, MOVED["dense1"])
    other["dense2"]["weight"] = MOVED["dense2"]["weight"] / factors[:, None]
    scores = []
    for tree in (MOVED, other):
        scales = input_scales(NETWORK, tree, TRAINING)
        scores.append(jnp.abs(tree["dense2"]["weight"]) * scales["dense2"]["weight"])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)
    assert scales["dense1"]["weight"].shape == (4, 1)
    flat = np.asarray(INPUTS[:30]).reshape(30, 4)
    np.testing.assert_allclose(
        scales["dense1"]["weight"][:, 0], np.sqrt(np.mean(flat**2, 0)), rtol=1e-4
    )


def loss(tree) -> jax.Array:
    return jnp.mean((apply(NETWORK, tree, INPUTS) - apply(NETWORK, MOVED, INPUTS)) ** 2)


@pytest.mark.parametrize("threshold", ["global", "layer"])
@pytest.mark.parametrize("order", ["magnitude", "scale-free"])
def test_tree_and_vector_agree(order: str, threshold: str) -> None:
    """The measure for trees against that for vectors, which shares no code before the crossing."""
    vector, unravel = jax.flatten_util.ravel_pytree(MOVED)
    marks = jax.tree.map(lambda leaf: jnp.full(leaf.shape, leaf.ndim > 1), MOVED)
    scales = jax.tree.map(
        lambda leaf, scale: jnp.broadcast_to(scale, leaf.shape),
        MOVED, input_scales(NETWORK, MOVED, TRAINING),
    )  # fmt: skip
    layers = {
        name: jax.tree.map(lambda leaf, i=i: jnp.full(leaf.shape, float(i)), leaves)
        for i, (name, leaves) in enumerate(MOVED.items())
    }
    flat = [np.asarray(jax.flatten_util.ravel_pytree(tree)[0]) for tree in (marks, scales, layers)]
    ours = measure_prunability(
        lambda w: float(loss(unravel(jnp.asarray(w, jnp.float32)))),
        np.asarray(vector), [0.01, 0.3], order=order, scales=flat[1],
        groups=flat[2] if threshold == "layer" else None, prunable=flat[0].astype(bool),
    )  # fmt: skip
    theirs = tree_prunability(
        loss, MOVED, [0.01, 0.3], order=order, threshold=threshold, scales=scales
    )
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)


def test_random_masks_are_averaged_before_the_crossing() -> None:
    keep = [0.3, 1.0]
    many = pruning_curve(loss, MOVED, keep, order="random", masks=3, key=jax.random.key(0))
    single = [
        pruning_curve(loss, MOVED, keep, order="random", masks=1, key=key)
        for key in jax.random.split(jax.random.key(0), 3)
    ]
    assert many.shape == (2,)
    assert float(many[1]) == pytest.approx(0, abs=1e-10)
    assert np.std([float(curve[0]) for curve in single]) > 0


def test_prunable_arrays_are_the_caller_s_choice() -> None:
    only = jax.tree.map(lambda _: False, MOVED)
    only["output"]["weight"] = True
    zeroed = {**MOVED, "output": {**MOVED["output"], "weight": MOVED["output"]["weight"] * 0}}
    curve = pruning_curve(loss, MOVED, [1 / 15, 1.0], prunable=only)
    largest = jnp.abs(MOVED["output"]["weight"]).max()
    kept = jnp.where(jnp.abs(MOVED["output"]["weight"]) == largest, MOVED["output"]["weight"], 0)
    zeroed["output"]["weight"] = kept
    assert float(curve[0]) == pytest.approx(float(loss(zeroed)), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"order": "size"}, "order"),
        ({"order": "random"}, "key"),
        ({"order": "random", "key": jax.random.key(0), "masks": 0}, "key"),
        ({"order": "scale-free"}, "scales"),
        ({"threshold": "none"}, "threshold"),
        ({"prunable": jax.tree.map(lambda _: False, MOVED)}, "prunable"),
        ({"keep": []}, "keep"),
        ({"keep": [0.5, np.nan]}, "keep"),
        ({"keep": [0.0, 1.0]}, "keep"),
        ({"keep": [0.5]}, "keep"),
        ({"unit": "labels"}, "unit"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": np.nan}, "tolerance"),
    ],
)
def test_bad_input(changes: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        tree_prunability(loss, MOVED, **{"tolerance": 0.1, **changes})
    with pytest.raises(ValueError, match="loss"):
        tree_prunability(lambda tree: jnp.nan * loss(tree), MOVED, 0.1)


def test_the_zoo_has_a_hundred_networks_over_seven_axes() -> None:
    groups = zoo.tasks()
    lists = ("learning rates", "weight decays", "samples", "seeds")
    assert sum(int(np.prod([len(group[name]) for name in lists])) for group in groups) >= 100
    for axis in ("width", "depth", "batch size"):
        assert len({group[axis] for group in groups}) > 1
    assert all(len(groups[0][name]) > 1 for name in lists)


def test_a_group_of_the_zoo() -> None:
    """No number is missing, and models differ as their settings say."""
    task = {**zoo.tasks()[0], "width": 24, "samples": [40, 80], "seeds": [0], "steps": 3000}
    models = zoo.train_group(task)["models"]
    assert len(models) == 8
    assert len({tuple(model["settings"].values()) for model in models}) == 8
    for model in models:
        numbers = [*model["measures"].values(), *np.ravel(list(model["curves"].values()))]
        assert not np.any(np.isnan(numbers))
        # Measures with a margin are infinite where a training image has a wrong class.
        assert np.all(np.isfinite(numbers)) or model["training error"] > 0
        assert model["curves"]["magnitude"][-1] == pytest.approx(model["training loss"], rel=1e-3)
    table = zoo_ranking.zoo_table(models)
    grid = {axis: table[axis] for axis in ("learning rate", "weight decay", "samples")}
    found = zoo_ranking.scores(table["norm"], table["gap"], grid)
    assert all(np.isfinite(score(None)) for score in list(found.values())[:3])


def test_a_width_of_the_double_descent() -> None:
    task = {**double_descent.tasks()[0], "width": 5, "samples": 60, "steps": 300, "seeds": [0, 1]}
    result = double_descent.train_width(task)
    assert result["parameters"] == 64 * 5 + 5 + 5 * 10 + 10
    for i in range(2):
        assert result["magnitude"][i][-1] == pytest.approx(result["training loss"][i], rel=1e-3)
        assert result["training loss"][i] < 0.9 < result["test loss"][i] + 0.9


RESULTS = Path(__file__).parents[2] / "results"


def test_the_command_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is finished is kept, and only what is missing is trained."""
    groups, trained = zoo.tasks()[:3], []

    def train_group(task: dict) -> dict:
        trained.append(task)
        return {"models": []}

    train_group.__module__, train_group.__qualname__ = zoo.__name__, "train_group"
    monkeypatch.setattr(zoo, "train_group", train_group)
    path = str(tmp_path / "zoo.jsonl")
    for wanted in (groups[:1], groups[:1], groups):
        monkeypatch.setattr(zoo, "tasks", lambda wanted=wanted: wanted)
        zoo.main([path])
        assert trained == wanted
    assert [run["task"] for run in read(path).runs] == groups
    assert read(path).provenance["function"] == "overparam.networks.zoo.train_group"


def test_the_committed_zoo_is_that_of_the_command() -> None:
    file = read(RESULTS / "zoo.jsonl")
    assert file.provenance["command"] == "python -m overparam.networks.zoo"
    key = lambda task: (task["width"], task["depth"], task["batch size"])  # noqa: E731
    assert sorted((run["task"] for run in file.runs), key=key) == sorted(zoo.tasks(), key=key)
    models = [model for run in file.runs for model in run["result"]["models"]]
    assert len(zoo_ranking.zoo_table(models)["gap"]) >= 100


def test_the_committed_ranking_is_found_again() -> None:
    committed = read(RESULTS / "zoo-ranking.jsonl").runs
    for run in committed:
        if run["task"]["measure"] == "prunability, magnitude":
            again = zoo_ranking.rank(str(RESULTS / "zoo.jsonl"), run["task"])
            assert again == pytest.approx(run["result"], abs=1e-9)
    names = {run["task"]["measure"] for run in committed}
    assert len(names) >= 20
