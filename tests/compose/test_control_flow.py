"""Control flow and callbacks inside a decorated function, and a decorated function inside them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from autovmap import auto_vmap
from compose.examples import close, words
from compose.jaxprs import primitives

X = jnp.array([[-2.0], [0.5], [3.0]])
Y = jnp.array([1.0, -4.0])


def loop(function: Any, *args: Any) -> Any:
    """NumPy's loop over scalars."""
    return np.vectorize(function)(*map(np.asarray, args))


@auto_vmap(x=0, y=0)
def branched(x: Any, y: Any) -> Any:
    return lax.cond(x > 0, lambda x, y: x * y, lambda x, y: x - y, x, y)


def test_cond_picks_for_each_example() -> None:
    close(branched(X, Y), loop(lambda x, y: x * y if x > 0 else x - y, X, Y))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1)])
def test_cond_stays_a_cond_without_real_batch_dims(shape: tuple[int, ...]) -> None:
    found = primitives(branched, jnp.ones(shape), jnp.ones(()))
    assert found["cond"] == 1
    assert found["select_n"] == 0
    assert branched(jnp.ones(shape), 2.0).shape == shape


def test_cond_stays_a_cond_where_its_predicate_is_not_mapped() -> None:
    assert primitives(branched, jnp.ones((1, 1)), Y)["cond"] == 1
    assert primitives(branched, X, Y)["cond"] == 0
    close(branched(jnp.ones((1, 1)), Y), [[1.0, -4.0]])


def test_switch() -> None:
    decorated = auto_vmap(i=0, x=0)(
        lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, lambda x: 2 * x], x)
    )
    i = jnp.array([[0], [1], [2]])
    close(decorated(i, Y), np.stack([np.sin(Y), np.cos(Y), 2 * Y]))


def halvings(x: Any, limit: Any) -> Any:
    """How often x is halved until it is at most the limit."""
    return lax.while_loop(lambda c: c[0] > limit, lambda c: (c[0] / 2, c[1] + 1), (x, 0))[1]


def test_while_loop_runs_as_long_as_each_example_needs() -> None:
    x, limit = jnp.array([[1.0], [10.0], [100.0]]), jnp.array([1.0, 3.0])
    counts = [[0, 0], [4, 2], [7, 6]]
    np.testing.assert_array_equal(auto_vmap(0, 0)(halvings)(x, limit), counts)


def test_fori_loop() -> None:
    decorated = auto_vmap(x=0, n=0)(lambda x, n: lax.fori_loop(0, n, lambda i, x: x + i, x))
    close(decorated(X, jnp.array([0, 3])), np.asarray(X) + np.array([0.0, 3.0]))


def exponential(xs: Any, decay: Any) -> Any:
    """Exponential smoothing of a series: the last value and all of them."""

    def step(level: Any, x: Any) -> Any:
        level = decay * level + (1 - decay) * x
        return level, level

    return lax.scan(step, jnp.zeros((), xs.dtype), xs)


def test_scan_inside() -> None:
    xs = jnp.arange(12.0).reshape(3, 1, 4)
    decay = jnp.array([0.5, 0.9])
    last, levels = auto_vmap(xs=1, decay=0)(exponential)(xs, decay)
    assert levels.shape == (3, 2, 4)
    for i in range(3):
        for j in range(2):
            level = 0.0
            for k in range(4):
                level = decay[j] * level + (1 - decay[j]) * xs[i, 0, k]
                close(levels[i, j, k], level)
            close(last[i, j], level)


def test_in_a_scan_body() -> None:
    """A carry with batch dims that broadcast against each step's input."""
    step = auto_vmap(level=0, x=0)(lambda level, x: 0.5 * level + x)
    xs = jnp.arange(8.0).reshape(4, 2)
    last, levels = lax.scan(lambda c, x: (step(c, x),) * 2, jnp.zeros((3, 2)), xs)
    expected = np.zeros((3, 2))
    for k in range(4):
        expected = 0.5 * expected + np.asarray(xs[k])
        close(levels[k], expected)
    close(last, expected)
    assert primitives(lambda: lax.scan(lambda c, x: (step(c, x), None), last, xs))["scan"] == 1


def test_in_the_branches_and_the_body_of_control_flow() -> None:
    add = auto_vmap(x=0, y=0)(lambda x, y: x + y)
    close(lax.cond(True, add, add, X, Y), np.asarray(X + Y))
    total = lax.fori_loop(0, 3, lambda _, c: add(c, Y), jnp.zeros((3, 2)))
    close(total, np.broadcast_to(3 * Y, (3, 2)))
    total = lax.while_loop(lambda c: c.max() < 5, lambda c: add(c, X), jnp.zeros((3, 2)))
    close(total, np.broadcast_to(2 * X, (3, 2)))
    close(lax.map(lambda x: add(x, Y), X), np.asarray(X + Y))
    total, _ = lax.associative_scan(lambda a, b: (add(a[0], b[0]), b[1]), (X, X))
    close(total, np.cumsum(X, axis=0))


def called(method: str | None, shapes: list[Any]) -> Any:
    """A decorated function that calls NumPy's own hypot, and notes the shapes it is called with."""

    def hypot(x: Any, y: Any) -> Any:
        shapes.append((np.shape(x), np.shape(y)))
        return np.asarray(np.hypot(x, y), np.float32)

    @auto_vmap(x=0, y=0)
    def function(x: Any, y: Any) -> Any:
        out = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(hypot, out, x, y, vmap_method=method)

    return function


@pytest.mark.parametrize("method", ["sequential", "sequential_unrolled"])
def test_pure_callback_for_one_example_at_a_time(method: str) -> None:
    shapes: list[Any] = []
    close(called(method, shapes)(X, Y), np.hypot(X, Y))
    assert shapes == [((), ())] * 6


@pytest.mark.parametrize("method", ["expand_dims", "broadcast_all"])
def test_pure_callback_for_a_whole_batch(method: str) -> None:
    shapes: list[Any] = []
    close(called(method, shapes)(X, Y), np.hypot(X, Y))
    one, other = ((3, 1), (1, 2)) if method == "expand_dims" else ((3, 2), (3, 2))
    assert shapes == [(one, other)]


def test_pure_callback_without_a_method_keeps_jax_error_and_gets_a_note() -> None:
    function = called(None, [])
    close(function(3.0, 4.0), 5.0)
    close(function(jnp.full((1, 1), 3.0), 4.0), [[5.0]])
    with pytest.raises(NotImplementedError, match="vmap_method") as raised:
        function(X, Y)
    assert "batch shape (3,2)" in words(raised)
    assert "x: float32[3,1],base rank 0,batch shape (3,1)" in words(raised)
    assert "y: float32[2],base rank 0,batch shape (2,)" in words(raised)


def test_debug_print_prints_each_example(capsys: pytest.CaptureFixture[str]) -> None:
    @auto_vmap(x=0, y=0)
    def product(x: Any, y: Any) -> Any:
        jax.debug.print("{x} times {y}", x=x, y=y)
        return x * y

    product(X, Y)
    jax.effects_barrier()
    expected = sorted(f"{float(x)} times {float(y)}" for x in X[:, 0] for y in Y)
    assert sorted(capsys.readouterr().out.splitlines()) == expected


def test_ordered_io_callback_keeps_jax_error_and_gets_a_note() -> None:
    from jax.experimental import io_callback

    function = auto_vmap(x=0)(lambda x: io_callback(lambda x: None, None, x, ordered=True))
    with pytest.raises(ValueError, match=r"(?i)ordered") as raised:
        function(Y)
    assert "x: float32[2],base rank 0,batch shape (2,)" in words(raised)
