"""`out_axes` for the execution: the groups that occur, and which of them an output is in."""

from collections.abc import Sequence
from typing import Any

import jax

from autovmap._bind.trees import match
from autovmap._plan.outputs import Group
from autovmap._run.result import FRONT, Groups, Place
from autovmap._spec.ranks import Position, Tree, Undeclared, leaves_of, undeclared_position
from autovmap._spec.spec import Spec
from autovmap.errors import SpecError


def placing(spec: Spec) -> tuple[Groups, Place | None]:
    """The different groups of a function's outputs, and a function from a result to them."""
    out_axes = spec.options.out_axes
    if isinstance(out_axes, Position):
        return FRONT if out_axes.index == 0 else (Group(out_axes.index),), None
    what = f"{spec.function}(): out_axes"

    def place(result: Any) -> list[Group]:
        found = match(out_axes, result, "result", what)
        for path, tree, _ in found:
            if isinstance(tree, Undeclared):
                raise SpecError(undeclared_position(path, tree, what))
        return [_group(tree) for _, tree, _ in found]

    return tuple(dict.fromkeys(_group(leaf) for leaf in leaves_of(out_axes))) or FRONT, place


def placed_groups(groups: Groups, place: Place | None, result: Any) -> Sequence[Group]:
    """The group of each leaf of a result."""
    if place is None:
        return [groups[0]] * jax.tree.structure(result).num_leaves
    return place(result)


def _group(tree: Tree) -> Group:
    return Group(tree.index if isinstance(tree, Position) else None)
