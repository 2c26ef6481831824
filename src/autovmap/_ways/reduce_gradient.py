"""Gradients of examples, summed: by linearity the gradient of the examples' sum.

Formed one by one and then added, the gradient of a weight matrix is an outer product an example,
which XLA holds and adds up; of the sum it is one product of matrices. So where a function is
known to be `jax.grad` of another one, its gradients come out of the nest summed already.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from autovmap._bind.binder import Call
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.nest import Body, Nest, Running, make_nest
from autovmap._run.once import Once
from autovmap._run.result import Result
from autovmap._spec.fold import Gradient
from autovmap._ways.chunk_run import Outputs
from autovmap._ways.fit import equations
from autovmap._ways.reduce import FoldGroup, dims_of

NOT_LINEAR = ("custom_vjp", "custom_vmap", "custom_transpose", "linear_call", "pallas")
"""What primitives begin with whose derivatives are the user's own.

A rule that clips what comes back to a parameter clips each example's gradient here, and their sum
there. (A `custom_jvp` alone is safe: JAX transposes its rule, which only a linear one survives. But
one of these may stand in the rule.)
"""


@jax.custom_jvp
def _shifted(value: Any, shift: Any) -> Any:
    """The value, with derivatives as those of `value + shift` at a shift of 0.

    The shift is the same for all examples: the gradient with respect to it is the sum of theirs,
    whether they share the value or not.
    """
    return value


def _shifted_jvp(primals: Any, tangents: Any) -> Any:
    value, _ = primals
    moved = [x for x in tangents if not isinstance(x, SymbolicZero)]
    return value, (lax.add(*moved) if len(moved) == 2 else moved[0])


_shifted.defjvp(_shifted_jvp, symbolic_zeros=True)


@dataclass(frozen=True, slots=True, eq=False)
class GradientBody:
    """The gradient of a function, of one example's leaves; and what it is the gradient of."""

    body: Body
    call: Call
    gradient: Gradient

    def __call__(self, rows: Sequence[Any]) -> Any:
        return self.body(rows)

    def at_shifts(self, rows: Sequence[Any], shifts: Sequence[Any]) -> tuple[Any, Any]:
        """The function's value where leaves are shifted.

        And the result of its gradient, in which the shifts stand for the gradients.
        """
        args, kwargs = self.call.arguments(rows)
        args, rest = list(args), iter(shifts)
        found: list[Any] = []
        for place in self.gradient.places(len(args)):
            leaves, treedef = jax.tree.flatten(args[place])
            own = [next(rest) for _ in leaves]
            args[place] = jax.tree.unflatten(treedef, list(map(_shifted, leaves, own)))
            found.append(jax.tree.unflatten(treedef, own))
        value = self.gradient.function(*args, **kwargs)
        value, aux = value if self.gradient.has_aux else (value, None)
        return value, self.gradient.result(value, aux, tuple(found))

    def gradient_leaves(self, result: Any) -> range:
        """Which leaves of a result are gradients."""
        before, gradients = self.gradient.parts(result)
        first = jax.tree.structure(before).num_leaves
        return range(first, first + jax.tree.structure(gradients).num_leaves)


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """The gradients of a call that its nest may give summed."""

    leaves: range
    """Which leaves of the result they are."""
    shapes: tuple[jax.ShapeDtypeStruct, ...]
    example: Callable[[Sequence[Any], Sequence[Any]], tuple[Any, Any]]
    """As `GradientBody.at_shifts`."""

    def nest(self, plan: CallPlan, groups: Sequence[Group]) -> Nest:
        """As `make_nest`, but that gradients are summed: a dim of 1 lies along each layer."""
        one_for_all = [replace(g, axes=frozenset()) if _is_summed(g) else g for g in groups]
        layers = make_nest(plan, [Group(), *one_for_all])

        def nest(running: Running, *mapped: Any) -> Outputs:
            caught = running.result

            def values(shifts: Sequence[Any]) -> tuple[Any, Outputs]:
                body: Body = lambda rows: self.example(rows, shifts)  # noqa: E731
                inside = Running(body, running.leaves, cast("Result", WithValue(caught)))
                (value,), *outputs = layers(inside, *mapped)
                return value, tuple(outputs)

            shifts = [lax.full(x.shape, np.zeros((), x.dtype)) for x in self.shapes]
            value, back, outputs = jax.vjp(values, shifts, has_aux=True)
            (gradients,) = back(lax.full_like(value, 1))
            members = caught.members or ()
            return tuple(
                [self._with_dims(gradients, i, plan, group) for i in places]
                if _is_summed(group)
                else arrays
                for group, arrays, places in zip(groups, outputs, members, strict=True)
            )

        return nest

    def _with_dims(self, gradients: Sequence[Any], i: int, plan: CallPlan, group: Group) -> Any:
        array = gradients[i - self.leaves.start]
        dims = dims_of(group, plan.layers, array.ndim + len(plan.layers)).values()
        return lax.expand_dims(array, tuple(dims))


@dataclass(frozen=True, slots=True)
class WithValue:
    """As a `Result`, of pairs of the function's value and its gradient's result."""

    result: Result

    def split(self, pair: tuple[Any, Any]) -> Outputs:
        """The value, in a group of its own, and the arrays of the result."""
        value, result = pair
        return ([value], *self.result.split(result))


def _is_summed(group: Group) -> bool:
    return isinstance(group, FoldGroup) and group.summed


def summed_gradients(
    plan: CallPlan,
    body: GradientBody,
    leaves: Sequence[Any],
    once: Once,
    gradients: range,
    elsewhere: bool,
) -> Summed | None:
    """The gradients of a call, if their sum may be computed as the gradient of a sum.

    Args:
        plan: the call's plan, all of whose layers are folded by a sum or mean.
        body: the gradient of one example.
        leaves: the leaves, as the layers map them.
        once: what a trace of it has found.
        gradients: which leaves of the result are gradients.
        elsewhere: whether it runs on the devices of a mesh: see `traced_once`.
    """
    avals = dict(zip(once.places, once.jaxpr.out_avals, strict=True))
    if not gradients or any(layer.name is not None for layer in plan.layers):
        return None  # a collective may take part in each example's gradient
    if any(i not in avals or not jnp.issubdtype(avals[i].dtype, np.floating) for i in gradients):
        return None
    shapes = tuple(jax.ShapeDtypeStruct(avals[i].shape, avals[i].dtype) for i in gradients)
    places = [once.places.index(i) for i in once.places if i not in gradients]
    program = _program(plan, body, leaves, shapes, [once.places[i] for i in places])
    widest = max(jnp.finfo(x.dtype).bits for x in shapes)
    if not _is_linear(program, max(widest, 32)) or _rules_are_not_linear(program, shapes):
        return None
    if elsewhere:
        return Summed(gradients, shapes, body.at_shifts)
    from jax.extend.core import jaxpr_as_fun

    run = jaxpr_as_fun(program)

    def example(rows: Sequence[Any], shifts: Sequence[Any]) -> tuple[Any, Any]:
        value, *others = run(*shifts, *[rows[row] for row in plan.mapped])
        computed = dict(zip(places, others, strict=True))
        both = [
            shifts[place - gradients.start] if place in gradients else computed[i]
            for i, place in enumerate(once.places)
        ]
        return value, once.result(both)

    return Summed(gradients, shapes, example)


def _program(
    plan: CallPlan,
    body: GradientBody,
    leaves: Sequence[Any],
    shapes: Sequence[Any],
    others: Sequence[int],
) -> Any:
    """The function's jaxpr, of shifts and one example's leaves: its value, and other outputs."""
    found: list[Any] = []

    def probe(rows: Sequence[Any]) -> list[Any]:
        def example(shifts: Sequence[Any], *mapped: Any) -> list[Any]:
            given = list(rows)
            for row, value in zip(plan.mapped, mapped, strict=True):
                given[row] = value
            value, result = body.at_shifts(given, shifts)
            flat = jax.tree.leaves(result)
            return [value, *[flat[i] for i in others]]

        found.append(jax.make_jaxpr(example)(shapes, *[rows[row] for row in plan.mapped]))
        return []

    nest, result = make_nest(plan), cast("Result", Unsplit())
    jax.eval_shape(
        lambda mapped: nest(Running(probe, leaves, result), *mapped),
        [leaves[row] for row in plan.mapped],
    )
    return found[-1]


class Unsplit:
    """In place of a `Result` where nothing comes out of a nest."""

    def split(self, result: Any) -> Outputs:
        return (result,)


def _is_linear(program: Any, bits: int) -> bool:
    """Whether a sum of gradients is, up to the order of sums, the gradient of a sum.

    No derivative is the user's own, nothing is done beside computing, and no sum over examples
    can be one of floats that are narrower than those of the gradients, or of 16 bits.
    """
    if program.effects:
        return False
    for equation in equations(program):
        if equation.primitive.name.startswith(NOT_LINEAR):
            return False
        for var in equation.outvars:
            dtype = getattr(var.aval, "dtype", np.dtype(bool))
            if jnp.issubdtype(dtype, np.floating) and jnp.finfo(dtype).bits < bits:
                return False
    return True


def _rules_are_not_linear(program: Any, shapes: Sequence[Any]) -> bool:
    """Whether a derivative that a `custom_jvp` gives is transposed by a rule of the user's own."""
    names = {equation.primitive.name for equation in equations(program)}
    if not any(name.startswith("custom_jvp") for name in names):
        return False
    from jax.extend.core import jaxpr_as_fun

    run = jaxpr_as_fun(program)

    def tangent(shifts: Sequence[Any], *mapped: Any) -> Any:
        value = lambda *shifts: run(*shifts, *mapped)[0]  # noqa: E731
        return jax.jvp(value, tuple(shifts), tuple(shifts))

    rest = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in program.in_avals[len(shapes) :]]
    rules = jax.make_jaxpr(tangent)(shapes, *rest)
    return bool(rules.effects) or any(
        equation.primitive.name.startswith(NOT_LINEAR) for equation in equations(rules)
    )
