"""Each kind of step around the nest matters: drop one or change it, and a comparison catches it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap, named_vmap
from autovmap._plan import steps as plan_steps
from autovmap._plan.steps import Diagonal, Expand, FoldIn, Merge, Reshape, Squeeze, Transpose
from autovmap._run import result, steps

pytestmark = pytest.mark.own


@dataclass(frozen=True)
class Case:
    """A call and what it must give, by NumPy alone; and a mistake in one step."""

    call: Callable[[], Any]
    wanted: Callable[[], Any]
    kind: type
    change: Callable[[Any], Any]
    """The step with a mistake in it, or None where it is left out."""


def draw(key: Any, x: Any) -> Any:
    return x + jax.random.uniform(key)


def folded(*index: int) -> Any:
    key = jax.random.key(0)
    for i in index:
        key = jax.random.fold_in(key, i)
    return float(jax.random.uniform(key))


def own(key: Any) -> float:
    return float(jax.random.uniform(key))


X = jnp.arange(12.0).reshape(4, 3)
SQUARE = jnp.arange(9.0).reshape(3, 3)
KEYS = jax.random.split(jax.random.key(1), (2, 2))
drop = lambda step: None  # noqa: E731


def ones() -> Any:
    return auto_vmap(0, 0)(jnp.add)(X[:1], X[:, :1])


def named() -> Any:
    by_names = auto_vmap(x=0, axis_name=("outer", "inner"))
    return by_names(lambda x: x / jax.lax.psum(x, "inner"))(X[0])


def all_ones() -> Any:
    return auto_vmap(1)(jnp.sum)(X[None, :, None])


def in_two_axes() -> Any:
    drawn = auto_vmap(key="key", x=0, randomness="different")(draw)
    return drawn(jax.random.key(0), jnp.zeros((2, 3)))


def key_out_of_order() -> Any:
    drawn = named_vmap("c a, a b c -> a b c", randomness="different")(draw)
    return drawn(KEYS, jnp.zeros((2, 3, 2)))


def wanted_out_of_order(b: int) -> Any:
    keys = [[[jax.random.fold_in(KEYS[c, a], i) for c in (0, 1)] for i in range(b)] for a in (0, 1)]
    return [[[own(key) for key in row] for row in rows] for rows in keys]


def pattern(text: str, *args: Any, **sizes: int) -> Callable[[], Any]:
    return lambda: named_vmap(text, **sizes)(lambda *a: sum(a))(*args)


CASES = {
    "a size of 1 stays": Case(ones, lambda: np.add(X[:1], X[:, :1]), Squeeze, drop),
    "a named axis that the call lacks stays": Case(
        named, lambda: np.asarray(X[0]) / np.sum(X[0]), Squeeze, drop
    ),
    "no dim for an axis of 1": Case(
        all_ones, lambda: np.asarray(X).sum(1)[None, :, None], Expand, drop
    ),
    "the dim for an axis of 1 is elsewhere": Case(
        lambda: auto_vmap(0)(jnp.negative)(X[:, None]),
        lambda: -np.asarray(X)[:, None],
        Expand,
        lambda step: Expand(tuple(dim - 1 for dim in step.dims)),
    ),
    "taken apart the wrong way round": Case(
        pattern("(a b) -> a b", X[:, 0].repeat(3), a=4),
        lambda: np.asarray(X)[:, :1].repeat(3, 1),
        Reshape,
        lambda step: Reshape(step.shape[::-1]),
    ),
    "not taken apart": Case(
        pattern("(a b) -> a b", X.ravel(), a=4), lambda: np.asarray(X), Reshape, drop
    ),
    "no diagonal": Case(pattern("a a -> a", SQUARE), lambda: np.diag(SQUARE), Diagonal, drop),
    "dims of a key as they lie": Case(
        key_out_of_order, lambda: wanted_out_of_order(3), Transpose, drop
    ),
    "no index in a key": Case(
        in_two_axes, lambda: [[folded(i, j) for j in range(3)] for i in (0, 1)], FoldIn, drop
    ),
    "the index of one axis only": Case(
        in_two_axes,
        lambda: [[folded(i, j) for j in range(3)] for i in (0, 1)],
        FoldIn,
        lambda step: replace(step, axes=(step.axes[0], (step.axes[1][0], 1))),
    ),
    "indices from the inside out": Case(
        lambda: auto_vmap(key="key", x=0, randomness="different")(draw)(
            jax.random.key(0), jnp.zeros((3, 3))
        ),
        lambda: [[folded(i, j) for j in range(3)] for i in range(3)],
        FoldIn,
        lambda step: replace(step, axes=step.axes[::-1]),
    ),
    "dims not composed": Case(
        pattern("a b -> (b a)", X), lambda: np.asarray(X).T.ravel(), Merge, drop
    ),
    "other dims composed": Case(
        pattern("a b c -> (a b) c", X.reshape(2, 2, 3)),
        lambda: np.asarray(X),
        Merge,
        lambda step: Merge((step.parts[0][:1], (*step.parts[0][1:], *step.parts[1]))),
    ),
}


def same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_mistake_in_a_step_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    assert same(case.call(), case.wanted())
    planted: list[Any] = []

    def done(array: Any, own_steps: plan_steps.Steps) -> Any:
        kept = []
        for step in own_steps:
            wrong = case.change(step) if isinstance(step, case.kind) else step
            planted.extend([step] * (wrong != step))
            kept += [] if wrong is None else [wrong]
        return right(array, tuple(kept))

    right = steps.done
    for module in (steps, result):
        monkeypatch.setattr(module, "done", done)
    jax.clear_caches()
    try:
        caught = not same(case.call(), case.wanted())
    except Exception:  # shapes that do not fit
        caught = True
    assert planted
    assert caught


def test_each_kind_of_step_has_a_mistake() -> None:
    assert {case.kind for case in CASES.values()} == set(get_args(plan_steps.Step))
