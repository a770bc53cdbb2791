"""Recording figures: the picture for the reader, its numbers for the tests."""

import re
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bookkit.evidence import Figure, show

if TYPE_CHECKING:
    import matplotlib.figure


def record(
    slug: str,
    fig: "matplotlib.figure.Figure",
    columns: Mapping[str, ArrayLike],
    *,
    monte_carlo: Mapping[str, str] | None = None,
    chaotic: Mapping[str, str] | None = None,
) -> None:
    """Show `fig` on the page as SVG and keep its numbers with it.

    This is the only way a figure reaches a page, and the last line of its
    cell. The figure is closed.

    Parameters
    ----------
    slug
        Name of the figure: ``fig-`` followed by lower-case words with
        hyphens, the same as in the metadata of the cell.
    fig
        The figure.
    columns
        Every plotted number, as one-dimensional columns with names; columns
        may differ in length. All numbers are finite: leave out the points
        where a curve is infinite or undefined.
    monte_carlo
        For each column that is a Monte Carlo mean, the name of the column
        with its standard errors.
    chaotic
        The same for means over networks that were trained from several
        seeds. Training amplifies rounding, so that another machine finds
        other networks: such a column is compared with its baseline up to its
        standard errors, and every other one up to rounding.

    Raises
    ------
    ValueError
        If the slug, a column or an entry of `monte_carlo` or `chaotic` breaks
        these rules.
    """
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    figure = _figure(slug, columns, monte_carlo or {}, chaotic or {})
    picture = StringIO()
    # A fixed salt and no date make the file the same from run to run.
    with mpl.rc_context({"svg.hashsalt": slug}):
        fig.savefig(picture, format="svg", metadata={"Date": None})
    plt.close(fig)
    count = sum(len(values) for values in figure.columns.values())
    show(
        figure,
        {
            "image/svg+xml": picture.getvalue(),
            "text/plain": f"<figure {slug}: {count} numbers>",
        },
    )


def _figure(
    slug: str,
    columns: Mapping[str, ArrayLike],
    monte_carlo: Mapping[str, str],
    chaotic: Mapping[str, str],
) -> Figure:
    if not re.fullmatch(r"fig(-[a-z0-9]+)+", slug):
        raise ValueError(
            f"`slug` is {slug!r}, but must be 'fig-' followed by lower-case words with hyphens"
        )
    if not columns:
        raise ValueError(f"{slug}: `columns` is empty; pass every plotted number")
    data = {name: _column(slug, name, v) for name, v in columns.items()}
    errors = {**monte_carlo, **chaotic}
    for mean, error in errors.items():
        for name in (mean, error):
            if name not in data:
                raise ValueError(
                    f"{slug}: `monte_carlo` or `chaotic` names {name!r}, which is not one "
                    f"of the columns {sorted(data)}"
                )
        if len(data[mean]) != len(data[error]) or min(data[error]) < 0:
            raise ValueError(
                f"{slug}: column {error!r} must hold one standard error, "
                f"zero or more, for each value of {mean!r}"
            )
    return Figure(slug, data, errors, tuple(chaotic))


def _column(slug: str, name: str, values: ArrayLike) -> list[float]:
    column = np.asarray(values)
    if column.ndim != 1 or column.size == 0 or column.dtype.kind not in "biuf":
        raise ValueError(
            f"{slug}: column {name!r} must be a non-empty one-dimensional "
            f"array of real numbers, got shape {column.shape} and type "
            f"{column.dtype}"
        )
    if not np.isfinite(column).all():
        index = int(np.argmin(np.isfinite(column)))
        raise ValueError(
            f"{slug}: column {name!r} is {column[index]} at row {index}; leave such points out"
        )
    numbers: list[float] = column.astype(np.float64).tolist()
    return numbers
