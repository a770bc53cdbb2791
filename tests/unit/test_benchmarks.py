"""The benchmark: peers that solve the same equation, bars that are judged, results up to date."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from overparam import LinearGaussianProblem, ridge_law, runs

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    loaded = {name: importlib.import_module(name) for name in ("timing", "peers", "cases", "run")}
    yield loaded
    for name in loaded:
        del sys.modules[name]


def test_peers_find_the_same_prediction(scripts) -> None:
    peers = scripts["peers"]
    problem = LinearGaussianProblem(1 / np.arange(1.0, 401), np.full(400, 0.05), 0.1)
    law = ridge_law(problem, 80, 0.0)
    arguments = problem.variances, problem.saliency, 0.1, 80
    for peer in (
        peers.brentq_in_log_ridge,
        peers.brentq_in_xi,
        peers.bisection_like_eigenlearning,
    ):
        assert peer(*arguments) == pytest.approx((law.effective_ridge, law.risk), rel=1e-9)
    penalty = 0.01 * problem.variances.mean()
    law = ridge_law(problem, 80, penalty * 400 / 80)
    found = peers.state_evolution_like_gcm(*arguments, penalty=0.01)
    assert found == pytest.approx((law.effective_ridge, law.risk), rel=1e-5)


def test_small_cases_run(scripts, monkeypatch) -> None:
    cases = scripts["cases"]
    monkeypatch.setattr(cases, "REPEATS", 1)
    for task in (
        {"case": "prediction", "p": 200},
        {"case": "curve", "p": 200, "points": 5},
        {"case": "pruning", "p": 200, "keep": 0.1},
        {"case": "widths", "n": 12, "widths": 5, "largest": 60},
        {"case": "samples", "n": 10, "widths": 4},
        {"case": "replicates", "n": 10, "replicates": 3},
        {"case": "leave-one-out", "n": 12, "p": 30},
    ):
        result = cases.measure(task)
        assert result["base seconds"] > 0
        assert all(row["seconds"] > 0 and row["ratio"] > 0 for row in result["rows"].values())
        lines, _ = scripts["run"].table({"task": task, "result": result})
        assert len(lines) == 1 + len(result["rows"])


def test_missed_bars_are_named(scripts) -> None:
    row = {"seconds": 1.0, "ratio": 10.0, "low": 9.0, "high": 11.0}
    rows = {
        "fast": row | {"ratio at most": 9.5},
        "slow": row | {"times fast at least": 1.5},
        "fine": row | {"ratio at most": 10.5, "times fast at least": 0.9},
    }
    run = {"task": {"case": "x", "p": 5}, "result": {"base": "unit", "rows": rows}}
    missed = scripts["run"].table(run)[1]
    assert missed == ["p 5: fast: ratio at most 9.5", "p 5: slow: times fast at least 1.5"]


def test_committed_results_are_of_these_tasks_and_keep_all_bars(scripts) -> None:
    found = runs.read(scripts["run"].RESULTS).runs
    assert [run["task"] for run in found] == scripts["cases"].tasks()
    assert [scripts["run"].table(run)[1] for run in found] == [[]] * len(found)


def test_ratios_are_of_cpu_time(scripts) -> None:
    """A route that does the work of the base three times, with pauses that count for nothing."""
    array = np.arange(300_000.0)

    def base() -> None:
        np.sqrt(array)

    def threefold() -> None:
        for _ in range(3):
            base()

    measured = scripts["timing"].interleaved(base, {"threefold": threefold}, 9)["threefold"]
    assert 1.5 < measured.ratio < 6
