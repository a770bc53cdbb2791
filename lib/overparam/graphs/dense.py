"""The same training without any economy: what `overparam.graphs.training` is checked against.

Features are a dense matrix, gradients come from automatic differentiation (those with respect to
the sums of a layer from zeros that are added to them), every refresh forms the factors anew and
inverts them whole, every epoch is a call, and evaluation is a pass of its own. This is how one
would write it first, and how the published code is laid out.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overparam.graphs.convolution import Parameters, initialize
from overparam.graphs.graph import Graph
from overparam.graphs.training import Settings

_RULES = {"adam": optax.scale_by_adam(), "sgd": optax.trace(decay=0.9)}


def train_densely(graph: Graph, split: str, settings: Settings, seed: int) -> Parameters:
    """Train as `overparam.graphs.train` does, from the same random numbers.

    Parameters
    ----------
    graph : Graph
        The graph.
    split : str
        Name of one of its splits.
    settings : Settings
        With scaling "none", "public" or "input".
    seed : int
        Of initial weights and dropout.

    Returns
    -------
    weights : Parameters
        After the last epoch.

    Examples
    --------
    >>> from overparam.graphs import load_karate_club
    >>> train_densely(load_karate_club(), "public", Settings(epochs=2), 0).second.shape
    (17, 2)
    """
    arrays = _arrays(graph, split)
    key = jax.random.key(seed)
    width = graph.features.shape[1]
    parameters = initialize(jax.random.fold_in(key, 0), width, settings.hidden, graph.classes)
    state = _RULES[settings.optimizer].init(parameters)
    inverses = None
    for epoch in range(1, settings.epochs + 1):
        weight = 0.0
        if settings.pseudo_power is not None:
            weight = (epoch / settings.epochs) ** settings.pseudo_power
        kept_key, _ = jax.random.split(jax.random.fold_in(key, epoch))
        if settings.scaling != "none" and (epoch - 1) % settings.refresh == 0:
            inverses = _inverses(arrays, parameters, kept_key, weight, settings)
        parameters, state = _step(arrays, parameters, state, kept_key, weight, inverses, settings)
        _evaluate(arrays, parameters)
    return parameters


def _arrays(graph: Graph, split: str) -> dict[str, Any]:
    coordinates = graph.propagation.tocoo()
    train = np.isin(np.arange(graph.labels.size), graph.splits[split].train)
    return {
        "features": jnp.asarray(graph.features.toarray(), dtype=float),
        "rows": jnp.asarray(coordinates.row),
        "columns": jnp.asarray(coordinates.col),
        "values": jnp.asarray(coordinates.data, dtype=float)[:, None],
        "labels": jnp.asarray(graph.labels),
        "train": jnp.asarray(train),
    }


def _spread(arrays: dict[str, Any], dense: jax.Array) -> jax.Array:
    messages = arrays["values"] * dense[arrays["columns"]]
    return jax.ops.segment_sum(messages, arrays["rows"], dense.shape[0])


def _forward(
    arrays: dict[str, Any],
    parameters: Parameters,
    probes: tuple[jax.Array, jax.Array],
    kept_key: jax.Array | None,
    dropout: float,
) -> tuple[jax.Array, jax.Array]:
    products = arrays["features"] @ parameters.first[:-1]
    hidden = jax.nn.relu(_spread(arrays, products) + parameters.first[-1] + probes[0])
    if kept_key is not None:
        hidden *= jax.random.bernoulli(kept_key, 1 - dropout, hidden.shape) / (1 - dropout)
    logits = _spread(arrays, hidden @ parameters.second[:-1])
    return hidden, logits + parameters.second[-1] + probes[1]


def _loss(
    parameters: Parameters,
    probes: tuple[jax.Array, jax.Array],
    arrays: dict[str, Any],
    kept_key: jax.Array,
    weight: float,
    dropout: float,
) -> tuple[jax.Array, jax.Array]:
    hidden, logits = _forward(arrays, parameters, probes, kept_key, dropout)
    train = arrays["train"]
    guess = jax.lax.stop_gradient(jnp.argmax(logits, axis=1))
    targets = jnp.where(train, arrays["labels"], guess)
    losses = -jax.nn.log_softmax(logits)[jnp.arange(train.size), targets]
    mean = jnp.sum(jnp.where(train, losses, 0)) / jnp.sum(train)
    others = jnp.sum(jnp.where(train, 0, losses)) / jnp.sum(~train)
    return mean + weight * others, hidden


def _probes(arrays: dict[str, Any], parameters: Parameters) -> tuple[jax.Array, jax.Array]:
    nodes = arrays["train"].size
    return (
        jnp.zeros((nodes, parameters.first.shape[1])),
        jnp.zeros((nodes, parameters.second.shape[1])),
    )


@partial(jax.jit, static_argnames=("settings",))
def _inverses(
    arrays: dict[str, Any],
    parameters: Parameters,
    kept_key: jax.Array,
    weight: float,
    settings: Settings,
) -> list[tuple[jax.Array, jax.Array]]:
    probes = _probes(arrays, parameters)
    arguments = (parameters, probes, arrays, kept_key, weight, settings.dropout)
    sums, hidden = jax.grad(_loss, argnums=1, has_aux=True)(*arguments)
    nodes, count = arrays["train"].size, jnp.sum(arrays["train"])
    divisor = count + weight * (nodes - count)
    root = settings.damping**0.5
    inverses = []
    for inputs, gradient in zip((arrays["features"], hidden), sums, strict=True):
        rows = jnp.hstack([_spread(arrays, inputs), jnp.ones((nodes, 1))])
        scale = 0.0 if settings.scaling == "input" else gradient.shape[1] ** 2
        left = rows.T @ rows / divisor + root * jnp.eye(rows.shape[1])
        right = scale * gradient.T @ gradient / divisor + root * jnp.eye(gradient.shape[1])
        inverses.append((jnp.linalg.inv(left), jnp.linalg.inv(right)))
    return inverses


@partial(jax.jit, static_argnames=("settings",))
def _step(
    arrays: dict[str, Any],
    parameters: Parameters,
    state: Any,
    kept_key: jax.Array,
    weight: float,
    inverses: list[tuple[jax.Array, jax.Array]] | None,
    settings: Settings,
) -> tuple[Parameters, Any]:
    probes = _probes(arrays, parameters)
    arguments = (parameters, probes, arrays, kept_key, weight, settings.dropout)
    direction, _ = jax.grad(_loss, has_aux=True)(*arguments)

    def decayed(direction: Parameters) -> Parameters:
        return jax.tree.map(lambda d, w: d + settings.weight_decay * w, direction, parameters)

    if settings.decay == "before":
        direction = decayed(direction)
    if inverses is not None:
        pairs = zip(inverses, direction, strict=True)
        direction = Parameters(*(left @ d @ right for (left, right), d in pairs))
    if settings.decay == "after":
        direction = decayed(direction)
    direction, state = _RULES[settings.optimizer].update(direction, state)
    if settings.decay == "decoupled":
        direction = decayed(direction)
    rate = settings.learning_rate
    return jax.tree.map(lambda w, d: w - rate * d, parameters, direction), state


@jax.jit
def _evaluate(arrays: dict[str, Any], parameters: Parameters) -> tuple[jax.Array, jax.Array]:
    _, logits = _forward(arrays, parameters, _probes(arrays, parameters), None, 0.0)
    right = jnp.argmax(logits, axis=1) == arrays["labels"]
    truth = jnp.maximum(arrays["labels"], 0)
    losses = -jax.nn.log_softmax(logits)[jnp.arange(truth.size), truth]
    return losses, right
