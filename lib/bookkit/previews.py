"""What links show when they are pointed at: one small script beside each page.

A browser lets a page that was opened from the disk read no other page, but it lets it load
scripts. The script of a page, ``05-the-law.previews.js`` beside ``05-the-law.html``, hands over
the statements, equations, figures and sources of the page, each under its label; the pages load
it when a link there is pointed at for the first time (see ``preview.js``).
"""

import json
from pathlib import Path
from typing import Any, Final

from docutils import nodes
from sphinx.application import Sphinx

# All proofs without a label have the same identifier.
SHOWN: Final = "div.proof[id]:not(#proof), div.math[id], figure[id], div.citation[id]"
# What makes no sense twice, or away from its page.
_LEFT_OUT: Final = ".headerlink, script, .bookkit-provenance"


def offer_previews(
    app: Sphinx, page: str, _: str, context: dict[str, Any], _doctree: nodes.document | None
) -> None:
    """Write the previews of a page beside it."""
    path = Path(app.outdir, f"{page}.previews.js")
    path.parent.mkdir(parents=True, exist_ok=True)
    found = json.dumps(previews(context.get("body", "")), ensure_ascii=False, indent=0)
    path.write_text(f"bookPreviews({found});\n", encoding="utf-8")


def previews(body: str) -> dict[str, str]:
    r"""Return what links into a page show, by label.

    Parameters
    ----------
    body
        The HTML of the page, or a part of it.

    Returns
    -------
    dict of str to str
        The HTML of each statement, equation, figure and source that has a label.

    Examples
    --------
    >>> from bookkit.previews import previews
    >>> previews('<p id="a">text</p><div class="math" id="b">\\(x\\)</div>')
    {'b': '<div class="math">\\(x\\)</div>'}
    """
    from bs4 import BeautifulSoup

    found = BeautifulSoup(body, "html.parser").select(SHOWN)
    labels = [str(node["id"]) for node in found]
    for node in found:
        for part in node.select(_LEFT_OUT):
            part.decompose()
        for part in [node, *node.select("[id]")]:
            del part["id"]
    return dict(zip(labels, map(str, found), strict=True))
