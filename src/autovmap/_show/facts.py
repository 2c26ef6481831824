"""What a plan's readers want to know of a call, and the call itself does not: for `f.plan` alone.

Types, shapes and dtypes are read, never a value.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.binder import Call
from autovmap._bind.kinds import ARRAYS
from autovmap._bind.leaves import Kind, is_array, kind_of
from autovmap._bind.match import match
from autovmap._bind.style import Slot, argument_slots
from autovmap._plan.core import kept
from autovmap._plan.leaf import Shape
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan, folded_axes
from autovmap._run.grouping import Grouping, batched, of_result
from autovmap._show.calling import Bystander, Calling, How, Output, Passed
from autovmap._spec.fold import Fold, Reduce, fold_name, fold_of
from autovmap._spec.ranks import leaves_of
from autovmap._spec.spec import VAR_KEYWORD, VAR_POSITIONAL, Spec
from autovmap.errors import SpecError

Rows = tuple[int | None, ...]


def calling(spec: Spec, call: Call, steps: Sequence[str] = (), parted: bool = True) -> Calling:
    """How the arguments of a call reach the function, and the steps of its way of running.

    For `parted`, see `Calling`.
    """
    rows = _rows(call)
    passed: list[Passed] = []
    bystanders: list[Bystander] = []
    for slot in argument_slots(spec, len(call.args), list(call.kwargs)):
        value = slot.value(call.args, call.kwargs)
        passed.append(_passed(spec, slot, value, rows.get(slot.place)))
        bystanders += _bystanders(slot.path, value, rows.get(slot.place))
    plan = call.planned.plan
    kinds = [kind_of(type(call.leaves[place])) for place in call.planned.places]
    folded = frozenset[int]()
    if spec.reduce is not None:
        folded = folded_axes(plan, spec.reduce, spec.options.axis_name)
    return Calling(
        passed=tuple(passed),
        bystanders=tuple(bystanders),
        numpy=tuple(row for row, kind in enumerate(kinds) if kind is Kind.NUMPY),
        foreign=tuple(row for row, kind in enumerate(kinds) if kind is Kind.CONVERTIBLE),
        out_axes=spec.options.out_axes,
        reduce=spec.reduce,
        folded=folded,
        summed=_is_summed(spec, plan, folded),
        stretch_outputs=spec.options.stretch_outputs,
        core=_core(spec, plan),
        steps=tuple(steps),
        parted=parted,
        randomness=spec.options.randomness,
    )


def _is_summed(spec: Spec, plan: CallPlan, folded: frozenset[int]) -> bool:
    """Whether the function may be a gradient that is summed as `reduce_gradient` does.

    What the function is made of is known only once it is traced.
    """
    if spec.gradient is None or spec.reduce is None:
        return False
    added = any(fold_of(leaf) in ("sum", "mean") for leaf in leaves_of(spec.reduce.folds))
    layers = plan.layers
    return added and all(layer.axis in folded and layer.name is None for layer in layers)


def _core(spec: Spec, plan: CallPlan) -> tuple[str, ...] | None:
    """The core dims of the one output of a signature, with their sizes where they are known."""
    outputs = None if spec.signature is None or spec.lifted else spec.signature.outputs
    if outputs is None or len(outputs) != 1:
        return None
    sizes = dict(plan.core.sizes)
    dims = kept(outputs[0], plan.core.dropped)
    return tuple(f"{dim.name}={sizes[dim.name]}" if dim.name in sizes else str(dim) for dim in dims)


def _rows(call: Call) -> dict[int | str, Rows]:
    """For each ranked argument, the plan's row of each of its leaves."""
    row_of = {place: row for row, place in enumerate(call.planned.places)}
    rows: dict[int | str, Rows] = {}
    first = 0
    for slot, child in zip(call.slots, call.treedef.children(), strict=True):
        last = first + child.num_leaves
        rows[slot.place] = tuple(row_of.get(i) for i in range(first, last))
        first = last
    return rows


def _passed(spec: Spec, slot: Slot, value: Any, rows: Rows | None) -> Passed:
    kind = next(p.kind for p in spec.parameters if p.name == slot.parameter)
    how: How
    if isinstance(slot.place, int):
        how, key = ("star" if kind is VAR_POSITIONAL else "positional"), ""
    else:
        how, key = ("keywords" if kind is VAR_KEYWORD else "keyword"), slot.place
    return Passed(
        name=slot.parameter,
        how=how,
        path=slot.path,
        key=key,
        rows=rows or (),
        bare=rows is not None and jax.tree_util.all_leaves([value]),
        builtin=rows is not None and _is_builtin(value),
    )


def _is_builtin(value: Any) -> bool:
    """Whether a value is made of dicts, lists and tuples, which vmap may take apart itself."""
    if type(value) is dict:
        return all(map(_is_builtin, cast("dict[Any, Any]", value).values()))
    if type(value) in (list, tuple):
        return all(map(_is_builtin, value))
    return value is None or jax.tree_util.all_leaves([value])


def _bystanders(path: str, value: Any, rows: Rows | None) -> Iterator[Bystander]:
    try:
        flat = tree_flatten_with_path(value)[0]
    except Exception:  # an argument without a rank may be anything, a broken node too
        return
    for i, (keys, leaf) in enumerate(flat):
        if (rows is None or rows[i] is None) and kind_of(type(leaf)) in ARRAYS:
            yield Bystander(path + keystr(keys), tuple(leaf.shape), str(leaf.dtype))


def result_shapes(run: Callable[[Call, Sequence[Any]], Any], call: Call) -> tuple[Any, bool]:
    """The result of a call with `jax.ShapeDtypeStruct`s for its arrays; the function is traced.

    Beside it, whether the function has effects: whether it calls back, prints, or writes to a Ref.

    Arrays may be given as shapes in arguments without a rank too. What is no array in the result
    comes out as it is.
    """
    places = [i for i in call.planned.places if kind_of(type(call.leaves[i])) in ARRAYS]
    flat, tree = jax.tree.flatten((call.args, call.kwargs)) if _has_structs(call) else ([], None)
    structs = [i for i, leaf in enumerate(flat) if kind_of(type(leaf)) is Kind.STRUCT]
    kept: list[Any] = []

    def traced(rows: Sequence[Any], others: Sequence[Any]) -> list[Any]:
        given = replace(call, leaves=list(call.leaves))
        if tree is not None:
            for i, value in zip(structs, others, strict=True):
                flat[i] = value
            given.args, given.kwargs = jax.tree.unflatten(tree, flat)
        for i, value in zip(places, rows, strict=True):
            given.leaves[i] = value
        leaves, kept[:] = _split(run(given, given.arrays()))
        return leaves

    traced_with = [call.leaves[i] for i in places], [flat[i] for i in structs]
    closed, shapes = jax.make_jaxpr(traced, return_shape=True)(*traced_with)
    treedef, others = kept
    for i, leaf in others:
        shapes.insert(i, leaf)
    return jax.tree.unflatten(treedef, shapes), bool(closed.effects)


def _split(result: Any) -> tuple[list[Any], list[Any]]:
    """The arrays of a result; its structure, and with their places the leaves that are none."""
    leaves, treedef = jax.tree.flatten(result)
    arrays = batched(leaves, treedef)
    others = [(i, leaf) for i, leaf in enumerate(leaves) if not arrays[i]]
    return [leaf for i, leaf in enumerate(leaves) if arrays[i]], [treedef, others]


def _has_structs(call: Call) -> bool:
    """Whether an argument without a rank has a shape in an array's place."""
    ranked = {slot.place for slot in call.slots}
    for place, value in [*enumerate(call.args), *call.kwargs.items()]:
        if place not in ranked:
            try:
                leaves = jax.tree.leaves(value)
            except Exception:  # it may be anything: see `_bystanders`
                continue
            if any(kind_of(type(leaf)) is Kind.STRUCT for leaf in leaves):
                return True
    return False


@dataclass(frozen=True, slots=True)
class Example:
    """What is known of one example's result: the group and the shape of each leaf."""

    groups: tuple[Group, ...]
    shapes: tuple[Shape, ...]


class Noted(Grouping):
    """A grouping that keeps in a list what it was asked of."""

    __slots__ = ("_examples", "_grouping")

    def __init__(self, grouping: Grouping, examples: list[Example]) -> None:
        super().__init__(grouping.groups)
        self._grouping = grouping
        self._examples = examples

    def of(self, result: Any) -> Sequence[Group]:
        """The group of each leaf of a result."""
        groups = self._grouping.of(result)
        shapes = tuple(jnp.shape(x) if is_array(x) else () for x in jax.tree.leaves(result))
        self._examples.append(Example(tuple(groups), shapes))
        return groups

    def refusal(self, plan: CallPlan, path: str, group: Group, axes: Sequence[int]) -> SpecError:
        """The error for an output that depends on batch axes which its group does not hold."""
        return self._grouping.refusal(plan, path, group, axes)


def outputs_of(result: Any, example: Example, reduce: Reduce | None = None) -> tuple[Output, ...]:
    """The leaves of a result, which may be of `jax.ShapeDtypeStruct`s; and how they are folded."""
    found: list[Output] = []
    flat = tree_flatten_with_path(result)[0]
    folds: list[Fold | None] = [None] * len(flat)
    if reduce is not None:
        folds = [fold_of(tree) for _, tree, _ in match(reduce.folds, result, "result", "")]
    rows = zip(flat, of_result(result), example.groups, example.shapes, folds, strict=True)
    for (keys, leaf), array, group, core, fold in rows:
        path = f"result{keystr(keys)}"
        if kind_of(type(leaf)) is Kind.STRUCT or array:
            shape = tuple(getattr(leaf, "shape", ()))
            dtype = str(getattr(leaf, "dtype", type(leaf).__name__))
            how = fold if group.position is not None else None
            found.append(Output(path, shape, dtype, group, core, fold=fold_name(how), how=how))
        else:
            found.append(Output(path, (), type(leaf).__name__, array=False))
    return tuple(found)
