"""The plan of a call under a pattern: where each axis lies in each array, layer by layer."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from autovmap._named.counts import Given
from autovmap._named.notation import (
    NO_PATTERN,
    Axis,
    Composed,
    Node,
    Nodes,
    Pattern,
    Repeat,
    axes_of,
    pointed,
)
from autovmap._named.parts import Item, PlacedGroup, PlacedLeaf, Prepare
from autovmap._named.rules import Sizes
from autovmap._named.sizes import Solved, solve
from autovmap._plan.core import CoreSizes
from autovmap._plan.keys import Fold, is_like_raw_key, raw_key_error
from autovmap._plan.layers import Layer
from autovmap._plan.leaf import Dim, Leaf, Shape, describe
from autovmap._plan.outputs import Group
from autovmap._plan.plan import PlanData
from autovmap._spec.options import Options, Randomness
from autovmap._spec.ranks import CoreDim
from autovmap.errors import BatchShapeError


@dataclass(frozen=True)
class PatternPlan(PlanData):
    """The plan of a call under a pattern."""

    pattern: Pattern = NO_PATTERN
    prepares: tuple[Prepare, ...] = ()
    """A row a leaf."""
    outputs: tuple[PlacedGroup, ...] = ()
    """For each result of the pattern."""

    @cached_property
    def mapped_leaves(self) -> tuple[Leaf, ...]:
        """The leaves as they are mapped, once keys are folded."""
        rows: list[Leaf] = list(self.leaves)
        for fold in self.folds:
            leaf = rows[fold.row]
            rows[fold.row] = replace(leaf, prepared=self.batch_shape + leaf.core)
        return tuple(rows)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The different ones of the outputs' groups."""
        return tuple(dict.fromkeys(self.outputs))


Key: TypeAlias = Hashable
"""A batch axis: its name, or where a number stands."""


def make_pattern_plan(
    function: str,
    pattern: Pattern,
    sizes: Sizes,
    given: Sequence[Given],
    options: Options,
    in_front: bool = False,
) -> PatternPlan:
    """Plan a call under a pattern from its leaves' shapes.

    `in_front` puts every array's batch dims first, in order: what a loop over examples takes.
    """
    solved = solve(pattern, given, sizes, function)
    order = _batch_axes(solved)
    axis_of = {key: i - len(order) for i, key in enumerate(order)}
    rows: list[PlacedLeaf] = []
    prepares: list[Prepare] = []
    folds: list[Fold] = []
    for row, (given_row, nodes) in enumerate(zip(given, solved.inputs, strict=True)):
        leaf, prepare = _placed(given_row.leaf, nodes, solved.sizes, axis_of)
        folding = leaf.key and options.randomness in ("different", "error")
        if folding:
            missing = tuple((a, order[k]) for k, a in axis_of.items() if a not in leaf.axes)
            folds += [Fold(row, missing)] if missing else []
        if folding or in_front:
            leaf, prepare = _in_front(leaf, prepare, len(order))
        _refuse_raw_key(leaf, tuple(axis_of.values()), options.randomness, function)
        rows.append(leaf)
        prepares.append(prepare)
    if folds and options.randomness == "error":
        raise _one_key(pattern, given[folds[0].row], function)
    mapped = [_with_index(leaf, row, folds, tuple(order.values())) for row, leaf in enumerate(rows)]
    layers = _layers(mapped, order, axis_of, options.spmd_axis_name)
    return PatternPlan(
        function=function,
        batch_shape=tuple(order.values()),
        leaves=tuple(rows),
        layers=layers,
        folds=tuple(folds),
        squeezes=tuple(_unmapped_dims(leaf) for leaf in mapped),
        mapped=tuple(
            i for i in range(len(rows)) if any(layer.in_axes[i] is not None for layer in layers)
        ),
        core=CoreSizes(tuple(solved.sizes.items())),
        pattern=pattern,
        prepares=tuple(prepares),
        outputs=tuple(_group(nodes, i, axis_of) for i, nodes in enumerate(solved.outputs)),
    )


def _refuse_raw_key(
    leaf: PlacedLeaf, axes: Sequence[int], randomness: Randomness | None, function: str
) -> None:
    """Refuse a raw key that serves several examples: a pattern sees numbers in it."""
    shared = any(axis not in leaf.axes for axis in axes)
    if randomness in ("different", "error") and shared and is_like_raw_key(leaf):
        key = "pass a typed one (jax.random.key, jax.random.wrap_key_data), without brackets"
        raise raw_key_error(leaf, randomness, function, key)


def _batch_axes(solved: Solved) -> dict[Key, Dim]:
    """The batch axes with their sizes, outermost first: in the order of the results."""
    found: dict[Key, Dim] = {}
    for i, nodes in enumerate(solved.outputs):
        for j, axis in enumerate(axes_of(nodes)):
            if axis.core:
                continue
            if axis.name is not None:
                found.setdefault(axis.name, solved.sizes[axis.name])
            elif axis.size != 1:
                found[(i, j)] = axis.size
    for nodes in solved.inputs:
        for axis in axes_of(nodes):
            if axis.name is not None and not axis.core:
                found.setdefault(axis.name, solved.sizes[axis.name])
    return found


def _placed(
    leaf: Leaf, nodes: Nodes, sizes: Mapping[str, Dim], axis_of: Mapping[Key, int]
) -> tuple[PlacedLeaf, Prepare]:
    """Where each axis lies in an array, and what makes it so.

    Batch dims of size 1 without a name are dropped.
    """
    flat = list(axes_of(nodes))
    shape: list[Dim] = []
    dims = iter(leaf.shape)
    for node in nodes:
        dim = next(dims)
        if isinstance(node, Axis):
            shape.append(dim)
        else:
            shape += [
                axis.size if axis.name is None else sizes[axis.name] for axis in axes_of([node])
            ]
    kept = [(a, d) for a, d in zip(flat, shape, strict=True) if a.core or a.name is not None]
    reshape = tuple(dim for _, dim in kept)
    axes = [None if axis.core else axis_of[axis.name] for axis, _ in kept]
    left = list(reshape)
    diagonals: list[tuple[int, int]] = []
    while (pair := _twice(axes)) is not None:
        diagonals.append(pair)
        axis, dim = axes[pair[0]], left[pair[0]]
        axes = [a for i, a in enumerate(axes) if i not in pair] + [axis]
        left = [d for i, d in enumerate(left) if i not in pair] + [dim]
    core = tuple(CoreDim(a.name, a.size, at=a.span.at) for a, _ in kept if a.core)
    placed = PlacedLeaf(
        leaf.path,
        leaf.shape,
        leaf.dtype,
        rank=len(core),
        key=leaf.key and not core,
        dims=core,
        axes=tuple(axes),
        prepared=tuple(left),
    )
    whole = None if reshape == leaf.shape else reshape
    return placed, Prepare(whole, tuple(diagonals))


def _twice(axes: Sequence[int | None]) -> tuple[int, int] | None:
    """Two dims that lie along one batch axis."""
    for i, axis in enumerate(axes):
        if axis is not None and axis in axes[:i]:
            return axes.index(axis), i
    return None


def _in_front(leaf: PlacedLeaf, prepare: Prepare, count: int) -> tuple[PlacedLeaf, Prepare]:
    """The same leaf with all batch dims in front, 1 along the axes that it has not."""
    core = [dim for dim, axis in enumerate(leaf.axes) if axis is None]
    batch = sorted((axis, dim) for dim, axis in enumerate(leaf.axes) if axis is not None)
    order = (*(dim for _, dim in batch), *core)
    expand = tuple(i for i in range(count) if i - count not in leaf.axes)
    shape = tuple(1 if i in expand else leaf.size(i - count) for i in range(count)) + leaf.core
    axes = (*range(-count, 0), *[None] * len(core))
    front = replace(leaf, axes=axes, prepared=shape, added=tuple(i - count for i in expand))
    moved = None if order == tuple(range(len(order))) else order
    return front, replace(prepare, order=moved, expand=expand)


def _with_index(leaf: PlacedLeaf, row: int, folds: Sequence[Fold], batch: Shape) -> PlacedLeaf:
    """A key into which an index is folded, as it is mapped then."""
    if any(fold.row == row for fold in folds):
        return replace(leaf, prepared=batch + leaf.core)
    return leaf


def _one_key(pattern: Pattern, given: Given, function: str) -> BatchShapeError:
    spans = [node.span for node in given.nodes]
    place = pointed(pattern.text, *spans) if spans else f"  {pattern.text}"
    return BatchShapeError(
        f'{function}(): randomness="error", but one PRNG key would serve several examples of the '
        f"batch\n{place}\n  {given.leaf.path}: {describe(given.leaf)}\n"
        f"Pass a key for each example (jax.random.split) and give it the batch axes, or say what "
        f'one key means by randomness="different" or "same"'
    )


def _unmapped_dims(leaf: PlacedLeaf) -> tuple[int, ...]:
    """The batch dims of size 1, which are squeezed."""
    return tuple(
        dim for dim, axis in enumerate(leaf.axes) if axis is not None and bool(leaf.size(axis) == 1)
    )


def _layers(
    leaves: Sequence[PlacedLeaf],
    order: Mapping[Key, Dim],
    axis_of: Mapping[Key, int],
    spmd_names: Sequence[Hashable],
) -> tuple[Layer, ...]:
    """A layer for each batch axis; the outer ones have taken their dims away."""
    left = [
        [axis for dim, axis in enumerate(leaf.axes) if dim not in _unmapped_dims(leaf)]
        for leaf in leaves
    ]
    found: list[Layer] = []
    for key, size in order.items():
        axis = axis_of[key]
        in_axes = tuple(axes.index(axis) if axis in axes else None for axes in left)
        left = [[other for other in axes if other != axis] for axes in left]
        name = key if isinstance(key, str) else None
        spmd_name = spmd_names[axis] if -axis <= len(spmd_names) else None
        found.append(Layer(size, axis, in_axes, name, spmd_name))
    return tuple(found)


def _group(nodes: Nodes, i: int, axis_of: Mapping[Key, int]) -> PlacedGroup:
    """A result's dims, flat, and how they are composed."""
    items: list[Item] = []
    composed: list[tuple[int, ...]] = []
    numbers = iter(range(sum(1 for _ in axes_of(nodes))))
    for node in nodes:
        first = len(items)
        for axis in _leaves(node):
            number = next(numbers)
            if isinstance(axis, Repeat):
                items.append(None)
            elif axis.core:
                items.append(CoreDim(axis.name, axis.size, at=axis.span.at))
            elif axis.name is not None:
                items.append(axis_of[axis.name])
            elif axis.size != 1:
                items.append(axis_of[(i, number)])
        composed.append(tuple(range(first, len(items))))
    return PlacedGroup(items=tuple(items), composed=tuple(composed))


def _leaves(node: Node) -> list[Axis | Repeat]:
    """The axes of a node, with `[...]` as it is."""
    if isinstance(node, Composed):
        return [leaf for child in node.nodes for leaf in _leaves(child)]
    return [node]
