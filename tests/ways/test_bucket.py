"""`f.bucket()`: ever-new batch sizes, few programs."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap

RNG = np.random.default_rng(0)


def made() -> Any:
    """A function of two vectors."""

    @auto_vmap(x=1, y=1)
    def f(x: Any, y: Any, scale: Any = 1.0) -> Any:
        return {"dot": scale * (x @ y), "x": x, "name": "f"}

    return f


def check(f: Any, plain: Any, *args: Any) -> None:
    """The same as the plain call, as JAX arrays."""
    found, expected = f(*args), plain(*args)
    assert found["name"] == "f"
    for name in ("dot", "x"):
        assert isinstance(found[name], jax.Array)
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_one_program_a_bucket_for_each_axis(kind: Any):
    f = made()
    bucketed = f.bucket(promote=None)
    for rows in (3, 4, 5, 6, 7, 8):
        for columns in (2, 3, 4):
            x = kind(RNG.normal(size=(rows, 1, 3)).astype(np.float32))
            y = kind(RNG.normal(size=(columns, 3)).astype(np.float32))
            check(bucketed, f, x, y)
    stats = bucketed.stats()
    assert (stats.calls, stats.compilations, stats.hits) == (18, 4, 14)
    assert stats.promotions == 0


def test_padding_repeats_a_real_example():
    seen: list[Any] = []

    def look(x):
        seen.extend(x.tolist())
        return x

    def probe(x):  # a pure callback is no effect, for which padding would be left out
        return jax.pure_callback(look, x, x, vmap_method="expand_dims")

    f = auto_vmap(x=0)(probe).bucket([8])
    np.testing.assert_array_equal(f(np.arange(5.0, dtype=np.float32)), np.arange(5.0))
    assert sorted(seen) == [0, 1, 2, 3, 4, 4, 4, 4]


def test_nothing_is_compiled_to_pad_and_to_cut(caplog: pytest.LogCaptureFixture):
    f = auto_vmap(x=1)(lambda x: x.sum()).bucket()
    f(np.ones((5, 3), np.float32))
    with jax.log_compiles(), caplog.at_level("WARNING"):
        for rows in (6, 7, 5):
            f(np.ones((rows, 3), np.float32))
            f(jnp.asarray(np.ones((rows, 3), np.float32)))
    compiled = [r.getMessage() for r in caplog.records if "Compiling" in r.getMessage()]
    assert [m for m in compiled if "lambda" in m or "slice" in m or "pad" in m] == []


@pytest.mark.parametrize(
    ("sizes", "padded"),
    [(None, 8), ((6, 12), 6), ([100], 100), (lambda n: n + 1, 6), ((2, 4), 5)],
)
def test_the_sizes(sizes: Any, padded: int):
    f = made()
    x = jnp.ones((5, 3))
    bucketed = f.bucket(sizes)
    check(bucketed, f, x, x)
    said = f"batch axis -1 padded from 5 to {padded}" if padded != 5 else "nothing to pad"
    assert said in str(bucketed.plan(x, x))


def test_a_size_seen_often_gets_its_exact_program():
    f = made()
    bucketed = f.bucket(promote=3)
    x = jnp.ones((5, 3))
    for _ in range(5):
        check(bucketed, f, x, x)
    stats = bucketed.stats()
    assert (stats.calls, stats.compilations, stats.promotions) == (5, 2, 1)


def test_a_size_of_one_stays():
    f = auto_vmap(x=0)(lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x)).bucket()
    np.testing.assert_allclose(f(jnp.ones(1)), np.sin([1.0]), rtol=1e-6)
    assert "bucket: nothing to pad" in f.plan(jnp.ones(1)).steps


def test_size_zero_and_an_outer_trace_run_the_exact_program():
    f = made()
    x = jnp.ones((5, 3))
    assert f.bucket()(x[:0], x[0])["x"].shape == (0, 3)
    shapes = jax.eval_shape(lambda x: f.bucket()(x, x)["dot"], x)
    assert shapes.shape == (5,)
    text = str(jax.make_jaxpr(lambda x: f.bucket()(x, x)["dot"])(x))
    assert "[8" not in text
    np.testing.assert_allclose(jax.grad(lambda x: f.bucket()(x, x)["dot"].sum())(x), 2 * x)


def test_keys():
    @auto_vmap(rng="key", x=0, randomness="different")
    def draw(rng, x):
        return jax.random.bits(rng), jax.random.split(rng, 2), x

    x = jnp.arange(5.0)
    for key in (jax.random.key(0), jax.random.split(jax.random.key(0), 5)):
        for one, other in zip(draw.bucket()(key, x), draw(key, x), strict=True):
            assert one.dtype == other.dtype
            if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
                one, other = jax.random.key_data(one), jax.random.key_data(other)
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("out_axes", [1, -1, None])
def test_out_axes(out_axes: Any):
    f = auto_vmap(x=1, out_axes=(out_axes, 0))(
        lambda x, y: (y if out_axes is None else jnp.outer(x, x), x)
    )
    x = jnp.asarray(RNG.normal(size=(5, 3, 2)), jnp.float32)
    for one, other in zip(f.bucket()(x, 2.0), f(x, 2.0), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_in_axes():
    f = auto_vmap(x=1, in_axes=-1)(lambda x: x.sum())
    x = jnp.asarray(RNG.normal(size=(3, 5)), jnp.float32)
    np.testing.assert_allclose(f.bucket()(x), f(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "int4", "bool", "complex64", "uint8"])
def test_dtypes(dtype: str):
    f = auto_vmap(x=1)(lambda x: x)
    x = jnp.asarray(RNG.integers(0, 2, (5, 3))).astype(dtype)
    found = f.bucket()(x)
    assert found.dtype == x.dtype
    assert bool((found == x).all())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f: f.bucket([0]), "sizes is [0]"),
        (lambda f: f.bucket([]), "sizes is []"),
        (lambda f: f.bucket("8"), "sizes is '8'"),
        (lambda f: f.bucket(8), "sizes is 8"),
        (lambda f: f.bucket(promote=0), "promote is 0"),
        (lambda f: f.bucket(promote=True), "promote is True"),
        (lambda f: f.bucket(lambda n: n - 1)(jnp.ones((5, 3)), jnp.ones(3)), "sizes(5) is 4"),
        (lambda f: f.bucket().jit(), "leave one of them out"),
        (lambda f: f.jit().bucket(), "leave one of them out"),
        (lambda f: f.loop().bucket(), ".loop() with .bucket(...)"),
        (lambda f: f.bucket().loop(), ".loop() with .bucket(...)"),
        (lambda f: f.replace(axis_name="i").bucket(), "axis_name='i' names a batch axis"),
        (lambda f: f.replace(stretch_outputs=False).bucket(), "stretch_outputs=False"),
        (lambda f: f.stats(), "only .bucket()"),
    ],
)
def test_what_is_refused(call: Any, said: str):
    f = made()
    with pytest.raises(SpecError, match=re.escape(said)):
        call(f)


def test_with_chunks():
    f = made()
    x = jnp.asarray(RNG.normal(size=(13, 3)), jnp.float32)
    check(f.bucket().chunk(4), f, x, x)
    check(f.chunk(4).bucket(), f, x, x)
    assert f.bucket().chunk(4).plan(x, x).steps[0].startswith("bucket: ")
