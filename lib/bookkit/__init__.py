"""The evidence machinery of the book: figures with data, claims with checks.

A chapter uses six names: `seed` for randomness, `results` for committed runs,
`record` for figures, and `claim`, `claim_close`, `claim_identity` for
statements; `bookkit.style` holds
the look of the figures. Everything else here executes the chapters, checks
them and builds the pages.

Evidence travels inside the outputs of the cells: the executed notebook is the
only store, and nothing here knows which mathematics the chapters are about.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bookkit.claims import ClaimError, claim, claim_close
    from bookkit.committed import results
    from bookkit.figures import record
    from bookkit.identities import claim_identity
    from bookkit.randomness import seed

__all__ = [
    "ClaimError",
    "claim",
    "claim_close",
    "claim_identity",
    "record",
    "results",
    "seed",
]

# Names are imported on first use, so that a chapter depends, and is executed
# again, only on the modules it really uses.
_HOME = {
    "ClaimError": "claims",
    "claim": "claims",
    "claim_close": "claims",
    "claim_identity": "identities",
    "record": "figures",
    "results": "committed",
    "seed": "randomness",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'bookkit' has no attribute {name!r}")
    value = getattr(import_module(f"bookkit.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
