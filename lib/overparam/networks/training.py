"""Training by stochastic gradients, with a mask, deterministic given a key."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from overparam._validation import reject
from overparam.networks.data import Samples
from overparam.networks.network import Network, Parameters, activations, apply, statistics

Masks: TypeAlias = Parameters
"""Zeros and ones in the structure of the parameters."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train; a plan with the same numbers is never compiled twice.

    Attributes
    ----------
    epochs : int
        Passes over the training data.
    batch_size : int, default 64
        Samples of a step; the last, incomplete batch of an epoch is left out.
    optimizer : str, default "sgd"
        ``"sgd"`` with momentum, or ``"adam"``.
    learning_rate : float, default 0.01
        Step size at the beginning.
    decays : tuple of float, default ()
        Shares of the epochs after which the step size falls by a factor of ten.
    momentum : float, default 0.9
        Of stochastic gradient descent.
    weight_decay : float, default 1e-4
        Factor of the weights that is added to the gradient, before momentum or Adam's scaling;
        biases and normalizations are left alone.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> TrainingPlan(epochs=10).batch_size
    64
    """

    epochs: int
    batch_size: int = 64
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.01
    decays: tuple[float, ...] = ()
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise reject(name, getattr(self, name), "must be at least 1", "Pass a count.")
        for name in ("learning_rate", "momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise reject(name, getattr(self, name), "must not be negative", "Pass a number.")
        if self.optimizer not in {"sgd", "adam"}:
            raise reject("optimizer", self.optimizer, "must be 'sgd' or 'adam'", "Pass one.")

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """Return the optimizer.

        Parameters
        ----------
        steps : int
            Steps of one epoch.

        Returns
        -------
        optax.GradientTransformation
            From gradients to steps.
        """
        boundaries = {round(share * self.epochs * steps): 0.1 for share in self.decays}
        rate = optax.piecewise_constant_schedule(self.learning_rate, boundaries)
        adam = self.optimizer == "adam"
        step = optax.scale_by_adam() if adam else optax.trace(self.momentum)
        return optax.chain(
            optax.add_decayed_weights(self.weight_decay, mask=_is_weight),
            step,
            optax.scale_by_learning_rate(rate),
        )


class Trained(NamedTuple):
    """What training leaves.

    Attributes
    ----------
    parameters : dict
        The parameters, with the statistics of the normalizations set.
    losses : jax.Array of shape (epochs,)
        Mean training loss of every epoch, over its steps.
    """

    parameters: Parameters
    losses: jax.Array


def loss(network: Network, parameters: Parameters, samples: Samples) -> jax.Array:
    """Mean cross entropy in nats, with the stored statistics of the normalizations.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images and classes.

    Returns
    -------
    jax.Array of shape ()
        The loss.
    """
    logits = apply(network, parameters, jnp.asarray(samples.inputs))
    return _cross_entropy(logits, jnp.asarray(samples.labels))


def error_rate(
    network: Network, parameters: Parameters, samples: Samples, batch_size: int = 1000
) -> float:
    """Share of the samples that get a wrong class.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images and classes.
    batch_size : int, default 1000
        Samples that are evaluated at once.

    Returns
    -------
    float
        Between 0 and 1.
    """
    wrong = 0
    for start in range(0, len(samples.labels), batch_size):
        part = samples.take(slice(start, start + batch_size))
        wrong += int((_classes(network, parameters, part.inputs) != part.labels).sum())
    return wrong / len(samples.labels)


def train(
    network: Network,
    parameters: Parameters,
    samples: Samples,
    plan: TrainingPlan,
    key: jax.Array,
    *,
    masks: Masks | None = None,
    report: Callable[[str], None] | None = None,
) -> Trained:
    """Minimize the cross entropy; with masks, over the weights they keep.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Where to start.
    samples : Samples
        Training data.
    plan : TrainingPlan
        How.
    key : jax.Array
        Random key: of the order of the samples, and nothing else.
    masks : dict, optional
        Zeros and ones in the structure of the parameters; what is zero stays zero.
    report : callable, optional
        Called with a line after every epoch.

    Returns
    -------
    Trained
        Parameters and losses.

    Raises
    ------
    ValueError
        If there are fewer samples than a batch needs, or masks have another structure.
    """
    count = len(samples.labels)
    if count < plan.batch_size:
        advice = "Pass more samples or a smaller batch size."
        raise reject("samples", f"{count} samples", f"must fill {plan.batch_size}", advice)
    masks = jax.tree.map(jnp.ones_like, parameters) if masks is None else masks
    check_structure("masks", masks, parameters)
    inputs, labels = jnp.asarray(samples.inputs), jnp.asarray(samples.labels)
    parameters = jax.tree.map(jnp.multiply, parameters, masks)
    state = plan.transformation(count // plan.batch_size).init(parameters)
    losses = []
    for epoch in range(plan.epochs):
        order = jax.random.permutation(jax.random.fold_in(key, epoch), count)
        parameters, state, mean = _epoch(
            network, plan, parameters, state, masks, inputs, labels, order
        )
        losses.append(mean)
        if report is not None:
            report(f"epoch {epoch + 1} of {plan.epochs}: training loss {float(mean):.4f}")
    return Trained(calibrate(network, parameters, samples), jnp.stack(losses))


@partial(jax.jit, static_argnums=(0, 1))
def _epoch(
    network: Network,
    plan: TrainingPlan,
    parameters: Parameters,
    state: optax.OptState,
    masks: Masks,
    inputs: jax.Array,
    labels: jax.Array,
    order: jax.Array,
) -> tuple[Parameters, optax.OptState, jax.Array]:
    steps = len(order) // plan.batch_size
    batches = order[: steps * plan.batch_size].reshape(steps, plan.batch_size)
    transformation = plan.transformation(steps)

    def objective(parameters: Parameters, batch: jax.Array) -> jax.Array:
        logits = apply(network, parameters, inputs[batch], training=True)
        return _cross_entropy(logits, labels[batch])

    def step(
        carry: tuple[Parameters, optax.OptState], batch: jax.Array
    ) -> tuple[tuple[Parameters, optax.OptState], jax.Array]:
        parameters, state = carry
        value, gradients = jax.value_and_grad(objective)(parameters, batch)
        gradients = jax.tree.map(jnp.multiply, gradients, masks)
        updates, state = transformation.update(gradients, state, parameters)
        parameters = jax.tree.map(jnp.multiply, optax.apply_updates(parameters, updates), masks)
        return (parameters, state), value

    (parameters, state), values = jax.lax.scan(step, (parameters, state), batches)
    return parameters, state, values.mean()


def calibrate(
    network: Network, parameters: Parameters, samples: Samples, count: int = 1024
) -> Parameters:
    """Set the statistics of the normalizations to those of the first training samples.

    One pass in which every normalization uses its batch, instead of running averages during
    training: the result depends on the parameters and the samples alone.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Training data.
    count : int, default 1024
        How many samples to use.

    Returns
    -------
    dict
        The parameters with new ``"mean"`` and ``"variance"``.
    """
    found = _statistics(network, parameters, jnp.asarray(samples.inputs[:count]))
    return {name: {**leaves, **found.get(name, {})} for name, leaves in parameters.items()}


@partial(jax.jit, static_argnums=0)
def _statistics(
    network: Network, parameters: Parameters, inputs: jax.Array
) -> dict[str, dict[str, jax.Array]]:
    outputs = activations(network, parameters, inputs, training=True)
    nodes = (node for node in network.nodes if node.kind == "normalization")
    return {
        node.name: dict(zip(("mean", "variance"), statistics(outputs[node.inputs[0]]), strict=True))
        for node in nodes
    }


@partial(jax.jit, static_argnums=0)
def _classes(network: Network, parameters: Parameters, inputs: jax.Array) -> jax.Array:
    return apply(network, parameters, inputs).argmax(axis=-1)


def _cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _is_weight(parameters: Parameters) -> dict[str, dict[str, bool]]:
    return {
        name: {leaf: leaf == "weight" for leaf in leaves} for name, leaves in parameters.items()
    }


def check_structure(name: str, tree: Parameters, parameters: Parameters) -> None:
    """Refuse a tree that does not match the parameters, naming the first layer that differs.

    Parameters
    ----------
    name : str
        What the tree is.
    tree, parameters : dict
        To be compared.

    Raises
    ------
    ValueError
        If a layer or a leaf is missing, too many, or of another shape.
    """
    for layer in {**parameters, **tree}:
        ours = {leaf: jnp.shape(array) for leaf, array in tree.get(layer, {}).items()}
        theirs = {leaf: jnp.shape(array) for leaf, array in parameters.get(layer, {}).items()}
        if ours != theirs:
            advice = f"Give layer {layer!r} arrays of the shapes {theirs}."
            raise reject(f"{name}[{layer!r}]", ours, "must match the parameters", advice)
