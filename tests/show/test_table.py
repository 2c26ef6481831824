"""`autovmap._show.table`: a plan as a short table."""

import jax
import jax.numpy as jnp

from autovmap import auto_vmap


def struct(*shape: int) -> jax.ShapeDtypeStruct:
    """A float32 struct."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def total(x: object, y: object = 0.0) -> object:
    """Something to plan."""
    return x


def test_a_call_without_batch_dims() -> None:
    assert str(auto_vmap(x=1)(total).plan(struct(3))).splitlines()[0] == (
        "total: batch shape (), called as it is"
    )


def test_axes_of_size_1() -> None:
    plan = auto_vmap(x=1)(total).plan(struct(1, 4, 1, 3))
    lines = str(plan).splitlines()
    assert lines[0] == "total: batch shape (1, 4, 1)"
    assert any("vmap 1: batch axis -2, size 4, over x" in line for line in lines)
    assert any("not mapped: batch axis -3, -1" in line for line in lines)
    assert repr(plan) == str(plan)


def test_names() -> None:
    plan = auto_vmap(x=1, axis_name=("i", "j"))(total).plan(struct(4, 3))
    assert "batch axis -2 'i', size 1, over nothing" in str(plan)
    assert "batch axis -1 'j', size 4, over x" in str(plan)


def test_many_leaves_are_cut() -> None:
    plan = auto_vmap(x=0)(total).plan([struct(2)] * 40)
    assert "x (40 leaves)" in str(plan)
    assert "over x (40 leaves)" in str(plan)
    assert len(plan.args) == 40
