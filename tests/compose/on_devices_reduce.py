"""What `on_devices.py` checks of `f.reduce(...).shard(...)`, on a mesh of 4 by 2 devices."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from autovmap import auto_vmap
from compose.meshes import AUTO, COLLECTIVES, EXPLICIT, mesh_of

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
    "logsumexp": (jax.nn.logsumexp, {"all-reduce": 4}),  # the largest value, and the sum
    "prod": (jnp.prod, {"all-gather": 2}),
}


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


def reduced_collectives() -> None:
    """One all-reduce an output leaf, and no gather but where there is no such all-reduce."""
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


ALONE = [reduced_values, reduced_own, reduced_collectives, reduced_gradients]
