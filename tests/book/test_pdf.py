"""The printed book is whole: links lead somewhere in it, and numbers are those of the pages."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from bookkit import pdf, printed
from bookkit.chapters import Book

# One of Part I, one of Part III that refers to it, and what both cite.
NAMES = ["05-the-law", "18-natural-gradient", "bibliography"]


@pytest.fixture(scope="module")
def selection(real_site, tmp_path_factory):
    """Some real pages, printed."""
    if pdf.find_chromium() is None:
        message = "NOT TESTED: there is no Chromium to print with"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    target = tmp_path_factory.mktemp("pdf") / "selection.pdf"
    # In a thread of its own: the browser of other tests may have a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pdf.print_book, Book(real_site.parents[1]), target, NAMES).result()
    return target


@pytest.mark.pages
def test_links_lead_somewhere_and_numbers_are_those_of_the_pages(selection, real_site):
    assert printed.check_document(selection, real_site, NAMES) == []
    document = printed.Document(selection)
    links = set(document.links)
    assert ("label", "05-the-law.thm-law") in links
    assert any(re.fullmatch(r"bibliography\.\w+", target) for _, target in links)
    assert sum(kind == "label" for kind, _ in links) > 50
    assert "Theorem5.1(Thelaw" in document.near("05-the-law.thm-law")
    assert "Theorem5.1(Thelaw" not in document.near("05-the-law.thm-law-under")
    # Another process may be printing beside this one.
    assert not list(real_site.glob(f"chapters/whole-book.{os.getpid()}.*"))


@pytest.mark.pages
def test_what_is_wrong_is_named(selection, real_site, monkeypatch):
    numbers = [
        ("05-the-law.thm-law", "Theorem5.9"),
        ("05-the-law.fig-law-risk", "Fig.9.9"),
        ("05-the-law.thm-nowhere", "Theorem9.9"),
    ]
    links = [
        ("label", "05-the-law.nowhere"),
        ("address", "file:///book/index.html"),
        ("address", "http://localhost:8000/index.html"),
        ("address", "https://example.org"),
    ]
    monkeypatch.setattr(printed, "_numbers", lambda *_: numbers)
    monkeypatch.setattr(printed.Document, "links", links)
    problems = printed.check_document(selection, real_site, NAMES)
    assert len(problems) == 6
    named = "\n".join(problems)
    for what in [name for name, _ in numbers] + [target for _, target in links[:3]]:
        assert what in named
