"""What computations cost, in counts that a busy machine cannot change: sweeps, factors, bytes."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf
from scipy.special import ndtr

from overparam import (
    LinearGaussianProblem,
    compress_spectrum,
    min_norm_law,
    pruned_risk,
    risk_curve,
    selection,
    selection_thresholds,
    simulate_risks,
    solve_effective_ridge,
    width_sweep,
)

P = 100_000
INDEX = np.arange(1.0, P + 1)
SPECTRA = {
    "isotropic": np.ones(P),
    "power 1": 1 / INDEX,
    "power 2": INDEX**-2,
    "shuffled, over 1e8": np.random.default_rng(1).permutation(np.geomspace(1e4, 1e-4, P)),
}
KEEPS = [1e-3, 0.1, 0.5, 0.9, 0.999]


def problem_with(variances: np.ndarray, noise_variance: float = 0.1) -> LinearGaussianProblem:
    coefficients = np.random.default_rng(0).standard_normal(variances.size)
    return LinearGaussianProblem(variances, coefficients / np.sqrt(variances.sum()), noise_variance)


def peak_in_spectra(function: Callable[[], object]) -> float:
    """Largest memory in use at a time, in copies of a spectrum of P variances."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / (8 * P)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", SPECTRA)
def test_solver_needs_few_sweeps(name) -> None:
    for n in (P // 1000, P // 10, P // 2, P - 1):
        assert solve_effective_ridge(SPECTRA[name], n).sweeps <= 4


@pytest.mark.parametrize("rule", ["magnitude", "hessian"])
@pytest.mark.parametrize("name", SPECTRA)
def test_pruning_needs_few_sweeps_of_normal_tails(name, rule, monkeypatch) -> None:
    """A bracketing root finder needs 40 and more; 25 is the limit that the project has set."""
    law = min_norm_law(problem_with(SPECTRA[name]), P // 10)
    evaluated = 0

    def counted(x: np.ndarray) -> np.ndarray:
        nonlocal evaluated
        evaluated += x.size
        return ndtr(x)

    monkeypatch.setattr(selection, "ndtr", counted)
    for keep in KEEPS:
        evaluated = 0
        selection_thresholds(law, keep, rule)
        assert evaluated <= 8.5 * P
        evaluated = 0
        pruned_risk(law, keep, rule)
        assert evaluated <= 12 * P


@pytest.mark.parametrize("name", SPECTRA)
def test_threshold_leaves_the_expected_number(name) -> None:
    law = min_norm_law(problem_with(SPECTRA[name]), P // 10)
    for keep, t in zip(KEEPS, selection_thresholds(law, KEEPS, "magnitude"), strict=True):
        expected = ndtr((law.mean - t) / law.std) + ndtr((-t - law.mean) / law.std)
        assert expected.sum() == pytest.approx(keep * P, rel=1e-10)


def test_threshold_across_a_cliff() -> None:
    """Scores that hardly vary: the slope changes over a relative width of 1e-6."""
    variances = np.repeat([1.0, 1e-3], [300, 3700])
    problem = LinearGaussianProblem(variances, np.full(4000, 1.0), 1e-12)
    law = min_norm_law(problem.restrict(np.arange(2000)), 4000)
    for keep in (0.05, 0.4, 0.95):
        t = selection_thresholds(law, keep, "magnitude")
        expected = ndtr((law.mean - t) / law.std) + ndtr((-t - law.mean) / law.std)
        assert expected.sum() == pytest.approx(keep * 2000, rel=1e-9)


def test_compressed_spectrum_gives_the_curve_of_the_problem() -> None:
    problem = problem_with(SPECTRA["power 1"])
    small = compress_spectrum(problem.variances, problem.saliency)
    assert small.nodes.size < 200
    ns = [100, 10_000, P - 1, 2 * P]
    curve, again = risk_curve(problem, ns), risk_curve(small, ns, noise_variance=0.1)
    np.testing.assert_allclose(again.xi, curve.xi, rtol=1e-12)
    np.testing.assert_allclose(again.risk, curve.risk, rtol=1e-12)
    assert peak_in_spectra(lambda: risk_curve(small, ns, noise_variance=0.1)) < 0.1


def test_compressed_spectrum_needs_a_noise_variance() -> None:
    problem = problem_with(np.ones(30))
    small = compress_spectrum(problem.variances, problem.saliency)
    with pytest.raises(ValueError, match="`noise_variance` must be a number"):
        risk_curve(small, [10])
    with pytest.raises(ValueError, match="`noise_variance` must not be passed with a problem"):
        risk_curve(problem, [10], noise_variance=0.1)
    with pytest.raises(ValueError, match="`n` must differ from the number of features"):
        risk_curve(small, [30], noise_variance=0.1)


@pytest.mark.parametrize(("high", "low"), [(300, -8), (150, -155), (8, -300), (306.3, 306.2)])
def test_curve_over_300_orders_of_magnitude(high, low) -> None:
    variances = np.logspace(high, low, 2000)
    problem = LinearGaussianProblem(variances, np.full(2000, 10 ** (-high / 2)), 0.1)
    for n in (7, 1000, 1999)[high > 305 :]:
        curve, law = risk_curve(problem, [n]), min_norm_law(problem, n)
        np.testing.assert_allclose(curve.risk, law.risk, rtol=1e-12)
        np.testing.assert_allclose(curve.xi, law.xi, rtol=1e-12)


def test_curve_without_a_root_in_range_is_refused() -> None:
    problem = LinearGaussianProblem(np.full(2000, 1e307), np.zeros(2000), 0.1)
    for predict in (lambda: risk_curve(problem, [1]), lambda: min_norm_law(problem, 1)):
        with pytest.raises(ValueError, match="must have a root in float64"):
            predict()


def test_memory_is_a_few_copies_of_the_spectrum() -> None:
    ordered, shuffled = SPECTRA["power 1"], SPECTRA["shuffled, over 1e8"]
    problem = problem_with(ordered)
    law = min_norm_law(problem, P // 10)
    assert peak_in_spectra(lambda: solve_effective_ridge(ordered, P // 10)) < 0.5
    assert peak_in_spectra(lambda: solve_effective_ridge(shuffled, P // 10)) < 2.5
    assert peak_in_spectra(lambda: min_norm_law(problem, P // 10)) < 1
    ns = np.linspace(P // 100, P - 1000, 50).astype(int)
    assert peak_in_spectra(lambda: risk_curve(problem, ns)) < 4.5
    assert peak_in_spectra(lambda: pruned_risk(law, KEEPS, "magnitude")) < 10


def test_sweep_factors_once_for_each_wide_width(monkeypatch) -> None:
    """One triangular factor a width, and no flop of the kernel matrix twice."""
    n, widths = 40, [10, 30, 39, 40, 60, 100, 200]
    factors, updated = 0, 0

    def counted_factor(*args, **options):
        nonlocal factors
        factors += 1
        return dpotrf(*args, **options)

    def counted_update(alpha, block, **options):
        nonlocal updated
        updated += block.shape[1]
        return dsyrk(alpha, block, **options)

    monkeypatch.setattr(width_sweep, "dpotrf", counted_factor)
    monkeypatch.setattr(width_sweep, "dsyrk", counted_update)
    simulate_risks(problem_with(1 / INDEX[:200]), n, widths, replicates=2, seed=0)
    assert factors == 2 * 4
    assert updated == 2 * 200


def test_ordinary_fits_pass_the_guard(monkeypatch) -> None:
    """Singular values are for fits that miss their labels, and these do not."""

    monkeypatch.setattr(np.linalg, "lstsq", None)
    simulate_risks(problem_with(1 / INDEX[:200]), 40, range(10, 200, 7), replicates=2, seed=0)


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_a_prediction_imports_numpy_alone() -> None:
    modules = imported_by("import overparam as o; o.min_norm_law, o.risk_curve")
    assert not modules & {"scipy", "joblib", "jax"}


def test_the_library_imports_no_heavy_packages() -> None:
    """Rank correlations are from scipy.stats; nothing else may need what takes a second to load."""
    modules = imported_by(
        "import overparam\n"
        "for name, home in overparam._HOME.items():\n"
        "    if home != 'ranking': getattr(overparam, name)"
    )
    heavy = "scipy.optimize scipy.stats scipy.sparse sklearn jax matplotlib dask networkx"
    assert not modules & set(heavy.split())
