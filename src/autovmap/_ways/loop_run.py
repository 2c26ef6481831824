"""A Python loop over real examples: for `print`, `pdb` and checking."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from autovmap._plan.layers import Layer
from autovmap._plan.outputs import Group, composition, dims_of
from autovmap._plan.plan import PlanData
from autovmap._run.grouping import FRONT, Grouping
from autovmap._run.hidden import refuse_dependent, refuse_differing
from autovmap._run.nest import Body, make_nest, run
from autovmap._run.once import dependence_error
from autovmap._run.result import Result
from autovmap._run.steps import done
from autovmap._ways.chunk import refuse_symbolic
from autovmap._ways.loop_fit import difference
from autovmap.errors import SpecError

TOLD = (str, bool, int, float, complex)
"""What is not an array in a result, and must be the same for all examples."""


def run_loop(
    plan: PlanData,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping = FRONT,
) -> Any:
    """Call `body` on one example after the other and stack what it returns: as `run` otherwise.

    Without examples (a batch axis of size 0) there is nothing to call it on, and the vmapped
    program tells the result's structure.
    """
    refuse_symbolic(plan, "loop")
    if plan.trivial or any(size == 0 for size in plan.batch_shape):
        return run(plan, make_nest(plan, grouping.groups), body, leaves, grouping)
    # vmap refuses such an output; a loop would not notice, and take the first example's for all.
    if (refused := dependence_error(plan, body, leaves, grouping)) is not None:
        raise refused
    outs: list[Any] = []
    example: list[Any] = []
    first: Example | None = None
    for index in itertools.product(*map(range, plan.batch_shape)):
        caught = Result(plan, grouping)
        example = [_example(plan.layers, row, x, index) for row, x in enumerate(leaves)]
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
    pairs = zip(grouping.groups, whole, strict=True)
    return first.caught.joined([[_moved(x, group, plan) for x in part] for group, part in pairs])


@dataclass(frozen=True, slots=True)
class Example:
    """What one example gave: the result, its structure, and its arrays."""

    result: Any
    caught: Result
    arrays: Any

    @property
    def others(self) -> list[Any]:
        """The leaves that are not arrays."""
        return [leaf for _, leaf in self.caught.others]

    def like(self, other: "Example") -> bool:
        """Whether both are the same in all but values; False where that can't be told so."""
        kinds = [
            [(jnp.shape(x), jnp.result_type(x)) for x in jax.tree.leaves(one.arrays)]
            for one in (self, other)
        ]
        texts = [[x for x in one.others if isinstance(x, TOLD)] for one in (self, other)]
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
                f"{function}.loop(): the result of this example differs from that of the first\n"
                f"  {found} there\n"
                f"A vmapped call can't return both; return the same structure, shapes and dtypes "
                f"for every example"
            )
    refuse_differing(first.result, one.result, function)


def _example(layers: Sequence[Layer], row: int, array: Any, index: tuple[int, ...]) -> Any:
    """One example's part of a leaf: where a layer would map a dim, it is indexed."""
    for layer in layers:
        dim = layer.in_axes[row]
        if dim is not None:
            array = lax.index_in_dim(array, index[layer.axis], dim, keepdims=False)
    return array


def _stack(examples: Sequence[Any], plan: PlanData) -> Any:
    """Examples in a row as one array with the batch shape in front."""
    rows = [lax.expand_dims(jnp.asarray(x), (0,)) for x in examples]
    array = lax.concatenate(rows, 0) if len(rows) > 1 else rows[0]
    return lax.reshape(array, plan.batch_shape + array.shape[1:])


def _moved(array: Any, group: Group, plan: PlanData) -> Any:
    """An output with its batch dims where the group has them, from a block in front."""
    block = range(-len(plan.batch_shape), 0)
    own = [axis for axis in block if group.holds(axis)]
    for axis in own:
        if not group.stretches(axis):
            array = lax.slice_in_dim(array, 0, 1, axis=len(block) + axis)
    array = array[tuple(slice(None) if axis in own else 0 for axis in block)]
    places = dims_of(group.layout(own), own)
    if places != tuple(range(len(own))):
        array = jnp.moveaxis(array, range(len(own)), places)
    return done(array, composition(group, plan.batch_shape, dict(plan.core.sizes)))
