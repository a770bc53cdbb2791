"""Figures reach a page with their numbers, the same on every run."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

import bookkit
from bookkit import style
from bookkit.evidence import FIGURE_MIME


@pytest.fixture
def shown(monkeypatch):
    """The mime bundles that are displayed."""
    bundles = []

    def display(bundle, *, raw):
        assert raw
        bundles.append(bundle)

    monkeypatch.setattr("IPython.display.display", display)
    return bundles


def draw():
    style.use()
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], **style.theory, label="theory")
    ax.errorbar([0, 1], [0, 1], yerr=0.1, **style.simulation)
    ax.axvline(0.5, **style.threshold)
    ax.legend()
    return fig


def test_record_shows_the_figure_with_its_numbers(shown):
    third = 1 / 3
    columns = {"x": [0, 1, 2], "mean": [third, 1.0], "error": np.array([0.1, 0.2])}
    bookkit.record("fig-a-b2", draw(), columns, monte_carlo={"mean": "error"})
    (bundle,) = shown
    assert bundle["image/svg+xml"].startswith("<?xml")
    assert bundle[FIGURE_MIME] == {
        "slug": "fig-a-b2",
        "columns": [["x", [0.0, 1.0, 2.0]], ["mean", [third, 1.0]], ["error", [0.1, 0.2]]],
        "monte_carlo": {"mean": "error"},
        "chaotic": [],
    }
    assert plt.get_fignums() == []


def test_pictures_are_the_same_on_every_run(shown):
    for _ in range(2):
        bookkit.record("fig-a", draw(), {"x": [0.0]})
    assert shown[0] == shown[1]
    assert "<dc:date>" not in shown[0]["image/svg+xml"]


@pytest.mark.parametrize(
    ("slug", "columns", "monte_carlo", "message"),
    [
        ("Fig-A", {"x": [1]}, {}, "`slug` is 'Fig-A', but must be 'fig-'"),
        ("fig-a", {}, {}, "fig-a: `columns` is empty"),
        ("fig-a", {"x": [[1, 2]]}, {}, r"column 'x' must be .* one-dimensional .*\(1, 2\)"),
        ("fig-a", {"x": ["a"]}, {}, "column 'x' must be .* real numbers"),
        ("fig-a", {"x": []}, {}, "column 'x' must be a non-empty"),
        ("fig-a", {"x": [1, np.nan]}, {}, "column 'x' is nan at row 1"),
        ("fig-a", {"x": [np.inf]}, {}, "column 'x' is inf at row 0"),
        ("fig-a", {"x": [1]}, {"x": "se"}, "`monte_carlo` or `chaotic` names 'se'"),
        ("fig-a", {"x": [1], "se": [1, 1]}, {"x": "se"}, "'se' must hold one standard error"),
        ("fig-a", {"x": [1], "se": [-1]}, {"x": "se"}, "'se' must hold one standard error"),
    ],
)
def test_numbers_that_cannot_be_recorded(slug, columns, monte_carlo, message):
    fig = plt.figure()
    with pytest.raises(ValueError, match=message):
        bookkit.record(slug, fig, columns, monte_carlo=monte_carlo)
    plt.close(fig)


def test_no_two_series_differ_by_color_alone():
    looks = [
        (role["linestyle"], role.get("marker"))
        for role in (style.theory, style.second_theory, style.simulation, *style.series)
    ]
    assert len(set(looks)) == len(looks)


def test_seeds_are_fixed_and_distinct():
    first = bookkit.seed("the-law", "fig-a")
    assert np.random.default_rng(first).integers(10**9) == 325478483
    pairs = [("the-law", "fig-a"), ("the-law", "fig-b"), ("the", "law-fig-a"), ("fig-a", "the-law")]
    draws = {np.random.default_rng(bookkit.seed(*pair)).integers(10**9) for pair in pairs}
    assert len(draws) == len(pairs)
    with pytest.raises(ValueError, match="`chapter` must not be empty"):
        bookkit.seed("", "fig-a")
