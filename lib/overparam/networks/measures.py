r"""Generalization measures of a trained classifier: norms, margins, flatness, bounds.

Everything is one traced function of the parameters, so that a whole group of networks is measured
at once. Logarithms of quantities that span orders of magnitude are reported as logarithms: only the
order matters. Networks with normalizations are refused, since their weights have no scale.
"""

from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp

from overparam._validation import reject
from overparam.networks.network import INPUT, Network, Parameters, activations, apply

NOISE_FLOOR = 1e-3
"""Standard deviation of the noise that even a weight of zero gets, in magnitude-aware measures."""

_DRAWS = 10
_BISECTIONS = 16
_ACCURACY_LOST = 0.1


class Training(NamedTuple):
    """What a measure may look at besides the parameters.

    Attributes
    ----------
    initial : dict
        Parameters before training.
    inputs : jax.Array of shape (samples, height, width, channels)
        Training images, and possibly others.
    labels : jax.Array of shape (samples,)
        Their classes.
    used : jax.Array of bool, shape (samples,)
        Which samples the network was trained on.
    loss_sum : jax.Array of shape ()
        Sum of the minibatch losses over the steps of training.
    """

    initial: Parameters
    inputs: jax.Array
    labels: jax.Array
    used: jax.Array
    loss_sum: jax.Array


def measures(
    network: Network, parameters: Parameters, training: Training, key: jax.Array
) -> dict[str, jax.Array]:
    r"""Evaluate every measure that does not prune.

    With :math:`W_i` the layers as matrices, :math:`W_i^0` their start, w all parameters,
    :math:`\omega` their number, m samples, and :math:`\gamma` the tenth percentile of the margins:

    - ``"parameters"`` :math:`\omega`; ``"inverse margin"`` :math:`1/\gamma^2`;
    - ``"norm"`` :math:`\sum\|W_i\|_F^2`; ``"distance"`` :math:`\sum\|W_i-W_i^0\|_F^2`;
    - ``"log spectral"`` :math:`\sum\log\|W_i\|_2^2`, ``"log spectral over margin"`` minus
      :math:`\log\gamma^2`; ``"log spectral-Frobenius"``
      :math:`\log\prod\|W_i\|_2^2\sum_i\|W_i-W_i^0\|_F^2/\|W_i\|_2^2/\gamma^2`;
    - ``"stable rank"`` :math:`\sum\|W_i\|_F^2/\|W_i\|_2^2`;
    - ``"log path norm"``, ``"log path norm over margin"``: the summed output of the network with
      squared parameters on the input of ones;
    - ``"flatness"`` :math:`1/s^2`, s the largest standard deviation of noise on w at which the mean
      accuracy falls by at most 0.1; ``"magnitude-aware flatness"`` :math:`1/s'^2` with noise of
      variance :math:`s'^2w_i^2+\varepsilon^2`, `NOISE_FLOOR` being :math:`\varepsilon`;
    - ``"PAC-Bayes distance"`` :math:`\|w-w^0\|^2/(4s^2)+\log(m/s)+10`, ``"PAC-Bayes norm"`` with
      :math:`\|w\|^2`; ``"magnitude-aware PAC-Bayes distance"`` :math:`\frac14\sum_i\log
      \frac{\varepsilon^2+(s'^2+1)\|w-w^0\|^2/\omega}{\varepsilon^2+s'^2(w_i-w_i^0)^2}
      +\log(m/s')+10`, ``"magnitude-aware PAC-Bayes norm"`` with w for both differences;
    - ``"sum of losses"``, as given.

    Parameters
    ----------
    network : Network
        Without normalizations.
    parameters : dict
        Trained.
    training : Training
        Start and data.
    key : jax.Array
        Random key of the noise.

    Returns
    -------
    dict of str to jax.Array of shape ()
        Larger is meant to predict worse generalization. Where the margin is not
        positive, measures with it are infinite, and where no noise is harmless the search ends at a
        standard deviation of 1e-6.

    Raises
    ------
    ValueError
        If the network has normalizations.

    References
    ----------
    .. [1] Y. Jiang et al., "Fantastic generalization measures and where to find them", ICLR 2020,
       arXiv:1912.02178.

    Examples
    --------
    >>> from overparam.networks.architectures import dense_network
    >>> from overparam.networks.network import initialize
    >>> network = dense_network([4], classes=2, input_shape=(2, 2, 1))
    >>> start = initialize(network, jax.random.key(0))
    >>> x = jax.random.normal(jax.random.key(1), (20, 2, 2, 1))
    >>> y = apply(network, start, x).argmax(1)
    >>> training = Training(start, x, y, jnp.ones(20, bool), jnp.ones(()))
    >>> values = measures(network, start, training, jax.random.key(2))
    >>> float(values["parameters"]), float(values["distance"])
    (30.0, 0.0)
    """
    if any(node.kind == "normalization" for node in network.nodes):
        raise reject("network", network, "must have no normalizations", "Fold them first.")
    now, start = _matrices(network, parameters), _matrices(network, training.initial)
    gamma = margin(network, parameters, training)
    log_margin = jnp.where(gamma > 0, 2 * jnp.log(jnp.maximum(gamma, 1e-30)), -jnp.inf)
    frobenius = jnp.array([jnp.sum(w**2) for w in now])
    moved = jnp.array([jnp.sum((w - v) ** 2) for w, v in zip(now, start, strict=True)])
    spectral = jnp.array([jnp.linalg.norm(w, 2) ** 2 for w in now])
    log_spectral = jnp.log(spectral).sum()
    squares = jax.tree.map(jnp.square, parameters)
    log_path = jnp.log(apply(network, squares, jnp.ones((1, *network.input_shape))).sum())
    values = {
        "parameters": jnp.asarray(float(network.parameter_count)),
        "inverse margin": jnp.exp(-log_margin),
        "norm": frobenius.sum(),
        "distance": moved.sum(),
        "log spectral": log_spectral,
        "log spectral over margin": log_spectral - log_margin,
        "log spectral-Frobenius": log_spectral + jnp.log((moved / spectral).sum()) - log_margin,
        "stable rank": (frobenius / spectral).sum(),
        "log path norm": log_path,
        "log path norm over margin": log_path - log_margin,
        "sum of losses": training.loss_sum,
    }
    return values | _noise_measures(network, parameters, training, key)


def margin(network: Network, parameters: Parameters, training: Training) -> jax.Array:
    """Tenth percentile over the training samples of the right logit minus the best other one.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    training : Training
        Data.

    Returns
    -------
    jax.Array of shape ()
        Positive if nine tenths of the samples are classified correctly.
    """
    logits = apply(network, parameters, training.inputs)
    right = jnp.take_along_axis(logits, training.labels[:, None], 1)[:, 0]
    others = jnp.where(jax.nn.one_hot(training.labels, logits.shape[1]) > 0, -jnp.inf, logits)
    margins = jnp.where(training.used, right - others.max(1), jnp.nan)
    return jnp.nanpercentile(margins, 10)


def input_scales(
    network: Network, parameters: Parameters, training: Training
) -> dict[str, dict[str, jax.Array]]:
    """Root mean square over the training samples of what each weight multiplies.

    The order by the absolute weight times this does not change when an input or hidden unit is
    measured in other units.

    Parameters
    ----------
    network : Network
        The network.
    parameters : dict
        Its parameters.
    training : Training
        Data.

    Returns
    -------
    dict
        In the structure of the parameters: for weights an array that broadcasts against them, for
        other leaves ones.
    """
    outputs = activations(network, parameters, training.inputs)
    share = training.used / training.used.sum()
    scales = jax.tree.map(lambda leaf: jnp.ones((1,) * leaf.ndim, leaf.dtype), parameters)
    for node in network.layers:
        x = outputs[node.inputs[0]] if node.inputs[0] != INPUT else training.inputs
        square = jnp.mean(x.reshape(len(x), -1, x.shape[-1]) ** 2, axis=1)
        scales[node.name]["weight"] = jnp.sqrt(share @ square)[:, None]
    return scales


def _matrices(network: Network, parameters: Parameters) -> list[jax.Array]:
    """Weights as matrices, outputs last; spectral and Frobenius norms do not mind."""
    weights = [parameters[node.name]["weight"] for node in network.layers]
    return [weight.reshape(-1, weight.shape[-1]) for weight in weights]


def _noise_measures(
    network: Network, parameters: Parameters, training: Training, key: jax.Array
) -> dict[str, jax.Array]:
    w, unravel = jax.flatten_util.ravel_pytree(parameters)
    start = jax.flatten_util.ravel_pytree(training.initial)[0]
    m = training.used.sum()
    draws = jax.random.normal(key, (_DRAWS, w.size))

    def accuracy(vector: jax.Array) -> jax.Array:
        classes = apply(network, unravel(vector), training.inputs).argmax(1)
        return jnp.sum((classes == training.labels) * training.used) / m

    def largest(scale: jax.Array, floor: float) -> jax.Array:
        """Bisect log s between 1e-6 and 1e2, for noise of variance (s scale)^2 + floor^2."""
        lowest = accuracy(w) - _ACCURACY_LOST

        def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            middle = (low + high) / 2
            spread = jnp.sqrt(jnp.exp(2 * middle) * scale**2 + floor**2)
            harmless = jax.lax.map(lambda d: accuracy(w + spread * d), draws).mean() >= lowest
            return jnp.where(harmless, middle, low), jnp.where(harmless, high, middle)

        ends = (jnp.log(1e-6), jnp.log(1e2))
        return jnp.exp(jax.lax.fori_loop(0, _BISECTIONS, halve, ends)[0])

    s, aware = largest(jnp.ones_like(w), 0.0), largest(w, NOISE_FLOOR)

    def bound(difference: jax.Array) -> jax.Array:
        return jnp.sum(difference**2) / (4 * s**2) + jnp.log(m / s) + 10

    def aware_bound(difference: jax.Array) -> jax.Array:
        mean = jnp.sum(difference**2) / w.size
        above = NOISE_FLOOR**2 + (aware**2 + 1) * mean
        below = NOISE_FLOOR**2 + aware**2 * difference**2
        return jnp.sum(jnp.log(above / below)) / 4 + jnp.log(m / aware) + 10

    return {
        "flatness": 1 / s**2,
        "magnitude-aware flatness": 1 / aware**2,
        "PAC-Bayes distance": bound(w - start),
        "PAC-Bayes norm": bound(w),
        "magnitude-aware PAC-Bayes distance": aware_bound(w - start),
        "magnitude-aware PAC-Bayes norm": aware_bound(w),
    }
