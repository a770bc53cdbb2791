"""The book in one archive: notebooks that run wherever Python does."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
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
        wheel = _build_wheel(book, top)
        (top / "README.md").write_text(README.format(wheel=wheel.name), encoding="utf-8")
        for chapter in book.chapters:
            toolchain.write_notebook(chapter.notebook, top / f"{chapter.stem}.ipynb")
        if (book.root / "results").is_dir():
            shutil.copytree(book.root / "results", top / "results")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(top.rglob("*")):
                archive.write(path, path.relative_to(folder))


def _build_wheel(book: Book, folder: Path) -> Path:
    """Build the library; the sources are copied, since the build leaves files beside them."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("lib", "pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
            source, clean = book.root / name, shutil.ignore_patterns("__pycache__", "*.egg-info")
            if source.is_dir():
                shutil.copytree(source, Path(copy, name), ignore=clean)
            else:
                shutil.copy(source, copy)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
        command = [sys.executable, "-m", "pip", "wheel", *options, copy]
        subprocess.run(command, check=True)  # noqa: S603 - all of it is written here
    [wheel] = folder.glob("*.whl")
    return wheel
