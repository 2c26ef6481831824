"""How many axes each ellipsis of a pattern stands for, told by how many dims arrays have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
from autovmap._plan.leaf import Leaf, describe, dims_text, list_hint
from autovmap.errors import RankError, SpecError


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
