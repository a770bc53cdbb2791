"""Executing chapters: only what is stale, side by side, once for all uses.

An executed notebook carries a record of everything it was computed from. The
chapter is executed again when any of it has changed: its code, a file of the
library that it imported or read, the locked dependencies, or the version of
Python. Captions, alternative texts and prose are not in the record.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bookkit import toolchain
from bookkit.chapters import Chapter
from bookkit.evidence import CLAIM_MIME, FIGURE_MIME, Evidence
from bookkit.kernel import PROBE_MIME

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from sphinx.application import Sphinx

# Tags that change what a cell does; all others change how it looks.
_ACTING_TAGS: Final = {"raises-exception", "skip-execution"}
_KERNEL: Final = '__import__("bookkit.kernel", fromlist=["kernel"])'


class ChapterError(Exception):
    """A chapter that does not execute."""


def is_fresh(chapter: Chapter) -> bool:
    """Return whether the executed notebook is what execution would give."""
    if not chapter.executed.exists():
        return False
    record = _record(chapter)
    return all(record.get(key) == value for key, value in _inputs(chapter).items()) and all(
        _digest(chapter.book.root / name) == digest for name, digest in record["files"].items()
    )


def execute(chapter: Chapter) -> None:
    """Execute a chapter and keep the result.

    Raises
    ------
    ChapterError
        If a cell raises an error or runs out of time; the message has the
        place and the traceback.
    """
    root = str(chapter.book.root)
    notebook = deepcopy(chapter.notebook)
    # The chapter sits between two cells of ours, which are removed again.
    notebook.cells = [
        toolchain.new_cell(f"{_KERNEL}.prepare({root!r})"),
        *(cell for cell in notebook.cells if cell.cell_type == "code"),
        toolchain.new_cell(f"{_KERNEL}.report({root!r})"),
    ]
    draft = chapter.executed.with_suffix(f".{os.getpid()}.draft")
    toolchain.write_notebook(notebook, draft)
    start = time.perf_counter()
    try:
        result = toolchain.run_notebook(draft)
    finally:
        draft.unlink()
    seconds = time.perf_counter() - start
    if result.error is not None:
        raise ChapterError(_failure(chapter, result.error))
    executed = result.nb
    *cells, probe = executed.cells[1:]
    for number, cell in enumerate(cells, start=1):
        cell.execution_count = number
        cell.metadata.pop("execution", None)
    executed.cells = cells
    found = probe.outputs[0].data[PROBE_MIME]
    executed.metadata["bookkit"] = {
        **_inputs(chapter),
        "files": {
            _portable(Path(file), chapter.book.root): _digest(Path(file)) for file in found["files"]
        },
        "seconds": round(seconds, 1),
        "processor_seconds": found["processor_seconds"],
    }
    toolchain.write_notebook(executed, chapter.executed)


def execute_stale(
    chapters: Sequence[Chapter],
    *,
    say: Callable[[str], None] = print,
    force: bool = False,
) -> list[Chapter]:
    """Execute the stale chapters side by side; return those.

    Parameters
    ----------
    chapters
        The chapters to consider.
    say
        Called with a line of progress now and then.
    force
        Execute fresh chapters too.

    Raises
    ------
    ChapterError
        If chapters failed, when all the others are done.
    """
    stale = [c for c in chapters if force or not is_fresh(c)]
    failures = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        futures = {pool.submit(execute, chapter): chapter for chapter in stale}
        if stale:
            say(f"executing {', '.join(c.stem for c in stale)}")
        for done, future in enumerate(as_completed(futures), start=1):
            chapter = futures[future]
            progress = f"[{done}/{len(stale)}] {chapter.stem}"
            try:
                future.result()
            except ChapterError as error:
                failures.append(str(error))
                say(f"{progress} FAILED")
            else:
                say(f"{progress} executed in {seconds(chapter):.0f} s")
    if failures:
        raise ChapterError("\n\n".join(failures))
    return stale


def outputs(chapter: Chapter, app: "Sphinx | None" = None) -> "NotebookNode":
    """Return the chapter as it is now, with the outputs of its execution."""
    if app is None:
        notebook = deepcopy(chapter.notebook)
    else:
        notebook = toolchain.read_notebook(chapter.text, chapter.path, app)
    stored = toolchain.load_notebook(chapter.executed)
    targets = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for target, source in zip(targets, stored.cells, strict=True):
        if target.source != source.source:
            raise ChapterError(f"{chapter.stem} has changed since it was executed")
        target.outputs = source.outputs
        target.execution_count = source.execution_count
    notebook.metadata["language_info"] = stored.metadata["language_info"]
    return notebook


def evidence(chapter: Chapter) -> Evidence:
    """Return the figures and claims of an executed chapter."""
    return Evidence.from_cells(toolchain.load_notebook(chapter.executed).cells)


def seconds(chapter: Chapter) -> float:
    """Return how long the execution of a chapter took."""
    return float(_record(chapter)["seconds"])


def processor_seconds(chapter: Chapter) -> float:
    """Return how long a processor was busy with the execution of a chapter."""
    return float(_record(chapter)["processor_seconds"])


def _record(chapter: Chapter) -> Mapping[str, Any]:
    record: Mapping[str, Any] = toolchain.load_notebook(chapter.executed).metadata["bookkit"]
    return record


def publish(chapter: Chapter, app: "Sphinx") -> None:
    """Hand the outputs to MyST-NB, so that a build executes nothing."""
    notebook = outputs(chapter, app)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for mime in (CLAIM_MIME, FIGURE_MIME):
                output.get("data", {}).pop(mime, None)
    toolchain.publish(notebook, chapter.path, seconds(chapter), app)


def _inputs(chapter: Chapter) -> dict[str, Any]:
    """Everything that determines the outputs, except the files it reads."""
    code = [
        (cell.source, sorted(_ACTING_TAGS & set(cell.metadata.get("tags", ()))))
        for cell in chapter.cells
    ]
    return {
        "code": hashlib.sha256(repr(code).encode()).hexdigest(),
        "lock": _digest(chapter.book.root / "requirements.lock"),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _digest(file: Path) -> str | None:
    """Digest of the content of a file; None if there is no such file."""
    if not file.exists():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _portable(file: Path, root: Path) -> str:
    """Path within the book, so that the book can be moved or cached."""
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _failure(chapter: Chapter, error: Any) -> str:
    number = error.failing_cell_index  # one cell of ours comes first
    cells = chapter.cells
    place = chapter.at(cells[number - 1].line if number <= len(cells) else 1)
    trace = re.sub(r"\x1b\[[\d;]*m", "", error.trace)
    return f"{place}: code cell {number} of {len(cells)} failed\n{trace}"


def book_evidence(chapters: Iterable[Chapter]) -> dict[str, Evidence]:
    """Return the evidence of executed chapters by stem."""
    return {chapter.stem: evidence(chapter) for chapter in chapters}
