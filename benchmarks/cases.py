"""The measurements: each is one task, with its base, its routes, and the bars that must be kept."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import peers
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm
from sklearn.linear_model import LinearRegression, RidgeCV
from timing import cpu_seconds, interleaved

from overparam import (
    LinearGaussianProblem,
    compress_spectrum,
    leave_one_out_errors,
    min_norm_law,
    pruned_risk,
    risk_curve,
    selection_thresholds,
    simulate_risks,
    solve_effective_ridge,
)
from overparam.effective_ridge import BLOCK
from overparam.width_sweep import fit_widths

Array = NDArray[np.float64]
Task = dict[str, Any]
Route = Callable[[], object]
REPEATS = 9
NOISE = 0.1


def tasks() -> list[Task]:
    """Return all measurements, the large ones last."""
    return [
        *({"case": "prediction", "p": p} for p in (1000, 10_000, 100_000, 1_000_000)),
        *({"case": "curve", "p": p, "points": 50} for p in (1000, 10_000, 100_000, 1_000_000)),
        *({"case": "pruning", "p": p, "keep": 0.1} for p in (10_000, 100_000, 1_000_000)),
        {"case": "widths", "n": 300, "widths": 40, "largest": 3000},
        *({"case": "samples", "n": n, "widths": 20} for n in (50, 100, 200, 400)),
        *({"case": "replicates", "n": 200, "replicates": r} for r in (4, 8, 16, 32)),
        {"case": "leave-one-out", "n": 200, "p": 400},
    ]


def measure(task: Task) -> dict[str, Any]:
    """Run one task: the base and, by name, seconds, ratios, errors and what must hold."""
    options = {key: value for key, value in task.items() if key != "case"}
    case: Callable[..., dict[str, Any]] = globals()[f"_{task['case'].replace('-', '_')}"]
    return case(**options)


def _table(
    base: Route, routes: dict[str, Route], notes: dict[str, dict[str, float]], name: str
) -> dict[str, Any]:
    measured = interleaved(base, routes, REPEATS)
    rows = {
        route: {key: float(f"{value:.4g}") for key, value in vars(times).items()}
        for route, times in measured.items()
    }
    for route, extra in notes.items():
        rows[route] |= extra
    return {"base": name, "base seconds": float(f"{cpu_seconds(base, 0.01):.4g}"), "rows": rows}


def _power_law(p: int) -> LinearGaussianProblem:
    return LinearGaussianProblem(1 / np.arange(1.0, p + 1), np.full(p, p**-0.5), NOISE)


def _prediction(p: int) -> dict[str, Any]:
    problem, n = _power_law(p), p // 10
    variances, saliency = problem.variances, problem.saliency
    solved = solve_effective_ridge(variances, n)
    law = min_norm_law(problem, n)
    routes: dict[str, Route] = {
        "one sweep": lambda: np.sum(variances / (variances + solved.value)),
        "solve_effective_ridge": lambda: solve_effective_ridge(variances, n),
        "min_norm_law": lambda: min_norm_law(problem, n),
    }
    notes: dict[str, dict[str, float]] = {
        "solve_effective_ridge": {"sweeps": solved.sweeps, "sweeps at most": 6},
    }
    if p >= 100_000:
        notes["min_norm_law"] = {"ratio at most": 70.0 if p == 100_000 else 60.0}
    for peer in (
        peers.brentq_in_log_ridge,
        peers.brentq_in_xi,
        peers.bisection_like_eigenlearning,
        peers.state_evolution_like_gcm,
    ):
        name = peer.__name__.replace("_", " ")
        routes[name] = partial(peer, variances, saliency, NOISE, n)
        risk = peer(variances, saliency, NOISE, n)[1]
        notes[name] = {
            "error": float(f"{abs(risk / law.risk - 1):.1e}"),
            "times min_norm_law at least": 1.0,
        }
    return _table(variances.sum, routes, notes, "np.sum of the spectrum")


def _curve(p: int, points: int) -> dict[str, Any]:
    problem = _power_law(p)
    ns = np.unique(np.linspace(p // 100, 0.98 * p, points).astype(int))
    small = compress_spectrum(problem.variances, problem.saliency)
    arguments = problem.variances, problem.saliency, NOISE
    routes: dict[str, Route] = {
        "risk_curve": lambda: risk_curve(problem, ns),
        "risk_curve, compressed": lambda: risk_curve(small, ns, noise_variance=NOISE),
        "brentq at every point": lambda: [
            peers.brentq_in_log_ridge(*arguments, int(n)) for n in ns
        ],
    }
    error = np.abs(
        risk_curve(problem, ns).risk / [min_norm_law(problem, int(n)).risk for n in ns] - 1
    ).max()
    notes: dict[str, dict[str, float]] = {
        "risk_curve": {"error": float(f"{error:.1e}"), "nodes": small.nodes.size},
        "risk_curve, compressed": {"seconds at most": 2e-3},
    }
    if p >= 100_000:
        notes["risk_curve"] |= {"ratio at most": 300.0 if p == 100_000 else 400.0}
        notes["brentq at every point"] = {"times risk_curve at least": 15.0}
    return _table(problem.variances.sum, routes, notes, "np.sum of the spectrum")


def _pruning(p: int, keep: float) -> dict[str, Any]:
    law = min_norm_law(_power_law(p), p // 10)
    goal = round(keep * p)
    t = float(selection_thresholds(law, keep, "magnitude"))
    arguments = (law.mean - t) / law.std

    def unit() -> None:
        for begin in range(0, p, BLOCK):
            ndtr(arguments[begin : begin + BLOCK])

    def search(tail: Callable[[Array], Array]) -> float:
        def excess(x: float) -> float:
            return float((tail((law.mean - x) / law.std) + tail((-x - law.mean) / law.std)).sum())

        low, high = 0.0, float(np.abs(law.mean).max() + 10 * law.std.max())
        return brentq(lambda x: excess(x) - goal, low, high, xtol=1e-300, rtol=1e-14)

    routes: dict[str, Route] = {
        "selection_thresholds": lambda: selection_thresholds(law, keep, "magnitude"),
        "pruned_risk": lambda: pruned_risk(law, keep, "magnitude"),
        "brentq with special.ndtr": lambda: search(ndtr),
        "brentq with stats.norm": lambda: search(norm.cdf),
    }
    notes = {
        "selection_thresholds": {"ratio at most": 25.0},
        "pruned_risk": {"ratio at most": 25.0},
        "brentq with special.ndtr": {"error": float(f"{abs(search(ndtr) / t - 1):.1e}")},
    }
    return _table(unit, routes, notes, "one sweep of ndtr")


def _widths(n: int, widths: int, largest: int) -> dict[str, Any]:
    problem = _power_law(largest)
    steps = np.unique(np.linspace(n // 10, largest, widths).astype(int))
    rng = np.random.default_rng(0)
    design, labels = problem.sample(n, rng)
    rows, counts = np.ascontiguousarray(design.T), tuple(steps.tolist())

    def factors(kernel: Array) -> None:
        for _ in range(int(np.sum(steps >= n))):
            dpotrf(kernel, lower=1, clean=0)

    def bound() -> None:
        drawn = rng.standard_normal((largest, n))
        factors(dsyrk(1.0, drawn.T, lower=1))

    def fits(fit: Callable[[Array, Array], object]) -> Route:
        return lambda: [fit(design[:, :width], labels) for width in steps]

    regression = LinearRegression(fit_intercept=False, tol=0.0)
    routes: dict[str, Route] = {
        "simulate_risks, 8 replicates": lambda: simulate_risks(problem, n, steps, 8, seed=0),
        "the Cholesky factors": partial(factors, dsyrk(1.0, rows.T, lower=1)),
        "the fits of one replicate": lambda: fit_widths(rows, labels, counts),
        "numpy.linalg.lstsq": fits(lambda x, y: np.linalg.lstsq(x, y, rcond=None)),
        "LinearRegression(tol=0)": fits(regression.fit),
    }
    notes = {
        # Aimed at were at most 1.3 times the bound, reached, and 40 times lstsq, which cannot be:
        # on an AMD EPYC (Zen 4, one thread) lstsq takes 35 times as long as the bound itself. What
        # is reached there is 28 times for a replicate, drawing its sample included, and 40 times
        # for its fits beside those of lstsq on the same sample; the bars leave room for noise.
        "simulate_risks, 8 replicates": {"ratio at most": 8 * 1.3},
        "numpy.linalg.lstsq": {
            "times simulate_risks, 8 replicates at least": 22 / 8,
            "times the fits of one replicate at least": 30.0,
        },
    }
    return _table(bound, routes, notes, "random numbers, one dsyrk, all Cholesky factors")


def _samples(n: int, widths: int) -> dict[str, Any]:
    problem = _power_law(10 * n)
    steps = np.unique(np.linspace(n // 10, 10 * n, widths).astype(int))
    rng = np.random.default_rng(0)
    routes: dict[str, Route] = {
        "simulate_risks": lambda: simulate_risks(problem, n, steps, 4, seed=0)
    }
    base = "the random numbers of one replicate"
    return _table(lambda: rng.standard_normal((10 * n, n)), routes, {}, base)


def _replicates(n: int, replicates: int) -> dict[str, Any]:
    problem = _power_law(10 * n)
    rng = np.random.default_rng(0)
    routes: dict[str, Route] = {
        "simulate_risks": lambda: simulate_risks(
            problem, n, [n // 2, 5 * n, 10 * n], replicates, seed=0
        )
    }
    base = "the random numbers of one replicate"
    return _table(lambda: rng.standard_normal((10 * n, n)), routes, {}, base)


def _leave_one_out(n: int, p: int) -> dict[str, Any]:
    design, labels = _power_law(p).sample(n, np.random.default_rng(0))
    cross_validated = RidgeCV(alphas=[1e-10], fit_intercept=False)

    def refit() -> Array:
        betas = [
            np.linalg.lstsq(np.delete(design, i, 0), np.delete(labels, i), rcond=None)[0]
            for i in range(n)
        ]
        return labels - np.sum(design * betas, axis=1)

    routes: dict[str, Route] = {
        "leave_one_out_errors": lambda: leave_one_out_errors(design, labels),
        "RidgeCV, one penalty": lambda: cross_validated.fit(design, labels),
        "n fits with lstsq": refit,
    }
    error = np.abs(leave_one_out_errors(design, labels) / refit() - 1).max()
    notes = {
        "leave_one_out_errors": {"error": float(f"{error:.1e}")},
        "n fits with lstsq": {"times leave_one_out_errors at least": 20.0},
    }
    return _table(lambda: np.linalg.svd(design, full_matrices=False), routes, notes, "one SVD")
