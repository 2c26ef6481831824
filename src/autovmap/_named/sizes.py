"""The sizes of a pattern's axes, solved from shapes: how many axes an ellipsis is, and how long.

Each dim of an array is an equation: an axis equals it, or the product of a composition's axes
does. They are solved one unknown at a time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from autovmap._named.counts import Counts, Given
from autovmap._named.notation import (
    Axis,
    Node,
    Nodes,
    Pattern,
    axes_of,
    pointed,
    text_of,
)
from autovmap._named.rules import Sizes
from autovmap._plan.leaf import Dim, Leaf, describe
from autovmap.errors import AutoVmapError, BatchShapeError, CoreSizeError, SpecError

Known: TypeAlias = dict[str, tuple[Dim, str]]
"""The size of each axis, and who says so."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A pattern whose axes all have sizes: ellipses are spelt out, as `a.0 a.1`.

    `inputs` has a row a leaf; in `outputs` only `[...]` is left as it was.
    """

    inputs: tuple[Nodes, ...]
    outputs: tuple[Nodes, ...]
    sizes: Mapping[str, Dim]


def solve(pattern: Pattern, given: Sequence[Given], sizes: Sizes, function: str) -> Solved:
    """Solve a pattern's equations for the shapes of a call.

    Raises:
        RankError: an array has too few or too many dims.
        BatchShapeError: two arrays disagree on a batch axis; CoreSizeError: on a core dim.
        SpecError: the shapes do not tell the size of an axis.
    """
    counts = Counts(pattern, given, sizes, function)
    rows = tuple(counts.expanded_input(row) for row in given)
    outputs = tuple(counts.expanded(nodes) for nodes in pattern.outputs)
    system = _System(pattern, function, list(zip((row.leaf for row in given), rows, strict=True)))
    said = dict(sizes)
    for axis in (axis for nodes in (*rows, *outputs) for axis in axes_of(nodes)):
        if axis.name:
            base, _, index = axis.name.partition(".")
            size = said.get(base)
            if isinstance(size, tuple):
                size = size[int(index)]
            if size is not None:
                system.known.setdefault(axis.name, (size, f"by {base}={said[base]}"))
    equations = [
        (row.leaf, node, dim)
        for row, nodes in zip(given, rows, strict=True)
        for node, dim in zip(nodes, row.leaf.shape, strict=True)
    ]
    left = system.run(equations)
    while left:
        fused = _fuse(left[0][1], (*rows, *outputs))
        if fused is None:
            raise system.undetermined(*left[0])
        rows, outputs = (
            tuple(tuple(fused if node == left[0][1] else node for node in nodes) for nodes in part)
            for part in (rows, outputs)
        )
        left = system.run([(x, fused if n == left[0][1] else n, d) for x, n, d in left])
    for axis in (axis for nodes in outputs for axis in axes_of(nodes)):
        if axis.name is not None and not axis.core and axis.name not in system.known:
            raise SpecError(
                f"{function}(): no array of this call has the axis {axis.name!r}, so its size is "
                f"not known; give {axis.name}=... to named_vmap, or pass the argument that has it\n"
                f"{pointed(pattern.text, axis.span)}"
            )
    return Solved(rows, outputs, {name: size for name, (size, _) in system.known.items()})


def _fuse(composed: Node, everywhere: Iterable[Nodes]) -> Axis | None:
    """One axis in a composition's stead, where its axes stand nowhere else."""
    names = {axis.name for axis in axes_of((composed,))}
    if any(axis.core for axis in axes_of((composed,))):
        return None
    others = (node for nodes in everywhere for node in nodes if node != composed)
    if any(axis.name in names for axis in axes_of(list(others))):
        return None
    return Axis(text_of((composed,)), None, False, composed.span)


Equation: TypeAlias = tuple[Leaf, Node, Dim]


class _System:
    """Equations, and the sizes that are known of them so far."""

    def __init__(self, pattern: Pattern, function: str, rows: Sequence[tuple[Leaf, Nodes]]) -> None:
        self.pattern = pattern
        self.function = function
        self.rows = rows
        self.known: Known = {}

    def run(self, equations: list[Equation]) -> list[Equation]:
        """Solve what can be solved; what is left lacks more than one size."""
        while True:
            left = [equation for equation in equations if not self.solved(*equation)]
            if len(left) == len(equations):
                return left
            equations = left

    def solved(self, leaf: Leaf, node: Node, dim: Dim) -> bool:
        if isinstance(node, Axis):
            self.agree(leaf, node, dim)
            return True
        product: Dim = 1
        unknown: Counter[str] = Counter()
        for axis in axes_of((node,)):
            size = axis.size if axis.name is None else self.known.get(axis.name, (None, ""))[0]
            if size is None and axis.name is not None:
                unknown[axis.name] += 1
            else:
                product = product * size
        if not unknown:
            if product != dim:
                raise self.wrong_product(leaf, node, dim)
            return True
        (name, power), *more = unknown.items()
        if more or (product == 0 and dim == 0):
            return False
        size = 0 if product == 0 else _root(dim // product, power)
        if size is None or product * size**power != dim:
            raise self.wrong_product(leaf, node, dim)
        self.known[name] = (size, f"in {leaf.path}")
        return True

    def agree(self, leaf: Leaf, axis: Axis, dim: Dim) -> None:
        """An axis that is a dim of its own."""
        if axis.name is None:
            if axis.size is not None and dim != axis.size:
                said = f"{leaf.path} has size {dim} where the pattern has {axis.size}"
                raise self.conflict(said, [axis], leaf)
            return
        size, source = self.known.setdefault(axis.name, (dim, f"in {leaf.path}"))
        if size != dim:
            said = (
                f"axis {axis.name!r} has size {size} {source} and size {dim} in {leaf.path}; "
                f"axes with the same name must have the same size; nothing stretches"
            )
            raise self.conflict(said, [axis], leaf)

    def wrong_product(self, leaf: Leaf, node: Node, dim: Dim) -> AutoVmapError:
        """The error for a dim that its composition can't make up."""
        axes = list(axes_of((node,)))
        sizes = {axis.name: self.known[axis.name] for axis in axes if axis.name in self.known}
        said = " and ".join(f"{name} = {size} {by}" for name, (size, by) in sizes.items())
        equation = f"{text_of((node,))} = {dim} has no solution"
        return self.conflict(f"{leaf.path}: {equation}{' with ' if said else ''}{said}", axes, leaf)

    def conflict(self, said: str, axes: Sequence[Axis], leaf: Leaf) -> AutoVmapError:
        """The error for sizes that disagree, with the equation of each array that has the axes."""
        names = {axis.name for axis in axes if axis.name is not None}
        rows = [
            (other, nodes)
            for other, nodes in self.rows
            if other is leaf or any(axis.name in names for axis in axes_of(nodes))
        ]
        spans = [axis.span for axis in axes] or [node.span for node in self.nodes_of(leaf)]
        spans += [a.span for _, nodes in rows for a in axes_of(nodes) if a.name in names]
        lines = [f"{self.function}(): {said}", pointed(self.pattern.text, *spans)]
        lines += [
            f"  {other.path}: {describe(other)} = {text_of(nodes)}" for other, nodes in rows[:6]
        ]
        lines.append("Check the shapes and the pattern")
        core = bool(axes) and all(axis.core for axis in axes)
        kind = CoreSizeError if core else BatchShapeError
        return kind("\n".join(lines))

    def nodes_of(self, leaf: Leaf) -> Nodes:
        """The part of the pattern under which a leaf stands."""
        return next(nodes for other, nodes in self.rows if other is leaf)

    def undetermined(self, leaf: Leaf, node: Node, dim: Dim) -> SpecError:
        names = dict.fromkeys(axis.name for axis in axes_of((node,)) if axis.name)
        unknown = [name.partition(".")[0] for name in names if name not in self.known]
        return SpecError(
            f"{self.function}(): {leaf.path}: {text_of((node,))} = {dim} does not determine "
            f"{' and '.join(unknown)}; give {unknown[0]}=... to named_vmap\n"
            f"{pointed(self.pattern.text, node.span)}\n  {leaf.path}: {describe(leaf)}"
        )


def _root(value: Dim, power: int) -> Dim | None:
    """The whole number whose power is `value`."""
    if power == 1:
        return value
    if not isinstance(value, int):
        return None
    root = round(value ** (1 / power))
    return root if root**power == value else None
