"""Sweeps of long runs: whatever interrupts them, nothing is lost and nothing is there twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from overparam import runs

TASKS = [{"seed": seed, "width": 4} for seed in range(12)]


def defined_inside() -> tuple:
    """Functions that workers need not import: this file is no module to them."""

    def work(task: dict) -> dict:
        rng = np.random.default_rng(task["seed"])
        return {"total": rng.standard_normal(task["width"]).sum(), "draws": rng.random(2)}

    def other_work(task: dict) -> dict:
        return work(task)

    return work, other_work


work, other_work = defined_inside()


def expected(tasks: list[dict]) -> list[dict]:
    return json.loads(json.dumps([work(task) for task in tasks], default=lambda x: x.tolist()))


def interrupted_after(count: int, path: Path) -> None:
    done = 0

    def fragile(task: dict) -> dict:
        nonlocal done
        done += 1
        if done > count:
            raise KeyboardInterrupt
        return work(task)

    fragile.__module__, fragile.__qualname__ = work.__module__, work.__qualname__
    with pytest.raises(KeyboardInterrupt):
        runs.run_all(fragile, TASKS, path, progress=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweep.jsonl"


def test_results_are_those_of_the_function_in_the_order_of_tasks(path: Path) -> None:
    assert runs.run_all(work, TASKS[::-1], path, progress=None) == expected(TASKS[::-1])
    assert [run["result"] for run in runs.read(path).runs] == expected(TASKS[::-1])


@pytest.mark.parametrize("backend", [None, "threading"])
def test_workers_change_nothing(path: Path, backend: str | None) -> None:
    results = runs.run_all(work, TASKS, path, n_jobs=2, backend=backend, progress=None)
    assert results == expected(TASKS)
    assert Counter(run["task"]["seed"] for run in runs.read(path).runs) == Counter(range(12))


def test_interrupted_sweep_resumes(path: Path) -> None:
    interrupted_after(5, path)
    before = path.read_bytes()
    assert [run["task"] for run in runs.read(path).runs] == TASKS[:5]
    assert runs.run_all(work, TASKS, path, n_jobs=2, progress=None) == expected(TASKS)
    assert path.read_bytes().startswith(before)
    assert len(runs.read(path).runs) == 12
    finished = path.read_bytes()
    assert runs.run_all(work, TASKS, path, progress=None) == expected(TASKS)
    assert path.read_bytes() == finished


@pytest.mark.parametrize("cut", [1, 20, 75])
def test_truncated_last_line_is_run_again(path: Path, cut: int) -> None:
    runs.run_all(work, TASKS[:6], path, progress=None)
    path.write_bytes(path.read_bytes()[:-cut])
    kept = 6 if cut == 1 else 5  # only the line feed is missing
    assert len(runs.read(path).runs) == kept
    assert runs.run_all(work, TASKS, path, progress=None) == expected(TASKS)
    assert len(runs.read(path).runs) == 12
    assert path.read_bytes().count(b"\n") == 13


def test_truncated_first_line_is_a_fresh_start(path: Path) -> None:
    path.write_bytes(b'{"provenance": {"command": "pyth')
    assert runs.run_all(work, TASKS, path, progress=None) == expected(TASKS)
    path.write_bytes(b"")
    assert runs.run_all(work, TASKS, path, progress=None) == expected(TASKS)


def test_killed_process_loses_only_what_it_was_doing(path: Path, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        "from overparam import runs\n"
        "def work(task):\n"
        "    time.sleep(0.25)\n"
        "    return {'square': task['x'] ** 2}\n"
        "runs.run_all(work, [{'x': x} for x in range(8)], sys.argv[1], progress=None)\n"
    )
    command = [sys.executable, str(script), str(path)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not path.exists() or path.read_bytes().count(b"\n") < 4):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = len(runs.read(path).runs)
    assert 3 <= found < 8
    subprocess.run(command, check=True)
    assert [run["result"]["square"] for run in runs.read(path).runs] == [x**2 for x in range(8)]


def test_files_of_others_are_refused_and_left_alone(path: Path) -> None:
    runs.run_all(work, TASKS, path, progress=None)
    mine = path.read_bytes()
    with pytest.raises(ValueError, match=r"must hold runs of .*other_work to be continued"):
        runs.run_all(other_work, TASKS, path, progress=None)
    with pytest.raises(ValueError, match="has 1 of other tasks"):
        runs.run_all(work, TASKS[1:], path, progress=None)
    assert path.read_bytes() == mine
    for text in (
        b"a letter\nto a friend",
        b"a letter",
        b'{"a": 1}',
        mine.replace(b"\n", b"}\n", 3),
    ):
        path.write_bytes(text)
        with pytest.raises(ValueError, match="must be a file of runs made by run_all"):
            runs.run_all(work, TASKS, path, progress=None)
        assert path.read_bytes() == text
    path.write_bytes(mine + mine.splitlines(keepends=True)[-1])
    with pytest.raises(ValueError, match="must not have the same task twice"):
        runs.read(path)


def test_tasks_that_repeat_or_are_no_json_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="must not have the same task twice"):
        runs.run_all(work, [*TASKS, {"width": 4, "seed": 3}], path)
    with pytest.raises(ValueError, match="must be what JSON can express"):
        runs.run_all(work, [{"seed": np.arange(3)}], path)
    with pytest.raises(ValueError, match="`n_jobs` must be a non-zero integer"):
        runs.run_all(work, TASKS, path, n_jobs=0)
    assert not path.exists()


def test_results_that_are_no_json_are_refused(path: Path) -> None:
    with pytest.raises(TypeError, match="must be what JSON can express"):
        runs.run_all(lambda task: {"set": {1, 2}}, TASKS, path, progress=None)


def test_failure_names_the_task_and_keeps_the_others(path: Path) -> None:
    def fails(task: dict) -> dict:
        if task["seed"] == 7:
            raise RuntimeError
        return work(task)

    with pytest.raises(RuntimeError) as caught:
        runs.run_all(fails, TASKS, path, progress=None)
    assert "'seed': 7" in caught.value.__notes__[0]
    assert len(runs.read(path).runs) == 7


def test_verification_finds_runs_of_other_code(path: Path) -> None:
    runs.run_all(work, TASKS[:3], path, progress=None)
    runs.run_all(work, TASKS[:4], path, progress=None, verify=True)
    changed = path.read_text().replace('"draws": [', '"draws": [1, ')
    path.write_text(changed)
    with pytest.raises(ValueError, match="must hold what this code computes"):
        runs.run_all(work, TASKS, path, progress=None, verify=True)


def test_two_writers_are_refused(path: Path) -> None:
    def nested(task: dict) -> dict:
        return {"results": runs.run_all(work, [task], path, progress=None)}

    with pytest.raises(ValueError, match="another process is writing"):
        runs.run_all(nested, TASKS[:1], path, progress=None)


def test_provenance(path: Path) -> None:
    interrupted_after(2, path)
    runs.run_all(work, TASKS, path, progress=None)
    origin = runs.read(path).provenance
    assert origin["function"].endswith("test_runs.defined_inside.<locals>.work")
    assert origin["command"].startswith("python ")
    assert not any(part.startswith("/") for part in origin["command"].split())
    assert origin["versions"]["numpy"] == np.__version__
    assert "resumed" not in origin
    assert origin["seconds"] == round(sum(run["seconds"] for run in runs.read(path).runs), 1)


def test_sessions_with_other_versions_are_told_apart(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_after(2, path)
    monkeypatch.setattr(runs, "device", lambda: "a larger machine")
    runs.run_all(work, TASKS, path, progress=None)
    origin = runs.read(path).provenance
    assert origin["device"] != "a larger machine"
    assert [session["device"] for session in origin["resumed"]] == ["a larger machine"]


def test_progress_tells_rate_and_remaining_time(path: Path) -> None:
    interrupted_after(2, path)
    said: list[str] = []
    runs.run_all(work, TASKS, path, progress=said.append)
    assert said[0].startswith("3 of 12 runs (2 found finished), ")
    assert said[0].endswith(" left")
    assert said[-1].startswith("12 of 12 runs (2 found finished), ")
    assert "took" in said[-1]


def test_file_without_runs_is_no_file_of_runs(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="must hold finished runs"):
        runs.read(path)
