"""The notation page: one meaning for each symbol, and names that exist."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import overparam

CHAPTERS = Path(__file__).parents[2] / "chapters"
PAGE = (CHAPTERS / "notation.md").read_text(encoding="utf-8")


def _tables() -> list[dict[str, str]]:
    """Rows of all tables of the page, by the heads of their columns."""
    rows, head = [], None
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            head = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if head is None:
            head = cells
        elif set(line) - set("|-"):
            rows.append(dict(zip(head, cells, strict=True)))
    return rows


ROWS = _tables()
SYMBOLS = [row for row in ROWS if "symbol" in row]
# A class and its attribute stand apart, so that the column can be narrow.
CODE = [row["in code"].replace("` `.", ".") for row in ROWS]
NAMES = sorted({name for code in CODE for name in re.findall(r"`([^`]+)`", code)})


def _math(text: str) -> list[str]:
    return re.findall(r"\$([^$]+)\$", text)


def _resolve(name: str) -> None:
    """Look up `Class.attribute` or a public function of `overparam`."""
    first, *rest = name.split(".")
    assert first in overparam.__all__, f"{first} is not a public name of overparam"
    thing = getattr(overparam, first)
    for attribute in rest:
        held = {field.name for field in fields(thing)} if is_dataclass(thing) else set()
        assert attribute in held or hasattr(thing, attribute), f"{thing} has no {attribute}"


def test_the_page_was_read() -> None:
    assert len(SYMBOLS) > 40
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", NAMES)
def test_names_in_code_exist(name: str) -> None:
    _resolve(name)


@pytest.mark.parametrize("name", ["fitted", "CoordinateLaw.gamma", "simulate.seed"])
def test_names_that_do_not_exist_are_found_out(name: str) -> None:
    with pytest.raises(AssertionError):
        _resolve(name)


def test_no_symbol_has_two_meanings() -> None:
    symbols = [symbol for row in SYMBOLS for symbol in _math(row["symbol"])]
    assert sorted(symbols) == sorted(set(symbols))


def test_every_row_is_complete() -> None:
    for row in SYMBOLS:
        assert row["meaning"], row
        assert row["in code"] == "—" or "`" in row["in code"], row


@pytest.mark.parametrize("row", SYMBOLS, ids=lambda row: row["symbol"])
def test_the_linked_chapter_uses_the_symbol_first(row: dict[str, str]) -> None:
    number, label = re.fullmatch(r"\{ref\}`(\d+) <(ch-[\w-]+)>`", row["chapter"]).groups()
    chapters = [path.read_text(encoding="utf-8") for path in sorted(CHAPTERS.glob("[0-9]*.md"))]
    first = int(number) - 1
    assert f"({label})=" in chapters[first]
    for symbol in _math(row["symbol"]):
        # Arguments are not part of a symbol.
        bare = re.split(r"\{\\cdot\}|\(", symbol)[0]
        used = [_uses(text, bare) for text in chapters]
        assert used[first], f"{label} does not use {bare}"
        # Single letters may be local to a proof before the book fixes their meaning.
        if bare.startswith("\\"):
            assert not any(used[:first]), f"{bare} is used before {label}"


def _uses(text: str, symbol: str) -> bool:
    prose = re.sub(r"```\{code-cell\}.*?\n```", "", text, flags=re.DOTALL)
    formulas = " ".join(
        first or second
        for first, second in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", prose, flags=re.DOTALL)
    )
    return re.search(rf"(?<![A-Za-z\\]){re.escape(symbol)}(?![A-Za-z_])", formulas) is not None
