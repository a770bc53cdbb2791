"""Mistakes in MyST Markdown that Sphinx does not report, but that swallow text.

A fence that does not close hides everything below it in a block of code, and a
labelled formula without an empty line above loses its number.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_FENCE: Final = re.compile(r"^\s*(`{3,}|~{3,}|:{3,})\s*(.*?)\s*$")
_CODE: Final = re.compile(r"(\{(code-cell|code|code-block|eval-rst|math|literalinclude)\}|[^{])")


@dataclass(frozen=True)
class Finding:
    """A mistake: the line, counted from one, its rule, and what to do."""

    line: int
    rule: str
    advice: str


@dataclass(frozen=True)
class _Block:
    line: int
    fence: str
    info: str

    @property
    def is_code(self) -> bool:
        """Whether what is inside is not Markdown."""
        return not self.info or bool(_CODE.match(self.info))

    def closes_with(self, fence: str, info: str) -> bool:
        """Whether a fence ends this block."""
        return not info and fence.startswith(self.fence)


def check_markup(lines: list[str]) -> Iterator[Finding]:
    """Yield the mistakes in the lines of a page."""
    blocks: list[_Block] = []
    formula = 0  # line where the current formula starts, zero outside
    for number, line in enumerate(lines, start=1):
        if match := _FENCE.match(line):
            fence, info = match.groups()
            if blocks and blocks[-1].closes_with(fence, info):
                blocks.pop()
            elif not (blocks and blocks[-1].is_code):
                if fence[0] == "`" and "`" in info:
                    advice = (
                        f"{fence}{info} opens nothing: no backtick may follow, use a colon fence"
                    )
                    yield Finding(number, "fence", advice)
                elif blocks and fence.startswith(blocks[-1].fence):
                    advice = f"{fence}{info} is inside {blocks[-1].info}: give that more {fence[0]}"
                    yield Finding(number, "fence", advice)
                blocks.append(_Block(number, fence, info))
        elif not (blocks and blocks[-1].is_code) and line.lstrip().startswith("$$"):
            closing = re.fullmatch(r"\$\$\s*(\(([\w-]+)\))?", line.strip())
            if not formula:
                formula = number if line.strip() == "$$" else 0
            elif closing:
                above = lines[formula - 2].strip() if formula > 1 else ""
                if closing[2] and above:
                    advice = f"put an empty line above, or the label {closing[2]} is lost"
                    yield Finding(formula, "equation-label", advice)
                formula = 0
    for block in blocks:
        yield Finding(block.line, "fence", f"{block.fence}{block.info} is never closed")
