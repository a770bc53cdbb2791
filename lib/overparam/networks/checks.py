"""What is refused before anything is scored: parameters, samples and keys that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam._validation import reject
from overparam.networks.data import Samples
from overparam.networks.network import Network, Parameters


def check_parameters(network: Network, parameters: Parameters) -> None:
    """Refuse parameters that are not those of the network, or not finite.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        To be checked.

    Raises
    ------
    ValueError
        Naming the first layer that is missing, unknown, of another shape, or not finite.
    """
    shapes = network.parameter_shapes
    for name in {**shapes, **parameters}:
        expected = shapes.get(name, {})
        leaves = parameters.get(name, {})
        found = {leaf: jnp.shape(array) for leaf, array in leaves.items()}
        if found != expected:
            advice = "Pass the parameters of this very network."
            raise reject(f"parameters[{name!r}]", found, f"must have shapes {expected}", advice)
        for leaf, array in leaves.items():
            if not bool(jnp.isfinite(array).all()):
                advice = "Training diverged: lower the learning rate."
                entry = f"parameters[{name!r}][{leaf!r}]"
                raise reject(entry, "not finite", "must be finite", advice)


def check_images(network: Network, inputs: ArrayLike) -> NDArray[np.float32]:
    """Return images that the network can be evaluated on, or refuse them.

    Parameters
    ----------
    network : Network
        The network.
    inputs : array of shape (samples, height, width, channels)
        To be checked.

    Returns
    -------
    ndarray of float32
        The images.

    Raises
    ------
    ValueError
        If there are none, or they have the wrong shape or are not finite.
    """
    images = np.asarray(inputs, np.float32)
    if images.shape[1:] != network.input_shape or images.shape[0] == 0:
        first = network.layers[0].name
        rule = f"must be (samples, *{network.input_shape}) with samples >= 1, to enter {first!r}"
        raise reject("inputs.shape", images.shape, rule, "Reshape the images.")
    if not np.isfinite(images).all():
        raise reject("inputs", "not finite", "must be finite", "Drop or repair these images.")
    return images


def check_batch(network: Network, parameters: Parameters, inputs: ArrayLike) -> NDArray[np.float32]:
    """Refuse a batch or parameters that cannot be scored.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    inputs : array of shape (samples, height, width, channels)
        Images.

    Returns
    -------
    ndarray of float32
        The images.

    Raises
    ------
    ValueError
        If the batch is empty, of another shape than the network's input, or not finite, or a
        layer's parameters are missing, of another shape or not finite.
    """
    images = check_images(network, inputs)
    check_parameters(network, parameters)
    return images


def check_samples(network: Network, samples: Samples | None) -> Samples:
    """Return samples that the network can be evaluated on, or refuse them.

    Parameters
    ----------
    network : Network
        The network.
    samples : Samples or None
        To be checked.

    Returns
    -------
    Samples
        The samples.

    Raises
    ------
    ValueError
        If there are none, images or labels have the wrong shape or are not finite, or a label is
        no class of the network.
    """
    if samples is None:
        raise reject("samples", samples, "must be given for this criterion", "Pass Samples.")
    inputs, labels = check_images(network, samples.inputs), np.asarray(samples.labels)
    last = network.nodes[-1].name
    classes = network.shapes[last][0]
    if labels.shape != inputs.shape[:1] or labels.dtype.kind not in "iu":
        rule = f"must be one integer for each of the {len(inputs)} images"
        raise reject("samples.labels", labels, rule, "Pass a class for each image.")
    if labels.min() < 0 or labels.max() >= classes:
        value = int(labels.max() if labels.min() >= 0 else labels.min())
        rule = f"must be in 0, ..., {classes - 1}, the outputs of {last!r}"
        raise reject("samples.labels", value, rule, "Use another network or other labels.")
    return samples


def check_key(key: jax.Array | None) -> jax.Array:
    """Return the random key, or refuse that there is none.

    Parameters
    ----------
    key : jax.Array or None
        To be checked.

    Returns
    -------
    jax.Array
        The key.

    Raises
    ------
    ValueError
        If there is none.
    """
    if key is None:
        raise reject("key", key, "must be given for a random score", "Pass jax.random.key(0).")
    return key
