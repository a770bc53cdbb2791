"""Overparameterized least squares and pruning: exact asymptotics, arrays in, arrays out.

Read the modules in this order: `problem` (the population), `effective_ridge` (the fixed point),
`law` (the theorem), `compressed_spectrum` and `curves` (many sample sizes at once), `exact`
(finite-sample formulas), `least_squares`, `simulation` and `width_sweep` (the experiment).

Names are imported on first use (PEP 562), so a program loads only the modules it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overparam.compressed_spectrum import CompressedSpectrum, compress_spectrum
    from overparam.curves import RiskCurve, risk_curve
    from overparam.effective_ridge import EffectiveRidge, solve_effective_ridge
    from overparam.exact import exact_risk
    from overparam.law import CoordinateLaw, min_norm_law, ridge_law
    from overparam.least_squares import fit
    from overparam.problem import LinearGaussianProblem
    from overparam.simulation import MonteCarlo, simulate
    from overparam.width_sweep import simulate_risks

_HOME = {
    "CompressedSpectrum": "compressed_spectrum",
    "CoordinateLaw": "law",
    "EffectiveRidge": "effective_ridge",
    "LinearGaussianProblem": "problem",
    "MonteCarlo": "simulation",
    "RiskCurve": "curves",
    "compress_spectrum": "compressed_spectrum",
    "exact_risk": "exact",
    "fit": "least_squares",
    "min_norm_law": "law",
    "ridge_law": "law",
    "risk_curve": "curves",
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
    "RiskCurve",
    "compress_spectrum",
    "exact_risk",
    "fit",
    "min_norm_law",
    "ridge_law",
    "risk_curve",
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
