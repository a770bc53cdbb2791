"""The evidence ledger: what the book states, and what checked it.

The functions return MyST Markdown, which the Sphinx extension renders.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bookkit.chapters import Chapter, Statement
from bookkit.claims import BUDGET, FALSE_ALARM, Z_LIMIT
from bookkit.evidence import Claim, Evidence
from bookkit.lint import STATUSES

# Role that refers to a label, by the prefix of the label.
_ROLES = {"eq": "eq", "fig": "numref", "ch": "ref", "sec": "ref", "ex": "ref"}


def status_line(status: str, options: dict[str, str]) -> str:
    """Say in one line how a statement is established, and where to look."""
    parts = [f"**{STATUSES.get(status, status)}**"]
    if source := options.get("source"):
        parts.append(f"source: {{cite:t}}`{source}`")
    if function := options.get("function"):
        parts.append(f"code: {{py:obj}}`{function}`")
    if figure := options.get("figure"):
        parts.append(f"figure: {{numref}}`{figure}`")
    return "; ".join(parts) + "."


def check_line(claim: Claim) -> str:
    """Say in one line what was compared and how it came out."""
    mark = "✓" if claim.passed else "FAILED"
    return f"{mark} {claim.what}: {claim.verdict}"


def claims_by_label(evidence: Mapping[str, Evidence]) -> dict[str, list[Claim]]:
    """Return the claims of all chapters by the label of what they check."""
    claims: dict[str, list[Claim]] = {}
    for part in evidence.values():
        for claim in part.claims:
            claims.setdefault(claim.label, []).append(claim)
    return claims


def lines(chapters: Sequence[Chapter], evidence: dict[str, Evidence]) -> list[str]:
    """Return the ledger of the book as lines of MyST Markdown."""
    claims = claims_by_label(evidence)
    statements = [(c, s) for c in chapters for s in c.statements]
    stated = {s.label for _, s in statements}
    return [
        *_summary(len(statements), [c for group in claims.values() for c in group]),
        "",
        *_table(
            {"Statement": 25, "Checks": 45, "Status, code and figure": 30},
            [_statement_row(c, s, claims.get(s.label, [])) for c, s in statements],
        ),
        "",
        *_table(
            {"Other claim": 25, "Checks": 75},
            [
                [_reference(label), _checks(group)]
                for label, group in claims.items()
                if label not in stated
            ],
        ),
    ]


def _summary(statements: int, claims: list[Claim]) -> Iterator[str]:
    statistical = [c for c in claims if c.kind == "statistical"]
    comparisons = sum(c.comparisons for c in statistical)
    worst = max((c.worst or 0.0 for c in statistical), default=0.0)
    yield (
        f"The book makes {statements} statements and {len(claims)} claims. "
        f"{len(statistical)} of the claims compare a prediction with a "
        f"simulation, {comparisons} numbers in all; the worst deviates by "
        f"{worst:.1f} standard errors. The limit is {Z_LIMIT:.2f}: over a "
        f"budget of {BUDGET:,} comparisons, chance alone exceeds it in at "
        f"most one run out of {1 / FALSE_ALARM:,.0f}. "
        f"{sum(c.kind == 'identity' for c in claims)} claims are identities "
        "proved by computer algebra, and "
        f"{sum(c.kind == 'close' for c in claims)} compare two independent "
        "computations of the same number."
    )


def _statement_row(chapter: Chapter, statement: Statement, claims: list[Claim]) -> list[str]:
    title = f" ({statement.title})" if statement.title else ""
    return [
        f"{{prf:ref}}`{statement.label}`{title}, in {{doc}}`/chapters/{chapter.stem}`",
        _checks(claims),
        status_line(statement.status or "", statement.options),
    ]


def _checks(claims: Iterable[Claim]) -> str:
    # A list inside a cell of the table; its lines are indented like the first.
    return "\n    ".join(f"+ {_escape(check_line(claim))}" for claim in claims)


def _reference(label: str) -> str:
    role = _ROLES.get(label.split("-", 1)[0], "prf:ref")
    return f"{{{role}}}`{label}`"


def _table(widths: Mapping[str, int], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table: headings with the widths of their columns, and rows."""
    if not rows:
        return []
    body = [
        f"{'* ' if column == 0 else '  '}- {cell}"
        for row in (list(widths), *rows)
        for column, cell in enumerate(row)
    ]
    options = [":header-rows: 1", ":widths: " + " ".join(str(w) for w in widths.values())]
    return ["```{list-table}", *options, "", *"\n".join(body).splitlines(), "```"]


def _escape(text: str) -> str:
    """Keep Markdown from reading anything into a plain text."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>$|~" else c for c in text)
