"""The sizes of a pattern's axes, solved from shapes: how many axes an ellipsis is, and how long."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from autovmap._named.notation import (
    ANONYMOUS,
    Axis,
    Composed,
    Node,
    Nodes,
    Pattern,
    Repeat,
    axes_of,
    pointed,
    text_of,
)
from autovmap._named.rules import Sizes
from autovmap._plan.leaf import Dim, Leaf, describe, dims_text, list_hint
from autovmap.errors import AutoVmapError, BatchShapeError, CoreSizeError, RankError, SpecError


@dataclass(frozen=True, slots=True)
class Given:
    """A leaf of an argument, and the part of the pattern that it stands under."""

    leaf: Leaf
    nodes: Nodes


class Counts:
    """How many axes each ellipsis stands for."""

    def __init__(
        self, pattern: Pattern, given: Sequence[Given], sizes: Sizes, function: str
    ) -> None:
        self.pattern = pattern
        self.function = function
        self.known = {name: len(size) for name, size in sizes if isinstance(size, tuple)}
        everywhere = [r for nodes in (*pattern.inputs, *pattern.outputs) for r in _repeats(nodes)]
        while True:
            before = len(self.known)
            for row in given:
                self.learn_from(row)
            for repeat in everywhere:
                self.share(repeat)
            if len(self.known) == before:
                break

    def of(self, repeat: Repeat) -> int | None:
        """How many times a repeat is written out, where that is known."""
        if repeat.free:
            return None
        names = (axis.name for axis in axes_of(repeat.nodes) if axis.name in self.known)
        name = next(names, None)
        return None if name is None else self.known[name]

    def share(self, repeat: Repeat) -> None:
        """Names under one ellipsis are equally many."""
        count = self.of(repeat)
        if count is None:
            return
        for axis in axes_of(repeat.nodes):
            if axis.name and self.known.setdefault(axis.name, count) != count:
                raise SpecError(
                    f"{self.function}(): the ellipsis stands for {count} axes, but "
                    f"{axis.name!r} for {self.known[axis.name]}\n"
                    f"{pointed(self.pattern.text, repeat.span)}"
                )

    def learn_from(self, row: Given) -> None:
        """One unknown ellipsis among an array's dims is told by how many there are."""
        open_repeats = [n for n in row.nodes if isinstance(n, Repeat) and self.of(n) is None]
        unknowns = {frozenset(axis.name for axis in axes_of(n.nodes)) for n in open_repeats}
        if len(unknowns) != 1 or any(repeat.free for repeat in open_repeats):
            return
        rest = len(row.leaf.shape) - self.width(row.nodes)
        each = sum(len(repeat.nodes) for repeat in open_repeats)
        if rest < 0 or rest % each:
            raise self.wrong_rank(row)
        for name in unknowns.pop() - {None}:
            self.known[name or ""] = rest // each

    def width(self, nodes: Nodes) -> int:
        """How many dims nodes have, without the ellipses that are not known."""
        return sum(len(n.nodes) * (self.of(n) or 0) if isinstance(n, Repeat) else 1 for n in nodes)

    def wrong_rank(self, row: Given) -> RankError:
        spans = [node.span for node in row.nodes]
        several = any(isinstance(node, Repeat) for node in row.nodes)
        wanted = f"{'at least ' * several}{dims_text(self.width(row.nodes))}"
        number = list_hint(row.leaf.path) if not row.leaf.shape else ""
        place = f"\n{pointed(self.pattern.text, *spans)}" if spans else f"\n  {self.pattern.text}"
        return RankError(
            f"{self.function}(): {row.leaf.path} is {describe(row.leaf)}, of rank "
            f"{len(row.leaf.shape)}, but its part of the pattern, `{text_of(row.nodes)}`, has "
            f"{wanted}{place}\nPass an array with these dims, or fix the pattern{number}"
        )

    def expanded_input(self, row: Given) -> Nodes:
        """An argument's nodes with every ellipsis spelt out."""
        free = len(row.leaf.shape) - self.width(row.nodes)
        nodes = self.expanded(row.nodes, free)
        if len(nodes) != len(row.leaf.shape):
            raise self.wrong_rank(row)
        return nodes

    def expanded(self, nodes: Sequence[Node], free: int | None = None) -> Nodes:
        """Nodes with every ellipsis spelt out; `[...]` stays where `free` is None."""
        found: list[Node] = []
        for node in nodes:
            if isinstance(node, Composed):
                found.append(replace(node, nodes=self.expanded(node.nodes, free)))
            elif not isinstance(node, Repeat):
                found.append(node)
            elif node.free:
                whatever = Axis(None, None, True, node.span)
                found += [node] if free is None else [whatever] * free
            else:
                count = self.of(node)
                if count is None:
                    raise self.undetermined(node)
                found += [n for i in range(count) for n in _numbered(node.nodes, i)]
        return tuple(found)

    def undetermined(self, repeat: Repeat) -> SpecError:
        return SpecError(
            f"{self.function}(): the arguments do not tell how many axes the ellipsis stands for; "
            f"give their sizes by keyword, or write them out\n"
            f"{pointed(self.pattern.text, repeat.span)}"
        )


def _repeats(nodes: Sequence[Node]) -> Iterable[Repeat]:
    for node in nodes:
        if isinstance(node, Repeat):
            yield node
        elif isinstance(node, Composed):
            yield from _repeats(node.nodes)


def _numbered(nodes: Nodes, i: int) -> Nodes:
    """The i-th writing-out of what an ellipsis repeats."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Axis):
            dot = "" if node.name == ANONYMOUS else "."
            found.append(node if node.name is None else replace(node, name=f"{node.name}{dot}{i}"))
        else:
            found.append(replace(node, nodes=_numbered(node.nodes, i)))
    return tuple(found)


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
                system.known.setdefault(axis.name, (size, f"(given as {base}={said[base]})"))
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
