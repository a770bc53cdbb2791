"""Pruning of a trained graph convolutional network, and its prunability."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam._validation import real_array, reject
from overparam.graphs.convolution import Network, Parameters
from overparam.graphs.training import Scores, score
from overparam.prunability import measure_prunability
from overparam.pruning import kept_count

Order = Literal["magnitude", "random"]


def evaluate(network: Network, parameters: Parameters) -> Scores:
    """Losses and accuracies of a network, without dropout.

    Parameters
    ----------
    network : Network
        The graph with a split.
    parameters : Parameters
        Weights.

    Returns
    -------
    Scores
        As in `overparam.graphs.training.Training`, for one epoch.

    Examples
    --------
    >>> from overparam.graphs import Settings, load_karate_club, train
    >>> network = Network.of(load_karate_club(), "public")
    >>> run = train(network, Settings(epochs=5), seed=0)
    >>> float(evaluate(network, run.parameters).test_accuracy) == float(run.test_accuracy[-1])
    True
    """
    return _evaluate(network, parameters)


@jax.jit
def _evaluate(network: Network, parameters: Parameters) -> Scores:
    hidden = jax.nn.relu(network.first_sums(parameters))
    return score(network, network.second_sums(hidden, parameters))


def masks_of(
    parameters: Parameters, keep: float, order: Order = "magnitude", key: jax.Array | None = None
) -> Parameters:
    """Choose the weights that stay; all layers compete, and biases always stay.

    Parameters
    ----------
    parameters : Parameters
        Trained weights.
    keep : float
        Fraction of the weights that stay, in (0, 1].
    order : {"magnitude", "random"}
        Whether large or any weights stay.
    key : jax.Array, optional
        For ``"random"``.

    Returns
    -------
    weights : Parameters
        One where a weight stays, zero elsewhere.

    Raises
    ------
    ValueError
        If an argument is out of range, or a random order has no key.

    Examples
    --------
    >>> weights = Parameters(jnp.array([[3.0, 1.0], [0.0, 0.0]]), jnp.array([[2.0], [0.0]]))
    >>> masks_of(weights, 0.5).first.tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    if not 0 < float(real_array("keep", keep, (0,))) <= 1:
        raise reject("keep", keep, "must be in (0, 1]", "Pass a fraction.")
    sizes = [layer[:-1].size for layer in parameters]
    flat = jnp.concatenate([layer[:-1].ravel() for layer in parameters])
    if order == "magnitude":
        scores = jnp.abs(flat)
    elif order == "random" and key is not None:
        scores = jax.random.uniform(key, flat.shape)
    else:
        rule = "must be 'magnitude', or 'random' with a key"
        raise reject("order", order, rule, "Pass jax.random.key(seed) as `key`.")
    rank = jnp.argsort(jnp.argsort(-scores))
    chosen = jnp.asarray(rank < int(kept_count(keep, flat.size)), dtype=flat.dtype)
    parts = jnp.split(chosen, [sizes[0]])
    return Parameters(
        *(
            jnp.vstack([part.reshape(layer[:-1].shape), jnp.ones_like(layer[-1:])])
            for part, layer in zip(parts, parameters, strict=True)
        )
    )


def prunability(
    network: Network,
    parameters: Parameters,
    tolerance: ArrayLike,
    order: Order = "magnitude",
    rng: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Smallest fraction of weights that can stay before the training loss rises by a tolerance.

    Parameters
    ----------
    network : Network
        The graph with a split.
    parameters : Parameters
        Trained weights; biases are not counted.
    tolerance : float or array_like
        Rise of the training loss, in nats.
    order : {"magnitude", "random"}
        What goes first.
    rng : numpy.random.Generator, optional
        For ``"random"``, which averages over two orders.

    Returns
    -------
    ndarray of the shape of `tolerance`
        In (0, 1]; see `overparam.prunability.measure_prunability`.

    Examples
    --------
    >>> from overparam.graphs import Settings, load_karate_club, train
    >>> network = Network.of(load_karate_club(), "public")
    >>> run = train(network, Settings(epochs=50), seed=0)
    >>> bool(prunability(network, run.parameters, 0.05) < 1)
    True
    """
    shapes = [layer.shape for layer in parameters]
    first = parameters.first.size
    biases = [np.arange(shape[0]) == shape[0] - 1 for shape in shapes]
    weights = np.concatenate(
        [np.repeat(~bias, shape[1]) for bias, shape in zip(biases, shapes, strict=True)]
    )
    flat = np.concatenate([np.asarray(layer, dtype=np.float64).ravel() for layer in parameters])
    levels = np.unique(np.append(np.geomspace(0.005, 1.0, 40), 1.0))
    loss = partial(_flat_loss, network, shapes, first)
    return measure_prunability(
        loss, flat, tolerance, order=order, prunable=weights, keep=levels, masks=2, rng=rng
    )


def _flat_loss(
    network: Network, shapes: list[tuple[int, ...]], first: int, flat: NDArray[np.float64]
) -> float:
    layers = (flat[:first].reshape(shapes[0]), flat[first:].reshape(shapes[1]))
    parameters = Parameters(*(jnp.asarray(layer, dtype=float) for layer in layers))
    return float(_evaluate(network, parameters).train_loss)
