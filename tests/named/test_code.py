"""The printed code of a pattern does what the call does: the same result, by the same jaxpr."""

from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, named_vmap
from conftest import scaled
from named.patterns import SHARED, arrays, generated
from show.test_code import assert_same, check, compiled, jaxpr_of

pytestmark = pytest.mark.own


def codes(decorated: Any, args: Any, kwargs: Any) -> list[str]:
    """The code of both plans: of the arguments alone, and with the outputs."""
    plans = [decorated.plan(*args, **kwargs), decorated.plan_with_outputs(*args, **kwargs)]
    return [plan.code() for plan in plans]


def same_jaxpr(decorated: Any, args: Any, code: str) -> bool:
    call = compiled(code)
    printed = jaxpr_of(lambda *a: call(decorated.__wrapped__, *a), args, {})
    return printed == jaxpr_of(decorated, args, {})


@pytest.mark.parametrize(("pattern", "op", "shapes", "sizes"), SHARED, ids=[s[0] for s in SHARED])
def test_patterns(pattern: str, op: Any, shapes: Any, sizes: Any) -> None:
    args = arrays(*shapes)
    decorated = named_vmap(pattern, **sizes)(lambda *a: op(*a))
    for code in codes(decorated, args, {}):
        assert "autovmap" not in code
        check(decorated, args, {}, code)


@pytest.mark.parametrize("block", range(8))
def test_generated_patterns(block: int) -> None:
    """By their jaxprs alone: the values of the call itself are compared with einx's."""
    for i in range(scaled(25)):
        pattern, op, shapes, sizes = generated(25 * block + i)
        args = arrays(*shapes)
        mentioned = {name: size for name, size in sizes.items() if name in pattern}
        decorated = named_vmap(pattern, **mentioned)(op)
        for code in codes(decorated, args, {}):
            assert same_jaxpr(decorated, args, code), f"{pattern}\n{code}"


def key_data(shape: tuple[int, ...], raw: bool = False) -> Any:
    return jax.random.split((jax.random.PRNGKey if raw else jax.random.key)(0), shape)


class Strings(list[Any]):
    """No JAX node: a leaf that is no array."""


def noisy(key: Any, x: Any) -> Any:
    return x * jax.random.normal(key)


TREE = {"w": jnp.ones((10, 4, 1)) * jnp.arange(3.0), "b": jnp.ones((10, 4))}
ONES = jnp.ones
Call = tuple[str, dict[str, Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]
CALLS: dict[str, Call] = {
    "a tree": (
        "e [...], b [n] -> e b [...]",
        {},
        lambda p, x: {"y": p["w"] @ x + p["b"], "s": x.sum() * p["b"][0]},
        (TREE, ONES((5, 3))),
        {},
    ),
    "strings in the result": (
        "a [n] -> a, (a m)",
        {"m": 3},
        lambda x: ({"y": x.sum(), "name": "kept"}, x.sum()),
        (ONES((2, 3)),),
        {},
    ),
    "a list of two results": ("a -> a, 2 a", {}, lambda x: [x, 2 * x], (ONES(3),), {}),
    "a key for all": (
        ", a -> a b",
        {"b": 3, "randomness": "different"},
        noisy,
        (jax.random.key(0), ONES(2)),
        {},
    ),
    "a key for each, out of order": (
        "c a, a b c -> a b c",
        {"randomness": "different"},
        noisy,
        (key_data((3, 2)), ONES((2, 1, 3))),
        {},
    ),
    "a key that is composed": (
        "(c a), a b -> b a c",
        {"randomness": "different"},
        noisy,
        (key_data((6,)), ONES((2, 4))),
        {},
    ),
    "an axis of size 1 for a key": (
        "a, a b -> a b",
        {"randomness": "different"},
        noisy,
        (key_data((2,)), ONES((2, 1))),
        {},
    ),
    "a diagonal of keys": ("a a, a -> a", {}, noisy, (key_data((3, 3)), ONES(3)), {}),
    "outputs that are not stretched": (
        "a, b -> a b, (b a)",
        {"stretch_outputs": False},
        lambda x, y: (x, y),
        (ONES(2), ONES(3)),
        {},
    ),
    "a collective": (
        "a b -> a",
        {},
        lambda x: jax.lax.psum(x, "b"),
        (jnp.arange(6.0).reshape(2, 3),),
        {},
    ),
    "NumPy": (
        "(a b) [n], a [n] -> b a",
        {},
        lambda x, y: x.at[0].set(y.sum()).sum(),
        (np.ones((6, 4), np.float32), np.ones((2, 4), np.float32)),
        {},
    ),
    "keywords, defaults and what the pattern does not name": (
        "b [n], b -> b",
        {},
        lambda x, y=2.0, *, flag="no": x.sum() * y + len(flag),
        (),
        {"y": ONES(2), "x": ONES((2, 3)), "flag": "yes"},
    ),
    "*args": (
        "a, b, (a b) -> b a",
        {},
        lambda *xs: xs[0] + 2 * xs[1] + xs[2],
        (ONES(2), jnp.arange(3.0), jnp.arange(6.0)),
        {},
    ),
    "no batch axes": ("[a b] -> [(a b)]", {}, lambda x: x, (jnp.arange(6.0).reshape(2, 3),), {}),
    "dims of 1 in the result": ("[a] -> 1 [a] 1", {}, lambda x: x, (ONES(3),), {}),
    "a result whose sizes only the function tells": (
        "a -> ([m] a)",
        {},
        lambda x: x * jnp.arange(4.0),
        (ONES(3),),
        {},
    ),
    "whatever core dims, in between": (
        "(a b) [...] -> a 1 [...] b",
        {"a": 2},
        lambda t: t,
        ({"v": ONES((6, 3)), "m": ONES((6, 3, 4)), "s": ONES(6)},),
        {},
    ),
    "whatever core dims, in a composition": (
        "a b [...] -> b (a [...])",
        {},
        lambda t: t,
        ({"v": ONES((2, 3, 3)), "s": ONES((2, 3))},),
        {},
    ),
    "names that are taken": (
        "(a b) -> a b, (b a)",
        {"a": 2},
        lambda out: (out, -out),
        (ONES(6),),
        {},
    ),
    "spmd axis names": ("a b -> b a", {"spmd_axis_name": "x"}, jnp.sin, (ONES((2, 3)),), {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    pattern, declared, function, args, kwargs = CALLS[name]
    decorated = named_vmap(pattern, **declared)(function)
    # A folded index has no dims of size 1 in the code, outputs that are not stretched are found by
    # a second trace, and NumPy arrays are taken apart before JAX sees them.
    jaxpr = not any(word in name for word in ("a key", "not stretched", "NumPy"))
    found = decorated.plan_with_outputs(*args, **kwargs).code()
    check(decorated, args, kwargs, found, jaxpr)
    assert all(len(line) <= 100 for line in found.splitlines())
    if name not in ("strings in the result", "outputs that are not stretched"):
        if name == "a list of two results":  # taken for a tuple, which vmap would not have
            function = tuple_of(function)
            decorated = named_vmap(pattern, **declared)(function)
        check(decorated, args, kwargs, decorated.plan(*args, **kwargs).code(), jaxpr)


def tuple_of(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: tuple(function(x))


def test_a_method() -> None:
    class Model:
        scale = 3.0

        @named_vmap("b [n] -> b")
        def dot(self, x: Any) -> Any:
            return self.scale * x.sum()

    model, x = Model(), jnp.arange(6.0).reshape(2, 3)
    call = compiled(model.dot.plan_with_outputs(x).code())
    assert_same(call(Model.dot.__wrapped__, model, x), model.dot(x))


def test_a_loop_prints_the_vmapped_call() -> None:
    looped = named_vmap("a b, (a c) -> c b a")(jnp.add).loop()
    args = (jnp.ones((2, 3)), jnp.arange(8.0))
    plan = looped.plan_with_outputs(*args)
    assert any(step.startswith("loop: ") for step in plan.steps)
    assert_same(compiled(plan.code())(jnp.add, *args), looped(*args))


def test_it_is_as_short_as_one_would_write_it() -> None:
    decorated = named_vmap("b q [k] h, b [k] h c -> b q h c")(jnp.dot)
    plan = decorated.plan_with_outputs(jnp.ones((2, 5, 7, 3)), jnp.ones((2, 7, 3, 4)))
    assert plan.code().splitlines()[3:] == [
        "def call(f, a, b):",
        "    mapped = jax.vmap(f, in_axes=(None, 1), axis_name='c')",
        "    mapped = jax.vmap(mapped, in_axes=1, axis_name='h')",
        "    mapped = jax.vmap(mapped, in_axes=(0, None), axis_name='q')",
        "    mapped = jax.vmap(mapped, axis_name='b')",
        "    return mapped(a, b)",
    ]


def test_a_planted_mistake_is_seen() -> None:
    decorated = named_vmap("a b, (c a) -> b (a c)")(jnp.add)
    args = (jnp.arange(6.0).reshape(2, 3), jnp.arange(8.0))
    code = decorated.plan(*args).code()
    check(decorated, args, {}, code)
    for old, new in (("(3, 8)", "(8, 3)"), ("(4, 2)", "(2, 4)"), ("in_axes=(0, 1)", "in_axes=0")):
        assert old in code
        with pytest.raises((AssertionError, ValueError), match=r"."):
            check(decorated, args, {}, code.replace(old, new))


def test_symbolic_sizes() -> None:
    scope = jax.export.SymbolicScope()
    s, t = jax.export.symbolic_shape("s, t", scope=scope)
    named = named_vmap("(a b) [n] -> (b a)", a=2)(jnp.sum)
    call = compiled(named.plan(jax.ShapeDtypeStruct((2 * s, 3), "float32")).code())
    x = jnp.arange(24.0).reshape(8, 3)
    assert_same(call(jnp.sum, x), named(x))
    several = named_vmap("(a b), a, b -> a b")(lambda x, y, z: x)
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((s * t,), (s,), (t,))]
    with pytest.raises(SpecError, match="several symbolic sizes"):
        several.plan(*shapes).code()


def test_code_that_depends_on_the_result() -> None:
    both = named_vmap("a, b -> a b", stretch_outputs=False)(lambda x, y: x)
    with pytest.raises(SpecError, match=r"plan_with_outputs\(\.\.\.\)\.code\(\)"):
        both.plan(jnp.ones(2), jnp.ones(3)).code()
