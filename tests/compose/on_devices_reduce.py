"""What `on_devices.py` checks of `f.reduce(...).shard(...)`, on a mesh of 4 by 2 devices."""

import functools
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
FOLDS: dict[str, Any] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "all": np.all,
    "logsumexp": lambda x, axis: np.log(np.exp(x).sum(axis)),
    "prod": np.prod,
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
    """Every fold over every axis of every size, of sizes that don't divide, in chunks too.

    A program has two folds; specs, kinds of meshes and chunks take turns.
    """
    whole = jax.tree.map(np.asarray, several(*args_of(8, 6)))
    for i, (rows, columns) in enumerate(SIZES):
        x, y = args_of(8, 6)
        args = x[:rows], y[:columns]
        part = {name: array[:rows, :columns] for name, array in whole.items()}
        for j, (one, other) in enumerate((("sum", "max"), ("mean", "logsumexp"), ("prod", "all"))):
            folds = {"both": one, "x": other} if (i + j) % 2 else {"both": other, "x": one}
            for k, axes in enumerate((None, -1, 0)):
                spec, kind = SPECS[(i + j + k) % len(SPECS)], KINDS[(i + k) % len(KINDS)]
                f = several.reduce(folds, axes=axes).shard(spec, mesh=mesh_of(kind))
                f = f.chunk(2) if (i // 2 + j + k) % 2 else f
                over = (0, 1) if axes is None else axes % 2
                for name, found in f(*args).items():
                    right = FOLDS[folds[name]](part[name], axis=over)
                    at = (rows, columns, folds, axes, spec, kind)
                    np.testing.assert_allclose(found, right, 1e-4, 1e-5, err_msg=str(at))


def reduced_own() -> None:
    """A fold of the caller's own, in the order of the examples: products of matrices."""
    rng = np.random.default_rng(1)
    for rows in (8, 7, 3):
        m = rng.normal(size=(rows, 3, 3)).astype(np.float32)
        chain = auto_vmap(m=2)(lambda m: m + 1).reduce((jnp.matmul, jnp.eye(3)))
        want = np.linalg.multi_dot([*(m + 1), np.eye(3)])
        f = chain.shard("a", mesh=mesh_of(AUTO))
        for way in (f, f.chunk(1)):
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
    """nan, infinities, the sign of zero and every dtype go through the collectives unchanged.

    All folds are outputs of one program, each row of numbers is a column of it.
    """
    inf, nan = np.inf, np.nan
    rows = (
        ([nan, 1, 2, 3], [1, -inf, inf, 0], [-inf] * 4, [-0.0] * 4),
        ([-0.0] * 3, [0.0, -0.0, -0.0], [-nan, -inf, 1]),
        ([0.0, -0.0, 0.0, -0.0, -0.0], [inf, 1, 2, 3, -nan], [-5, -4, -3, -2, -1]),
    )
    for each in rows:
        x = np.asarray(each, np.float32).T
        for name, (one, other) in folded_both(x, "max", "min", "prod", "logsumexp").items():
            np.testing.assert_array_equal(one, other)
            if name in ("prod", "own"):
                some = ~np.isnan(one)
                assert (np.signbit(one) == np.signbit(other))[some].all(), (name, each)
    x = np.random.default_rng(4).normal(size=(7, 3)) * 4 + 1
    for dtype in (jnp.bfloat16, jnp.float16, np.int8, np.uint16, np.int32, bool, np.complex64):
        for one, other in folded_both(x.astype(dtype), "max", "min", "prod").values():
            assert one.dtype == other.dtype
            wide = np.complex64 if dtype == np.complex64 else np.float32
            np.testing.assert_allclose(one.astype(wide), other.astype(wide), rtol=0.02)


def folded_both(x: Any, *folds: str) -> dict[str, tuple[Any, Any]]:
    """Folds of the rows of an array, and one of the caller's own, without a mesh and over one."""
    every = {**dict(zip(folds, folds, strict=True)), "own": (later, -0.0)}
    f = auto_vmap(x=1)(lambda x: dict.fromkeys(every, x)).reduce(every, axes=0)
    one, other = jax.jit(f)(x), f.shard("a", mesh=mesh_of(AUTO))(x)
    return {name: (np.asarray(one[name]), np.asarray(other[name])) for name in every}


def reduced_derivatives() -> None:
    """Of every fold that has some: backward, forward, twice, compiled and mapped.

    All in one program a fold; one fold by itself is differentiated without being compiled too.
    """
    rng = np.random.default_rng(5)
    w = jnp.asarray(rng.normal(size=3), jnp.float32)
    x = rng.normal(size=(3, 3)).astype(np.float32)[[0, 1, 2, 0, 1, 2, 0]]  # equal ones share

    def all_ways(f: Any, w: Any, x: Any) -> list[Any]:
        found = [way(f)(w, x) for way in (jax.grad, jax.jacfwd, jax.hessian)]
        return [*found, jax.vmap(jax.grad(f), (0, None))(jnp.stack([w, -w]), x)]

    own = (lambda a, b: a + b + a * b, 0.0)
    for fold in ("prod", "logsumexp", "max", "min", own):
        f = auto_vmap(x=1)(lambda w, x: jnp.tanh(w @ x)).reduce(fold)
        g = f.shard("a", mesh=mesh_of(AUTO))
        ways = [jax.jit(functools.partial(all_ways, h))(w, x) for h in (f, g)]
        for one, other in zip(*ways, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5)
        if fold == "max":
            np.testing.assert_allclose(jax.grad(g)(w, x), ways[0][0], rtol=1e-3, atol=1e-5)


def reduced_collectives() -> None:
    """One all-reduce an output leaf and no gather; where results are large, the fewest bytes.

    The programs of several folds are compiled as one.
    """
    for kind, rows in zip((AUTO, *KINDS), (8, 7, 8), strict=False):
        args = args_of(rows, 6)
        mesh = mesh_of(kind)
        runs = [several.reduce(fold).shard(P("a"), mesh=mesh) for fold in FOLDS]
        runs.append(several.reduce("mean").shard(P("a"), mesh=mesh).chunk(2))
        found = counted_in_all(runs, *args)
        assert found == {"all-reduce": 2 * len(runs)}, (kind, rows, found)
    x, rng = np.ones((8, 2), np.complex64), np.random.default_rng(6)
    own = [(later, 0), (later, 0.0)]
    runs = [folded_on_a(fold) for fold in ("max", "logsumexp", own[1])]
    assert counted_in_all(runs, x) == {"all-reduce": 3}
    assert counted_in_all([folded_on_a(own[0])], x.real) == {"all-reduce": 1}
    large = np.tile(rng.uniform(1, 2, (8, 1)), 1 << 17).astype(np.float32)
    for fold, expected in {
        "max": {"all-reduce": 1},
        "logsumexp": {"all-reduce": 2},
        "prod": {"all-gather": 1},
    }.items():
        compiled = jax.jit(folded_on_a(fold)).lower(large).compile()
        assert counted(compiled) == expected, fold
        np.testing.assert_allclose(compiled(large), FOLDS[fold](large, axis=0), rtol=1e-5)


def folded_on_a(fold: Any) -> Any:
    return auto_vmap(x=1)(lambda x: x).reduce(fold).shard("a", mesh=mesh_of(AUTO))


def counted_in_all(runs: list[Any], *args: Any) -> dict[str, int]:
    """The collectives of several functions, compiled together, each of arguments of its own."""
    every = jax.jit(lambda *all_args: [f(*args) for f, args in zip(runs, all_args, strict=True)])
    return counted(every.lower(*[args] * len(runs)).compile())


def reduced_gradients() -> None:
    """The gradient of a mean loss is that of one device, and the mean of the gradients."""
    rng = np.random.default_rng(2)
    w = rng.normal(size=3).astype(np.float32)

    @auto_vmap(x=1, y=0)
    def loss(w: Any, x: Any, y: Any) -> Any:
        return (jnp.tanh(w @ x) - y) ** 2

    mean = loss.reduce("mean").shard("a", mesh=mesh_of(AUTO))
    lifted = loss.lift(jax.grad).reduce("mean").shard("a", mesh=mesh_of(AUTO))
    ways = [jax.grad(f) for f in (mean, mean.chunk(1), mean.chunk(1, remat=True))]
    folded = (lifted, lifted.chunk(1), lifted.chunk(2))
    for rows in (8, 7):
        x = rng.normal(size=(rows, 3)).astype(np.float32)
        y = rng.normal(size=rows).astype(np.float32)
        th = np.tanh(x @ w)
        want = (2 * (th - y) * (1 - th**2)) @ x / rows
        found = jax.jit(lambda *a: [way(*a) for way in ways])(w, x, y)
        found += [jax.grad(mean)(jnp.asarray(w), x, y)] if rows == 7 else []
        found += [f(w, x, y) for f in folded]
        assert counted_in_all([*folded], w, x, y) == {"all-reduce": len(folded)}
        for gradient in found:
            np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-6)


ALONE = [
    reduced_values,
    reduced_values_exact,
    reduced_own,
    reduced_own_order,
    reduced_collectives,
    reduced_gradients,
    reduced_derivatives,
]
