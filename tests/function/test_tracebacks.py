"""Tracebacks end at the user's line: the library's own frames are left out."""

import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import autovmap
from autovmap import AutoVmapError, auto_vmap, infer_ranks, named_vmap
from autovmap.compat import functorch
from autovmap.compat.jax import vectorize, vmap

PACKAGE = str(Path(autovmap.__file__).parent)
X = jnp.ones((5, 3))


class Odd(Exception):
    """What somebody's function raises."""


@auto_vmap(x=1)
def odd(x: Any) -> Any:
    """A function with a mistake."""
    raise Odd(x.shape)


@auto_vmap(x=2, y=1)
def apply(x: Any, y: Any) -> Any:
    """A function without one."""
    return x @ y


class Model:
    """A class with a method, equal to itself alone."""

    __hash__ = object.__hash__

    @auto_vmap(x=1)
    def method(self, x: Any) -> Any:
        """A method with a mistake."""
        raise Odd(x.shape)

    @auto_vmap(x=lambda self: self.nothing)
    def asked(self, x: Any) -> Any:
        """A rank that the object does not know."""
        return x


@auto_vmap(x=1)
def outer(x: Any) -> Any:
    """A decorated function in another one's body."""
    return odd(x)


USERS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "plain": (lambda: odd(X), ["odd"]),
    "jit": (lambda: odd.jit()(X), ["odd"]),
    "partition": (lambda: odd.jit(partition=True)(X), ["odd"]),
    "chunk": (lambda: odd.chunk(2)(X), ["odd"]),
    "iter": (lambda: list(odd.chunk(2).iter(X)), ["odd"]),
    "bucket": (lambda: odd.bucket()(X), ["odd"]),
    "loop": (lambda: odd.loop()(X), ["odd"]),
    "reduce": (lambda: odd.reduce("sum")(X), ["odd"]),
    "plan_with_outputs": (lambda: odd.plan_with_outputs(X), ["odd"]),
    "method": (lambda: Model().method(X), ["method"]),
    "compiled method": (lambda: Model.method.jit()(3, X), ["method"]),
    "chunked method": (lambda: Model.method.chunk(2)(3, X), ["method"]),
    "nested": (lambda: outer(X), ["outer", "odd"]),
    "pattern": (lambda: named_vmap("a [b] -> a")(odd.__wrapped__)(X), ["odd"]),
    "vmap": (lambda: vmap(odd.__wrapped__)(X), ["odd"]),
}
OURS: dict[str, Callable[[], Any]] = {
    "call": lambda: apply(X[0], X),
    "jit": lambda: apply.jit()(X[0], X),
    "chunk": lambda: apply.chunk(2)(X[0], X),
    "bucket": lambda: apply.bucket()(X[0], X),
    "loop": lambda: apply.loop()(X[0], X),
    "plan": lambda: apply.plan(X[0], X),
    "batch": lambda: apply.batch(-1),
    "outer": lambda: apply.outer("z"),
    "replace": lambda: apply.replace(axis=1),
    "lift": lambda: apply.lift(3),  # pyright: ignore[reportArgumentType]
    "chunk(0)": lambda: apply.chunk(0),
    "jit of no parameter": lambda: apply.jit(static_argnames="z"),
    "tune": lambda: apply.tune(X, X),
    "stats": lambda: apply.stats(),
    "decorating": lambda: auto_vmap(z=1)(lambda x: x),
    "bare": lambda: auto_vmap(lambda x: x),
    "infer_ranks": lambda: infer_ranks(lambda x: x),
    "a pattern": lambda: named_vmap("a [b], -> a ->"),
    "a pattern for two": lambda: named_vmap("a, b -> a b")(lambda x: x),
    "vectorize": lambda: vectorize(3),  # pyright: ignore[reportArgumentType]
    "functorch": lambda: functorch.vmap(lambda x: x, in_dims=7)(X),
}


def frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of a traceback behind the caller's line."""
    found = list(traceback.extract_tb(error.__traceback__))
    ends = [i for i, frame in enumerate(found) if frame.name == "<lambda>"]
    return found[ends[0] + 1 :]


@pytest.fixture
def whole() -> Iterator[None]:
    """All frames are kept."""
    before = jax.config.jax_traceback_filtering  # pyright: ignore
    jax.config.update("jax_traceback_filtering", "off")
    yield
    jax.config.update("jax_traceback_filtering", before)


@pytest.mark.parametrize("way", USERS)
def test_behind_the_users_line_stand_only_the_users_lines(way: str) -> None:
    call, names = USERS[way]
    for _ in range(2):  # a call like one before takes the shortcut
        check(call, names)


def check(call: Callable[[], Any], names: list[str]) -> None:
    """What a call raises ends in these functions of the user's."""
    with pytest.raises(Odd) as caught:  # noqa: PT011 - whatever it says
        call()
    assert [f.name for f in frames(caught.value) if "jax" not in f.filename] == names
    assert not [f for f in frames(caught.value) if f.filename.startswith(PACKAGE)]


@pytest.mark.parametrize("way", OURS)
def test_what_is_refused_is_refused_at_the_users_line(way: str) -> None:
    with pytest.raises(AutoVmapError) as caught:  # noqa: PT011 - whatever it says
        OURS[way]()
    assert frames(caught.value) == []


@pytest.mark.usefixtures("whole")
def test_all_frames_are_kept_where_jax_keeps_its_own() -> None:
    for call in (lambda: odd(X), lambda: apply(X[0], X), lambda: auto_vmap(z=1)(lambda x: x)):
        with pytest.raises((Odd, AutoVmapError)) as caught:
            call()
        assert [f for f in frames(caught.value) if f.filename.startswith(PACKAGE)]


def test_notes_and_cause_and_pickling_stay() -> None:
    with pytest.raises(Odd) as caught:  # noqa: PT011 - whatever it says
        odd(X)
    assert "in odd(), called by autovmap" in "".join(caught.value.__notes__)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.args) == (Odd, ((3,),))
    assert again.__notes__ == caught.value.__notes__

    deleted = jnp.ones((5, 3))
    deleted.delete()
    with pytest.raises(AutoVmapError, match="deleted") as other:
        auto_vmap(a=1)(jnp.sum)(deleted)
    cause = other.value.__cause__
    assert cause is not None
    shown = "".join(traceback.format_exception(other.value))
    assert PACKAGE not in shown
    assert "direct cause" in shown


def test_what_the_object_raises_when_it_is_asked() -> None:
    with pytest.raises(AttributeError, match="nothing") as caught:
        Model().asked(X)
    assert not [
        f for f in traceback.extract_tb(caught.value.__traceback__) if PACKAGE in f.filename
    ]


def test_an_error_that_is_caught_in_the_body_is_untouched() -> None:
    @auto_vmap(x=1)
    def careful(x: Any) -> Any:
        try:
            raise Odd("here")
        except Odd:
            return x.sum()

    assert careful(X).shape == (5,)
