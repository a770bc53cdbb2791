"""Chapters open in Binder and Colab, from the branch to which they are published."""

import re

from bookkit import launch

ADDRESS = "https://github.com/someone/book"


def test_addresses_name_branch_and_notebook():
    expected = {
        "Binder": "https://mybinder.org/v2/gh/someone/book/notebooks"
        "?urlpath=lab/tree/notebooks/05-the-law.ipynb",
        "Colab": "https://colab.research.google.com/github/someone/book/blob/notebooks/"
        "notebooks/05-the-law.ipynb",
    }
    for address in (ADDRESS, f"{ADDRESS}/", f"{ADDRESS}.git"):
        assert launch.addresses(address, "05-the-law") == expected
    assert launch.addresses("https://github.example.org/someone/book", "05-the-law") == {}
    assert launch.addresses("", "05-the-law") == {}


def test_the_branch_is_the_one_that_is_published(real_book):
    published = (real_book.root / ".github/workflows/publish.yml").read_text(encoding="utf-8")
    assert f"git push --force origin HEAD:refs/heads/{launch.BRANCH}\n" in published
    assert re.search(rf"cp book/_sources/chapters/\*\.ipynb {launch.FOLDER}\n", published)
    assert f"git add --force {launch.FOLDER}\n" in published


def test_binder_installs_what_the_chapters_need(real_book):
    needed = (real_book.root / "binder/requirements.txt").read_text(encoding="utf-8").split()
    assert needed == [".[chapters]", "myst-nb"]


def test_the_first_cell_does_nothing_but_in_colab():
    cell = launch.first_cell(ADDRESS)
    assert f"--branch notebooks {ADDRESS} book\n" in cell
    acting = [line for line in cell.splitlines() if line.lstrip().startswith(("!", "%"))]
    assert acting
    assert all(line.startswith("    ") for line in acting)
    assert 'if "google.colab" in sys.modules:\n' in cell
