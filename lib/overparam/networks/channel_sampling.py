r"""Draws of channels: how many a relative error needs, which come out, and what they weigh.

With sensitivities :math:`s_j` of total S, drawing

.. math:: m \ge \frac{6 + 2\varepsilon}{3\varepsilon^2}\,K\,S\,\log\frac{2\eta}{\delta}

channels with replacement, j with probability :math:`q_j = s_j / S`, and multiplying what reads
channel j by (times drawn) :math:`/ (m q_j)`, changes none of :math:`\eta` sums by more than the
factor :math:`1 \pm \varepsilon`, with probability :math:`1 - \delta`, on every input on which no
share exceeds K times its sensitivity.
"""

from math import ceil, log
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from overparam._validation import count, real_array, reject

Array: TypeAlias = NDArray[np.float64]
Variant = Literal["deterministic", "sampled", "mixed"]


def draws_per_sensitivity(
    level: float, number: int, failure: float = 0.01, spread: float = 3.0
) -> float:
    r"""Sample size per unit of total sensitivity that keeps sums within one plus or minus a level.

    Parameters
    ----------
    level : float
        Relative error :math:`\varepsilon > 0`; above 1 it says nothing about signs.
    number : int
        How many sums :math:`\eta` must come out right at once.
    failure : float, default 0.01
        Probability :math:`\delta` that one of them does not, in (0, 1).
    spread : float, default 3.0
        The factor K by which a share may exceed its sensitivity, at least 1.

    Returns
    -------
    float
        :math:`(6 + 2\varepsilon) K \log(2\eta/\delta) / (3\varepsilon^2)`.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> round(draws_per_sensitivity(0.5, 20))
    232
    """
    for name, value in (("level", level), ("failure", failure)):
        if not float(real_array(name, value, (0,))) > 0:
            raise reject(name, value, "must be positive", "Pass a number above 0.")
    if not failure < 1:
        raise reject("failure", failure, "must be below 1", "Pass a probability such as 0.01.")
    if not float(real_array("spread", spread, (0,))) >= 1:
        raise reject("spread", spread, "must be at least 1", "Pass a factor such as 3.")
    tail = log(2 * count("number", number) / failure)
    return (6 + 2 * level) / (3 * level * level) * spread * tail


class ChannelDraw(NamedTuple):
    """What one group of channels is left with.

    Attributes
    ----------
    factors : ndarray of shape (size,)
        What the weights that read a channel are multiplied by; zero if it goes.
    draws : int
        How many channels were drawn; for the deterministic variant, would have been.
    """

    factors: Array
    draws: int


class Luck(NamedTuple):
    """Random numbers of one group, drawn once: at a lower level more of the same is drawn.

    Attributes
    ----------
    races : ndarray of shape (size,)
        Exponential variables; divided by the sensitivities, the order of first appearance.
    waits : ndarray of shape (size,)
        Uniform variables, for the time that passes until the next new channel.
    seed : int
        For how often channels are drawn again.
    """

    races: Array
    waits: Array
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int) -> "Luck":
        """Draw these numbers.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        size : int
            Channels.

        Returns
        -------
        Luck
            The numbers.
        """
        seed = int(rng.integers(1 << 62))
        return cls(rng.exponential(size=size), 1 - rng.random(size), seed)


def choose_channels(
    sensitivities: Array, per_sensitivity: float, variant: Variant, luck: Luck | None = None
) -> ChannelDraw:
    r"""Keep some channels of one group.

    Parameters
    ----------
    sensitivities : ndarray of shape (size,)
        Not negative, not all zero.
    per_sensitivity : float
        :math:`c`, from `draws_per_sensitivity`; :math:`m = \lceil cS \rceil` are drawn.
    variant : str
        ``"sampled"``: draws with replacement, :math:`q_j = s_j/S`, factors
        :math:`n_j / (m q_j)`. ``"mixed"``: channels with :math:`c s_j \ge 1`, which is
        :math:`q_j \ge 1/m`, stay as they are; the others are drawn by what remains of the total.
        ``"deterministic"``: those of highest sensitivity, as many as the sampled variant is
        expected to have different ones, rounded up; factors 1.
    luck : Luck, optional
        For the last two.

    Returns
    -------
    ChannelDraw
        Factors and draws.
    """
    total = float(sensitivities.sum())
    draws = max(1, ceil(per_sensitivity * total))
    if variant == "deterministic":
        with np.errstate(divide="ignore"):
            expected = -np.expm1(draws * np.log1p(-sensitivities / total)).sum()
        number = min(ceil(expected - 1e-9), np.count_nonzero(sensitivities))
        factors = np.zeros(sensitivities.size)
        factors[np.argsort(-sensitivities, kind="stable")[:number]] = 1
        return ChannelDraw(factors, draws)
    if luck is None:
        raise reject("luck", luck, f"must be given for the {variant} variant", "Use Luck.draw.")
    sure = (per_sensitivity * sensitivities >= 1) & (variant == "mixed")
    rest = np.where(sure, 0, sensitivities)
    left = float(rest.sum())
    if left == 0:  # nothing to draw from, and zero divided by zero if one tried
        return ChannelDraw(sure.astype(float), 0)
    draws = max(1, ceil(per_sensitivity * left))
    drawn = multinomial(rest / left, draws, luck)
    expected_counts = draws * rest / left
    factors = np.divide(drawn, expected_counts, out=np.zeros(rest.size), where=drawn > 0)
    return ChannelDraw(np.where(sure, 1, factors), draws)


def multinomial(probabilities: Array, draws: int, luck: Luck) -> Array:
    """Count independent draws, such that more draws from the same luck only add channels.

    The order in which channels appear for the first time is a race of exponential variables, and
    the time between two first appearances is geometric; the other draws of that time fall on the
    channels that have appeared. The law of the counts is multinomial, for any number of draws.

    Parameters
    ----------
    probabilities : ndarray of shape (size,)
        They sum to 1; zeros are never drawn.
    draws : int
        How many.
    luck : Luck
        The random numbers.

    Returns
    -------
    ndarray of shape (size,)
        Counts.

    Examples
    --------
    >>> luck = Luck.draw(np.random.default_rng(1), 3)
    >>> half = np.array([0.5, 0.5, 0.0])
    >>> multinomial(half, 1, luck), multinomial(half, 1000, luck)
    (array([1., 0., 0.]), array([472., 528.,   0.]))
    """
    live = np.flatnonzero(probabilities)
    order = live[np.argsort(luck.races[live] / probabilities[live], kind="stable")]
    weights = probabilities[order]
    unseen = np.append(weights[::-1].cumsum()[::-1][1:], 0.0)
    counts = np.zeros(probabilities.size)
    rng = np.random.default_rng(luck.seed)
    time = 1.0
    for seen, (channel, rest) in enumerate(zip(order, unseen, strict=True), start=1):
        counts[channel] += 1
        # A failure is to see a known channel again.
        wait = 1 + np.floor(np.log(luck.waits[seen - 1]) / np.log1p(-rest)) if rest > 0 else np.inf
        again = min(time + wait - 1, draws) - time
        if again > 0:
            known = weights[:seen] / weights[:seen].sum()
            counts[order[:seen]] += rng.multinomial(int(again), known)
        time += wait
        if time > draws:
            break
    return counts
