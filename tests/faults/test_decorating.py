"""What goes wrong when decorating: rows 1 to 12 of faults.md that need no later feature."""

import builtins
import functools
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import AutoVmapError, SpecError, auto_vmap
from faults.saying import says
from faults.subjects import async_generator, clashing, coroutine, generator, plain, varied

Make = Callable[[], Any]


class Awaited:
    """A callable whose call is async."""

    async def __call__(self, x: Any) -> Any:
        return x


NOT_A_RANK = 'non-negative int, None (not mapped), "key"'

RANKS: list[tuple[str, Make, tuple[str, ...]]] = [
    ("01 negative", lambda: auto_vmap(x=-1)(plain), ("base rank x", "-1", "non-negative int")),
    (
        "01 negative in a tree",
        lambda: auto_vmap(x={"a": [-1]})(plain),
        ("base rank x['a'][0]", "-1", "a non-negative int or None"),
    ),
    ("01 negative by position", lambda: auto_vmap(0, (1, -2))(plain), ("base rank y[1]", "-2")),
    ("02 bool", lambda: auto_vmap(x=True)(plain), ("base rank x", "True", "bool", NOT_A_RANK)),
    ("02 float", lambda: auto_vmap(x=1.5)(plain), ("base rank x", "1.5", "float", NOT_A_RANK)),
    ("02 str", lambda: auto_vmap(x="1")(plain), ("base rank x", "'1'", "str", NOT_A_RANK)),
    ("02 str in a tree", lambda: auto_vmap(x=("keys",))(plain), ("x[0]", "'keys'", "str")),
    ("02 np.bool", lambda: auto_vmap(x=np.True_)(plain), ("base rank x", "bool", NOT_A_RANK)),
    (
        "02 array",
        lambda: auto_vmap(x=np.ones(2))(plain),
        ("rank x", "float64[2]", "with like(...)"),
    ),
    (
        "02 function",
        lambda: auto_vmap(x=plain)(plain),
        ("base rank x", "got a function", "for methods"),
    ),
    ("03 unknown", lambda: auto_vmap(z=1)(plain), ("plain()", "'z'", "parameters are: x, y")),
    ("03 none at all", lambda: auto_vmap(z=1)(lambda: 0), ("<lambda>()", "'z'", "none")),
    ("03 in ranks", lambda: auto_vmap(ranks={"z": 1})(plain), ("plain()", "'z'", "x, y")),
    (
        "03 a keyword of **kwargs",
        lambda: auto_vmap(z=1)(varied),
        ("varied()", "'z'", "x, rest, extra", "extra={'z': ...}"),
    ),
    ("03 in in_axes", lambda: auto_vmap(x=1, in_axes={"z": 1})(plain), ("plain()", "'z'", "x, y")),
    (
        "04 too many",
        lambda: auto_vmap(0, 1, 2)(plain),
        ("plain()", "3 ranks", "2 positional", "x, y"),
    ),
    (
        "04 keyword-only ones do not count",
        lambda: auto_vmap(0, 1)(lambda x, *, y: x),
        ("2 ranks", "1 positional", "(x)"),
    ),
    (
        "04 in in_axes",
        lambda: auto_vmap(0, in_axes=(0, 0, 0))(plain),
        ("plain()", "in_axes", "3 entries", "2 parameters", "x, y"),
    ),
    ("05 twice", lambda: auto_vmap(0, x=1)(plain), ("plain()", "'x'", "by position and by name")),
    (
        "05 twice by name",
        lambda: auto_vmap(x=1, ranks={"x": 1})(plain),
        ("plain()", "'x'", "twice"),
    ),
    ("06 bare", lambda: auto_vmap(plain), ("plain()", "@auto_vmap(x=0, y=0)")),
    ("06 bare lambda", lambda: auto_vmap(lambda z: z), ("<lambda>()", "@auto_vmap(z=0)")),
    (
        "07 a dict by position",
        lambda: auto_vmap({"x": 1, "y": 0})(plain),
        ("plain()", "did you mean auto_vmap(**...)", "auto_vmap(x=1, y=0)"),
    ),
    ("08 a number", lambda: auto_vmap(x=1)(3), ("callable", "3", "int")),
    ("08 a string", lambda: auto_vmap(x=1)("plain"), ("callable", "'plain'", "str")),
    ("08 an array", lambda: auto_vmap(x=1)(jnp.ones(3)), ("callable", "Array")),
    ("08 a property", lambda: auto_vmap(x=1)(property(plain)), ("callable", "property")),
    ("09 max", lambda: auto_vmap(0)(builtins.max), ("max", "no signature", "lambda x: max(x)")),
    (
        "09 iter",
        lambda: auto_vmap(0)(builtins.iter),
        ("iter", "no signature", "wrap it"),
    ),
    ("10 async", lambda: auto_vmap(x=1)(coroutine), ("coroutine()", "async function")),
    ("10 generator", lambda: auto_vmap(x=1)(generator), ("generator()", "a generator function")),
    (
        "10 async generator",
        lambda: auto_vmap(x=1)(async_generator),
        ("async_generator()", "async generator"),
    ),
    (
        "10 partial of async",
        lambda: auto_vmap(x=1)(functools.partial(coroutine)),
        ("coroutine", "async function"),
    ),
    ("10 async __call__", lambda: auto_vmap(x=1)(Awaited()), ("Awaited", "async function")),
    ("10 below staticmethod", lambda: auto_vmap(x=1)(staticmethod(generator)), ("generator()",)),
    (
        "11 axis names",
        lambda: auto_vmap(x=0, axis_name=("a", "b", "a"))(plain),
        ("plain()", "axis_name", "'a' twice"),
    ),
    (
        "11 spmd axis names",
        lambda: auto_vmap(x=0, spmd_axis_name=("a", "a"))(plain),
        ("plain()", "spmd_axis_name", "'a' twice"),
    ),
    (
        "11 an option's name is a parameter's",
        lambda: auto_vmap(x=1, out_axes=0)(clashing),
        ("clashing()", "out_axes=0", "option", "parameter 'out_axes'", "ranks={'out_axes': ...}"),
    ),
    (
        "11 ranks that are no mapping",
        lambda: auto_vmap(ranks=3)(plain),
        ("plain()", "ranks is 3", "mapping"),
    ),
    (
        "11 randomness",
        lambda: auto_vmap(x=0, randomness="other")(plain),
        ("plain()", "randomness", "'other'", '"same", "different" or "error"'),
    ),
    ("11 strict", lambda: auto_vmap(x=0, strict=1)(plain), ("plain()", "strict is 1", "True or")),
    ("11 out_axes", lambda: auto_vmap(x=0, out_axes=1.5)(plain), ("out_axes", "1.5", "float")),
    ("11 in_axes", lambda: auto_vmap(x=0, in_axes=[0])(plain), ("in_axes", "[0]", "dict by param")),
    (
        "11 in_axes of one parameter",
        lambda: auto_vmap(x=0, in_axes={"x": {"a": "b"}})(plain),
        ("in_axes['x']['a']", "'b'", "str"),
    ),
]


@pytest.mark.parametrize(("make", "parts"), [pytest.param(*row[1:], id=row[0]) for row in RANKS])
def test_refused(make: Make, parts: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match=says(*parts)) as raised:
        make()
    assert isinstance(raised.value, (AutoVmapError, TypeError))


MENDED: list[tuple[str, Make]] = [
    ("02 np.integer", lambda: auto_vmap(a=np.int64(1))(jnp.sum)),
    ("02 np.uint8 by position", lambda: auto_vmap(np.uint8(1))(jnp.sum)),
    ("06 the remedy", lambda: auto_vmap(x=1)(lambda x: x.sum())),
    ("07 the remedy", lambda: auto_vmap(**{"x": 1})(lambda x: x.sum())),
    ("09 the remedy", lambda: auto_vmap(x=1)(lambda x: sum(x))),
    ("11 ranks that are a parameter's name", lambda: auto_vmap(ranks={"strict": 1})(_strict)),
    ("11 ranks={} says option", lambda: auto_vmap(1, strict=False, ranks={})(_strict)),
]


def _strict(strict: Any) -> Any:
    return strict.sum()


@pytest.mark.parametrize("make", [pytest.param(row[1], id=row[0]) for row in MENDED])
def test_accepted(make: Make) -> None:
    result = make()(jnp.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(result, [3.0, 12.0])


def test_02_the_marker_key_is_a_rank() -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    result = auto_vmap(k="key")(_draw)(keys)
    np.testing.assert_array_equal(result, jnp.stack([_draw(key) for key in keys]))


def _draw(k: Any) -> Any:
    return jax.random.uniform(k)


@pytest.mark.parametrize(
    "owner_kind", [staticmethod, classmethod], ids=["08 staticmethod", "08 classmethod"]
)
@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
def test_08_above_and_below(owner_kind: Any, above: bool) -> None:
    if owner_kind is staticmethod:

        def total(x: Any) -> Any:
            return x.sum()

    else:

        def total(cls: Any, x: Any) -> Any:
            return x.sum()

    decorated = auto_vmap(x=1)(owner_kind(total)) if above else owner_kind(auto_vmap(x=1)(total))
    owner = type("Owner", (), {"total": decorated})
    for holder in (owner, owner()):
        assert holder.total(jnp.ones((4, 3))).shape == (4,)
        if above or owner_kind is staticmethod or sys.version_info < (3, 13):
            assert holder.total.plan(jnp.ones((4, 3))).batch_shape == (4,)
