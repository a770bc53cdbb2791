"""A feed-forward network as a small static graph, and its forward pass.

The graph is data, so that everything else in this package can read it: which layers feed which
decides what may be removed, and where a score may look for a layer's inputs. Parameters are a
plain tree, ``{layer: {"weight": ..., "bias": ...}}``; masks, gradients and scores have the same
structure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp

from overparam._validation import reject

Kind = Literal[
    "dense", "convolution", "normalization", "relu", "max_pool", "mean", "flatten", "add"
]
Parameters: TypeAlias = dict[str, dict[str, jax.Array]]

INPUT = "input"
"""Name of the images among the outputs of the nodes."""

VARIANCE_FLOOR = 1e-5
"""Added to the variances of a normalization."""

PATCHED_CHANNELS = 16
"""Fewer input channels than this make a convolution on a CPU a matrix product of its patches."""


@dataclass(frozen=True)
class Node:
    """One operation of a network.

    Attributes
    ----------
    name : str
        Unique in the network.
    kind : str
        ``"dense"``, ``"convolution"`` (square kernel), ``"normalization"`` (batch
        normalization over all axes but the last), ``"relu"``, ``"max_pool"`` (windows of 2 by 2),
        ``"mean"`` (over all positions), ``"flatten"``, ``"add"``.
    inputs : tuple of str
        Names of the nodes that feed it; `INPUT` is the images.
    units : int, default 0
        Outputs of a dense layer, filters of a convolution.
    kernel : int, default 0
        Side of the kernel of a convolution.
    stride : int, default 1
        Step of a convolution.
    padding : str, default "SAME"
        ``"SAME"`` surrounds the images of a convolution with zeros, ``"VALID"`` does not.
    bias : bool, default True
        Whether a dense layer or convolution has one.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    units: int = 0
    kernel: int = 0
    stride: int = 1
    padding: Literal["SAME", "VALID"] = "SAME"
    bias: bool = True


@dataclass(frozen=True)
class Network:
    """A feed-forward network: its nodes in the order of evaluation; the last one is the output.

    Hashable, so that it can be a static argument of ``jax.jit``.

    Attributes
    ----------
    nodes : tuple of Node
        In an order in which every node comes after its inputs.
    input_shape : tuple of int
        ``(height, width, channels)`` of one image.

    Raises
    ------
    ValueError
        If a name is used twice or an input does not come before the node that reads it.

    Examples
    --------
    >>> nodes = Node("flat", "flatten", ("input",)), Node("output", "dense", ("flat",), 3)
    >>> Network(nodes, (2, 2, 1))
    Network(2 nodes, 15 parameters)
    """

    nodes: tuple[Node, ...]
    input_shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        known = {INPUT}
        for node in self.nodes:
            if node.name in known:
                raise reject("nodes", node.name, "must have unique names", "Rename the node.")
            for name in node.inputs:
                if name not in known:
                    advice = f"Put {name!r} before {node.name!r}."
                    raise reject("nodes", node.name, f"reads the unknown node {name!r}", advice)
            known.add(node.name)

    def __repr__(self) -> str:
        return f"Network({len(self.nodes)} nodes, {self.parameter_count:,} parameters)"

    def node(self, name: str) -> Node:
        """Return the node of this name.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Node
            The node.
        """
        return next(node for node in self.nodes if node.name == name)

    @property
    def layers(self) -> tuple[Node, ...]:
        """The nodes with weights: dense layers and convolutions."""
        return tuple(node for node in self.nodes if node.kind in {"dense", "convolution"})

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of the output of every node, for one image."""
        shapes: dict[str, tuple[int, ...]] = {INPUT: self.input_shape}
        for node in self.nodes:
            shapes[node.name] = _output_shape(node, shapes[node.inputs[0]])
        return shapes

    @cached_property
    def parameter_shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Shape of every parameter, in the structure of the parameters."""
        shapes: dict[str, dict[str, tuple[int, ...]]] = {}
        for node in self.nodes:
            fan = self.shapes[node.inputs[0]][-1]
            if node.kind == "normalization":
                names = ("scale", "offset", "mean", "variance")
                shapes[node.name] = dict.fromkeys(names, (fan,))
            elif node.kind in {"dense", "convolution"}:
                sides = (node.kernel, node.kernel) if node.kind == "convolution" else ()
                shapes[node.name] = {"weight": (*sides, fan, node.units)}
                if node.bias:
                    shapes[node.name]["bias"] = (node.units,)
        return shapes

    @property
    def parameter_count(self) -> int:
        """Number of trainable parameters: the statistics of a normalization are none."""
        return sum(
            prod(shape)
            for leaves in self.parameter_shapes.values()
            for name, shape in leaves.items()
            if name not in {"mean", "variance"}
        )


def _output_shape(node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    match node.kind:
        case "dense":
            return (node.units,)
        case "convolution":
            lost = node.kernel - 1 if node.padding == "VALID" else 0
            return (*(-(-(side - lost) // node.stride) for side in shape[:2]), node.units)
        case "max_pool":
            return (shape[0] // 2, shape[1] // 2, shape[2])
        case "mean":
            return shape[-1:]
        case "flatten":
            return (prod(shape),)
    return shape


def initialize(network: Network, key: jax.Array) -> Parameters:
    r"""Draw initial parameters: normal weights of variance 2 / fan-in, zero biases.

    Parameters
    ----------
    network : Network
        The network.
    key : jax.Array
        Random key; each layer takes its own, so that it does not depend on the layers before it.

    Returns
    -------
    dict
        Parameters in the structure of ``network.parameter_shapes``.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """
    parameters: Parameters = {}
    for index, (name, shapes) in enumerate(network.parameter_shapes.items()):
        leaves = {
            leaf: jnp.ones(shape) if leaf in {"scale", "variance"} else jnp.zeros(shape)
            for leaf, shape in shapes.items()
        }
        if "weight" in shapes:
            normal = jax.random.normal(jax.random.fold_in(key, index), shapes["weight"])
            leaves["weight"] = normal * (2 / prod(shapes["weight"][:-1])) ** 0.5
        parameters[name] = leaves
    return parameters


def activations(
    network: Network,
    parameters: Parameters,
    inputs: jax.Array,
    *,
    training: bool = False,
    gates: Mapping[str, jax.Array] | None = None,
) -> dict[str, jax.Array]:
    """Evaluate the network and return the output of every node.

    Inside ``jax.jit`` what the caller does not use is never kept.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : jax.Array of shape (batch, height, width, channels)
        Images.
    training : bool, default False
        Whether normalizations use the statistics of this batch rather than the stored ones.
    gates : mapping from node names to jax.Array, optional
        Factors on the outputs of these nodes, of shape (channels,) or (batch, ..., channels): the
        derivative with respect to a gate at 1 says what a channel is worth.

    Returns
    -------
    dict
        From node names, and `INPUT`, to arrays of shape (batch, ...).
    """
    outputs = {INPUT: inputs}
    for node in network.nodes:
        arguments = [outputs[name] for name in node.inputs]
        result = _evaluate(node, parameters.get(node.name, {}), arguments, training=training)
        if gates is not None and node.name in gates:
            result = result * gates[node.name]
        outputs[node.name] = result
    return outputs


def apply(
    network: Network, parameters: Parameters, inputs: jax.Array, *, training: bool = False
) -> jax.Array:
    """Evaluate the network.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : jax.Array of shape (batch, height, width, channels)
        Images.
    training : bool, default False
        Whether normalizations use the statistics of this batch rather than the stored ones.

    Returns
    -------
    jax.Array of shape (batch, classes)
        The logits.
    """
    return activations(network, parameters, inputs, training=training)[network.nodes[-1].name]


def _evaluate(
    node: Node, leaves: Mapping[str, jax.Array], arguments: list[jax.Array], *, training: bool
) -> jax.Array:
    x = arguments[0]
    match node.kind:
        case "dense":
            return x @ leaves["weight"] + leaves.get("bias", 0)
        case "convolution":
            return _convolve(node, x, leaves["weight"]) + leaves.get("bias", 0)
        case "normalization":
            mean, variance = statistics(x) if training else (leaves["mean"], leaves["variance"])
            standardized = (x - mean) * jax.lax.rsqrt(variance + VARIANCE_FLOOR)
            return standardized * leaves["scale"] + leaves["offset"]
        case "relu":
            return jax.nn.relu(x)
        case "max_pool":
            window = (1, 2, 2, 1)
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
        case "mean":
            return x.mean(axis=tuple(range(1, x.ndim - 1)))
        case "flatten":
            return x.reshape(x.shape[0], -1)
        case "add":
            return sum(arguments[1:], start=x)


def _convolve(node: Node, x: jax.Array, weight: jax.Array) -> jax.Array:
    """Convolve; on a CPU, few channels are several times faster as one matrix product."""
    if jax.default_backend() == "cpu" and x.shape[-1] < PATCHED_CHANNELS:
        return patches(node, x) @ weight.reshape(-1, weight.shape[-1])
    strides = (node.stride, node.stride)
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, weight, strides, node.padding, dimension_numbers=layout)


def patches(node: Node, x: jax.Array) -> jax.Array:
    """Return what a layer multiplies its weights with: for a convolution, the patches it sees.

    Parameters
    ----------
    node : Node
        A dense layer or a convolution.
    x : jax.Array of shape (batch, ..., channels)
        Its input.

    Returns
    -------
    jax.Array
        Of shape (batch, channels) for a dense layer. For a convolution, of shape (batch, height,
        width, kernel * kernel * channels), with the last axis in the order of the weights:
        ``patches @ weight.reshape(-1, units)`` is the output without bias.

    Examples
    --------
    >>> node = Node("conv", "convolution", ("input",), units=4, kernel=3)
    >>> patches(node, jnp.ones((2, 8, 8, 5))).shape
    (2, 8, 8, 45)
    """
    if node.kind == "dense":
        return x
    stops = []
    for axis in (1, 2):
        size = x.shape[axis]
        if node.padding == "SAME":
            missing = (-(-size // node.stride) - 1) * node.stride + node.kernel - size
            before = max(missing, 0) // 2
            widths = [(0, 0)] * x.ndim
            widths[axis] = (before, max(missing, 0) - before)
            x = jnp.pad(x, widths)
            size = x.shape[axis]
        stops.append(size - node.kernel + 1)
    shifted = [
        x[:, row : row + stops[0] : node.stride, column : column + stops[1] : node.stride]
        for row in range(node.kernel)
        for column in range(node.kernel)
    ]
    return jnp.concatenate(shifted, axis=-1)


def statistics(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of every channel over the batch and all positions.

    Parameters
    ----------
    x : jax.Array of shape (batch, ..., channels)
        Inputs of a normalization.

    Returns
    -------
    tuple of jax.Array of shape (channels,)
        Mean and variance.
    """
    axes = tuple(range(x.ndim - 1))
    return x.mean(axis=axes), x.var(axis=axes)
