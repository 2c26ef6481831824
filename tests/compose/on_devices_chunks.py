"""What `on_devices.py` checks of `f.chunk(...)` on an Explicit mesh, where types say sharding."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap
from compose.meshes import AUTO, EXPLICIT, collectives_of, mesh_of, put, use_mesh

HAS_EXPLICIT = hasattr(jax, "reshard")  # Explicit meshes work from jax 0.9 on


@auto_vmap(x=1)
def several(x: Any) -> Any:
    """Outputs of each kind: sharded as x, reduced, constant, a key, an integer."""
    return {
        "x": x * 2,
        "sum": x.sum(),
        "ones": jnp.ones(3),
        "matrix": x[None] * 2,
        "key": jax.random.key(0),
        "index": jnp.int8(3),
        "number": 2.0,
    }


WAYS: dict[str, Callable[[Any, int], Callable[..., Any]]] = {
    "chunk": lambda f, n: f.chunk(n),
    "progress": lambda f, n: f.chunk(n, progress=lambda done, total: None),
    "remat": lambda f, n: f.chunk(n, remat=True),
    "jit": lambda f, n: f.chunk(n).jit(),
    "outer jit": lambda f, n: jax.jit(f.chunk(n)),
}

ARGUMENTS = {
    "a sharded core dim": ((10, 8), (None, "a"), (3, 1, 5)),
    "beside a sharded batch axis": ((8, 6, 3), ("a",), (16, 8)),
    "both": ((6, 8, 4), (None, "a", "b"), (16, 8)),
    "a sharded batch axis cut evenly": ((8, 6, 4), ("a", None, "b"), (4,)),
    "two batch axes": ((8, 4, 3, 2), ("a", "b"), (32,)),
}


def chunks_lie_as_in_one_call() -> None:
    """Value and sharding of each output are those of the compiled call without chunks.

    In every way of each argument; where it has several sizes, they take turns.
    """
    if not HAS_EXPLICIT:
        return
    with use_mesh(mesh_of(EXPLICIT)):
        for name, (shape, spec, sizes) in ARGUMENTS.items():
            x = put(EXPLICIT, shape, *spec)
            expected = several.jit()(x)
            for i, (way, run) in enumerate(WAYS.items()):
                size = sizes[i % len(sizes)]
                found = run(several, size)(x)
                jax.tree.map(lambda *both, at=(name, way, size): same(*both, at), found, expected)


def same(found: Any, expected: Any, at: Any) -> None:
    """One output of both."""
    assert found.dtype == expected.dtype, at
    assert getattr(found, "weak_type", None) == getattr(expected, "weak_type", None), at
    assert jax.typeof(found).sharding.spec == jax.typeof(expected).sharding.spec, at
    if jnp.issubdtype(found.dtype, jax.dtypes.prng_key):
        found, expected = jax.random.key_data(found), jax.random.key_data(expected)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-4, atol=1e-5)


def chunks_and_gradients() -> None:
    """Reverse and forward mode as one program; one argument's gradient is not compiled too."""
    if not HAS_EXPLICIT:
        return
    f = auto_vmap(x=1)(lambda x: jnp.sin(x) * x.sum())

    def total(g: Any) -> Any:
        return lambda x: g(x).sum()

    def both(g: Any) -> Any:
        return jax.jit(lambda x: (jax.grad(total(g))(x), jax.jvp(g, (x,), (x,))[1]))

    with use_mesh(mesh_of(EXPLICIT)):
        for name, (shape, spec, sizes) in ARGUMENTS.items():
            x = put(EXPLICIT, shape, *spec)
            expected = both(f)(x)
            every = [sizes[0], sizes[-1]]
            chunked = (f.chunk(every[0]), f.chunk(every[1], remat=True))
            for g in chunked:
                for found, right in zip(both(g)(x), expected, strict=True):
                    same(found, right, (name, every))
            if name == "both":
                same(jax.grad(total(chunked[0]))(x), expected[0], name)


def chunks_communicate_nothing() -> None:
    """Where nothing that is sharded is cut or reduced."""
    f = auto_vmap(x=1)(lambda x: jnp.sin(x))
    for kind in (AUTO, EXPLICIT) if HAS_EXPLICIT else (AUTO,):
        with use_mesh(mesh_of(kind)):
            for shape, spec, size in (((10, 8), (None, "a"), 3), ((8, 6, 3), ("a",), 16)):
                x = put(kind, shape, *spec)
                g = f.chunk(size)
                compiled = jax.jit(lambda x, g=g: g(x)).lower(x).compile()
                if kind == EXPLICIT or spec[0] is None:  # a tracer on Auto axes tells no sharding
                    assert collectives_of(compiled) == [], (kind, shape)


def chunks_that_cut_a_sharded_axis_unevenly_are_refused() -> None:
    if not HAS_EXPLICIT:
        return
    with use_mesh(mesh_of(EXPLICIT)):
        x = put(EXPLICIT, (8, 6, 3), "a")
        for run in WAYS.values():
            with pytest.raises(
                SpecError, match=r"(?s)axis -2 of x is sharded over mesh axis 'a'.*8 examples"
            ):
                run(several, 3)(x)
        both = put(EXPLICIT, (16, 3), ("a", "b"))
        with pytest.raises(SpecError, match="8 devices can't share 4 examples"):
            several.chunk(4)(both)


ALONE = (
    chunks_lie_as_in_one_call,
    chunks_and_gradients,
    chunks_communicate_nothing,
    chunks_that_cut_a_sharded_axis_unevenly_are_refused,
)
