"""One example's program, traced once: what its outputs depend on, and the program to run again."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.dtypes import weakened
from autovmap._run.grouping import FRONT, Grouping
from autovmap._run.nest import Body, Running, make_nest
from autovmap._run.reach import Axes, reached
from autovmap._run.result import Result, refuse_lazy
from autovmap.errors import SpecError


@dataclass(slots=True, eq=False)
class Once:
    """What a trace of one example found: its program, and its result without the traced arrays."""

    jaxpr: Any
    treedef: Any
    leaves: list[Any]
    """The leaves of the result; those that the program computes are None."""
    places: list[int]
    """Where those stand that the program computes."""
    inputs: list[Axes]
    """The batch axes of each input of the program."""
    names: dict[Hashable, int]
    """The batch axes that have a name."""
    seen: Any = None
    """What the caller wanted to know of the result."""

    @property
    def axes(self) -> list[Axes]:
        """The batch axes that each leaf depends on; a leaf that is no traced array on none."""
        found: list[Axes] = [frozenset()] * len(self.leaves)
        reaching = reached(self.jaxpr, self.inputs, self.names)
        for place, axes in zip(self.places, reaching, strict=True):
            found[place] = axes
        return found

    def result(self, computed: Sequence[Any]) -> Any:
        """The result, from what the program computes."""
        leaves = list(self.leaves)
        for place, value in zip(self.places, computed, strict=True):
            leaves[place] = value
        return jax.tree.unflatten(self.treedef, leaves)


def trace_once(
    plan: CallPlan, body: Body, leaves: Sequence[Any], look: Callable[[Any], Any]
) -> Once:
    """Trace the function of one example.

    The trace takes place inside the layers, where the batch axes' names are known.

    Args:
        plan: the plan.
        body: the function of one example's leaves.
        leaves: the leaves, as the layers map them.
        look: what is asked of the result while it is there; kept as `Once.seen`.
    """
    found: list[Once] = []
    inputs: list[Axes] = [
        frozenset([layer.axis for layer in plan.layers if layer.in_axes[row] is not None])
        for row in plan.mapped
    ]
    names: dict[Hashable, int] = {
        layer.name: layer.axis for layer in plan.layers if layer.name is not None
    }

    def probe(rows: Sequence[Any]) -> list[Any]:
        def example(*mapped: Any) -> list[Any]:
            given = list(rows)
            for row, value in zip(plan.mapped, mapped, strict=True):
                given[row] = value
            result = body(given)
            refuse_lazy(result, [result], plan.function)
            flat, treedef = jax.tree.flatten(result)
            refuse_lazy(result, flat, plan.function)
            # A program returns arrays alone; a number would come back as one.
            places = [i for i, leaf in enumerate(flat) if isinstance(leaf, jax.Array)]
            kept = [None if isinstance(leaf, jax.Array) else leaf for leaf in flat]
            found.append(Once(None, treedef, kept, places, inputs, names, look(result)))
            return [flat[i] for i in places]

        jaxpr = jax.make_jaxpr(example)(*[rows[row] for row in plan.mapped])
        found[-1].jaxpr = jaxpr
        return []

    nest = make_nest(plan)
    jax.eval_shape(
        lambda mapped: nest(Running(probe, leaves, Result(plan, FRONT)), *mapped),
        [leaves[row] for row in plan.mapped],
    )
    return found[-1]


def again(plan: CallPlan, once: Once) -> Body:
    """The function of one example as it was traced; the caller's Python does not run again."""
    from jax.extend.core import jaxpr_as_fun  # imports Pallas, so only where it is needed

    program = jaxpr_as_fun(once.jaxpr)
    avals = once.jaxpr.out_avals

    def body(rows: Sequence[Any]) -> Any:
        computed = program(*[rows[row] for row in plan.mapped])
        return once.result(list(map(_array, computed, avals)))

    return body


def _array(value: Any, aval: Any) -> Any:
    """An output of a program; JAX gives a constant one as a number, which would get no batch."""
    if isinstance(value, jax.Array):
        return value
    array = jnp.asarray(value, dtype=aval.dtype)
    return weakened(array) if aval.weak_type else array


@dataclass(frozen=True, slots=True)
class Dependence:
    """A leaf of a result: its path, its group, and the batch axes that it depends on."""

    path: str
    group: Group
    axes: Axes


def shorten(plan: CallPlan, body: Body, leaves: Sequence[Any], grouping: Grouping) -> Grouping:
    """The grouping under which an output is stretched only along the axes that it depends on."""
    if plan.trivial:
        return grouping
    outputs = dependencies(plan, body, leaves, grouping)
    return grouping.regrouped([replace(output.group, axes=output.axes) for output in outputs])


def dependence_error(
    plan: CallPlan, body: Body, leaves: Sequence[Any], grouping: Grouping
) -> SpecError | None:
    """The error for an output that depends on a batch axis which it is declared not to have."""
    if all(group.holds(layer.axis) for group in grouping.groups for layer in plan.layers):
        return None
    for output in dependencies(plan, body, leaves, grouping):
        axes = [axis for axis in sorted(output.axes) if not output.group.holds(axis)]
        if axes:
            return grouping.refusal(plan, output.path, output.group, axes)
    return None


def dependencies(
    plan: CallPlan, body: Body, leaves: Sequence[Any], grouping: Grouping
) -> list[Dependence]:
    """What each leaf of the result depends on, from a trace of one example.

    A leaf that is no array depends on nothing. The leaves are given as the layers map them.
    """

    def look(result: Any) -> list[tuple[str, Group]]:
        paths = [keystr(path) for path, _ in tree_flatten_with_path(result)[0]]
        return list(zip(paths, grouping.of(result), strict=True))

    once = trace_once(plan, body, leaves, look)
    both = zip(once.seen, once.axes, strict=True)
    return [Dependence(path, group, axes) for (path, group), axes in both]
