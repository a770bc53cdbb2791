"""Pruning criteria: from a network, its parameters and data to scores; the highest stay.

`registry` has them all under one name each; `weights`, `gradients`, `second_order` score single
weights, `filters`, `responses` and `thinet` whole filters; `passes`, `curvature` and `quadratic`
are what they share.
"""

from overparam.networks.criteria.registry import (
    CRITERIA,
    Criterion,
    criterion,
    prune_network,
    score,
)

__all__ = ["CRITERIA", "Criterion", "criterion", "prune_network", "score"]
