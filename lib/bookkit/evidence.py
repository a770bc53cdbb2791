"""What a cell leaves behind: figures with their numbers, claims with verdicts.

Both are displayed like any other output, with one extra entry in the mime
bundle. The chapters write these entries; the checks, the figure baselines and
the evidence ledger read them back from the executed notebooks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self

CLAIM_MIME: Final = "application/vnd.bookkit.claim+json"
FIGURE_MIME: Final = "application/vnd.bookkit.figure+json"

Kind = Literal["statistical", "close", "identity"]


@dataclass(frozen=True)
class Claim:
    """The outcome of one check.

    Attributes
    ----------
    label
        Label of the statement that is checked.
    what
        What is compared, in words.
    kind
        ``"statistical"``: `worst` is the largest ``|z|``; ``"close"``: the
        largest difference between two routes relative to their size;
        ``"identity"``: zero, proved symbolically.
    comparisons
        How many numbers or identities were compared.
    worst, limit
        The worst comparison, None if it is not a finite number, and the value
        it must not exceed.
    passed
        Whether every comparison is within the limit.
    """

    label: str
    what: str
    kind: Kind
    comparisons: int
    worst: float | None
    limit: float
    passed: bool

    @property
    def verdict(self) -> str:
        """The result of the check in a few words."""
        if self.worst is None:
            return "a number is not finite"
        count = f"{self.comparisons} comparison" + "s" * (self.comparisons > 1)
        match self.kind:
            case "statistical":
                return f"worst |z| = {self.worst:.1f} of {self.limit:.1f} allowed over {count}"
            case "close":
                return (
                    f"worst relative difference {self.worst:.1e} of "
                    f"{self.limit:.0e} allowed over {count}"
                )
            case "identity":
                many = "identities" if self.comparisons > 1 else "identity"
                failed = f"{self.worst:.0f} of " * (not self.passed)
                done = "not " * (not self.passed) + "proved"
                return f"{failed}{self.comparisons} {many} {done} by computer algebra"

    def __str__(self) -> str:
        mark = "✓" if self.passed else "FAILED"
        return f"{mark} {self.label}: {self.what}; {self.verdict}"


@dataclass(frozen=True)
class Figure:
    """The numbers behind one figure.

    Attributes
    ----------
    slug
        Name of the figure, ``fig-...``.
    columns
        The plotted numbers by name; columns may differ in length.
    monte_carlo
        Monte Carlo columns, each with the name of its standard error.
    chaotic
        Those of them that no two machines compute alike.
    """

    slug: str
    columns: Mapping[str, list[float]]
    monte_carlo: Mapping[str, str] = field(default_factory=dict)
    chaotic: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        columns = dict(data["columns"])
        return cls(data["slug"], columns, data["monte_carlo"], tuple(data.get("chaotic", ())))

    def to_json(self) -> dict[str, Any]:
        """Return what is stored in a notebook."""
        # Columns as pairs: notebooks do not keep the order of a mapping.
        columns = [[name, values] for name, values in self.columns.items()]
        return {
            "slug": self.slug,
            "columns": columns,
            "monte_carlo": dict(self.monte_carlo),
            "chaotic": list(self.chaotic),
        }


@dataclass(frozen=True)
class Evidence:
    """All figures and claims of one executed chapter, in reading order."""

    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]

    @classmethod
    def from_cells(cls, cells: Iterable[Mapping[str, Any]]) -> Self:
        """Collect the evidence from the cells of an executed notebook."""
        bundles = [b for cell in cells for b in _bundles(cell)]
        return cls(
            tuple(Figure.from_json(b[FIGURE_MIME]) for b in bundles if FIGURE_MIME in b),
            tuple(Claim(**b[CLAIM_MIME]) for b in bundles if CLAIM_MIME in b),
        )


def _bundles(cell: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for output in cell.get("outputs", ()):
        yield output.get("data", {})


def show(evidence: Claim | Figure, bundle: Mapping[str, str]) -> None:
    """Display `bundle` in the current cell, with `evidence` inside."""
    from IPython.display import display

    if isinstance(evidence, Claim):
        data = {CLAIM_MIME: asdict(evidence)}
    else:
        data = {FIGURE_MIME: evidence.to_json()}
    display({**bundle, **data}, raw=True)  # type: ignore[no-untyped-call]
