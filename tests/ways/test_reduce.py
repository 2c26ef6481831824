"""`f.reduce(...)`: equal to `jnp`'s reduction of the plain call, whatever the way of running."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autovmap import BatchShapeError, auto_vmap
from strategies import cases, parts

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
    "progress": lambda f: f.chunk(2, progress=lambda done, total: None),
}
DTYPES = ("float32", "int32", "int8", "bool", "bfloat16", "complex64")
BATCHES = ((), (1,), (5,), (4, 3), (1, 7), (3, 1, 2), (0,), (0, 3), (2, 0))


def several(x: Any, y: Any) -> dict[str, Any]:
    """Outputs that depend on both arguments, on one, on the other, and on none."""
    return {
        "both": x[:, None] * y,
        "x": x,
        "deep": (y.sum(), {"constant": jnp.array([0, 1]).astype(x.dtype)}),
        "number": 2,
        "text": "no array",
    }


def array_of(shape: tuple[int, ...], dtype: str, seed: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(-3, 4, shape)).astype(dtype)


def reduced(plain: Any, batch: tuple[int, ...], fold: str, axes: Any, position: int = 0) -> Any:
    """The oracle: each array of the plain result by `jnp`'s function, over its batch dims."""
    function = OWN[fold][1] if fold in OWN else FUNCTIONS[fold]
    if axes is None:
        axes = range(len(batch))

    def one(x: Any) -> Any:
        if isinstance(x, str):
            return x
        x = jnp.asarray(x)
        start = position if position >= 0 else x.ndim - len(batch) + 1 + position
        dims = tuple(start + axis % len(batch) for axis in axes)
        return function(x, axis=dims)

    return jax.tree.map(one, plain)


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


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, ...]:
    batch = draw(st.sampled_from(BATCHES))
    dtype = draw(st.sampled_from(DTYPES))
    x = array_of((*draw(parts(batch)), 3), dtype, 1)
    y = array_of((*draw(parts(batch)), 2), dtype, 2)
    shape = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    fold = draw(st.sampled_from([*FUNCTIONS, *OWN]))
    axes = None
    if shape and draw(st.booleans()):
        count = st.integers(-len(shape), len(shape) - 1)
        axes = draw(st.lists(count, min_size=1, max_size=2, unique_by=lambda a: a % len(shape)))
    assume(fold != "largest" or dtype not in ("bool", "complex64"))  # -100 is none of their values
    return x, y, shape, fold, axes


@pytest.mark.parametrize("way", WAYS)
@cases(0.3)
@given(call=calls(), position=st.sampled_from([0, 0, -1]))
def test_equals_the_reduction_of_the_plain_call(way: str, call: Any, position: int) -> None:
    x, y, batch, fold, axes = call
    f = auto_vmap(x=1, y=1, out_axes=position)(several)
    said = OWN[fold][0] if fold in OWN else fold
    assume("shard" not in way or batch)  # over the first batch axis
    run = WAYS[way](f.reduce(said, axes=None if axes is None else tuple(axes)))
    plain = f(x, y)
    over = range(len(batch)) if axes is None else axes
    if fold in ("max", "min") and any(batch[axis] == 0 for axis in over):
        with pytest.raises(ValueError, match="zero-size"):
            reduced(plain, batch, fold, axes, position)
        with pytest.raises(BatchShapeError, match=f"there is no {fold} of no examples"):
            run(x, y)
    else:
        check(run(x, y), reduced(plain, batch, fold, axes, position))
