"""The law of plans: batch shapes are NumPy's, layers are the batch axes that some leaf maps.

Plans are arithmetic, so tens of thousands are checked from shapes alone, with no JAX. Hypothesis
would take minutes for so many: the cases come from a seeded generator, and a failure names its
seed. `AUTOVMAP_PLAN_SEED` repeats one.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import settings

from autovmap import AutoVmapError, BatchShapeError, RankError, auto_vmap
from conftest import SEED
from strategies import Module, Pair, Point

pytestmark = pytest.mark.own

SEEDS = range(SEED, SEED + settings().max_examples * 300)
SIZES = np.array([1, 2, 3, 0])
Shape = tuple[int, ...]
Build = Callable[[Iterator[Any]], tuple[Any, ...]]

# Each form: the function, its ranks, the base rank of every leaf by path, and how to build the
# arguments from structs in the order of the paths.
FORMS: list[tuple[Callable[..., Any], dict[str, Any], dict[str, int], Build]] = [
    (lambda x: x, {"x": 1}, {"x": 1}, lambda s: (next(s),)),
    (
        lambda a, b, c: a,
        {"a": 0, "b": 1, "c": 2},
        {"a": 0, "b": 1, "c": 2},
        lambda s: (next(s), next(s), next(s)),
    ),
    (
        lambda a, b, c, d: a,
        {"a": 3, "b": 0, "c": 0, "d": 2},
        {"a": 3, "b": 0, "c": 0, "d": 2},
        lambda s: (next(s), next(s), next(s), next(s)),
    ),
    (
        lambda p, x: x,
        {"p": {"w": 2, "b": 1}, "x": 1},
        {"p['b']": 1, "p['w']": 2, "x": 1},
        lambda s: ({"b": next(s), "w": next(s)}, next(s)),
    ),
    (
        lambda p, q: p,
        {"p": [0, (1, 2)], "q": 2},
        {"p[0]": 0, "p[1][0]": 1, "p[1][1]": 2, "q['u'][0]": 2, "q['v']": 2},
        lambda s: ([next(s), (next(s), next(s))], {"u": [next(s)], "v": next(s)}),
    ),
    (
        lambda m: m,
        {"m": {"y": 0, "x": {"k": 1}}},
        {"m.x['k']": 1, "m.y": 0},
        lambda s: (Module({"k": next(s)}, next(s)),),
    ),
    (
        lambda m, n: m,
        {"m": Pair(1, 0), "n": Point(2, None)},
        {"m.x": 1, "m.y": 0, "n.x": 2},
        lambda s: (Pair(next(s), next(s)), Point(next(s), None)),
    ),
]
DECORATED = [auto_vmap(ranks=ranks)(function) for function, ranks, _, _ in FORMS]


def draw_shapes(rng: np.random.Generator, ranks: list[int]) -> list[tuple[Shape, Shape]]:
    """A (batch, core) pair for each leaf; about one call in four does not broadcast."""
    full = rng.choice(SIZES, rng.integers(0, 5), p=[0.25, 0.4, 0.25, 0.1])
    drawn = []
    for rank in ranks:
        own = full[rng.integers(0, len(full) + 1) :].copy()
        own[rng.random(len(own)) < 0.3] = 1
        if len(own) and rng.random() < 0.1:
            own[rng.integers(len(own))] = rng.choice([2, 3, 4, 0])
        core = rng.integers(0, 4, rank)
        drawn.append((tuple(map(int, own)), tuple(map(int, core))))
    return drawn


def expected_layers(batch: Shape, parts: list[Shape]) -> list[tuple[int, int, list[bool]]]:
    """(size, axis, which leaves are mapped) of every batch axis that some leaf maps."""
    found = []
    for axis in range(-len(batch), 0):
        mapped = [len(part) >= -axis and part[axis] != 1 for part in parts]
        if any(mapped):
            found.append((batch[axis], axis, mapped))
    return found


def check(seed: int) -> bool:
    """Check one call's plan; answers whether NumPy broadcasts its batch shapes."""
    rng = np.random.default_rng(seed)
    form = int(rng.integers(len(FORMS)))
    _, _, ranks, build = FORMS[form]
    drawn = dict(zip(ranks, draw_shapes(rng, list(ranks.values())), strict=True))
    structs = [jax.ShapeDtypeStruct(batch + core, "float32") for batch, core in drawn.values()]
    args = build(iter(structs))
    parts = {path: batch for path, (batch, _) in drawn.items()}
    try:
        batch = np.broadcast_shapes(*parts.values())
    except ValueError:
        with pytest.raises(BatchShapeError, match=r"batch"):
            DECORATED[form].plan(*args)
        return False
    plan = DECORATED[form].plan(*args)
    assert plan.batch_shape == batch
    rows = {row.path: (row.batch, row.core, row.shape) for row in plan.args}
    assert rows == {path: (b, c, b + c) for path, (b, c) in drawn.items()}
    order = [parts[row.path] for row in plan.args]
    layers = [(layer.size, layer.axis, layer.in_axes) for layer in plan.layers]
    assert layers == [
        (size, axis, tuple(0 if m else None for m in mapped))
        for size, axis, mapped in expected_layers(batch, order)
    ]
    return True


def test_plans_equal_numpys_broadcasting() -> None:
    """Batch shape, rows and layers of every case; an error exactly where NumPy raises."""
    seeds = [int(os.environ["AUTOVMAP_PLAN_SEED"])] if "AUTOVMAP_PLAN_SEED" in os.environ else SEEDS
    good = 0
    for seed in seeds:
        try:
            good += check(seed)
        except BaseException as error:
            error.add_note(f"AUTOVMAP_PLAN_SEED={seed}")
            raise
    # Both outcomes are common, or the law would say little.
    if len(seeds) > 1:
        assert 0.5 < good / len(seeds) < 0.95


@pytest.mark.parametrize("ndim", range(4))
def test_a_leaf_below_its_base_rank_is_refused(ndim: int) -> None:
    """From shapes alone: the path, the shape and the base rank."""
    struct = jax.ShapeDtypeStruct((2,) * ndim, "float32")
    decorated = auto_vmap(p={"w": ndim + 1})(lambda p: p)
    with pytest.raises(RankError, match=r"p\['w'\]"):
        decorated.plan({"w": struct})
    assert issubclass(RankError, AutoVmapError)


def test_twelve_batch_dims() -> None:
    """Deep batches plan like shallow ones, and axes of 1 make no layer."""
    a = jax.ShapeDtypeStruct((1, 2) * 6 + (3,), "float32")
    b = jax.ShapeDtypeStruct((2, 1) * 5 + (3,), "float32")
    plan = auto_vmap(a=1, b=1)(lambda a, b: a).plan(a, b)
    assert plan.batch_shape == (1, 2, *(2,) * 10)
    assert [layer.axis for layer in plan.layers] == list(range(-11, 0))
    assert plan.layers[0].in_axes == (0, None)
    assert plan.layers[1].in_axes == (None, 0)


def test_all_ones_need_no_layer() -> None:
    """A batch axis that is 1 for every leaf maps nothing."""
    plan = auto_vmap(a=0, b=1)(lambda a, b: a).plan(
        jax.ShapeDtypeStruct((1, 1), "float32"), jax.ShapeDtypeStruct((1, 5), "float32")
    )
    assert plan.batch_shape == (1, 1)
    assert plan.layers == ()


def test_plans_take_arrays_and_numbers() -> None:
    """Concrete arguments give the same plan as their shapes; a number is a rank-0 leaf."""
    decorated = auto_vmap(a=0, b=1)(lambda a, b: a)
    plan = decorated.plan(2.0, np.ones((4, 3)))
    assert plan.batch_shape == (4,)
    assert [(row.path, row.batch, row.core) for row in plan.args] == [
        ("a", (), ()),
        ("b", (4,), (3,)),
    ]
