"""A static value is told from one that `==` holds equal to it, in each way of running."""

import dataclasses
import enum
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import auto_vmap

pytestmark = pytest.mark.filterwarnings("ignore:.*takes its eighth value")

X = jnp.ones((2, 3))


@dataclasses.dataclass(frozen=True)
class Frozen:
    value: Any


@dataclasses.dataclass(frozen=True)
class Uncompared:
    value: Any = dataclasses.field(compare=False)


class One(enum.IntEnum):
    ONE = 1


WRAPS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda v: v,
    "in a tuple": lambda v: (v,),
    "deep in tuples": lambda v: (("a", (v, 2)),),
    "in a frozen dataclass": Frozen,
    "in a field that is not compared": Uncompared,
    "in a tuple of a dataclass": lambda v: (Frozen((v,)),),
}
AN_HOUR_ON = timezone(timedelta(hours=1))
ONE_MOMENT = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, 1, tzinfo=AN_HOUR_ON))
ALIKE: list[tuple[Any, ...]] = [
    (0.0, -0.0),
    (0, 0.0, -0.0, False),
    (1, True, 1.0, 1 + 0j, np.float64(1), np.int32(1), np.float32(1), One.ONE),
    (0j, -0.0 + 0j, complex(0.0, -0.0)),
    (np.float64(0.0), np.float64(-0.0)),
    (*(range(0), range(1, 1)), *(Decimal("1.0"), Decimal("1.00")), *ONE_MOMENT),
]


def told(value: Any) -> float:
    """A number that tells values apart, however they are equal."""
    if isinstance(value, tuple):
        return sum((i + 2) * told(v) for i, v in enumerate(value))
    if isinstance(value, (Frozen, Uncompared)):
        return 3 * told(value.value)
    if isinstance(value, str):
        return 1.0
    if isinstance(value, (range, Decimal, datetime)):
        return float(sum(map(ord, repr(value))))
    kinds: tuple[Any, ...] = (bool, One, int, np.float64, float, complex, np.int32, np.float32)
    kind = next(i for i, k in enumerate(kinds) if isinstance(value, k))
    signs = complex(value)
    return 10 * kind + math.copysign(1, signs.real) + 2 * math.copysign(1, signs.imag)


def static(x: Any, value: Any) -> Any:
    return x.sum() + told(value)


def by_default(x: Any, *, value: Any = "a") -> Any:
    return x.sum() + told(value)


def calls(call: Any) -> Callable[[Any], Any]:
    return lambda value: call(X, value)


def methods() -> dict[str, Callable[[Any], Any]]:
    """What gives a result for a static value, in each way of running."""
    f = auto_vmap(x=1)(static)
    jitted = f.jit(static_argnames="value")
    named = auto_vmap(x=1)(by_default).jit(static_argnames="value")
    partition = f.jit(partition=True, static_argnames="value")
    chunked = f.chunk(1).jit(static_argnames="value")
    fresh = f.replace(out_axes=0).jit(static_argnames="value")
    return {
        "jit": calls(jitted),
        "jit, by keyword": lambda value: jitted(x=X, value=value),
        "jit, keyword-only": lambda value: named(X, value=value),
        "jit of NumPy arrays": lambda value: jitted(np.asarray(X), value),
        "lower": lambda value: jitted.lower(X, value).compile()(X),
        "trace": lambda value: fresh.trace(X, value).lower().compile()(X),
        "partition": calls(partition),
        "chunk in jit": calls(chunked),
    }


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("alike", ALIKE, ids=str)
@pytest.mark.parametrize("way", methods())
def test_values_that_are_equal_get_their_own_results(
    alike: tuple[Any, ...], wrap: str, way: str
) -> None:
    call = methods()[way]
    for _ in range(2):  # traced, and warm
        for value in map(WRAPS[wrap], alike):
            want = X.sum(1) + told(value)
            np.testing.assert_array_equal(call(value), want)


@pytest.mark.parametrize("way", ["jit, by keyword", "jit, keyword-only"])
def test_numbers_in_static_keywords_get_their_own_results(way: str) -> None:
    """An old JAX does not tell their types apart: these cases are tried with every version."""
    for alike in ALIKE:
        test_values_that_are_equal_get_their_own_results(alike, "itself", way)


EQUAL = st.sampled_from([v for values in ALIKE for v in values])
VALUES = st.recursive(
    EQUAL, lambda inner: st.tuples(inner, inner) | inner.map(Frozen), max_leaves=4
)


@given(st.lists(VALUES, min_size=2, max_size=4))
def test_no_result_is_that_of_another_value(values: list[Any]) -> None:
    jitted = auto_vmap(x=1)(static).jit(static_argnames="value")
    for value in (*values, *values):
        np.testing.assert_array_equal(jitted(X, value), X.sum(1) + told(value))


def test_a_method_of_a_static_object_tells_objects_apart() -> None:
    @dataclasses.dataclass(frozen=True)
    class Scale:
        by: float

        @auto_vmap(x=1)
        def of(self, x: Any) -> Any:
            return x.sum() + math.copysign(1, self.by)

        compiled = of.jit()

    for by in (0.0, -0.0, 0.0):
        want = X.sum(1) + math.copysign(1, by)
        np.testing.assert_array_equal(Scale(by).of.jit()(X), want)
        np.testing.assert_array_equal(Scale(by).compiled(X), want)


@pytest.mark.parametrize(
    "value", [0.0, math.nan, 1.5, (1, 2.0), Frozen((0.0,)), np.float64(0), True], ids=repr
)
def test_the_same_value_is_traced_once(value: Any) -> None:
    traces = []

    def counted(x: Any, value: Any) -> Any:
        traces.append(1)
        return x.sum()

    jitted = auto_vmap(x=1)(counted).jit(static_argnames="value")
    for _ in range(3):
        again = dataclasses.replace(value) if isinstance(value, Frozen) else value
        jitted(X, again)
        jitted(X, value=again)
    assert len(traces) <= 2  # by position and by keyword
