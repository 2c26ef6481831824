"""brax's rotations refuse batch dims; its callers put `jax.vmap` around each."""

import jax
import jax.numpy as jnp
import pytest

from autovmap import CoreSizeError, auto_vmap

from .by_hand import equal_and_beyond
from .loop import Normal

math = pytest.importorskip("brax.math")

pytestmark = pytest.mark.libraries


def quaternions(*shape):
    found = Normal(1)(*shape, 4)
    return found / jnp.linalg.norm(found, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", ["rotate", "inv_rotate"])
def test_rotations(name):
    function = getattr(math, name)
    ours = auto_vmap(vec="(3)", quat="(4)")(lambda vec, quat: function(vec, quat))
    theirs = jax.vmap(function)
    both = Normal()(5, 3), quaternions(5)
    equal_and_beyond(ours, theirs, (1, 1), both=both, beyond=(Normal()(2, 1, 3), quaternions(5)))
    with pytest.raises(CoreSizeError, match="fixed size 4, but got 3"):
        ours(Normal()(5, 3), Normal()(5, 3))


def test_products():
    ours = auto_vmap(u="(4)", v="(4)")(math.quat_mul)
    both = quaternions(5), quaternions(5)[::-1]
    beyond = quaternions(2, 1), quaternions(5)
    equal_and_beyond(ours, jax.vmap(math.quat_mul), (1, 1), both=both, beyond=beyond)
