"""How each leaf of a result is folded, found from one example, and the groups that follow."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax

from autovmap._bind.kinds import is_key, shown
from autovmap._bind.match import match
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import Grouping, batched, is_batched
from autovmap._run.nest import Body
from autovmap._run.once import again, trace_once
from autovmap._spec.fold import Fold, Reduce, fold_of
from autovmap._spec.ranks import Mark, Unmapped
from autovmap._spec.spec import Spec
from autovmap._ways.bucket_run import cut_leaf
from autovmap._ways.folds import leaves_at_once
from autovmap._ways.reduce import FoldGroup, folded_axes, left, refuse_empty
from autovmap._ways.reduce_gradient import GradientBody, Summed, summed_gradients
from autovmap.errors import SpecError


def cut_folded(
    result: Any,
    plan: CallPlan,
    sizes: Mapping[int, tuple[int, int]],
    spec: Spec,
    grouping: Grouping,
) -> Any:
    """A bucket's result without the examples that were padded, of which the folds have none."""
    leaves, treedef = jax.tree.flatten(result)
    reduce = cast("Reduce", spec.reduce)
    kept = left(plan, folded_axes(plan, reduce, spec.options.axis_name))
    less = {kept.axis(axis): size for axis, size in sizes.items() if axis not in kept.over}
    for i, unit in enumerate(units_of(reduce, result, grouping.of(result), plan.function)):
        if is_batched(leaves[i]):
            at = (plan, sizes) if unit.fold is None else (kept.plan, less)
            leaves[i] = cut_leaf(leaves[i], *at, unit.group)
    return jax.tree.unflatten(treedef, leaves)


@dataclass(frozen=True, slots=True)
class Unit:
    """How a leaf of a result is folded, and where its batch dims go.

    Leaves of one number are combined as one value.
    """

    group: Group
    fold: Fold | None
    number: int | None = None


def fold_groups(
    plan: CallPlan,
    spec: Spec,
    units: Sequence[Unit],
    axes: Sequence[frozenset[int]],
    summed: Collection[int] = (),
) -> list[Group]:
    """The group of each leaf of a result, from how it is folded and what it depends on.

    Those that are `summed` in the nest depend on all that it maps.
    """
    every = frozenset(layer.axis for layer in plan.layers)
    reduce = cast("Reduce", spec.reduce)
    over = folded_axes(plan, reduce, spec.options.axis_name)
    shared: dict[int, frozenset[int]] = {}
    for unit, depends in zip(units, axes, strict=True):
        if unit.number is not None:
            shared[unit.number] = shared.get(unit.number, frozenset()) | depends
    found: list[Group] = []
    for i, (unit, depends) in enumerate(zip(units, axes, strict=True)):
        if unit.fold is None or unit.group.position is None:
            stretched = None if spec.options.stretch_outputs else depends
            found.append(replace(unit.group, axes=stretched))
        else:
            refuse_empty(plan, reduce, unit.fold, over)
            depends = depends if unit.number is None else shared[unit.number]
            own = unit.group.position
            depends = every if i in summed else depends
            found.append(
                FoldGroup(own, depends, None, (), unit.fold, over, i in summed, unit.number)
            )
    return found


def units_of(reduce: Reduce, result: Any, placed: Sequence[Group], function: str) -> list[Unit]:
    """How each leaf of a result is folded."""
    leaves, treedef = jax.tree.flatten(result)
    arrays = batched(leaves, treedef)
    if jax.tree_util.all_leaves([result]) and not isinstance(reduce.folds, (Mark, Unmapped)):
        raise SpecError(
            f"{function}.reduce({reduce}): the result is one array, {shown(result)}; give one "
            f'fold, as in .reduce("mean")'
        )
    matched = match(reduce.folds, result, "result", f"{function}(): reduce")
    found: list[Unit] = []
    while (first := len(found)) < len(leaves):
        path, tree, _ = matched[first]
        fold = fold_of(tree)
        if isinstance(fold, str) and isinstance(leaves[first], jax.Array) and is_key(leaves[first]):
            raise SpecError(
                f"{function}.reduce(): {path} holds PRNG keys, {shown(leaves[first])}, and there "
                f"is no {fold} of keys; give None for it, and it is not folded"
            )
        count = 1 if fold is None else leaves_at_once(fold)
        if count == 1:
            found.append(Unit(placed[first], fold if arrays[first] else None))
            continue
        rows = range(first, min(first + count, len(leaves)))
        fitting = [i for i in rows if matched[i][1] is tree and arrays[i]]
        if len(fitting) < count or len({placed[i] for i in rows}) > 1:
            raise SpecError(
                f"{function}.reduce(): {fold!r} combines {count} arrays as one value, as many as "
                f"its identity has, but {path} does not have as many with their batch dims in one "
                f"place; declare the fold where the result has these arrays"
            )
        found += [Unit(placed[i], fold, first) for i in rows]
    return found


def units_of_result(plan: CallPlan, spec: Spec, result: Any, grouping: Grouping) -> list[Unit]:
    """How each leaf of a result is folded, whose batch dims go where a grouping says."""
    groups = grouping.of(result)
    return units_of(cast("Reduce", spec.reduce), result, groups, plan.function)


@dataclass(frozen=True, slots=True)
class Traced:
    """A function of one example whose outputs' folds are known."""

    body: Body
    units: Sequence[Unit]
    groups: Sequence[Group]
    """The group of each leaf of the result."""
    summed: Summed | None = None
    """The gradients that the nest may give summed, if there are such."""
    effects: bool = False
    """Whether the function does more than compute, as `jax.debug.print` does."""


def traced_once(
    plan: CallPlan,
    spec: Spec,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping,
    elsewhere: bool,
) -> Traced:
    """A function of one example, and how its outputs are folded.

    What an output depends on is found by tracing one example; what was traced runs from then on,
    but not `elsewhere`, on the devices of a mesh: there JAX wants its constants to lie on no mesh.
    Without layers there is but one example, which is computed here.
    """

    def look(result: Any) -> list[Unit]:
        return units_of_result(plan, spec, result, grouping)

    if not plan.layers:
        result = body(leaves)
        units = look(result)
        groups = fold_groups(plan, spec, units, [frozenset()] * len(units))
        return Traced(lambda _: result, units, groups)
    once = trace_once(plan, body, leaves, look)
    summed: Summed | None = None
    if isinstance(body, GradientBody):
        gradients = body.gradient_leaves(once.result(once.places))
        if _adds_up(plan, spec, [once.seen[i] for i in gradients]):
            summed = summed_gradients(plan, body, leaves, once, gradients, elsewhere)
    found = fold_groups(plan, spec, once.seen, once.axes, summed.leaves if summed else ())
    run = body if elsewhere else again(plan, once)
    return Traced(run, once.seen, found, summed, bool(once.jaxpr.effects))


def _adds_up(plan: CallPlan, spec: Spec, units: Sequence[Unit]) -> bool:
    """Whether all that a nest maps is folded, and outputs are added up over it."""
    over = folded_axes(plan, cast("Reduce", spec.reduce), spec.options.axis_name)
    return all(layer.axis in over for layer in plan.layers) and all(
        unit.fold in ("sum", "mean") and unit.group.position is not None for unit in units
    )
