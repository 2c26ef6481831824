"""What is kept between calls: plans, bounded in number and for all threads, and never an array."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, auto_vmap
from autovmap._bind.binder import LAYOUTS, PLANS, STYLES
from autovmap._bind.match import Layout
from autovmap._bind.style import Style
from autovmap._plan.plan import CallPlan
from made import numbers

equal = np.testing.assert_array_equal


@jax.tree_util.register_pytree_node_class
@dataclass
class Node:
    """A node with one child, and static data that may be anything."""

    value: Any
    static: Any = None

    def tree_flatten(self) -> Any:
        return (self.value,), self.static

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> "Node":
        return cls(*children, aux)

    @auto_vmap(x=1)
    def method(self, x: Any) -> Any:
        """A scalar product."""
        return jnp.dot(self.value, x)


@auto_vmap(tree=1, s=0)
def scaled(tree: Any, s: Any = 1.0, extra: Any = None) -> Any:
    """The sum of all leaves, scaled."""
    return s * sum(jnp.sum(leaf) for leaf in jax.tree.leaves(tree))


@pytest.fixture(scope="module", autouse=True)
def _what_lived_before_is_not_searched() -> Iterator[None]:
    """A full collection takes a second after thousands of tests, of which JAX keeps programs."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def failing(x: Any) -> Any:
    """A function that fails."""
    raise ArithmeticError("on purpose")


def fails(x: jax.Array) -> None:
    """A call whose body fails."""
    with pytest.raises(ArithmeticError, match="on purpose"):
        auto_vmap(x=1)(failing)(x)


def mismatched(x: jax.Array) -> None:
    """A call whose batch shapes do not fit."""
    with pytest.raises(BatchShapeError, match="batch axis -1"):
        scaled(x, jnp.ones(7))


USES: dict[str, Callable[[jax.Array], Any]] = {
    "mapped": lambda x: scaled(x),
    "unmapped": lambda x: scaled(x[0], jnp.ones(5)),
    "squeezed": lambda x: scaled(x[:, None], jnp.ones((2, 1, 1))),
    "unranked": lambda x: scaled(jnp.ones(3), extra=x),
    "in a tree": lambda x: scaled({"a": [x]}),
    "NumPy beside it": lambda x: scaled([x, np.ones(3)]),
    "bound": lambda x: Node(x[0]).method(x),
    "planned": lambda x: scaled.plan(x),
    "decorated and dropped": lambda x: auto_vmap(x=1)(lambda x: x.sum())(x),
    "jit": lambda x: jax.jit(scaled)(x),
    "bound, through jit": lambda x: jax.jit(lambda f, x: f(x))(Node(x[0]).method, x),
    "grad": lambda x: jax.grad(lambda x: scaled(x).sum())(x),
    "vmap": lambda x: jax.vmap(scaled)(x),
    "axis name": lambda x: auto_vmap(x=1, axis_name="i")(lambda x: jax.lax.psum(x, "i"))(x),
    "out_axes": lambda x: auto_vmap(x=1, out_axes={"a": -1, "b": None})(
        lambda x: {"a": x, "b": 1.0}
    )(x),
    "the body fails": fails,
    "shapes do not fit": mismatched,
}


@pytest.mark.parametrize("name", USES)
def test_arrays_are_released(name: str) -> None:
    for _ in range(2):
        x = numbers(4, 3)
        result = USES[name](x)
        alive = [weakref.ref(x)]
        for leaf in jax.tree.leaves(result):
            alive += [weakref.ref(leaf)] if isinstance(leaf, jax.Array) else []
        leaf = None
        del x, result
        gc.collect()
        assert [ref() for ref in alive] == [None] * len(alive)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x,)], ids=["bare", "in a tuple"])
@pytest.mark.parametrize("shape", [(2,), (1,), ()], ids=str)
def test_arrays_in_static_fields_are_released(wrap: Any, shape: tuple[int, ...]) -> None:
    static = numbers(*shape)
    alive = weakref.ref(static)
    function = auto_vmap(node=1)(lambda node: node.value.sum())
    equal(function(Node(jnp.ones((4, 3)), wrap(static))), [3.0] * 4)
    del static
    gc.collect()
    assert alive() is None


def living(cls: type) -> int:
    """How many objects of a class there are."""
    gc.collect()
    return sum(type(found) is cls for found in gc.get_objects())


@pytest.mark.own
def test_plans_are_bounded() -> None:
    function = auto_vmap(x=1)(lambda x: x)
    before = living(CallPlan)
    for size in range(2, PLANS + 500):
        jax.eval_shape(function, jax.ShapeDtypeStruct((size, 1), jnp.float32))
    for size in range(2, 3 * PLANS):
        function.plan(jax.ShapeDtypeStruct((size, 3), jnp.float32))
    assert living(CallPlan) - before <= PLANS + 10


@pytest.mark.slow
def test_many_shapes_leave_few_entries() -> None:
    function = auto_vmap(x=1)(lambda x: x)
    for size in range(2, 3 * PLANS):
        jax.eval_shape(function, jax.ShapeDtypeStruct((size, 1), jnp.float32))
    binder, shortcut = function._engine.binder, function._engine.shortcut
    caches = binder._styles, binder._layouts, binder._plans, shortcut._known
    assert [len(cache) for cache in caches] == [1, 1, PLANS, PLANS]


def test_structures_are_bounded() -> None:
    function = auto_vmap(xs=0)(lambda xs: None)
    before = living(Layout)
    for i in range(3 * LAYOUTS):
        function.plan({f"k{i}": 1.0})
    assert living(Layout) - before <= LAYOUTS + 10


def test_ways_of_calling_are_bounded() -> None:
    function = auto_vmap(xs=0)(lambda **xs: None)
    before = living(Style)
    for i in range(3 * STYLES):
        function.plan(**{f"k{i}": 1.0})
    assert living(Style) - before <= STYLES + LAYOUTS + 10  # a layout keeps its style


def test_what_was_dropped_is_planned_again() -> None:
    function = auto_vmap(x=1)(lambda x: x.sum())
    equal(function(np.ones((4, 3))), [3.0] * 4)
    for size in range(2, PLANS + 100):
        function.plan(jax.ShapeDtypeStruct((size, 7), jnp.float32))
    equal(function(np.ones((4, 3))), [3.0] * 4)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The structures that were matched with ranks anew."""
    import autovmap._bind.match as bind

    found: list[Any] = []
    match = bind.match

    def counting(tree: Any, value: Any, *args: Any) -> Any:
        found.append(value)
        return match(tree, value, *args)

    monkeypatch.setattr(bind, "match", counting)
    return found


def test_a_call_is_planned_once(planned: list[Any]) -> None:
    function = auto_vmap(tree=1)(lambda tree: jax.tree.leaves(tree)[0].sum())
    function({"a": jnp.ones((4, 3))})
    first = len(planned)
    assert first
    for i in range(5):
        function({"a": i * jnp.ones((4, 3))})
        function({"a": i * np.ones((2, 3), np.float32)})
    assert len(planned) == first


STATICS = {
    "an array": lambda: np.ones(2),
    "an array in a tuple": lambda: (np.ones(2),),
    "a JAX array in a tuple": lambda: (jnp.ones(2),),
    "an array in a dict": lambda: {"a": np.ones(2)},
    "what raises when compared": lambda: Raising(),
    "what does not hash": lambda: [1, 2],
    "NaN": lambda: float("nan"),
}


class Raising:
    """Refuses to be compared, and to be hashed."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


@pytest.mark.parametrize("name", STATICS)
def test_static_data_that_does_not_compare(name: str, planned: list[Any]) -> None:
    function = auto_vmap(node=1)(lambda node: node.value.sum())
    x = jnp.ones((4, 3))
    for _ in range(2):
        equal(function(Node(x, STATICS[name]())), [3.0] * 4)
    for static in ("a", ("b",), None, 3, (("c", 1),)):
        equal(function(Node(x, static)), [3.0] * 4)
        known = len(planned)
        equal(function(Node(x, static)), [3.0] * 4)
        assert len(planned) == known, f"Node(..., {static!r}) is planned at every call"


def test_static_data_that_differs_is_told_apart() -> None:
    function = auto_vmap(node=1)(lambda node: node.static * node.value.sum())
    for static in (2.0, 3.0, 2.0):
        equal(function(Node(jnp.ones((4, 3)), static)), [3 * static] * 4)


@pytest.mark.own
def test_sixteen_threads_with_different_shapes() -> None:
    function = auto_vmap(tree={"v": 1, "s": 0}, t=0)(
        lambda tree, t: tree["v"].sum() * tree["s"] * t
    )
    barrier = threading.Barrier(16)

    def work(i: int) -> None:
        rng = np.random.default_rng(i)
        barrier.wait()
        for repeat in range(3):
            a, b, n = i % 8 + 2, repeat + 1, i // 8 + 1
            v, s, t = rng.normal(size=(a, 1, n)), rng.normal(size=(b,)), rng.normal(size=(a, b))
            result = function(tree={"v": v, "s": s}, **{"t": t})
            np.testing.assert_allclose(result, v.sum(-1) * s * t, rtol=1e-4, atol=1e-5)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))


def test_sixteen_threads_over_one_small_cache() -> None:
    function = auto_vmap(x=0)(lambda x, **extra: None)
    barrier = threading.Barrier(16)

    def work(i: int) -> None:
        barrier.wait()
        for repeat in range(300):
            shape = (i + 1, repeat + 1)
            struct = jax.ShapeDtypeStruct(shape, jnp.float32)
            assert function.plan(struct, **{f"k{repeat}": 1}).batch_shape == shape

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))


@pytest.mark.parametrize(
    "name", [n for n in USES if n not in ("the body fails", "shapes do not fit")]
)
def test_checking_leaks_is_clean(name: str) -> None:
    with jax.checking_leaks():
        for _ in range(2):
            x = numbers(4, 3)
            USES[name](x)
            if name != "planned":
                jax.jit(USES[name])(x)
