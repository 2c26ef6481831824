"""A declaration like one that is there finds it again, and nothing lives longer for it."""

import copy
import functools
import gc
import pickle
import warnings
import weakref
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BoundAutoVmapped, SpecError, auto_vmap

x = np.arange(15.0, dtype=np.float32).reshape(5, 3)
TRACES: list[str] = []


def equal(got: Any, want: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-6)


def total(x):
    TRACES.append("total")
    return x.sum()


def test_the_same_declaration_is_found() -> None:
    assert auto_vmap(x=1)(total) is auto_vmap(x=1)(total)
    assert auto_vmap(1)(total) is auto_vmap(1)(total)
    assert auto_vmap(x=1, out_axes=-1)(total) is auto_vmap(x=1, out_axes=-1)(total)
    assert auto_vmap(x={"a": (1, None)})(total) is auto_vmap(x={"a": (1, None)})(total)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": 1}, {"x": 0}),
        ({"x": 1}, {"x": 1, "out_axes": -1}),
        ({"x": {"a": 1, "b": 0}}, {"x": {"b": 0, "a": 1}}),
        ({"x": (1, 0)}, {"x": [1, 0]}),
        ({"x": 1, "strict": True}, {"x": 1, "strict": False}),
    ],
)
def test_another_declaration_is_not(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert auto_vmap(**one)(total) is not auto_vmap(**other)(total)


def test_what_is_equal_and_means_something_else_is_refused_still() -> None:
    auto_vmap(x=1)(total)
    for wrong in (True, 1.0):
        with pytest.raises(SpecError, match="base rank x"):
            auto_vmap(x=wrong)(total)


def test_a_function_whose_code_was_replaced_is_read_anew() -> None:
    def template(x):
        return x.sum()

    def other(x, y):
        return x.sum() + y

    function = functools.update_wrapper(lambda: None, template)
    function.__code__ = template.__code__
    before = auto_vmap(x=1)(function)
    function.__code__ = other.__code__
    assert auto_vmap(x=1)(function) is not before


def test_a_function_whose_annotations_or_defaults_were_replaced_is_read_anew() -> None:
    def power(x, n=2):
        return x**n

    compiled = auto_vmap(x=1)(power).jit()
    assert compiled.static_argnames == ("n",)
    power.__annotations__ = {"n": "float"}
    assert auto_vmap(x=1)(power).jit().static_argnames == ()
    power.__annotations__ = {}
    power.__defaults__ = (2.0,)
    assert auto_vmap(x=1)(power).jit().static_argnames == ()


def test_wrappers_and_copies_do_not_share_it() -> None:
    decorated = auto_vmap(x=1)(total)

    @functools.wraps(total)
    def wrapped(x):
        return 2 * total(x)

    equal(auto_vmap(x=1)(wrapped)(x), 2 * x.sum(1))
    assert copy.deepcopy(total) is total
    assert pickle.loads(pickle.dumps(total)) is total
    assert auto_vmap(x=1)(total) is decorated


class Flow(NamedTuple):
    shift: Any

    def _one(self, x):
        TRACES.append("one")
        return (x + self.shift).sum()

    def plain(self, x):
        return auto_vmap(1)(self._one)(x)

    def compiled(self, x):
        return auto_vmap(1)(self._one).jit()(x)

    def chunked(self, x):
        return auto_vmap(1)(self._one).chunk(2)(x)


@dataclass(frozen=True)
class Fixed:
    shift: float

    def _one(self, x):
        TRACES.append("one")
        return (x + self.shift).sum()

    def compiled(self, x):
        return auto_vmap(1)(self._one).jit()(x)


class Changing:
    def __init__(self) -> None:
        self.shift = 1.0

    def _one(self, x):
        TRACES.append("one")
        return (x + self.shift).sum()

    def plain(self, x):
        return auto_vmap(1)(self._one)(x)

    def compiled(self, x):
        return auto_vmap(1)(self._one).jit()(x)


def test_in_a_method_of_a_pytree_one_trace_serves_all_objects() -> None:
    Flow(0.0).compiled(x)
    TRACES.clear()
    for shift in range(5):
        equal(Flow(jnp.float32(shift)).compiled(x), (x + shift).sum(1))
    assert len(TRACES) == 1
    TRACES.clear()
    for shift in range(5):
        equal(Flow(jnp.float32(shift)).plain(x), (x + shift).sum(1))
        equal(Flow(np.float32(shift)).chunked(x), (x + shift).sum(1))
    assert isinstance(auto_vmap(1)(Flow(1.0)._one), BoundAutoVmapped)


def test_in_a_method_of_a_constant_object_one_trace_serves_equal_objects() -> None:
    TRACES.clear()
    for shift in (1.0, 2.0, 1.0, 2.0, 1.0):
        equal(Fixed(shift).compiled(x), (x + shift).sum(1))
    assert len(TRACES) == 2


def test_of_an_object_that_can_change_nothing_compiled_is_found_again() -> None:
    changing = Changing()
    for shift in range(4):
        changing.shift = float(shift)
        equal(changing.compiled(x), (x + shift).sum(1))
        equal(changing.plain(x), (x + shift).sum(1))


def test_of_a_function_made_anew_nothing_lives_longer() -> None:
    def make() -> Any:
        held = np.ones(3, np.float32)
        function = lambda x: (x * held).sum()  # noqa: E731
        kept.append(weakref.ref(held))
        return auto_vmap(x=1)(function)

    kept: list[Any] = []
    decorated = make()
    equal(decorated(x), x.sum(1))
    assert auto_vmap(x=1)(decorated.__wrapped__) is decorated
    assert kept[0]() is not None
    del decorated
    gc.collect()
    assert kept[0]() is None


def test_a_declaration_alone_is_released_at_once() -> None:
    gc.disable()
    try:
        decorated = auto_vmap(x=1)(lambda x: x.sum())
        equal(decorated(x), x.sum(1))
        alive = weakref.ref(decorated)
        del decorated
        assert alive() is None
    finally:
        gc.enable()


def test_the_eighth_function_of_one_code_warns() -> None:
    def make(n: int) -> Any:
        return auto_vmap(x=1)(lambda x: n * x.sum()).jit()

    kept = [make(n) for n in range(7)]
    with pytest.warns(
        UserWarning, match="the same code is being compiled for the eighth time"
    ) as said:
        kept.append(make(7))
    assert said[0].filename == __file__
    kept.append(make(8))
    equal(kept[3](x), 3 * x.sum(1))


def test_the_eighth_declaration_of_one_class_method_warns() -> None:
    """A bound method is made anew each time, though it equals the one before."""

    class Totals:
        @classmethod
        def total(cls, x: Any) -> Any:
            return x.sum()

    kept = [auto_vmap(1)(Totals.total).jit() for _ in range(7)]
    with pytest.warns(UserWarning, match="for the eighth time"):
        kept.append(auto_vmap(1)(Totals.total).jit())


def test_variants_of_one_function_do_not_count() -> None:
    decorated = auto_vmap(x=1)(lambda x: x.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len([decorated.chunk(n).jit() for n in range(1, 12)]) == 11


def test_compilations_are_counted() -> None:
    TRACES.clear()
    for _ in range(5):
        auto_vmap(x=1, out_axes=0)(total).jit()(x)
    assert TRACES == ["total"]
