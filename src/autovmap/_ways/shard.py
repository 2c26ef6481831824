"""Which batch axes lie on which mesh axes, and how large each device's part is."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from autovmap._plan.leaf import tuple_text
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._ways.chunk import leaf_dim, output_dim, refuse_symbolic, with_layers
from autovmap._ways.options import Shard
from autovmap._ways.reduce import FoldGroup, dims_of, left
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class Placed:
    """One batch axis on mesh axes: its layer, its size, and the size of each device's part."""

    layer: int
    axis: int
    size: int
    names: tuple[Hashable, ...]
    parts: int
    dims: tuple[int | None, ...]
    """A row a leaf: its dim along this axis, sizes of 1 squeezed; None where it has none."""

    @property
    def step(self) -> int:
        """How many examples of the axis a device has; the last ones may have some twice."""
        return -(-self.size // self.parts)

    @property
    def divides(self) -> bool:
        """Whether all devices' parts are the axis, none of it twice."""
        return self.size % self.parts == 0


@dataclass(frozen=True, slots=True)
class Shards:
    """A batch over a mesh."""

    placed: tuple[Placed, ...]
    inner: CallPlan
    """The plan of one device's part."""

    def leaf_spec(self, row: int, ndim: int) -> tuple[tuple[Hashable, ...] | None, ...]:
        """The mesh axes of each dim of a leaf."""
        return _spec(ndim, [(p.dims[row], p.names) for p in self.placed if p.divides])

    def output_spec(
        self, plan: CallPlan, group: Group, ndim: int
    ) -> tuple[tuple[Hashable, ...] | None, ...]:
        """The mesh axes of each dim of an output."""
        return _spec(ndim, [(self.dim(plan, p, group, ndim), p.names) for p in self.divided])

    def dim(self, plan: CallPlan, placed: Placed, group: Group, ndim: int) -> int | None:
        """The dim of an output along a placed axis; none where the axis is folded."""
        if isinstance(group, FoldGroup):
            kept = left(plan, group.over)
            if placed.axis in group.over:
                return None
            dims = dims_of(kept.group(group), kept.plan.layers, ndim)
            return dims.get(kept.axis(placed.axis))
        return output_dim(group, plan.layers, placed.layer, ndim)

    @property
    def divided(self) -> tuple[Placed, ...]:
        """The axes whose parts stay where they are."""
        return tuple(p for p in self.placed if p.divides)

    @property
    def gathered(self) -> tuple[Placed, ...]:
        """The axes that no sharding exists for: their parts are gathered on every device."""
        return tuple(p for p in self.placed if not p.divides)


def _spec(
    ndim: int, found: Sequence[tuple[int | None, tuple[Hashable, ...]]]
) -> tuple[tuple[Hashable, ...] | None, ...]:
    names = {dim: names for dim, names in found if dim is not None}
    return tuple(names.get(dim) for dim in range(ndim))


def plan_shards(plan: CallPlan, asked: Shard, mesh: Mapping[Hashable, int]) -> Shards:
    """Place batch axes on a mesh, whose axes' sizes are given.

    A batch axis of size 1, or that no leaf is mapped along, is replicated.

    >>> from autovmap._plan.leaf import Leaf
    >>> from autovmap._plan.plan import make_plan
    >>> from autovmap._spec.options import Options
    >>> plan = make_plan("f", [Leaf("x", (8, 5), "float32", 0)], Options())
    >>> [(p.axis, p.step, p.divides) for p in plan_shards(plan, Shard((("d",),)), {"d": 4}).placed]
    [(-2, 2, True)]

    Raises:
        SpecError: a mesh axis does not exist, or more batch axes are asked for than there are.
    """
    refuse_symbolic(plan, "shard")
    block = len(plan.batch_shape)
    if block and any(asked.axes[block:]):
        raise SpecError(
            f"{plan.function}.shard(): {len(asked.axes)} entries for the batch shape "
            f"{tuple_text(plan.batch_shape)}; give one for each batch axis, leftmost first"
        )
    layer_of = {layer.axis: i for i, layer in enumerate(plan.layers)}
    placed: list[Placed] = []
    for i, names in enumerate(asked.axes):
        for name in names:
            if name not in mesh:
                raise SpecError(
                    f"{plan.function}.shard(): the mesh has no axis {name!r}; its axes are "
                    f"{', '.join(f'{n!r} of size {s}' for n, s in mesh.items()) or 'none'}"
                )
        at = layer_of.get(i - block)
        if not names or at is None or plan.layers[at].unmapped or plan.layers[at].size in (0, 1):
            continue
        dims = tuple(leaf_dim(plan.layers, at, row) for row in range(len(plan.leaves)))
        parts = math.prod(mesh[name] for name in names)
        placed.append(Placed(at, i - block, int(plan.layers[at].size), names, parts, dims))
    steps = {p.layer: p.step for p in placed}
    layers = [replace(la, size=steps.get(i, la.size)) for i, la in enumerate(plan.layers)]
    return Shards(tuple(placed), with_layers(plan, layers))
