"""Mistakes that a reader of the README made, and what each is told: the remedy is in the words."""

import functools
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp
import pytest

from autovmap import AutoVmapError, auto_vmap

BATCH = jnp.arange(12.0).reshape(4, 3)


@auto_vmap(x=1)
def total(x: Any) -> Any:
    return x.sum()


@auto_vmap(x=1)
def pair(x: Any) -> Any:
    return x, x.sum()


class Thing:
    def __call__(self, x: Any) -> Any:
        return x


class R:
    def __init__(self, x: Any) -> None:
        self.x = x


def mesh() -> Any:
    return jax.sharding.Mesh(jax.devices()[:1], ("d",))


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "a class for its method": (
        lambda: auto_vmap(x=1)(Thing),
        "Thing is a class: to map one of its methods, decorate the method",
    ),
    "a parameter that a partial has bound": (
        lambda: auto_vmap(x=1)(functools.partial(lambda x, n: x * n, 3)),
        "functools.partial has given x its value",
    ),
    "a property": (lambda: auto_vmap(x=1)(cast("Any", property(total))), "put it below @property"),
    "in_axes as vmap has it": (
        lambda: auto_vmap(in_axes=(0,))(lambda x: x),
        "in_axes says where the batch dims of a ranked argument are, not which arguments have "
        "them; for in_axes as jax.vmap has it: autovmap.compat.jax.vmap",
    ),
    "sizes in a tuple": (lambda: total.batch((10, 3)), "as in .batch(10, 3)"),  # type: ignore[arg-type]
    "a mesh alone": (lambda: total.shard(mesh()), "write .shard('d', mesh=...)"),
    "a function for a fold": (
        lambda: total.reduce(jnp.add),  # type: ignore[arg-type]
        "To fold by a function, give the value it starts from too: (add, 0)",
    ),
    "folds in a list for a tuple": (
        lambda: pair.reduce([None, "sum"])(BATCH),
        "declare it by its own type, or by one fold for all of it",
    ),
    "an identity of another shape": (
        lambda: pair.reduce((None, (jnp.add, jnp.zeros(3))))(BATCH),
        "the identity of add has shape (3,), but one example's output has shape ()",
    ),
    "the same in chunks": (
        lambda: pair.reduce((None, (jnp.add, jnp.zeros(3)))).chunk(2)(BATCH),
        "the identity of add has shape (3,), but one example's output has shape ()",
    ),
    "a gradient made already": (
        lambda: total.lift(jax.grad(lambda x: x.sum())),
        "write f.lift(jax.grad), not f.lift(jax.grad(f))",
    ),
    "a class with one letter": (lambda: auto_vmap(x=1)(R)(BATCH), "result is an R, which"),
    "a rank that goes deeper": (
        lambda: auto_vmap(tree={"a": {"b": 1}})(lambda tree: tree)({"a": BATCH}),
        "tree['a'] is a single leaf, float32[4,3], but it is declared as {'b': 1}",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_message_says_what_to_write(mistake: str) -> None:
    call, words = MISTAKES[mistake]
    with pytest.raises(AutoVmapError, match=re.escape(words)):
        call()


def test_a_raw_key_under_a_number_is_told_of_keys_first() -> None:
    draw = auto_vmap(key=0, scale=0)(lambda key, scale: scale * jax.random.normal(key))
    with pytest.raises(AutoVmapError, match="PRNG key") as caught:
        draw(jax.random.PRNGKey(0), jnp.ones(3))
    said = str(caught.value)
    assert 0 < said.index('its rank is "key"') < said.index("To combine every")


def notes(call: Callable[[], Any]) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever JAX raises
        call()
    return "\n".join(getattr(caught.value, "__notes__", ()))


def test_an_argument_whose_rank_was_forgotten_is_in_the_note() -> None:
    f = auto_vmap(x=1)(lambda x, y, z: x @ y)
    said = notes(lambda: f(jnp.ones(3), jnp.ones((7, 2)), 1.0))
    assert "without a rank, so the function got it whole: y float32[7,2]" in said
    chosen = auto_vmap(x=1, y=None)(lambda x, y: x @ y)
    assert "without a rank" not in notes(lambda: chosen(jnp.ones(3), jnp.ones((7, 2))))


@pytest.mark.parametrize("way", ["jit", "chunk", "bucket"])
def test_a_ranked_number_that_is_a_shape(way: str) -> None:
    f = auto_vmap(x=1, n=0)(lambda x, n: jnp.zeros(n) + x[0])
    run = {"jit": f.jit(), "chunk": f.chunk(2), "bucket": f.bucket()}[way]
    said = notes(lambda: run(BATCH, 4))
    assert "n has a rank, so a compiled call traces it" in said
    assert "give n no rank and make it static, as in n: int" in said


def test_jax_names_the_users_function_and_file() -> None:
    f = auto_vmap(x=1, n=0)(lambda x, n: jnp.zeros(n) + x[0])
    with pytest.raises(TypeError, match="concrete") as caught:
        f.jit()(BATCH, 4)
    assert f"at {__file__}" in str(caught.value)
    assert "_frames.py" not in str(caught.value)


def eighth_values() -> Iterator[tuple[str, Callable[[Any, int], Any]]]:
    def scaled(x: Any, n: int = 1) -> Any:
        return x * n

    f = auto_vmap(x=1)(scaled)
    yield "jit", f.jit()
    yield "partition", f.jit(partition=True)
    yield "chunk", f.chunk(2)
    yield "bucket", f.bucket()


@pytest.mark.parametrize(("way", "run"), list(eighth_values()))
def test_a_warning_stands_at_the_users_line(way: str, run: Callable[[Any, int], Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(9):
            run(BATCH, n)
    places = [w.filename for w in caught if "eighth value" in str(w.message)]
    assert places == [__file__]
