"""Chapters as tests: ``pytest --nbmake chapters``.

Every chapter is one test. It is executed if it is stale; then its claims, its
form and the numbers behind its figures are checked. Works under pytest-xdist.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bookkit.chapters import Book, Chapter
from bookkit.claims import BUDGET, Z_LIMIT
from bookkit.kernel import SECONDS


class ChapterCheckError(Exception):
    """A chapter that fails its checks."""


class ChapterItem(pytest.Item):
    """The test of one chapter."""

    nbmake = True

    def __init__(self, *, chapter: Chapter, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chapter = chapter

    def runtest(self) -> None:
        """Execute the chapter if it is stale, and check it."""
        # Imported here, so that other tests start without the Jupyter tools.
        from bookkit import checks, execution

        chapter = self.chapter
        executed = execution.execute_stale([chapter], say=lambda _: None)
        claims = execution.evidence(chapter).claims
        summary = {
            "chapter": chapter.stem,
            "executed": bool(executed),
            "seconds": execution.processor_seconds(chapter),
            "claims": len(claims),
            "comparisons": sum(c.comparisons for c in claims if c.kind == "statistical"),
            "worst": max(
                (c.worst or 0 for c in claims if c.kind == "statistical"),
                default=0.0,
            ),
        }
        self.user_properties.append(("bookkit", summary))
        if problems := checks.check(chapter):
            raise ChapterCheckError("\n".join(problems))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """Show the problems of the chapter instead of our own code."""
        from bookkit.execution import ChapterError

        if isinstance(excinfo.value, ChapterCheckError | ChapterError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the chapter in the report."""
        return self.path, None, f"chapter {self.chapter.stem}"


class ChapterFile(pytest.File):
    """A file that holds one chapter."""

    def collect(self) -> Iterator[ChapterItem]:
        """Yield the test of the chapter."""
        chapter = Chapter(Book(self.config.rootpath), self.path)
        yield ChapterItem.from_parent(self, name=chapter.stem, chapter=chapter)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ChapterFile | None:
    """Collect the chapters when ``--nbmake`` is given."""
    if not parent.config.getoption("--nbmake", default=False) or file_path.suffix != ".md":
        return None
    if file_path not in {chapter.path for chapter in Book(parent.config.rootpath).chapters}:
        return None
    return ChapterFile.from_parent(parent, path=file_path)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum up the evidence of the chapters that were tested."""
    summaries = [
        value
        for status in ("passed", "failed")
        for report in terminalreporter.getreports(status)
        for name, value in report.user_properties
        if name == "bookkit"
    ]
    if not summaries:
        return
    executed = sum(s["executed"] for s in summaries)
    dearest = max(summaries, key=lambda s: s["seconds"])
    terminalreporter.write_line(
        f"bookkit: {len(summaries)} chapters ({executed} executed, "
        f"{len(summaries) - executed} reused), "
        f"{sum(s['claims'] for s in summaries)} claims, "
        f"{sum(s['comparisons'] for s in summaries)} comparisons of {BUDGET}, "
        f"worst |z| {max(s['worst'] for s in summaries):.1f} of {Z_LIMIT:.1f}"
    )
    terminalreporter.write_line(
        f"bookkit: {sum(s['seconds'] for s in summaries):.0f} s of one processor, "
        f"dearest {dearest['chapter']} {dearest['seconds']:.0f} s of {SECONDS} s"
    )
