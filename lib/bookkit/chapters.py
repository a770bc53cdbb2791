"""The sources of the book: chapters, their cells and their statements."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from bookkit.toolchain import is_notebook, read_notebook

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Statements that must carry evidence; definitions and remarks claim nothing.
CLAIMING: Final = (
    "theorem",
    "lemma",
    "proposition",
    "corollary",
    "conjecture",
)


@dataclass(frozen=True)
class Cell:
    """A code cell of a chapter: source, first line in the file, metadata."""

    source: str
    line: int
    metadata: dict[str, Any]

    @property
    def figure(self) -> dict[str, str]:
        """Name and caption of the figure that the cell shows."""
        return dict(self.metadata.get("mystnb", {}).get("figure", {}))

    @property
    def alt(self) -> str:
        """Text that says what the figure shows to those who cannot see it."""
        image = self.metadata.get("mystnb", {}).get("image", {})
        return str(image.get("alt", ""))


@dataclass(frozen=True)
class Statement:
    """A theorem, lemma, ... of a chapter.

    Attributes
    ----------
    type, title, label
        As in the source; title and label may be empty.
    line
        Line of the file where it starts.
    status
        Argument of its evidence block; None if there is no such block.
    options
        Options of its evidence block: function, figure, source.
    """

    type: str
    title: str
    label: str
    line: int
    status: str | None
    options: dict[str, str]


@dataclass(frozen=True)
class Chapter:
    """A chapter: one page of the book, which may be a MyST notebook."""

    book: "Book"
    path: Path

    @property
    def stem(self) -> str:
        """File name without suffix, such as ``05-the-law``."""
        return self.path.stem

    @property
    def slug(self) -> str:
        """Name without number, such as ``the-law``."""
        return re.sub(r"^\d+-", "", self.stem)

    @property
    def number(self) -> int | None:
        """Number of the chapter; None for a page without one."""
        match = re.match(r"\d+", self.stem)
        return int(match[0]) if match else None

    @property
    def executed(self) -> Path:
        """Where the executed notebook is kept."""
        return self.book.root / "_build" / "executed" / f"{self.stem}.ipynb"

    @property
    def baselines(self) -> Path:
        """Folder of the committed numbers of its figures."""
        return self.book.baselines / self.stem

    @cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @property
    def is_notebook(self) -> bool:
        """Whether the page has code cells."""
        return is_notebook(self.text)

    @cached_property
    def notebook(self) -> "NotebookNode":
        """The source as a notebook without outputs."""
        return read_notebook(self.text, self.path)

    @cached_property
    def cells(self) -> list[Cell]:
        """The code cells, in order."""
        lines = self.text.splitlines()
        starts = self.notebook.metadata["source_map"]
        return [
            Cell(cell.source, _line_of(cell.source, lines, start), cell.metadata)
            for cell, start in zip(self.notebook.cells, starts, strict=True)
            if cell.cell_type == "code"
        ]

    @cached_property
    def statements(self) -> list[Statement]:
        """The statements that must carry evidence, in order."""
        return list(_statements(self.text.splitlines()))

    def at(self, line: int) -> str:
        """Name a line of this chapter in a message."""
        return f"{self._place}:{line}"

    @cached_property
    def _place(self) -> str:
        return self.path.relative_to(self.book.root).as_posix()


@dataclass(frozen=True)
class Book:
    """A folder with a book: ``chapters``, ``lib`` and ``tests/figures``."""

    root: Path

    @classmethod
    def around(cls, folder: Path) -> Self:
        """Find the book that `folder` is in, by its ``_config.yml``."""
        for candidate in (folder.resolve(), *folder.resolve().parents):
            if (candidate / "_config.yml").exists():
                return cls(candidate)
        raise FileNotFoundError(f"no book here: neither {folder} nor a parent has _config.yml")

    @property
    def baselines(self) -> Path:
        """Folder of the committed numbers of all figures."""
        return self.root / "tests" / "figures"

    @property
    def pages(self) -> list[Chapter]:
        """All pages, by file name."""
        return [Chapter(self, path) for path in sorted((self.root / "chapters").glob("*.md"))]

    @property
    def chapters(self) -> list[Chapter]:
        """The pages that are notebooks, by file name."""
        return [page for page in self.pages if page.is_notebook]


def _line_of(source: str, lines: list[str], start: int) -> int:
    """Line, from one, of the first line of code: below the cell's options."""
    code = source.splitlines()
    for index in range(start, len(lines)):
        if lines[index : index + len(code)] == code:
            return index + 1
    return start + 1


_OPEN: Final = re.compile(r"^\s*(`{3,}|:{3,})\{([\w:]+)\}\s*(.*?)\s*$")
_OPTION: Final = re.compile(r"^\s*:(\w+):\s*(.*?)\s*$")


def _statements(lines: list[str]) -> Iterator[Statement]:
    for number, line in enumerate(lines):
        opening = _OPEN.match(line)
        if opening and opening[2] in {f"prf:{kind}" for kind in CLAIMING}:
            body = _body(lines, number, opening[1])
            status, options = _evidence(body)
            yield Statement(
                type=opening[2].removeprefix("prf:"),
                title=opening[3],
                label=_options(body).get("label", ""),
                line=number + 1,
                status=status,
                options=options,
            )


def _evidence(body: list[str]) -> tuple[str | None, dict[str, str]]:
    for number, line in enumerate(body):
        opening = _OPEN.match(line)
        if opening and opening[2] == "evidence":
            return opening[3], _options(_body(body, number, opening[1]))
    return None, {}


def _body(lines: list[str], opening: int, fence: str) -> list[str]:
    """Lines of the directive that opens with `fence` at line `opening`."""
    body = []
    for line in lines[opening + 1 :]:
        if line.strip() == fence:
            break
        body.append(line)
    return body


def _options(body: list[str]) -> dict[str, str]:
    """Options at the head of the body of a directive."""
    options = {}
    for line in body:
        if not (option := _OPTION.match(line)):
            break
        options[option[1]] = option[2]
    return options
