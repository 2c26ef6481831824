"""Layouts of batch axes over a mesh: each check is a function of "auto" or "explicit"."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from autovmap import auto_vmap
from compose.meshes import AUTO, EXPLICIT, check, collectives, mesh_of, put, similarity


def gradient(v: Any, w: Any) -> Any:
    """In the sharded argument: each example's gradient is its own."""
    return jax.grad(lambda v: similarity(v, w).sum())(v)


def each_layout(kind: str) -> None:
    """Leading and inner axes; against arguments with fewer, missing and size-1 batch dims."""
    x = put(kind, (8, 4, 3), "a", "b")
    for y in (
        put(kind, (8, 4, 3), "a", "b"),
        put(kind, (4, 3), "b"),
        put(kind, (1, 4, 3), None, "b"),
        put(kind, (8, 1, 3), "a"),
        put(kind, (1, 1, 3)),
        put(kind, (3,)),
    ):
        check(kind, similarity, (x, y), "a", "b")
    check(kind, similarity, (put(kind, (4, 3), "b"), x), "a", "b", plain=True)


def leading_axis(kind: str) -> None:
    x = put(kind, (8, 5, 3), "a")
    for y in (put(kind, (5, 3)), put(kind, (1, 5, 3)), put(kind, (8, 1, 3), "a")):
        check(kind, similarity, (x, y), "a")


def inner_axis(kind: str) -> None:
    x = put(kind, (5, 4, 3), None, "b")
    for y in (put(kind, (4, 3), "b"), put(kind, (5, 1, 3)), put(kind, (3,))):
        check(kind, similarity, (x, y), None, "b")
    middle = put(kind, (3, 4, 2, 3), None, "a")
    check(kind, similarity, (middle, put(kind, (2, 3))), None, "a", plain=True)


def outer_product(kind: str) -> None:
    """One axis of the mesh from each argument."""
    x, y = put(kind, (8, 1, 3), "a"), put(kind, (1, 4, 3), None, "b")
    check(kind, similarity, (x, y), "a", "b")
    check(kind, similarity, (x, put(kind, (4, 3), "b")), "a", "b", plain=True)


def both_mesh_axes_on_one_batch_axis(kind: str) -> None:
    x = put(kind, (2, 16, 3), None, ("a", "b"))
    check(kind, similarity, (x, put(kind, (2, 1, 3))), None, ("a", "b"))


def gradients(kind: str) -> None:
    x = put(kind, (8, 4, 3), "a", "b")
    check(kind, gradient, (x, put(kind, (4, 3), "b")), "a", "b")
    check(kind, gradient, (x, put(kind, (3,))), "a", "b", plain=True)
    inner = auto_vmap(v=1, w=1)(jax.grad(lambda v, w: jnp.sin(v @ w)))
    check(kind, inner, (x, put(kind, (8, 1, 3), "a")), "a", "b")


def positions(kind: str) -> None:
    """Batch dims behind the core dims, in and out."""
    scaled = auto_vmap(v=1, w=1, in_axes=-1, out_axes=-1)(lambda v, w: v * jnp.sin(w).sum())
    x = put(kind, (3, 8, 4), None, "a", "b")
    check(kind, scaled, (x, put(kind, (3, 4), None, "b")), None, "a", "b", plain=True)


def trees(kind: str) -> None:
    model = auto_vmap(p={"w": 1, "b": 0}, x=1)(lambda p, x: jnp.tanh(p["w"] @ x + p["b"]))
    x, w, b = put(kind, (4, 3), "b"), put(kind, (8, 1, 3), "a"), put(kind, (8, 1), "a")
    check(kind, lambda w, b, x: model({"w": w, "b": b}, x), (w, b, x), "a", "b", plain=True)


def control_flow() -> None:
    """On an Auto mesh, where every loop and branch works."""

    @auto_vmap(xs=1, y=0)
    def smoothed(xs: Any, y: Any) -> Any:
        level, _ = jax.lax.scan(lambda c, x: (c * 0.5 + x, None), jnp.zeros(()), xs)
        return jax.lax.cond(y > 0, jnp.sin, jnp.cos, level)

    xs = put(AUTO, (8, 4, 3), "a", "b")
    check(AUTO, smoothed, (xs, put(AUTO, (4,), "b")), "a", "b")


def carries_on_an_explicit_mesh() -> None:
    """There JAX wants a loop's carry sharded as its batch is; one made from an argument is."""

    @auto_vmap(xs=1)
    def total(xs: Any) -> Any:
        return jax.lax.scan(lambda c, x: (c + x, None), xs[0] * 0 + 1.0, xs)[0]

    check(EXPLICIT, total, (put(EXPLICIT, (8, 4, 3), "a", "b"),), "a", "b")


def search_finds_collectives() -> None:
    """The checks above can fail: a sum over sharded examples needs one, a gather another."""
    x, y = put(AUTO, (8, 4, 3), "a", "b"), put(AUTO, (3,))
    assert collectives(lambda v, w: similarity(v, w).sum(), x, y) == ["all-reduce"]
    shared = jax.grad(lambda w, v: similarity(v, w).sum())
    assert collectives(shared, y, x) == ["all-reduce"]
    flat = jax.jit(lambda x: x.reshape(32, 3), out_shardings=NamedSharding(mesh_of(AUTO), P()))
    assert "all-gather" in collectives(flat, x)


ON_BOTH = (
    each_layout,
    leading_axis,
    inner_axis,
    outer_product,
    both_mesh_axes_on_one_batch_axis,
    gradients,
    positions,
    trees,
)
ALONE = (control_flow, carries_on_an_explicit_mesh, search_finds_collectives)
