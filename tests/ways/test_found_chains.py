"""Found by using ways of running together: each one in a chain is heard."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from autovmap import auto_vmap
from autovmap.errors import SpecError

X = np.arange(27, dtype=np.float32).reshape(9, 3)


def total(x: Any) -> Any:
    return jnp.sin(x).sum()


def one_device() -> Any:
    return jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))


@pytest.mark.parametrize("chain", [lambda f: f.bucket().chunk(2), lambda f: f.chunk(2).bucket()])
def test_a_bucket_runs_in_chunks(chain: Any) -> None:
    f = auto_vmap(x=1)(total)
    run = chain(f)
    np.testing.assert_allclose(run(X), f(X), rtol=1e-6)
    assert "scan" in str(jax.make_jaxpr(run)(X))
    assert "8 chunks of 2 examples" in str(run.plan(X))  # of the 16 that 9 are padded to


def test_a_padded_call_runs_in_chunks() -> None:
    seen: list[bool] = []

    def branches(x: Any) -> Any:
        def counted(x: Any) -> Any:
            jax.debug.callback(lambda: seen.append(True))
            return jnp.sin(x)

        return jax.lax.cond(x > 3, counted, jnp.cos, x)

    x = np.arange(5, dtype=np.float32)
    f = auto_vmap(x=0)(branches)
    np.testing.assert_allclose(f.bucket().chunk(1)(x), np.where(x > 3, np.sin(x), np.cos(x)), 1e-6)
    jax.effects_barrier()
    assert len(seen) == 1  # the one of the five: what pads them to eight has no effects


def test_a_bucket_is_sharded() -> None:
    f = auto_vmap(x=1)(total)
    run = f.bucket().shard("data", mesh=one_device())
    np.testing.assert_allclose(run(X), f(X), rtol=1e-6)
    assert "shard_map" in str(jax.make_jaxpr(run)(X))
    assert "1 parts of 16" in str(run.plan(X))


def test_a_bucket_decides_its_chunks_by_memory() -> None:
    f = auto_vmap(x=1)(lambda x: jnp.sort(x[:, None] * x, axis=0).sum())
    x = np.ones((300, 64), np.float32)
    run = f.bucket().chunk(memory="100KiB")
    np.testing.assert_allclose(run(x), f(x), rtol=1e-5)
    assert "scan" in str(jax.make_jaxpr(run)(x))


@pytest.mark.parametrize(
    "chain",
    [
        lambda f: f.bucket().replace(stretch_outputs=False),
        lambda f: f.replace(stretch_outputs=False).bucket(),
    ],
)
def test_a_bucket_stretches_outputs_in_any_order(chain: Any) -> None:
    with pytest.raises(SpecError, match="no telling which dims of a result were padded"):
        chain(auto_vmap(x=1)(total))


def test_a_bucket_is_neither_tuned_nor_cut() -> None:
    both = auto_vmap(x=1)(total).bucket().chunk(memory="1MiB")
    with pytest.raises(SpecError, match=r"with \.bucket\(\) the size of the chunks is decided for"):
        both.tune(X)
    with pytest.raises(SpecError, match=r"only \.chunk\(\.\.\.\), without \.bucket"):
        both.iter(X)


@pytest.mark.parametrize("how", [{"size": "auto"}, {"memory": "1MiB"}, {"size": 4}])
def test_a_symbolic_batch_is_no_chunks(how: Any) -> None:
    f = auto_vmap(x=1)(total).chunk(**how)
    shape = jax.ShapeDtypeStruct(export.symbolic_shape("b, 3"), "float32")
    with pytest.raises(SpecError, match="batch dim b is symbolic"):
        export.export(jax.jit(f))(shape)


@pytest.mark.parametrize("out_axes", [0, -1])
def test_progress_gives_keys_without_a_warning(out_axes: int) -> None:
    @auto_vmap(rng="key", randomness="different", out_axes=out_axes)
    def keys(rng: Any) -> Any:
        return rng, jax.random.split(rng, 3), 1.0

    f = keys.batch(5)
    done: list[int] = []
    found = f.chunk(2, progress=lambda so_far, total: done.append(so_far))(jax.random.key(0))
    assert done == [2, 4, 5]
    for ours, theirs in zip(found, f(jax.random.key(0)), strict=True):
        assert ours.dtype == theirs.dtype
        if jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
            ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
        assert ours.weak_type == theirs.weak_type
        np.testing.assert_array_equal(ours, theirs)


def test_a_mesh_that_is_none() -> None:
    with pytest.raises(SpecError, match="mesh is 'm' of type str; give a"):
        auto_vmap(x=1)(total).shard("data", mesh="m")


def test_static_names_that_are_none() -> None:
    with pytest.raises(SpecError, match="static_argnames is 0; give the name of a parameter"):
        auto_vmap(x=1)(total).jit(static_argnames=0)  # pyright: ignore


@pytest.mark.parametrize(
    "way", [lambda f: f.chunk(2), lambda f: f.bucket(), lambda f: f.jit(partition=True)]
)
def test_a_slice_is_static(way: Any) -> None:
    f = auto_vmap(x=1)(lambda x, part: x[part].sum())
    run = way(f)
    for part in (slice(0, 2), slice(1), slice(None, None, 2), slice(0, 2)):
        np.testing.assert_array_equal(run(X, part), f(X, part))


def test_a_plan_says_all_of_a_step() -> None:
    run = auto_vmap(x=1)(total).shard("data", mesh=one_device()).chunk(2, remat=True)
    lines = str(run.plan(X)).splitlines()
    text = " ".join(line.strip() for line in lines)
    assert (
        "chunk: on each device 5 chunks of 2 examples (2 of batch axis -1), the last overlapping "
        "remat: a chunk is computed again in the backward pass" in text
    )
    assert max(map(len, lines)) <= 80
