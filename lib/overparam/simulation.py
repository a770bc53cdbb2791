"""The experiment: independent replicates, each with a random stream of its own."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from overparam._validation import Array, count, real_array, reject

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
            Broadcast against the mean.

        Returns
        -------
        ndarray of shape (...)
            ``(mean - predicted) / standard_error``.

        Raises
        ------
        ValueError
            If a standard error is zero, so that no z-score exists, or `predicted` is not finite.

        Examples
        --------
        >>> round(float(MonteCarlo(np.array([1.0, 2.0, 3.0])).z_score(1.0)), 6)
        1.732051
        """
        target = real_array("predicted", predicted, (0, 1, 2, 3))
        error = self.standard_error
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
        Passed to joblib, whose ambient backend is used (processes by default).

    Returns
    -------
    MonteCarlo
        Bit-identical for every `n_jobs`, backend and number of BLAS threads: linear algebra runs on
        one thread inside a replicate, and results are collected in order.

    Raises
    ------
    ValueError
        If `replicates` is less than 2, `seed` is no seed, or a replicate returns a value that is
        not finite.

    Examples
    --------
    >>> result = simulate(lambda rng: rng.standard_normal(1000).mean(), replicates=100, seed=1)
    >>> bool(abs(result.z_score(0.0)) < 5)
    True
    """
    replicates = count("replicates", replicates, minimum=2)
    root = _seed_sequence(seed)
    # Stateless, unlike root.spawn(): the same call gives the same streams again.
    streams = [
        np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, replicate))
        for replicate in range(replicates)
    ]
    # Several chunks for each worker even out their load; limiting threads costs once for a chunk.
    workers = effective_n_jobs(n_jobs)
    size = replicates if workers == 1 else max(1, replicates // (8 * workers))
    chunks = [streams[begin : begin + size] for begin in range(0, replicates, size)]
    with threadpool_limits(1):  # workers that are threads share this limit
        results = Parallel(n_jobs=n_jobs)(delayed(_run)(experiment, chunk) for chunk in chunks)
    samples = [sample for result in results for sample in result]
    return MonteCarlo(real_array("experiment(rng)", samples, (1, 2, 3, 4)))


def _run(
    experiment: Callable[[np.random.Generator], ArrayLike], streams: list[np.random.SeedSequence]
) -> list[ArrayLike]:
    with threadpool_limits(1):
        return [experiment(np.random.default_rng(stream)) for stream in streams]


def _seed_sequence(seed: object) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise reject(
            "seed", seed, "must be an integer >= 0 or a SeedSequence", "Pass seed=0, for example."
        )
    return np.random.SeedSequence(int(seed))
