"""Where a chapter finds the committed results of runs that are too long for it."""

from pathlib import Path


def results(name: str) -> Path:
    """Return the file of results with this name.

    Searched for in the folder ``results`` beside the book, from the working
    directory upwards: the same call works in the build and in a notebook that
    was taken out of it together with the results.

    Parameters
    ----------
    name
        Name of the file, without suffix.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    FileNotFoundError
        If there is none; the message names the folder that was searched last.

    Examples
    --------
    >>> results("width-study-dense").name
    'width-study-dense.jsonl'
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / "results" / f"{name}.jsonl"
        if path.exists():
            return path
    raise FileNotFoundError(
        f"there is no results/{name}.jsonl in {here} or above it: run this where the folder "
        "results of the book is, or make the file with the command that the chapter names"
    )
