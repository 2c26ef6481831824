"""A batch in chunks: one after the other in a scan, inside one compiled program."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import CallPlan
from autovmap._run.dtypes import as_data
from autovmap._run.grouping import is_batched
from autovmap._run.nest import Body, Nest, Running, make_nest
from autovmap._run.result import Result
from autovmap._ways.chunk import Chunks, output_dim
from autovmap._ways.chunk_keep import MakeKeeper
from autovmap._ways.explicit import entries, refuse_cut, shape_like

MakeNest: TypeAlias = Callable[[CallPlan, Sequence[Group]], Nest]
Outputs: TypeAlias = tuple[list[Any], ...]
"""What is kept of the outputs, in one list a group: arrays, or what a fold keeps."""


class Chunked:
    """A plan that is run in chunks: its parts, for a loop in the program or on the host.

    `dynamic_slice` takes a chunk's part of each leaf, and each group's keeper its outputs.

    Args:
        plan: the plan of the whole batch.
        chunks: how it is cut.
        body: the function of one example's leaves.
        leaves: the leaves, sizes of 1 squeezed.
        groups: the groups of outputs.
        caught: where the structure of the result is kept.
        keepers: what makes a group's keeper, from its outputs' shapes for the whole batch.
        valid: along some axes, which examples count.
        nests: what makes the nest of a plan; `make_nest`, or what gives sums in place of examples.
    """

    def __init__(
        self,
        plan: CallPlan,
        chunks: Chunks,
        body: Body,
        leaves: Sequence[Any],
        groups: Sequence[Group],
        caught: Result,
        keepers: MakeKeeper,
        valid: Mapping[int, Any],
        nests: "MakeNest" = make_nest,
    ) -> None:
        self._plan = plan
        self._nests = nests
        self._chunks = chunks
        self._body = body
        self._leaves = leaves
        self._groups = groups
        self._caught = caught
        self._valid = valid
        self.repeats = False
        """Whether the function has effects, and some examples run in two chunks."""
        refuse_cut(plan, chunks, leaves)
        shapes = self._shapes()
        self._keepers = [
            keepers(plan, chunks.splits, group, part)
            for group, part in zip(groups, shapes, strict=True)
        ]

    def run(self, remat: bool = False) -> Outputs:
        """All outputs, by a scan over the chunks.

        With `remat`, a chunk is computed again in the backward pass.
        """
        one = jax.checkpoint(self.one, static_argnums=1) if remat else self.one
        chunks = self._chunks

        def step(outputs: Outputs, starts: Any) -> tuple[Outputs, None]:
            return self.put(outputs, one(starts, False), starts), None

        if chunks.rest is None:
            starts = np.asarray(chunks.starts(), np.int32)
            outputs, _ = lax.scan(step, self.empty(), starts)
            return self.finished(outputs)
        last = chunks.splits[-1]

        def along(outputs: Outputs, before: Any) -> tuple[Outputs, None]:
            """All chunks along the axis that is cut last, and then the smaller one.

            Where that begins is counted on the way: were it known before, XLA would take its part
            of the inputs before the loop, and hold it all the while.
            """

            def at(carry: Any, _: None) -> tuple[Any, None]:
                outputs, start = carry
                outputs, _ = step(outputs, jnp.append(before, start))
                return (outputs, start + np.int32(last.step)), None

            carry, _ = lax.scan(at, (outputs, np.int32(0)), length=last.count - 1)
            outputs, start = carry
            starts = jnp.append(before, start)
            return self.put(outputs, one(starts, True), starts), None

        outer = np.asarray(chunks.outer_starts(), np.int32)
        if len(outer) == 1:
            return self.finished(along(self.empty(), outer[0])[0])
        return self.finished(lax.scan(along, self.empty(), outer)[0])

    def _shapes(self) -> tuple[list[Any], ...]:
        """The shapes of the whole result.

        They follow from those of a chunk, of which nothing is mapped that the chunk does not map.
        Where an output is to have no batch axes, the nest of all layers checks that by rights.
        """
        if all(group.position is not None for group in self._groups):
            starts = [0] * len(self._chunks.splits)
            parts = self._shapes_of(lambda _: self._run(starts, self._chunks.inner), ())
            return tuple(
                [self._grown(x, group) for x in part]
                for group, part in zip(self._groups, parts, strict=True)
            )
        nest = self._nests(self._plan, self._groups)

        def traced(mapped: Sequence[Any]) -> Any:
            leaves = list(self._leaves)
            for i, value in zip(self._plan.mapped, mapped, strict=True):
                leaves[i] = value
            return nest(Running(self._body, leaves, self._caught), *mapped)

        return self._shapes_of(traced, [self._leaves[i] for i in self._plan.mapped])

    def _shapes_of(self, function: Callable[[Any], Any], given: Sequence[Any]) -> Any:
        program: Any = jax.jit(function)
        shapes = program.eval_shape(given)
        if any(split.overlap for split in self._chunks.splits):
            self.repeats = bool(program.trace(given).jaxpr.effects)  # from the trace before
        return shapes

    def _grown(self, part: Any, group: Group) -> Any:
        """The shape of a whole output, from that of a chunk."""
        splits = [s for s in self._chunks.splits if group.has(self._plan.layers[s.layer])]
        shape, spec = list(part.shape), list(entries(part))
        ndim = len(shape) + sum(split.step == 1 for split in splits)
        for split in sorted(splits, key=lambda split: split.layer):
            dim = output_dim(group, self._plan.layers, split.layer, ndim)
            assert dim is not None
            shape[dim : dim + (split.step != 1)] = [split.size]
            spec[dim : dim + (split.step != 1)] = [None if split.step == 1 else spec[dim]]
        return shape_like(part, shape, spec)

    def empty(self) -> Outputs:
        """What is kept before the first chunk."""
        return tuple(keeper.empty() for keeper in self._keepers)

    def one(self, starts: Any, rest: bool) -> Outputs:
        """What is kept of the chunk that begins there; `rest`: of the smaller last one."""
        chunks = self._chunks
        plan = chunks.inner if chunks.rest is None or not rest else chunks.rest
        outputs, valid = self._run(starts, plan), self._valid_of(starts, plan)
        return tuple(
            keeper.one(part, plan, valid)
            for keeper, part in zip(self._keepers, outputs, strict=True)
        )

    def _run(self, starts: Any, plan: CallPlan) -> tuple[list[Any], ...]:
        """The outputs of that chunk, as the nest of its plan gives them."""
        rows = list(self._leaves)
        splits = list(zip(self._chunks.splits, self._steps(plan), starts, strict=True))
        for split, step, start in sorted(splits, key=lambda cut: -cut[0].layer):
            for row, dim in enumerate(split.dims):
                if dim is not None:
                    rows[row] = _part(rows[row], start, step, split.step == 1, dim)
        running = Running(self._body, rows, self._caught)
        nest = self._nests(plan, self._groups)
        return nest(running, *[rows[i] for i in plan.mapped])

    def _steps(self, plan: CallPlan) -> tuple[int, ...]:
        return self._chunks.rest_steps if plan is self._chunks.rest else self._chunks.steps

    def _valid_of(self, starts: Any, plan: CallPlan) -> Mapping[int, Any]:
        """Which of a chunk's examples count, along the axes where not all do."""
        found = dict(self._valid)
        for split, step, start in zip(self._chunks.splits, self._steps(plan), starts, strict=True):
            if split.axis in found:
                found[split.axis] = _part(found[split.axis], start, step, split.step == 1, 0)
        return found

    def put(self, outputs: Outputs, chunk: Outputs, starts: Any) -> Outputs:
        """What is kept once a chunk has joined."""
        return tuple(
            keeper.put(kept, part, starts)
            for keeper, kept, part in zip(self._keepers, outputs, chunk, strict=True)
        )

    def for_host(self, outputs: Outputs) -> Outputs:
        """What is kept, as arrays that a compiled program may hand to the host."""
        return tuple(k.for_host(part) for k, part in zip(self._keepers, outputs, strict=True))

    def finished(self, outputs: Outputs) -> Outputs:
        """The outputs of the whole batch, as its nest would give them."""
        return tuple(k.finished(part) for k, part in zip(self._keepers, outputs, strict=True))

    def so_far(self, outputs: Outputs, chunk: Outputs, starts: Any, rest: bool) -> Outputs:
        """The outputs of a chunk alone; of those that are folded, what has come together so far."""
        steps = self._chunks.rest_steps if rest else self._chunks.steps
        return tuple(
            keeper.so_far(kept, part, starts, steps)
            for keeper, kept, part in zip(self._keepers, outputs, chunk, strict=True)
        )


def opened(outputs: Outputs) -> Outputs:
    """The outputs with keys as their data."""
    return jax.tree.map(as_data, outputs)


def _part(array: Any, start: Any, step: int, index: bool, dim: int) -> Any:
    if index:
        return lax.dynamic_index_in_dim(array, start, dim, keepdims=False)
    return lax.dynamic_slice_in_dim(array, start, step, dim)


def without(result: Any, plan: CallPlan, again: Mapping[int, int], groups: Sequence[Group]) -> Any:
    """A chunk's result without the first examples of some axes, which a chunk before it had."""
    leaves, treedef = jax.tree.flatten(result)
    block = len(plan.batch_shape)
    for i, (leaf, group) in enumerate(zip(leaves, groups, strict=True)):
        if not is_batched(leaf) or group.position is None:
            continue
        start = block_start(group.position, leaf.ndim, block)
        for axis, count in again.items():
            if group.axes is None or axis in group.axes:
                leaves[i] = lax.slice_in_dim(leaves[i], count, None, axis=start + block + axis)
    return jax.tree.unflatten(treedef, leaves)
