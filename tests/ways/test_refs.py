"""Refs in every way of running: a result, or a refusal by name."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap
from faults.cases.case import one_device
from faults.saying import says

pytestmark = pytest.mark.skipif(not hasattr(jax, "new_ref"), reason="this JAX has no jax.new_ref")

WAYS: dict[str, Callable[[Any], Any]] = {
    "call": lambda f: f,
    "jit": lambda f: f.jit(),
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "jit of chunk": lambda f: f.chunk(2).jit(),
    "progress": lambda f: f.chunk(2, progress=lambda done, total: None),
    "bucket": lambda f: f.bucket(),
    "block": lambda f: f.bucket(block=2),
    "loop": lambda f: f.loop(),
    "one by one": lambda f: f.chunk(1),
    "shard": lambda f: f.shard("d", mesh=one_device()),
}
IN_ORDER = ("loop", "one by one")
"""The ways in which one example runs after the other."""
X = jnp.arange(4.0)


def outer_jit(f: Any) -> Any:
    return jax.jit(lambda *args: f(*args))


def read(box, x):
    return box["ref"][...].sum() * x


def write(box, x):
    box["ref"][...] = box["ref"][...] + x
    return 2 * x


@pytest.mark.parametrize("within", [lambda f: f, outer_jit], ids=["", "outer jit"])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "shard"])
def test_a_shared_ref_is_read(way: str, within: Any) -> None:
    if within is outer_jit and way in ("loop", "progress"):
        pytest.skip("takes no tracers")
    f = within(WAYS[way](auto_vmap(x=0)(read)))
    np.testing.assert_allclose(f({"ref": jax.new_ref(jnp.ones(3))}, X), 3 * X)


def test_over_a_mesh_a_shared_ref_is_refused_by_name() -> None:
    f = WAYS["shard"](auto_vmap(x=0)(read))
    with pytest.raises(SpecError, match=says("read(): box['ref'] is a Ref", "without .shard")):
        f({"ref": jax.new_ref(jnp.ones(3))}, X)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in IN_ORDER])
def test_to_write_to_a_shared_ref_is_refused_by_name(way: str) -> None:
    f = WAYS[way](auto_vmap(x=0)(write))
    ref = jax.new_ref(jnp.ones(3))
    with pytest.raises(SpecError, match=says("write(): box['ref'] is a Ref without a rank")):
        f({"ref": ref}, X)
    np.testing.assert_array_equal(ref[...], np.ones(3))


@pytest.mark.parametrize("way", IN_ORDER)
def test_one_example_after_the_other_writes_in_order(way: str) -> None:
    ref = jax.new_ref(jnp.ones(3))
    np.testing.assert_allclose(WAYS[way](auto_vmap(x=0)(write))({"ref": ref}, X), 2 * X)
    np.testing.assert_array_equal(ref[...], np.full(3, 7.0))


def test_a_ref_that_a_function_closes_over_is_told_too() -> None:
    ref = jax.new_ref(jnp.float32(0))

    @auto_vmap(x=0)
    def keep(x):
        ref[...] = x
        return x

    with pytest.raises(SpecError, match=says("keep(): it closes over a Ref", "writes to it")):
        keep(X)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("call", "jit", "partition")])
@pytest.mark.parametrize("within", [lambda f: f, outer_jit], ids=["", "outer jit"])
def test_a_ranked_ref_is_refused_where_a_copy_would_change(way: str, within: Any) -> None:
    def add(r, x):
        r[...] = r[...] + x
        return r[...] * 2

    f = auto_vmap(r=0, x=0)(add)
    with pytest.raises(SpecError, match=says("r is a Ref, which is changed in place")):
        within(WAYS[way](f))(jax.new_ref(jnp.zeros(4)), X)


@pytest.mark.parametrize("way", ["call", "jit", "partition"])
@pytest.mark.parametrize("within", [lambda f: f, outer_jit], ids=["", "outer jit"])
def test_a_ranked_ref_is_changed_example_by_example(way: str, within: Any) -> None:
    ref = jax.new_ref(jnp.zeros((1, 4)))

    def add(r, x):
        r[...] = r[...] + x

    within(WAYS[way](auto_vmap(r=1, x=1)(add)))(ref, X)
    np.testing.assert_array_equal(ref[...], X[None])


def test_a_ref_and_an_array_that_are_traced_alike_have_plans_of_their_own() -> None:
    f = auto_vmap(x=0)(lambda x: x[...] * 2)
    array = jnp.arange(3.0)
    np.testing.assert_array_equal(outer_jit(f)(array), 2 * array)
    np.testing.assert_array_equal(outer_jit(f)(jax.new_ref(array)), 2 * array)
    with pytest.raises(SpecError, match="r is the Ref"):
        outer_jit(auto_vmap(r=0, x=0)(lambda r, x: r[...] + x))(
            jax.new_ref(array), jnp.ones((2, 3))
        )
