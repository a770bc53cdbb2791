"""The commands that people run: pytest on chapters, the command line, the build."""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bookkit import __main__ as command_line

ONE, TWO = "chapters/01-one.md", "chapters/02-two.md"


def run(root, tool, *arguments):
    """Run a command-line tool in a book; return the exit status and the output."""
    environment = {**os.environ, "NO_COLOR": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments],
        check=False,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, re.sub(r"\x1b\[[\d;]*m", "", done.stdout)


def pytest_on(root, *options):
    return run(root, "pytest", "--nbmake", "chapters", "-p", "no:cacheprovider", *options)


def build(root):
    return run(root, "jupyter-book", "build", ".", "-n", "-W", "--keep-going")


def beside(root, name):
    return (root / "_build" / "html" / "chapters" / name).read_text()


def page(root, name):
    return beside(root, f"{name}.html")


def test_pytest_executes_what_is_stale_and_sums_up(edit):
    edit.replace("lib/toy/two.txt", "2.0", "2.000")
    status, output = pytest_on(edit.root, "-n", "1")
    assert status == 0, output
    assert "2 passed" in output
    assert "bookkit: 2 chapters (1 executed, 1 reused), 2 claims, 1 comparisons of 20000" in output


def test_pytest_reports_every_problem(edit):
    edit.replace(ONE, "A straight line that rises", "Rises")
    edit.write("tests/figures/01-one/fig-one-line.csv", "x,double\n0,0\n1,2\n2,4.0004\n3,6\n")
    edit.cell(TWO, "1 / 0")
    status, output = pytest_on(edit.root)
    assert status == 1
    assert "2 failed" in output
    assert "[figure-alt]" in output
    assert "01-one, fig-one-line, column 'double', row 2: committed 4.0004, new 4.0" in output
    assert "chapters/02-two.md:" in output
    assert "ZeroDivisionError" in output


def test_pytest_without_nbmake_leaves_the_chapters_alone(edit):
    status, output = run(edit.root, "pytest", "chapters", "-p", "no:cacheprovider")
    assert status == pytest.ExitCode.NO_TESTS_COLLECTED, output


def test_build_shows_the_evidence_and_executes_nothing(edit):
    status, output = build(edit.root)
    assert status == 0, output
    assert "executing" not in output
    assert output.count("Using cached notebook") == 2
    one, two, ledger = (page(edit.root, name) for name in ("01-one", "02-two", "ledger"))
    assert "<strong>Proved here</strong>" in one
    assert re.search(r"✓ mean of 100 normals: worst \|z\| = \d\.\d of 5\.5 allowed", one)
    assert '<p class="bookkit-claim">✓ <code>eq-two-sum</code> addition;' in two
    assert 'alt="A straight line that rises' in one
    assert 'href="01-one.html#thm-one">Theorem 1.1</a> (Doubling)' in ledger
    assert re.search(r"✓ mean of 100 normals", ledger)
    assert re.search(r'href="02-two.html#equation-eq-two-sum"', ledger)
    assert '"../_sources/chapters/01-one.ipynb"' in one
    assert (edit.root / "_build/html/_sources/chapters/01-one.ipynb").exists()
    assert (edit.root / "_build/html/_sources/chapters/01-one.md").exists()
    assert '"thm-one": "<div class=' in beside(edit.root, "01-one.previews.js")
    assert not re.search(r'href="[^"]*(mybinder|colab)', one)

    # A change of the library alone reaches the page, and the ledger.
    edit.replace("lib/toy/line.py", "return", "print('edited')\n    return")
    status, output = build(edit.root)
    assert status == 0, output
    assert "executing 01-one\n" in output
    assert "edited" in page(edit.root, "01-one")
    assert "updating environment: 0 added, 2 changed, 0 removed" in output

    # An edit of prose executes nothing; besides the page only the ledger is read again.
    edit.replace(TWO, "See {prf:ref}", "Compare {prf:ref}")
    status, output = build(edit.root)
    assert status == 0, output
    assert "executing" not in output
    assert "Compare <a" in page(edit.root, "02-two")
    assert "updating environment: 0 added, 2 changed, 0 removed" in output


def test_buttons_lead_to_the_published_notebooks_once_there_is_an_address(edit):
    address = "https://github.com/someone/book"
    edit.replace("_config.yml", 'url: ""', f"url: {address}, branch: main")
    status, output = build(edit.root)
    assert status == 0, output
    for name in ("01-one", "02-two"):
        text = html.unescape(page(edit.root, name))
        assert re.findall(r'href="(https://(?:mybinder|colab)[^"]+)"', text) == [
            f"https://mybinder.org/v2/gh/someone/book/notebooks?urlpath=lab/tree/notebooks/{name}.ipynb",
            f"https://colab.research.google.com/github/someone/book/blob/notebooks/notebooks/{name}.ipynb",
        ]
        assert f'href="{address}/edit/main/chapters/{name}.md"' in text
        cells = json.loads((edit.root / f"_build/html/_sources/chapters/{name}.ipynb").read_text())
        assert f"--branch notebooks {address} book" in "".join(cells["cells"][0]["source"])
    assert not re.search(r'href="[^"]*(mybinder|colab)', page(edit.root, "ledger"))


def test_build_fails_when_a_chapter_fails(edit):
    edit.cell(TWO, "1 / 0")
    status, output = build(edit.root)
    assert status != 0
    assert "A chapter failed:" in output
    assert "chapters/02-two.md:" in output
    assert "ZeroDivisionError: division by zero" in output


def test_build_fails_when_a_statement_has_no_check(edit):
    edit.replace(ONE, ":label: thm-one", ":label: thm-other")
    edit.replace(TWO, "thm-one", "thm-other")
    status, output = build(edit.root)
    assert status != 0
    assert "WARNING: chapters/01-one.md:21: the theorem thm-other has no check" in output


@pytest.fixture
def command(edit, monkeypatch):
    monkeypatch.chdir(edit.root / "chapters")
    return command_line.main


def test_commands(command, edit, capsys):
    assert command(["execute"]) == 0
    assert "0 of 2 chapters were stale" in capsys.readouterr().out
    edit.write("tests/figures/01-one/fig-one-line.csv", "x,double\n0,1\n")
    assert command(["figures", "01-one"]) == 0
    assert "changed tests/figures/01-one/fig-one-line.csv" in capsys.readouterr().out
    assert command(["lint"]) == 0
    edit.cell(ONE, "import random")
    assert command(["lint"]) == 1
    assert "[unseeded-random]" in capsys.readouterr().out
    assert command(["export", "02-two"]) == 0
    assert (edit.root / "notebooks" / "02-two.ipynb").exists()
    assert command(["execute", "03-three"]) == 1
    assert "no chapter ['03-three']; there are ['01-one', '02-two']" in capsys.readouterr().err
