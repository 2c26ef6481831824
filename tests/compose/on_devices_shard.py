"""What `on_devices.py` checks of `f.shard(...)`, on a mesh of 4 by 2 devices."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from autovmap import SpecError, auto_vmap
from compose.meshes import AUTO, COLLECTIVES, EXPLICIT, mesh_of, use_mesh

KINDS = (AUTO, EXPLICIT) if hasattr(jax, "reshard") else (AUTO,)


@auto_vmap(y=1, var_obs=0, var_level=0)
def kalman(y: Any, var_obs: Any, var_level: Any) -> Any:
    """The log-likelihood of a local-level model: a scan, with an unbatched carry to begin with."""

    def step(carry: Any, value: Any) -> Any:
        mean, var = carry
        var = var + var_level
        total = var + var_obs
        error = value - mean
        gain = var / total
        return (mean + gain * error, var * (1 - gain)), -(jnp.log(total) + error**2 / total) / 2

    return lax.scan(step, (jnp.float32(0.0), jnp.float32(10.0)), y)[1].sum()


@auto_vmap(x=0)
def branching(x: Any) -> Any:
    """A cond and a while loop."""
    x = lax.cond(x > 0, jnp.sin, jnp.cos, x)
    return lax.while_loop(lambda c: c < 3, lambda c: c + jnp.abs(x) + 1, x)


def counted(compiled: Any) -> dict[str, int]:
    """How often each collective stands in a program."""
    text = compiled.as_text()
    found = {name: len(re.findall(rf"= \S+ {name}(?:-start)?\(", text)) for name in COLLECTIVES}
    return {name: count for name, count in found.items() if count}


def args_of(rows: int, columns: int) -> tuple[Any, Any, Any]:
    """The first of eight rows and six columns, so that one call has the values of all sizes."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(8, 1, 12)).astype(np.float32)
    return y[:rows], rng.uniform(1, 2, 6).astype(np.float32)[:columns], np.float32(0.5)


@functools.cache
def all_values() -> Any:
    return np.asarray(kalman.jit()(*args_of(8, 6)))


CASES = [
    (8, 6, P("a"), {}),
    (8, 6, P("a", "b"), {}),
    (8, 6, P(None, "b"), {}),
    (8, 6, P(("a", "b")), {}),
    (8, 6, "a", {}),
    (7, 6, P("a"), {"all-gather": 1}),
    (7, 5, P("a", "b"), {"all-gather": 1}),
    (8, 5, P("a", "b"), {"all-gather": 1}),
    (7, 6, P(("a", "b")), {"all-gather": 1}),
    (3, 6, P("a"), {"all-gather": 1}),
    (1, 6, P("a", "b"), {}),
]


def sharded_collectives() -> None:
    """None for sizes that divide, one all-gather an output leaf for others; values are right."""
    for i, (rows, columns, spec, expected) in enumerate(CASES):
        # Kinds of meshes take turns, but where one spec stands for each way of dividing.
        for kind in KINDS if spec == P("a", "b") else (KINDS[i % len(KINDS)],):
            mesh = mesh_of(kind)
            args = args_of(rows, columns)
            compiled = kalman.shard(spec, mesh=mesh).jit().lower(*args).compile()
            assert counted(compiled) == expected, (kind, rows, columns, spec, counted(compiled))
            found = compiled(*args)
            np.testing.assert_allclose(found, all_values()[:rows, :columns], rtol=1e-4)
            if not expected and rows > 1 and not isinstance(spec, str):
                assert found.sharding.is_equivalent_to(NamedSharding(mesh, spec), 2)


def sharded_ways_of_running() -> None:
    """Called, compiled and in chunks, for sizes that divide and for others."""
    for kind in KINDS:
        for rows, columns in ((8, 6), (7, 5)):
            args = args_of(rows, columns)
            f = kalman.shard(P("a", "b"), mesh=mesh_of(kind))
            for g in (f, f.jit(), f.chunk(3), f.chunk(1).jit()):
                np.testing.assert_allclose(g(*args), all_values()[:rows, :columns], rtol=1e-4)


def sharded_a_tree_of_outputs() -> None:
    """One all-gather each; none for what no batch axis reaches."""
    f = auto_vmap(x=1, out_axes={"a": 0, "b": -1, "c": None})(
        lambda x, c: {"a": x.sum(), "b": jnp.outer(x, x), "c": c}
    ).shard("a", mesh=mesh_of(AUTO))
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    assert counted(f.jit().lower(x, 1.0).compile()) == {"all-gather": 2}
    found = f(x, 1.0)
    np.testing.assert_allclose(found["a"], x.sum(1), rtol=1e-5)
    np.testing.assert_allclose(found["b"], np.einsum("bi,bj->ijb", x, x), rtol=1e-5)
    assert found["c"].shape == ()


def sharded_sharded_inputs_stay() -> None:
    """Inputs that lie so already are not moved."""
    for kind in KINDS:
        mesh = mesh_of(kind)
        y, var_obs, var_level = args_of(8, 6)
        y = jax.device_put(y, NamedSharding(mesh, P("a")))
        with use_mesh(mesh):
            f = kalman.shard("a")
            assert counted(f.jit().lower(y, var_obs, var_level).compile()) == {}
            found = f(y, var_obs, var_level)
        assert found.sharding.spec[0] == "a"


def sharded_control_flow_and_gradients() -> None:
    gradient = lambda f: jax.grad(lambda *a: f(*a).sum(), (0, 1))  # noqa: E731
    for rows in (8, 7):
        x = np.linspace(-2, 2, rows).astype(np.float32)
        f = branching.shard("a", mesh=mesh_of(AUTO))
        np.testing.assert_allclose(f(x), branching.jit()(x), rtol=1e-5)
        args = args_of(rows, 6)
        f = kalman.shard(P("a", "b"), mesh=mesh_of(AUTO))
        expected = jax.jit(gradient(kalman))(*args)
        found = [jax.jit(gradient(f))(*args)] + ([gradient(f)(*args)] if rows == 7 else [])
        for each in found:
            for one, right in zip(each, expected, strict=True):
                np.testing.assert_allclose(one, right, rtol=1e-3, atol=1e-4)


def sharded_keys() -> None:
    """An index folded into a key does not depend on the size: seven draws begin as eight do."""

    @auto_vmap(rng="key", x=0, randomness="different")
    def draw(rng: Any, x: Any) -> Any:
        return jax.random.bits(rng) + x.astype(jnp.uint32)

    x = np.arange(8, dtype=np.float32)
    for f, sizes in ((draw, (8, 7)), (draw.batch(4), (7,))):
        right = np.asarray(jax.jit(f)(jax.random.key(0), x))
        for size in sizes:
            found = f.shard("a", mesh=mesh_of(AUTO))(jax.random.key(0), x[:size])
            np.testing.assert_array_equal(found, right[..., :size])


def sharded_arguments_without_a_rank() -> None:
    """Arrays are replicated, text is what it is."""
    for kind in KINDS:
        f = auto_vmap(x=1)(lambda x, w, mode: {"mode": mode, "y": w @ x})
        x, w = np.ones((8, 3), np.float32), jnp.ones((2, 3))
        found = f.shard("a", mesh=mesh_of(kind))(x, w, "fast")
        assert found["mode"] == "fast"
        np.testing.assert_allclose(found["y"], 3.0)


def sharded_refusals() -> None:
    x = np.ones((8, 3), np.float32)
    f = auto_vmap(x=1)(lambda x: x.sum())
    mesh = mesh_of(AUTO)
    for call, said in (
        (lambda: f.shard("c", mesh=mesh)(x), "the mesh has no axis 'c'"),
        (lambda: f.shard("a")(x), "there is no mesh"),
        (lambda: f.shard(P("a", "b"), mesh=mesh)(x), "2 entries for the batch shape"),
        (lambda: f.shard(P("a", "a"), mesh=mesh), "'a' appears twice"),
        (lambda: f.shard(P(None), mesh=mesh), "names no mesh axis"),
        (lambda: f.shard(3, mesh=mesh), "give a mesh axis for each batch axis"),
        (lambda: f.replace(axis_name="i").shard("a", mesh=mesh), "axis_name='i' names"),
        (lambda: f.loop().shard("a", mesh=mesh), r".loop\(\) with .shard"),
        (lambda: f.bucket()(jax.device_put(x, NamedSharding(mesh, P("a")))), "on 8 devices"),
    ):
        with pytest.raises(SpecError, match=said):
            call()


def sharded_one_example() -> None:
    """Batch dims are optional, here too."""
    f = auto_vmap(x=1)(lambda x: x.sum()).shard("a", mesh=mesh_of(AUTO))
    assert f(np.ones(3, np.float32)) == 3.0


def sharded_the_plan() -> None:
    f = kalman.shard(P("a", "b"), mesh=mesh_of(AUTO))
    steps = f.plan(*args_of(8, 5)).steps
    assert (
        "shard: batch axis -2 over mesh axis 'a', 4 parts of 2; "
        "batch axis -1 over mesh axis 'b', 2 parts of at most 3, gathered on every device"
    ) in steps
    assert any("on each device" in step for step in f.chunk(2).plan(*args_of(8, 5)).steps)


def sharded_chunks_leave_sharded_axes_whole() -> None:
    """A chunk is cut from the axis that is not sharded, and nothing is communicated."""
    x = jax.device_put(
        np.random.default_rng(0).normal(size=(8, 6, 3)).astype(np.float32),
        NamedSharding(mesh_of(AUTO), P("a")),
    )
    f = auto_vmap(x=1)(lambda x: jnp.sort(x).sum()).chunk(16)
    assert any("2 of batch axis -1" in step for step in f.plan(x).steps), f.plan(x).steps
    np.testing.assert_allclose(f(x), np.sort(x).sum(-1), rtol=1e-4, atol=1e-5)


ALONE = (
    sharded_collectives,
    sharded_ways_of_running,
    sharded_a_tree_of_outputs,
    sharded_sharded_inputs_stay,
    sharded_control_flow_and_gradients,
    sharded_keys,
    sharded_arguments_without_a_rank,
    sharded_refusals,
    sharded_one_example,
    sharded_the_plan,
    sharded_chunks_leave_sharded_axes_whole,
)
