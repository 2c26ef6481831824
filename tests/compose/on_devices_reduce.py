"""What `on_devices.py` checks of `f.reduce(...).shard(...)`, on a mesh of 4 by 2 devices."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from autovmap import SpecError, auto_vmap
from compose.meshes import AUTO, COLLECTIVES, EXPLICIT, mesh_of
from faults.saying import says

KINDS = (AUTO, EXPLICIT) if hasattr(jax, "reshard") else (AUTO,)


@auto_vmap(x=1, y=0)
def several(x: Any, y: Any) -> dict[str, Any]:
    """Outputs that depend on both arguments and on one; a scan with an unbatched carry."""
    total, steps = jax.lax.scan(lambda c, v: (c + v, c * v), jnp.float32(1), x)
    return {"both": total * y, "x": steps}


def args_of(rows: int, columns: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 1, 3)).astype(np.float32)
    return x, rng.uniform(1, 2, columns).astype(np.float32)


SIZES = [(8, 6), (7, 6), (8, 5), (3, 5), (1, 6)]
SPECS = [P("a"), P("a", "b"), P(("a", "b")), P(None, "b")]
FOLDS = {
    "sum": (jnp.sum, {"all-reduce": 2}),
    "mean": (jnp.mean, {"all-reduce": 2}),
    "max": (jnp.max, {"all-reduce": 2}),
    "all": (jnp.all, {"all-reduce": 2}),
    "logsumexp": (jax.nn.logsumexp, {"all-reduce": 2}),
    "prod": (jnp.prod, {"all-reduce": 2}),
}


def later(a: Any, b: Any) -> Any:
    """The one of larger modulus, the later of two alike: associative, but not commutative."""
    return jnp.where(jnp.abs(b) >= jnp.abs(a), b, a)


def counted(compiled: Any) -> dict[str, int]:
    """How many arrays go through each collective of a program: XLA puts several into one."""
    found: dict[str, int] = {}
    for line in compiled.as_text().splitlines():
        for name in COLLECTIVES:
            match = re.search(rf"= (.*?) {name}(?:-start)?\(", line)
            if match:
                found[name] = found.get(name, 0) + len(re.findall(r"\w+\[", match[1]))
    return found


def reduced_values() -> None:
    """Every fold over every mesh axis, of sizes that divide and that don't, in chunks too."""
    for kind in KINDS:
        mesh = mesh_of(kind)
        for i, (rows, columns) in enumerate(SIZES):
            args = args_of(rows, columns)
            whole = several(*args)
            for j, (fold, (function, _)) in enumerate(FOLDS.items()):
                spec = SPECS[(i + j) % len(SPECS)]
                for axes in (None, -1, 0):
                    f = several.reduce(fold, axes=axes).shard(spec, mesh=mesh)
                    f = f.chunk(2) if (i + j) % 2 else f
                    over = (0, 1) if axes is None else axes % 2
                    want = jax.tree.map(lambda x: function(x, axis=over), whole)  # noqa: B023
                    found = jax.tree.map(np.asarray, f(*args))
                    jax.tree.map(
                        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
                        found,
                        jax.tree.map(np.asarray, want),
                    )


def reduced_own() -> None:
    """A fold of the caller's own, in the order of the examples: products of matrices."""
    rng = np.random.default_rng(1)
    for rows in (8, 7, 3):
        m = rng.normal(size=(rows, 3, 3)).astype(np.float32)
        chain = auto_vmap(m=2)(lambda m: m + 1).reduce((jnp.matmul, jnp.eye(3)))
        want = np.linalg.multi_dot([*(m + 1), np.eye(3)])
        for way in (chain.shard("a", mesh=mesh_of(AUTO)), chain.chunk(2), chain.loop()):
            np.testing.assert_allclose(way(m), want, rtol=1e-3)


def reduced_own_order() -> None:
    """Over two axes the examples keep their order, or the call is refused."""
    m = np.random.default_rng(3).normal(size=(4, 6, 2, 2)).astype(np.float32)
    want = np.linalg.multi_dot(list(m.reshape(-1, 2, 2)))
    chain = auto_vmap(m=2)(lambda m: m).reduce((jnp.matmul, jnp.eye(2)))
    for spec in (P("a"), P("b"), P(("a", "b")), P("a", "b")):
        np.testing.assert_allclose(chain.shard(spec, mesh=mesh_of(AUTO))(m), want, rtol=1e-4)
    for spec in (P(None, "b"), P("b", "a")):
        with pytest.raises(SpecError, match=says("shard batch axis -2 alone")):
            chain.shard(spec, mesh=mesh_of(AUTO))(m)


def reduced_values_exact() -> None:
    """nan, infinities, the sign of zero and every dtype go through the collectives unchanged."""
    inf, nan = np.inf, np.nan
    rows = [[nan, 1, 2, 3], [1, -inf, inf, 0], [-0.0] * 3, [0.0, -0.0, 0.0, -0.0, -0.0], [-inf] * 4]
    own = (later, -0.0)
    for fold in ("max", "min", "prod", "logsumexp", own):
        f = auto_vmap(x=0)(lambda x: x).reduce(fold)
        g = f.shard("a", mesh=mesh_of(AUTO))
        for row in rows:
            x = np.asarray(row, np.float32)
            one, other = np.asarray(f(x)), np.asarray(g(x))
            np.testing.assert_array_equal(one, other)
            if fold in ("prod", own) and not np.isnan(one):
                assert np.signbit(one) == np.signbit(other), (fold, row)
    x = np.random.default_rng(4).normal(size=(7, 3)) * 4 + 1
    for dtype in (jnp.bfloat16, jnp.float16, np.int8, np.uint16, np.int32, bool, np.complex64):
        for fold in ("max", "min", "prod", own):
            f = auto_vmap(x=1)(lambda x: x).reduce(fold, axes=0)
            one = f(x.astype(dtype))
            other = f.shard("a", mesh=mesh_of(AUTO))(x.astype(dtype))
            assert one.dtype == other.dtype
            wide = np.complex64 if dtype == np.complex64 else np.float32
            np.testing.assert_allclose(one.astype(wide), other.astype(wide), rtol=0.02)


def reduced_derivatives() -> None:
    """Of every fold that has some: backward, forward, twice, compiled and mapped."""
    rng = np.random.default_rng(5)
    w, x = jnp.asarray(rng.normal(size=3), jnp.float32), rng.normal(size=(7, 3))
    x = x.astype(np.float32)
    for fold in ("prod", "logsumexp", "max", "min", (lambda a, b: a + b + a * b, 0.0)):
        f = auto_vmap(x=1)(lambda w, x: jnp.tanh(w @ x)).reduce(fold)
        g = f.shard("a", mesh=mesh_of(AUTO))
        for way in (jax.grad, jax.jacfwd, jax.hessian, lambda h: jax.jit(jax.grad(h))):
            np.testing.assert_allclose(way(g)(w, x), way(f)(w, x), rtol=1e-3, atol=1e-5)
        several = [jax.vmap(jax.grad(h), (0, None))(jnp.stack([w, -w]), x) for h in (f, g)]
        np.testing.assert_allclose(several[0], several[1], rtol=1e-3, atol=1e-5)


def reduced_collectives() -> None:
    """One all-reduce an output leaf and no gather; where results are large, the fewest bytes."""
    for kind in KINDS:
        mesh = mesh_of(kind)
        for rows, columns in ((8, 6), (7, 6)):
            args = args_of(rows, columns)
            for fold, (_, expected) in FOLDS.items():
                f = several.reduce(fold).shard(P("a"), mesh=mesh)
                found = counted(f.jit().lower(*args).compile())
                assert found == expected, (kind, rows, fold, found)
            f = several.reduce("mean").shard(P("a"), mesh=mesh).chunk(2)
            found = counted(f.jit().lower(*args).compile())
            assert found == {"all-reduce": 2}, (kind, rows, found)
    x = np.ones((8, 2), np.complex64)
    others = {"max": x, "logsumexp": x, (later, 0): x.real, (later, 0.0): x}
    for fold, values in others.items():
        f = auto_vmap(x=1)(lambda x: x).reduce(fold).shard("a", mesh=mesh_of(AUTO))
        assert counted(f.jit().lower(values).compile()) == {"all-reduce": 1}, fold
    large = jax.ShapeDtypeStruct((8, 1 << 17), np.float32)
    for fold, expected in {
        "max": {"all-reduce": 1},
        "logsumexp": {"all-reduce": 2},
        "prod": {"all-gather": 1},
    }.items():
        f = auto_vmap(x=1)(lambda x: x).reduce(fold).shard("a", mesh=mesh_of(AUTO))
        assert counted(f.jit().lower(large).compile()) == expected, fold


def reduced_gradients() -> None:
    """The gradient of a mean loss is that of one device, and the mean of the gradients."""
    rng = np.random.default_rng(2)
    w = jnp.asarray(rng.normal(size=3), jnp.float32)

    @auto_vmap(x=1, y=0)
    def loss(w: Any, x: Any, y: Any) -> Any:
        return (jnp.tanh(w @ x) - y) ** 2

    for rows in (8, 7):
        x = rng.normal(size=(rows, 3)).astype(np.float32)
        y = rng.normal(size=rows).astype(np.float32)
        want = jax.grad(lambda w: loss(w, x, y).mean())(w)  # noqa: B023
        mean = loss.reduce("mean").shard("a", mesh=mesh_of(AUTO))
        for f in (mean, mean.chunk(1), mean.chunk(1, remat=True)):
            np.testing.assert_allclose(jax.grad(f)(w, x, y), want, rtol=1e-4, atol=1e-6)
        lifted = loss.lift(jax.grad).reduce("mean").shard("a", mesh=mesh_of(AUTO))
        for f in (lifted, lifted.chunk(1), lifted.chunk(2)):
            np.testing.assert_allclose(f(w, x, y), want, rtol=1e-4, atol=1e-6)
            assert counted(f.jit().lower(w, x, y).compile()) == {"all-reduce": 1}


ALONE = [
    reduced_values,
    reduced_values_exact,
    reduced_own,
    reduced_own_order,
    reduced_collectives,
    reduced_gradients,
    reduced_derivatives,
]
