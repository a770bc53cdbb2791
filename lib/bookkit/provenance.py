"""Where a figure comes from: its cell, functions, seeds and replicates, read off the source.

The cells of a chapter are sliced backwards: from the names that the cell of a figure uses to the
statements above that bind them, and so on.
"""

import ast
import symtable
from collections.abc import Iterator
from dataclasses import dataclass

from bookkit.chapters import Chapter


@dataclass(frozen=True)
class Provenance:
    """What a figure was made with.

    Attributes
    ----------
    cell
        Number of its code cell, counted from one.
    functions
        Functions and classes of `library` that it used, directly or not, in alphabetical order.
    seeds
        Keys of the seeds.
    replicates
        Numbers of replicates, where they are literal numbers or names for them.
    """

    cell: int
    functions: tuple[str, ...]
    seeds: tuple[str, ...]
    replicates: tuple[int, ...]


def provenances(chapter: Chapter, library: str = "overparam") -> dict[str, Provenance]:
    """Return the provenance of each recorded figure of a chapter, by its slug."""
    statements = [
        (number, statement)
        for number, cell in enumerate(chapter.cells, start=1)
        for statement in ast.parse(cell.source).body
    ]
    return {
        slug: _provenance(number, statements, library)
        for number, cell in enumerate(chapter.cells, start=1)
        if (slug := cell.figure.get("name"))
    }


def _provenance(number: int, statements: list[tuple[int, ast.stmt]], library: str) -> Provenance:
    needed: set[str] = set()
    used: list[ast.stmt] = []
    functions: set[str] = set()
    for place, statement in reversed(statements):
        if place > number:
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module = getattr(statement, "module", None) or ""
            if module.split(".")[0] == library:
                functions |= {a.name for a in statement.names if (a.asname or a.name) in needed}
            continue
        bound, referenced = _names(statement)
        if place == number or needed & (bound | set(_changed(statement))):
            # What is bound anew here needs nothing from above on its own account.
            needed = (needed - bound if _always(statement) else needed) | referenced
            used.insert(0, statement)
    calls = [node for part in used for node in ast.walk(part) if isinstance(node, ast.Call)]
    constants = dict(pair for part in used for pair in _constants(part))
    return Provenance(
        number,
        tuple(sorted(functions)),
        tuple(dict.fromkeys(key for call in calls for key in _seed(call, constants))),
        tuple(dict.fromkeys(count for call in calls for count in _replicates(call, constants))),
    )


def _names(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """Names of the chapter that a statement binds, and those that it refers to."""
    table = symtable.symtable(ast.unparse(statement), "cell", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_namespace()}
    referenced = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    inner = table.get_children()
    while inner:
        scope = inner.pop()
        referenced |= {s.get_name() for s in scope.get_symbols() if s.is_global()}
        inner += scope.get_children()
    return bound, referenced


def _always(statement: ast.stmt) -> bool:
    """Whether the statement certainly binds what it binds."""
    return isinstance(statement, ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.ClassDef)


def _changed(statement: ast.stmt) -> Iterator[str]:
    """Names of what a statement changes in place."""
    for node in ast.walk(statement):
        match node:
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "update")):
                yield name


def _constants(statement: ast.stmt) -> Iterator[tuple[str, object]]:
    """Names that a statement gives to numbers and texts."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
            yield name, value
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            for target, given in zip(names, values, strict=False):
                if isinstance(target, ast.Name) and isinstance(given, ast.Constant):
                    yield target.id, given.value


def _value(node: ast.expr | None, constants: dict[str, object]) -> object:
    """Value of a constant or of a name for one; None if it is anything else."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return constants.get(name)
    return None


def _seed(call: ast.Call, constants: dict[str, object]) -> Iterator[str]:
    if _name(call) == "seed":
        keys = [_value(argument, constants) for argument in call.args]
        yield " / ".join("..." if key is None else str(key) for key in keys)


def _replicates(call: ast.Call, constants: dict[str, object]) -> Iterator[int]:
    position = {"simulate": 1, "simulate_risks": 3}.get(_name(call))
    if position is None:
        return
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    count = _value(
        named.get("replicates", [*call.args, None][min(position, len(call.args))]), constants
    )
    if isinstance(count, int):
        yield count


def _name(call: ast.Call) -> str:
    """Last part of the name of what is called."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))
