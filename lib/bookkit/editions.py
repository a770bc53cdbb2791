"""The book in one archive: notebooks that run wherever Python does."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bookkit import toolchain
from bookkit.chapters import Book

README = """\
# The notebooks of the book

Every notebook runs from top to bottom in an environment of its own:

    python3 -m venv environment
    environment/bin/python -m pip install jupyterlab "{wheel}[chapters]" myst-nb
    environment/bin/jupyter lab

Python 3.11, 3.12 or 3.13 is needed. The wheel beside this file has the library `overparam` and
what the notebooks import from `bookkit`; the other packages are downloaded. The folder `results`
holds the outcome of runs that are too long for a notebook, with the commands that made them.
References from one chapter to another lead somewhere only in the book.
"""


def pack_notebooks(book: Book, target: Path) -> None:
    """Write all chapters, the library as a wheel and a README to one archive.

    Parameters
    ----------
    book
        The book.
    target
        The archive to write, such as ``notebooks/notebooks.zip``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder, "notebooks")
        wheel = _wheel(book)
        top.mkdir()
        shutil.copy(wheel, top)
        (top / "README.md").write_text(README.format(wheel=wheel.name), encoding="utf-8")
        for chapter in book.chapters:
            toolchain.write_notebook(chapter.notebook, top / f"{chapter.stem}.ipynb")
        if (book.root / "results").is_dir():
            shutil.copytree(book.root / "results", top / "results")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(top.rglob("*")):
                archive.write(path, path.relative_to(folder))


def _wheel(book: Book) -> Path:
    """Build the library, or find the wheel that was built from the same sources."""
    names = ("lib", "pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT")
    digest = hashlib.sha256()
    sources = _files(book.root, names)
    for path in sources:
        digest.update(path.relative_to(book.root).as_posix().encode() + b"\0" + path.read_bytes())
    kept = book.root / "_build" / "wheel" / digest.hexdigest()[:16]
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            # From a copy, since the build leaves files beside the sources.
            for path in sources:
                copy = Path(folder, "copy", path.relative_to(book.root))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
            made = Path(folder, "made")
            options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(made)]
            command = [sys.executable, "-m", "pip", "wheel", *options, str(made.with_name("copy"))]
            subprocess.run(command, check=True)  # noqa: S603 - all of it is written here
            # Another build of the same sources may have been faster.
            with contextlib.suppress(OSError):
                made.rename(kept)
    [wheel] = kept.glob("*.whl")
    return wheel


def _files(root: Path, names: Sequence[str]) -> list[Path]:
    """List the files of some folders, and some files, without what programs leave there."""
    found = [path for name in names for path in (root / name, *(root / name).rglob("*"))]
    left = ("__pycache__", ".egg-info")
    return sorted(
        path for path in found if path.is_file() and not any(x in str(path) for x in left)
    )
