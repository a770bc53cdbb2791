"""Buttons that open a chapter in Binder or Colab, from the branch with the executed notebooks.

The branch is made by ``.github/workflows/publish.yml``. The buttons of the theme would lead to the
sources of the pages, which are Markdown, on the main branch.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from bookkit.chapters import Chapter

BRANCH: Final = "notebooks"
FOLDER: Final = "notebooks"

_FIRST_CELL: Final = """\
# Only in Colab, which opens this file alone: fetch the library and the results.
import sys

if "google.colab" in sys.modules:
    !git clone --quiet --depth 1 --branch {branch} {address} book
    %pip install --quiet "./book[chapters]" myst-nb
    %cd book/{folder}"""


def addresses(repository: str, stem: str) -> dict[str, str]:
    """Return where a chapter can be executed, by the name of the service.

    Parameters
    ----------
    repository
        Public address of the repository; one on GitHub, which is what both services read.
    stem
        File name of the chapter, without suffix.

    Returns
    -------
    dict of str to str
        Empty if the repository is elsewhere.

    Examples
    --------
    >>> from bookkit.launch import addresses
    >>> for name, address in addresses("https://github.com/someone/book", "05-the-law").items():
    ...     print(name, address)
    Binder https://mybinder.org/v2/gh/someone/book/notebooks?urlpath=lab/tree/notebooks/05-the-law.ipynb
    Colab https://colab.research.google.com/github/someone/book/blob/notebooks/notebooks/05-the-law.ipynb
    >>> addresses("https://example.org/someone/book", "05-the-law")
    {}
    """
    parts = urlsplit(repository)
    if parts.hostname != "github.com":
        return {}
    name = parts.path.strip("/").removesuffix(".git")
    path = f"{FOLDER}/{stem}.ipynb"
    return {
        "Binder": f"https://mybinder.org/v2/gh/{name}/{BRANCH}?urlpath=lab/tree/{path}",
        "Colab": f"https://colab.research.google.com/github/{name}/blob/{BRANCH}/{path}",
    }


def add_buttons(repository: str, chapter: Chapter, context: dict[str, Any]) -> None:
    """Add a menu to the header of a page, in the form that the theme wants."""
    icons = {"Binder": "_static/images/logo_binder.svg", "Colab": "_static/images/logo_colab.png"}
    buttons = [
        {
            "type": "link",
            "text": name,
            "tooltip": f"Launch on {name}",
            "icon": icons[name],
            "url": url,
        }
        for name, url in addresses(repository, chapter.stem).items()
    ]
    if buttons:
        menu = {
            "type": "group",
            "tooltip": "Execute this chapter elsewhere",
            "icon": "fas fa-rocket",
            "buttons": buttons,
            "label": "launch-buttons",
        }
        context.setdefault("header_buttons", []).append(menu)


def first_cell(repository: str) -> str:
    """Return the code that comes first in a published notebook."""
    return _FIRST_CELL.format(branch=BRANCH, folder=FOLDER, address=repository)
