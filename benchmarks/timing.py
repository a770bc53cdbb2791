"""Ratios that a busy machine does not change: CPU time, interleaved, in shuffled order.

Every route is measured right after the base that it is compared with, and the ratio is the median
over repeats. The clock counts the CPU time of this thread, which waiting does not advance; linear
algebra is limited to this thread, so nothing escapes it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

_LEAST = 2e-3  # seconds for which a call is repeated: shorter times are not trusted


@dataclass(frozen=True)
class Measured:
    """Times of one route.

    Attributes
    ----------
    seconds : float
        Least CPU time of one call.
    ratio, low, high : float
        Median, first and third quartile of the time divided by that of the base.
    """

    seconds: float
    ratio: float
    low: float
    high: float


def cpu_seconds(function: Callable[[], object], least: float = 0.0) -> float:
    """CPU time of a call, the mean over as many as `least` seconds take."""
    calls, start = 0, time.thread_time()
    while True:
        function()
        calls += 1
        spent = time.thread_time() - start
        if spent >= least:
            return spent / calls


def interleaved(
    base: Callable[[], object], routes: dict[str, Callable[[], object]], repeats: int
) -> dict[str, Measured]:
    """Measure routes against a base.

    Parameters
    ----------
    base : callable
        Measured again before every single measurement.
    routes : dict of callable
        What to measure, by name.
    repeats : int
        How often each is measured. Routes that take more than a second are measured three times.

    Returns
    -------
    dict of Measured
        In the order of `routes`.
    """
    rng = np.random.default_rng(0)
    ratios: dict[str, list[float]] = {name: [] for name in routes}
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    with threadpool_limits(1):
        for route in (base, *routes.values()):
            route()
        for repeat in range(repeats):
            for name in rng.permutation(list(routes)).tolist():
                if repeat >= 3 and seconds[name][0] > 1:
                    continue
                unit = cpu_seconds(base, _LEAST)
                spent = cpu_seconds(routes[name], _LEAST)
                seconds[name].append(spent)
                ratios[name].append(spent / unit)
    return {
        name: Measured(
            min(seconds[name]), *(float(np.quantile(ratios[name], q)) for q in (0.5, 0.25, 0.75))
        )
        for name in routes
    }
