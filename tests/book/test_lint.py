"""Every rule for the sources fires, with the place and the remedy."""

import pytest

from bookkit.lint import check_source

FILE = "chapters/01-one.md"


def problems(book):
    return [str(problem) for chapter in book.chapters for problem in check_source(chapter)]


def test_nothing_to_complain_about(book):
    assert problems(book) == []


@pytest.mark.parametrize(
    ("code", "rule", "advice"),
    [
        ("x = 1\n" * 25 + "x = 1", "cell-length", "the cell has 26 lines, at most 25"),
        (f"x = {'1' * 80}", "line-length", "the line has 84 columns, at most 79"),
        ("%matplotlib inline", "syntax", "magics are not allowed"),
        ("np.random.seed(1)", "unseeded-random", "`np.random.seed` has hidden global state"),
        ("y = np.random.normal()", "unseeded-random", "`np.random.normal` has hidden"),
        ("rng = np.random.default_rng()", "unseeded-random", "`default_rng()` without a seed"),
        ("import random", "unseeded-random", "the module `random` is not seeded"),
        ("from random import gauss", "unseeded-random", "the module `random` is not seeded"),
        ('bookkit.seed("two", "x")', "seed-chapter", "keyed by 'two', but this chapter is 'one'"),
        ('bookkit.record("fig-x", f, c)', "figure-name", "figure fig-x is called '' in"),
        ('bookkit.record("fig-x", f, c)', "figure-caption", "fig-x has no caption"),
        ('bookkit.record("fig-x", f, c)', "figure-alt", "0 characters of alternative text"),
        ('bookkit.record("fig-one-line", f, c)', "figure-unique", "is recorded 2 times"),
    ],
)
def test_rules_for_cells(book, edit, code, rule, advice):
    edit.cell(FILE, code)
    (problem,) = [p for p in problems(book) if p.endswith(f"[{rule}]")]
    assert advice in problem
    if rule != "figure-unique":
        line = 1 + (edit.root / FILE).read_text().splitlines().index(
            code.split("\n", maxsplit=1)[0]
        )
        assert rule == "cell-length" or problem.startswith(f"{FILE}:{line}, code cell 4: ")


def test_statements_are_made_where_they_can_be_checked(edit, book):
    edit.write("chapters/intro.md", "# Intro\n\n```{prf:lemma}\n:label: lem-x\nText.\n```\n")
    (page,) = [page for page in book.pages if page.stem == "intro"]
    rules = [problem.rule for problem in check_source(page)]
    assert rules == ["statement-evidence", "statement-page"]


def test_modern_seeded_generators_are_welcome(book, edit):
    edit.cell(FILE, "g = np.random.Generator(np.random.PCG64(bookkit.seed('one', 'x')))")
    assert problems(book) == []


@pytest.mark.parametrize(
    ("old", "new", "rule", "advice"),
    [
        (":label: thm-one\n", "", "statement-label", "the theorem has no `:label:`"),
        ("{evidence}", "{note}", "statement-evidence", "thm-one has no `{evidence}` block"),
        ("} proved", "} obvious", "evidence-status", "'obvious' of the theorem thm-one is not"),
        ("} proved", "} cited", "evidence-source", "thm-one is cited: name the bibliography key"),
        ("at a constant slope", "x" * 300, "figure-alt", "write 80 to 300 that say"),
        ("name: fig-one-line", "name: fig-one", "figure-name", "is called 'fig-one'"),
    ],
)
def test_rules_for_statements_and_figures(book, edit, old, new, rule, advice):
    edit.replace(FILE, old, new)
    (problem,) = problems(book)
    assert problem.endswith(f"[{rule}]")
    assert problem.startswith(f"{FILE}:")
    assert advice in problem
