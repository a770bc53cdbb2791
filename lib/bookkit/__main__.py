"""The command line of the book: ``python -m bookkit COMMAND [CHAPTER ...]``."""

import argparse
import sys
from pathlib import Path

from bookkit import baselines, editions, execution, lint, pdf, printed, toolchain
from bookkit.chapters import Book, Chapter

DESCRIPTION = """\
commands:
  execute   execute the stale chapters, side by side
  figures   make the figure baselines those of the executed chapters
  lint      check the sources of all pages, without executing them
  export    write chapters as Jupyter notebooks to the folder notebooks/
  pdf       print the built pages to one document, _build/pdf/book.pdf, and check its links
  pack      write all notebooks and the library to notebooks/notebooks.zip
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bookkit",
        epilog=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = {
        "execute": _execute,
        "figures": _figures,
        "lint": _lint,
        "export": _export,
        "pack": _pack,
        "pdf": _pdf,
    }
    parser.add_argument("command", choices=commands)
    parser.add_argument("chapter", nargs="*", help="such as 05-the-law")
    options = parser.parse_args(arguments)
    book = Book.around(Path.cwd())
    try:
        pages = book.pages if options.command == "lint" else book.chapters
        return commands[options.command](_select(pages, options.chapter))
    except (execution.ChapterError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _select(pages: list[Chapter], stems: list[str]) -> list[Chapter]:
    """Return the named ones of some pages, or all of them if none is named."""
    by_stem = {page.stem: page for page in pages}
    if unknown := set(stems) - set(by_stem):
        raise ValueError(f"no chapter {sorted(unknown)}; there are {sorted(by_stem)}")
    return [by_stem[stem] for stem in stems or by_stem]


def _execute(chapters: list[Chapter]) -> int:
    executed = execution.execute_stale(chapters, say=_say)
    _say(f"{len(executed)} of {len(chapters)} chapters were stale")
    return 0


def _figures(chapters: list[Chapter]) -> int:
    execution.execute_stale(chapters, say=_say)
    for chapter in chapters:
        figures = execution.evidence(chapter).figures
        for change in baselines.write(chapter, figures):
            _say(change)
    return 0


def _lint(pages: list[Chapter]) -> int:
    problems = [problem for page in pages for problem in lint.check_source(page)]
    for problem in problems:
        print(problem)
    return int(bool(problems))


def _export(chapters: list[Chapter]) -> int:
    for chapter in chapters:
        path = chapter.book.root / "notebooks" / f"{chapter.stem}.ipynb"
        toolchain.write_notebook(chapter.notebook, path)
        _say(str(path))
    return 0


def _pack(chapters: list[Chapter]) -> int:
    book = chapters[0].book
    target = book.root / "notebooks" / "notebooks.zip"
    editions.pack_notebooks(book, target)
    _say(str(target))
    return 0


def _pdf(chapters: list[Chapter]) -> int:
    book = chapters[0].book
    target = book.root / "_build" / "pdf" / "book.pdf"
    pdf.print_book(book, target)
    site, names = book.root / "_build" / "html", list(pdf.page_order(book))
    problems = printed.check_document(target, site, names)
    _say("\n".join([*problems, str(target)]))
    return int(bool(problems))


def _say(message: str) -> None:
    print(message, flush=True)


if __name__ == "__main__":
    sys.exit(main())
