"""What `on_devices.py` checks of functions that compare types of arrays, inside of `f.shard(...)`.

As lineax, optimistix and diffrax do; inside of `shard_map` every array has another type.
"""

import functools
import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from autovmap import SpecError, auto_vmap
from autovmap._ways.shard_run import TYPED
from compose.meshes import AUTO, EXPLICIT, mesh_of, use_mesh
from compose.on_devices_shard import counted

KINDS = (AUTO, EXPLICIT) if hasattr(jax, "reshard") else (AUTO,)


def compare(x: Any) -> None:
    """Refuse an array whose type is not that of its shape and dtype alone."""
    found = jax.eval_shape(lambda x: x, x)
    if found != jax.ShapeDtypeStruct(x.shape, x.dtype):
        raise ValueError(f"another structure: {found}")


@jax.custom_jvp
def picky_sine(x: Any) -> Any:
    """A sine that compares, as its derivative does."""
    compare(x)
    return jnp.sin(x)


@picky_sine.defjvp
def _(primals: Any, tangents: Any) -> Any:
    compare(primals[0])
    return picky_sine(primals[0]), jnp.cos(primals[0]) * tangents[0]


@jax.custom_vjp
def picky_back(x: Any) -> Any:
    """One that compares in its backward pass alone."""
    return jnp.sin(x)


def _ahead(x: Any) -> Any:
    compare(x)
    return picky_back(x), x


def _back(x: Any, cotangent: Any) -> Any:
    compare(cotangent)
    return (jnp.cos(x) * cotangent,)


picky_back.defvjp(_ahead, _back)


@auto_vmap(x=0, y=0)
def forward(x: Any, y: Any, scale: Any) -> Any:
    """Of two arguments, and one without a rank."""
    return picky_sine(x * scale) * y


@auto_vmap(x=0, y=0)
def backward(x: Any, y: Any, scale: Any) -> Any:
    """The same with a `custom_vjp`."""
    return picky_back(x * scale) * y


@auto_vmap(key="key", x=0, randomness="different")
def drawn(key: Any, x: Any) -> Any:
    """With keys among the arguments and the results, and an integer."""
    return picky_sine(x) + jax.random.normal(key), key, jnp.int32(2)


def args_of(size: int) -> Any:
    x = np.linspace(-1, 1, size).astype(np.float32)
    return x, x[::-1].copy(), jnp.float32(1.5)


def picky_values_and_collectives() -> None:
    """In every way; none for sizes that divide, one all-gather for others."""
    for kind in KINDS:
        for function in (forward, backward):
            for size, expected in ((8, {}), (7, {"all-gather": 1})):
                args = args_of(size)
                f = function.shard("a", mesh=mesh_of(kind))
                whole = function(*args)
                for g in (f, f.chunk(1)):
                    np.testing.assert_allclose(g(*args), whole, rtol=1e-5)
                compiled = f.jit().lower(*args).compile()
                assert counted(compiled) == expected, (kind, size, counted(compiled))


def picky_derivatives() -> None:
    """Reverse mode, for the argument without a rank too; forward mode where there is one."""
    with use_mesh(mesh_of(AUTO)):
        for size in (8, 7):
            args = args_of(size)
            for function in (forward, backward):
                for f in (function.shard("a"), function.shard("a").jit()):
                    for wanted in (0, 2, (0, 1, 2)):
                        found = jax.grad(lambda *a, f=f: (f(*a) ** 2).sum(), wanted)(*args)
                        right = jax.grad(lambda *a, f=function: (f(*a) ** 2).sum(), wanted)(*args)
                        jax.tree.map(close, found, right)
            f = forward.shard("a")
            jax.tree.map(close, jax.jvp(f, args, args), jax.jvp(forward, args, args))


def close(found: Any, right: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(right), rtol=1e-4, atol=1e-5)


def picky_folds() -> None:
    """Folded over the devices, all at once and in chunks; a gradient of it and for each example."""
    for kind in KINDS:
        for size in (8, 7):
            args = args_of(size)
            for fold in ("sum", "mean", "max", "logsumexp"):
                folded = forward.reduce(fold)
                right = folded(*args)
                for f in (folded, folded.chunk(1)):
                    close(f.shard("a", mesh=mesh_of(kind))(*args), right)
            lifted = forward.lift(jax.grad).reduce("mean")
            close(lifted.shard("a", mesh=mesh_of(kind))(*args), lifted(*args))
    for size in (8, 7):
        args = args_of(size)
        for function in (forward, backward):
            folded = function.reduce("mean")
            f = folded.shard("a", mesh=mesh_of(AUTO))
            gradients = [jax.grad(g, (0, 1, 2))(*args) for g in (f, folded)]
            jax.tree.map(close, *gradients)


def picky_maps() -> None:
    """A gradient that is mapped, and forward mode of many tangents."""
    for size in (8, 7):
        x, y, _ = args_of(size)
        sharded = forward.shard("a", mesh=mesh_of(AUTO))
        for f, g in ((sharded.jit(), forward.jit()), (sharded, forward)):
            pairs = [functools.partial(total_of, one, x, y) for one in (f, g)]
            for change in (jax.grad, jax.jacfwd):
                close(*[jax.vmap(change(one))(jnp.arange(1.0, 4.0)) for one in pairs])
        close(*[jax.jacfwd(functools.partial(swapped, one))(x, y) for one in (sharded, forward)])


def total_of(f: Any, x: Any, y: Any, scale: Any) -> Any:
    return f(x, y, scale).sum()


def swapped(f: Any, x: Any, y: Any) -> Any:
    return f(x, y, jnp.float32(2))


def picky_second_derivatives() -> None:
    """Refused by name around the call; right where each example is differentiated."""
    x, y, _ = args_of(8)
    f = forward.shard("a", mesh=mesh_of(AUTO))
    slope = jax.grad(functools.partial(total_of, f, x, y))
    twice_differentiated = (jax.grad(slope), lambda s: jax.jvp(slope, (s,), (s,)))
    for twice in twice_differentiated if TYPED else ():
        with pytest.raises(
            SpecError, match=r"^forward\.shard\(\.\.\.\)(.|\n)*forward\.lift\(jax\.hessian\)\.shard"
        ):
            twice(1.5)
    lifted = forward.lift(jax.hessian)
    close(lifted.shard("a", mesh=mesh_of(AUTO))(x, y, 1.5), lifted(x, y, 1.5))


def picky_keys() -> None:
    key = jax.random.key(0)
    for size in (8, 7):
        x = args_of(size)[0]
        f = drawn.shard("a", mesh=mesh_of(AUTO))
        found, right = f(key, x), drawn(key, x)
        close(found[0], right[0])
        close(jax.random.key_data(found[1]), jax.random.key_data(right[1]))
        gradients = [jax.grad(lambda x, f=f: f(key, x)[0].sum())(x) for f in (f, drawn)]
        close(*gradients)


def picky_libraries() -> None:
    """lineax, optimistix and diffrax, where they are."""
    if any(importlib.util.find_spec(name) is None for name in ("lineax", "optimistix", "diffrax")):
        return
    import diffrax
    import lineax
    import optimistix

    def solved(a: Any, b: Any) -> Any:
        return lineax.linear_solve(lineax.MatrixLinearOperator(a), b).value

    def rooted(x: Any, c: Any) -> Any:
        newton = optimistix.Newton(1e-5, 1e-5)
        return optimistix.root_find(lambda y, a: y**2 - a, newton, x, c).value

    def integrated(y: Any) -> Any:
        term, solver = diffrax.ODETerm(lambda t, y, _: -y), diffrax.Tsit5()
        solution = diffrax.diffeqsolve(term, solver, 0.0, 1.0, 0.1, y)
        return solution.ys[-1]  # pyright: ignore[reportOptionalSubscript]

    for size in (8, 7):
        x = np.linspace(1, 2, size).astype(np.float32)
        a = np.eye(2, dtype=np.float32) * x[:, None, None] + 0.1
        for function, args in (
            (auto_vmap(a=2, b=1)(solved), (a, a[:, 0])),
            (auto_vmap(x=0, c=0)(rooted), (x, x + 1)),
            (auto_vmap(y=0)(integrated), (x,)),
        ):
            f = function.shard("a", mesh=mesh_of(AUTO))
            close(f(*args), function(*args))
            gradients = [jax.grad(lambda *a, g=g: g(*a).sum())(*args) for g in (f, function)]
            close(*gradients)


def picky_on_two_axes() -> None:
    """Batch axes over both mesh axes, one of them a part of a bigger one."""
    f = auto_vmap(x=0, y=0)(lambda x, y: picky_sine(x) * y)
    x, y = args_of(8)[0][:, None], args_of(6)[0]
    close(f.shard(P("a", "b"), mesh=mesh_of(AUTO))(x, y), f(x, y))


ALONE = (
    picky_values_and_collectives,
    picky_derivatives,
    picky_folds,
    picky_maps,
    picky_second_derivatives,
    picky_keys,
    picky_libraries,
    picky_on_two_axes,
)
