"""Figure baselines: the committed numbers behind every figure.

A baseline is a CSV file, ``tests/figures/<chapter>/<figure>.csv``, with one
column for each recorded column; shorter columns end in empty fields.
"""

import csv
from io import StringIO
from itertools import zip_longest
from math import hypot
from pathlib import Path
from typing import Final

from bookkit.chapters import Book, Chapter
from bookkit.evidence import Figure

# Rounding differs between machines in the last digits of a float. The floor
# is for numbers that are zero up to the rounding of their neighbors.
_RELATIVE: Final = 1e-6
_FLOOR: Final = 1e-9
# Two runs of one training on two machines differ like runs from two seeds: in
# 6 of their standard errors practically never, if these come from enough seeds.
_CHAOTIC: Final = 6.0
_CHAOTIC_ERRORS: Final = 5.0  # their standard errors differ by less than this factor

_Columns = dict[str, list[float]]


def compare(chapter: Chapter, figures: tuple[Figure, ...]) -> list[str]:
    """Return the differences between recorded figures and their baselines."""
    problems = []
    command = f"`python -m bookkit figures {chapter.stem}`"
    remedy = f"if that is intended, say why in CHANGELOG.md and run {command}"
    for figure in figures:
        path = _path(chapter, figure.slug)
        where = f"{chapter.stem}, {figure.slug}"
        if not path.exists():
            problems.append(f"{where}: no baseline is committed; run {command}")
        elif difference := _difference(figure, _read(path)):
            problems.append(f"{where}{difference}; {remedy}")
    problems += [
        f"{chapter.stem}, {path.stem}: the baseline has no figure; {remedy}"
        for path in _orphans(chapter, figures)
    ]
    return problems


def write(chapter: Chapter, figures: tuple[Figure, ...]) -> list[str]:
    """Make the baselines those of the recorded figures; return what changed.

    A baseline that agrees with its figure stays as it is, so that the rounding
    of another machine does not show up as a change.
    """
    changes = []
    for figure in figures:
        path = _path(chapter, figure.slug)
        if not path.exists() or _difference(figure, _read(path)):
            verb = "changed" if path.exists() else "added"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(table(figure), encoding="utf-8", newline="")
            changes.append(f"{verb} {path.relative_to(chapter.book.root)}")
    for path in _orphans(chapter, figures):
        path.unlink()
        changes.append(f"removed {path.relative_to(chapter.book.root)}")
    return changes


def table(figure: Figure) -> str:
    """Return the numbers of a figure as CSV."""
    stream = StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(figure.columns)
    rows.writerows(zip_longest(*figure.columns.values()))
    return stream.getvalue()


def without_chapter(book: Book) -> list[str]:
    """Return the folders of baselines that belong to no chapter."""
    stems = {chapter.stem for chapter in book.chapters}
    return sorted(
        f"{path.relative_to(book.root)}: no chapter has this name; remove it"
        for path in book.baselines.glob("*")
        if path.name not in stems
    )


def _path(chapter: Chapter, slug: str) -> Path:
    return chapter.baselines / f"{slug}.csv"


def _orphans(chapter: Chapter, figures: tuple[Figure, ...]) -> list[Path]:
    slugs = {figure.slug for figure in figures}
    return sorted(p for p in chapter.baselines.glob("*") if p.stem not in slugs)


def _read(path: Path) -> _Columns:
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    columns = zip(*rows, strict=True)
    return {
        name: [float(value) for value in column if value]
        for name, column in zip(header, columns, strict=True)
    }


def _difference(figure: Figure, committed: _Columns) -> str:
    """Describe the first difference, or return an empty text."""
    if list(committed) != list(figure.columns):
        return f": columns {list(committed)} became {list(figure.columns)}"
    for name, new in figure.columns.items():
        old = committed[name]
        if len(old) != len(new):
            return f", column {name!r}: {len(old)} rows became {len(new)}"
        floor = _FLOOR * max(abs(value) for value in old)
        for row, (was, now) in enumerate(zip(old, new, strict=True)):
            allowed = max(_RELATIVE * abs(was), floor, _allowance(figure, committed, name, row))
            if abs(now - was) > allowed:
                return (
                    f", column {name!r}, row {row}: committed {was!r}, new "
                    f"{now!r}{_in_errors(figure, name, row, now - was)}"
                )
    return ""


def _allowance(figure: Figure, committed: _Columns, name: str, row: int) -> float:
    """Return how far a number of trained networks may be from the committed one."""
    errors = {figure.monte_carlo[mean] for mean in figure.chaotic}
    if name in figure.chaotic:
        error = figure.monte_carlo[name]
        return _CHAOTIC * hypot(figure.columns[error][row], committed[error][row])
    if name in errors:
        was, now = committed[name][row], figure.columns[name][row]
        return max(was, now) * (1 - 1 / _CHAOTIC_ERRORS)
    return 0.0


def _in_errors(figure: Figure, name: str, row: int, change: float) -> str:
    """Express a change of a Monte Carlo mean in its standard errors."""
    if name not in figure.monte_carlo:
        return ""
    error = figure.columns[figure.monte_carlo[name]][row]
    if error == 0:
        return ""
    return f" ({abs(change) / error:.1g} standard errors)"
