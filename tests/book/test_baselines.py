"""The numbers behind the figures are compared with the committed ones."""

import pytest

from bookkit import baselines
from bookkit.evidence import Figure

BASELINE = "tests/figures/01-one/fig-one-line.csv"


@pytest.fixture
def chapter(book):
    return book.chapters[0]


def figure(double=(0.0, 2.0, 4.0, 6.0), **kwargs):
    columns = {"x": [0.0, 1.0, 2.0, 3.0], "double": list(double)}
    return Figure("fig-one-line", columns, **kwargs)


def test_equal_up_to_rounding(chapter):
    rounded = figure((5e-9, 2.0 * (1 + 9e-7), 4.0, 6.0))
    assert baselines.compare(chapter, (figure(),)) == []
    assert baselines.compare(chapter, (rounded,)) == []


def test_a_changed_value_is_named_with_the_remedy(chapter):
    changed = figure((0.0, 2.0, 4.0004, 6.0))
    (problem,) = baselines.compare(chapter, (changed,))
    assert problem == (
        "01-one, fig-one-line, column 'double', row 2: committed 4.0, new 4.0004; if that is "
        "intended, say why in CHANGELOG.md and run `python -m bookkit figures 01-one`"
    )


def test_a_changed_mean_is_measured_in_standard_errors(chapter):
    changed = figure((0.0, 2.0, 4.0004, 6.0), monte_carlo={"double": "x"})
    (problem,) = baselines.compare(chapter, (changed,))
    assert "new 4.0004 (0.0002 standard errors);" in problem


def trained(means, errors):
    columns = {"mean": list(means), "error": list(errors)}
    return Figure("fig-one-line", columns, {"mean": "error"}, ("mean",))


@pytest.mark.parametrize(
    ("means", "errors", "problem"),
    [
        ((1.8, 4.0), (0.1, 0.2), ""),
        ((1.0, 4.0), (0.1, 0.2), "column 'mean', row 0"),
        ((2.0, 4.0), (0.1, 0.9), ""),
        ((2.0, 4.0), (0.1, 1.1), "column 'error', row 1"),
        ((2.0, 4.0), (0.1, 0.03), "column 'error', row 1"),
    ],
)
def test_means_over_trained_networks_may_differ_by_their_errors(chapter, means, errors, problem):
    baselines.write(chapter, (trained((2.0, 4.0), (0.1, 0.2)),))
    found = baselines.compare(chapter, (trained(means, errors),))
    assert len(found) == bool(problem)
    assert problem in "".join(found)


def test_what_is_not_declared_chaotic_may_not_differ(chapter):
    committed = Figure("fig-one-line", {"mean": [2.0], "error": [0.1]}, {"mean": "error"})
    baselines.write(chapter, (committed,))
    changed = Figure("fig-one-line", {"mean": [2.01], "error": [0.1]}, {"mean": "error"})
    (problem,) = baselines.compare(chapter, (changed,))
    assert "(0.1 standard errors)" in problem


def test_missing_and_orphan_baselines(chapter):
    other = Figure("fig-one-other", {"x": [1.0]})
    missing, orphan = baselines.compare(chapter, (other,))
    assert missing == (
        "01-one, fig-one-other: no baseline is committed; run `python -m bookkit figures 01-one`"
    )
    assert orphan.startswith("01-one, fig-one-line: the baseline has no figure; ")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [0.0, 1.0, 2.0, 3.0]}, "columns ['x', 'double'] became ['x']"),
        (
            {"x": [0.0, 1.0, 2.0, 3.0], "double": [0.0, 2.0, 4.0]},
            "column 'double': 4 rows became 3",
        ),
    ],
)
def test_changed_shape(chapter, columns, message):
    (problem,) = baselines.compare(chapter, (Figure("fig-one-line", columns),))
    assert message in problem


def test_write_keeps_what_agrees_and_replaces_what_does_not(chapter, edit):
    path = edit.root / BASELINE
    before = path.read_text()
    assert baselines.write(chapter, (figure((0.0, 2.0, 4.0, 6.0000001)),)) == []
    assert path.read_text() == before
    ragged = Figure("fig-one-line", {"x": [1 / 3, 1e-300], "double, theory": [2.0]})
    assert baselines.write(chapter, (ragged,)) == [f"changed {BASELINE}"]
    assert path.read_text() == 'x,"double, theory"\n0.3333333333333333,2.0\n1e-300,\n'
    assert baselines.compare(chapter, (ragged,)) == []
    other = Figure("fig-one-other", {"x": [1.0]})
    assert baselines.write(chapter, (other,)) == [
        "added tests/figures/01-one/fig-one-other.csv",
        f"removed {BASELINE}",
    ]


def test_folders_without_a_chapter(book, edit):
    edit.write("tests/figures/03-three/fig-a.csv", "x\n1.0\n")
    assert baselines.without_chapter(book) == [
        "tests/figures/03-three: no chapter has this name; remove it"
    ]


def test_every_folder_of_this_project_has_a_chapter(real_book):
    assert baselines.without_chapter(real_book) == []
