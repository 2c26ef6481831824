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


def right(x: Any, y: Any, scale: Any) -> Any:
    """What `forward` and `backward` give."""
    return np.sin(x * scale) * y


def slopes(x: Any, y: Any, scale: Any) -> tuple[Any, Any, Any]:
    """The derivatives of each example's value."""
    slope = np.cos(x * scale) * y
    return slope * scale, np.sin(x * scale), slope * x


def picky_values_and_collectives() -> None:
    """In every way; none for sizes that divide, one all-gather for others."""
    for kind in KINDS:
        for function in (forward, backward):
            for size, expected in ((8, {}), (7, {"all-gather": 1})):
                args = args_of(size)
                f = function.shard("a", mesh=mesh_of(kind))
                compiled = f.jit().lower(*args).compile()
                assert counted(compiled) == expected, (kind, size, counted(compiled))
                for g in (f, compiled, f.chunk(1)):
                    np.testing.assert_allclose(g(*args), right(*args), rtol=1e-5, atol=1e-7)


def picky_derivatives() -> None:
    """Reverse mode, for the argument without a rank too; forward mode where there is one.

    Compiled as one program; without that each operation of a derivative is a program.
    """
    wanted = (0, 2, (0, 1, 2))

    def all_ways(f: Any, *args: Any) -> list[Any]:
        total = lambda *a: (f(*a) ** 2).sum()  # noqa: E731
        return [jax.grad(total, some)(*args) for some in wanted]

    with use_mesh(mesh_of(AUTO)):
        for size in (8, 7):
            args = args_of(size)
            value, each = right(*args), slopes(*args)
            want = [2 * value * slope for slope in each]
            want[2] = want[2].sum()
            expected = [want[0], want[2], tuple(want)]
            for function in (forward, backward):
                f = function.shard("a")
                inner = f.jit() if size == 8 else f
                found = jax.jit(functools.partial(all_ways, inner))(*args)
                jax.tree.map(close, found, expected)
                if (size == 7) == (function is forward):
                    some = jax.grad(lambda *a, f=f: (f(*a) ** 2).sum(), (0, 2))(*args)
                    jax.tree.map(close, some, (want[0], want[2]))
            tangent = sum(a * slope for a, slope in zip(args, each, strict=True))
            f = forward.shard("a")
            jax.tree.map(close, jax.jvp(f, args, args), (value, tangent))


def close(found: Any, right: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(right), rtol=1e-4, atol=1e-5)


def picky_folds() -> None:
    """Folded over the devices, all at once and in chunks; a gradient of it and for each example."""
    folds = {
        "sum": np.sum,
        "mean": np.mean,
        "max": np.max,
        "logsumexp": lambda x: np.log(np.exp(x).sum()),
    }
    names = dict(zip(folds, folds, strict=True))
    several = auto_vmap(x=0, y=0)(
        lambda x, y, scale: dict.fromkeys(folds, picky_sine(x * scale) * y)
    )
    for i, (kind, size) in enumerate((kind, size) for kind in KINDS for size in (8, 7)):
        args = args_of(size)
        folded = several.reduce(names).shard("a", mesh=mesh_of(kind))
        want = {name: fold(right(*args)) for name, fold in folds.items()}
        for f in (folded, folded.chunk(1)):
            jax.tree.map(close, f(*args), want)
        if i in (0, 3):
            lifted = forward.lift(jax.grad).reduce("mean")
            close(lifted.shard("a", mesh=mesh_of(kind))(*args), slopes(*args)[0].mean())
    for size in (8, 7):
        args = args_of(size)
        x, y, scale = (slope / size for slope in slopes(*args))
        for function in (forward, backward):
            f = function.reduce("mean").shard("a", mesh=mesh_of(AUTO))
            found = jax.jit(jax.grad(f, (0, 1, 2)))(*args)
            jax.tree.map(close, found, (x, y, scale.sum()))


def picky_maps() -> None:
    """A gradient that is mapped, and forward mode of many tangents."""
    scales = np.arange(1.0, 4.0, dtype=np.float32)
    for size in (8, 7):
        x, y, _ = args_of(size)
        f = forward.shard("a", mesh=mesh_of(AUTO))
        total = functools.partial(total_of, f if size == 7 else f.jit(), x, y)
        mapped = lambda s, total=total: [  # noqa: E731
            jax.vmap(change(total))(s) for change in (jax.grad, jax.jacfwd)
        ]
        want = np.stack([slopes(x, y, scale)[2].sum() for scale in scales])
        for found in jax.jit(mapped)(scales):
            close(found, want)
        if size == 7:
            close(jax.vmap(jax.grad(total))(scales), want)
        swap = jax.jit(jax.jacfwd(functools.partial(swapped, f)))
        close(swap(x, y), np.diag(slopes(x, y, np.float32(2))[0]))


def total_of(f: Any, x: Any, y: Any, scale: Any) -> Any:
    return f(x, y, scale).sum()


def swapped(f: Any, x: Any, y: Any) -> Any:
    return f(x, y, jnp.float32(2))


def picky_second_derivatives() -> None:
    """Refused by name around the call; right where each example is differentiated."""
    x, y, scale = args_of(8)
    f = forward.shard("a", mesh=mesh_of(AUTO))
    slope = jax.grad(functools.partial(total_of, f, x, y))
    twice_differentiated = (jax.grad(slope), lambda s: jax.jvp(slope, (s,), (s,)))
    for twice in twice_differentiated if TYPED else ():
        with pytest.raises(
            SpecError, match=r"^forward\.shard\(\.\.\.\)(.|\n)*forward\.lift\(jax\.hessian\)\.shard"
        ):
            jax.eval_shape(twice, 1.5)
    lifted = forward.lift(jax.hessian)
    close(lifted.shard("a", mesh=mesh_of(AUTO))(x, y, 1.5), -(scale**2) * right(x, y, scale))


def picky_keys() -> None:
    """An index folded into a key does not depend on the size: seven draws begin as eight do."""
    key = jax.random.key(0)
    f = drawn.shard("a", mesh=mesh_of(AUTO))
    x = args_of(8)[0]
    right = jax.jit(drawn)(key, x)
    for size in (8, 7):
        found = f(key, x[:size])
        close(found[0], right[0][:size])
        close(jax.random.key_data(found[1]), jax.random.key_data(right[1])[:size])
    gradient = jax.jit(jax.grad(lambda x: f(key, x)[0].sum()))
    close(gradient(x[:7]), np.cos(x[:7]))


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

    x = np.linspace(1, 2, 8).astype(np.float32)
    a = np.eye(2, dtype=np.float32) * x[:, None, None] + 0.1
    inverse = np.linalg.inv(a)
    solution, weights = inverse @ a[:, 0, :, None], inverse.sum(1)[..., None]
    of_a = -weights * solution.swapaxes(1, 2)  # the gradient of the solution's sum
    root, end = np.sqrt(x + 1), np.full_like(x, np.exp(-1))
    # Compiling a solver takes seconds: its value and its gradient are one program.
    for size, function, args, value, slopes in (
        (8, auto_vmap(a=2, b=1)(solved), (a, a[:, 0]), solution[..., 0], (of_a, weights[..., 0])),
        (7, auto_vmap(x=0, c=0)(rooted), (x, x + 1), root, (0 * x, 0.5 / root)),
        (8, auto_vmap(y=0)(integrated), (x,), x * end, (end,)),
    ):
        f = function.shard("a", mesh=mesh_of(AUTO))

        def both(*args: Any, f: Any = f) -> Any:
            found, pull = jax.vjp(f, *args)
            return found, pull(jnp.ones_like(found))

        want = jax.tree.map(lambda x, n=size: x[:n], (args, (value, slopes)))
        jax.tree.map(close, jax.jit(both)(*want[0]), want[1])
        other = 15 - size
        close(f(*(x[:other] for x in args)), value[:other])


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
