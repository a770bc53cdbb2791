"""The notebooks of the archive run from top to bottom where there is nothing but the archive.

It takes minutes, so that `make notebooks-check` runs it by itself.
"""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bookkit import editions
from bookkit.chapters import Book

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(2400)]

BOOK = Book.around(Path(__file__))
JOBS = int(os.environ.get("JOBS", "2"))
LONGEST = 900  # seconds; no notebook needs a tenth of it


def run(command, folder):
    """Run a command with nothing of this project, or of the user, in its environment."""
    ours = ("PYTHON", "PYTEST", "JUPYTER", "IPYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # As in the build: one thread for each kernel.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [*map(str, command)],
        check=False,
        cwd=folder,
        env={**kept, **threads, "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
    )


def locked_versions():
    """The lock file without its digests, which a wheel made here cannot have."""
    lock = (BOOK.root / "requirements.lock").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^[\w.-]+==[^\\\n]+", lock, re.MULTILINE))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Folder of the unpacked archive, with an environment made as its README says."""
    root = tmp_path_factory.mktemp("reader")
    editions.pack_notebooks(BOOK, root / "notebooks.zip")
    with zipfile.ZipFile(root / "notebooks.zip") as archive:
        archive.extractall(root)
    folder = root / "notebooks"
    (root / "tested.txt").write_text(locked_versions(), encoding="utf-8")
    commands = re.findall(r"^ {4}(\S.*)$", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    create, install, _ = map(shlex.split, commands)
    assert run([sys.executable, *create[1:]], folder).returncode == 0
    install.remove("jupyterlab")  # Notebooks are executed here, and not looked at.
    installed = run([*install, "--quiet", "--constraint", root / "tested.txt"], folder)
    if installed.returncode != 0:
        message = f"NOT TESTED: what the notebooks need is not installed:\n{installed.stdout}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return folder


def test_the_library_is_that_of_the_archive(unpacked):
    command = "import overparam.networks, bookkit; print(overparam.__file__, bookkit.__file__)"
    found = run(["environment/bin/python", "-c", command], unpacked)
    assert found.stdout.count(str(unpacked / "environment")) == 2, found.stdout


def test_every_notebook_runs_from_top_to_bottom(unpacked):
    def execute(notebook):
        done = run(["environment/bin/jupyter", "execute", notebook.name], unpacked)
        return None if done.returncode == 0 else f"{notebook.name}\n{done.stdout[-3000:]}"

    notebooks = sorted(unpacked.glob("*.ipynb"))
    assert [path.stem for path in notebooks] == [chapter.stem for chapter in BOOK.chapters]
    with ThreadPoolExecutor(JOBS) as pool:
        failures = [failure for failure in pool.map(execute, notebooks) if failure]
    assert not failures, "\n\n".join(failures)
