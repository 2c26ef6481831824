"""The calls whose plans are kept as golden files and shown in the docs.

`PYTHONPATH=tests python tests/show/gallery.py` writes them anew, to be read before they are
committed.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.export import SymbolicScope, symbolic_shape

import golden
from autovmap import Plan, auto_vmap, named_vmap

GOLDEN = Path(__file__).parent / "golden"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SHOWN = ["broadcast", "one", "outer", "model", "named", "keys", "eight", "pattern"]
"""Those that stand in the docs."""


def f32(*shape: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


class Cell(NamedTuple):
    """A node of the user's."""

    w: Any
    b: Any


def foo(s, v, m):
    return v @ m @ v + s * v.size


def broadcast() -> Plan:
    return auto_vmap(s=0, v=1, m=2)(foo).plan(2.0, f32(7, 1, 3), f32(7, 5, 3, 3))


def no_batch() -> Plan:
    return auto_vmap(s=0, v=1, m=2)(foo).plan(2.0, f32(3), f32(3, 3))


def one() -> Plan:
    def norm(x):
        return jnp.sqrt(x @ x)

    return auto_vmap(x=1)(norm).plan(f32(1000, 3))


def outer() -> Plan:
    def cost(y, a, b):
        return a * y.sum() + b

    return (
        auto_vmap(y=1, a=0, b=0)(cost)
        .outer("y", ("a", "b"))
        .plan_with_outputs(f32(7, 3), f32(4, 1), f32(5))
    )


def model() -> Plan:
    def predict(cell, x, scale):
        return {"y": scale * (cell.w @ x + cell.b), "norm": x @ x}

    return auto_vmap(cell=Cell(2, 1), x=1)(predict).plan_with_outputs(
        Cell(f32(8, 1, 4, 3), f32(4)), f32(100, 3), f32()
    )


def deep() -> Plan:
    def run(params, x):
        for layer in params["layers"]:
            x = jnp.tanh(layer["w"] @ x + layer["b"])
        return x

    params = {"layers": [{"w": f32(5, 3, 3), "b": f32(5, 3)} for _ in range(10)], "t": f32()}
    ranks = {"layers": [{"w": 2, "b": 1}] * 10, "t": 0}
    return auto_vmap(params=ranks, x=1)(run).plan(params, f32(64, 1, 3))


def named() -> Plan:
    def centred(x, w):
        return w * (x - jax.lax.pmean(x, "time"))

    return auto_vmap(x=0, w=0, axis_name=("chain", "time"), out_axes=-1)(centred).plan(
        f32(1, 50), f32(50)
    )


def ones() -> Plan:
    return auto_vmap(a=0, b=1)(lambda a, b: a + b).plan(f32(1, 1), f32(1, 3))


def keys() -> Plan:
    def draw(rng, scale):
        return scale * jax.random.normal(rng)

    decorated = auto_vmap(rng="key", scale=0, randomness="different")(draw)
    return decorated.batch(1000).plan_with_outputs(jax.random.key(0), f32(3))


def shared_key() -> Plan:
    return auto_vmap(rng="key", x=0)(lambda rng, x: x).plan(jax.random.PRNGKey(0), f32(4, 3))


def signature() -> Plan:
    return auto_vmap("(m?,n),(n,p?)->(m?,p?)")(jnp.matmul).plan(f32(9, 2, 3), f32(3))


def axes() -> Plan:
    def mix(a, b, /, *rest, mode, **more):
        return a, {"b": b}

    decorated = auto_vmap(
        a=2, b=0, rest=1, more=0, in_axes={"a": 1, "rest": -1}, out_axes=(1, {"b": -1})
    )(mix)
    return decorated.plan(
        f32(4, 5, 6, 3), f32(5, 1), f32(2, 6), f32(2, 5, 6), mode="fast", k=f32(6)
    )


def kept_at_one() -> Plan:
    def parts(x, y):
        return x * 2, y, x + y, "text"

    decorated = auto_vmap(x=0, y=0, stretch_outputs=False)(parts)
    return decorated.plan_with_outputs(f32(4, 1), f32(1, 3))


def forgotten() -> Plan:
    return auto_vmap(x=1)(lambda x, weight, table: x).plan(f32(7, 5, 3), f32(7, 5), f32(100))


def symbolic() -> Plan:
    b, c = symbolic_shape("b, c", scope=SymbolicScope())
    return auto_vmap(1, 1)(jnp.dot).plan(f32(b, 1, 3), f32(c, 3))


def hostile() -> Plan:
    tree = {"<script>alert(1)</script>": f32(5, 3), "</svg>&\"'\n\x1b[31m": f32(2, 1, 3)}
    tree |= {"漢字のとても長い鍵の名前です漢字のとても長い鍵の名前です": f32(5, 3)}
    return auto_vmap(**{"tree": 1, "axis_name": "<b>"})(lambda tree: tree).plan_with_outputs(tree)


def pattern() -> Plan:
    def attend(weights, values):
        return weights @ values

    return named_vmap("b q [k] (h d), b [k] h c -> b q h (c d)", d=2)(attend).plan(
        f32(2, 5, 7, 6), f32(2, 7, 3, 4)
    )


def pattern_parts() -> Plan:
    def ensemble(params, x, rng):
        y = params["w"] @ x + params["b"]
        return {"y": y, "name": "text"}, jax.random.normal(rng)

    params = {"w": f32(10, 4, 3), "b": f32(10, 4)}
    decorated = named_vmap(
        "e [...], b b [n], -> e b [...], 1 (b e)", randomness="different", stretch_outputs=False
    )(ensemble)
    return decorated.plan_with_outputs(params, f32(5, 5, 3), jax.random.key(0))


def eight() -> Plan:
    def everything(a, b, c, d, e, g, h, i):
        return a

    return auto_vmap(0, 1, 2, 0, 1, 3, 0, 1, axis_name=("x", "y"))(everything).plan(
        f32(9, 8, 7, 6, 5, 4),
        f32(4, 3),
        f32(1, 5, 4, 3, 3),
        f32(6, 1, 4),
        f32(7, 6, 5, 4, 128),
        f32(2, 2, 2),
        f32(8, 1, 1, 1, 1),
        f32(9, 1, 1, 1, 1, 4, 10),
    )


GALLERY: dict[str, Callable[[], Plan]] = {
    function.__name__: function
    for function in [
        broadcast,
        no_batch,
        one,
        outer,
        model,
        deep,
        named,
        ones,
        keys,
        shared_key,
        signature,
        axes,
        kept_at_one,
        forgotten,
        symbolic,
        hostile,
        pattern,
        pattern_parts,
        eight,
    ]
}
FORMS: dict[str, Callable[[Plan], str]] = {
    "txt": str,
    "code": lambda plan: plan.code(),
    "svg": lambda plan: plan.svg(),
}


def text(name: str, form: str) -> str:
    """What the golden file of a call is to hold."""
    return FORMS[form](GALLERY[name]()) + "\n"


def texts() -> dict[str, Callable[[], str]]:
    """All of them, by file."""
    return {f"{name}.{form}": partial(text, name, form) for name in GALLERY for form in FORMS}


if __name__ == "__main__":
    golden.write(GOLDEN, texts())
    golden.write(PICTURES, {f"{name}.svg": partial(text, name, "svg") for name in SHOWN})
