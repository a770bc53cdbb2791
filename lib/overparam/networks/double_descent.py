"""Double descent in the width of a trained network, and whether prunability follows it.

One hidden layer on digits with wrong labels, trained on squared loss by full-batch Adam until it
hardly moves, at many widths. Near a stationary point the loss rises with the curvature alone, so
that these networks also show how it rises when little is pruned.

Run ``python -m overparam.networks.double_descent`` to make ``results/double-descent.jsonl``.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from overparam import runs
from overparam.networks.architectures import dense_network
from overparam.networks.data import load, with_label_noise
from overparam.networks.network import Network, Parameters, apply, initialize
from overparam.networks.prunability import pruning_curve

KEEP = tuple(round(0.04 * level, 2) for level in range(1, 26))
"""Fractions kept at which pruning curves are recorded."""

REMOVED = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3)
"""Small removed fractions, at which curves are recorded in double precision."""


def tasks() -> list[dict[str, Any]]:
    """Return the widths to train.

    Returns
    -------
    list of dict
        One task for each width, with all seeds.

    Examples
    --------
    >>> tasks()[0]["width"]
    4
    """
    widths = (4, 8, 14, 20, 28, 40, 64, 100)
    common = {"samples": 300, "noise": 0.2, "seeds": [0, 1, 2], "steps": 3000,
              "learning rate": 0.003, "masks": 2}  # fmt: skip
    return [{"width": width, **common} for width in widths]


def train_width(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train the networks of one width, prune them, and measure.

    Parameters
    ----------
    task : mapping
        As of `tasks`.

    Returns
    -------
    dict
        For each quantity a list over the seeds: losses are mean squared errors of the ten outputs,
        summed.

    Examples
    --------
    >>> result = train_width(tasks()[0])  # doctest: +SKIP
    >>> len(result["test loss"]), len(result["magnitude"][0])  # doctest: +SKIP
    (3, 25)
    """
    images = load("digits")
    part = images.train.take(slice(0, task["samples"]))
    network = dense_network([task["width"]], 10, images.train.inputs.shape[1:])
    noisy = [
        with_label_noise(
            type(images)("digits", part, images.held_out, images.test),
            task["noise"],
            np.random.default_rng(np.random.SeedSequence([17, seed])),
        ).train.labels
        for seed in task["seeds"]
    ]
    inputs = jnp.asarray(part.inputs)
    targets = jax.nn.one_hot(jnp.asarray(np.array(noisy)), 10)
    keys = jax.vmap(jax.random.key)(jnp.array(task["seeds"]))
    parameters = _train(network, task, keys, inputs, targets)

    test_inputs = np.concatenate([images.test.inputs, images.train.inputs[task["samples"] :]])
    test_labels = np.concatenate([images.test.labels, images.train.labels[task["samples"] :]])
    truth = jax.nn.one_hot(jnp.asarray(test_labels), 10)

    def describe(tree: Parameters, target: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        def loss(pruned: Parameters) -> jax.Array:
            return _loss(network, pruned, inputs, target)

        logits = apply(network, tree, jnp.asarray(test_inputs))
        slopes = jax.tree.leaves(jax.grad(loss)(tree))
        weights = [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]
        return {
            "training loss": loss(tree),
            "test loss": jnp.mean(jnp.sum((logits - truth) ** 2, 1)),
            "test error": jnp.mean(logits.argmax(1) != jnp.asarray(test_labels)),
            "gradient": jnp.sqrt(jnp.stack([jnp.sum(slope**2) for slope in slopes]).sum()),
            "norm": jnp.stack([jnp.sum(weight**2) for weight in weights]).sum(),
            "magnitude": pruning_curve(loss, tree, KEEP),
            "random": pruning_curve(loss, tree, KEEP, order="random", masks=task["masks"], key=key),
        }

    found = jax.jit(jax.vmap(describe))(parameters, targets, keys)
    rises = _rises(network, parameters, np.asarray(inputs), np.asarray(targets), keys)
    return {"parameters": network.parameter_count} | {
        name: _short(values) for name, values in {**found, **rises}.items()
    }


def _loss(network: Network, parameters: Parameters, inputs: Any, targets: jax.Array) -> jax.Array:
    return jnp.mean(jnp.sum((apply(network, parameters, inputs) - targets) ** 2, axis=1))


def _train(
    network: Network, task: Mapping[str, Any], keys: jax.Array, inputs: jax.Array,
    targets: jax.Array,
) -> Parameters:  # fmt: skip
    steps = task["steps"]
    adam = optax.adam(optax.cosine_decay_schedule(task["learning rate"], steps, 1e-3))

    def one(key: jax.Array, target: jax.Array) -> Parameters:
        def step(carry: Any, _: None) -> tuple[Any, None]:
            parameters, state = carry
            gradient = jax.grad(lambda tree: _loss(network, tree, inputs, target))(parameters)
            updates, state = adam.update(gradient, state)
            return (optax.apply_updates(parameters, updates), state), None

        start = initialize(network, key)
        # Large outputs at the start would be undone by switching hidden units off for good.
        start["output"] = jax.tree.map(lambda leaf: 0.1 * leaf, start["output"])
        (parameters, _), _ = jax.lax.scan(step, (start, adam.init(start)), None, length=steps)
        return parameters

    return jax.jit(jax.vmap(one))(keys, targets)


def _rises(
    network: Network, parameters: Parameters, inputs: Any, targets: Any, keys: jax.Array
) -> dict[str, NDArray[np.float64]]:
    """Rise of the loss at small removed fractions, in double precision: it is a difference."""
    with jax.enable_x64(True):  # noqa: FBT003  # The argument has no name.
        exact = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), parameters)
        x, keep = jnp.asarray(inputs, jnp.float64), np.array([1.0, *(1 - np.array(REMOVED))])

        def rise(tree: Parameters, target: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
            def loss(pruned: Parameters) -> jax.Array:
                return _loss(network, pruned, x, target)

            curves = {
                "magnitude rise": pruning_curve(loss, tree, keep),
                "random rise": pruning_curve(loss, tree, keep, order="random", masks=8, key=key),
            }
            return {name: curve[1:] - curve[0] for name, curve in curves.items()}

        double = jnp.asarray(targets, jnp.float64)
        found = jax.jit(jax.vmap(rise))(exact, double, keys)
        return {name: np.asarray(curve) for name, curve in found.items()}


def _short(values: Any) -> Any:
    """Six digits are more than training reproduces on another machine."""
    array = np.asarray(values, np.float64)
    rounded = [float(f"{number:.6g}") for number in array.ravel()]
    return np.reshape(rounded, array.shape).tolist()


def main(arguments: list[str] | None = None) -> None:
    """Train all widths, or go on with it.

    Parameters
    ----------
    arguments : list of str, optional
        Of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "path", nargs="?", default="results/double-descent.jsonl", help="file of results"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    runs.run_all(train_width, tasks(), options.path, n_jobs=options.jobs)


if __name__ == "__main__":
    main()
