"""Overparameterized least squares and pruning: exact asymptotics, arrays in, arrays out.

Read the modules in this order: `problem` (the population), `effective_ridge` (the fixed point),
`law` (the theorem), `compressed_spectrum` and `curves` (many sample sizes at once), `exact`
(finite-sample formulas), `least_squares`, `parallel`, `runs`, `simulation` and `width_sweep` (the
experiment), `pruning`, `selection` and `pruned_law` (what pruning does), `retraining`,
`random_features` (nonlinear features), `leave_one_out`, `estimation` and `planning` (from data
alone), `preconditioning` and `natural_gradient` (which interpolator an optimizer finds),
`logistic`, `prunability`, `ranking` and `rank_information` (what prunability says).

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
    from overparam.logistic import LogisticLaw, logistic_fit, logistic_law, pruned_logistic_losses
    from overparam.natural_gradient import (
        best_preconditioner,
        natural_gradient_fit,
        natural_gradient_risk,
        power_preconditioner,
    )
    from overparam.planning import Option, Plan, plan
    from overparam.problem import LinearGaussianProblem
    from overparam.prunability import kept_fraction, law_prunability, measure_prunability
    from overparam.pruned_law import pruned_risk, pruned_risk_monte_carlo, pruned_training_loss
    from overparam.pruning import SiPPRule, prune
    from overparam.random_features import RandomFeatures
    from overparam.rank_information import ConditionalInformation, conditional_mutual_information
    from overparam.ranking import (
        GranulatedKendall,
        SignError,
        bootstrap_models,
        granulated_kendall,
        kendall_tau,
        worst_sign_error,
    )
    from overparam.retraining import retrained_risk
    from overparam.selection import selection_thresholds
    from overparam.simulation import MonteCarlo, simulate
    from overparam.width_sweep import simulate_risks

_HOME = {
    "CompressedSpectrum": "compressed_spectrum",
    "ConditionalInformation": "rank_information",
    "CoordinateLaw": "law",
    "EffectiveRidge": "effective_ridge",
    "GranulatedKendall": "ranking",
    "LinearGaussianProblem": "problem",
    "LogisticLaw": "logistic",
    "MonteCarlo": "simulation",
    "Option": "planning",
    "Plan": "planning",
    "PlugInLaw": "estimation",
    "RandomFeatures": "random_features",
    "RiskCurve": "curves",
    "SiPPRule": "pruning",
    "SignError": "ranking",
    "best_preconditioner": "natural_gradient",
    "bootstrap_models": "ranking",
    "compress_spectrum": "compressed_spectrum",
    "conditional_mutual_information": "rank_information",
    "estimate_law": "estimation",
    "exact_risk": "exact",
    "fit": "least_squares",
    "granulated_kendall": "ranking",
    "kendall_tau": "ranking",
    "kept_fraction": "prunability",
    "law_prunability": "prunability",
    "leave_one_out_errors": "estimation",
    "logistic_fit": "logistic",
    "logistic_law": "logistic",
    "measure_prunability": "prunability",
    "min_norm_law": "law",
    "natural_gradient_fit": "natural_gradient",
    "natural_gradient_risk": "natural_gradient",
    "plan": "planning",
    "power_preconditioner": "natural_gradient",
    "prune": "pruning",
    "pruned_logistic_losses": "logistic",
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
    "worst_sign_error": "ranking",
}

__all__ = [
    "CompressedSpectrum",
    "ConditionalInformation",
    "CoordinateLaw",
    "EffectiveRidge",
    "GranulatedKendall",
    "LinearGaussianProblem",
    "LogisticLaw",
    "MonteCarlo",
    "Option",
    "Plan",
    "PlugInLaw",
    "RandomFeatures",
    "RiskCurve",
    "SiPPRule",
    "SignError",
    "best_preconditioner",
    "bootstrap_models",
    "compress_spectrum",
    "conditional_mutual_information",
    "estimate_law",
    "exact_risk",
    "fit",
    "granulated_kendall",
    "kendall_tau",
    "kept_fraction",
    "law_prunability",
    "leave_one_out_errors",
    "logistic_fit",
    "logistic_law",
    "measure_prunability",
    "min_norm_law",
    "natural_gradient_fit",
    "natural_gradient_risk",
    "plan",
    "power_preconditioner",
    "prune",
    "pruned_logistic_losses",
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
    "worst_sign_error",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module 'overparam' has no attribute {name!r}; it has {', '.join(__all__)}."
        raise AttributeError(msg)
    return getattr(import_module(f"overparam.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
