"""What search engines and link previews say about a page."""

import re
from html import escape
from typing import Any, Final

from docutils import nodes
from sphinx.application import Sphinx

_SHORTEST: Final = 50
_LONGEST: Final = 200


def describe_page(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the description of a page: the beginning of its first paragraph."""
    # Generated pages, such as the index, have no text and may have no title.
    title = re.sub(r"<[^>]+>", "", context.get("title") or "").strip() or page
    text = f"{title}: a page of {app.config.html_title}, a book of derivations that execute."
    for paragraph in doctree.findall(nodes.paragraph) if doctree is not None else ():
        found = _plain(paragraph)
        if len(found) > _SHORTEST and not isinstance(paragraph.parent, nodes.citation):
            text = _shorten(found)
            break
    metatags = context.get("metatags", "")
    context["metatags"] = f'{metatags}\n<meta name="description" content="{escape(text)}" />\n'


def _plain(paragraph: nodes.paragraph) -> str:
    """Text of a paragraph; the commands of formulas become words."""
    text = re.sub(r"\\([a-zA-Z]+)", r"\1", paragraph.astext())
    return " ".join(re.sub(r"[\\{}]", "", text).split())


def _shorten(text: str) -> str:
    """Cut a text between words."""
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST - 3].rsplit(" ", 1)[0].rstrip(",;:") + "..."
