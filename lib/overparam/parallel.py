"""Independent pieces of work on any joblib backend, handed over as they are finished.

Results depend on the pieces alone: linear algebra runs on one thread inside a piece, and how pieces
are grouped into jobs, which follows the time they take, decides only who computes them.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

from overparam._validation import reject

_TARGET = 0.2  # seconds of work for each job, against milliseconds for sending it
_GROUPS = 32  # what is left is divided into at least so many


def finished(
    function: Callable[[Any], Any], items: Sequence[Any], n_jobs: int, backend: str | None = None
) -> Iterator[tuple[int, Any, float]]:
    """Apply a function to items and yield results as they are finished.

    Parameters
    ----------
    function : callable
        ``function(item)``, with no other input and no other effect. With several jobs it must be
        picklable by joblib (functions of a notebook are).
    items : sequence
        What to apply it to.
    n_jobs : int
        As in joblib: a number of workers, or -1 for all cores. A cluster uses all its workers.
    backend : str, optional
        A backend of joblib: ``"loky"``, ``"threading"``, ``"multiprocessing"``, or ``"dask"`` or
        ``"ray"`` with a cluster that this process is connected to. By default the ambient one,
        which is processes (loky) unless `joblib.parallel_config` says otherwise.

    Yields
    ------
    position : int
        Of the item.
    result : object
        What the function returned.
    seconds : float
        How long it took.

    Raises
    ------
    ValueError
        If `n_jobs` is zero or no integer, or `backend` is no string.

    Examples
    --------
    >>> sorted((position, result) for position, result, _ in finished(abs, [-3, 2], n_jobs=1))
    [(0, 3), (1, 2)]
    """
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, (int, np.integer)) or n_jobs == 0:
        raise reject("n_jobs", n_jobs, "must be a non-zero integer", "Pass 1, or -1 for all cores.")
    if backend is not None and not isinstance(backend, str):
        raise reject("backend", backend, "must be a string", "Pass 'loky' or 'dask', for example.")
    return _finished(function, items, int(n_jobs), backend)


def _finished(
    function: Callable[[Any], Any], items: Sequence[Any], n_jobs: int, backend: str | None
) -> Iterator[tuple[int, Any, float]]:
    if backend == "ray":
        import_module("ray.util.joblib").register_ray()
    # Workers that are threads share this limit of the process.
    with parallel_config(backend) if backend else nullcontext(), threadpool_limits(1):
        pace = _Pace(len(items))
        home = os.getpid()
        jobs = (
            delayed(_run)(function, begin, items[begin:end], home) for begin, end in pace.groups()
        )
        for begin, results in _stream(jobs, n_jobs):
            pace.seconds += sum(seconds for _, seconds in results)
            pace.done += len(results)
            for offset, (result, seconds) in enumerate(results):
                yield begin + offset, result, seconds


def _stream(jobs: Iterator[Any], n_jobs: int) -> Iterator[Any]:
    """Run jobs; where the backend (multiprocessing, ray) hands over none early, round by round."""
    if getattr(get_active_backend()[0], "supports_return_generator", True):
        yield from Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")(jobs)
        return
    with Parallel(n_jobs=n_jobs, batch_size=1) as workers:
        while batch := list(islice(jobs, 2 * effective_n_jobs(n_jobs))):
            yield from workers(batch)


class _Pace:
    """Groups items so that a group is worth sending, and no worker is left with much at the end."""

    def __init__(self, items: int) -> None:
        self.items, self.done, self.seconds = items, 0, 0.0

    def groups(self) -> Iterator[tuple[int, int]]:
        """Yield the bounds of the next group, while results come in."""
        begin = 0
        while begin < self.items:
            worthwhile = int(_TARGET * self.done / max(self.seconds, 1e-9))
            end = begin + max(1, min(worthwhile, (self.items - begin) // _GROUPS))
            yield begin, end
            begin = end


def _run(
    function: Callable[[Any], Any], begin: int, items: Sequence[Any], home: int
) -> tuple[int, list[tuple[Any, float]]]:
    results = []
    with nullcontext() if os.getpid() == home else threadpool_limits(1):
        for item in items:
            start = time.perf_counter()
            try:
                result = function(item)
            except Exception as error:
                error.add_note(f"This happened for {item!r}.")
                raise
            results.append((result, time.perf_counter() - start))
    return begin, results


class Progress:
    """Says how much is done, how fast it goes and how long it will still take.

    Parameters
    ----------
    total : int
        Number of pieces.
    done : int
        How many of them were finished before.
    say : callable or None
        Receives a sentence, at most every second and at the end.
    noun : str
        What a piece is called.

    Examples
    --------
    >>> progress = Progress(3, 2, print, "runs")
    >>> progress.step()  # doctest: +ELLIPSIS
    3 of 3 runs (2 found finished), ...
    """

    def __init__(self, total: int, done: int, say: Callable[[str], Any] | None, noun: str) -> None:
        self._total, self._found, self._say, self._noun = total, done, say, noun
        self._fresh = 0
        self._start = time.monotonic()
        self._spoken = -np.inf

    def step(self) -> None:
        """Count one more piece, and speak if it is time."""
        self._fresh += 1
        now, done = time.monotonic(), self._found + self._fresh
        if self._say is None or (done < self._total and now < self._spoken + 1):
            return
        self._spoken = now
        elapsed = max(now - self._start, 1e-9)
        found = f" ({self._found} found finished)" if self._found else ""
        ahead = duration(elapsed / self._fresh * (self._total - done))
        end = f"{ahead} left" if done < self._total else f"took {duration(elapsed)}"
        rate = self._fresh / elapsed
        pace = f"{rate:.3g} a second" if rate >= 1 else f"{60 * rate:.3g} a minute"
        self._say(f"{done} of {self._total} {self._noun}{found}, {pace}, {end}")


def duration(seconds: float) -> str:
    """Write a time span in the unit that suits it.

    Parameters
    ----------
    seconds : float
        At least 0.

    Returns
    -------
    str
        Such as ``"7 s"``, ``"12 min"`` or ``"3.5 h"``.

    Examples
    --------
    >>> duration(0.4), duration(75), duration(720), duration(12600)
    ('0.4 s', '75 s', '12 min', '3.5 h')
    """
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
