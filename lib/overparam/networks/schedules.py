"""When to prune: once, in rounds, along a cubic, softly, or with rewinding.

All of them are one loop over the fractions to keep: score, mask, perhaps go back to earlier
weights, train. They differ in the fractions and in what training starts from and may change.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from overparam._validation import count, real_array, reject
from overparam.networks.channels import filter_masks
from overparam.networks.criteria.registry import criterion, score
from overparam.networks.data import Samples
from overparam.networks.masks import apply_masks, weight_masks
from overparam.networks.network import Network, Parameters
from overparam.networks.training import Masks, TrainingPlan, train


def geometric_keeps(keep: float, rounds: int) -> tuple[float, ...]:
    """Return fractions that fall by the same factor in every round: iterative pruning.

    Parameters
    ----------
    keep : float
        The last one, in (0, 1].
    rounds : int
        How many; one is one-shot pruning.

    Returns
    -------
    tuple of float
        The fractions.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> [round(fraction, 3) for fraction in geometric_keeps(0.125, 3)]
    [0.5, 0.25, 0.125]
    """
    steps = count("rounds", rounds)
    final = _fraction("keep", keep)
    return tuple(final ** (step / steps) for step in range(1, steps + 1))


def cubic_keeps(keep: float, rounds: int, start: float = 1.0) -> tuple[float, ...]:
    r"""Return fractions along the cubic of gradual pruning, fast at first and slow at the end.

    After r of R rounds the fraction kept is
    :math:`\alpha_f + (\alpha_0 - \alpha_f)(1 - r/R)^3`.

    Parameters
    ----------
    keep : float
        The last one, :math:`\alpha_f`.
    rounds : int
        R.
    start : float, default 1
        :math:`\alpha_0`.

    Returns
    -------
    tuple of float
        The fractions after 1, ..., R rounds.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
       model compression", arXiv:1710.01878.

    Examples
    --------
    >>> [round(fraction, 4) for fraction in cubic_keeps(0.2, 4)]
    [0.5375, 0.3, 0.2125, 0.2]
    """
    steps = count("rounds", rounds)
    final, first = _fraction("keep", keep), _fraction("start", start)
    return tuple(final + (first - final) * (1 - r / steps) ** 3 for r in range(1, steps + 1))


def prune_and_train(
    name: str,
    network: Network,
    parameters: Parameters,
    samples: Samples,
    keeps: Sequence[float],
    plan: TrainingPlan,
    key: jax.Array,
    *,
    rewind: Parameters | None = None,
    soft: bool = False,
) -> tuple[Parameters, Masks]:
    """Alternate pruning and training.

    Parameters
    ----------
    name : str
        A key of `overparam.networks.criteria.CRITERIA`.
    network : Network
        The network.
    parameters : dict
        Its parameters, usually trained.
    samples : Samples
        To train on, and to score with; scores look at 256 of them at most.
    keeps : sequence of float
        Fractions kept in the rounds; one entry is one-shot pruning, see `geometric_keeps` and
        `cubic_keeps`.
    plan : TrainingPlan
        Of every round.
    key : jax.Array
        Random key.
    rewind : dict, optional
        Parameters to which what is kept goes back before each training: the lottery ticket.
    soft : bool, default False
        Whether what was set to zero may grow again, until it is zeroed for good after the last
        round.

    Returns
    -------
    tuple of dict
        Parameters and masks.

    Raises
    ------
    ValueError
        As `overparam.networks.criteria.score`, or if `keeps` is empty or leaves (0, 1].
    """
    fractions = real_array("keeps", keeps, (1,)).tolist()
    for fraction in fractions:
        _fraction("keeps", fraction)
    few = samples.take(slice(0, 256))
    masks = jax.tree.map(jnp.ones_like, parameters)
    for index, keep in enumerate(fractions):
        step = jax.random.fold_in(key, index)
        masks = _choose(name, network, parameters, keep, few, step, None if soft else masks)
        start = apply_masks(parameters if rewind is None else rewind, masks)
        free = None if soft else masks
        parameters = train(network, start, samples, plan, step, masks=free).parameters
    if soft:
        masks = _choose(name, network, parameters, fractions[-1], few, key, None)
    return apply_masks(parameters, masks), masks


def _choose(
    name: str,
    network: Network,
    parameters: Parameters,
    keep: float,
    samples: Samples,
    key: jax.Array,
    before: Masks | None,
) -> Masks:
    """Mask by the criterion; what was masked before comes last."""
    rule = criterion(name)
    scores = score(name, network, parameters, samples, key)
    if rule.structure == "filter":
        return filter_masks(network, parameters, scores, keep, rule.scope)
    if before is not None:
        worst = min(float(array.min()) for array in scores.values()) - 1
        scores = {
            layer: jnp.where(before[layer]["weight"] > 0, array, worst)
            for layer, array in scores.items()
        }
    return weight_masks(network, parameters, scores, keep, rule.scope)


def _fraction(name: str, value: float) -> float:
    if not 0 < value <= 1:
        raise reject(name, value, "must be in (0, 1]", "Pass a fraction to keep.")
    return float(value)
