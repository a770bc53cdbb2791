"""Passes over the data in small pieces: what criteria need to know about a network.

Every pass sums over chunks of the samples, so that at no time more is held than the activations
and per-sample gradients of one chunk.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from overparam.networks.channels import channel_groups
from overparam.networks.data import Samples
from overparam.networks.masks import Scores
from overparam.networks.network import Network, Parameters, activations, patches

CHUNK = 32
"""Samples that are looked at together."""

Tree = TypeVar("Tree")
Pull: TypeAlias = Callable[[jax.Array], Scores]


def sum_over(
    function: Callable[[Network, Parameters, jax.Array, jax.Array], Tree],
    network: Network,
    parameters: Parameters,
    samples: Samples,
    chunk: int = CHUNK,
) -> Tree:
    """Add up what a function returns for the chunks of the samples.

    Parameters
    ----------
    function : callable
        ``function(network, parameters, inputs, labels)`` returns a tree of sums over its samples.
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples
        Images and classes.
    chunk : int, default 32
        Samples in a call.

    Returns
    -------
    tree
        The sums over all samples.
    """

    def sums(start: int) -> Tree:
        part = samples.take(slice(start, start + chunk))
        value = function(network, parameters, jnp.asarray(part.inputs), jnp.asarray(part.labels))
        for leaf in jax.tree.leaves(value):  # or all chunks would be in flight at once
            leaf.block_until_ready()
        return value

    total = sums(0)
    for start in range(chunk, len(samples.labels), chunk):
        total = jax.tree.map(jnp.add, total, sums(start))
    return total


@partial(jax.jit, static_argnums=0)
def second_moments(
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    labels: jax.Array,  # noqa: ARG001 - every pass has the same arguments
) -> Scores:
    """Return X'X for the inputs X of every layer, one row for a sample and position.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs, labels : jax.Array
        Images and classes; the latter are not used.

    Returns
    -------
    dict
        From layers to matrices with a row and column for each weight of one output.
    """
    outputs = activations(network, parameters, inputs)
    moments = {}
    for node in network.layers:
        rows = patches(node, outputs[node.inputs[0]])
        flat = rows.reshape(-1, rows.shape[-1])
        moments[node.name] = flat.T @ flat
    return moments


def linearize(
    network: Network, parameters: Parameters, inputs: jax.Array
) -> tuple[jax.Array, Pull, Scores]:
    """Return probabilities, a function from logit gradients to those of the layers, and inputs.

    The gradient with respect to what a layer puts out before its rectifier comes from adding a
    zero there, which is what a bias for every sample and position does.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : jax.Array
        Images.

    Returns
    -------
    tuple
        Class probabilities of shape (samples, classes); a function that pulls gradients of this
        shape back to ``{layer: (samples, positions, units)}``; the rows that multiply the weights,
        ``{layer: (samples, positions, weights of one unit)}``.
    """
    batch = inputs.shape[0]
    taps = {layer.name: jnp.zeros((batch, *network.shapes[layer.name])) for layer in network.layers}

    def forward(taps: Scores) -> tuple[jax.Array, Scores]:
        tapped = {
            name: {**leaves, "bias": leaves.get("bias", 0) + taps[name]} if name in taps else leaves
            for name, leaves in parameters.items()
        }
        outputs = activations(network, tapped, inputs)
        return outputs[network.nodes[-1].name], outputs

    logits, pull, outputs = jax.vjp(forward, taps, has_aux=True)
    rows = {}
    for layer in network.layers:
        seen = patches(layer, outputs[layer.inputs[0]])
        rows[layer.name] = seen.reshape(batch, -1, seen.shape[-1])

    def pulled(gradient: jax.Array) -> Scores:
        found = pull(gradient)[0]
        return {name: array.reshape(batch, -1, array.shape[-1]) for name, array in found.items()}

    return jax.nn.softmax(logits), pulled, rows


def sample_gradients(rows: jax.Array, deltas: jax.Array) -> jax.Array:
    """Return the gradient of each sample's loss with respect to the weights of one layer.

    Parameters
    ----------
    rows : jax.Array of shape (samples, positions, weights of one unit)
        What multiplies the weights.
    deltas : jax.Array of shape (samples, positions, units)
        Gradients with respect to the outputs.

    Returns
    -------
    jax.Array of shape (samples, weights of one unit, units)
        The sum over positions of their products.
    """
    return jnp.einsum("bpd,bpu->bdu", rows, deltas)


def gradient_sum(
    moment: Callable[[jax.Array], jax.Array], rows: jax.Array, deltas: jax.Array
) -> jax.Array:
    """Return the sum over samples of an even power of their gradients.

    Parameters
    ----------
    moment : callable
        ``jnp.abs`` or ``jnp.square``: anything with moment(a b) = moment(a) moment(b).
    rows, deltas : jax.Array
        See `sample_gradients`.

    Returns
    -------
    jax.Array of shape (weights of one unit, units)
        The sum.
    """
    if rows.shape[1] == 1:  # the gradient of a dense layer has rank one: never form it
        return moment(rows[:, 0]).T @ moment(deltas[:, 0])
    return moment(sample_gradients(rows, deltas)).sum(axis=0)


def channel_contributions(
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    normalized: bool,
) -> Scores:
    """Return the derivative of each sample's loss with respect to a factor on each channel, at 1.

    It is the sum over positions of gradient times value, for all layers that make the channel.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs, labels : jax.Array
        Images and classes.
    normalized : bool
        Whether the factor comes after the normalization, or right after the filter.

    Returns
    -------
    dict
        From channel groups to arrays of shape (samples, channels).
    """
    groups = channel_groups(network)
    batch = inputs.shape[0]
    after = {
        network.node(name).inputs[0]: name for group in groups for name in group.normalizations
    }

    def objective(gates: Scores) -> jax.Array:
        places = {}
        for group in groups:
            for name in group.producers:
                place = after.get(name, name) if normalized else name
                ones = (1,) * (len(network.shapes[name]) - 1)
                places[place] = gates[group.name].reshape(batch, *ones, group.size)
        outputs = activations(network, parameters, inputs, gates=places)
        likelihoods = jax.nn.log_softmax(outputs[network.nodes[-1].name])
        return -jnp.take_along_axis(likelihoods, labels[:, None], axis=1).sum()

    return jax.grad(objective)({group.name: jnp.ones((batch, group.size)) for group in groups})
