"""What `test_processes.py` runs twice: one of two processes, with two CPU devices each.

Arguments: the coordinator's address, and this process's number.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from autovmap import BatchShapeError, auto_vmap


@auto_vmap(v=1, w=1)
def similarity(v: Any, w: Any) -> Any:
    return jnp.sin(v @ w) * (v**2).sum()


def expected(v: Any, w: Any) -> Any:
    return np.sin((v * w).sum(-1)) * (v**2).sum(-1)


def distributed(x: Any, mesh: Any, *spec: Any) -> Any:
    """A global array, of which each process gives the part that its own devices hold."""
    return jax.make_array_from_callback(x.shape, NamedSharding(mesh, P(*spec)), x.__getitem__)


def check_shards(result: Any, whole: Any, mesh: Any) -> None:
    """Each shard that this process holds: its place, and its values."""
    assert result.shape == whole.shape
    assert not result.is_fully_addressable
    assert result.sharding.is_equivalent_to(NamedSharding(mesh, P("a")), result.ndim)
    shards = result.addressable_shards
    assert len(shards) == 2
    for shard in shards:
        assert shard.data.shape == (2, *whole.shape[1:])
        np.testing.assert_allclose(shard.data, whole[shard.index], rtol=1e-5, atol=1e-5)


def main() -> None:
    mesh = jax.make_mesh((4,), ("a",), axis_types=(AxisType.Auto,))
    rng = np.random.default_rng(0)
    v = rng.normal(size=(8, 1, 3)).astype(np.float32)
    for batch, spec in (((5,), ()), ((8, 5), ("a",)), ((1, 5), ()), ((), ())):
        w = rng.normal(size=(*batch, 3)).astype(np.float32)
        whole = np.broadcast_to(expected(v, w), (8, *(batch[-1:] or (1,))))
        args = distributed(v, mesh, "a"), distributed(w, mesh, *spec)
        check_shards(similarity(*args), whole, mesh)
        check_shards(jax.jit(similarity)(*args), whole, mesh)
        check_shards(similarity.shard("a", mesh=mesh)(*args), whole, mesh)
        check_shards(similarity.shard("a", mesh=mesh).chunk(3).jit()(*args), whole, mesh)
        gradient = jax.jit(jax.grad(lambda v, w: similarity(v, w).sum()))(*args)
        assert gradient.sharding.is_equivalent_to(NamedSharding(mesh, P("a")), 3)
    check_message(v, mesh)
    check_gathered(mesh)
    check_reduced(mesh)


def check_reduced(mesh: Any) -> None:
    """A fold over both processes: each has the whole of it, of sizes that don't divide too."""
    for rows in (8, 7):
        v = np.random.default_rng(1).normal(size=(rows, 3)).astype(np.float32)
        args = distributed(v, mesh, *(("a",) if rows == 8 else ())), distributed(v[:1], mesh)
        folds: tuple[tuple[Any, Any], ...] = (
            ("mean", np.mean),
            ("max", np.max),
            ("prod", np.prod),
            ("logsumexp", lambda x: np.log(np.exp(x).sum())),
            ((lambda a, b: a + b - a * b, 0.0), lambda x: 1 - np.prod(1 - x)),
        )
        for fold, function in folds:
            f = similarity.reduce(fold).shard("a", mesh=mesh)
            for way in (f, f.chunk(1)):
                for shard in way(*args).addressable_shards:
                    whole = function(expected(v, v[:1]))
                    np.testing.assert_allclose(shard.data, whole, rtol=1e-4)


def check_gathered(mesh: Any) -> None:
    """A size that four devices do not divide: every process has the whole result."""
    x = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    result = similarity.shard("a", mesh=mesh)(distributed(x, mesh), distributed(x[:1], mesh))
    assert result.sharding.is_fully_replicated
    whole = expected(x, x[:1])
    for shard in result.addressable_shards:
        np.testing.assert_allclose(shard.data, whole[shard.index], rtol=1e-5, atol=1e-5)


def check_message(v: Any, mesh: Any) -> None:
    """An error is told from shapes alone: the values are not all here."""
    one, other = distributed(v[:, 0], mesh, "a"), distributed(np.ones((5, 3)), mesh)
    with pytest.raises(BatchShapeError, match=r"v: float32\[8,3\]"):
        similarity(one, other)


if __name__ == "__main__":
    address, number = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, 2, int(number), initialization_timeout=600)
    assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 4, 2)
    main()
    jax.distributed.shutdown()
    print("right")
