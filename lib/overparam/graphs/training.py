"""Training of a graph convolutional network: a whole run is one compiled scan."""

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from overparam._validation import count, nonnegative_number, reject
from overparam.graphs.convolution import Network, Parameters, initialize
from overparam.graphs.fisher import Factors, Scaling, Spectrum, factors, precondition


@dataclass(frozen=True)
class Settings:
    r"""All of a run but its graph and its seed.

    Attributes
    ----------
    optimizer : {"adam", "sgd"}
        SGD has momentum 0.9.
    scaling : {"none", "public", "input", "per-node"}
        The preconditioner, see `overparam.graphs.fisher.factors`.
    decay : {"after", "before", "decoupled"}
        Whether `weight_decay` times the weights is added to the gradient after or before it is
        preconditioned, or taken off the weights directly, times the learning rate.
    damping : float
        :math:`\epsilon` of the preconditioner.
    pseudo_power : float or None
        :math:`g` in :math:`\lambda = (t/T)^g`, the weight of pseudo-labelled nodes at epoch t of T;
        None for none.
    learning_rate, weight_decay : float
        As usual.
    epochs, refresh, hidden : int
        Epochs, epochs between refreshes of the preconditioner, hidden units.
    dropout : float
        Fraction of hidden units that is dropped.

    Raises
    ------
    ValueError
        If a name is unknown or a number out of range.

    Examples
    --------
    >>> Settings(optimizer="sgd", scaling="public").damping
    0.01
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    scaling: Literal["none"] | Scaling = "none"
    decay: Literal["after", "before", "decoupled"] = "after"
    damping: float = 0.01
    pseudo_power: float | None = None
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    epochs: int = 200
    refresh: int = 50
    hidden: int = 16
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name, allowed in (
            ("optimizer", ("adam", "sgd")),
            ("scaling", ("none", "public", "input", "per-node")),
            ("decay", ("after", "before", "decoupled")),
        ):
            if getattr(self, name) not in allowed:
                rule = f"must be one of {', '.join(allowed)}"
                raise reject(name, getattr(self, name), rule, "Pass one of these.")
        for name in ("epochs", "refresh", "hidden"):
            count(name, getattr(self, name))
        for name in ("learning_rate", "weight_decay", "pseudo_power"):
            nonnegative_number(name, getattr(self, name) or 0.0)
        if nonnegative_number("damping", self.damping) == 0:
            raise reject("damping", self.damping, "must be positive", "Pass 0.01, for example.")
        if nonnegative_number("dropout", self.dropout) >= 1:
            raise reject("dropout", self.dropout, "must be below 1", "Pass 0.5, for example.")


@dataclass(frozen=True, eq=False)
class Training:
    """What a run did.

    Attributes
    ----------
    train_loss, validation_loss : ndarray of shape (epochs,)
        Mean negative log-likelihood after each epoch, without dropout or decay.
    train_accuracy, validation_accuracy, test_accuracy : ndarray of shape (epochs,)
        Fractions of nodes predicted correctly after each epoch.
    parameters : Parameters
        After the last epoch.
    selected : int
        The epoch, counted from zero, of lowest validation loss.
    """

    train_loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    validation_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    parameters: Parameters

    @property
    def selected(self) -> int:
        """The epoch of lowest validation loss."""
        return int(np.nanargmin(self.validation_loss))


class Scores(NamedTuple):
    """Losses and accuracies of one set of weights.

    Attributes
    ----------
    train_loss, validation_loss, train_accuracy, validation_accuracy, test_accuracy : jax.Array
        As in `Training`.
    """

    train_loss: jax.Array
    validation_loss: jax.Array
    train_accuracy: jax.Array
    validation_accuracy: jax.Array
    test_accuracy: jax.Array


class _Rates(NamedTuple):
    """Numbers that are not compiled into a run: compiling takes longer than running."""

    learning_rate: jax.Array
    decay_before: jax.Array
    decay_after: jax.Array
    decay_decoupled: jax.Array
    root_damping: jax.Array
    pseudo: jax.Array  # 1 if pseudo-labelled nodes count, else 0
    power: jax.Array
    per_node: jax.Array  # 1 for this scaling, else 0
    output: jax.Array  # 1 if the output factor counts, 0 if it is left out


def train(
    network: Network,
    settings: Settings,
    seed: int,
    *,
    spectrum: Spectrum | None = None,
    start: Parameters | None = None,
    masks: Parameters | None = None,
) -> Training:
    """Train from one seed.

    Parameters
    ----------
    network : Network
        The graph with a split.
    settings : Settings
        Everything else. Runs of one optimizer, all with or all without a preconditioner, share one
        compilation unless `epochs`, `refresh`, `hidden` or `dropout` differ.
    seed : int
        Of initial weights and dropout: runs of the same seed have these in common, whatever their
        settings, and can be compared in pairs.
    spectrum : Spectrum, optional
        See `first_layer_spectrum`; needed with a preconditioner.
    start : Parameters, optional
        Weights to begin with instead of random ones.
    masks : Parameters, optional
        Zero where a weight is removed: it is set to zero and stays there.

    Returns
    -------
    Training
        The run.

    Raises
    ------
    ValueError
        If there is a preconditioner and no `spectrum`.

    Examples
    --------
    >>> from overparam.graphs import load_karate_club
    >>> network = Network.of(load_karate_club(), "public")
    >>> run = train(network, Settings(epochs=20), seed=0)
    >>> bool(run.train_loss[-1] < run.train_loss[0])
    True
    """
    count("seed", seed, minimum=0)
    if settings.scaling != "none" and spectrum is None:
        way_out = "Pass first_layer_spectrum(graph)."
        raise reject("spectrum", spectrum, "is needed with a preconditioner", way_out)
    if start is None:
        key = jax.random.fold_in(jax.random.key(seed), 0)
        start = initialize(key, network.width, settings.hidden, network.classes)
    if masks is None:
        masks = jax.tree.map(jnp.ones_like, start)
    numbers = (
        settings.learning_rate,
        *(
            settings.weight_decay * (settings.decay == kind)
            for kind in ("before", "after", "decoupled")
        ),
        settings.damping**0.5,
        settings.pseudo_power is not None,
        settings.pseudo_power or 0.0,
        settings.scaling == "per-node",
        settings.scaling != "input",
    )
    rates = _Rates(*(jnp.asarray(number, dtype=float) for number in numbers))
    form = (settings.optimizer, settings.scaling != "none")
    sizes = (settings.epochs, settings.refresh, settings.dropout)
    scores, parameters = _run(
        network, rates, jax.random.key(seed), spectrum, start, masks, form, sizes
    )
    curves = {name: np.asarray(curve, dtype=np.float64) for name, curve in scores._asdict().items()}
    return Training(parameters=parameters, **curves)


def score(network: Network, logits: jax.Array) -> Scores:
    """Losses and accuracies of logits.

    Parameters
    ----------
    network : Network
        The graph with a split.
    logits : jax.Array of shape (N, classes)
        Without dropout.

    Returns
    -------
    Scores
        Means over the nodes of each part.
    """
    truth = jnp.maximum(network.labels, 0)  # An unknown label is in no part.
    loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), truth[:, None], axis=1)[:, 0]
    right = jnp.asarray(jnp.argmax(logits, axis=1) == network.labels, dtype=float)

    def mean(values: jax.Array, part: jax.Array) -> jax.Array:
        return values @ part / jnp.sum(part)

    return Scores(
        mean(loss, network.train),
        mean(loss, network.validation),
        mean(right, network.train),
        mean(right, network.validation),
        mean(right, network.test),
    )


@partial(jax.jit, static_argnames=("form", "sizes"))
def _run(
    network: Network,
    rates: _Rates,
    key: jax.Array,
    spectrum: Spectrum | None,
    start: Parameters,
    masks: Parameters,
    form: tuple[str, bool],
    sizes: tuple[int, int, float],
) -> tuple[Scores, Parameters]:
    optimizer, preconditioned = form
    epochs, refresh, dropout = sizes
    rule = optax.scale_by_adam() if optimizer == "adam" else optax.trace(decay=0.9)
    parameters = jax.tree.map(jnp.multiply, start, masks)

    def step(carry: tuple, epoch: jax.Array) -> tuple:  # type: ignore[type-arg]
        parameters, state, held = carry
        kept_key, label_key = jax.random.split(jax.random.fold_in(key, epoch))
        weight = rates.pseudo * (epoch / epochs) ** rates.power
        # The sums of the hidden units, which dropout does not touch, serve for the scores after
        # the epoch before as well, and both kinds of logits share one propagation.
        sums = network.first_sums(parameters)
        rectified = jax.nn.relu(sums)
        kept = jax.random.bernoulli(kept_key, 1 - dropout, sums.shape) / (1 - dropout)
        hidden = rectified * kept
        before, logits = network.second_sums(jnp.stack([rectified, hidden]), parameters)

        def backward(labels: jax.Array, weights: jax.Array):  # type: ignore[no-untyped-def] # noqa: ANN202
            wrong = jax.nn.softmax(logits) - jax.nn.one_hot(labels, network.classes)
            return network.backward(parameters, sums, hidden, kept, weights[:, None] * wrong)

        shares = network.node_weights(weight)
        back = backward(network.targets(logits), shares)

        def renewed() -> Factors:
            drawn = jax.random.categorical(label_key, logits)
            source = backward(drawn, jnp.sqrt(shares))
            source = jax.tree.map(
                lambda ours, loss: jnp.where(rates.per_node > 0, ours, loss), source, back
            )
            return factors(
                network, rates.per_node, rates.output, rates.root_damping, weight, hidden, source
            )

        def decayed(direction: Parameters, rate: jax.Array) -> Parameters:
            return jax.tree.map(lambda d, w: d + rate * w, direction, parameters)

        direction = decayed(back.gradient, rates.decay_before)
        if preconditioned and spectrum is not None:
            held = jax.lax.cond((epoch - 1) % refresh == 0, renewed, lambda: held)
            direction = precondition(spectrum, held, direction, rates.root_damping)
        direction = decayed(direction, rates.decay_after)
        direction, state = rule.update(direction, state)
        direction = decayed(direction, rates.decay_decoupled)
        parameters = jax.tree.map(
            lambda w, d, m: (w - rates.learning_rate * d) * m, parameters, direction, masks
        )
        return (parameters, state, held), score(network, before)

    hidden_units, classes = parameters.second.shape[0] - 1, network.classes
    held = Factors(
        jnp.zeros(()),
        jnp.eye(hidden_units),
        jnp.eye(hidden_units + 1),
        jnp.eye(classes),
    )
    carry = (parameters, rule.init(parameters), held)
    scores: Scores
    (parameters, _, _), scores = jax.lax.scan(step, carry, jnp.arange(1, epochs + 1))
    rectified = jax.nn.relu(network.first_sums(parameters))
    last = score(network, network.second_sums(rectified, parameters))
    shifted: Scores = jax.tree.map(lambda old, new: jnp.append(old[1:], new), scores, last)
    return shifted, parameters
