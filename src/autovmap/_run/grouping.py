"""Into which groups the leaves of a result fall: `out_axes`, for the execution."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from autovmap._bind.trees import match
from autovmap._plan.outputs import Group
from autovmap._plan.plan import PlanData
from autovmap._spec.ranks import Position, Tree, Undeclared, leaves_of, undeclared_position
from autovmap._spec.spec import Spec
from autovmap.errors import SpecError


class Grouping:
    """The different groups of a function's outputs, and which of them a leaf is in.

    vmap takes one `out_axes` for each group, as a prefix of what the nest returns: a list of
    arrays for each.

    Args:
        groups: the different groups; one at least.
        by_leaf: the group of each leaf of a result; without it all are in the first.
    """

    __slots__ = ("_by_leaf", "groups")

    def __init__(
        self,
        groups: Sequence[Group],
        by_leaf: Callable[[Any], Sequence[Group]] | None = None,
    ) -> None:
        self.groups = tuple(groups)
        self._by_leaf = by_leaf

    def of(self, result: Any) -> Sequence[Group]:
        """The group of each leaf of a result."""
        if self._by_leaf is None:
            return [self.groups[0]] * jax.tree.structure(result).num_leaves
        return self._by_leaf(result)

    def refusal(self, plan: PlanData, path: str, group: Group, axes: Sequence[int]) -> SpecError:
        """The error for an output that depends on batch axes which its group does not hold."""
        named = {layer.axis: f" {layer.name!r}" for layer in plan.layers if layer.name is not None}
        said = ", ".join(f"{axis}{named.get(axis, '')}" for axis in axes)
        return SpecError(
            f"{plan.function}(): out_axes declares result{path} None, free of the "
            f"batch, but it depends on batch axis {said}; give it a position, or compute it only "
            f"from arguments without batch dims"
        )

    def regrouped(self, groups: Sequence[Group]) -> "Grouping":
        """The same outputs in other groups, one said for each leaf."""
        return Grouping(tuple(dict.fromkeys(groups)) or self.groups, lambda _: groups)


FRONT = Grouping([Group()])
"""All batch dims in front, as most functions have it: told by its identity."""


def declared_grouping(spec: Spec) -> Grouping:
    """The grouping that a function's `out_axes` declare."""
    out_axes = spec.options.out_axes
    if isinstance(out_axes, Position):
        return FRONT if out_axes.index == 0 else Grouping([Group(out_axes.index)])
    what = f"{spec.function}(): out_axes"

    def by_leaf(result: Any) -> list[Group]:
        found = match(out_axes, result, "result", what)
        for path, tree, _ in found:
            if isinstance(tree, Undeclared):
                raise SpecError(undeclared_position(path, tree, what))
        return [_group(tree) for _, tree, _ in found]

    groups = dict.fromkeys(_group(leaf) for leaf in leaves_of(out_axes))
    return Grouping(tuple(groups) or FRONT.groups, by_leaf)


def _group(tree: Tree) -> Group:
    return Group(tree.index if isinstance(tree, Position) else None)
