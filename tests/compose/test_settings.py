"""JAX's settings, each in force around a decorated call; and threads."""

import gc
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, auto_vmap
from compose.examples import arrays, close, numpy_loop, plain, quadratic, words

S, V, M = arrays()
EXPECTED = numpy_loop(plain)(S, V, M)


def x64() -> Any:
    """64 bits within a `with`."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64(True)


def test_checking_leaks() -> None:
    with jax.checking_leaks():
        close(quadratic(S, V, M), EXPECTED)
        close(jax.jit(quadratic)(S, V, M), EXPECTED)
        jax.grad(lambda v: quadratic(S, v, M).sum())(V)
        jax.vmap(quadratic, in_axes=(None, None, 1))(S, V, jnp.stack([M, M], 1))


def test_no_argument_is_kept_after_the_call() -> None:
    x = jnp.ones((4, 3)) * 2
    kept = weakref.ref(x)
    total = auto_vmap(x=1)(lambda x: x.sum())
    total(x)
    jax.jit(total)(x)
    del x
    gc.collect()
    assert kept() is None


def test_disable_jit() -> None:
    seen = []

    @auto_vmap(x=0)
    def double(x: Any) -> Any:
        seen.append(type(x))
        return 2 * x

    with jax.disable_jit():
        close(jax.jit(double)(jnp.arange(3.0)), [0.0, 2.0, 4.0])
        close(quadratic(S, V, M), EXPECTED)
    assert len(seen) == 1


def test_debug_nans_finds_one_example_nan() -> None:
    log = auto_vmap(x=0)(jnp.log)
    with jax.debug_nans(True):
        close(quadratic(S, V, M), EXPECTED)
        with pytest.raises(FloatingPointError, match="nan") as raised:
            log(jnp.array([1.0, -1.0]))
    assert "batch shape (2,)" in words(raised)


def test_x64() -> None:
    with x64():
        args = [jnp.asarray(np.asarray(x, np.float64)) for x in (S, V, M)]
        result = quadratic(*args)
        assert result.dtype == jnp.float64
        np.testing.assert_allclose(result, numpy_loop(plain)(*args), rtol=1e-14)
        assert quadratic(S, V, M).dtype == jnp.float32
    assert quadratic(S, V, M).dtype == jnp.float32


def test_x64_switched_between_calls_of_one_shape() -> None:
    """NumPy's float64 becomes another dtype under each setting: a cached plan must not mind."""
    x = np.arange(4.0)
    double = auto_vmap(x=0)(lambda x: 2 * x)
    assert double(x).dtype == jnp.float32
    with x64():
        assert double(x).dtype == jnp.float64
        assert double(2**40) == 2**41
    assert double(x).dtype == jnp.float32


def test_strict_dtype_promotion() -> None:
    scale = auto_vmap(x=0, y=0)(lambda x, y: 2.0 * x * y)
    x, y = jnp.ones((3, 1)), jnp.ones(2)
    with jax.numpy_dtype_promotion("strict"):
        assert scale(x, y).dtype == jnp.float32
        assert scale(x, 2.0).dtype == jnp.float32
        assert auto_vmap(x=0)(lambda x: x)(jnp.ones((1, 1))).shape == (1, 1)
        with pytest.raises(Exception, match=r"(?i)promotion") as raised:
            scale(x, y.astype(jnp.int32))
    assert "x: float32[3,1],base rank 0,batch shape (3,1)" in words(raised)


def test_weak_types_stay_weak() -> None:
    scale = auto_vmap(x=0, y=0)(lambda x, y: x * y)
    half = jnp.ones((3, 1), jnp.bfloat16)
    assert scale(half, 2.0).dtype == jnp.bfloat16
    assert scale(half, jnp.asarray(2.0)).dtype == jnp.bfloat16


PAIR = auto_vmap(a=0, b=0)(lambda a, b: a + b)
LONG, SHORT = jnp.ones((3, 2)), jnp.ones(2)


def test_rank_promotion_raise() -> None:
    with jax.numpy_rank_promotion("raise"):
        with pytest.raises(BatchShapeError, match="jax_numpy_rank_promotion") as raised:
            PAIR(LONG, SHORT)
        assert "a: float32[3,2],base rank 0,batch shape (3,2)" in words(raised)
        assert "b: float32[2],base rank 0,batch shape (2,)" in words(raised)
        assert PAIR(LONG, jnp.ones((1, 2))).shape == (3, 2)
        assert PAIR(LONG, 1.0).shape == (3, 2)


def test_rank_promotion_warn() -> None:
    with (
        jax.numpy_rank_promotion("warn"),
        pytest.warns(UserWarning, match="jax_numpy_rank_promotion") as caught,
    ):
        assert PAIR(LONG, SHORT).shape == (3, 2)
    assert [warning.filename for warning in caught] == [__file__]


def test_rank_promotion_allow() -> None:
    with jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PAIR(LONG, SHORT).shape == (3, 2)


def test_rank_promotion_agrees_with_jax_numpy() -> None:
    """Where `jnp.add` refuses two shapes of batches, so does a decorated addition."""
    shapes = [(), (1,), (2,), (1, 2), (3, 1), (3, 2), (1, 1, 1)]
    with jax.numpy_rank_promotion("raise"):
        for one in shapes:
            for other in shapes:
                a, b = jnp.ones(one), jnp.ones(other)
                outcomes = []
                for add, error in ((jnp.add, ValueError), (PAIR, BatchShapeError)):
                    try:
                        outcomes.append(add(a, b).shape)
                    except error as raised:
                        outcomes.append("rank_promotion" in str(raised))
                assert outcomes[0] == outcomes[1], (one, other)


def test_transfer_guard() -> None:
    x, y = jnp.ones((3, 1, 1)), jnp.ones((1, 2))
    product = auto_vmap(x=0, y=0)(lambda x, y: x * y)
    with jax.transfer_guard("disallow"):
        assert product(x, y).shape == (3, 1, 2)


def test_sixteen_threads_with_shapes_of_their_own() -> None:
    """All meet at a barrier before each call, so that they race for every cache."""
    workers = 16
    barrier = Barrier(workers)
    decorated = auto_vmap(x=1, y=0)(lambda x, y: x.sum() * y)

    def work(worker: int) -> list[bool]:
        right = []
        for repeat in range(3):
            rows = worker // 2 + 1  # so two threads share each shape
            x = np.full((rows, 1, 3), worker + repeat, np.float32)
            y = np.arange(repeat + 2, dtype=np.float32)
            barrier.wait()
            result = decorated(x, y=y)
            expected = np.broadcast_to(3.0 * (worker + repeat) * y, (rows, repeat + 2))
            right.append(bool((np.asarray(result) == expected).all()))
        return right

    with ThreadPoolExecutor(workers) as pool:
        assert all(all(right) for right in pool.map(work, range(workers)))
