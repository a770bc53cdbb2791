"""What the chapters cost to execute, as the executed notebooks say."""

from collections.abc import Mapping

from bookkit import execution
from bookkit.chapters import Book
from bookkit.evidence import Evidence
from bookkit.kernel import SECONDS


def table(book: Book, evidence: Mapping[str, Evidence]) -> list[str]:
    """Return the costs of the executed chapters as a table in MyST Markdown."""
    rows = []
    total = 0.0
    for chapter in book.chapters:
        spent = execution.processor_seconds(chapter)
        found = evidence[chapter.stem]
        total += spent
        counts = [str(len(found.figures)), str(len(found.claims))]
        rows.append([f"{{doc}}`/chapters/{chapter.stem}`", f"{spent:.0f}", *counts])
    head = ["Chapter", f"seconds of a processor, of {SECONDS} allowed", "figures", "checks"]
    body = [
        f"{'* ' if column == 0 else '  '}- {cell}"
        for row in (head, *rows, ["All chapters", f"{total:.0f}", "", ""])
        for column, cell in enumerate(row)
    ]
    return ["```{list-table}", ":header-rows: 1", ":widths: 46 30 12 12", "", *body, "```"]
