"""The only module that touches MyST-NB, jupyter-cache and nbmake internals.

The functions used here are not part of the published interface of these
tools, so their versions are checked before anything is done. They are imported
where they are used: together they take a second to load.
"""

import asyncio
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nbformat
from nbformat import NotebookNode

if TYPE_CHECKING:
    from nbmake.nb_result import NotebookResult
    from sphinx.application import Sphinx

TESTED: Final = {"myst-nb": "1.4", "jupyter-cache": "1.0", "nbmake": "1.5"}

# No cell may run longer, in seconds; a chapter has a budget of 60 in all.
CELL_TIMEOUT: Final = 300


def check_versions() -> None:
    """Raise `RuntimeError` if a tool is not of a tested version."""
    for tool, tested in TESTED.items():
        found = version(tool)
        if not found.startswith(tested + "."):
            raise RuntimeError(
                f"{tool} {found} is installed, but the book was tested with "
                f"{tested}: install requirements.lock, or run tests/book with "
                "the new version and then change bookkit/toolchain.py"
            )


def is_notebook(text: str) -> bool:
    """Return whether a Markdown text is a MyST notebook."""
    from myst_nb.core.read import is_myst_markdown_notebook

    return bool(is_myst_markdown_notebook(text))


def read_notebook(text: str, path: Path, app: "Sphinx | None" = None) -> NotebookNode:
    """Read a MyST notebook exactly as MyST-NB does.

    With `app`, its Markdown settings are used. The metadata entry
    ``source_map`` has the line, counted from zero, where each cell starts.
    """
    from myst_nb.core.read import read_myst_markdown_notebook

    # MyST-Parser keeps its settings on Sphinx's environment.
    config = app.env.myst_config if app else None  # type: ignore[attr-defined]
    notebook: NotebookNode = read_myst_markdown_notebook(
        text, config, add_source_map=True, path=path
    )
    return notebook


def run_notebook(path: Path) -> "NotebookResult":
    """Execute the notebook at `path` through nbmake, in its own kernel."""
    from jupyter_core.utils import ensure_event_loop
    from nbmake.nb_run import NotebookRun

    check_versions()
    _configure_kernels(path.parent / ".ipython")
    try:
        return NotebookRun(path, CELL_TIMEOUT).execute()
    finally:
        # The client leaves its event loop open, and tasks in it after a timeout.
        loop = ensure_event_loop()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _configure_kernels(folder: Path) -> None:
    """Give the kernels a profile of their own, not that of the user.

    Start-up files of the user must not change what a chapter computes.
    """
    profile = folder / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(
        # Kernels talk over the loopback device; their warning about it, and
        # a history that nobody reads, are of no use here.
        "c.IPKernelApp.log_level = 'ERROR'\nc.HistoryManager.enabled = False\n",
        encoding="utf-8",
    )
    os.environ["IPYTHONDIR"] = str(folder)


def publish(notebook: NotebookNode, path: Path, seconds: float, app: "Sphinx") -> None:
    """Store an executed notebook where MyST-NB will look for it.

    The key of the cache consists of the sources and all metadata of the code
    cells. `notebook` must therefore come from `read_notebook` with `app`, with
    nothing changed but its outputs. An older entry is overwritten: the key
    does not see changes of the library.
    """
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    check_versions()
    # MyST-NB keeps its settings on Sphinx's environment.
    config = app.env.mystnb_config  # type: ignore[attr-defined]
    cache = get_cache(config.execution_cache_path)
    cache.cache_notebook_bundle(
        CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds}),
        check_validity=False,
        overwrite=True,
    )


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook as JSON, in one step that cannot be seen half done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    nbformat.write(notebook, partial)  # type: ignore[no-untyped-call]
    partial.replace(path)


def load_notebook(path: Path) -> NotebookNode:
    """Read a notebook that `write_notebook` wrote: it was found valid then."""
    text = path.read_text(encoding="utf-8")
    notebook: NotebookNode = nbformat.v4.reads(text)  # type: ignore[no-untyped-call]
    return notebook


def new_cell(source: str) -> NotebookNode:
    """Make a code cell."""
    cell: NotebookNode = nbformat.v4.new_code_cell(source)  # type: ignore[no-untyped-call]
    return cell
