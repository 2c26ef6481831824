"""Run by test_found_devices.py in a process with eight devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from autovmap import auto_vmap

EIGHT = np.array(jax.devices())
W = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), "float32")


@auto_vmap(x=1, w=2)
def layer(x: Any, w: Any) -> Any:
    return jnp.tanh(w @ x)


def rows(n: int) -> Any:
    return jnp.asarray(np.random.default_rng(n).normal(size=(n, 3)), "float32")


def test_keys_are_gathered() -> None:
    mesh = Mesh(EIGHT.reshape(4, 2), ("data", "model"))

    @auto_vmap(rng="key", randomness="different", out_axes=(0, -1))
    def draw(rng: Any) -> Any:
        return jax.random.split(rng, 3), rng

    for shape, spec in (((10,), P("data")), ((10, 3), P("data", "model")), ((8, 3), P("data"))):
        f = draw.batch(*shape)
        for ours, theirs in zip(
            f.shard(spec, mesh=mesh)(jax.random.key(0)), f(jax.random.key(0)), strict=True
        ):
            assert ours.shape == theirs.shape
            np.testing.assert_array_equal(jax.random.key_data(ours), jax.random.key_data(theirs))


def test_memory_decides_on_a_mesh() -> None:
    run = layer.shard("data", mesh=Mesh(EIGHT[:4], ("data",))).chunk(memory="1KiB")
    x = rows(100)
    assert 1 <= run.tune(x, W) <= 25
    np.testing.assert_allclose(run(x, W), layer(x, W), rtol=1e-4)


def test_chunks_on_an_explicit_mesh() -> None:
    if not hasattr(jax, "reshard"):  # Explicit meshes work from jax 0.9 on
        return
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    run = layer.shard("data", mesh=mesh).chunk(2)
    for n in (8, 10):
        x = rows(n)
        places = [P()] + [P("data")] * (n == 8)
        for given in [x, *(jax.device_put(x, NamedSharding(mesh, p)) for p in places)]:
            np.testing.assert_allclose(np.asarray(run(given, W)), layer(x, W), rtol=1e-4)


def test_a_bucket_runs_where_its_arrays_lie() -> None:
    x = jax.device_put(rows(7), EIGHT[2])
    assert layer.bucket()(x, np.asarray(W)).devices() == {EIGHT[2]}
    np.testing.assert_allclose(layer.bucket()(x, np.asarray(W)), layer(rows(7), W), rtol=1e-4)


def test_a_bucket_is_cut_to_a_size_without_a_sharding() -> None:
    run = layer.bucket().shard("data", mesh=Mesh(EIGHT[:4], ("data",)))
    for n in (3, 7, 8, 10):
        np.testing.assert_allclose(run(rows(n), W), layer(rows(n), W), rtol=1e-4)
    assert run.stats().compilations == 3  # 4, 8 and 16


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("test_"):
            check()
            print(name)
