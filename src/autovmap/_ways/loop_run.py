"""A Python loop over real examples: for `print`, `pdb` and checking."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from autovmap._plan.leaf import Leaf
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import PlanData
from autovmap._run.hidden import refuse_dependent, refuse_differing
from autovmap._run.nest import Body, make_nest, run
from autovmap._run.result import FRONT, Groups, Place, Result
from autovmap._ways.chunk import refuse_symbolic
from autovmap._ways.loop_fit import difference
from autovmap.errors import SpecError


def run_loop(
    plan: PlanData,
    body: Body,
    arrays: Sequence[Any],
    groups: Groups = FRONT,
    place: Place | None = None,
) -> Any:
    """Call `body` on one example after the other and stack what it returns: as `run` otherwise.

    Without examples (a batch axis of size 0) there is nothing to call it on, and the vmapped
    program tells the result's structure.
    """
    refuse_symbolic(plan, "loop")
    if plan.trivial or any(size == 0 for size in plan.batch_shape):
        return run(plan, make_nest(plan, groups), body, arrays, groups, place)
    rows = plan.mapped_leaves
    outs: list[Any] = []
    example: list[Any] = []
    first: Example | None = None
    for index in itertools.product(*map(range, plan.batch_shape)):
        caught = Result(plan.function, groups, place)
        example = [_example(leaf, x, index) for leaf, x in zip(rows, arrays, strict=True)]
        try:
            result = body(example)
            one = Example(result, caught, caught.split(result))
            first = first or one
            if one is not first:
                _refuse_other(first, one, plan.function)
            outs.append(one.arrays)
        except Exception as error:
            error.add_note(f"in {plan.function}.loop(), at example {index} of {plan.batch_shape}")
            raise
    assert first is not None, "some example, as no size is 0"
    if len(outs) == 1:
        refuse_dependent(body, example, first.result, plan.function)
    whole = jax.tree.map(lambda *examples: _stack(examples, plan), *outs)
    grouped = (whole,) if len(groups) == 1 else whole
    placed = tuple(
        [_placed(x, group, plan) for x in part] for group, part in zip(groups, grouped, strict=True)
    )
    return first.caught.joined(placed[0] if len(groups) == 1 else placed)


@dataclass(frozen=True, slots=True)
class Example:
    """What one example gave: the result, its structure, and its arrays."""

    result: Any
    caught: Result
    arrays: Any

    @property
    def others(self) -> list[Any]:
        """The leaves that are no arrays."""
        return [leaf for _, leaf in self.caught.others]

    def like(self, other: "Example") -> bool:
        """Whether both are the same in all but values; False where that can't be told so."""
        kinds = [
            [(jnp.shape(x), jnp.result_type(x)) for x in jax.tree.leaves(one.arrays)]
            for one in (self, other)
        ]
        texts = [[x for x in one.others if isinstance(x, str)] for one in (self, other)]
        try:
            same = bool(self.caught.treedef == other.caught.treedef)
        except Exception:  # static data that can't be compared, such as an array
            return False
        return same and kinds[0] == kinds[1] and texts[0] == texts[1]


def _refuse_other(first: Example, one: Example, function: str) -> None:
    """Refuse an example whose result no array could hold together with the first one's."""
    if not first.like(one):
        found = difference(first.result, one.result)
        if found is not None:
            raise SpecError(
                f"{function}.loop(): the result of this example does not fit that of the first\n"
                f"  {found} there\n"
                f"No vmapped call could return both; return the same structure, shapes and dtypes "
                f"for all"
            )
    refuse_differing(first.result, one.result, function)


def _example(leaf: Leaf, array: Any, index: tuple[int, ...]) -> Any:
    """One example's part of a leaf: its batch dims indexed, sizes of 1 at 0."""
    for i, at in enumerate(index):
        axis = i - len(index)
        size = leaf.size(axis)
        if size is not None:
            array = lax.index_in_dim(array, 0 if size == 1 else at, leaf.position, keepdims=False)
    return array


def _stack(examples: Sequence[Any], plan: PlanData) -> Any:
    """Examples in a row as one array with the batch shape in front."""
    rows = [lax.expand_dims(jnp.asarray(x), (0,)) for x in examples]
    array = lax.concatenate(rows, 0) if len(rows) > 1 else rows[0]
    return lax.reshape(array, plan.batch_shape + array.shape[1:])


def _placed(array: Any, group: Group, plan: PlanData) -> Any:
    """The batch dims where `out_axes` wants them, at 1 where the output is not stretched."""
    block = len(plan.batch_shape)
    if group.position is None:
        return array[(0,) * block]
    for axis in range(-block, 0):
        if group.axes is not None and axis not in group.axes:
            array = lax.slice_in_dim(array, 0, 1, axis=block + axis)
    start = block_start(group.position, array.ndim, block)
    return jnp.moveaxis(array, range(block), range(start, start + block)) if start else array
