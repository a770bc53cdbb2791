"""The look of the figures: roles, colors and sizes, fixed for the whole book.

A role always looks the same: theory is a solid blue line, simulation is
vermillion markers with error bars, a threshold is a grey dashed line. Colors
are those of Okabe and Ito, which color-blind readers tell apart, and dash or
marker always differs too.

Call `use` once in the first cell, then draw with the dictionaries::

    ax.plot(x, y, **style.theory, label="theory")
    ax.errorbar(x, mean, yerr=2 * se, **style.simulation, label="simulation")
"""

from typing import Any, Final

_Artist = dict[str, Any]

theory: Final[_Artist] = {"color": "#0072B2", "linestyle": "-"}
second_theory: Final[_Artist] = {"color": "#009E73", "linestyle": "--"}
simulation: Final[_Artist] = {
    "color": "#D55E00",
    "linestyle": "none",
    "marker": "o",
    "markersize": 5.0,
    "capsize": 2.5,
    "elinewidth": 1.2,
}
threshold: Final[_Artist] = {
    "color": "#767676",
    "linestyle": "--",
    "linewidth": 1.2,
}
series: Final[tuple[_Artist, ...]] = (
    {"color": "#E69F00", "linestyle": "-", "marker": "s"},
    {"color": "#56B4E9", "linestyle": "--", "marker": "^"},
    {"color": "#CC79A7", "linestyle": "-.", "marker": "D"},
    {"color": "#000000", "linestyle": ":", "marker": "v"},
    {"color": "#009E73", "linestyle": (0, (5, 1, 1, 1)), "marker": "P"},
)

_SETTINGS: Final[Any] = {
    # 12 pt in a 6.4 in figure is still 9 px on a 390 px wide telephone.
    "figure.figsize": (6.4, 3.8),
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 12.0,
    "axes.labelsize": 12.0,
    "xtick.labelsize": 11.0,
    "ytick.labelsize": 11.0,
    "legend.fontsize": 11.0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "image.cmap": "viridis",
    # White in dark mode too: the pages lay the figure on a white card.
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    # Outlines instead of fonts, so that every reader sees the same letters.
    "svg.fonttype": "path",
}


def use() -> None:
    """Apply the style of the book to all figures made from now on."""
    import matplotlib as mpl

    mpl.rcdefaults()
    mpl.rcParams.update(_SETTINGS)
