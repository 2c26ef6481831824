"""Doing a plan's steps: to each leaf before the nest of vmaps, to each output behind it."""

import math
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import jax
import jax.numpy as jnp
from jax import lax

from autovmap._plan.plan import CallPlan
from autovmap._plan.steps import Diagonal, Expand, FoldIn, Merge, Reshape, Squeeze, Steps, Transpose


def prepared(plan: CallPlan, arrays: Sequence[Any]) -> Sequence[Any]:
    """The leaves as the layers map them, each after its own steps."""
    if not plan.changed:
        return arrays
    leaves = list(arrays)
    for i in plan.changed:
        leaves[i] = done(arrays[i], plan.before[i])
    return leaves


def done(array: Any, steps: Steps) -> Any:
    """An array after some steps."""
    for step in steps:
        match step:
            case Squeeze(dims):  # by lax: jnp's own looks at each dim's size, which may be a symbol
                array = lax.squeeze(array, dims)
            case Expand(dims):  # an output that depends on nothing batched may be a Python number
                array = lax.expand_dims(jnp.asarray(array), dims)
            case Reshape(shape):
                array = jnp.reshape(array, shape)
            case Transpose(order):
                array = jnp.transpose(array, order)
            case Diagonal(one, other):
                array = _diagonal(array, one, other)
            case FoldIn():
                array = _folded_in(array, step)
            case Merge():
                array = _merged(array, step)
            case _:
                assert_never(step)
    return array


def _diagonal(array: Any, one: int, other: int) -> Any:
    """The diagonal of two dims, as the last dim; of an array of keys too.

    `jnp.diagonal` takes no square of keys, and turns a -0.0 in one of floats into 0.0.
    """
    array = jnp.moveaxis(array, (one, other), (0, 1))
    index = jnp.arange(array.shape[0])
    return jnp.moveaxis(array[index, index], 0, -1)


def _folded_in(key: Any, step: FoldIn) -> Any:
    """`jax.random.fold_in(key, i)` along one axis after the other, outermost first."""
    for size, nest in step.nests():
        fold: Callable[..., Any] = jax.random.fold_in
        for in_axes in reversed(nest):
            fold = jax.vmap(fold, in_axes=in_axes)
        key = fold(key, 0 if size == 1 else jnp.arange(size, dtype=jnp.uint32))
    return key


def _merged(array: Any, step: Merge) -> Any:
    shape = jnp.shape(array)
    final: list[Any] = []
    for part, spread in zip(step.parts, step.spread(len(shape)), strict=True):
        if part == (...,):
            final += [shape[dim] for dim in spread[0]]
        else:
            final.append(math.prod(shape[dim] for dims in spread for dim in dims))
    return jnp.reshape(array, tuple(final)) if tuple(final) != shape else array
