"""Sweeps of long runs: every finished run is kept, an interrupted sweep resumes.

A file of runs has one JSON object a line. The first is the provenance (command, device, versions,
date); each of the others is one finished run: its task, with all settings and its seed, its result,
and its seconds. Lines are only ever appended, each as soon as its run is finished, so that what an
interruption can lose is the run that it interrupts.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from overparam._validation import reject
from overparam.parallel import Progress, finished

_PACKAGES = ("jax", "joblib", "numpy", "optax", "scikit-learn", "scipy", "train-large-then-prune")
_BEGINNING = b'{"provenance": '
_ENVIRONMENT = ("device", "python", "versions")
_OTHER_FILE = "Choose another file, or move this one away."


@dataclass(frozen=True)
class Runs:
    """What a file of runs holds; made by `read`.

    Attributes
    ----------
    provenance : dict
        Of the first session: "function", "command", "device", "python", "versions" and "started";
        of all sessions together "seconds", the computing time of all runs; and, if a later session
        ran on another device or with other versions, "resumed", a list of their provenances.
    runs : list of dict
        One for each finished run, with "task", "result" and "seconds".
    """

    provenance: dict[str, Any]
    runs: list[dict[str, Any]]


def run_all(
    function: Callable[[dict[str, Any]], dict[str, Any]],
    tasks: Sequence[dict[str, Any]],
    path: str | os.PathLike[str],
    *,
    n_jobs: int = 1,
    backend: str | None = None,
    progress: Callable[[str], Any] | None = print,
    verify: bool = False,
) -> list[dict[str, Any]]:
    """Run every task that the file does not have, append each result to the file at once.

    Parameters
    ----------
    function : callable
        ``function(task)`` returns the result as a dictionary that JSON can express (NumPy arrays
        and numbers are written as lists and numbers). All randomness comes from the task.
    tasks : sequence of dict
        What JSON can express: all settings of a run, its seed included, all different.
    path : path-like
        The file. If it exists, it must be of the same function, and hold no run of another task.
    n_jobs, backend : optional
        See `overparam.parallel.finished`.
    progress : callable or None, optional
        Receives a sentence with rate and remaining time, at most every second.
    verify : bool, optional
        Before resuming, repeat the quickest of the finished runs and require the same result: for
        runs that are reproducible to the last bit.

    Returns
    -------
    list of dict
        Results in the order of `tasks`, as JSON gives them back.

    Raises
    ------
    ValueError
        If tasks repeat, the file is damaged other than in an unfinished last line, holds the runs
        of another function or of other tasks, or is being written to by another process.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "halves.jsonl"
    >>> def halve(task):
    ...     return {"half": task["number"] / 2}
    >>> run_all(halve, [{"number": 3}], path, progress=None)
    [{'half': 1.5}]
    >>> run_all(halve, [{"number": 8}, {"number": 3}], path, progress=None)
    [{'half': 4.0}, {'half': 1.5}]
    >>> [run["task"] for run in read(path).runs]
    [{'number': 3}, {'number': 8}]
    """
    path = Path(path)
    wanted = [_key(task) for task in tasks]
    _refuse_repeats("tasks", wanted, "Give every run a seed of its own.")
    name = _name(function)
    with _alone(path) as file:
        sessions, runs = _parse(path)
        known = {_key(run["task"]): run["result"] for run in runs}
        _check_owner(path, name, sessions, known, set(wanted))
        if verify and runs:
            _check_reproducible(path, function, min(runs, key=lambda run: run["seconds"]))
        missing = [task for task, key in zip(tasks, wanted, strict=True) if key not in known]
        session = provenance(name)
        _mend(file)
        report = Progress(len(tasks), len(tasks) - len(missing), progress, "runs")
        for position, result, seconds in finished(function, missing, n_jobs, backend):
            # Written with the first result: the function may have loaded what computes.
            session |= {"device": device()}
            if not sessions or any(session[key] != sessions[-1][key] for key in _ENVIRONMENT):
                _append(file, {"provenance": session})
                sessions.append(session)
            run = {"task": missing[position], "result": result, "seconds": round(seconds, 4)}
            known[_key(missing[position])] = _append(file, run)["result"]
            report.step()
    return [known[key] for key in wanted]


def read(path: str | os.PathLike[str]) -> Runs:
    """Read a file of runs.

    Parameters
    ----------
    path : path-like
        Made by `run_all`; an unfinished last line is left out.

    Returns
    -------
    Runs
        Provenance and finished runs, in the order in which they were finished.

    Raises
    ------
    ValueError
        If it is no file of runs, or a line other than an unfinished last one is damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "squares.jsonl"
    >>> _ = run_all(lambda task: {"square": task["x"] ** 2}, [{"x": 3}], path, progress=None)
    >>> read(path).runs[0]["result"]
    {'square': 9}
    >>> sorted(read(path).provenance)
    ['command', 'device', 'function', 'python', 'seconds', 'started', 'versions']
    """
    sessions, runs = _parse(Path(path))
    if not sessions:
        raise reject("path", str(path), "must hold finished runs", "Make it with run_all.")
    origin = sessions[0] | {"seconds": round(sum(run["seconds"] for run in runs), 1)}
    if len(sessions) > 1:
        origin["resumed"] = sessions[1:]
    return Runs(origin, runs)


def provenance(function: str) -> dict[str, Any]:
    """Say what computes here, and when it began.

    Parameters
    ----------
    function : str
        The name of the function that is run.

    Returns
    -------
    dict
        "function", "command", "device", "python", "versions" and "started".

    Examples
    --------
    >>> provenance("example")["function"]
    'example'
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    # Where files lie on this machine is nobody's business.
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.orig_argv]
    return {
        "function": function,
        "command": " ".join(["python", *words[1:]]),
        "device": device(),
        "python": platform.python_version(),
        "versions": versions,
        "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def device() -> str:
    """Name the accelerator if JAX is loaded and has one, otherwise the processor and its cores.

    Returns
    -------
    str
        For a page: what the seconds were measured on.

    Examples
    --------
    >>> device().endswith("cores")
    True
    """
    if "jax" in sys.modules:
        import jax

        chip = jax.devices()[0]
        if chip.platform != "cpu":
            return f"{len(jax.devices())} x {chip.device_kind}"
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else model}, {os.cpu_count()} cores"


def _name(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = getattr(function, "__wrapped__", function.func)
    module = function.__module__
    if module == "__main__":  # of python -m package.module
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec else module
    return f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def _key(task: object) -> str:
    try:
        return json.dumps(task, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        way_out = "Use plain numbers, strings, lists and dictionaries."
        raise reject("tasks", task, "must be what JSON can express", way_out) from error


def _refuse_repeats(name: str, keys: list[str], way_out: str) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise reject(name, key, "must not have the same task twice", way_out)
        seen.add(key)


def _check_owner(
    path: Path, name: str, sessions: list[dict[str, Any]], known: dict[str, Any], wanted: set[str]
) -> None:
    for session in sessions:
        if session["function"] != name:
            rule = f"must hold runs of {name} to be continued, but has those of another function"
            raise reject("path", f"{path.name}, of {session['function']}", rule, _OTHER_FILE)
    foreign = [key for key in known if key not in wanted]
    if foreign:
        rule = f"must hold no runs but those of `tasks`, and has {len(foreign)} of other tasks"
        raise reject("path", f"{path.name}, with {foreign[0]}", rule, _OTHER_FILE)


def _check_reproducible(
    path: Path, function: Callable[[dict[str, Any]], Any], run: dict[str, Any]
) -> None:
    (_, again, _) = next(finished(function, [run["task"]], 1))
    if json.loads(_dumps(again)) != run["result"]:
        rule = f"must hold what this code computes, but the run {_key(run['task'])} gives another"
        raise reject("path", path.name, f"{rule} result", _OTHER_FILE)


def _parse(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Provenances and runs of a file, without an unfinished last line."""
    sessions: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    *lines, rest = path.read_bytes().split(b"\n")
    if _is_finished(rest):  # some editors take the last line feed away
        lines.append(rest)
    elif not lines and not rest.startswith(_BEGINNING[: len(rest)]):
        lines.append(rest)  # to be refused: it never was a file of runs
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            kind = set(entry)
        except (ValueError, TypeError):
            kind = set()
        if kind == {"provenance"}:
            sessions.append(entry["provenance"])
        elif kind == {"task", "result", "seconds"} and sessions:
            runs.append(entry)
        else:
            place = f"line {number} of {path.name}: {line[:60].decode(errors='replace')}"
            raise reject("path", place, "must be a file of runs made by run_all", _OTHER_FILE)
    _refuse_repeats("path", [_key(run["task"]) for run in runs], _OTHER_FILE)
    return sessions, runs


def _is_finished(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@contextmanager
def _alone(path: Path) -> Iterator[IO[bytes]]:
    """Open for appending what no other process appends to; leave no empty file behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _lock(file, path)
        try:
            yield file
        finally:
            if file.seek(0, os.SEEK_END) == 0:
                path.unlink()


def _mend(file: IO[bytes]) -> None:
    """Take an unfinished last line away, so that the next one begins on its own."""
    file.seek(0)
    text = file.read()
    end = text.rfind(b"\n") + 1
    if _is_finished(text[end:]):
        file.write(b"\n")
    else:
        file.truncate(end)


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # there are no such locks on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        rule = "must be free, but another process is writing to it"
        raise reject("path", path.name, rule, "Wait for it, or choose another file.") from error


def _append(file: IO[bytes], entry: dict[str, Any]) -> dict[str, Any]:
    """Write one line at once; return the entry as it will be read."""
    line = _dumps(entry)
    file.write(line.encode() + b"\n")
    file.flush()
    return json.loads(line)


def _dumps(entry: object) -> str:
    return json.dumps(entry, default=_plain)


def _plain(value: Any) -> Any:
    """Express NumPy and JAX numbers and arrays in plain Python."""
    if not hasattr(value, "tolist"):
        msg = f"A result must be what JSON can express, but it holds {value!r}. Convert it."
        raise TypeError(msg)
    return value.tolist()
