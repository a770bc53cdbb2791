"""All criteria under one name each: what is scored, what it needs, who proposed it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import jax

from overparam._validation import reject
from overparam.networks.channels import filter_masks
from overparam.networks.checks import check_parameters
from overparam.networks.criteria import (
    filters,
    gradients,
    responses,
    second_order,
    thinet,
    weights,
)
from overparam.networks.data import Samples
from overparam.networks.masks import Scope, Scores, apply_masks, weight_masks
from overparam.networks.network import Network, Parameters
from overparam.networks.training import Masks

ScoreFunction: TypeAlias = Callable[[Network, Parameters, Samples | None, jax.Array | None], Scores]
Update: TypeAlias = Callable[[Network, Parameters, Masks, Samples], Parameters]


@dataclass(frozen=True)
class Criterion:
    """A rule that says how much a weight or filter is worth.

    Attributes
    ----------
    name : str
        Its name in `CRITERIA`.
    structure : str
        ``"weight"`` or ``"filter"``: what is scored.
    function : callable
        ``function(network, parameters, samples, key)`` returns scores; the highest stay.
    scope : str
        Which scores its authors compare: ``"global"``, ``"layer"`` or ``"row"``.
    needs : str
        What it looks at: ``"weights"`` alone, also ``"data"``, also the ``"gradient"`` of the loss,
        or its ``"curvature"``.
    source : str
        Author and year.
    update : callable, optional
        ``update(network, parameters, masks, samples)`` adjusts what is kept to the removal.
    """

    name: str
    structure: Literal["weight", "filter"]
    function: ScoreFunction
    scope: Scope
    needs: Literal["weights", "data", "gradient", "curvature"]
    source: str
    update: Update | None = None


CRITERIA: dict[str, Criterion] = {
    rule.name: rule
    for rule in (
        Criterion("random", "weight", weights.random_scores, "global", "weights", ""),
        Criterion("magnitude", "weight", weights.magnitude, "global", "weights", "Han 2015"),
        Criterion("magnitude-layer", "weight", weights.magnitude, "layer", "weights", "Han 2015"),
        Criterion("wanda", "weight", weights.wanda, "row", "data", "Sun 2024"),
        Criterion("snip", "weight", gradients.snip, "global", "gradient", "Lee 2019"),
        Criterion("taylor", "weight", gradients.taylor, "global", "gradient", "Molchanov 2019"),
        Criterion("fisher", "weight", gradients.fisher, "global", "gradient", "Theis 2018"),
        Criterion("obd", "weight", second_order.obd, "global", "curvature", "LeCun 1989"),
        Criterion(
            "obd-exact", "weight", second_order.obd_exact, "global", "curvature", "LeCun 1989"
        ),
        Criterion(
            "obs",
            "weight",
            second_order.obs,
            "global",
            "curvature",
            "Hassibi 1992",
            second_order.obs_update,
        ),
        Criterion(
            "layer-obs",
            "weight",
            second_order.layer_obs,
            "layer",
            "data",
            "Dong 2017",
            second_order.layer_obs_update,
        ),
        Criterion("filter-random", "filter", filters.filter_random, "layer", "weights", ""),
        Criterion(
            "filter-l1", "filter", partial(filters.filter_norm, 1), "layer", "weights", "Li 2017"
        ),
        Criterion(
            "filter-l2", "filter", partial(filters.filter_norm, 2), "layer", "weights", "Li 2017"
        ),
        Criterion(
            "geometric-median", "filter", filters.geometric_median, "layer", "weights", "He 2019"
        ),
        Criterion(
            "normalization-scale",
            "filter",
            filters.normalization_scale,
            "global",
            "weights",
            "Liu 2017",
        ),
        Criterion("apoz", "filter", responses.apoz, "layer", "data", "Hu 2016"),
        Criterion(
            "activation-mean",
            "filter",
            responses.activation_mean,
            "layer",
            "data",
            "Molchanov 2017",
        ),
        Criterion(
            "thinet", "filter", thinet.thinet, "layer", "data", "Luo 2017", thinet.thinet_update
        ),
        Criterion(
            "channel-taylor",
            "filter",
            responses.channel_taylor,
            "global",
            "gradient",
            "Molchanov 2017",
        ),
        Criterion(
            "filter-taylor",
            "filter",
            responses.filter_taylor,
            "global",
            "gradient",
            "Molchanov 2019",
        ),
        Criterion(
            "channel-fisher", "filter", responses.channel_fisher, "global", "gradient", "Theis 2018"
        ),
    )
}
"""From names to criteria, weights before filters."""


def criterion(name: str) -> Criterion:
    """Return the criterion of this name.

    Parameters
    ----------
    name : str
        A key of `CRITERIA`.

    Returns
    -------
    Criterion
        The criterion.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> criterion("obd").source
    'LeCun 1989'
    """
    if name not in CRITERIA:
        known = ", ".join(CRITERIA)
        raise reject("name", name, f"must be one of {known}", "Pass one of these.")
    return CRITERIA[name]


def score(
    name: str,
    network: Network,
    parameters: Parameters,
    samples: Samples | None = None,
    key: jax.Array | None = None,
) -> Scores:
    """Score every weight or filter of a network.

    Parameters
    ----------
    name : str
        A key of `CRITERIA`.
    network : Network
        The network.
    parameters : dict
        Its parameters.
    samples : Samples, optional
        For criteria that look at data.
    key : jax.Array, optional
        Random key, for the random scores.

    Returns
    -------
    dict
        From layers to arrays of the shape of their weights, or from channel groups to arrays with
        one score for each channel; high scores are to be kept.

    Raises
    ------
    ValueError
        If there is no such criterion, parameters or samples do not fit the network or are not
        finite, or the criterion needs what the network or the call does not have.

    Examples
    --------
    >>> from overparam.networks.architectures import small_cnn
    >>> from overparam.networks.network import initialize
    >>> network = small_cnn()
    >>> parameters = initialize(network, jax.random.key(0))
    >>> {group: scores.shape for group, scores in score("filter-l1", network, parameters).items()}
    {'conv1': (8,), 'conv2': (16,)}
    """
    function = criterion(name).function
    check_parameters(network, parameters)
    return function(network, parameters, samples, key)


def prune_network(
    name: str,
    network: Network,
    parameters: Parameters,
    keep: float,
    samples: Samples | None = None,
    key: jax.Array | None = None,
    *,
    scope: Scope | None = None,
    update: bool = True,
) -> tuple[Parameters, Masks]:
    """Score, mask, and let the criterion adjust what is left where it has a way to.

    Parameters
    ----------
    name : str
        A key of `CRITERIA`.
    network : Network
        The network.
    parameters : dict
        Its parameters.
    keep : float
        Fraction of the weights or filters to keep, in (0, 1].
    samples : Samples, optional
        For criteria that look at data.
    key : jax.Array, optional
        Random key, for the random scores.
    scope : str, optional
        Which scores to compare; by default as the authors of the criterion do.
    update : bool, default True
        Whether to adjust.

    Returns
    -------
    tuple of dict
        New parameters, and masks in their structure.

    Raises
    ------
    ValueError
        As `score`; if `keep` is outside (0, 1], or a layer would lose its last filter.

    Examples
    --------
    >>> from overparam.networks.architectures import small_cnn
    >>> from overparam.networks.masks import density
    >>> from overparam.networks.network import initialize
    >>> network = small_cnn()
    >>> parameters = initialize(network, jax.random.key(0))
    >>> _, masks = prune_network("magnitude", network, parameters, 0.25)
    >>> density(masks)
    0.25
    """
    rule = criterion(name)
    scores = score(name, network, parameters, samples, key)
    choose = weight_masks if rule.structure == "weight" else filter_masks
    masks = choose(network, parameters, scores, keep, scope or rule.scope)
    if update and rule.update is not None and samples is not None:
        return rule.update(network, parameters, masks, samples), masks
    return apply_masks(parameters, masks), masks
