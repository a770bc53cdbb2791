"""Workers of every kind: a real Dask cluster that loses one midway, processes, threads."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from dask import distributed
from joblib import parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_info, threadpool_limits

from overparam import LinearGaussianProblem, parallel, simulate, simulate_risks

PROBLEM = LinearGaussianProblem(1 / np.arange(1.0, 81), np.full(80, 0.1), 0.3)
SWEEP = {"n": 20, "widths": [5, 19, 21, 40, 80], "seed": 3}


@pytest.fixture(scope="module")
def cluster() -> Iterator:
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as started,
        distributed.Client(started),
    ):
        yield started


def patient() -> tuple:
    """Experiments that take their time; defined inside, so that workers need not import them."""

    def experiment(rng: np.random.Generator) -> np.ndarray:
        time.sleep(0.04)
        factor = np.linalg.qr(rng.standard_normal((30, 30)))[1]
        return factor[0]

    def deadly(rng: np.random.Generator) -> float:
        value = rng.random()
        if value > 0.98:  # replicate 103
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    return experiment, deadly


experiment, deadly = patient()


def test_cluster_that_loses_a_worker_gives_the_bits_of_the_serial_run(cluster, tmp_path) -> None:
    serial = simulate(experiment, 90, seed=4).samples
    victims = [worker.pid for worker in cluster.workers.values()]
    said = []

    def kill_one_midway(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 1:
            os.kill(victims[1], signal.SIGKILL)

    path = tmp_path / "cluster.jsonl"
    result = simulate(experiment, 90, seed=4, backend="dask", progress=kill_one_midway, path=path)
    np.testing.assert_array_equal(result.samples, serial)
    assert 0 < int(said[0].split()[0]) < 45  # it was midway
    lines = path.read_text().splitlines()
    tasks = Counter(line.split('"replicate": ')[1].split("}")[0] for line in lines[1:])
    assert tasks == Counter(str(replicate) for replicate in range(90))


def test_killed_worker_without_a_file(cluster) -> None:
    positions = []
    for position, result, _ in parallel.finished(lambda x: x + 1, range(400), 1, "dask"):
        assert result == position + 1
        positions.append(position)
        if len(positions) == 60:
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
    assert sorted(positions) == list(range(400))


@pytest.mark.parametrize("backend", ["dask", "loky", "threading"])
@pytest.mark.usefixtures("cluster")
def test_sweep_has_the_same_bits_on_every_backend(backend) -> None:
    serial = simulate_risks(PROBLEM, **SWEEP, replicates=7).samples
    there = simulate_risks(PROBLEM, **SWEEP, replicates=7, n_jobs=2, backend=backend).samples
    np.testing.assert_array_equal(there, serial)


FORKING = """
import numpy as np
from overparam import LinearGaussianProblem, simulate_risks
problem = LinearGaussianProblem(1 / np.arange(1.0, 81), np.full(80, 0.1), 0.3)
sweep = {"n": 20, "widths": [5, 19, 21, 40, 80], "replicates": 7, "seed": 3}
there = simulate_risks(problem, **sweep, n_jobs=2, backend="multiprocessing").samples
assert np.array_equal(there, simulate_risks(problem, **sweep).samples)
"""


def test_forked_workers_give_the_same_bits() -> None:
    # In a process of its own: this one may have threads of JAX, which do not survive a fork.
    subprocess.run([sys.executable, "-W", "error", "-c", FORKING], check=True)


@pytest.mark.usefixtures("cluster")
def test_ambient_backend_is_respected() -> None:
    home = os.getpid()
    with parallel_config("dask"):
        pids = simulate(lambda rng: os.getpid(), 12, seed=0, n_jobs=-1).samples
    assert home not in pids
    assert len(set(pids)) > 1


def test_interrupted_simulation_resumes_with_the_same_bits(tmp_path) -> None:
    path = tmp_path / "sweep.jsonl"
    whole = simulate_risks(PROBLEM, **SWEEP, replicates=9).samples
    simulate_risks(PROBLEM, **SWEEP, replicates=4, path=path)
    text = path.read_bytes()
    path.write_bytes(text[:-30])
    said = []
    resumed = simulate_risks(
        PROBLEM, **SWEEP, replicates=9, n_jobs=2, path=path, progress=said.append
    )
    np.testing.assert_array_equal(resumed.samples, whole)
    assert "(3 found finished)" in said[-1]
    again = simulate_risks(PROBLEM, **SWEEP, replicates=9, path=path)
    np.testing.assert_array_equal(again.samples, whole)


def test_worker_that_dies_is_an_error_and_the_file_keeps_the_rest(tmp_path) -> None:
    path = tmp_path / "deadly.jsonl"
    with pytest.raises(TerminatedWorkerError):
        simulate(deadly, 200, seed=0, n_jobs=2, backend="loky", path=path)
    assert len(path.read_text().splitlines()) > 1


def test_file_of_another_simulation_is_refused(tmp_path) -> None:
    path = tmp_path / "sweep.jsonl"
    simulate_risks(PROBLEM, **SWEEP, replicates=2, path=path)
    other = LinearGaussianProblem(PROBLEM.variances, PROBLEM.coefficients, 0.31)
    with pytest.raises(ValueError, match="must hold what this code computes"):
        simulate_risks(other, **SWEEP, replicates=4, path=path)
    with pytest.raises(ValueError, match="has 2 of other tasks"):
        simulate_risks(PROBLEM, **(SWEEP | {"seed": 4}), replicates=4, path=path)
    with pytest.raises(ValueError, match=r"must hold runs of .*experiment to be continued"):
        simulate(experiment, 2, seed=3, path=path)


def test_workers_compute_on_one_thread() -> None:
    def threads(_: int) -> int:
        return max(pool["num_threads"] for pool in threadpool_info())

    with threadpool_limits(2):
        _, [(there, _)] = parallel._run(threads, 0, [0], home=-1)
        _, [(here, _)] = parallel._run(threads, 0, [0], home=os.getpid())
    assert there == 1
    assert here == 2  # where the caller has set the limit of the process already


def test_progress_of_a_simulation() -> None:
    said = []
    simulate(experiment, 5, seed=0, progress=said.append)
    assert said[0].startswith("1 of 5 replicates, ")
    assert said[-1].startswith("5 of 5 replicates, ")


@pytest.mark.parametrize("n_jobs", [0, 1.5, True, "2", None])
def test_bad_number_of_jobs(n_jobs) -> None:
    with pytest.raises(ValueError, match="`n_jobs` must be a non-zero integer"):
        simulate(experiment, 2, seed=0, n_jobs=n_jobs)


def test_bad_backend() -> None:
    with pytest.raises(ValueError, match="`backend` must be a string"):
        simulate(experiment, 2, seed=0, backend=3)
    with pytest.raises(ValueError, match="Invalid backend"):
        simulate(experiment, 2, seed=0, backend="cloud")


def test_groups_follow_the_time_that_items_take() -> None:
    pace = parallel._Pace(1000)
    groups = pace.groups()
    assert next(groups) == (0, 1)  # nothing is known yet
    pace.done, pace.seconds = 10, 1.0  # 0.1 s an item: two of them are worth a job
    assert next(groups) == (1, 3)
    pace.seconds = 1e-9  # as many as leave every worker something to do
    assert next(groups) == (3, 3 + 997 // 32)
    pace.seconds = 1e9
    sizes = [end - begin for begin, end in groups]
    assert set(sizes) == {1}
    assert sum(sizes) == 1000 - (3 + 997 // 32)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.123, "0.12 s"), (12.3, "12 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert parallel.duration(seconds) == text
