"""A Python loop over real examples: for `print`, `pdb` and checking."""

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax

from autovmap._bind.kinds import a, kind_text, shown
from autovmap._bind.leaves import is_array
from autovmap._bind.trees import one_level
from autovmap._plan.layers import Layer
from autovmap._plan.outputs import Group, composition, dims_of
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import CONTAINERS, FRONT, Grouping
from autovmap._run.hidden import refuse_dependent, refuse_differing
from autovmap._run.nest import Body, make_nest, run
from autovmap._run.once import dependence_error
from autovmap._run.result import Result
from autovmap._run.steps import done
from autovmap._ways.chunk import refuse_symbolic
from autovmap.errors import SpecError

TOLD = (str, bool, int, float, complex)
"""What is not an array in a result, and must be the same for all examples."""


def run_loop(
    plan: CallPlan,
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


def _stack(examples: Sequence[Any], plan: CallPlan) -> Any:
    """Examples in a row as one array with the batch shape in front."""
    rows = [lax.expand_dims(jnp.asarray(x), (0,)) for x in examples]
    array = lax.concatenate(rows, 0) if len(rows) > 1 else rows[0]
    return lax.reshape(array, plan.batch_shape + array.shape[1:])


def _moved(array: Any, group: Group, plan: CallPlan) -> Any:
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


TELLING = (str, bytes, bool, int, float, complex, type(None), enum.Enum, type)
"""Types of data whose `==` tells whether two values are the same."""
NUMBERS = (bool, int, float, complex)

MANY = 8
"""More children than these are counted, not listed."""


def difference(first: Any, other: Any, path: str = "result", within: bool = False) -> str | None:
    """What no vmapped call could return both of, at the first place where two results differ.

    Static data of pytree nodes is compared only where its `==` tells: that of the functions and
    arrays which many libraries keep there says no of one thing made twice. `within` says that both
    stand in an object, where a number is the same for all examples.

    >>> difference({"a": (1.0, "x")}, {"a": (2.0, "y")})
    "result['a'][1] is 'y', but 'x'"
    >>> difference({"a": 1.0, "b": 2.0}, {"a": 1.0})
    "result has the children ['a'], but the children ['a'], ['b']"
    """
    children, others = one_level(first), one_level(other)
    if children is None and others is None:
        return _between_leaves(first, other, path, within)
    if children is None or others is None or type(first) is not type(other):
        return f"{path} is {_text(other)}, but {_text(first)}"
    labels, other_labels = [label for label, _ in children], [label for label, _ in others]
    if labels != other_labels:
        return f"{path} has {_listed(other_labels)}, but {_listed(labels)}"
    data, other_data = _static_data(first), _static_data(other)
    if _differ(data, other_data):
        return (
            f"the static data of {path}, {a(type(first).__name__)}, is {shown(other_data)}, but "
            f"{shown(data)}"
        )
    within = within or not isinstance(first, CONTAINERS)
    for (label, one), (_, two) in zip(children, others, strict=True):
        found = difference(one, two, path + label, within)
        if found is not None:
            return found
    return None


def _between_leaves(first: Any, other: Any, path: str, within: bool) -> str | None:
    arrays = is_array(first), is_array(other)
    numbers = within and isinstance(first, NUMBERS) and isinstance(other, NUMBERS)
    if numbers:
        return f"{path} is {other!r}, but {first!r}" if _differ(first, other) else None
    if all(arrays):
        same = (jnp.shape(first), jnp.result_type(first)) == (
            jnp.shape(other),
            jnp.result_type(other),
        )
    else:
        same = not any(arrays) and not _differ(first, other)
    return None if same else f"{path} is {_text(other)}, but {_text(first)}"


def _differ(first: Any, other: Any) -> bool:
    """Whether two values that are not arrays differ by their types or by a plain `==`."""
    if type(first) is not type(other):
        return True
    if isinstance(first, TELLING):
        both_nan = first != first and other != other
        return bool(first != other) and not both_nan
    if isinstance(first, dict):
        one, two = cast("dict[Any, Any]", first), cast("dict[Any, Any]", other)
        return list(one) != list(two) or any(_differ(one[key], two[key]) for key in one)
    if isinstance(first, (tuple, list)):
        parts, others = cast("list[Any]", first), cast("list[Any]", other)
        return len(parts) != len(others) or any(map(_differ, parts, others))
    return False


def _static_data(node: Any) -> Any:
    treedef = cast("Any", jax.tree.structure(node, is_leaf=lambda child: child is not node))
    return treedef.node_data()[1]


def _text(value: Any) -> str:
    if is_array(value):
        return kind_text(jnp.asarray(value))
    return shown(value) if isinstance(value, TELLING) else a(type(value).__name__)


def _listed(labels: list[str]) -> str:
    if len(labels) > MANY:
        return f"{len(labels)} children"
    return f"the children {', '.join(labels)}" if labels else "no children"
