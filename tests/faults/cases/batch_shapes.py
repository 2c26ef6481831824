"""Rows 31 to 38: shapes and placements that do not fit each other."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped

from autovmap import auto_vmap, named_vmap
from faults.cases.case import Case, Thunk
from faults.cases.ways import WAYS, called, entries


def scale(v: Any, s: Any) -> Any:
    """A vector scaled."""
    return v * s


def middle(x: Any, y: Any, z: Any) -> Any:
    """The second of three."""
    return y


def inner(x: Any, y: Any) -> Any:
    """An inner product."""
    return x @ y


def cut(x: Any) -> Any:
    """The first two entries."""
    return x[:2]


def total(tree: Any) -> Any:
    """A dict's vector scaled by its scalar."""
    return tree["v"] * tree["s"]


def ones(*shapes: tuple[int, ...]) -> Any:
    """Arguments of these shapes, made anew at each call."""
    return lambda: tuple(jnp.ones(shape) for shape in shapes)


ANNOTATED = {"v": Shaped[Array, "n"], "s": Shaped[Array, ""], "return": Shaped[Array, "n"]}
SCALE = entries(scale, {"v": 1, "s": 0}, "(n),()->(n)", ANNOTATED, "b [n], b -> b [n]")
DEEP = entries(scale, {"v": 1, "s": 0}, "(n),()->(n)", ANNOTATED, "a b c [n], a b c -> a b c [n]")
NAMED_AXES = {"auto_vmap": lambda: auto_vmap(v=1, s=0, axis_name=("chain", "time"))(scale)}
STRICT = {"auto_vmap": lambda: auto_vmap(v=1, s=0, strict=True)(scale)}
OUTER = {"auto_vmap": lambda: auto_vmap(x=0, y=0, z=0)(middle).outer("x", "y")}
PLACED = {"auto_vmap": lambda: auto_vmap(v=1, out_axes=2)(cut_of_v)}
PRODUCT = entries(
    inner,
    None,
    "(n),(n)->()",
    {"x": Shaped[Array, "n"], "y": Shaped[Array, "n"], "return": Shaped[Array, ""]},
    "b [n], b [n] -> b",
)


def cut_of_v(v: Any) -> Any:
    """A result in a dict."""
    return {"a": v}


def symbolic(v: str, s: str) -> Thunk:
    """An export of `scale` for symbolic batch shapes."""

    def exported() -> Any:
        scope = export.SymbolicScope()
        shapes = [export.symbolic_shape(text, scope=scope) for text in (v, s)]
        structs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        return export.export(jax.jit(SCALE["auto_vmap"]()))(*structs)

    return exported


def in_parts(way: str) -> Thunk:
    """A way of running whose parts would depend on a symbolic size."""

    def exported() -> Any:
        (b,) = export.symbolic_shape("b", scope=export.SymbolicScope())
        struct = jax.ShapeDtypeStruct((b, 3), jnp.float32)
        function = WAYS[way](SCALE["auto_vmap"]())
        return export.export(jax.jit(lambda v: function(v, 2.0)))(struct)

    return exported


def explicit() -> Iterator[Any]:
    """How arrays are placed on an Explicit mesh of one device."""
    kinds = (jax.sharding.AxisType.Explicit,)
    mesh = jax.make_mesh((1,), ("devices",), axis_types=kinds, devices=jax.devices()[:1])
    with jax.set_mesh(mesh):
        yield lambda shape, *spec: jax.device_put(
            jnp.ones(shape), NamedSharding(mesh, PartitionSpec(*spec))
        )


def disagreeing() -> Any:
    """One batch dim sharded in one argument and replicated in the other."""
    for put in explicit():
        one = put((4, 1, 3), "devices", None, None)
        return SCALE["auto_vmap"]()(one, put((4, 5), None, None))


def on_the_mapped_axis(rank: Any) -> Thunk:
    """An unmapped argument that lies on the mesh axis of a batch axis."""

    def call() -> Any:
        for put in explicit():
            function = auto_vmap(x=1, y=rank)(added)
            return function(put((4, 2), "devices", None), {"a": put((2,), "devices")})

    return call


def added(x: Any, y: Any) -> Any:
    """A sum with what a dict holds."""
    return x + y["a"]


CASES = [
    called(31, "the innermost axis", SCALE, ones((4, 3), (5,))),
    called(31, "a middle axis", DEEP, ones((2, 4, 6, 3), (2, 5, 6))),
    called(31, "the outermost axis", DEEP, ones((4, 2, 6, 3), (5, 2, 6))),
    called(31, "a stretched axis beside it", DEEP, ones((4, 1, 6, 3), (5, 2, 6))),
    called(31, "an axis with a name", NAMED_AXES, ones((2, 4, 3), (2, 5))),
    called(
        31,
        "three arguments",
        entries(middle, {"x": 0, "y": 0, "z": 0}, "(),(),()->()", None, "b, b, b -> b"),
        ones((3,), (4,), (5,)),
    ),
    called(31, "strict", STRICT, ones((4, 3), (1,))),
    called(31, "strict, a missing dim", STRICT, ones((4, 2, 3), (2,))),
    called(31, "outside of every group of outer", OUTER, ones((2,), (3,), (4,))),
    called(31, "out_axes where there is none", PLACED, ones((4, 3))),
    called(
        32,
        "two leaves of one argument",
        entries(total, {"tree": {"v": 1, "s": 0}}),
        lambda: ({"v": jnp.ones((4, 3)), "s": jnp.ones(5)},),
    ),
    called(33, "none against three", SCALE, ones((0, 3), (3,))),
    called(33, "three against none", SCALE, ones((3, 3), (0,))),
    Case(34, "b against c", {"": symbolic("b,3", "c")}),
    Case(34, "b against 4", {"": symbolic("b,3", "4")}),
    Case(34, "b against 2 b, under another axis", {"": symbolic("a,b,3", "a,2*b")}),
    Case(34, "in parts", {way: in_parts(way) for way in WAYS if way not in ("call", ".plan")}),
    Case(36, "two arguments", {"": disagreeing}, needs="set_mesh"),
    Case(36, "a rank, and no batch dims", {"": on_the_mapped_axis(1)}, needs="set_mesh"),
    Case(36, "no rank", {"": on_the_mapped_axis(None)}, needs="set_mesh"),
    called(38, "between arguments", PRODUCT, ones((5, 3), (5, 4))),
    called(38, "within an argument", entries(inner, None, "(n,n),(n)->()"), ones((5, 3, 4), (4,))),
    called(
        38,
        "with a fixed size",
        entries(cut, None, "(3)->(2)", {"x": Shaped[Array, "3"]}, "b [3] -> b [2]"),
        ones((5, 4)),
    ),
    called(
        38,
        "an output",
        entries(cut, None, "(n)->(n)", None, "b [n] -> b [n]"),
        ones((5, 3)),
    ),
    called(
        38,
        "an output of a fixed size",
        entries(cut, None, "(n)->(4)", None, "b [n] -> b [4]"),
        ones((5, 3)),
    ),
    called(
        38,
        "an output of other dims",
        entries(cut, None, "(n)->()", None, "b [n] -> b"),
        ones((5, 3)),
    ),
    called(
        38,
        "two outputs for one",
        entries(cut, None, "(n)->(n),()", None, "b [n] -> b [n], b"),
        ones((5, 3)),
    ),
    Case(
        38,
        "a composition without a solution",
        {"named_vmap": lambda: named_vmap("(a b) -> a b", a=2)(cut)(jnp.ones(7))},
    ),
    Case(
        38,
        "a composition that tells too little",
        {"named_vmap": lambda: named_vmap("(a b) -> a b")(cut)(np.ones(6))},
    ),
]
