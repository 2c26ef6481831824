"""What a function does beside computing: once for each example, where a way can have it so."""

from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental import io_callback

from autovmap import auto_vmap
from autovmap._plan.leaf import Leaf
from autovmap._plan.plan import make_plan
from autovmap._spec.options import Options
from autovmap._ways.options import Shard, Ways
from autovmap._ways.words import repetition

WAYS = {
    "plain": lambda f: f,
    "jit": lambda f: f.jit(),
    "chunk": lambda f: f.chunk(2),
    "chunk of three": lambda f: f.chunk(3, remat=True),
    "one at a time": lambda f: f.chunk(1),
    "auto": lambda f: f.chunk("auto"),
    "chunk and jit": lambda f: f.chunk(2).jit(),
    "bucket": lambda f: f.bucket(promote=None),
    "bucket and chunk": lambda f: f.bucket(promote=None).chunk(2),
}


@pytest.mark.parametrize("size", [3, 4, 5, 7])
@pytest.mark.parametrize("way", WAYS)
def test_an_effect_happens_once_for_each_example(way: str, size: int) -> None:
    seen: list[float] = []

    def watched(x: Any) -> Any:
        jax.debug.callback(lambda value: seen.append(float(value)), x)
        return x * 2

    run = WAYS[way](auto_vmap(x=0)(watched))
    x = np.arange(size, dtype=np.float32)
    for _ in range(2):
        seen.clear()
        result = jax.block_until_ready(run(x))
        jax.effects_barrier()
        assert result.tolist() == (x * 2).tolist()
        assert sorted(seen) == x.tolist()


def test_a_fold_that_fails_does_not_run_the_function_again() -> None:
    calls: list[float] = []
    state = {"raises": False, "both": False}

    def watched(x: Any, y: Any) -> Any:
        calls.append(0)
        if state["raises"]:
            raise RuntimeError("no")
        return x * y if state["both"] else x

    total = auto_vmap(x=0, y=0)(watched).reduce("sum")
    x, y = np.arange(3, dtype=np.float32), np.ones((2, 1), np.float32)
    for _ in range(3):
        assert total(x, y) == 6
    calls.clear()
    state["raises"] = True
    with pytest.raises(RuntimeError, match="no"):
        total(x, y)
    assert len(calls) == 1


def test_the_effects_of_a_fold_happen_once_when_it_fails_or_changes() -> None:
    seen: list[float] = []
    state = {"raises": False, "both": False}

    def note(value: Any) -> np.ndarray[Any, Any]:
        if state["raises"] and len(seen) == 2:
            raise RuntimeError("no")
        seen.append(float(value))
        return np.asarray(value)

    def watched(x: Any, y: Any) -> Any:
        x = io_callback(note, x, x)
        return x * y if state["both"] else x

    total = auto_vmap(x=0, y=0)(watched).reduce("sum")
    x, y = np.arange(3, dtype=np.float32), np.ones((2, 1), np.float32)
    for both in (False, False, True, True, False):  # what it depends on is seen in no argument
        state["both"] = both
        seen.clear()
        total(x, y).block_until_ready()
        assert sorted(seen) == [0, 1, 2]
    for _ in range(2):
        seen.clear()
        state["raises"] = True
        with pytest.raises(Exception, match="no"):
            total(x, y).block_until_ready()
        assert len(seen) == 2


def test_a_function_without_effects_keeps_its_padded_programs() -> None:
    run = auto_vmap(x=0)(lambda x: x * 2).bucket(promote=None)
    for size in (5, 6, 7, 8):
        run(np.ones(size))
    assert run.stats().compilations == 1


def printed(x: Any) -> Any:
    jax.debug.print("{}", x)
    return x * 2


TWICE = {
    "block": (lambda f: f.bucket(block=3), "the last block is filled up by 2 examples"),
    "progress": (
        lambda f: f.chunk(3, progress=lambda done, of: None),
        "the last chunk overlaps the one before",
    ),
}


@pytest.mark.parametrize("way", TWICE)
def test_the_plan_says_where_an_effect_happens_twice(way: str) -> None:
    change, why = TWICE[way]
    said = f"effects: side effects happen twice for some examples, as {why}"
    x = np.ones(7, np.float32)
    assert change(auto_vmap(x=0)(printed)).plan_with_outputs(x).steps[-1] == said
    for f, size in ((printed, 6), (lambda x: x * 2, 7)):
        plan = change(auto_vmap(x=0)(f)).plan_with_outputs(np.ones(size, np.float32))
        assert "effects" not in str(plan.steps)


@pytest.mark.parametrize("way", WAYS)
def test_the_plan_says_nothing_of_it_where_none_does(way: str) -> None:
    plan = WAYS[way](auto_vmap(x=0)(printed)).plan_with_outputs(np.ones(7, np.float32))
    assert "effects" not in str(plan.steps)


def test_over_a_mesh_some_happen_twice_where_sizes_do_not_divide() -> None:
    ways = Ways(shard=Shard((("d",),)))
    for size, why in ((4, None), (5, "mesh axis 'd' does not divide batch axis -1")):
        plan = make_plan("f", [Leaf("x", (size,), "float32", 0)], Options())
        assert repetition(plan, ways, None, (), {"d": 2}, False) == why
