"""Attempts on what the options and `batch` and `outer` mean: keys, places of dims, extents."""

import random
from typing import Any

import jax
import numpy as np

import oracle
from autovmap import auto_vmap
from faults.misuse.attempt import Attempt, Verdict
from faults.misuse.trees import CORE, an_array

CALLED = 0.04
"""The share of right attempts that call the function."""

Shape = tuple[int, ...]


def broadcast(*shapes: Shape) -> Shape | None:
    """The batch shape, or None where shapes do not broadcast."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def some_shape(rng: random.Random, most: int, sizes: Shape = (1, 2, 2)) -> Shape:
    """A batch shape of few dims."""
    return tuple(rng.choice(sizes) for _ in range(rng.randint(0, most)))


def draw(k: Any, x: Any) -> Any:
    """Some bits of a key, as a number, and another."""
    data = jax.random.key_data(k) if oracle.is_key(k) else k
    return data.sum() * 1.0 + x


def keys(rng: random.Random) -> Attempt:
    """Keys of any batch shape under each `randomness`, and what is no key under the marker."""
    own, other = some_shape(rng, 2), some_shape(rng, 2, (1, 2, 2, 2, 3))
    raw = rng.random() < 0.5
    randomness = rng.choice(("same", "different", "error"))
    key = a_key(own, raw)
    wrong = rng.random() < 0.15
    if wrong:
        key = rng.choice((an_array((2, 3), True), 3.0, an_array((), False), "key", [1, 2]))
    batch = broadcast(own, other)
    lacks = batch is not None and any(
        i < len(batch) - len(own) or own[i - len(batch)] != size for i, size in enumerate(batch)
    )
    right = not wrong and batch is not None and not (lacks and randomness == "error")
    called = right and rng.random() < CALLED
    told = (
        f"{'raw' if raw else 'typed'} keys {own}, x {other}, {randomness}, {key if wrong else ''}"
    )
    x = an_array(other, False)

    def run() -> Any:
        function = auto_vmap(k="key", x=0, randomness=randomness)(draw)
        return function(key, x) if called else function.plan(key, x)

    def check(result: Any) -> None:
        if not called:
            assert result.batch_shape == batch
            return
        assert batch is not None
        whole = key if randomness == "same" else folded(key, own, batch)
        found = oracle.loop(draw, [["key"], [0]], (whole, x))
        np.testing.assert_allclose(np.asarray(result), found.leaves[0].values, rtol=1e-5)

    return Attempt("keys", "right" if right else "wrong", run, check, told)


MADE: dict[tuple[Shape, bool], Any] = {}


def a_key(shape: Shape, raw: bool) -> Any:
    """Keys of a batch shape."""
    if (shape, raw) not in MADE:
        made = jax.random.split(jax.random.key(0), shape) if shape else jax.random.key(0)
        MADE[shape, raw] = jax.random.key_data(made) if raw else made
    return MADE[shape, raw]


def folded(key: Any, own: Shape, batch: Shape) -> Any:
    """The key of each example: indices along the axes that it lacks folded in, one by one."""
    typed = key if oracle.is_key(key) else jax.random.wrap_key_data(key)
    rows: list[Any] = []
    for index in np.ndindex(*batch):
        at = index[len(batch) - len(own) :]
        one = typed[tuple(0 if size == 1 else i for i, size in zip(at, own, strict=True))]
        for axis, i in enumerate(index):
            own_axis = axis - len(batch) + len(own)
            if own_axis < 0 or own[own_axis] != batch[axis]:
                one = jax.random.fold_in(one, i)
        rows.append(jax.random.key_data(one))
    data = np.stack(rows).reshape((*batch, -1))
    return jax.random.wrap_key_data(data) if oracle.is_key(key) else jax.numpy.asarray(data)


def scaled(v: Any, s: Any) -> Any:
    """A matrix scaled."""
    return v * s


def axes(rng: random.Random) -> Attempt:
    """Batch dims at places that the arguments and results have, or lack."""
    place, out = rng.choice((0, 1, 2, -1, -2, -3, 3, -4, 7)), rng.choice((0, 1, 2, -1, -2, 5, -6))
    batch = some_shape(rng, 2, (2, 3))
    right = -3 <= place <= 2 and (-3 <= out <= 2 or not batch)
    called = rng.random() < 2 * CALLED if right else True
    front = an_array((*batch, CORE, CORE), True)
    start = place if place >= 0 else 3 + place
    v = np.moveaxis(front, range(len(batch)), range(start, start + len(batch))) if right else front
    s = an_array(batch, True)
    told = f"in_axes {place}, out_axes {out}, batch {batch}, {'called' if called else 'planned'}"

    def run() -> Any:
        function = auto_vmap(v=2, s=0, in_axes={"v": place}, out_axes=out)(scaled)
        return function.plan_with_outputs(v, s) if not called or not right else function(v, s)

    def check(result: Any) -> None:
        if not called:
            assert result.batch_shape == batch
            return
        found = np.asarray(front) * np.asarray(s).reshape((*batch, 1, 1))
        end = out if out >= 0 else 3 + out
        moved = np.moveaxis(found, range(len(batch)), range(end, end + len(batch)))
        np.testing.assert_allclose(np.asarray(result), moved if batch else found)

    return Attempt("axes", "right" if right else "wrong", run, check, told)


def added(x: Any, y: Any) -> Any:
    """A sum."""
    return x + y


def extent(rng: random.Random) -> Attempt:
    """`batch` and `outer`, right and wrong, beside the shapes that the arguments bring."""
    x, y = some_shape(rng, 2, (1, 2, 3)), some_shape(rng, 2, (1, 2, 3))
    groups: Any = rng.choice(((), ("x", "y"), ("y", "x"), (("x", "y"),), ("x",), None, ("z",)))
    new = rng.choice(((), (2,), (1, 3), (0,), (-1,), (2.0,)))
    told = f"x {x}, y {y}, outer {groups!r}, batch {new!r}"
    batch = joined(x, y, groups)
    junk = groups == ("z",) or any(isinstance(n, float) or n < 0 for n in new)
    verdict: Verdict = "wrong" if junk or batch is None else "right"

    def run() -> Any:
        function: Any = auto_vmap(x=0, y=0)(added)
        function = function if groups is None else function.outer(*groups)
        return function.batch(*new).plan(an_array(x, False), an_array(y, False))

    def check(plan: Any) -> None:
        assert batch is not None
        assert plan.batch_shape == (*new, *batch)

    return Attempt("extent", verdict, run, check, told)


def joined(x: Shape, y: Shape, groups: Any) -> Shape | None:
    """The batch shape under groups."""
    if groups is None or groups == (("x", "y"),):
        return broadcast(x, y)
    if groups == ("x",):
        return None if y else x
    return y + x if groups == ("y", "x") else x + y
