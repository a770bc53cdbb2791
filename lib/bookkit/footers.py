"""Under each figure, one line: what it was made with, its numbers, and what checked it."""

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from bookkit import baselines
from bookkit.chapters import Chapter
from bookkit.evidence import Claim, Evidence
from bookkit.provenance import Provenance, provenances

LIBRARY = "overparam"


def add_footers(
    chapter: Chapter, docname: str, document: nodes.document, evidence: dict[str, Evidence]
) -> None:
    """Add the footers to the figures of a chapter."""
    sources = provenances(chapter, LIBRARY)
    for figure in document.findall(nodes.figure):
        slug = next((name for name in figure["names"] if name in sources), None)
        if slug is None:
            continue
        source = sources[slug]
        cell = _enclosing_cell(figure)
        if cell is not None:
            cell["ids"].append(f"cell-{source.cell}")
        line = nodes.paragraph(classes=["bookkit-provenance"])
        line += _parts(docname, slug, source, _checks(chapter, slug, evidence))
        pages_only = addnodes.only(expr="html")
        pages_only += line
        legend = nodes.legend()
        legend += pages_only
        figure.append(legend)


def write_numbers(app: Sphinx, docname: str, evidence: Evidence) -> None:
    """Put the numbers of the figures of a page where their footers lead."""
    for figure in evidence.figures:
        path = Path(app.outdir, "_sources", docname, f"{figure.slug}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(baselines.table(figure), encoding="utf-8", newline="")


def resolve_optional(
    _app: Sphinx, _env: object, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Leave the name of a function that the library reference does not have as it is."""
    return content if node.get("bookkit_optional") else None


def _enclosing_cell(node: nodes.Node) -> nodes.Element | None:
    while node is not None:
        if isinstance(node, nodes.container) and "cell" in node["classes"]:
            return node
        node = node.parent
    return None


def _checks(chapter: Chapter, slug: str, evidence: dict[str, Evidence]) -> list[Claim]:
    """Checks of the figure, and of the statements of its chapter that name it."""
    labels = {slug} | {s.label for s in chapter.statements if s.options.get("figure") == slug}
    return [claim for part in evidence.values() for claim in part.claims if claim.label in labels]


def _parts(docname: str, slug: str, source: Provenance, claims: list[Claim]) -> list[nodes.Node]:
    link = nodes.reference("", f"cell {source.cell}", refuri=f"#cell-{source.cell}")
    parts: list[nodes.Node] = [nodes.Text("Made by "), link]
    functions = [name for name in source.functions if not name.isupper()]
    for position, name in enumerate(functions):
        parts += [nodes.Text(", " if position else " with "), _function(docname, name)]
    if source.seeds:
        parts.append(nodes.Text(f"; seed {', '.join(source.seeds)}"))
    if source.replicates:
        parts.append(nodes.Text(f"; {' and '.join(map(str, source.replicates))} replicates"))
    here = docname.rsplit("/", 1)
    numbers = f"{'../' * (len(here) - 1)}_sources/{docname}/{slug}.csv"
    parts += [nodes.Text(". "), nodes.reference("", "Numbers (CSV)", refuri=numbers)]
    parts.append(nodes.Text(f". {_verdict(claims)}"))
    return parts


def _function(docname: str, name: str) -> nodes.Node:
    return addnodes.pending_xref(
        "",
        nodes.literal("", name),
        refdomain="py",
        reftype="obj",
        reftarget=f"{LIBRARY}.{name}",
        refdoc=docname,
        refexplicit=True,
        bookkit_optional=True,
    )


def _verdict(claims: list[Claim]) -> str:
    if not claims:
        return "✓ same numbers as in the last version."
    passed = sum(claim.passed for claim in claims)
    if len(claims) == 1:
        return f"{'✓' if passed else 'FAILED'} {claims[0].verdict}."
    mark = "✓" if passed == len(claims) else "FAILED"
    return f"{mark} {passed} of {len(claims)} checks passed."
