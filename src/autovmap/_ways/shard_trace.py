"""A device's part of a call, traced outside of `shard_map` and run inside.

Inside, JAX gives every array the type of a part of a mesh. Libraries that compare the types of
arrays with those that they made themselves (lineax, optimistix, diffrax) fail there, in the
function and in the rules of its derivatives. Traced beforehand, none of their code runs inside.
"""

import contextlib
import functools
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from autovmap.errors import SpecError

Flat = Callable[..., list[Any]]
"""A function of arrays that returns a list of them."""
Axes = Collection[tuple[Hashable, int]]
Trace = Callable[..., Any]
"""`jax.make_jaxpr`, which knows the mesh's axes."""
Once = Callable[[Any], Any]
"""See `_once`."""


def traced_outside(
    function: Callable[..., Any], shapes: Sequence[Any], axes: Axes, name: str
) -> tuple[Callable[..., Any], list[Any]]:
    """The same function, with its trace and those of its derivatives made now.

    What it closes over (arguments without a rank) becomes its first arguments, given beside it:
    it may be differentiated, and lies on other devices than what stands inside of a `shard_map`.

    It can be differentiated once in forward and in reverse mode, as often as the function itself
    can in the mode that it has alone (a `custom_vjp` has the reverse).

    Args:
        function: a function of arrays, of any pytree of arrays for a result.
        shapes: the shapes of its arguments.
        axes: names and sizes of the mesh's axes, over which it may communicate.
        name: the decorated function's, for messages.
    """
    with _no_mesh():
        trace = functools.partial(jax.make_jaxpr, axis_env=list(axes))
        return _traced(function, shapes, trace, _once(name))


def _traced(
    function: Callable[..., Any], shapes: Sequence[Any], trace: Trace, once: Once
) -> tuple[Callable[..., Any], list[Any]]:
    closed, result = trace(function, return_shape=True)(*shapes)
    jaxpr, consts = closed.jaxpr, closed.consts
    opened = jaxpr.replace(constvars=(), invars=[*jaxpr.constvars, *jaxpr.invars])
    flat = jaxpr_as_fun(ClosedJaxpr(opened, ()))
    run = _differentiable(flat, [*map(_shape, consts), *shapes], trace, once)

    def traced(*arrays: Any) -> Any:
        return jax.tree.unflatten(jax.tree.structure(result), run(*arrays))

    return traced, list(consts)


def _differentiable(run: Flat, shapes: Sequence[Any], trace: Trace, once: Once) -> Flat:
    """A function with rules for its derivatives that are traced already."""
    results = trace(run, return_shape=True)(*shapes)[1]
    given = [i for i, x in enumerate(shapes) if _is_inexact(x)]
    made = [i for i, x in enumerate(results) if _is_inexact(x)]
    if not given or not made:
        return run

    def chosen(arrays: Sequence[Any], inexact: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        merged = list(arrays)
        for i, array in zip(given, inexact, strict=True):
            merged[i] = array
        outputs = run(*merged)
        return [outputs[i] for i in made], outputs

    try:
        forward, backward = _reverse(chosen, shapes, given, [results[i] for i in made], trace)
    except Exception:  # there is none of it: of a greatest value over devices, for one
        return run
    try:
        tangent = _forward(chosen, shapes, given, trace)
    except Exception:  # it refuses forward mode while it is traced
        return _by_vjp(run, forward, backward, len(shapes), given, made)
    return _by_jvp(run, forward, backward, tangent, given, made, once)


def _reverse(
    chosen: Callable[..., Any],
    shapes: Sequence[Any],
    given: Sequence[int],
    made: Sequence[Any],
    trace: Trace,
) -> tuple[Callable[..., Any], Flat]:
    """Both passes of reverse mode: outputs with residuals; cotangents from those and residuals."""
    structure: list[Any] = []

    def forward(*arrays: Any) -> Any:
        inexact = [arrays[i] for i in given]
        _, pull, outputs = jax.vjp(lambda *x: chosen(arrays, x), *inexact, has_aux=True)
        residuals, tree = jax.tree.flatten(pull)
        structure[:] = [tree]
        return outputs, residuals

    def backward(residuals: Any, cotangents: Any) -> list[Any]:
        return list(jax.tree.unflatten(structure[0], residuals)(list(cotangents)))

    closed, (outputs, residuals) = trace(forward, return_shape=True)(*shapes)
    back = jaxpr_as_fun(trace(backward)(residuals, made))

    def ahead(*arrays: Any) -> Any:
        found = jaxpr_as_fun(closed)(*arrays)
        return found[: len(outputs)], found[len(outputs) :]

    return ahead, lambda residuals, cotangents: back(*residuals, *cotangents)


def _forward(
    chosen: Callable[..., Any], shapes: Sequence[Any], given: Sequence[int], trace: Trace
) -> Flat:
    """The tangents of the outputs, from the arguments and their tangents."""

    def forward(arrays: Any, tangents: Any) -> Any:
        inexact = [arrays[i] for i in given]
        run = lambda *x: chosen(arrays, x)  # noqa: E731
        return jax.jvp(run, inexact, list(tangents), has_aux=True)[1]

    closed = trace(forward)(list(shapes), [shapes[i] for i in given])
    return lambda arrays, tangents: jaxpr_as_fun(closed)(*arrays, *tangents)


def _by_jvp(
    run: Flat,
    forward: Callable[..., Any],
    backward: Flat,
    tangent: Flat,
    given: Sequence[int],
    made: Sequence[int],
    once: Once,
) -> Flat:
    """Both modes: a tangent is linear, and its transpose is the backward pass."""
    call = jax.custom_jvp(lambda *arrays: run(*arrays))

    def rule(arrays: Any, tangents: Any) -> Any:
        outputs, residuals = forward(*arrays)
        # A transpose wants tangents to be unknown: zeros, which are known, stay out of it.
        moved = [i for i in given if not isinstance(tangents[i], SymbolicZero)]
        zeros = {i: jnp.zeros(arrays[i].shape, arrays[i].dtype) for i in given if i not in moved}

        def ahead(known: Any, some: Any) -> list[Any]:
            every = {**zeros, **dict(zip(moved, some, strict=True))}
            return tangent(known[0], [every[i] for i in given])

        def back(known: Any, cotangents: Any) -> list[Any]:
            every = dict(zip(given, backward(known[1], cotangents), strict=True))
            return [every[i] for i in moved]

        known = (list(arrays), residuals)
        found = _linear(
            ahead, back, once(known), [tangents[i] for i in moved], [outputs[i] for i in made]
        )
        every: list[Any] = [np.zeros(x.shape, jax.dtypes.float0) for x in outputs]
        for i, x in zip(made, found, strict=True):
            every[i] = x
        return outputs, every

    call.defjvp(rule, symbolic_zeros=True)
    return call


def _linear(
    ahead: Callable[..., Any],
    back: Callable[..., Any],
    known: Any,
    tangents: list[Any],
    results: Sequence[Any],
) -> list[Any]:
    """A linear map with its transpose, as the solution of a linear system, which JAX can map.

    `jax.custom_derivatives.linear_call` says the same more plainly, but can't be mapped. What the
    system itself is would only matter to a derivative by `known`, which is refused.
    """
    # Linear in the tangents, as a transpose wants all of the right-hand side to be unknown.
    nothing = sum(jnp.sum(lax.reshape(x, (x.size,))[:0]) for x in tangents)
    zeros = [jnp.broadcast_to(nothing, x.shape).astype(x.dtype) for x in results]

    def solved(_: Any, both: Any) -> Any:
        return both[0], [x + y for x, y in zip(both[1], ahead(known, both[0]), strict=True)]

    def transposed(_: Any, both: Any) -> Any:
        return [x + y for x, y in zip(both[0], back(known, both[1]), strict=True)], both[1]

    both = (tangents, zeros)
    return lax.custom_linear_solve(lambda both: both, both, solved, transposed)[1]


@functools.lru_cache(maxsize=256)
def _once(name: str) -> Callable[[Any], Any]:
    """The identity for what a derivative is worked out from, which is not differentiated itself."""
    once = jax.custom_jvp(lambda known: known)

    def refuse(*_: Any) -> Any:
        raise SpecError(
            f"{name}.shard(...): a function that JAX can't trace on a part of a mesh is traced "
            f"beforehand, so its derivative can't be differentiated again; differentiate each "
            f"example, and shard the result: {name}.lift(jax.hessian).shard(...)"
        )

    once.defjvp(refuse)
    return once


def _by_vjp(
    run: Flat,
    forward: Callable[..., Any],
    backward: Flat,
    count: int,
    given: Sequence[int],
    made: Sequence[int],
) -> Flat:
    """Reverse mode alone."""
    call = jax.custom_vjp(lambda *arrays: run(*arrays))

    def back(residuals: Any, cotangents: Any) -> tuple[Any, ...]:
        every: list[Any] = [None] * count
        found = backward(residuals, [cotangents[i] for i in made])
        for i, x in zip(given, found, strict=True):
            every[i] = x
        return tuple(every)

    call.defvjp(forward, back)
    return call


def _no_mesh() -> contextlib.AbstractContextManager[Any]:
    """Without the mesh that is set around the call, where this JAX can do so."""
    use = getattr(jax.sharding, "use_abstract_mesh", None)
    return contextlib.nullcontext() if use is None else use(jax.sharding.AbstractMesh((), ()))


def _is_inexact(shape: Any) -> bool:
    return jnp.issubdtype(shape.dtype, jnp.inexact)


def _shape(array: Any) -> jax.ShapeDtypeStruct:
    """A shape that lies nowhere."""
    weak = getattr(array, "weak_type", False)
    return jax.ShapeDtypeStruct(array.shape, array.dtype, weak_type=weak)
