"""The path of a call: how often it binds, plans and traces, and through how many frames.

Exact where it is a promise (a first call in any way binds once, a second one like it not at all),
and an upper bound for frames and files of the library, so that they do not creep up. Frames are
counted on a function of its own once the way's modules are loaded.
"""

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import autovmap
from autovmap import auto_vmap
from autovmap._bind.binder import Binder

PACKAGE = os.path.dirname(autovmap.__file__)
X = jnp.ones((12, 3))
"""Twelve examples: three chunks of five with an overlap, a bucket of sixteen."""


@dataclass
class Counts:
    """What one call came to."""

    binds: int = 0
    plans: int = 0
    traces: int = 0
    frames: int = 0
    files: int = 0

    def work(self) -> tuple[int, int, int]:
        """Binds, plans and traces."""
        return self.binds, self.plans, self.traces


class Traced:
    """How often the body of the function has run."""

    def __init__(self) -> None:
        self.count = 0


def counted(call: Callable[[], Any], traced: Traced) -> Counts:
    """What a call comes to."""
    found, files, before = Counts(), set[str](), traced.count

    def look(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            found.frames += 1
            files.add(code.co_filename)
            if code.co_filename.endswith("binder.py"):
                found.binds += code.co_name == "bind"
                found.plans += code.co_name == "_plan"

    gc.collect()
    gc.disable()  # what other tests left goes through files of the library when it goes
    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
        gc.enable()
    found.traces, found.files = traced.count - before, len(files)
    return found


def on_a_mesh(f: Any) -> Any:
    return f.shard("d", mesh=jax.sharding.Mesh(jax.devices()[:1], ("d",)))


WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda f: f,
    "chunk": lambda f: f.chunk(5),
    "chunk by memory": lambda f: f.chunk(memory="1MiB"),
    "bucket": lambda f: f.bucket(promote=None),
    "shard": on_a_mesh,
    "shard and chunk": lambda f: on_a_mesh(f).chunk(5),
    "loop": lambda f: f.loop(),
    "jit": lambda f: f.jit(),
    "jit, taken apart": lambda f: f.jit(partition=True),
    "chunk and jit": lambda f: f.chunk(5).jit(),
    "shard and jit": lambda f: on_a_mesh(f).jit(),
}


def a_function(way: str) -> tuple[Any, Traced]:
    """A new function in a way of running."""
    traced = Traced()

    def total(x):
        traced.count += 1
        return x.sum()

    return WAYS[way](auto_vmap(x=1)(total)), traced


def a_method(way: str) -> tuple[Any, Traced]:
    """A new method of a pytree, bound to its object, in a way of running."""
    traced = Traced()

    @jax.tree_util.register_pytree_node_class
    class Model:
        def __init__(self, w: Any) -> None:
            self.w = w

        @auto_vmap(x=1)
        def total(self, x):
            traced.count += 1
            return x.sum() * self.w

        def tree_flatten(self):
            return (self.w,), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    return WAYS[way](Model(2.0).total), traced


FACES = {"function": a_function, "method": a_method}


def first_and_second(face: str, way: str) -> tuple[Counts, Counts]:
    """What a first and a second call come to, once the modules of the way are loaded."""
    warm, _ = FACES[face](way)
    warm(X)
    f, traced = FACES[face](way)
    return counted(lambda: f(X), traced), counted(lambda: f(X), traced)


CASES = [(face, way) for face in FACES for way in WAYS]


@pytest.mark.filterwarnings("ignore:.*eighth time")
class TestWork:
    """Binds, plans and traces, exactly."""

    @pytest.mark.parametrize(("face", "way"), CASES)
    def test_a_first_call_binds_plans_and_traces_once(self, face: str, way: str) -> None:
        first, _ = first_and_second(face, way)
        # A loop runs each example; a bucket has a plan of the padded batch beside the call's own.
        expected = {"loop": (1, 1, 12), "bucket": (1, 2, 1)}
        assert first.work() == expected.get(way, (1, 1, 1))

    @pytest.mark.parametrize(("face", "way"), CASES)
    def test_a_second_call_does_not(self, face: str, way: str) -> None:
        _, second = first_and_second(face, way)
        expected = {"plain": (0, 0, 1), "loop": (1, 0, 12)}
        assert second.work() == expected.get(way, (0, 0, 0))

    def test_a_batch_that_fills_its_bucket_has_one_plan(self) -> None:
        f, traced = a_function("bucket")
        assert counted(lambda: f(jnp.ones((16, 3))), traced).work() == (1, 1, 1)

    def test_a_bucket_that_fits_is_neither_planned_nor_traced_again(self) -> None:
        f, traced = a_function("bucket")
        f(X)
        assert counted(lambda: f(jnp.ones((13, 3))), traced).work() == (1, 1, 0)

    def test_other_shapes_are_planned_and_traced(self) -> None:
        f, traced = a_function("chunk")
        f(X)
        assert counted(lambda: f(jnp.ones((13, 3))), traced).work() == (1, 1, 1)

    def test_another_value_of_a_static_number_is_traced_and_not_planned(self) -> None:
        traced = Traced()

        def power(x, n: int):
            traced.count += 1
            return x.sum() ** n

        f = auto_vmap(x=1)(power).chunk(5)
        f(X, 2)
        assert counted(lambda: f(X, 3), traced).work() == (1, 0, 1)

    def test_a_way_within_a_way_is_bound_for_itself(self) -> None:
        inner, traced = a_function("chunk")
        outer = auto_vmap(m=2)(lambda m: inner(m).sum()).chunk(2)
        found = counted(lambda: outer(jnp.ones((4, 12, 3))), traced)
        assert found.work() == (2, 2, 1)

    def test_a_planted_second_bind_is_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Binder, "again", lambda *_: None)
        first, _ = first_and_second("function", "chunk")
        assert first.binds == 2


FIRST = {
    **{"plain": (190, 23), "chunk": (445, 34), "chunk by memory": (340, 31), "jit": (207, 26)},
    **{"bucket": (396, 34), "shard": (430, 34), "loop": (433, 28), "jit, taken apart": (228, 26)},
}
"""Frames and files of a first call at most: a change that needs more says why."""
SECOND = {
    **{"plain": (19, 7), "chunk": (10, 7), "chunk by memory": (13, 7), "jit": (0, 0)},
    **{"bucket": (35, 13), "shard": (10, 7), "loop": (315, 17), "jit, taken apart": (3, 3)},
}
"""The same of a second call."""


@pytest.mark.parametrize("way", FIRST)
@pytest.mark.filterwarnings("ignore:.*eighth time")
def test_the_path_does_not_grow(way: str) -> None:
    first, second = first_and_second("function", way)
    for found, (frames, files) in ((first, FIRST[way]), (second, SECOND[way])):
        assert found.frames <= frames + max(2, frames // 20)  # an older JAX calls a few more
        assert found.files <= files
