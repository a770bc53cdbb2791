"""The experiment: independent replicates, each with a random stream of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from overparam._validation import Array, count, real_array, reject
from overparam.parallel import Progress, finished
from overparam.runs import run_all

_LARGEST = 1e150  # squares of samples must not overflow


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """Result of a simulation: a mean never comes without its standard error.

    Attributes
    ----------
    samples : ndarray of shape (replicates, ...)
        What each replicate measured, at least 2 replicates.

    Raises
    ------
    ValueError
        If there are fewer than 2 replicates, or a sample is not finite or beyond 1e150.

    Examples
    --------
    >>> result = MonteCarlo(np.array([1.0, 2.0, 3.0]))
    >>> float(result.mean), round(float(result.standard_error), 6)
    (2.0, 0.57735)
    """

    samples: Array

    def __post_init__(self) -> None:
        samples = real_array("samples", self.samples, (1, 2, 3, 4))
        count("len(samples)", len(samples), minimum=2)
        if np.abs(samples).max() > _LARGEST:
            raise reject("samples", samples, f"must be within {_LARGEST:g}", "Rescale them.")
        object.__setattr__(self, "samples", samples)

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return int(self.samples.shape[0])

    @property
    def mean(self) -> Array:
        """Mean over replicates, shape (...)."""
        return np.mean(self.samples, axis=0)

    @property
    def standard_error(self) -> Array:
        """Standard deviation over replicates (n - 1 form) divided by sqrt(replicates)."""
        return np.std(self.samples, axis=0, ddof=1) / np.sqrt(self.replicates)

    def z_score(self, predicted: ArrayLike) -> Array:
        """Distance of the mean from a prediction in standard errors.

        Parameters
        ----------
        predicted : array_like of shape (...)
            Broadcast to the shape of the mean.

        Returns
        -------
        ndarray of shape (...)
            ``(mean - predicted) / standard_error``.

        Raises
        ------
        ValueError
            If a standard error is zero, so that no z-score exists, or `predicted` is not finite or
            of another shape.

        Examples
        --------
        >>> round(float(MonteCarlo(np.array([1.0, 2.0, 3.0])).z_score(1.0)), 6)
        1.732051
        """
        target = real_array("predicted", predicted, (0, 1, 2, 3))
        error = self.standard_error
        pairs = zip(target.shape[::-1], error.shape[::-1], strict=False)
        if target.ndim > error.ndim or any(ours not in (1, mean) for ours, mean in pairs):
            rule = f"must broadcast to {error.shape}, the shape of the mean"
            raise reject("predicted.shape", target.shape, rule, "Pass one number for each mean.")
        if not np.all(error > 0):
            raise reject(
                "standard_error", error, "must be positive", "Compare a constant directly."
            )
        with np.errstate(over="ignore"):
            score = (self.mean - target) / error
        if not np.all(np.isfinite(score)):
            raise reject("predicted", target, f"must be within {_LARGEST:g}", "Rescale it.")
        return score


def simulate(
    experiment: Callable[[np.random.Generator], ArrayLike],
    replicates: int,
    seed: int | np.random.SeedSequence,
    n_jobs: int = 1,
    *,
    backend: str | None = None,
    progress: Callable[[str], Any] | None = None,
    path: str | PathLike[str] | None = None,
) -> MonteCarlo:
    """Run independent replicates of an experiment.

    Parameters
    ----------
    experiment : callable
        ``experiment(rng)`` returns a number or an array, of one shape for all replicates. With
        several jobs it must be picklable by joblib (functions of a notebook are).
    replicates : int
        At least 2, so that a standard error exists.
    seed : int or numpy.random.SeedSequence
        Replicate r uses the child with ``spawn_key = (..., r)``; nothing else is random.
    n_jobs : int, optional
        Number of workers as in joblib, -1 for all cores; processes unless `backend` says otherwise.
    backend : str, optional
        A backend of joblib. ``"dask"`` runs on all workers of the Dask cluster that this process
        has a client of, ``"ray"`` on the Ray cluster; by default the ambient one.
    progress : callable, optional
        Such as `print`: receives a sentence with rate and remaining time, at most every second.
    path : path-like, optional
        A file that keeps every finished replicate (see `overparam.runs`): the same call resumes an
        interrupted simulation, and one with more replicates extends it.

    Returns
    -------
    MonteCarlo
        Bit-identical for every `n_jobs`, backend and number of BLAS threads, interrupted or not, on
        processors of one kind: linear algebra runs on one thread inside a replicate, and results
        are collected in order.

    Raises
    ------
    ValueError
        If `replicates` is less than 2, `seed` is no seed, a replicate returns a value that is not
        finite, or `path` holds anything but replicates of this experiment: one of them is repeated
        to make sure.

    Examples
    --------
    >>> result = simulate(lambda rng: rng.standard_normal(1000).mean(), replicates=100, seed=1)
    >>> bool(abs(result.z_score(0.0)) < 5)
    True
    """
    replicates = count("replicates", replicates, minimum=2)
    root = _seed_sequence(seed)
    entropy = [int(word) for word in np.atleast_1d(np.asarray(root.entropy, dtype=object))]
    samples: list[ArrayLike] = [0.0] * replicates
    if path is None:
        report = Progress(replicates, 0, progress, "replicates")
        work = partial(_replicate, experiment, entropy, root.spawn_key)
        for position, sample, _ in finished(work, range(replicates), n_jobs, backend):
            samples[position] = sample
            report.step()
    else:
        stem = {"entropy": entropy, "spawn_key": list(root.spawn_key)}
        results = run_all(
            update_wrapper(partial(_recorded, experiment), experiment),
            [stem | {"replicate": replicate} for replicate in range(replicates)],
            path,
            n_jobs=n_jobs,
            backend=backend,
            progress=progress,
            verify=True,
        )
        samples = [result["sample"] for result in results]
    return MonteCarlo(real_array("experiment(rng)", samples, (1, 2, 3, 4)))


def _replicate(
    experiment: Callable[[np.random.Generator], ArrayLike],
    entropy: list[int],
    spawn_key: Sequence[int],
    replicate: int,
) -> ArrayLike:
    """Run one replicate; stateless, unlike SeedSequence.spawn: the same call, the same stream."""
    word = entropy[0] if len(entropy) == 1 else entropy
    stream = np.random.SeedSequence(word, spawn_key=(*spawn_key, replicate))
    return experiment(np.random.default_rng(stream))


def _recorded(
    experiment: Callable[[np.random.Generator], ArrayLike], task: dict[str, Any]
) -> dict[str, Any]:
    # As real_array will see it: a file must not make a number of what would be refused.
    sample = _replicate(experiment, task["entropy"], task["spawn_key"], task["replicate"])
    return {"sample": real_array("experiment(rng)", sample, (0, 1, 2, 3))}


def _seed_sequence(seed: object) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise reject(
            "seed", seed, "must be an integer >= 0 or a SeedSequence", "Pass seed=0, for example."
        )
    return np.random.SeedSequence(int(seed))
