"""A constant array in a result stays an array in each way of running, in a node of any type too.

JAX gives the constant outputs of a program as numbers, and a number in a module stays one.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap


@jax.tree_util.register_pytree_node_class
class Pair:
    def __init__(self, moved: Any, constant: Any) -> None:
        self.moved, self.constant = moved, constant

    def tree_flatten(self) -> Any:
        return (self.moved, self.constant), None

    @classmethod
    def tree_unflatten(cls, _: Any, children: Any) -> "Pair":
        return cls(*children)


CONSTANTS: dict[str, Any] = {
    "weak float": lambda: jnp.asarray(1.0),
    "float": lambda: jnp.float32(1.0),
    "weak int": lambda: jnp.asarray(2),
    "int8": lambda: jnp.int8(3),
    "bool": lambda: jnp.asarray(True),
    "bf16": lambda: jnp.bfloat16(0.5),
    "complex": lambda: jnp.complex64(1j),
    "vector": lambda: jnp.zeros(2),
    "number": lambda: 1.5,
}
WAYS: dict[str, Any] = {
    "jit": lambda f: f.jit(),
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "chunk of one": lambda f: f.chunk(1),
    "chunk in jit": lambda f: f.chunk(2).jit(),
    "auto": lambda f: f.chunk("auto"),
    "bucket": lambda f: f.bucket(),
    "bucket, chunk": lambda f: f.bucket().chunk(2),
    "shard": lambda f: f.shard("d", mesh=jax.make_mesh((1,), ("d",))),
    "loop": lambda f: f.loop(),
    "unstretched": lambda f: f.replace(stretch_outputs=True).chunk(2),
}


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_constant_is_the_same_as_plain(way: str, constant: str) -> None:
    f: Any = auto_vmap(x=0)(lambda x: Pair(x, CONSTANTS[constant]()))
    want, found = f(jnp.ones(3)), WAYS[way](f)(jnp.ones(3))
    assert type(found.constant) is type(want.constant)
    assert jnp.shape(found.constant) == jnp.shape(want.constant)
    np.testing.assert_array_equal(found.constant, want.constant)
    if isinstance(want.constant, jax.Array):
        assert found.constant.dtype == want.constant.dtype
        assert found.constant.weak_type == want.constant.weak_type
