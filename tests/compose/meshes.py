"""Eight devices as a mesh, and what is checked of a decorated function on it."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from autovmap import auto_vmap

COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
use_mesh = getattr(jax, "set_mesh", None) or jax.sharding.use_mesh
AUTO, EXPLICIT = "auto", "explicit"


@functools.cache
def mesh_of(kind: str) -> Any:
    """Made when first asked for: the tests import this, and has no eight devices."""
    axis_type = AxisType.Auto if kind == AUTO else AxisType.Explicit
    return jax.make_mesh((4, 2), ("a", "b"), axis_types=(axis_type,) * 2)


def put(kind: str, shape: tuple[int, ...], *spec: Any) -> Any:
    """Numbers of this shape, sharded so."""
    x = np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)
    return jax.device_put(x, NamedSharding(mesh_of(kind), P(*spec)))


def collectives_of(compiled: Any) -> list[str]:
    """The collectives in a compiled program."""
    text = compiled.as_text()
    return [name for name in COLLECTIVES if re.search(rf"\b{name}(-start)?\(", text)]


def collectives(function: Any, *args: Any) -> list[str]:
    """The collectives in a function's program."""
    return collectives_of(jax.jit(function).lower(*args).compile())


def check(kind: str, function: Any, args: Any, *spec: Any, plain: bool = False) -> None:
    """No collective, this sharding of the result, and the values of the unsharded call.

    The program is compiled once. A `plain` call beside it compiles one for each of its operations.
    """
    expected = np.asarray(jax.jit(function)(*map(np.asarray, args)))
    with use_mesh(mesh_of(kind)):
        compiled = jax.jit(function).lower(*args).compile()
        assert collectives_of(compiled) == []
        for call in (compiled, function) if plain else (compiled,):
            out = call(*args)
            sharding = NamedSharding(mesh_of(kind), P(*spec))
            assert out.sharding.is_equivalent_to(sharding, out.ndim), (call, out.sharding, spec)
            np.testing.assert_allclose(np.asarray(out), expected, rtol=1e-5, atol=1e-5)
            if kind == EXPLICIT:
                entries = tuple(jax.typeof(out).sharding.spec)
                assert entries == (*spec, *(None,) * (out.ndim - len(spec)))


@auto_vmap(v=1, w=1)
def similarity(v: Any, w: Any) -> Any:
    """A scalar of two vectors, with work on each of them alone."""
    return jnp.sin(v @ w) * (v**2).sum() + jnp.cos(w).sum()
