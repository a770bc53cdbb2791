"""The book as one PDF: its built pages, one after the other, printed by Chromium.

The numbers of chapters, statements, equations and figures are those of the pages, because they
are the pages; links from one page to another become links within the document.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from bookkit.chapters import Book

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Among them the bars that unfold the code of figures, which paper leaves folded.
_SCREEN_ONLY: Final = (
    ".headerlink, .prev-next-area, nav.page-toc, .copybtn, script, .explorer, "
    "details.hide.above-input"
)
_STYLE: Final = """
body { background: white; font-size: 10pt; }
section.book-page { break-before: page; }
h1, h2, h3, h4 { break-after: avoid; }
figure, .proof, div.cell_output, div.math { break-inside: avoid; }
figure img { height: auto; max-height: 180mm; max-width: 100%; width: auto; }
pre { white-space: pre-wrap; }
mjx-container[display="true"] { overflow: visible !important; }
"""
_TYPESET: Final = "() => window.MathJax.startup.promise.then(() => true)"
_LONGEST: Final = 1_200_000  # milliseconds; many formulas on a busy machine


def find_chromium() -> str | None:
    """Return the path of Chromium: the variable CHROMIUM, or what is installed."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def print_book(book: Book, target: Path, names: Sequence[str] = ()) -> None:
    """Print the built pages to one document.

    Parameters
    ----------
    book
        The book, with its pages built.
    target
        The document to write, such as ``_build/pdf/book.pdf``.
    names
        Names of the pages to print, in order, such as ``05-the-law``; all of them if there is none.
        Links to other pages are printed as text.

    Raises
    ------
    ValueError
        If the pages are not built or there is no Chromium; the message says what to do.
    """
    site, chromium = book.root / "_build" / "html", find_chromium()
    if not (site / "index.html").exists():
        raise ValueError("there are no pages to print: run `make book` first")
    if chromium is None:
        raise ValueError("there is no Chromium to print with: install it, or set CHROMIUM")
    from playwright.sync_api import sync_playwright

    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the pages, whose links are relative.
    whole = site / "chapters" / f"whole-book.{os.getpid()}.html"
    whole.write_text(_one_page(site, list(names or page_order(book))), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(color_scheme="light")
            page.set_default_timeout(_LONGEST)
            page.goto(whole.as_uri())
            page.evaluate(_TYPESET)
            page.pdf(
                path=target,
                format="A4",
                margin={"top": "18mm", "bottom": "18mm", "left": "18mm", "right": "18mm"},
                print_background=True,
                outline=True,
                tagged=True,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template='<div style="font-size:8px;width:100%;text-align:center">'
                '<span class="pageNumber"></span></div>',
            )
            browser.close()
    finally:
        whole.unlink()


def page_order(book: Book) -> Iterator[str]:
    """Yield the names of the pages in the order of the table of contents."""
    import yaml  # type: ignore[import-untyped]

    contents = yaml.safe_load((book.root / "_toc.yml").read_text(encoding="utf-8"))

    def files(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["root"]] if "root" in node else [])
            yield from ([node["file"]] if "file" in node else [])
            for key in ("parts", "chapters", "sections"):
                yield from (file for child in node.get(key, ()) for file in files(child))

    for file in files(contents):
        yield Path(file).name


def _one_page(site: Path, names: list[str]) -> str:
    """Return one HTML page with the articles of all pages."""
    from bs4 import BeautifulSoup

    articles: list[str] = []
    scripts: list[Any] = []
    for name in names:
        text = (site / "chapters" / f"{name}.html").read_text(encoding="utf-8")
        soup = BeautifulSoup(text, "html.parser")
        # Only a page with formulas has the scripts for them.
        scripts = [s for s in soup.select("script") if "mathjax" in str(s).lower()] or scripts
        article = soup.select_one("article")
        assert article is not None, name  # noqa: S101 - all pages of the theme have one
        for node in article.select(_SCREEN_ONLY):
            node.decompose()
        _make_unique(article, name, set(names))
        articles.append(f'<section class="book-page" id="{name}">{article}</section>')
    title = BeautifulSoup(articles[0], "html.parser").select_one("h1")
    styles = "".join(str(node) for node in soup.select("head link[rel=stylesheet]"))
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8">{styles}'
        f"<title>{title.get_text() if title else names[0]}</title><style>{_STYLE}</style>"
        f"{''.join(map(str, scripts))}</head>"
        f'<body class="bd-article-container">{"".join(articles)}</body></html>'
    )


def _make_unique(article: Any, name: str, names: set[str]) -> None:
    """Put the name of its page before every label, and lead links there.

    What is on the site but not in the document, such as the numbers behind a figure, is no link.
    """
    for node in [article, *article.select("[id]")]:
        if "id" not in node.attrs:
            continue
        node["id"] = f"{name}.{node['id']}"
    for link in article.select("a[href]"):
        address = urlsplit(link["href"])
        page = Path(unquote(address.path)).stem if address.path else name
        if address.scheme or address.netloc:
            continue
        if page in names and address.path[-5:] in ("", ".html"):
            link["href"] = f"#{page}.{address.fragment}" if address.fragment else f"#{page}"
        else:
            link.unwrap()
