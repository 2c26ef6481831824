"""Folds and ways of running to try them in, and what a fold gives, worked out by NumPy.

Only dtype, shape and weak type are asked of `jnp`'s own functions, which compiles nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(jnp, name) for name in ("sum", "mean", "max", "min", "prod", "any", "all")},
    "logsumexp": jax.nn.logsumexp,
}
OWN: dict[str, tuple[Any, Callable[..., Any]]] = {
    "added": ((lambda a, b: a + b, 0), lambda x, axis: jnp.sum(x, axis=axis, dtype=x.dtype)),
    "largest": ((jnp.maximum, -100), lambda x, axis: jnp.max(x, axis=axis, initial=-100)),
}
MESH = jax.sharding.Mesh(jax.devices()[:1], ("d",))
WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda f: f,
    "jit": lambda f: f.jit(),
    "loop": lambda f: f.loop(),
    "chunk": lambda f: f.chunk(2),
    "one at a time": lambda f: f.chunk(1),
    "three and remat": lambda f: f.chunk(3, remat=True),
    "chunk and jit": lambda f: f.chunk(2).jit(),
    "shard": lambda f: f.shard("d", mesh=MESH),
    "chunk and shard": lambda f: f.shard("d", mesh=MESH).chunk(2),
    "bucket": lambda f: f.bucket(promote=None),
    "bucket and chunk": lambda f: f.bucket((3, 6), promote=None).chunk(2),
    "progress": lambda f: f.chunk(2, progress=lambda done, total: None),
}


def said(fold: str) -> Any:
    """What `reduce` is given for a fold of this name."""
    return OWN[fold][0] if fold in OWN else fold


def array_of(shape: tuple[int, ...], dtype: str, seed: int) -> jax.Array:
    """Small whole numbers."""
    values = np.random.default_rng(seed).integers(-3, 4, shape)
    return jnp.asarray(values.astype(jnp.dtype(dtype)))


def in_one_program(function: Callable[[], Any]) -> Any:
    """What a function of nothing gives, compiled at once and not operation by operation."""
    kept: list[Any] = []

    def arrays() -> list[Any]:
        leaves, treedef = jax.tree.flatten(function())
        kept[:] = treedef, [None if isinstance(x, jax.Array) else x for x in leaves]
        return [x for x in leaves if isinstance(x, jax.Array)]

    found = iter(jax.jit(arrays)())
    treedef, leaves = kept
    return jax.tree.unflatten(treedef, [next(found) if x is None else x for x in leaves])


# What a fold gives


@dataclass
class Wanted:
    """An array as it has to be."""

    value: Any
    weak_type: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.value if dtype is None else self.value.astype(dtype)

    def __getitem__(self, index: Any) -> "Wanted":
        return Wanted(self.value[index], self.weak_type)


def wide(x: Any) -> Any:
    """As an array of 64 bits a number; truth values stay what they are."""
    array = np.asarray(x)
    if array.dtype == bool or np.issubdtype(array.dtype, np.integer):
        return array.astype(bool if array.dtype == bool else np.int64)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def _mean(x: Any, axis: tuple[int, ...]) -> Any:
    with np.errstate(all="ignore"):
        return np.sum(x, axis) / np.prod([x.shape[i] for i in axis])


def _logsumexp(x: Any, axis: tuple[int, ...]) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(x + 0.0), axis))


BY_NUMPY: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("sum", "max", "min", "prod", "any", "all")},
    "mean": _mean,
    "logsumexp": _logsumexp,
    "added": np.sum,
    "largest": lambda x, axis: np.max(x, axis, initial=-100),
}


def reduced(
    plain: Any, batch: tuple[int, ...], folds: Any, axes: Any = None, position: int = 0
) -> Any:
    """The oracle: each array of the plain result folded over its batch dims.

    `folds` is a name, or names in a tree of which the result's is a continuation.
    """

    def one(fold: str, x: Any) -> Any:
        if isinstance(x, str):
            return x
        function = OWN[fold][1] if fold in OWN else FUNCTIONS[fold]
        start = position if position >= 0 else np.ndim(x) - len(batch) + 1 + position
        over = range(len(batch)) if axes is None else axes
        dims = tuple(start + axis % len(batch) for axis in over)
        like = jax.eval_shape(lambda x: function(jnp.asarray(x), axis=dims), x)
        value = np.asarray(BY_NUMPY[fold](wide(x), axis=dims))
        return Wanted(value.astype(like.dtype), like.weak_type)

    return jax.tree.map(lambda fold, part: jax.tree.map(lambda x: one(fold, x), part), folds, plain)


def check(got: Any, want: Any) -> None:
    """The same structure, shapes, dtypes, weak types, and values up to rounding."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if isinstance(other, str):
            assert one == other
            continue
        assert (one.shape, one.dtype, one.weak_type) == (other.shape, other.dtype, other.weak_type)
        tolerance = 0.05 if one.dtype == jnp.bfloat16 else 1e-4
        values = [
            np.asarray(x).astype(
                np.result_type(np.asarray(x).dtype, "c16" if np.iscomplexobj(x) else "f8")
            )
            for x in (one, other)
        ]
        np.testing.assert_allclose(*values, rtol=tolerance, atol=tolerance)
