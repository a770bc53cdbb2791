"""Is the printed book whole? Its links and its numbers are compared with those of the pages."""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NUMBERED = {
    "div.math[id]": ".eqno",
    "div.proof[id]": ".admonition-title .caption-number",
    "figure[id]": "figcaption .caption-number",
}
# Links that a reader can follow: to another site, or to write to someone.
_SCHEMES = ("https", "http", "mailto")
_OWN = ("localhost", "127.0.0.1", "::1")


class Document:
    """A printed document: its links, its labels, and what stands near them."""

    def __init__(self, path: Path) -> None:
        from pypdf import PdfReader

        self._reader = PdfReader(path)
        self._texts: dict[int, list[tuple[float, str]]] = {}

    @cached_property
    def labels(self) -> dict[str, Any]:
        """Places that links lead to, by label."""
        named = self._reader.named_destinations
        return {name.removeprefix("/"): place for name, place in named.items()}

    @property
    def links(self) -> Iterator[tuple[str, str]]:
        """Links: the kind, ``"label"`` or ``"address"``, and where they lead."""
        for page in self._reader.pages:
            for reference in page.get("/Annots") or ():
                link = reference.get_object()
                if link["/Subtype"] != "/Link":
                    continue
                if "/Dest" in link:
                    yield "label", str(link["/Dest"]).removeprefix("/")
                else:
                    yield "address", str(link["/A"].get("/URI", ""))

    def near(self, label: str) -> str:
        """Return what is printed from a label on, to the end of its page, without spaces."""
        place = self.labels[label]
        page = self._reader.get_destination_page_number(place)
        texts = self._on(page if page is not None else 0)
        return "".join(text for height, text in texts if height <= float(place.top) + 1)

    @cached_property
    def text(self) -> str:
        """All that is printed, without spaces."""
        pages = range(len(self._reader.pages))
        return "".join(text for page in pages for _, text in self._on(page))

    def _on(self, page: int) -> list[tuple[float, str]]:
        """Texts on a page with their heights above its lower edge, from top to bottom."""
        if page not in self._texts:
            found: list[tuple[float, str]] = []

            def visit(text: str, outer: Any, inner: Any, *_: Any) -> None:
                height = inner[4] * outer[1] + inner[5] * outer[3] + outer[5]
                found.append((height, _packed(text)))

            self._reader.pages[page].extract_text(visitor_text=visit)
            self._texts[page] = sorted(found, key=lambda one: -one[0])
        return self._texts[page]


def check_document(path: Path, site: Path, names: Sequence[str]) -> list[str]:
    """Compare a printed document with the pages that it was made of.

    Parameters
    ----------
    path
        The document, from `bookkit.pdf.print_book`.
    site
        Folder of the built pages.
    names
        Names of the pages that were printed.

    Returns
    -------
    list of str
        What is wrong: links that lead nowhere or to the machine it was printed on, and equations,
        statements and figures that do not have the number they have on their page.
    """
    document, problems = Document(path), []
    for kind, target in sorted(set(document.links)):
        if kind == "label" and target not in document.labels:
            problems.append(f"a link leads to {target}, which is not in the document")
        if kind == "address" and not _public(target):
            problems.append(f"a link leads to {target}, which no reader has")
    for label, number in _numbers(site, names):
        if label not in document.labels:  # Nothing refers to it.
            if number not in document.text:
                problems.append(f"{label} is {number} on its page and not in the document")
        elif number not in document.near(label):
            problems.append(f"{label} is {number} on its page, and {number} is not where it is")
    return problems


def _numbers(site: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Labels in the document, and the numbers that they have on their pages."""
    from bs4 import BeautifulSoup

    for name in names:
        page = (site / "chapters" / f"{name}.html").read_text(encoding="utf-8")
        article = BeautifulSoup(page, "html.parser").select_one("article")
        for outer, inner in NUMBERED.items():
            for node in article.select(outer) if article else ():
                if number := node.select_one(inner):
                    for mark in number.select(".headerlink"):
                        mark.decompose()
                    yield f"{name}.{node['id']}", _packed(number.get_text())


def _public(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in _SCHEMES and parts.hostname not in _OWN


def _packed(text: str) -> str:
    """Text without spaces and ligatures, of which a document has its own."""
    return "".join(unicodedata.normalize("NFKC", text).split())
