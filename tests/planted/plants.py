"""Small mistakes that a programmer makes, put into a module one at a time.

A comparison is turned round or takes its border with it, `and` becomes `or`, a `not` is forgotten,
a branch is taken when it should not be, a sum becomes a difference, a number is one too large, a
function returns nothing. Where one may stand is a question of syntax alone, so that nobody picks
the ones that tests catch.
"""

import ast
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}


@dataclass(frozen=True)
class Plant:
    """A mistake, and its place among those of the module."""

    number: int
    kind: str
    line: int
    end: int
    function: str
    before: str
    after: str


def mistaken(node: ast.AST) -> ast.AST | None:
    """The node with a mistake in it; None where there is none to make."""
    wrong = copy.deepcopy(node)
    match wrong:
        case ast.Compare(ops=[op]):
            wrong.ops = [OTHER[type(op)]()]
        case ast.BoolOp(op=op):
            wrong.op = OTHER[type(op)]()
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
        case ast.BinOp(op=ast.Add() | ast.Sub() as op) if not has_text(wrong):
            wrong.op = OTHER[type(op)]()
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int(value)):
            wrong.value = value + 1
        case ast.If(test=test) if not isinstance(test, ast.UnaryOp):
            wrong.test = ast.UnaryOp(ast.Not(), test)
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            wrong.value = None
        case _:
            return None
    return wrong


def has_text(node: ast.AST) -> bool:
    """Whether a text is in it: of these there is no difference."""
    return any(
        isinstance(part, ast.JoinedStr)
        or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in ast.walk(node)
    )


def places(node: ast.AST, within: str = "") -> Iterator[tuple[ast.AST, str, int | None, str]]:
    """Where a node stands: its parent, the field, the place in a list, the function around it.

    Left out is what is no code of a call (annotations, decorators, imports) and the making of
    errors, whose words are compared with golden files one by one.
    """
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list") or isinstance(node, ast.Raise):
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield node, field, i, within
                named = isinstance(child, ast.FunctionDef | ast.ClassDef)
                inner = f"{within}.{child.name}".lstrip(".") if named else within
                yield from places(child, inner)


def plants(source: str) -> list[Plant]:
    """Every mistake that a module can have, in the order of its lines."""
    found = []
    for number, (parent, field, i, function) in enumerate(places(ast.parse(source))):
        node = held(parent, field, i)
        wrong = mistaken(node)
        if wrong is not None and function:
            lines = node.lineno, last_line(node)
            told = first_line(node), first_line(wrong)
            found.append(Plant(number, type(node).__name__, *lines, function, *told))
    return found


def planted(source: str, plant: Plant) -> str:
    """The module with the mistake in it."""
    tree = ast.parse(source)
    parent, field, i, _ = next(islice(places(tree), plant.number, None))
    wrong = mistaken(held(parent, field, i))
    assert wrong is not None
    put(parent, field, i, wrong)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def held(parent: ast.AST, field: str, i: int | None) -> Any:
    value = getattr(parent, field)
    return value if i is None else value[i]


def put(parent: ast.AST, field: str, i: int | None, node: ast.AST) -> None:
    if i is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[i] = node


def first_line(node: ast.AST) -> str:
    """The first line of a statement or an expression, cut where it is long."""
    line = ast.unparse(ast.fix_missing_locations(node)).partition("\n")[0]
    return line if len(line) <= 60 else line[:57] + "..."


def picked(sources: dict[str, str], count: int, seed: int) -> dict[str, Plant]:
    """One mistake in each of so many modules, spread evenly over the folders.

    Each kind of mistake has the same chance, though there are more numbers than all else.
    """
    rng = random.Random(seed)
    possible = {name: plants(sources[name]) for name in sorted(sources)}
    able = [name for name, here in possible.items() if len(here) >= 8]
    found = {}
    for name in (able[int(i * len(able) / count)] for i in range(count)):
        kind = rng.choice(sorted({plant.kind for plant in possible[name]}))
        found[name] = rng.choice([plant for plant in possible[name] if plant.kind == kind])
    return found


def last_line(node: ast.AST) -> int:
    """The last line of an expression; of a branch, that of its condition."""
    return node.test.end_lineno if isinstance(node, ast.If) else node.end_lineno
