"""The printed code does what the call does: the same result, by the same jaxpr."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings

from autovmap import auto_vmap
from strategies import Case, Module, cases, generic

pytestmark = pytest.mark.own


def compiled(code: str) -> Callable[..., Any]:
    """The `call` that printed code defines, with no other name in sight."""
    names: dict[str, Any] = {}
    exec(compile(code, "<plan.code()>", "exec"), names)
    return names["call"]


def is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, int, float, complex))


def raw(leaf: Any) -> Any:
    keys = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf)) if keys else np.asarray(leaf)


def assert_same(one: Any, other: Any) -> None:
    """Two results are equal to the bit, of one structure and of the same types."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert isinstance(a, jax.Array) == isinstance(b, jax.Array)
        if not is_array(a):
            assert a == b
            continue
        assert getattr(a, "dtype", type(a)) == getattr(b, "dtype", type(b))
        assert getattr(a, "weak_type", None) == getattr(b, "weak_type", None)
        np.testing.assert_array_equal(raw(a), raw(b))


def jaxpr_of(function: Callable[..., Any], args: Any, kwargs: Any) -> str:
    """The jaxpr of a call, as a function of its JAX arrays."""
    leaves, treedef = jax.tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

    def of_arrays(arrays: list[Any]) -> list[Any]:
        given = list(leaves)
        for i, array in zip(places, arrays, strict=True):
            given[i] = array
        rebuilt_args, rebuilt_kwargs = jax.tree.unflatten(treedef, given)
        in_order = {name: rebuilt_kwargs[name] for name in kwargs}  # JAX sorts the keys of a dict
        out = function(*rebuilt_args, **in_order)
        return [leaf for leaf in jax.tree.leaves(out) if is_array(leaf)]

    return str(jax.make_jaxpr(of_arrays)([leaves[i] for i in places]))


# Older versions write a copy down where jnp.asarray is given a NumPy array in a trace.
ASARRAY_IS_FREE = not jax.make_jaxpr(lambda: jnp.asarray(np.ones(2)))().jaxpr.eqns


def check(decorated: Any, args: Any, kwargs: Any, code: str, jaxpr: bool = True) -> None:
    """Run the printed code on a call's arguments, and compare."""
    call = compiled(code)
    function = decorated.__wrapped__
    assert_same(call(function, *args, **kwargs), decorated(*args, **kwargs))
    if jaxpr and ASARRAY_IS_FREE:
        printed = jaxpr_of(lambda *a, **k: call(function, *a, **k), args, kwargs)
        assert printed == jaxpr_of(decorated, args, kwargs)


def sortable(value: Any) -> bool:
    try:
        jax.tree.flatten(value)
    except ValueError:
        return False
    return True


@settings(cases(0.7), phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False)
@given(generic())
def test_the_code_does_what_the_call_does(case: Case) -> None:
    args, kwargs = case.call()
    function = case.function()
    decorated = auto_vmap(*case.ranks[0], **case.ranks[1])(function)
    if case.default is not None:
        kwargs["second"] = case.default.build()
    traced = decorated.plan_with_outputs(*args, **kwargs)
    check(decorated, args, kwargs, traced.code(), jaxpr=sortable((args, kwargs)))
    if all(output.array for output in traced.outputs or ()):
        check(decorated, args, kwargs, decorated.plan(*args, **kwargs).code(), jaxpr=False)


class Strict:
    """A node that refuses anything but arrays without batch dims, as distributions do."""

    def __init__(self, w: Any) -> None:
        if getattr(w, "ndim", 0) != 1:
            raise ValueError(f"w is {w!r}")
        self.w = w


def _unchecked(w: Any) -> Strict:
    node = object.__new__(Strict)
    node.w = w
    return node


jax.tree_util.register_pytree_node(
    Strict, lambda node: ((node.w,), None), lambda _, children: Strict(*children)
)

F32 = np.float32
ONES = jnp.ones
CALLS: dict[str, tuple[dict[str, Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "a node that validates": (
        {"node": 1, "x": 1},
        lambda node, x: node.w + x,
        (_unchecked(ONES((4, 3))), ONES((5, 1, 3))),
        {},
    ),
    "two trees of the user's": (
        {"m": 1, "n": 0},
        lambda m, x, n: (m.x + n.y, x),
        (Module(ONES((4, 3)), ONES((2, 1, 3))), "text", Module(ONES(4), ONES(()))),
        {},
    ),
    "NumPy that no layer maps": (
        {"a": 1, "b": 0},
        lambda a, b: a.at[0].set(b),
        (np.ones(3, F32), ONES(4)),
        {},
    ),
    "NumPy that passes through": (
        {"a": 1, "b": 0},
        lambda a, b: (a, b["c"]),
        (np.ones((4, 3), F32), {"c": np.ones((2, 1), F32), "d": ONES(4)}),
        {},
    ),
    "NumPy without a batch": ({"a": 1}, lambda a: a.at[0].set(1), (np.ones(3, F32),), {}),
    "NumPy in *args": (
        {"a": 0, "rest": 1},
        lambda a, *rest: a + sum(r.at[0].set(1) for r in rest),
        (ONES(4), np.ones(3, F32), np.ones((1, 3), F32)),
        {},
    ),
    "names that are taken": (
        {"f": 0, "jnp": 1, "leaves": 0, "call": 1},
        lambda f, jnp, leaves, tree, call: f + jnp["a"] + leaves + call[0] + tree,
        (ONES(4), {"a": ONES((4, 3)), "b": ONES(3)}, ONES(()), 1.0, (ONES((4, 3)),)),
        {},
    ),
    "a parameter called jax": ({"jax": 1}, lambda jax: jax.sum(), (ONES((4, 3)),), {}),
    "keywords that are no identifiers": (
        {"more": 1},
        lambda **more: sum(v.sum() for v in more.values()),
        (),
        {"a b": ONES((4, 3)), "class": ONES((2, 1, 3))},
    ),
    "axes and names": (
        {"x": 2, "in_axes": {"x": 1}, "out_axes": -1, "axis_name": ("i", "j", "k")},
        lambda x: {"a": x - jax.lax.psum(x, "j"), "b": 1.0},
        (ONES((2, 4, 5, 3)),),
        {},
    ),
    "a named axis that the call lacks": (
        {"x": 1, "axis_name": ("i", "j"), "out_axes": -1},
        lambda x: jax.lax.psum(x, ("i", "j")),
        (ONES((4, 3)),),
        {},
    ),
    "axes of size 1": ({"x": 1, "out_axes": -1}, lambda x: (x, 2.5), (ONES((1, 4, 1, 3)),), {}),
    "only axes of size 1": ({"x": 1}, lambda x: (x, 2.5, "a"), (ONES((1, 1, 3)),), {}),
    "out_axes by output": (
        {"x": 1, "out_axes": (1, {"a": -1, "b": None})},
        lambda x: (x, {"a": x, "b": 3.0}),
        (ONES((5, 4, 3)),),
        {},
    ),
    "out_axes by output, and an axis of 1": (
        {"x": 1, "out_axes": (1, {"a": -1, "b": None})},
        lambda x: (x, {"a": x, "b": 3.0}),
        (ONES((5, 1, 4, 3)),),
        {},
    ),
    "outputs that are not stretched": (
        {"x": 1, "y": 0, "stretch_outputs": False},
        lambda x, y: (x, y, x + y, "text", 2),
        (ONES((5, 1, 3)), ONES((1, 4))),
        {},
    ),
    "folded keys": (
        {"k": "key", "x": 0, "randomness": "different"},
        lambda k, x: x + jax.random.normal(k),
        (jax.random.split(jax.random.key(0), (3, 1)), ONES((2, 3, 4))),
        {},
    ),
    "folded raw keys": (
        {"k": "key", "x": 0, "randomness": "different"},
        lambda k, x: x + jax.random.normal(k),
        (jax.random.split(jax.random.PRNGKey(0), 3), ONES((2, 3, 1))),
        {},
    ),
    "many leaves": (
        {"tree": 1},
        lambda tree: sum(tree),
        ([*[ONES((4, 3))] * 12, ONES((5, 1, 3))],),
        {},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    declared, function, args, kwargs = CALLS[name]
    if "call" in declared or "jax" in declared:
        declared = {"ranks": declared}
    decorated = auto_vmap(**declared)(function)
    plan = decorated.plan_with_outputs(*args, **kwargs)
    # Outputs that are not stretched are found by a second trace; a node that validates can't be an
    # argument of make_jaxpr.
    jaxpr = not ("not stretched" in name or "validates" in name)
    check(decorated, args, kwargs, plan.code(), jaxpr)
    assert all(len(line) <= 100 for line in plan.code().splitlines())


def test_batch_and_outer() -> None:
    decorated = auto_vmap(k="key", x=0, randomness="different")(lambda k, x, y: x)
    drawn = decorated.batch(5)
    args = (jax.random.key(0), ONES((4, 1)), "y")
    check(drawn, args, {}, drawn.plan(*args).code())
    unranked = auto_vmap(x=None)(lambda x: x).batch(5, 2)
    check(unranked, (ONES(3),), {}, unranked.plan(ONES(3)).code())
    crossed = auto_vmap(x=1, y=0)(lambda x, y: x * y).outer()
    args = (ONES((4, 3)), ONES((2, 5)))
    check(crossed, args, {}, crossed.plan(*args).code())


def test_a_planted_mistake_is_seen() -> None:
    decorated = auto_vmap(x=1, y=1)(lambda x, y: x + y)
    args = (jnp.arange(12.0).reshape(4, 3), jnp.arange(15.0).reshape(5, 1, 3))
    code = decorated.plan(*args).code()
    wrong = code.replace("in_axes=(None, 0)", "in_axes=(0, None)")
    assert wrong != code
    with pytest.raises((AssertionError, ValueError), match=r"."):
        check(decorated, args, {}, wrong)


def test_it_is_as_short_as_one_would_write_it() -> None:
    decorated = auto_vmap(s=0, v=1, m=2)(lambda s, v, m: v @ m @ v + s)
    code = decorated.plan(2.0, ONES((5, 3)), ONES((7, 5, 3, 3))).code()
    assert code.splitlines()[-1] == (
        "    return jax.vmap(jax.vmap(f, in_axes=(None, 0, 0)), in_axes=(None, None, 0))(s, v, m)"
    )


def test_strings_in_a_result() -> None:
    """Without the outputs nothing tells of them; where nothing is mapped they pass all the same."""

    def labelled(x: Any) -> Any:
        return {"y": 2 * x, "name": "kept"}

    decorated = auto_vmap(x=1)(labelled)
    batch, one = (ONES((4, 3)),), (ONES(3),)
    check(decorated, one, {}, decorated.plan(*one).code())
    check(decorated, batch, {}, decorated.plan_with_outputs(*batch).code())
    code = decorated.plan(*batch).code()
    with pytest.raises(TypeError, match="is not a valid JAX type"):
        compiled(code)(labelled, *batch)
