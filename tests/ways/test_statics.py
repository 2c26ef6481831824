"""What is static in a compiled call: constant all the way down, or no old result comes of it."""

import cmath
import collections
import contextlib
import dataclasses
import enum
import functools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap

equal = np.testing.assert_array_equal

MESH = jax.sharding.Mesh(jax.devices()[:1], ("d",))
X = np.arange(1.0, 4.0, dtype=np.float32)

KEYED: dict[str, Callable[[Any], Any]] = {
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "bucket": lambda f: f.bucket(),
    "shard": lambda f: f.shard("d", mesh=MESH),
}
"""The ways that look into a static value at each call."""
WAYS = {"jit": lambda f: f.jit(), **KEYED}


class Scale:
    """A callable with state that can be set."""

    def __init__(self, factor: Any) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return x * self.factor

    def bound(self, x: Any) -> Any:
        """The same as a method."""
        return x * self.factor


class Compared(Scale):
    """With a hash and an equality of its own, which see no change."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compared)

    def __hash__(self) -> int:
        return 1

    @auto_vmap(x=0)
    def method(self, x: Any) -> Any:
        """A method of which the object is static."""
        return x * self.factor


@dataclasses.dataclass(frozen=True, eq=False)
class Frozen:
    """A frozen dataclass, which holds anything."""

    inside: Any

    def __call__(self, x: Any) -> Any:
        return x * self.inside[0]

    @auto_vmap(x=0)
    def method(self, x: Any) -> Any:
        """A method of which the object is static."""
        return x * self.inside[0]


class Choice(enum.Enum):
    """An enum whose members hold what may change."""

    LISTED = [2]  # noqa: RUF012
    FACTOR = 3

    def __init__(self, given: Any) -> None:
        if given == 3:
            self.factors = [2]

    def bound(self, x: Any) -> Any:
        """A method of a member."""
        return x


@contextlib.contextmanager
def refused(text: str) -> Iterator[None]:
    """An error of ours that says so, however its lines are broken."""
    with pytest.raises(SpecError, match=r"\w") as caught:
        yield
    said = " ".join(str(caught.value).split())
    assert re.search(text, said), said


@auto_vmap(x=0)
def applied(x: Any, fn: Any = jnp.sin) -> Any:
    """A function of one example, and a static one."""
    return fn(x)


def over_list() -> tuple[Any, Callable[[], None]]:
    """A function that closes over a list, and what changes it."""
    held = [2]
    return (lambda x: x * held[0]), lambda: held.__setitem__(0, 3)


def over_array() -> tuple[Any, Callable[[], None]]:
    """A function that closes over a NumPy array, and what changes it."""
    held = np.full(1, 2, np.float32)
    return (lambda x: x * held[0]), lambda: held.fill(3)


def over_object() -> tuple[Any, Callable[[], None]]:
    """A function that closes over an object of no meaning to JAX, and what changes it."""
    held = collections.UserDict(factor=2)
    scale = Scale(held)
    return (lambda x: x * scale.factor["factor"]), lambda: held.update(factor=3)


def of(make: Callable[[Any], Any], attribute: str) -> Callable[[], tuple[Any, Any]]:
    """An object, or a part of it, and what changes it."""

    def made() -> tuple[Any, Callable[[], None]]:
        held = make(2)
        value = getattr(held, attribute) if attribute else held
        return value, lambda: setattr(held, "factor", 3)

    return made


SETTABLE = {
    "callable": of(Scale, ""),
    "bound method": of(Scale, "bound"),
    "compared": of(Compared, ""),
    "partial": lambda: (lambda s: (functools.partial(s), lambda: setattr(s, "factor", 3)))(
        Scale(2)
    ),
    "closes over a list": over_list,
    "closes over an array": over_array,
    "closes over an object": over_object,
}


@pytest.mark.parametrize("way", KEYED)
@pytest.mark.parametrize("kind", SETTABLE)
def test_a_static_value_that_was_changed_gives_the_new_result(kind: str, way: str) -> None:
    fn, change = SETTABLE[kind]()
    run = KEYED[way](applied)
    equal(run(X, fn), 2 * X)
    change()
    equal(run(X, fn), 3 * X)


@pytest.mark.parametrize("kind", sorted(SETTABLE.keys() - {"closes over an array"}))
def test_jit_refuses_what_can_be_changed_and_names_the_way_that_does_not(kind: str) -> None:
    fn, _ = SETTABLE[kind]()
    match = r"applied\.jit\(\): fn is a .*after they change; call \.jit\(partition=True\)"
    with refused(match):
        applied.jit()(X, fn=fn)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (Frozen([2]), r"fn is a Frozen whose \.inside is a list, which has no hash"),
        (Frozen(np.ones(1)), r"fn is a Frozen whose \.inside is a ndarray, which has no hash"),
        (Frozen((1, {})), r"fn is a Frozen whose \.inside\[1\] is a dict, which has no hash"),
        (Frozen([2]).__call__, r"fn is a method whose \.__self__\.inside is a list"),
        (functools.partial(jnp.add, [1]), r"fn is a partial whose \.args\[0\] is a list"),
        ([2].index, r"fn is a builtin_function_or_method whose \.__self__ is a list"),
        (Choice.LISTED, r"fn is a Choice whose \.value is a list"),
        (Choice.FACTOR.bound, r"fn is a method whose \.__self__\.factors is a list"),
    ],
)
def test_a_static_value_that_holds_what_can_change_is_refused(fn: Any, text: str, way: str) -> None:
    with refused(f"{text}.*hold a tuple, a number or a frozen dataclass"):
        WAYS[way](applied)(X, fn=fn)


@pytest.mark.parametrize("way", WAYS)
def test_an_object_of_a_method_is_constant_all_the_way_down(way: str) -> None:
    equal(WAYS[way](Frozen((2,)).method)(X), 2 * X)
    with refused(r"self is a Frozen whose \.inside is a list"):
        WAYS[way](Frozen([2]).method)(X)
    held = Compared(2)
    if way == "jit":
        with refused(r"self is a Compared, which .*attributes be set"):
            held.method.jit()(X)
        return
    run = KEYED[way](held.method)
    equal(run(X), 2 * X)
    held.factor = 3
    equal(run(X), 3 * X)


@pytest.mark.parametrize("way", KEYED)
@pytest.mark.parametrize(
    ("one", "other", "read"),
    [
        (0.0, -0.0, lambda v: math.copysign(1, v)),
        (complex(-1, 0.0), complex(-1, -0.0), lambda v: cmath.phase(v)),
        ((1, (0.0,)), (1, (-0.0,)), lambda v: math.copysign(1, v[1][0])),
        (1, True, lambda v: 2.0 if v is True else 3.0),
        (1, 1.0, lambda v: 2.0 if type(v) is int else 3.0),
        (range(2, 2), range(3, 3), lambda v: v.start),
    ],
)
def test_statics_that_are_equal_and_not_the_same_have_their_own_programs(
    one: Any, other: Any, read: Any, way: str
) -> None:
    f = auto_vmap(x=0)(lambda x, c=None: x * read(c.inside))
    run = KEYED[way](f)
    for value in (one, other):
        equal(run(X, Frozen(value)), f(X, Frozen(value)))


@pytest.mark.parametrize("way", KEYED)
def test_a_nan_is_compiled_once(way: str) -> None:
    traces: list[int] = []

    def f(x: Any, c: Any = None) -> Any:
        traces.append(1)
        return x * c["nan"]

    run = KEYED[way](auto_vmap(x=0)(f))
    for _ in range(3):
        run(X, {"nan": float("nan")})
        counts = len(traces)
    assert counts == len(traces)
    assert counts <= 2  # a chunk's shapes are traced apart


@pytest.mark.parametrize("way", KEYED)
def test_functions_over_arrays_and_libraries_go_on_working(way: str) -> None:
    weights = jnp.full((), 2.0)
    for fn in (lambda x: x * weights, jax.nn.relu, jnp.add, jax.jit(jnp.cos)):
        if fn is jnp.add:
            fn = functools.partial(fn, 1.0)
        equal(KEYED[way](applied)(X, fn), applied(X, fn))


@pytest.mark.parametrize("way", KEYED)
def test_an_array_that_jax_would_misread_is_refused_without_a_rank_too(way: str) -> None:
    f = auto_vmap(x=0)(lambda x, u: x + u.sum())
    run = KEYED[way](f)
    run(X, X)
    with refused(r"u has dtype >f4 and shape \(3,\), which JAX can't"):
        run(X, X.astype(">f4"))
    with refused(r"u is a masked array, .*drop the mask.*filled"):
        run(X, np.ma.masked_array(X, [0, 1, 0]))


@pytest.mark.parametrize("way", KEYED)
def test_a_number_in_a_tree_warns_at_its_eighth_value(way: str) -> None:
    run = KEYED[way](auto_vmap(p={"w": 0, "n": 0})(lambda p: p["w"] * p["n"]))
    for n in range(7):
        run({"w": X, "n": n})
    with pytest.warns(
        UserWarning, match=r"(?s)p\['n'\] is a static number.*eighth.*asarray\(p\['n'\]"
    ):
        run({"w": X, "n": 7})
