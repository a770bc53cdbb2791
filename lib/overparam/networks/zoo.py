"""A zoo of small networks on real digits, trained over a grid of hyperparameters and measured.

Everything that does not change the shape of an array is one more axis of a `jax.vmap`: learning
rate, weight decay, number of training samples, and seed. Width, depth and batch size make groups,
each one run of `overparam.runs`, so that an interrupted sweep resumes with the next group.

Run ``python -m overparam.networks.zoo`` to make ``results/zoo.jsonl``.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from overparam import runs
from overparam.networks.architectures import dense_network
from overparam.networks.data import Dataset, load
from overparam.networks.measures import Training, input_scales, measures
from overparam.networks.network import Network, Parameters, apply, initialize
from overparam.networks.prunability import pruning_curve

AXES = ("width", "depth", "batch size", "learning rate", "weight decay", "samples", "seed")
"""Hyperparameters of a network of the zoo."""

KEEP = tuple(round(0.02 * level, 2) for level in range(1, 51))
"""Fractions kept at which the pruning curves of the zoo are recorded."""

REMOVED = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
"""Small removed fractions, at which curves are recorded in double precision."""

_CHUNK = 25  # steps between two looks at the loss
_SHARED: dict[str, Any] = {
    "learning rates": [0.02, 0.1], "weight decays": [0.0, 2e-3], "samples": [150, 450],
    "seeds": [0, 1], "momentum": 0.9, "target": 0.01, "steps": 3000, "test": 900,
}  # fmt: skip


def tasks(
    widths: tuple[int, ...] = (16, 32), depths: tuple[int, ...] = (1, 2)
) -> list[dict[str, Any]]:
    """Return the groups of the zoo.

    Parameters
    ----------
    widths : tuple of int
        Units of every hidden layer.
    depths : tuple of int
        Numbers of hidden layers.

    Returns
    -------
    list of dict
        One task for each width, depth and batch size; each has 16 networks.

    Examples
    --------
    >>> 16 * len(tasks()) >= 100
    True
    """
    return [
        {"width": width, "depth": depth, "batch size": batch, **_SHARED}
        for width, depth, batch in product(widths, depths, (16, 64))
    ]


class _Model(NamedTuple):
    """What is mapped over: hyperparameters of one network that do not change shapes."""

    learning_rate: jax.Array
    weight_decay: jax.Array
    samples: jax.Array
    key: jax.Array


class _State(NamedTuple):
    parameters: Parameters
    velocity: Parameters
    loss: jax.Array  # of all training samples, when last looked at
    loss_sum: jax.Array
    steps: jax.Array


def train_group(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train and measure all networks of a group.

    Each network is trained by stochastic gradients with momentum until its loss on all its training
    samples is below the target, and no longer.

    Parameters
    ----------
    task : mapping
        As of `tasks`.

    Returns
    -------
    dict
        ``{"models": [...]}``, for each network its ``"settings"``, the ``"measures"``, errors and
        losses on training, held-out and test samples, and its pruning curves.

    Examples
    --------
    >>> group = train_group(tasks()[0])  # doctest: +SKIP
    >>> sorted(group["models"][0]["curves"])  # doctest: +SKIP
    ['magnitude', 'magnitude by layer', 'random', 'scale-free']
    """
    images = load("digits")
    network = dense_network([task["width"]] * task["depth"], 10, images.train.inputs.shape[1:])
    lists = (task["learning rates"], task["weight decays"], task["samples"], task["seeds"])
    table = list(product(*lists))
    rate, decay, size, seed = (jnp.array(column) for column in zip(*table, strict=True))
    models = _Model(rate, decay, size, jax.vmap(jax.random.key)(seed))
    largest = max(task["samples"])
    inputs = jnp.asarray(images.train.inputs[:largest])
    labels = jnp.asarray(images.train.labels[:largest])
    start = jax.vmap(lambda key: initialize(network, key))(models.key)
    final = _train(network, task, models, start, inputs, labels)

    def each(function: Callable[..., dict[str, jax.Array]]) -> dict[str, jax.Array]:
        def one(state: _State, initial: Parameters, model: _Model) -> dict[str, jax.Array]:
            used = jnp.arange(largest) < model.samples
            training = Training(initial, inputs, labels, used, state.loss_sum)
            return function(network, state.parameters, training, jax.random.fold_in(model.key, 1))

        found: dict[str, jax.Array] = jax.jit(jax.vmap(one))(final, start, models)
        # One computation at a time: side by side they have waited for each other for good.
        jax.block_until_ready(found)  # type: ignore[no-untyped-call]
        return found

    values, curves = each(measures), each(_curves)
    rises = _rises(network, final.parameters, models, np.asarray(inputs), np.asarray(labels))
    parts = _parts(images, largest, task["test"])
    scores = {name: _score(network, final.parameters, *part) for name, part in parts.items()}
    training = _training_scores(network, final.parameters, inputs, labels, models.samples)
    results = []
    for index, row in enumerate(table):
        chosen = (task["width"], task["depth"], task["batch size"], *row)
        results.append(
            {
                "settings": dict(zip(AXES, chosen, strict=True)),
                "steps": int(final.steps[index]),
                "training loss": _short(training[0][index]),
                "training error": _short(training[1][index]),
                "test loss": _short(scores["test"][0][index]),
                "test error": _short(scores["test"][1][index]),
                "held-out error": _short(scores["held-out"][1][index]),
                "measures": {k: _short(v[index]) for k, v in values.items()},
                "curves": {k: _short(v[index]) for k, v in curves.items()},
                "rises": {k: _short(v[index]) for k, v in rises.items()},
            }
        )
    return {"models": results}


def _train(
    network: Network, task: Mapping[str, Any], models: _Model, start: Parameters, inputs: jax.Array,
    labels: jax.Array,
) -> _State:  # fmt: skip
    batch, momentum, target = task["batch size"], task["momentum"], task["target"]

    def objective(parameters: Parameters, index: jax.Array) -> jax.Array:
        logits = apply(network, parameters, inputs[index])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels[index]).mean()

    def step(state: _State, key: jax.Array, model: _Model) -> _State:
        # Drawn with replacement, so that the number of samples changes no shape.
        index = jax.random.randint(key, (batch,), 0, model.samples)
        value, gradient = jax.value_and_grad(objective)(state.parameters, index)
        going = state.loss > target
        decayed = {
            name: {k: g + (model.weight_decay * state.parameters[name][k] if k == "weight" else 0)
                   for k, g in leaves.items()}
            for name, leaves in gradient.items()
        }  # fmt: skip
        velocity = jax.tree.map(lambda v, g: momentum * v + g, state.velocity, decayed)
        parameters = jax.tree.map(
            lambda w, v: jnp.where(going, w - model.learning_rate * v, w),
            state.parameters, velocity,
        )  # fmt: skip
        return _State(
            parameters, velocity, state.loss,
            state.loss_sum + jnp.where(going, value, 0), state.steps + going,
        )  # fmt: skip

    def chunk(state: _State, number: jax.Array, model: _Model) -> _State:
        keys = jax.random.split(jax.random.fold_in(model.key, 2 + number), _CHUNK)
        state, _ = jax.lax.scan(lambda s, k: (step(s, k, model), None), state, keys)
        logits = apply(network, state.parameters, inputs)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        used = jnp.arange(len(labels)) < model.samples
        return state._replace(loss=jnp.sum(losses * used) / model.samples)

    advance = jax.jit(jax.vmap(chunk, in_axes=(0, None, 0)))
    zeros = jnp.zeros(len(models.samples))
    state = _State(start, jax.tree.map(jnp.zeros_like, start), zeros + jnp.inf, zeros, zeros)
    for number in range(task["steps"] // _CHUNK):
        state = advance(state, number, models)
        if bool(jnp.all(state.loss <= target)):
            break
    return state


def _curves(
    network: Network, parameters: Parameters, training: Training, key: jax.Array
) -> dict[str, jax.Array]:
    def loss(tree: Parameters) -> jax.Array:
        logits = apply(network, tree, training.inputs)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, training.labels)
        return jnp.sum(losses * training.used) / training.used.sum()

    scales = input_scales(network, parameters, training)
    kept = partial(pruning_curve, loss, parameters, KEEP)
    return {
        "magnitude": kept(),
        "magnitude by layer": kept(threshold="layer"),
        "random": kept(order="random", masks=8, key=key),
        "scale-free": kept(order="scale-free", scales=scales),
    }


def _rises(
    network: Network, parameters: Parameters, models: _Model, inputs: NDArray[np.float32],
    labels: NDArray[np.int32],
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """Rise of the loss at small removed fractions, in double precision: it is a difference."""
    with jax.enable_x64(True):  # noqa: FBT003  # The argument has no name.
        exact = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), parameters)
        x, keep = jnp.asarray(inputs, jnp.float64), np.array([1.0, *(1 - np.array(REMOVED))])

        def rise(tree: Parameters, samples: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
            used = jnp.arange(len(labels)) < samples

            def loss(pruned: Parameters) -> jax.Array:
                logits = apply(network, pruned, x)
                losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
                return jnp.sum(losses * used) / samples

            curves = {
                "magnitude": pruning_curve(loss, tree, keep),
                "random": pruning_curve(loss, tree, keep, order="random", masks=20, key=key),
            }
            return {name: curve[1:] - curve[0] for name, curve in curves.items()}

        found = jax.jit(jax.vmap(rise))(exact, models.samples, models.key)
        return {name: np.asarray(curve) for name, curve in found.items()}


def _parts(images: Dataset, largest: int, test: int) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Held-out samples, and test samples: the test part and training images nobody trains on."""
    inputs = np.concatenate([images.test.inputs, images.train.inputs[largest:]])[:test]
    labels = np.concatenate([images.test.labels, images.train.labels[largest:]])[:test]
    return {
        "held-out": (jnp.asarray(images.held_out.inputs), jnp.asarray(images.held_out.labels)),
        "test": (jnp.asarray(inputs), jnp.asarray(labels)),
    }


def _score(
    network: Network, parameters: Parameters, inputs: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Loss and error of every network."""
    logits = jax.vmap(lambda tree: apply(network, tree, inputs))(parameters)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[None])
    return losses.mean(1), jnp.mean(logits.argmax(2) != labels, axis=1)


def _training_scores(
    network: Network, parameters: Parameters, inputs: jax.Array, labels: jax.Array,
    samples: jax.Array,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    logits = jax.vmap(lambda tree: apply(network, tree, inputs))(parameters)
    share = (jnp.arange(len(labels)) < samples[:, None]) / samples[:, None]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[None])
    return jnp.sum(losses * share, 1), jnp.sum((logits.argmax(2) != labels) * share, 1)


def _short(value: Any) -> Any:
    """Six digits are more than training reproduces on another machine."""
    array = np.asarray(value, np.float64)
    rounded = [float(f"{number:.6g}") for number in array.ravel()]
    return rounded if array.ndim else rounded[0]


def main(arguments: list[str] | None = None) -> None:
    """Make the zoo, or go on with it.

    Parameters
    ----------
    arguments : list of str, optional
        Of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("path", nargs="?", default="results/zoo.jsonl", help="file of results")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    runs.run_all(train_group, tasks(), options.path, n_jobs=options.jobs)


if __name__ == "__main__":
    main()
