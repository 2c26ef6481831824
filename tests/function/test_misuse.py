"""Methods that are called with what they do not take: the message says what was meant."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap
from autovmap._function.methods import Methods
from autovmap._function.misuse import MEANT

TAKES_ANY = {"replace"}
"""Methods whose own check names the options."""

ANGLES, LENGTHS = jnp.ones((5, 3)), jnp.ones(3)


def fk(angles: Any, lengths: Any) -> Any:
    """Where the end of an arm is."""
    return jnp.stack([lengths @ jnp.cos(angles), lengths @ jnp.sin(angles)])


f: Any = auto_vmap(angles=1, lengths=1)(fk)


def said(call: Callable[[], Any]) -> str:
    """A message in one line, with its notes."""
    with pytest.raises(Exception, match=r".") as raised:
        call()
    text = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
    return " ".join(text.split())


def test_every_method_has_its_own_remedies() -> None:
    public = {name for name, _ in inspect.getmembers(Methods, callable) if name[0] != "_"}
    assert set(MEANT) == public - TAKES_ANY


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: f.reduce("mean", axis=0),
            "fk.reduce() has no option 'axis'; did you mean 'axes'? Write "
            '.reduce("mean", axes=0): axes counts batch axes, not dims of the result',
        ),
        (
            lambda: f.chunk(10, static_argnames="n"),
            "fk.chunk() has no option 'static_argnames'; write .chunk(10).jit(static_argnames='n')",
        ),
        (
            lambda: f.bucket(batch_size=np.ones(3)),
            "fk.bucket() has no option 'batch_size'; write .chunk(float64[3])",
        ),
        (
            lambda: f.bucket(static_argnames="n"),
            "fk.bucket() has no option 'static_argnames'; annotate the parameter, as in n: int, "
            "so that it is static",
        ),
        (
            lambda: f.bucket(64),
            "fk.bucket(): sizes is 64; give the padded sizes as a sequence of ints of 1 or more, "
            "or a function from a size to the padded one; for one size write .bucket([64]), for "
            "blocks of 64 .bucket(block=64)",
        ),
        (
            lambda: f.outer(ANGLES, LENGTHS),
            "fk.outer() does not take the arguments of the function: write "
            "f.outer('angles', 'lengths')(...)",
        ),
        (
            lambda: f.lift(jax.grad(f)),
            "fk.lift() takes a transformation, not a transformed function: write "
            "f.lift(jax.grad), not f.lift(jax.grad(f))",
        ),
        (
            lambda: f.lift(jax.grad(fk)),
            "fk.lift() takes a transformation, not a transformed function: write "
            "f.lift(jax.grad), not f.lift(jax.grad(f))",
        ),
        (
            lambda: f.reduce(("mean", "max"))(ANGLES, LENGTHS),
            "fk.reduce(('mean', 'max')): the result is one array, float32[2]; give one fold, as "
            'in .reduce("mean")',
        ),
        (
            lambda: f.reduce({"x": "mean"}).chunk(2)(ANGLES, LENGTHS),
            "fk.reduce({'x': 'mean'}): the result is one array, float32[2]; give one fold, as "
            'in .reduce("mean")',
        ),
        (
            lambda: auto_vmap(angles=ANGLES)(fk),
            "fk(): base rank angles: got float32[5,3], an array; give its number of dims for one "
            "example, or take it from an example with like(...)",
        ),
        (
            lambda: auto_vmap(fk, in_axes=(0, None)),
            "auto_vmap(fk, in_axes=(0, None)): base ranks are missing; write "
            "auto_vmap(angles=1, lengths=1)(fk) if all are vectors, else each argument's own "
            "number of dims for one example; or use autovmap.compat.jax.vmap, which is called "
            "like jax.vmap",
        ),
        (
            lambda: auto_vmap(fk, signature="(n),(n)->(m)"),
            "auto_vmap(fk, signature='(n),(n)->(m)'): the ranks come first, then the function; "
            "write auto_vmap('(n),(n)->(m)')(fk)",
        ),
        (
            lambda: auto_vmap(signature="(n),(n)->(m)")(fk),
            "fk() has no parameter 'signature'; its parameters are: angles, lengths; a signature "
            "is given by position: auto_vmap('(n),(n)->(m)')",
        ),
        (
            lambda: f.outer("angles, lengths"),
            "fk.outer(): 'angles, lengths' is not a ranked parameter; the ranked parameters are: "
            "angles, lengths; write .outer('angles', 'lengths')",
        ),
        (
            lambda: f.shard("x", None, "y"),
            "fk.shard() takes one spec, for all batch axes; write "
            ".shard(jax.sharding.PartitionSpec('x', None, 'y'))",
        ),
        (
            lambda: f.bucket().chunk(2).iter(ANGLES, LENGTHS),
            "fk.iter(): only .chunk(...), without .bucket(...) and .shard(...), gives its result "
            "in parts",
        ),
        (
            lambda: auto_vmap(fk, 0, in_axes=0),
            "auto_vmap(fk, 0, in_axes=0): the ranks come first, then the function; write "
            "auto_vmap(0, in_axes=0)(fk)",
        ),
    ],
)
def test_said(call: Callable[[], Any], text: str) -> None:
    assert said(call).startswith(text)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: f.outer((a,)),
        lambda a: f.reduce(a),
        lambda a: f.reduce([a]),
        lambda a: f.reduce("sum", axes=[a]),
        lambda a: f.chunk(a),
        lambda a: f.chunk(memory=a),
        lambda a: f.chunk(2, progress=a),
        lambda a: f.bucket(a),
        lambda a: f.bucket(block=a),
        lambda a: f.bucket(promote=a),
        lambda a: f.shard(a),
        lambda a: f.shard("d", mesh=a),
        lambda a: f.jit(static_argnames=a),
        lambda a: f.lift(a),
        lambda a: f.batch(a),
        lambda a: f.replace(in_axes=a),
        lambda a: f.replace(out_axes=a),
        lambda a: f.replace(axis_name=[a]),
        lambda a: f.replace(randomness=a),
        lambda a: f.replace(strict=a),
        lambda a: auto_vmap(a)(fk),
        lambda a: auto_vmap(angles=[a])(fk),
        lambda a: auto_vmap(angles=1, strict=a)(fk),
        lambda a: auto_vmap(fk, a),
    ],
)
@pytest.mark.parametrize("array", [jnp.full((5, 3), 0.25), np.full(30, 0.25)], ids=["jax", "numpy"])
def test_no_message_prints_an_array(call: Callable[[Any], Any], array: Any) -> None:
    text = said(lambda: call(array))
    assert "0.25" not in text
    assert "rray(" not in text


@auto_vmap(x=1)
def repeated(x: Any, n: Any) -> Any:
    """A sum, n times."""
    return jnp.stack([x.sum()] * n) if n > 2 else jnp.zeros(3)


@pytest.mark.parametrize(
    ("way", "text"),
    [
        (repeated.bucket(), "annotate it, n: int, so that it is static, or call it without"),
        (
            repeated.chunk(10),
            "annotate it, n: int, so that it is static, or write "
            ".chunk(10).jit(static_argnames='n')",
        ),
    ],
)
def test_a_number_whose_value_is_needed(way: Any, text: str) -> None:
    assert text in said(lambda: way(ANGLES, 3))
    assert repeated.chunk(10).jit(static_argnames="n")(ANGLES, 3).shape == (5, 3)


def test_seeds_are_not_keys() -> None:
    @auto_vmap(rng="key")
    def draw(rng: Any) -> Any:
        return jax.random.normal(rng)

    assert "if these are seeds, pass jax.vmap(jax.random.key)(rng)" in said(
        lambda: draw(jnp.arange(5))
    )
    assert "if it is a seed, pass jax.random.key(rng)" in said(lambda: draw(5))
    assert draw(jax.vmap(jax.random.key)(jnp.arange(5))).shape == (5,)


def test_an_object_that_may_change() -> None:
    @dataclasses.dataclass
    class M:
        scale: float

        @auto_vmap(x=0)
        def times(self, x: Any) -> Any:
            return self.scale * x

    text = said(lambda: M(2.0).times.jit()(ANGLES))
    assert "self is an M, which is not a pytree" in text
    assert "register_pytree_node) or make it a frozen dataclass" in text


def test_a_function_that_is_traced() -> None:
    @auto_vmap(x=0)
    def applied(x: Any, how: Any) -> Any:
        return how(x)

    text = said(lambda: applied.jit()(ANGLES, jax.jit(jnp.sin)))
    assert text.endswith("or annotate it, how: Callable")
