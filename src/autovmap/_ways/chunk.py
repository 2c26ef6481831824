"""How a batch is cut into chunks: which batch axes, and how many examples of each at once."""

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from autovmap._plan.broadcast import axis_text
from autovmap._plan.layers import Layer
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import CallPlan
from autovmap.errors import SpecError

EIGHT = 8
"""XLA runs multiples of this best."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One batch axis that is cut: its layer, its size, and how much of it a chunk has.

    Where sizes do not divide, the last chunk ends with the axis and so overlaps the one before;
    or, where no example may be counted twice, it is smaller.
    """

    layer: int
    axis: int
    size: int
    step: int
    dims: tuple[int | None, ...]
    """A row a leaf: its dim along this axis, sizes of 1 squeezed; None where it has none."""
    overlaps: bool = True

    @property
    def overlap(self) -> bool:
        """Whether the last part has examples of the one before."""
        return self.overlaps and self.size % self.step != 0

    @property
    def count(self) -> int:
        """How many parts the axis is cut into."""
        return -(-self.size // self.step)

    @property
    def starts(self) -> tuple[int, ...]:
        """Where the parts begin."""
        last = self.size - self.step if self.overlaps else self.size
        return tuple([min(i * self.step, last) for i in range(self.count)])


@dataclass(frozen=True, slots=True)
class Chunks:
    """A batch in chunks; no splits where it is run at once."""

    splits: tuple[Cut, ...]
    inner: CallPlan
    """The plan of one chunk, of leaves without the dims that are cut down to one example."""
    rest: CallPlan | None = None
    """That of the last, smaller chunk of the innermost axis that is cut, if there is one."""

    @property
    def steps(self) -> tuple[int, ...]:
        """How much of each axis that is cut a chunk has."""
        return tuple([split.step for split in self.splits])

    @property
    def rest_steps(self) -> tuple[int, ...]:
        """The same of the smaller last chunk."""
        return (*self.steps[:-1], self.splits[-1].size % self.splits[-1].step)

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return math.prod(split.count for split in self.splits)

    @property
    def examples(self) -> int:
        """How many examples a chunk has."""
        return math.prod(int(layer.size) for layer in self.inner.layers)

    def starts(self) -> list[tuple[int, ...]]:
        """For each chunk, where it begins along each split, the first split outermost."""
        return list(itertools.product(*(split.starts for split in self.splits)))

    def outer_starts(self) -> list[tuple[int, ...]]:
        """The same for all splits but the last."""
        return list(itertools.product(*(split.starts for split in self.splits[:-1])))

    def sizes(self, rest: bool) -> dict[int, int]:
        """For each axis that is cut, how much of it a chunk has."""
        steps = self.rest_steps if rest else self.steps
        return {split.axis: step for split, step in zip(self.splits, steps, strict=True)}

    def is_rest(self, starts: Sequence[int]) -> bool:
        """Whether the chunk that begins there is the smaller last one."""
        return self.rest is not None and starts[-1] == self.splits[-1].starts[-1]


def covered(chunks: Chunks) -> list[tuple[tuple[int, int], ...]]:
    """For each chunk and split, the part of the axis that no chunk before it has: first, stop."""
    found: list[tuple[tuple[int, int], ...]] = [()]
    for split in chunks.splits:
        firsts = range(0, split.size, split.step)
        own = [(first, min(first + split.step, split.size)) for first in firsts]
        found = [(*before, part) for before in found for part in own]
    return found


def plan_chunks(
    plan: CallPlan, examples: int, sharded: Collection[int] = (), overlaps: bool = True
) -> Chunks:
    """Cut a batch into chunks of at most `examples`, counted over the whole batch shape.

    The outermost axis is cut first, down to one example if the axes inside it do not fit; then
    the next. Axes in `sharded` come last. An axis that no leaf is mapped along is never cut, as
    nothing is computed for it. Only the axis that is cut last has chunks of several examples.

    Without `overlaps` no example is in two chunks: the last one may be smaller.

    >>> from autovmap._plan.leaf import Leaf
    >>> from autovmap._plan.plan import make_plan
    >>> from autovmap._spec.options import Options
    >>> plan = make_plan("f", [Leaf("x", (4, 1000), "float32", 0)], Options())
    >>> [(split.axis, split.step, split.count) for split in plan_chunks(plan, 300).splits]
    [(-2, 1, 4), (-1, 250, 4)]
    >>> plan_chunks(plan, 300, overlaps=False).splits[-1].starts
    (0, 250, 500, 750)

    Raises:
        SpecError: only cutting a named axis could make the chunks small enough, or a size is
            symbolic.
    """
    refuse_symbolic(plan, "chunk")
    steps: dict[int, int] = {}
    total = math.prod(int(layer.size) for layer in plan.layers)
    if total == 0:
        return Chunks((), plan)
    for i in _order(plan.layers, sharded):
        if total <= examples:
            break
        size = int(plan.layers[i].size)
        rest = total // size
        step = max(1, examples // rest)
        step = steps[i] = _evened(size, step, overlaps)
        total = rest * step
    named = [layer for layer in plan.layers if layer.name is not None and layer.size != 1]
    if total > examples and named:
        names = [layer.name for layer in plan.layers if layer.name is not None]
        shown = ", ".join(axis_text(layer.axis, names) for layer in named)
        raise SpecError(
            f"{plan.function}.chunk({examples}): {total} examples are still run at once, and only "
            f"splitting {shown} would make them fewer; a collective over a named axis would then "
            f"see only a part of it, so allow {math.prod(int(layer.size) for layer in named)} "
            "examples at once, or leave axis_name out"
        )
    return _cut(plan, steps, overlaps, _order(plan.layers, sharded))


def _evened(size: int, step: int, overlaps: bool) -> int:
    """A size of chunks that makes them as even as they can be, of which no more are needed.

    Where none may overlap, a size that divides the axis spares a program for the last one, and
    with it half of the compiling: that is worth up to a third more chunks.

    >>> _evened(2500, 1000, True), _evened(2400, 1000, True), _evened(1000, 64, False)
    (840, 800, 50)
    >>> _evened(60000, 256, False), _evened(997, 64, False)
    (240, 64)
    """
    if overlaps:
        count = -(-size // step)
        even = -(-size // count)
        whole = -(-even // EIGHT) * EIGHT
        return whole if size % count and whole <= step else even
    if size // step < step:  # the fewer of the two ways to count them
        counts = range(-(-size // step), 4 * size // (3 * step) + 1)
        sizes = [size // count for count in counts if size % count == 0]
    else:
        sizes = [found for found in range(step, -(-3 * step // 4) - 1, -1) if size % found == 0]
    return next((found for found in sizes if found % EIGHT == 0), sizes[0] if sizes else step)


def _order(layers: Sequence[Layer], sharded: Collection[int]) -> list[int]:
    """The layers that may be cut, in the order in which they are."""
    free = [
        i
        for i, layer in enumerate(layers)
        if layer.name is None and not layer.unmapped and layer.size != 1
    ]
    return sorted(free, key=lambda i: layers[i].axis in sharded)


def _cut(plan: CallPlan, steps: dict[int, int], overlaps: bool, order: Sequence[int]) -> Chunks:
    splits = tuple(
        Cut(
            i,
            plan.layers[i].axis,
            int(plan.layers[i].size),
            steps[i],
            tuple([leaf_dim(plan.layers, i, row) for row in range(len(plan.leaves))]),
            overlaps,
        )
        for i in sorted(steps, key=order.index if not overlaps else None)
    )
    layers = tuple(
        replace(layer, size=steps.get(i, layer.size))
        for i, layer in enumerate(plan.layers)
        if steps.get(i) != 1
    )
    inner = with_layers(plan, layers)
    if overlaps or not splits or splits[-1].size % splits[-1].step == 0:
        return Chunks(splits, inner)
    last = splits[-1]
    smaller = [
        replace(la, size=last.size % last.step) if la.axis == last.axis else la for la in layers
    ]
    return Chunks(splits, inner, with_layers(plan, smaller))


def with_layers(plan: CallPlan, layers: Sequence[Layer]) -> CallPlan:
    """The plan with other layers, of leaves that fit them."""
    return replace(plan, layers=tuple(layers))


def leaf_dim(layers: Sequence[Layer], i: int, row: int) -> int | None:
    """The dim of a leaf along a layer's axis, once its sizes of 1 are squeezed."""
    dim = layers[i].in_axes[row]
    if dim is None:
        return None
    return dim + sum(layer.in_axes[row] is not None for layer in layers[:i])


def output_dim(group: Group, layers: Sequence[Layer], i: int, ndim: int) -> int | None:
    """The dim of an output of `ndim` dims along a layer's axis, None where it has none.

    >>> nest = [Layer(5, -2, (0,)), Layer(3, -1, (0,))]
    >>> output_dim(Group(0), nest, 1, 4), output_dim(Group(-1), nest, 1, 4)
    (1, 3)
    """
    if group.position is None or not group.has(layers[i]):
        return None
    made = [j for j, layer in enumerate(layers) if group.has(layer)]
    return block_start(group.position, ndim, len(made)) + made.index(i)


def refuse_symbolic(plan: CallPlan, way: str) -> None:
    """Refuse a batch dim whose size is a symbol: how it is cut would depend on its value."""
    for size in plan.batch_shape:
        if not isinstance(size, int):
            raise SpecError(
                f"{plan.function}.{way}(): batch dim {size} is symbolic, but how a batch is split "
                f"into parts depends on its size; export it without .{way}(), or fix the size"
            )
