"""A call under a pattern: its spec, read when decorating, and its plan, from the leaves' shapes."""

import inspect
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from autovmap._bind.binder import Binder, KeptPlan
from autovmap._bind.leaves import planned_leaf, refuse_structs
from autovmap._bind.match import Layout
from autovmap._bind.trees import one_level
from autovmap._named.notation import (
    NO_PATTERN,
    Axis,
    Composed,
    Node,
    Nodes,
    Pattern,
    Repeat,
    Span,
    axes_of,
    pointed,
)
from autovmap._named.rules import Entry, Sizes, entries, read_sizes
from autovmap._named.sizes import Given, Solved, solve
from autovmap._plan.core import CoreSizes
from autovmap._plan.keys import Lacks, folded_in, is_like_raw_key, raw_key_error
from autovmap._plan.layers import layers, leaf_steps
from autovmap._plan.leaf import Dim, Leaf, describe
from autovmap._plan.outputs import Group, Item
from autovmap._plan.plan import CallPlan
from autovmap._plan.steps import Diagonal, Reshape, Step, Steps, Transpose
from autovmap._spec.declaration import Declaration
from autovmap._spec.options import Options, read_options
from autovmap._spec.ranks import UNMAPPED, CoreDim
from autovmap._spec.spec import Parameter, Spec
from autovmap.errors import BatchShapeError, SpecError

AxisKey: TypeAlias = Hashable
"""A batch axis: its name, or where a number stands."""


def make_pattern_plan(
    function: str,
    pattern: Pattern,
    sizes: Sizes,
    given: Sequence[Given],
    options: Options,
) -> CallPlan:
    """Plan a call under a pattern from its leaves' shapes."""
    solved = solve(pattern, given, sizes, function)
    order = _batch_axes(solved)
    batch = tuple(order.values())
    axis_of = {key: i - len(order) for i, key in enumerate(order)}
    leaves: list[Leaf] = []
    first: list[Steps] = []
    lacks: dict[int, Lacks] = {}
    for row, (one, nodes) in enumerate(zip(given, solved.inputs, strict=True)):
        leaf, steps = _placed(one.leaf, nodes, solved.sizes, axis_of)
        missing = tuple((a, order[k]) for k, a in axis_of.items() if a not in leaf.axes)
        folded = options.randomness in ("different", "error") and missing
        if folded and is_like_raw_key(leaf):  # a pattern sees numbers in it
            key = "pass a typed one (jax.random.key, jax.random.wrap_key_data), without brackets"
            raise raw_key_error(leaf, options.randomness, function, key)
        if leaf.key and folded:
            lacks[row] = missing
            leaf, steps = _in_front(leaf, steps)
        leaves.append(leaf)
        first.append(steps)
    if lacks and options.randomness == "error":
        raise _one_key(pattern, given[next(iter(lacks))], function)
    rows = [folded_in(leaf, batch) if row in lacks else leaf for row, leaf in enumerate(leaves)]
    names = [key if isinstance(key, str) else None for key in order]
    return CallPlan(
        function=function,
        batch_shape=batch,
        leaves=tuple(leaves),
        layers=layers(rows, batch, names, options.spmd_axis_name),
        before=tuple(
            (*steps, *leaf_steps(leaf, lacks.get(row, ())))
            for row, (leaf, steps) in enumerate(zip(leaves, first, strict=True))
        ),
        core=CoreSizes(tuple(solved.sizes.items())),
        pattern=str(pattern),
        parts=tuple(_group(nodes, i, axis_of) for i, nodes in enumerate(solved.outputs)),
    )


def _batch_axes(solved: Solved) -> dict[AxisKey, Dim]:
    """The batch axes with their sizes, outermost first: in the order of the results."""
    found: dict[AxisKey, Dim] = {}
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
    leaf: Leaf, nodes: Nodes, sizes: Mapping[str, Dim], axis_of: Mapping[AxisKey, int]
) -> tuple[Leaf, Steps]:
    """Where each axis lies in an array, and the steps that make it so.

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
    steps: list[Step] = [] if reshape == leaf.shape else [Reshape(reshape)]
    while (pair := _twice(axes)) is not None:
        axis, dim = axes[pair[0]], left[pair[0]]
        steps.append(Diagonal(*pair, dim))
        axes = [a for i, a in enumerate(axes) if i not in pair] + [axis]
        left = [d for i, d in enumerate(left) if i not in pair] + [dim]
    core = tuple(CoreDim(a.name, a.size, at=a.span.at) for a, _ in kept if a.core)
    placed = replace(
        leaf,
        rank=len(core),
        key=leaf.key and not core,
        dims=core,
        placed=tuple(zip(axes, left, strict=True)),
    )
    return placed, tuple(steps)


def _twice(axes: Sequence[int | None]) -> tuple[int, int] | None:
    """Two dims that lie along one batch axis."""
    for i, axis in enumerate(axes):
        if axis is not None and axis in axes[:i]:
            return axes.index(axis), i
    return None


def _in_front(leaf: Leaf, steps: Steps) -> tuple[Leaf, Steps]:
    """A key with its batch dims in front and in order, as an index is folded into it."""
    core = [dim for dim, axis in enumerate(leaf.axes) if axis is None]
    batch = sorted((axis, dim) for dim, axis in enumerate(leaf.axes) if axis is not None)
    order = (*(dim for _, dim in batch), *core)
    placed = tuple((leaf.axes[dim], leaf.sizes[dim]) for dim in order)
    moved = (Transpose(order),) if order != tuple(range(len(order))) else ()
    return replace(leaf, placed=placed), (*steps, *moved)


def _one_key(pattern: Pattern, given: Given, function: str) -> BatchShapeError:
    spans = [node.span for node in given.nodes]
    place = pointed(pattern.text, *spans) if spans else f"  {pattern.text}"
    return BatchShapeError(
        f'{function}(): randomness="error", but one PRNG key would be used for several examples of '
        f"the batch\n{place}\n  {given.leaf.path}: {describe(given.leaf)}\n"
        f"Pass a key for each example (jax.random.split) and give it the batch axes, or say what "
        f'one key means with randomness="different" or "same"'
    )


def _group(nodes: Nodes, i: int, axis_of: Mapping[AxisKey, int]) -> Group:
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
    return Group(items=tuple(items), composed=tuple(composed))


def _leaves(node: Node) -> list[Axis | Repeat]:
    """The axes of a node, with `[...]` as it is."""
    if isinstance(node, Composed):
        return [leaf for child in node.nodes for leaf in _leaves(child)]
    return [node]


@dataclass(frozen=True)
class NamedDeclaration(Declaration):
    """What a user wrote of a pattern."""

    pattern: Pattern = NO_PATTERN
    sizes: Mapping[str, Any] | None = None

    def said(self) -> tuple[Any, ...] | None:
        """All that was written, or None where a caller said more."""
        plain = NamedDeclaration(named=self.named, pattern=self.pattern, sizes=self.sizes)
        return (self.pattern.text, self.named, self.sizes) if self == plain else None


@dataclass(frozen=True, slots=True)
class NamedSpec(Spec):
    """A pattern, checked against the function's parameters: their ranks are its entries."""

    pattern: Pattern = NO_PATTERN
    sizes: Sizes = ()


def read_named_spec(
    declared: NamedDeclaration, signature: inspect.Signature, function: str, skip_first: bool
) -> NamedSpec:
    """Match a pattern with a signature; every mistake that needs no argument is found here."""
    parameters = list(signature.parameters.values())
    options = {**(declared.named or {}), **(declared.options or {})}
    pattern = declared.pattern
    trees = entries(pattern, parameters[skip_first:], function)
    return NamedSpec(
        function=function,
        parameters=tuple(
            Parameter(p.name, p.kind, trees.get(p.name, UNMAPPED)) for p in parameters
        ),
        options=read_options(options, function, one_level),
        pattern=pattern,
        sizes=read_sizes(pattern, declared.sizes or {}, function),
    )


class PatternBinder(Binder):
    """Binds calls of one function under a pattern."""

    _spec: NamedSpec

    def _plan(self, layout: Layout, leaves: Sequence[Any], run: bool) -> KeptPlan:
        """Work out a new plan from the leaves' shapes."""
        spec = self._spec
        places: list[int] = []
        rows: list[Given] = []
        for i in layout.ranked:
            rank = cast("Entry", layout.ranks[i])
            path = layout.paths[i]
            if run:
                refuse_structs(leaves[i], path, spec.function)
            if layout.whole[i] and callable(leaves[i]) and not hasattr(leaves[i], "shape"):
                raise _factory(spec, rank.index, path)
            leaf = planned_leaf(leaves[i], rank, path, layout.whole[i], spec.function)
            if leaf is not None:
                places.append(i)
                rows.append(Given(leaf, spec.pattern.inputs[rank.index]))
        plan = make_pattern_plan(spec.function, spec.pattern, spec.sizes, rows, spec.options)
        return KeptPlan(plan, tuple(places))


def _factory(spec: NamedSpec, index: int, path: str) -> SpecError:
    at = spec.pattern.places[index] if index < len(spec.pattern.places) else 0
    nodes = spec.pattern.inputs[index]
    span = Span(nodes[0].span.at, nodes[-1].span.end) if nodes else Span(at, at + 1)
    return SpecError(
        f"{spec.function}(): {path} is a function, but einx's tensor factories are not supported; "
        f"pass the array that it makes\n{pointed(spec.pattern.text, span)}"
    )
