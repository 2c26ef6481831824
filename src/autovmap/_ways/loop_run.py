"""A Python loop over real examples: for `print`, `pdb` and checking."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from autovmap._plan.leaf import Leaf
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import PlanData
from autovmap._run.nest import Body, make_nest, run
from autovmap._run.result import FRONT, Groups, Place, Result
from autovmap._ways.chunk import refuse_symbolic
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
    first = Result(plan.function, groups, place)
    for index in itertools.product(*map(range, plan.batch_shape)):
        caught = Result(plan.function, groups, place) if outs else first
        example = [_example(leaf, x, index) for leaf, x in zip(rows, arrays, strict=True)]
        try:
            out = caught.split(body(example))
            if outs:
                _refuse_other(first, outs[0], caught, out, plan.function)
            outs.append(out)
        except Exception as error:
            error.add_note(f"in {plan.function}.loop(), at example {index} of {plan.batch_shape}")
            raise
    whole = jax.tree.map(lambda *examples: _stack(examples, plan), *outs)
    grouped = (whole,) if len(groups) == 1 else whole
    placed = tuple(
        [_placed(x, group, plan) for x in part] for group, part in zip(groups, grouped, strict=True)
    )
    return first.joined(placed[0] if len(groups) == 1 else placed)


def _refuse_other(first: Result, one: Any, caught: Result, out: Any, function: str) -> None:
    """Refuse an example whose result no array could hold together with the first one's."""
    kinds = [
        [(jnp.shape(x), jnp.result_type(x)) for x in jax.tree.leaves(leaves)]
        for leaves in (one, out)
    ]
    texts = [[leaf for _, leaf in r.others if isinstance(leaf, str)] for r in (first, caught)]
    if first.treedef != caught.treedef or kinds[0] != kinds[1] or texts[0] != texts[1]:
        raise SpecError(
            f"{function}.loop(): the result of this example does not fit that of the first: "
            f"{caught.treedef}, {kinds[1]}, {texts[1]} against {first.treedef}, {kinds[0]}, "
            f"{texts[0]}; no vmapped call could return both"
        )


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
