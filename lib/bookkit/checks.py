"""Checks of executed chapters: claims, form of the outputs, figure baselines."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bookkit import baselines
from bookkit.chapters import Cell, Chapter
from bookkit.claims import BUDGET
from bookkit.evidence import FIGURE_MIME, Evidence
from bookkit.execution import outputs, processor_seconds
from bookkit.kernel import SECONDS
from bookkit.lint import Problem, check_source

# Every way of labelling something in MyST Markdown.
_LABEL: Final = re.compile(
    r"^\s*:(?:label|name): *([\w-]+)|^\(([\w-]+)\)=|\$\$ *\(([\w-]+)\)"
    r"|\{#([\w-]+)|^\s*name: *([\w-]+)|\\label\{([\w-]+)\}",
    re.MULTILINE,
)


def check(chapter: Chapter) -> list[str]:
    """Return everything that is wrong with an executed chapter."""
    figures = Evidence.from_cells(outputs(chapter).cells).figures
    problems = [
        *check_source(chapter),
        *check_outputs(chapter, labels(chapter.book.pages)),
        *check_cost(chapter),
    ]
    return [*(str(problem) for problem in problems), *baselines.compare(chapter, figures)]


def check_outputs(chapter: Chapter, known: set[str]) -> list[Problem]:
    """Return the rules that the outputs of an executed chapter break.

    Parameters
    ----------
    chapter
        The chapter.
    known
        All labels of the book, from `labels`.
    """
    executed = [cell for cell in outputs(chapter).cells if cell.cell_type == "code"]
    problems: list[Problem] = []
    for number, (cell, source) in enumerate(zip(executed, chapter.cells, strict=True), start=1):
        place = f"{chapter.at(source.line)}, code cell {number}"
        for output in cell.outputs:
            problems += _check_output(source, output, place)
    evidence = Evidence.from_cells(executed)
    return [*problems, *_check_claims(chapter, evidence, known)]


def check_cost(chapter: Chapter) -> list[Problem]:
    """Return a problem if an executed chapter costs more time than it may."""
    spent = processor_seconds(chapter)
    if spent <= SECONDS:
        return []
    advice = (
        f"its execution took {spent:.0f} seconds of a processor, at most {SECONDS} are allowed: "
        "compute less, or read committed results with bookkit.results"
    )
    return [Problem(chapter.stem, "chapter-cost", advice)]


def check_budget(evidence: Mapping[str, Evidence]) -> list[Problem]:
    """Return a problem if the book makes more comparisons than it may."""
    total = sum(
        claim.comparisons
        for part in evidence.values()
        for claim in part.claims
        if claim.kind == "statistical"
    )
    if total <= BUDGET:
        return []
    advice = (
        f"{total} statistical comparisons, but the limit on |z| is set for {BUDGET}: compare "
        "fewer numbers, or raise bookkit.claims.BUDGET"
    )
    return [Problem("the book", "claim-budget", advice)]


def labels(pages: Iterable[Chapter]) -> set[str]:
    """Return everything that is labelled in the sources of pages."""
    return {label for page in pages for label in labels_of(page)}


def labels_of(page: Chapter) -> set[str]:
    """Return everything that is labelled in the source of a page."""
    return {label for groups in _LABEL.findall(page.text) for label in groups if label}


def _check_output(cell: Cell, output: Any, place: str) -> Iterator[Problem]:
    data = output.get("data", {})
    if FIGURE_MIME in data:
        slug, name = data[FIGURE_MIME]["slug"], cell.figure.get("name")
        if name != slug:
            advice = f"the recorded figure {slug} is called {name!r} in the metadata of the cell"
            yield Problem(place, "figure-name", advice)
    elif any(mime.startswith("image/") for mime in data):
        advice = "an image without its numbers: show figures with bookkit.record only"
        yield Problem(place, "figure-data", advice)
    if output.output_type == "stream" and output.name == "stderr":
        advice = f"the cell wrote to stderr, {output.text.strip()[:200]!r}: remove the cause"
        yield Problem(place, "stderr", advice)
    if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", ()):
        yield Problem(place, "error", f"the cell raised {output.ename}: {output.evalue}")


def _check_claims(chapter: Chapter, evidence: Evidence, known: set[str]) -> Iterator[Problem]:
    claimed = {claim.label for claim in evidence.claims}
    for statement in chapter.statements:
        if statement.label not in claimed:
            advice = (
                f"the {statement.type} {statement.label} has no check: make a claim under this "
                "label in a code cell nearby"
            )
            yield Problem(chapter.at(statement.line), "statement-claim", advice)
    for claim in evidence.claims:
        if not claim.passed:
            yield Problem(chapter.stem, "claim-passed", f"a claim failed: {claim}")
    for label in sorted(claimed - known):
        advice = (
            f"a claim is made under {label!r}, which labels nothing in the book: correct the "
            "label of the claim or of the statement"
        )
        yield Problem(chapter.stem, "claim-label", advice)
