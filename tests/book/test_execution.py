"""Chapters are executed when, and only when, what they depend on has changed."""

import pytest

from bookkit import checks, costs, toolchain
from bookkit.evidence import Evidence
from bookkit.execution import (
    ChapterError,
    book_evidence,
    evidence,
    execute_stale,
    is_fresh,
    outputs,
    processor_seconds,
)
from bookkit.kernel import SECONDS

ONE, TWO = "chapters/01-one.md", "chapters/02-two.md"


def stale(book):
    return [chapter.stem for chapter in book.chapters if not is_fresh(chapter)]


def run(book):
    return [chapter.stem for chapter in execute_stale(book.chapters, say=lambda _: None)]


def problems(book):
    return [problem for chapter in book.chapters for problem in checks.check(chapter)]


def test_a_healthy_book(book):
    assert stale(book) == []
    assert problems(book) == []
    (claim,) = evidence(book.chapters[0]).claims
    assert (claim.label, claim.kind, claim.passed) == ("thm-one", "statistical", True)
    (figure,) = evidence(book.chapters[0]).figures
    assert figure.columns["double"] == [0.0, 2.0, 4.0, 6.0]


def test_executed_notebook_has_the_cells_of_the_chapter_and_no_others(book):
    notebook = toolchain.load_notebook(book.chapters[0].executed)
    assert [cell.source for cell in notebook.cells] == [c.source for c in book.chapters[0].cells]
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]
    files = notebook.metadata["bookkit"]["files"]
    assert {"lib/toy/__init__.py", "lib/toy/line.py"} == {f for f in files if "toy" in f}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (ONE, "A line through the origin", "A line"),
        (ONE, "rises from zero", "climbs from zero"),
        (ONE, "Twice one is two", "Two is twice one"),
        (ONE, "hide-input", "hide-cell"),
        ("_config.yml", "Two chapters", "Chapters"),
    ],
)
def test_words_are_free(book, edit, name, old, new):
    edit.replace(name, old, new)
    assert stale(book) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (ONE, "np.arange(4.0)", "np.arange(5.0)", ["01-one"]),
        (ONE, "hide-input", "hide-input, raises-exception", ["01-one"]),
        ("lib/toy/line.py", "2 * x", "x * 2", ["01-one"]),
        ("lib/toy/number.py", "float(", "1 * float(", ["02-two"]),
        ("lib/toy/two.txt", "2.0", "2.000", ["02-two"]),
    ],
)
def test_what_a_chapter_uses_makes_it_stale(book, edit, name, old, new, expected):
    edit.replace(name, old, new)
    assert stale(book) == expected


@pytest.mark.parametrize("name", ["requirements.lock", "lib/toy/__init__.py"])
def test_what_all_use_makes_all_stale(book, edit, name):
    edit.write(name, "# changed\n")
    assert stale(book) == ["01-one", "02-two"]


def test_an_edited_library_is_executed_and_its_effect_found(book, edit):
    edit.replace("lib/toy/line.py", "2 * x", "2.0002 * x")
    assert run(book) == ["01-one"]
    assert stale(book) == []
    (problem,) = problems(book)
    assert "01-one, fig-one-line, column 'double', row 1: committed 2.0, new 2.0002" in problem


def test_a_chapter_is_parsed_once_for_all_checks(book, monkeypatch):
    parsed = []

    def counting(text, path, app=None):
        parsed.append(path.stem)
        return read(text, path, app)

    read = toolchain.read_notebook
    for module in ("bookkit.chapters", "bookkit.toolchain"):
        monkeypatch.setattr(f"{module}.read_notebook", counting)
    chapter = book.chapters[0]
    assert is_fresh(chapter)
    assert checks.check(chapter) == []
    assert parsed == ["01-one"]


def test_captions_are_taken_from_the_source_not_from_the_execution(book, edit):
    edit.replace(ONE, "A line through the origin", "A line")
    figure = outputs(book.chapters[0]).cells[-1]
    assert figure.metadata["mystnb"]["figure"]["caption"] == "A line.\n"
    assert Evidence.from_cells([figure]).figures


@pytest.mark.parametrize(
    ("code", "messages"),
    [
        ("1 / 0", ["ZeroDivisionError", "1 / 0"]),
        (
            'bookkit.claim("thm-one", 2, 1, 0.01, what="a lie")',
            ["ClaimError: thm-one: a lie: predicted 2, measured 1", "z = 100, limit 5.45"],
        ),
    ],
)
def test_a_failing_cell(book, edit, code, messages):
    edit.cell(TWO, code)
    line = (edit.root / TWO).read_text().splitlines().index(code) + 1
    with pytest.raises(ChapterError) as failure:
        run(book)
    message = str(failure.value)
    assert message.startswith(f"{TWO}:{line}: code cell 2 of 2 failed\n")
    assert all(part in message for part in messages)
    assert stale(book) == ["02-two"]


def test_outputs_that_break_the_rules(book, edit):
    edit.cell(
        TWO,
        "import sys\n"
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2])\n"
        "print('a warning', file=sys.stderr)\n"
        "try:\n"
        "    bookkit.claim('eq-nowhere', 2, 1, 0.01, what='a lie')\n"
        "except bookkit.ClaimError:\n"
        "    pass",
    )
    assert run(book) == ["02-two"]
    found = problems(book)
    for rule, words in {
        "figure-data": "an image without its numbers",
        "stderr": "'a warning'",
        "claim-passed": "a claim failed: FAILED eq-nowhere: a lie",
        "claim-label": "'eq-nowhere', which labels nothing in the book",
    }.items():
        (problem,) = [p for p in found if p.endswith(f"[{rule}]")]
        assert words in problem
        assert problem.startswith(("chapters/02-two.md:", "02-two: "))


def test_a_statement_without_a_claim(book, edit):
    edit.replace(ONE, ":label: thm-one", ":label: thm-other")
    found = problems(book)
    (problem,) = [p for p in found if p.endswith("[statement-claim]")]
    assert problem.startswith(f"{ONE}:")
    assert "the theorem thm-other has no check" in problem


def test_a_chapter_that_costs_too_much(book, monkeypatch):
    chapter = book.chapters[0]
    assert 0 < processor_seconds(chapter) < SECONDS
    monkeypatch.setattr("bookkit.checks.processor_seconds", lambda _: SECONDS + 1)
    (problem,) = checks.check(chapter)
    assert problem.startswith("01-one: its execution took 61 seconds of a processor, at most 60")


def test_the_table_of_costs_has_every_chapter_and_their_sum(book, monkeypatch):
    monkeypatch.setattr("bookkit.execution.processor_seconds", lambda _: 2.6)
    rows = "\n".join(costs.table(book, book_evidence(book.chapters)))
    for chapter in book.chapters:
        assert f"* - {{doc}}`/chapters/{chapter.stem}`\n  - 3\n" in rows
    assert f"* - All chapters\n  - {2.6 * len(book.chapters):.0f}\n" in rows


def test_versions_are_checked(monkeypatch):
    monkeypatch.setattr(toolchain, "version", lambda _: "99.0.0")
    with pytest.raises(RuntimeError, match=r"myst-nb 99\.0\.0 is installed, .* tested with 1\.4"):
        toolchain.check_versions()
