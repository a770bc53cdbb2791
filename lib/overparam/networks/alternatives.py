"""Instead of pruning, or after it: fewer bits, lower rank, a teacher, thin kernels."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from overparam._validation import count, nonnegative_number, real_array, reject
from overparam.networks.network import Network, Node, Parameters


class Quantized(NamedTuple):
    """Weights that take few values.

    Attributes
    ----------
    values : ndarray
        The weights, each replaced by one of the levels.
    levels : ndarray
        The values that occur.
    bits : float
        Size of the code: an index for each weight, entropy coded, and 32 bits for each level.
    """

    values: NDArray[np.float64]
    levels: NDArray[np.float64]
    bits: float


def quantize_uniform(weights: NDArray[np.floating], bits: int) -> Quantized:
    r"""Round weights to :math:`2^b - 1` equidistant values, zero in their middle.

    Parameters
    ----------
    weights : ndarray
        Any shape.
    bits : int
        b, at least 2.

    Returns
    -------
    Quantized
        No weight is off by more than half a step, :math:`\max|w| / (2^b - 2)`.

    Raises
    ------
    ValueError
        If weights are not finite, or `bits` is less than 2.

    Examples
    --------
    >>> quantize_uniform(np.array([-1.0, 0.1, 0.6]), 2).values
    array([-1.,  0.,  1.])
    """
    array = np.asarray(weights, np.float64)
    real_array("weights", array.ravel(), (1,))
    largest = 2 ** (count("bits", bits, 2) - 1) - 1
    step = max(np.abs(array).max() / largest, np.finfo(float).tiny)
    return _coded(np.round(array / step) * step)


def quantize_shared(weights: NDArray[np.floating], clusters: int, steps: int = 50) -> Quantized:
    """Share values by k-means, started from equidistant levels between the extremes.

    Parameters
    ----------
    weights : ndarray
        Any shape.
    clusters : int
        Most values that may occur besides zero; zeros stay zeros.
    steps : int, default 50
        Iterations of Lloyd's algorithm, fewer if it has converged.

    Returns
    -------
    Quantized
        The sum of squared changes is no larger than at the start.

    Raises
    ------
    ValueError
        If weights are not finite, or `clusters` is less than 1.

    References
    ----------
    .. [1] S. Han, H. Mao, W. Dally, "Deep compression", ICLR 2016.

    Examples
    --------
    >>> quantize_shared(np.array([0.0, 1.0, 1.2, 5.0]), 2).levels
    array([0. , 1.1, 5. ])
    """
    array = np.asarray(weights, np.float64)
    real_array("weights", array.ravel(), (1,))
    kept = array[array != 0]
    if kept.size == 0:
        return _coded(array)
    levels = np.linspace(kept.min(), kept.max(), count("clusters", clusters))
    for _ in range(count("steps", steps)):
        # In one dimension the nearest level is found between the midpoints of sorted levels.
        nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, kept)
        sums = np.bincount(nearest, kept, levels.size)
        sizes = np.bincount(nearest, minlength=levels.size)
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), levels)
        if np.array_equal(moved, levels):
            break
        levels = moved
    result = np.zeros_like(array)
    result[array != 0] = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, kept)]
    return _coded(result)


def _coded(values: NDArray[np.float64]) -> Quantized:
    levels, sizes = np.unique(values, return_counts=True)
    share = sizes / values.size
    entropy = float(-(share * np.log2(share)).sum())
    return Quantized(values, levels, values.size * entropy + 32 * levels.size)


def index_bits(size: int, nonzeros: int) -> dict[str, float]:
    r"""Return what it costs to say *where* the nonzero weights are, in bits.

    Parameters
    ----------
    size : int
        Weights of the layer, d.
    nonzeros : int
        Of which k are not zero.

    Returns
    -------
    dict
        ``"bitmap"``: d; ``"indices"``: k numbers of :math:`\lceil\log_2 d\rceil` bits; ``"bound"``:
        :math:`\log_2\binom dk`, below which no code can go for all masks.

    Raises
    ------
    ValueError
        If `nonzeros` exceeds `size`.

    Examples
    --------
    >>> costs = index_bits(1024, 100)
    >>> costs["bitmap"], costs["indices"], round(costs["bound"])
    (1024.0, 1000.0, 468)
    """
    from scipy.special import gammaln

    d, k = count("size", size), count("nonzeros", nonzeros, 0)
    if k > d:
        raise reject("nonzeros", k, f"must not exceed the size {d}", "Pass a count of weights.")
    bound = (gammaln(d + 1) - gammaln(k + 1) - gammaln(d - k + 1)) / np.log(2)
    return {"bitmap": float(d), "indices": float(k * np.ceil(np.log2(d))), "bound": float(bound)}


def low_rank(
    network: Network, parameters: Parameters, name: str, rank: int
) -> tuple[Network, Parameters]:
    """Replace a dense layer by two, the best approximation of this rank, by singular values.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    name : str
        A dense layer.
    rank : int
        Units of the new layer before it; saves weights if rank (in + out) < in out.

    Returns
    -------
    tuple of Network and dict
        With a layer ``name.factor`` in front of `name`.

    Raises
    ------
    ValueError
        If there is no such dense layer, or the rank exceeds that of a matrix of its shape.

    Examples
    --------
    >>> from overparam.networks.architectures import dense_network
    >>> from overparam.networks.network import initialize
    >>> network = dense_network([100])
    >>> low_rank(network, initialize(network, jax.random.key(0)), "dense1", 10)[0]
    Network(5 nodes, 9,950 parameters)
    """
    layers = {node.name: node for node in network.layers if node.kind == "dense"}
    if name not in layers:
        known = ", ".join(layers)
        raise reject("name", name, f"must be a dense layer ({known})", "Pass one of these.")
    weight = np.asarray(parameters[name]["weight"], np.float64)
    if count("rank", rank) > min(weight.shape):
        rule = f"must be at most {min(weight.shape)} for {name!r}"
        raise reject("rank", rank, rule, "Pass a smaller rank.")
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    layer, factor = layers[name], f"{name}.factor"
    nodes: list[Node] = []
    for node in network.nodes:
        if node.name == name:
            nodes.append(Node(factor, "dense", layer.inputs, rank, bias=False))
            node = Node(name, "dense", (factor,), layer.units, bias=layer.bias)  # noqa: PLW2901
        nodes.append(node)
    first = jnp.asarray(left[:, :rank] * values[:rank], jnp.float32)
    second = {**parameters[name], "weight": jnp.asarray(right[:rank], jnp.float32)}
    changed = {**parameters, factor: {"weight": first}, name: second}
    return Network(tuple(nodes), network.input_shape), changed


def distillation_loss(
    student: jax.Array, teacher: jax.Array, labels: jax.Array, temperature: float, share: float
) -> jax.Array:
    r"""Return :math:`(1-a)\,\mathrm{CE}(y, s) + a T^2\,\mathrm{KL}(\pi_t(T)\,\|\,\pi_s(T))`.

    :math:`\pi(T)` are the softmax probabilities of logits divided by T.

    Parameters
    ----------
    student, teacher : jax.Array of shape (samples, classes)
        Logits.
    labels : jax.Array of shape (samples,)
        Classes.
    temperature : float
        T; the factor :math:`T^2` keeps the size of gradients as T grows.
    share : float
        a, in [0, 1].

    Returns
    -------
    jax.Array of shape ()
        The mean over samples.

    Raises
    ------
    ValueError
        If `share` is outside [0, 1] or `temperature` is not positive.

    References
    ----------
    .. [1] G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network",
       arXiv:1503.02531.

    Examples
    --------
    >>> logits = jnp.array([[0.0, 0.0]])
    >>> float(distillation_loss(logits, logits, jnp.array([0]), 2.0, 1.0))
    0.0
    """
    if nonnegative_number("share", share) > 1:
        raise reject("share", share, "must be in [0, 1]", "Pass a weight of the teacher.")
    if nonnegative_number("temperature", temperature) == 0:
        raise reject("temperature", temperature, "must be positive", "Pass 1 for no change.")
    hard = optax.softmax_cross_entropy_with_integer_labels(student, labels).mean()
    target = jax.nn.log_softmax(teacher / temperature)
    guess = jax.nn.log_softmax(student / temperature)
    divergence = (jnp.exp(target) * (target - guess)).sum(axis=-1).mean()
    return (1 - share) * hard + share * temperature**2 * divergence


def separable_cost_ratio(kernel: int, units: int) -> float:
    """Return the operations of a depthwise-separable convolution by those of an ordinary one.

    One kernel for each input channel, then a convolution with kernels of side 1.

    Parameters
    ----------
    kernel : int
        Side of the kernel.
    units : int
        Filters.

    Returns
    -------
    float
        1 / units + 1 / kernel**2, whatever the input.

    Examples
    --------
    >>> round(separable_cost_ratio(3, 64), 4)
    0.1267
    """
    return 1 / count("units", units) + 1 / count("kernel", kernel) ** 2
