"""Rules for the sources of chapters; no chapter is executed to check them.

Every broken rule is a `Problem` with its place, its name and what to do.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bookkit.chapters import Cell, Chapter, Statement
from bookkit.markup import check_markup

STATUSES: Final = {
    "cited": "Cited theorem",
    "proved": "Proved here",
    "derived": "Derived, not proved",
    "conjecture": "Conjecture",
}

_MAX_LINES: Final = 25
_MAX_COLUMNS: Final = 79
_ALT: Final = range(80, 301)

# The generator interface of numpy.random; everything else there is legacy.
_MODERN: Final = {
    "BitGenerator",
    "Generator",
    "MT19937",
    "PCG64",
    "PCG64DXSM",
    "Philox",
    "SFC64",
    "SeedSequence",
    "default_rng",
}


@dataclass(frozen=True)
class Problem:
    """A broken rule: where, which, and what to do."""

    place: str
    rule: str
    advice: str

    def __str__(self) -> str:
        return f"{self.place}: {self.advice} [{self.rule}]"


def check_source(chapter: Chapter) -> list[Problem]:
    """Return the rules that the source of a chapter, or of any page, breaks."""
    problems = [
        Problem(chapter.at(finding.line), finding.rule, finding.advice)
        for finding in check_markup(chapter.text.splitlines())
    ]
    problems += [
        problem
        for statement in chapter.statements
        for problem in _check_statement(chapter.at(statement.line), statement)
    ]
    if chapter.statements and not chapter.is_notebook:
        advice = "a page without code cells states something: move it where it can be checked"
        problems.append(Problem(chapter.at(chapter.statements[0].line), "statement-page", advice))
    recorded: Counter[str] = Counter()
    for number, cell in enumerate(chapter.cells, start=1):

        def place(line: int, cell: Cell = cell, number: int = number) -> str:
            return f"{chapter.at(cell.line + line - 1)}, code cell {number}"

        problems += _check_layout(cell, place)
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            advice = f"this is not plain Python ({error.msg}); magics are not allowed"
            problems.append(Problem(place(error.lineno or 1), "syntax", advice))
            continue
        for node in ast.walk(tree):
            where = place(getattr(node, "lineno", 1))
            problems += _check_randomness(node, chapter.slug, where)
            if isinstance(node, ast.Call) and _name(node.func) == "record":
                slug = _first_text(node) or ""
                recorded[slug] += 1
                problems += _check_figure(cell, slug, where)
    problems += [
        Problem(chapter.stem, "figure-unique", f"{slug} is recorded {times} times: rename it")
        for slug, times in recorded.items()
        if times > 1
    ]
    return problems


def _check_statement(place: str, statement: Statement) -> Iterator[Problem]:
    name = f"the {statement.type} {statement.label}".rstrip()
    if not statement.label:
        advice = f"{name} has no `:label:`; give it one, so that claims can be made under it"
        yield Problem(place, "statement-label", advice)
    if statement.status is None:
        advice = f"{name} has no `{{evidence}}` block: add one as its last part"
        yield Problem(place, "statement-evidence", advice)
    elif statement.status not in STATUSES:
        advice = f"the status {statement.status!r} of {name} is not one of {', '.join(STATUSES)}"
        yield Problem(place, "evidence-status", advice)
    elif statement.status == "cited" and "source" not in statement.options:
        advice = f"{name} is cited: name the bibliography key in `:source:`"
        yield Problem(place, "evidence-source", advice)


def _check_layout(cell: Cell, place: Callable[[int], str]) -> Iterator[Problem]:
    lines = cell.source.splitlines()
    if len(lines) > _MAX_LINES:
        advice = (
            f"the cell has {len(lines)} lines, at most {_MAX_LINES} are allowed: split it, or "
            "move code to the library"
        )
        yield Problem(place(1), "cell-length", advice)
    for number, line in enumerate(lines, start=1):
        if len(line) > _MAX_COLUMNS:
            advice = f"the line has {len(line)} columns, at most {_MAX_COLUMNS} are allowed"
            yield Problem(place(number), "line-length", advice)


def _check_randomness(node: ast.AST, slug: str, place: str) -> Iterator[Problem]:
    remedy = "use np.random.default_rng(bookkit.seed(...))"
    match node:
        case ast.Import(names=names) if "random" in {alias.name for alias in names}:
            advice = f"the module `random` is not seeded by the book: {remedy}"
            yield Problem(place, "unseeded-random", advice)
        case ast.ImportFrom(module="random"):
            advice = f"the module `random` is not seeded by the book: {remedy}"
            yield Problem(place, "unseeded-random", advice)
        case ast.Attribute(
            value=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"), attr=name
        ) if name not in _MODERN:
            advice = f"`np.random.{name}` has hidden global state: {remedy}"
            yield Problem(place, "unseeded-random", advice)
        case ast.Call(func=function, args=[], keywords=[]) if _name(function) == "default_rng":
            advice = f"`default_rng()` without a seed differs from run to run: {remedy}"
            yield Problem(place, "unseeded-random", advice)
        case ast.Call(func=function) if _name(function) == "seed":
            if (given := _first_text(node)) not in {None, slug}:
                advice = f"the seed is keyed by {given!r}, but this chapter is {slug!r}"
                yield Problem(place, "seed-chapter", advice)


def _check_figure(cell: Cell, slug: str, place: str) -> Iterator[Problem]:
    name = cell.figure.get("name", "")
    if name != slug:
        advice = (
            f"the figure {slug or '(no literal slug)'} is called {name!r} in the metadata of "
            "the cell: set `mystnb: figure: name:` to its slug"
        )
        yield Problem(place, "figure-name", advice)
    if not cell.figure.get("caption", "").strip():
        advice = f"the figure {slug} has no caption: write `mystnb: figure: caption:`"
        yield Problem(place, "figure-caption", advice)
    alt = " ".join(cell.alt.split())
    if len(alt) not in _ALT:
        advice = (
            f"the figure {slug} has {len(alt)} characters of alternative text: write "
            f"{_ALT[0]} to {_ALT[-1]} that say what it shows in `mystnb: image: alt:`"
        )
        yield Problem(place, "figure-alt", advice)


def _name(node: ast.expr) -> str:
    """Last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _first_text(call: ast.Call) -> str | None:
    """First argument of a call, if it is a literal text."""
    match call.args:
        case [ast.Constant(value=str(text)), *_]:
            return text
    return None
