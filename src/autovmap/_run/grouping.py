"""The leaves of a result: which get batch dims, and into which groups they fall (`out_axes`)."""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from autovmap._bind.kinds import Kind, kind_of
from autovmap._bind.leaves import is_array
from autovmap._bind.match import match
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._spec.ranks import Position, Tree, Undeclared, leaves_of, undeclared_position
from autovmap._spec.spec import Spec
from autovmap.errors import SpecError

NUMBERS = frozenset((Kind.INT, Kind.NUMBER))
CONTAINERS = (tuple, list, Mapping, collections.deque)
"""Nodes that only hold what a function returns; any other node is an object, a model for one."""


def batched(leaves: Sequence[Any], treedef: Any, whole: bool = False) -> list[bool]:
    """For each leaf of a result, whether it gets batch dims.

    Arrays do, and Python numbers. But a number inside an object configures it (the rate of a
    dropout, a bool that is branched on): it is the same for every example, and stays a number.

    >>> leaves, treedef = jax.tree.flatten((1, {"a": 2.0, "b": "x"}))
    >>> batched(leaves, treedef)
    [True, True, False]

    Args:
        leaves: the leaves.
        treedef: the result's structure.
        whole: whether numbers inside objects get batch dims too, as under `jax.vmap`.
    """
    found = [is_array(leaf) for leaf in leaves]
    if whole or NUMBERS.isdisjoint(map(kind_of, map(type, leaves))):
        return found
    inside: list[bool] = []
    _mark(treedef, False, inside)
    return [
        array and not (within and kind_of(type(leaf)) in NUMBERS)
        for array, within, leaf in zip(found, inside, leaves, strict=True)
    ]


def _mark(treedef: Any, within: bool, inside: list[bool]) -> None:
    """For each leaf, whether it stands inside an object."""
    data = treedef.node_data()
    if data is None:
        inside += [within] * treedef.num_leaves  # a leaf
        return
    within = within or not issubclass(data[0], CONTAINERS)
    for child in treedef.children():
        _mark(child, within, inside)


def of_result(result: Any) -> list[bool]:
    """The same, of a result."""
    return batched(*jax.tree.flatten(result))


def is_batched(leaf: Any) -> bool:
    """Whether a leaf of a batched result has batch dims: it is an array, and no number any more."""
    return is_array(leaf) and kind_of(type(leaf)) not in NUMBERS


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

    def refusal(self, plan: CallPlan, path: str, group: Group, axes: Sequence[int]) -> SpecError:
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
