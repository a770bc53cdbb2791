"""Overparameterized least squares and pruning: exact asymptotics, arrays in, arrays out.

Read the modules in this order: `problem` (the population), `effective_ridge` (the fixed point),
`law` (the theorem), `compressed_spectrum` and `curves` (many sample sizes at once), `exact`
(finite-sample formulas), `least_squares`, `simulation` and `width_sweep` (the experiment),
`pruning`, `selection` and `pruned_law` (what pruning does), `retraining`, `random_features`
(nonlinear features), `estimation` and `planning` (from data alone).

Names are imported on first use (PEP 562), so a program loads only the modules it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overparam.compressed_spectrum import CompressedSpectrum, compress_spectrum
    from overparam.curves import RiskCurve, risk_curve
    from overparam.effective_ridge import EffectiveRidge, solve_effective_ridge
    from overparam.estimation import PlugInLaw, estimate_law, leave_one_out_errors
    from overparam.exact import exact_risk
    from overparam.law import CoordinateLaw, min_norm_law, ridge_law
    from overparam.least_squares import fit
    from overparam.planning import Option, Plan, plan
    from overparam.problem import LinearGaussianProblem
    from overparam.pruned_law import pruned_risk, pruned_risk_monte_carlo, pruned_training_loss
    from overparam.pruning import SiPPRule, prune
    from overparam.random_features import RandomFeatures
    from overparam.retraining import retrained_risk
    from overparam.selection import selection_thresholds
    from overparam.simulation import MonteCarlo, simulate
    from overparam.width_sweep import simulate_risks

_HOME = {
    "CompressedSpectrum": "compressed_spectrum",
    "CoordinateLaw": "law",
    "EffectiveRidge": "effective_ridge",
    "LinearGaussianProblem": "problem",
    "MonteCarlo": "simulation",
    "Option": "planning",
    "Plan": "planning",
    "PlugInLaw": "estimation",
    "RandomFeatures": "random_features",
    "RiskCurve": "curves",
    "SiPPRule": "pruning",
    "compress_spectrum": "compressed_spectrum",
    "estimate_law": "estimation",
    "exact_risk": "exact",
    "fit": "least_squares",
    "leave_one_out_errors": "estimation",
    "min_norm_law": "law",
    "plan": "planning",
    "prune": "pruning",
    "pruned_risk": "pruned_law",
    "pruned_risk_monte_carlo": "pruned_law",
    "pruned_training_loss": "pruned_law",
    "retrained_risk": "retraining",
    "ridge_law": "law",
    "risk_curve": "curves",
    "selection_thresholds": "selection",
    "simulate": "simulation",
    "simulate_risks": "width_sweep",
    "solve_effective_ridge": "effective_ridge",
}

__all__ = [
    "CompressedSpectrum",
    "CoordinateLaw",
    "EffectiveRidge",
    "LinearGaussianProblem",
    "MonteCarlo",
    "Option",
    "Plan",
    "PlugInLaw",
    "RandomFeatures",
    "RiskCurve",
    "SiPPRule",
    "compress_spectrum",
    "estimate_law",
    "exact_risk",
    "fit",
    "leave_one_out_errors",
    "min_norm_law",
    "plan",
    "prune",
    "pruned_risk",
    "pruned_risk_monte_carlo",
    "pruned_training_loss",
    "retrained_risk",
    "ridge_law",
    "risk_curve",
    "selection_thresholds",
    "simulate",
    "simulate_risks",
    "solve_effective_ridge",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module 'overparam' has no attribute {name!r}; it has {', '.join(__all__)}."
        raise AttributeError(msg)
    return getattr(import_module(f"overparam.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
