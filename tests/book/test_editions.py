"""The book as one document and as one archive."""

import re
import shutil
import zipfile

import pytest

from bookkit import editions, pdf
from bookkit.chapters import Book

PAGE = """<html><head><link href="../_static/a.css" rel="stylesheet"/>
<script src="../_static/mathjax/x.js"></script><script src="../_static/other.js"></script></head>
<body><article id="x"><h1 id="top">{name}<a class="headerlink" href="#top">#</a></h1>
<a href="two.html#top">two</a> <a href="#top">here</a> <a href="one.html">one</a>
<a href="https://example.org/two.html#top">away</a> <a href="../_sources/one.md">source</a>
</article></body></html>"""


def test_links_between_pages_become_links_within_the_document(tmp_path):
    (tmp_path / "chapters").mkdir()
    for name in ("one", "two"):
        (tmp_path / "chapters" / f"{name}.html").write_text(PAGE.format(name=name))
    whole = pdf._one_page(tmp_path, ["one", "two"])
    ids = re.findall(r'id="([^"]+)"', whole)
    assert len(set(ids)) == len(ids)
    links = re.findall(r'<a href="([^"]+)"', whole)
    within = [link.removeprefix("#") for link in links if link.startswith("#")]
    assert within == ["two.top", "one.top", "one", "two.top", "two.top", "one"]
    assert set(within) <= set(ids)
    # What is on the site but not in the document is text.
    assert [link for link in links if not link.startswith("#")] == [
        "https://example.org/two.html#top"
    ] * 2
    assert "source" in whole
    one = pdf._one_page(tmp_path, ["one"])
    assert re.findall(r'<a href="([^"]+)"', one)[:-1] == ["#one.top", "#one"]
    assert "mathjax" in whole
    assert "other.js" not in whole
    assert "headerlink" not in whole


def test_printing_says_what_is_missing(book, monkeypatch):
    with pytest.raises(ValueError, match="run `make book` first"):
        pdf.print_book(book, book.root / "book.pdf")
    (book.root / "_build" / "html").mkdir()
    (book.root / "_build" / "html" / "index.html").touch()
    monkeypatch.setattr(pdf, "find_chromium", lambda: None)
    with pytest.raises(ValueError, match="no Chromium to print with"):
        pdf.print_book(book, book.root / "book.pdf")


def test_the_archive_has_notebooks_library_and_instructions(real_book, tmp_path):
    editions.pack_notebooks(real_book, tmp_path / "notebooks.zip")
    with zipfile.ZipFile(tmp_path / "notebooks.zip") as archive:
        names = {name.removeprefix("notebooks/") for name in archive.namelist()}
        readme = archive.read("notebooks/README.md").decode()
    assert {f"{chapter.stem}.ipynb" for chapter in real_book.chapters} <= names
    [wheel] = (name for name in names if name.endswith(".whl"))
    assert f'"{wheel}[chapters]"' in readme
    assert not any("_build" in name or name.endswith(".pyc") for name in names)


def test_the_library_is_built_once_for_the_same_sources(real_book, tmp_path, monkeypatch):
    root = tmp_path / "book"
    for path in editions._files(real_book.root, ("lib", "pyproject.toml", "README.md", "LICENSE")):
        copy = root / path.relative_to(real_book.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    shutil.copy(real_book.root / "LICENSE-TEXT", root)
    copied = Book(root)
    first = editions._wheel(copied)
    with monkeypatch.context() as patch:
        patch.setattr(editions.subprocess, "run", None)
        assert editions._wheel(copied) == first
        (root / "lib" / "overparam" / "law.py").write_text("law = 1\n", encoding="utf-8")
        with pytest.raises(TypeError):
            editions._wheel(copied)
    second = editions._wheel(copied)
    with zipfile.ZipFile(second) as wheel:
        assert wheel.read("overparam/law.py") == b"law = 1\n"
    assert sorted(path.name for path in second.parents[1].iterdir()) == sorted(
        {first.parent.name, second.parent.name}
    )
