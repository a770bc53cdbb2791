"""The built pages, which `make test` looks at last: complete, linked, self-contained."""

import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from bookkit import launch
from bookkit.chapters import Book

pytestmark = pytest.mark.pages

BOOK = Book.around(Path(__file__))
SITE = BOOK.root / "_build" / "html"
PAGES = sorted(
    path for path in SITE.rglob("*.html") if not {"_static", "_sources"} & set(path.parts)
)


class Page(HTMLParser):
    """The elements of a page, and its text outside of code and formulas."""

    VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "wbr", "col"})
    HIDDEN = frozenset({"script", "style", "pre", "code", "title"})

    def __init__(self, path):
        super().__init__()
        self.elements = []
        self.ids = set()
        self.text = self.code = ""
        self._open = []  # for every open element, whether its text is no prose
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self.ids |= {attributes.get("id"), attributes.get("name")} - {None}
        if tag not in self.VOID:
            hidden = tag in self.HIDDEN or "math" in (attributes.get("class") or "").split()
            self._open.append((tag, hidden or any(h for _, h in self._open[-1:])))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass  # an element that needs no closing tag

    def handle_data(self, data):
        if any(hidden for _, hidden in self._open[-1:]):
            self.code += data
        else:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def pages():
    assert PAGES, "there are no pages: run `make book` first"
    return {path: Page(path) for path in PAGES}


def test_every_chapter_is_a_page_that_can_be_downloaded(pages):
    for chapter in BOOK.chapters:
        links = {
            attributes.get("href")
            for attributes in pages[SITE / "chapters" / f"{chapter.stem}.html"].all("a")
        }
        source = f"../_sources/chapters/{chapter.stem}"
        assert {f"{source}.ipynb", f"{source}.md"} <= links
        notebook = json.loads((SITE / "_sources/chapters" / f"{chapter.stem}.ipynb").read_text())
        assert any(cell.get("outputs") for cell in notebook["cells"])
        assert any(cell["cell_type"] == "markdown" for cell in notebook["cells"])


def test_nothing_is_requested_from_elsewhere(pages):
    loading = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
    requests = [
        (path.name, attributes[key])
        for path, page in pages.items()
        for tag, key in loading.items()
        for attributes in page.all(tag)
        if urlsplit(attributes.get(key) or "").netloc
    ]
    assert requests == []
    imports = [
        path.name
        for path in SITE.rglob("*.css")
        if re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", path.read_text(encoding="utf-8"))
    ]
    assert imports == []


def test_mathematics_is_rendered_by_a_copy_of_mathjax_on_the_site(pages):
    for path, page in pages.items():
        for attributes in page.all("script"):
            source = (attributes.get("src") or "").split("?")[0]
            if "mathjax" in source:
                assert (path.parent / source).resolve().is_file()
    assert (SITE / "_static/mathjax/tex-chtml.js").is_file()
    assert list((SITE / "_static/mathjax/output/chtml/fonts").rglob("*.woff"))


def test_every_page_has_a_title_and_every_image_a_text(pages):
    for path, page in pages.items():
        if any("http-equiv" in attributes for attributes in page.all("meta")):
            continue  # The front page only leads on to the preface.
        assert re.search(r"<title>\s*[^<\s]", path.read_text(encoding="utf-8")), path
        assert page.all("h1"), path
        assert all(attributes.get("alt") for attributes in page.all("img")), path


def test_what_links_show_is_beside_every_page(pages):
    for path, page in pages.items():
        if any("http-equiv" in attributes for attributes in page.all("meta")):
            continue
        script = path.with_suffix(".previews.js").read_text(encoding="utf-8")
        shown = json.loads(script.removeprefix("bookPreviews(").removesuffix(");\n"))
        kinds = {"proof", "math", "citation"}
        labels = [
            attributes["id"]
            for tag, attributes in page.elements
            if "id" in attributes
            and (tag == "figure" or kinds & set((attributes.get("class") or "").split()))
        ]
        assert list(shown) == [label for label in labels if label != "proof"]
        assert len(script) < 100_000


def test_all_notebooks_are_one_link_away(pages):
    path = SITE / "chapters" / "how-to-cite.html"
    assert {"href": "../notebooks.zip"} in pages[path].all("a")
    with zipfile.ZipFile(SITE / "notebooks.zip") as archive:
        names = archive.namelist()
    assert {f"notebooks/{chapter.stem}.ipynb" for chapter in BOOK.chapters} <= set(names)
    assert sum(name.endswith(".whl") for name in names) == 1


def test_chapters_can_be_launched_where_they_are_published(pages):
    settings = yaml.safe_load((BOOK.root / "_config.yml").read_text(encoding="utf-8"))
    for chapter in BOOK.chapters:
        links = pages[SITE / "chapters" / f"{chapter.stem}.html"].all("a")
        found = {link["href"] for link in links if re.search(r"mybinder|colab", link["href"])}
        expected = launch.addresses(settings["repository"]["url"], chapter.stem)
        assert found == set(expected.values())


def test_links_within_the_site_lead_somewhere(pages):
    ids = {path: page.ids for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for attributes in page.all("a"):
            link = urlsplit(attributes.get("href") or "")
            if link.scheme or link.netloc:
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            fragment = unquote(link.fragment)
            if not target.exists() or (fragment and target in ids and fragment not in ids[target]):
                broken.append((path.name, attributes["href"]))
    assert broken == []


def test_nothing_is_left_unresolved(pages):
    for path, page in pages.items():
        # A role or a formula that was not understood, or a failed execution, in the prose;
        # a directive that was swallowed by a block of code.
        leftover = re.search(r"\{[a-z:]+\}`|\\[a-zA-Z]+[{_^(]|Traceback \(most", page.text)
        swallowed = re.search(r"[`:]{3}\{prf:|[`:]{3}\{code-cell", page.code)
        assert (leftover, swallowed) == (None, None), path
        classes = {c for _, a in page.elements for c in (a.get("class") or "").split()}
        assert not {"problematic", "system-message", "bookkit-failed"} & classes, path
