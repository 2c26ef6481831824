"""What is said where devices or shardings do not fit: each check is a function."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from autovmap import BatchShapeError, auto_vmap
from compose.examples import words
from compose.meshes import EXPLICIT, mesh_of, put, similarity, use_mesh

RESHARD = "jax.reshard" if hasattr(jax, "reshard") else "jax.experimental.shard.reshard"


def refused(call: Any) -> str:
    """The message of the `BatchShapeError` that a call raises; JAX's own error is its cause."""
    with pytest.raises(BatchShapeError, match="reshard") as raised:
        call()
    assert raised.value.__cause__ is not None
    return str(raised.value)


def explicit_disagreement() -> None:
    with use_mesh(mesh_of(EXPLICIT)):
        x = put(EXPLICIT, (8, 4, 3), "a", "b")
        for shape, spec, axis in (
            ((4, 3), (None,), "-1"),
            ((4, 3), ("a",), "-1"),
            ((8, 1, 3), (None,), "-2"),
            ((8, 1, 3), ("b",), "-2"),
        ):
            y = put(EXPLICIT, shape, *spec)
            for call in (similarity, jax.jit(similarity)):
                message = refused(lambda call=call, y=y: call(x, y))
                full = (*spec, *(None,) * (len(shape) - len(spec)))
                assert f"batch axis {axis}" in message, message
                assert "v: float32[8,4,3], base rank" in message, message
                assert "sharded as P('a', 'b', None)" in message, message
                assert f"w: float32[{','.join(map(str, shape))}], base rank" in message
                assert f"P({', '.join(map(repr, full))})" in message, message
                assert RESHARD in message, message


def reshard(x: Any, spec: Any) -> Any:
    """`jax.reshard`, wherever this version has it."""
    if hasattr(jax, "reshard"):
        return jax.reshard(x, spec)
    from jax.experimental import shard

    return shard.reshard(x, spec)


def explicit_disagreement_is_mended_by_reshard() -> None:
    with use_mesh(mesh_of(EXPLICIT)):
        x, y = put(EXPLICIT, (8, 4, 3), "a", "b"), put(EXPLICIT, (4, 3))
        refused(lambda: similarity(x, y))
        mended = similarity(x, reshard(y, P("b", None)))
        assert tuple(jax.typeof(mended).sharding.spec) == ("a", "b")


def weighted(v: Any, w: Any) -> Any:
    return (v[:, None] * w).sum()


def explicit_core_dim_on_a_batch_axis() -> None:
    """A ranked argument without batch dims, sharded over the mesh axis of the batch."""
    with use_mesh(mesh_of(EXPLICIT)):
        v, w = put(EXPLICIT, (8, 4), "a"), put(EXPLICIT, (4,), "a")
        message = refused(lambda: auto_vmap(v=1, w=1)(weighted)(v, w))
    assert "w" in message, message
    assert "mesh axis 'a'" in message, message
    assert "w: float32[4], base rank 1, batch shape ()" in message, message
    assert "sharded as P('a')" in message, message
    assert RESHARD in message, message


def explicit_unranked_on_a_batch_axis() -> None:
    """The same of an argument without a rank, by its path."""
    with use_mesh(mesh_of(EXPLICIT)):
        v, w = put(EXPLICIT, (8, 4), "a"), {"k": [put(EXPLICIT, (4,), "a")]}
        function = auto_vmap(v=1)(lambda v, tree: weighted(v, tree["k"][0]))
        message = refused(lambda: function(v, w))
    assert "tree['k'][0]" in message, message
    assert "mesh axis 'a'" in message, message


def an_error_of_the_body_is_not_blamed_on_sharding() -> None:
    """The same arguments, where the body fails by itself."""

    @auto_vmap(v=1, w=1)
    def failing(v: Any, w: Any) -> Any:
        raise KeyError("mine")

    with use_mesh(mesh_of(EXPLICIT)):
        v, w = put(EXPLICIT, (8, 4), "a"), put(EXPLICIT, (4,), "a")
        with pytest.raises(KeyError, match="mine") as raised:
            failing(v, w)
    assert "batch shape (8,)" in words(raised)


def committed_to_different_devices() -> None:
    one, other = (
        jax.device_put(jnp.ones(shape), device)
        for shape, device in zip([(4, 3), (3,)], jax.devices()[:2], strict=True)
    )
    with pytest.raises(ValueError, match="incompatible devices") as raised:
        similarity(one, other)
    assert not isinstance(raised.value, BatchShapeError)
    assert "v: float32[4,3],base rank 1,batch shape (4,)" in words(raised)
    assert "w: float32[3],base rank 1,batch shape ()" in words(raised)


ALONE = (
    explicit_disagreement,
    explicit_disagreement_is_mended_by_reshard,
    explicit_core_dim_on_a_batch_axis,
    explicit_unranked_on_a_batch_axis,
    an_error_of_the_body_is_not_blamed_on_sharding,
    committed_to_different_devices,
)
