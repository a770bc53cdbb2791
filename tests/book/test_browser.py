"""Every built page in headless Chromium: nothing from elsewhere, no error, nothing out of reach."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from bookkit.chapters import Book

pytestmark = pytest.mark.pages

SITE = Book.around(Path(__file__)).root / "_build" / "html"
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if not {"_static", "_sources"} & set(path.parts) and path.name != "index.html"
)
MATHEMATICS_IS_DONE = "() => window.MathJax?.startup?.promise.then(() => true) ?? true"
# The theme lets keys reach what scrolls, a moment after the size of the window has changed.
SCROLLS_BY_KEYS = """() => ![...document.querySelectorAll('[tabindex="-1"]')].some(
    (e) => e.matches("pre, .cell_output, .math, .pst-scrollable-table-container")
        && e.scrollWidth > e.clientWidth)"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Rules that a page of the theme breaks and that we cannot mend, each with the reason. None now.
EXEMPT: dict[str, str] = {}


def open_page(tab, address):
    tab.goto(address)
    assert tab.evaluate(MATHEMATICS_IS_DONE)


def accessibility(tab):
    """Violations of the rules of axe-core, each with the places where it occurs."""
    if not tab.evaluate("() => 'axe' in window"):
        tab.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    # Without `preload`, which would ask for style sheets at wrong addresses.
    found = tab.evaluate("() => axe.run({resultTypes: ['violations'], preload: false})")
    return [
        (rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"][:5]])
        for rule in found["violations"]
        if rule["id"] not in EXEMPT
    ]


def test_there_are_pages():
    assert PAGES, "there are no pages: run `make book` first"


@pytest.mark.parametrize("name", PAGES)
def test_page(tab, site, name):
    open_page(tab, f"{site}/{name}")
    assert tab.title().strip()
    description = tab.get_attribute("meta[name=description]", "content")
    assert 50 <= len(description) <= 200
    assert tab.locator("mjx-merror").count() == 0
    formulas = tab.locator("article span.math, article div.math").count()
    assert tab.locator("article mjx-container").count() >= formulas
    assert tab.evaluate("() => [...document.images].filter((i) => !i.alt).length") == 0
    assert tab.evaluate(TOO_WIDE) == 0
    assert accessibility(tab) == []
    tab.emulate_media(color_scheme="dark")
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.wait_for_function(SCROLLS_BY_KEYS)
    assert tab.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert tab.evaluate(TOO_WIDE) == 0
    assert accessibility(tab) == []
    assert (tab.elsewhere, tab.errors) == ([], [])


def test_descriptions_differ():
    found = [
        re.search(r'<meta name="description" content="([^"]+)"', (SITE / name).read_text())[1]
        for name in PAGES
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", ["chapters/05-the-law.html", "chapters/library.html"])
def test_code_is_copied_without_prompts(tab, site, name):
    open_page(tab, f"{site}/{name}")
    cell = tab.locator("div.highlight").filter(has=tab.locator("pre")).first
    cell.hover()
    cell.locator("button.copybtn").click()
    copied = tab.evaluate("() => navigator.clipboard.readText()")
    assert "import" in copied or "=" in copied
    assert not re.search(r"^(>>>|\.\.\.|In \[)", copied, re.MULTILINE)


@pytest.mark.parametrize("opened", ["served", "from the disk"])
@pytest.mark.parametrize(
    ("page", "target", "content"),
    [
        ("05-the-law", "#thm-law", "mjx-container"),
        (
            "05-the-law",
            "02-the-effective-ridge.html#equation-eq-ridge-fixed-point",
            "mjx-container",
        ),
        ("05-the-law", "04-the-derivation.html#prop-der-dual", "mjx-container"),
        ("05-the-law", "#fig-law-risk", "img"),
        ("ledger", "07-pruned-risk.html#fig-prune-rules", "img"),
        ("05-the-law", "bibliography.html#id2", "em"),
    ],
)
def test_a_reference_shows_what_it_leads_to(tab, site, opened, page, target, content):
    address = site if opened == "served" else SITE.as_uri()
    open_page(tab, f"{address}/chapters/{page}.html")
    link, preview = tab.locator(f"article a[href='{target}']").first, tab.locator("#preview")
    assert preview.is_hidden()
    link.hover()
    preview.locator(content).first.wait_for(state="visible")
    preview.hover()  # It stays while the pointer is on it.
    tab.wait_for_timeout(600)
    assert preview.is_visible()
    tab.keyboard.press("Escape")
    assert preview.is_hidden()
    tab.mouse.move(0, 0)
    link.focus()
    preview.locator(content).first.wait_for(state="visible")
    assert link.get_attribute("aria-describedby") == "preview"
    assert tab.locator("#preview [id]").count() == 0 or content == "mjx-container"
    assert tab.errors == []


def test_a_figure_says_where_it_comes_from(tab, site):
    open_page(tab, f"{site}/chapters/the-answer.html")
    line = tab.locator("#fig-answer-routes .bookkit-provenance")
    text = line.inner_text()
    assert re.match(r"Made by cell 5 with LinearGaussianProblem, exact_risk, fit", text)
    assert "seed the-answer / real thing, the-answer / draws; 40 replicates" in text
    assert re.search(r"Numbers \(CSV\)\. ✓ .*comparisons\.$", text)
    assert tab.locator("#cell-5").count() == 1
    address = line.get_by_text("Numbers (CSV)").evaluate("(link) => link.href")
    numbers = tab.request.get(address).text()
    committed = Book.around(SITE).baselines / "the-answer" / "fig-answer-routes.csv"
    assert numbers.splitlines()[0] == committed.read_text().splitlines()[0]
    assert len(numbers.splitlines()) == len(committed.read_text().splitlines())
