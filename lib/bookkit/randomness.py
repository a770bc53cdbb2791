"""Reproducible randomness: one book seed, one stream for each purpose."""

import hashlib

import numpy as np

BOOK_SEED = 2021


def seed(chapter: str, figure: str) -> np.random.SeedSequence:
    """Return the seed of one figure or experiment of one chapter.

    The streams of different (chapter, figure) pairs are independent, and no
    stream changes when chapters or figures are added, moved or removed.

    Parameters
    ----------
    chapter
        Slug of the chapter: its file name without number and suffix.
    figure
        Slug of the figure, or any other name of the experiment.

    Returns
    -------
    numpy.random.SeedSequence
        To be passed to ``numpy.random.default_rng``, or spawned into one child
        for each replicate.

    Raises
    ------
    ValueError
        If `chapter` or `figure` is empty.

    Examples
    --------
    >>> a = np.random.default_rng(seed("the-law", "fig-law-risk"))
    >>> b = np.random.default_rng(seed("the-law", "fig-law-risk"))
    >>> bool(a.normal() == b.normal())
    True
    """
    for name, value in (("chapter", chapter), ("figure", figure)):
        if not value:
            raise ValueError(f"`{name}` must not be empty: it names the random stream")
    # A cryptographic digest, because hash() differs from process to process.
    digest = hashlib.sha256(f"{chapter}\n{figure}".encode()).digest()
    words = np.frombuffer(digest[:16], dtype="<u4")
    return np.random.SeedSequence([BOOK_SEED, *words.tolist()])
