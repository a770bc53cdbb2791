"""The shape of the house: who may import whom, how long a module may be, what is documented."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import overparam

LIB = Path(__file__).parents[2] / "lib"
MODULES = sorted(LIB.rglob("*.py"))
BOOK_MACHINERY = {
    "IPython", "bookkit", "docutils", "jupyter_cache", "matplotlib", "myst_nb", "nbformat",
    "nbmake", "pytest", "sphinx", "sympy",
}  # fmt: skip


def imported_packages(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIB)))
def test_arrows_and_length(path: Path) -> None:
    package = path.relative_to(LIB).parts[0]
    forbidden = BOOK_MACHINERY if package == "overparam" else {"overparam"}
    assert not imported_packages(path) & forbidden
    assert len(path.read_text().splitlines()) <= 400


def test_import_is_light() -> None:
    """`import overparam` loads no module of its own, let alone SciPy, until a name is used."""
    code = "import overparam, sys; print([m for m in sys.modules if m.startswith('scipy')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_resolve_and_are_documented() -> None:
    assert sorted(overparam.__all__) == sorted(overparam._HOME)
    for name in overparam.__all__:
        thing = getattr(overparam, name)
        assert thing.__module__ == f"overparam.{overparam._HOME[name]}"
        assert len(thing.__doc__) > 200 or name == "EffectiveRidge"
    with pytest.raises(AttributeError, match="no attribute 'min_norm'"):
        _ = overparam.min_norm
