"""Which chapter builds on which, read off their cross-references."""

import re
from collections import Counter
from typing import Final

from bookkit.chapters import Book, Chapter
from bookkit.checks import labels_of

_REFERENCE: Final = re.compile(r"\{(?:prf:ref|ref|eq|numref)\}`(?:[^`<]*<)?([\w-]+)>?`")

# A chapter with fewer references to another one can be read without it.
OFTEN: Final = 3


def references(book: Book) -> dict[str, Counter[str]]:
    """Return how often each chapter refers to each other chapter, by stem."""
    chapters = [chapter for chapter in book.chapters if chapter.number]
    home = {label: chapter.stem for chapter in chapters for label in labels_of(chapter)}
    return {
        chapter.stem: Counter(
            home[target]
            for target in _REFERENCE.findall(chapter.text)
            if home.get(target, chapter.stem) != chapter.stem
        )
        for chapter in chapters
    }


def table(book: Book) -> list[str]:
    """Return the map of the chapters as a table in MyST Markdown."""
    counts = references(book)
    by_stem = {chapter.stem: chapter for chapter in book.chapters}
    rows = []
    for stem, cited in counts.items():
        before = [
            other for other, times in sorted(cited.items()) if other < stem and times >= OFTEN
        ]
        after = [other for other, found in counts.items() if other > stem and found[stem] >= OFTEN]
        title = f"{by_stem[stem].number}. {{doc}}`/chapters/{stem}`"
        rows.append(
            [title, *(_line([by_stem[other] for other in part]) for part in (before, after))]
        )
    body = [
        f"{'* ' if column == 0 else '  '}- {cell}"
        for row in (["Chapter", "builds on", "is used by"], *rows)
        for column, cell in enumerate(row)
    ]
    return ["```{list-table}", ":header-rows: 1", ":widths: 40 30 30", "", *body, "```"]


def _line(chapters: list[Chapter]) -> str:
    """Return the numbers of chapters, as links."""
    return ", ".join(f"{{doc}}`{c.number} </chapters/{c.stem}>`" for c in chapters) or "—"
