"""The book's part of the Sphinx build.

Before pages are read, stale chapters are executed and all outputs are handed
to MyST-NB, so that the build itself executes nothing. Two directives show the
evidence: ``{evidence}`` at a statement, ``{ledger}`` for the whole book.
"""

import gc
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from bookkit import (
    checks,
    costs,
    dependencies,
    editions,
    execution,
    footers,
    launch,
    ledger,
    lint,
    toolchain,
)
from bookkit.chapters import Book, Chapter
from bookkit.descriptions import describe_page
from bookkit.evidence import Evidence
from bookkit.previews import offer_previews

logger = logging.getLogger(__name__)

_GARBAGE = 200_000  # new objects before unused ones are looked for


class BookError(SphinxError):
    """A chapter that does not execute."""

    category = "A chapter failed"


def show_repository(_: Sphinx, config: Config) -> None:
    """Add the buttons that lead to the repository, once its address is set."""
    options = config.html_theme_options
    if options.get("repository_url"):
        for button in ("repository", "issues", "edit_page"):
            options[f"use_{button}_button"] = True


def prepare(app: Sphinx) -> None:
    """Execute what is stale, check it, and hand all outputs to MyST-NB."""
    # Each page is read and parsed once for everything that is done here.
    pages = _book(app.env).pages
    chapters = [page for page in pages if page.is_notebook]
    try:
        execution.execute_stale(chapters, say=lambda line: logger.info("bookkit: %s", line))
    except execution.ChapterError as error:
        raise BookError(str(error)) from None
    evidence = execution.book_evidence(chapters)
    app.env.bookkit_evidence = evidence  # type: ignore[attr-defined]
    labels = checks.labels(pages)
    problems = checks.check_budget(evidence)
    for page in pages:
        problems += lint.check_source(page)
    for chapter in chapters:
        execution.publish(chapter, app)
        problems += checks.check_outputs(chapter, labels)
    for problem in problems:
        logger.warning("%s", problem, type="bookkit", subtype=problem.rule)


def depend_on_outputs(app: Sphinx, docname: str, _: list[str]) -> None:
    """Make a page out of date when its chapter has been executed again."""
    chapter = _chapter(app.env, docname)
    if chapter.executed.exists():
        _depend(app.env, chapter.executed)


def offer_notebook(
    app: Sphinx, page: str, _: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the executed notebook of a chapter into the download menu of its page."""
    chapter = _chapter(app.env, page)
    if doctree is not None and chapter.executed.exists():
        target = Path(app.outdir, "_sources", f"{page}.ipynb")
        notebook = execution.outputs(chapter)
        if address := app.config.html_theme_options.get("repository_url"):
            notebook.cells.insert(0, toolchain.new_cell(launch.first_cell(address)))
        toolchain.write_notebook(notebook, target)
        # The theme looks for this entry when it makes the menu.
        context["ipynb_source"] = f"{page}.ipynb"


def offer_launch(
    app: Sphinx, page: str, _: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the buttons that execute a chapter elsewhere, once the repository has an address."""
    chapter = _chapter(app.env, page)
    address = app.config.html_theme_options.get("repository_url")
    if address and doctree is not None and chapter.executed.exists():
        launch.add_buttons(address, chapter, context)


def explain_figures(app: Sphinx, document: nodes.document) -> None:
    """Put a line under each figure that says where it comes from."""
    chapter, docname = _chapter(app.env, app.env.docname), app.env.docname
    if chapter.stem in _evidence(app.env) and any(cell.figure for cell in chapter.cells):
        # Any chapter may check any figure.
        _depend(app.env, *(part.executed for part in _book(app.env).chapters))
        footers.add_footers(chapter, docname, document, _evidence(app.env))


def offer_numbers(
    app: Sphinx, page: str, _: str, _context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the numbers behind the figures of a page beside its source."""
    part = _evidence(app.env).get(_chapter(app.env, page).stem)
    if doctree is not None and part is not None:
        footers.write_numbers(app, page, part)


def visit_citation(translator: Any, node: nodes.citation) -> None:
    """Open an entry of a bibliography with a role that its list may have.

    Docutils gives it a role that is no longer in the standard.
    """
    type(translator).visit_citation(translator, node)
    translator.body[-1] = translator.body[-1].replace("doc-biblioentry", "listitem")


def depart_citation(translator: Any, node: nodes.citation) -> None:
    """Close an entry of a bibliography."""
    type(translator).depart_citation(translator, node)


def drop_thebe(
    _: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: nodes.document | None
) -> None:
    """Leave out the scripts for live cells, which no page uses.

    Jupyter Book adds them twice, so that the second declaration is an error in the console.
    """
    context["script_files"] = [
        script
        for script in context.get("script_files", ())
        if "thebe" not in f"{script} {getattr(script, 'attributes', '')}".lower()
    ]


def offer_archive(app: Sphinx, error: Exception | None) -> None:
    """Put the archive of all notebooks where the pages lead to it."""
    book = Book(Path(app.srcdir))
    # A book without a library of its own has nothing to install, and so no archive.
    if error is None and app.builder.format == "html" and (book.root / "pyproject.toml").exists():
        editions.pack_notebooks(book, Path(app.outdir, "notebooks.zip"))


def warn_again(app: Sphinx, _: Exception | None) -> None:
    """After a build with warnings, make the next one read all pages again.

    Sphinx reads only pages that changed, so that a warning that fails one build would be
    missing from the next.
    """
    if app._warncount:  # noqa: SLF001 - the status code is set only later
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


class checks_node(nodes.General, nodes.Element):  # noqa: N801 - a docutils node
    """Stands for the checks of a statement until its label is known."""


class EvidenceDirective(SphinxDirective):
    """How a statement is established, and what checked it."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "function": directives.unchanged_required,
        "figure": directives.unchanged_required,
        "source": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Show the status and the links; the checks come later."""
        # Any chapter may check any statement.
        _depend(self.env, *(chapter.executed for chapter in _book(self.env).chapters))
        box = nodes.container(classes=["bookkit-evidence"])
        line = ledger.status_line(self.arguments[0], self.options)
        self.state.nested_parse(StringList([line], self.env.docname), self.content_offset, box)
        box += checks_node()
        return [box]


class ShowChecks(SphinxTransform):
    """Put the checks of each statement into its evidence block."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        """Replace the stand-ins in one document."""
        claims = ledger.claims_by_label(_evidence(self.env))
        for node in list(self.document.findall(checks_node)):
            label = _enclosing_label(node)
            items = nodes.bullet_list(classes=["bookkit-checks"])
            for claim in claims.get(label, ()):
                paragraph = nodes.paragraph()
                paragraph += nodes.Text(ledger.check_line(claim))
                items += nodes.list_item("", paragraph)
            node.replace_self([items] if items.children else [])


class LedgerDirective(SphinxDirective):
    """The table of all statements and their checks."""

    def run(self) -> list[nodes.Node]:
        """Generate the ledger from the sources and the executed chapters."""
        chapters = _book(self.env).chapters
        _depend(self.env, *(c.path for c in chapters), *(c.executed for c in chapters))
        return _generated(self, "bookkit-ledger", ledger.lines(chapters, _evidence(self.env)))


class ChapterMapDirective(SphinxDirective):
    """The table that says which chapter builds on which."""

    def run(self) -> list[nodes.Node]:
        """Generate the table from the references in the sources."""
        book = _book(self.env)
        _depend(self.env, *(chapter.path for chapter in book.chapters))
        return _generated(self, "bookkit-map", dependencies.table(book))


class ChapterCostsDirective(SphinxDirective):
    """The table that says what the execution of each chapter cost."""

    def run(self) -> list[nodes.Node]:
        """Generate the table from the executed chapters."""
        book = _book(self.env)
        _depend(self.env, *(chapter.executed for chapter in book.chapters))
        return _generated(self, "bookkit-costs", costs.table(book, _evidence(self.env)))


def _generated(directive: SphinxDirective, name: str, lines: list[str]) -> list[nodes.Node]:
    """Parse generated Markdown into a box with a class of its own."""
    box = nodes.container(classes=[name])
    source = StringList(lines, directive.env.docname)
    directive.state.nested_parse(source, directive.content_offset, box)
    return [box]


def _book(env: BuildEnvironment) -> Book:
    return Book(Path(env.srcdir))


def _chapter(env: BuildEnvironment, docname: str) -> Chapter:
    """Return the page as a chapter, whether or not it is a notebook."""
    return Chapter(_book(env), Path(env.srcdir, f"{docname}.md"))


def _depend(env: BuildEnvironment, *files: Path) -> None:
    """Make the current page out of date whenever one of the files changes."""
    for file in files:
        env.note_dependency(str(file.relative_to(env.srcdir)))


def _enclosing_label(node: nodes.Node) -> str:
    """Label of the statement around a node; empty if there is none."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.Element) and "realtype" in node:
            return str(node["label"])
    return ""


def _evidence(env: BuildEnvironment) -> dict[str, Evidence]:
    """Return the evidence that `prepare` collected, by chapter."""
    evidence: dict[str, Evidence] = env.bookkit_evidence  # type: ignore[attr-defined]
    return evidence


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    # Pages are trees of hundreds of thousands of objects, all of them in use: looking through them
    # for garbage at the default pace takes a third of the time of a build.
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
    app.connect("config-inited", show_repository)
    # After MyST-NB, which reads its settings in the same event.
    app.connect("builder-inited", prepare, priority=900)
    app.connect("source-read", depend_on_outputs)
    # Before the theme, which makes its menus in the same event.
    app.connect("html-page-context", offer_notebook, priority=100)
    # After the theme, which makes its menus anew on every page.
    app.connect("html-page-context", offer_launch, priority=501)
    app.connect("html-page-context", offer_numbers)
    app.connect("html-page-context", offer_previews)
    app.connect("html-page-context", describe_page)
    app.connect("html-page-context", drop_thebe)
    app.connect("doctree-read", explain_figures)
    app.connect("missing-reference", footers.resolve_optional)
    app.connect("build-finished", offer_archive)
    app.connect("build-finished", warn_again)
    app.add_node(checks_node)
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    app.add_directive("evidence", EvidenceDirective)
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("chapter-map", ChapterMapDirective)
    app.add_directive("chapter-costs", ChapterCostsDirective)
    app.add_transform(ShowChecks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
