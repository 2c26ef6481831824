"""`jax.export` with symbolic batch dims: one program for every batch size."""

from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, auto_vmap
from compose.examples import close

B, C = jax.export.symbolic_shape("b, c")


@auto_vmap(x=1, y=1)
def dot(x: Any, y: Any) -> Any:
    return x @ y


def symbolic(*shape: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


@pytest.mark.parametrize(
    ("x", "y", "batch"),
    [
        ((B,), (B,), (B,)),
        ((B,), (1,), (B,)),
        ((1,), (B,), (B,)),
        ((B,), (), (B,)),
        ((B, C), (C,), (B, C)),
        ((B, 1), (C,), (B, C)),
        ((B, C), (1, 1), (B, C)),
        ((B, C), (B, 1), (B, C)),
        ((B, 1), (1, 1), (B, 1)),
        ((1, B), (C, 1), (C, B)),
        ((B + 1,), (1 + B,), (B + 1,)),
        ((2 * B, 4), (4,), (2 * B, 4)),
    ],
    ids=str,
)
def test_export_and_run_with_several_sizes(x: Any, y: Any, batch: Any) -> None:
    exported = jax.export.export(jax.jit(dot))(symbolic(*x, 3), symbolic(*y, 3))
    assert exported.out_avals[0].shape == batch
    rng = np.random.default_rng(0)
    for b, c in ((2, 3), (5, 4)):
        a, d = (
            jnp.asarray(rng.normal(size=(*_sizes(shape, b, c), 3)), jnp.float32) for shape in (x, y)
        )
        close(exported.call(a, d), np.vectorize(np.dot, signature="(n),(n)->()")(a, d))


def _sizes(shape: Any, b: int, c: int) -> list[int]:
    return [eval(str(dim), {}, {"b": b, "c": c}) for dim in shape]


@pytest.mark.parametrize(
    ("x", "y", "sizes", "axis"),
    [
        ((B,), (C,), ("b", "c"), -1),
        ((B,), (4,), ("b", "4"), -1),
        ((B, 2), (C, 1), ("b", "c"), -2),
        ((2, B), (C,), ("b", "c"), -1),
        ((B + 1,), (B,), (r"b \+ 1", "b"), -1),
    ],
    ids=str,
)
def test_sizes_that_may_differ_are_refused(x: Any, y: Any, sizes: Any, axis: int) -> None:
    message = rf"axis {axis}.* has size {sizes[0]} in x and size {sizes[1]} in y"
    with pytest.raises(BatchShapeError, match=message) as raised:
        jax.export.export(jax.jit(dot))(symbolic(*x, 3), symbolic(*y, 3))
    shown = ",".join(map(str, (*x, 3)))
    assert f"x: float32[{shown}], base rank 1" in str(raised.value)


def test_the_plan_of_symbolic_shapes() -> None:
    plan = dot.plan(symbolic(B, 1, 3), symbolic(C, 3))
    assert plan.batch_shape == (B, C)
    assert [layer.size for layer in plan.layers] == [B, C]
    assert "batch shape (b, c)" in str(plan)
    assert hash(plan) == hash(dot.plan(symbolic(B, 1, 3), symbolic(C, 3)))


def test_an_exported_gradient_and_tree() -> None:
    @auto_vmap(state={"w": 1, "b": 0}, x=1)
    def loss(state: Any, x: Any) -> Any:
        return (state["w"] @ x + state["b"]) ** 2

    def total(state: Any, x: Any) -> Any:
        return loss(state, x).sum()

    state = {"w": symbolic(B, 1, 3), "b": symbolic(1)}
    exported = jax.export.export(jax.jit(jax.grad(total)))(state, symbolic(C, 3))
    real = {"w": jnp.ones((4, 1, 3)), "b": jnp.ones(1)}
    x = jnp.arange(6.0).reshape(2, 3)
    found, expected = exported.call(real, x), jax.grad(total)(real, x)
    close(found["w"], expected["w"])
    close(found["b"], expected["b"])


def test_positions_of_batch_dims_may_be_symbolic_too() -> None:
    inner = auto_vmap(x=1, y=1, in_axes=1, out_axes=-1)(lambda x, y: x * y)
    exported = jax.export.export(jax.jit(inner))(symbolic(3, B, 1), symbolic(3, C))
    assert exported.out_avals[0].shape == (3, B, C)
