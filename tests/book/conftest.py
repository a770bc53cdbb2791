"""A book of two short chapters, to be broken on purpose."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

from bookkit.chapters import Book
from bookkit.execution import execute_stale
from bookkit.pdf import find_chromium

HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""

ONE = """\
(ch-one)=
# One

```{code-cell} ipython3
import bookkit
import matplotlib.pyplot as plt
import numpy as np
from toy import line
```

````{prf:theorem} Doubling
:label: thm-one

Twice one is two.

```{evidence} proved
:figure: fig-one-line
```
````

```{code-cell} ipython3
rng = np.random.default_rng(bookkit.seed("one", "mean"))
x = rng.normal(size=100)
bookkit.claim("thm-one", 0, x.mean(), 0.1, what="mean of 100 normals")
```

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-one-line
    caption: |
      A line through the origin.
  image:
    alt: A straight line that rises from zero on the left to six on the right, at a constant slope.
tags: [hide-input]
---
fig, ax = plt.subplots()
x = np.arange(4.0)
ax.plot(x, line.double(x))
bookkit.record("fig-one-line", fig, {"x": x, "double": line.double(x)})
```
"""

TWO = """\
(ch-two)=
# Two

$$
1 + 1 = 2
$$ (eq-two-sum)

```{code-cell} ipython3
import bookkit
from toy import number

bookkit.claim_close("eq-two-sum", 1 + 1, number.two(), what="addition")
```

See {prf:ref}`thm-one` and {numref}`fig-one-line`.
"""

FILES = {
    "_config.yml": """\
title: Two chapters
repository: {url: ""}
execute: {execute_notebooks: cache}
exclude_patterns: [".*", lib, tests]
sphinx:
  extra_extensions: [sphinx_proof, bookkit.sphinx_extension]
""",
    "_toc.yml": """\
format: jb-book
root: chapters/intro
options: {numbered: true}
chapters: [{file: chapters/01-one}, {file: chapters/02-two}, {file: chapters/ledger}]
""",
    "conftest.py": 'pytest_plugins = ["bookkit.pytest_plugin"]\n',
    "requirements.lock": "",
    "chapters/intro.md": "# Two chapters\n",
    "chapters/ledger.md": "# Ledger\n\n```{ledger}\n```\n",
    "chapters/01-one.md": HEADER + ONE,
    "chapters/02-two.md": HEADER + TWO,
    "lib/toy/__init__.py": "",
    "lib/toy/line.py": "def double(x):\n    return 2 * x\n",
    "lib/toy/number.py": """\
from importlib.resources import files


def two():
    return float(files("toy").joinpath("two.txt").read_text())
""",
    "lib/toy/two.txt": "2.0",
    "tests/figures/01-one/fig-one-line.csv": "x,double\n0.0,0.0\n1.0,2.0\n2.0,4.0\n3.0,6.0\n",
}


class Edit:
    """Edits of a book: each is visible to what reads the book afterwards."""

    def __init__(self, root):
        self.root = root

    def replace(self, name, old, new):
        path = self.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def cell(self, name, code):
        """Add a code cell to the end of a chapter."""
        text = (self.root / name).read_text()
        self.write(name, f"{text}\n```{{code-cell}} ipython3\n{code}\n```\n")


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The book with its chapters executed, once; not to be changed."""
    root = tmp_path_factory.mktemp("executed")
    for name, text in FILES.items():
        Edit(root).write(name, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(root / "lib"))
        execute_stale(Book(root).chapters, say=lambda _: None)
    return root


@pytest.fixture
def edit(executed, tmp_path, monkeypatch):
    """A copy of the executed book, with the means to edit it."""
    root = tmp_path / "book"
    shutil.copytree(executed, root)
    monkeypatch.setenv("PYTHONPATH", str(root / "lib"))
    return Edit(root)


@pytest.fixture
def book(edit):
    """The book that is edited."""
    return Book(edit.root)


@pytest.fixture
def real_book():
    """The book that this project is about."""
    return Book.around(Path(__file__))


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; where there is none the test is skipped, but never in CI."""
    path = find_chromium()
    if path is None:
        message = (
            "NOT TESTED: there is no Chromium to open the pages with. Install it (on Debian and "
            "Ubuntu: sudo apt-get install chromium) or name it in the environment variable CHROMIUM"
        )
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The sandbox needs rights that containers do not have; the pages are ours.
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=path, args=options)
        yield chromium
        chromium.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site(real_site):
    """Address of the built pages, served on this machine."""
    handler = functools.partial(Quiet, directory=real_site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def real_site():
    """Folder of the built pages of the real book."""
    return Book.around(Path(__file__)).root / "_build" / "html"


@pytest.fixture
def tab(browser, site):
    """A tab with what it asked for elsewhere, and what went wrong in it."""
    context = browser.new_context(viewport={"width": 1300, "height": 900}, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.elsewhere, page.errors = [], []
    local = (site, "data:", "blob:", "about:")
    page.on("request", lambda r: r.url.startswith(local) or page.elsewhere.append(r.url))
    page.on("console", lambda m: m.type == "error" and page.errors.append(m.text))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("requestfailed", lambda r: page.errors.append(f"failed: {r.url}"))
    yield page
    context.close()
