"""A decorated function under and around JAX's transformations, against NumPy's loop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap
from compose.examples import arrays, close, numpy_loop, plain, quadratic
from compose.jaxprs import primitives, text

S, V, M = arrays()
EXPECTED = numpy_loop(plain)(S, V, M)


def test_the_call_itself() -> None:
    close(quadratic(S, V, M), EXPECTED)


@pytest.mark.each
@pytest.mark.parametrize(
    "transform", [jax.jit, jax.checkpoint, jax.remat], ids=["jit", "checkpoint", "remat"]
)
def test_a_transformed_call_has_the_same_value(transform: Any) -> None:
    close(transform(quadratic)(S, V, M), EXPECTED)


def test_jit_traces_once_for_one_shape() -> None:
    traces = []

    @jax.jit
    @auto_vmap(x=1)
    def total(x: Any) -> Any:
        traces.append(x.shape)
        return x.sum()

    for _ in range(3):
        total(jnp.ones((4, 3)))
    assert traces == [(3,)]


def test_grad_sums_over_the_stretched_axes() -> None:
    gradient = jax.grad(lambda *args: quadratic(*args).sum(), argnums=(0, 1, 2))(S, V, M)
    each = [
        numpy_loop(jax.grad(plain, argnums=i), result)(S, V, M)
        for i, result in enumerate(["()", "(n)", "(n,n)"])
    ]
    close(gradient[0], each[0].sum())
    close(gradient[1], each[1].sum(axis=1, keepdims=True))
    close(gradient[2], each[2].sum(axis=0))


def test_grad_inside_gives_a_gradient_for_each_example() -> None:
    gradient = auto_vmap(s=0, v=1, m=2)(jax.grad(plain, argnums=1))
    close(gradient(S, V, M), numpy_loop(jax.grad(plain, argnums=1), "(n)")(S, V, M))


def test_checkpointed_grad() -> None:
    def loss(v: Any) -> Any:
        return jax.checkpoint(quadratic)(S, v, M).sum()

    close(jax.grad(loss)(V), jax.grad(lambda v: quadratic(S, v, M).sum())(V))


def directional(s: Any, v: Any, m: Any) -> Any:
    """One example's derivative along a vector of ones."""
    return jax.jvp(lambda v: plain(s, v, m), (v,), (jnp.ones_like(v),))[1]


def test_jvp() -> None:
    value, tangent = jax.jvp(lambda v: quadratic(S, v, M), (V,), (jnp.ones_like(V),))
    close(value, EXPECTED)
    close(tangent, numpy_loop(directional)(S, V, M))


def test_linearize() -> None:
    value, linear = jax.linearize(lambda v: quadratic(S, v, M), V)
    close(value, EXPECTED)
    close(linear(jnp.ones_like(V)), numpy_loop(directional)(S, V, M))


def test_vjp_and_linear_transpose() -> None:
    value, pull = jax.vjp(lambda v: quadratic(S, v, M), V)
    close(value, EXPECTED)
    assert pull(jnp.ones((4, 5)))[0].shape == V.shape
    dot = auto_vmap(1, 1)(jnp.dot)
    (transposed,) = jax.linear_transpose(lambda v: dot(v, M[:, 0]), V)(jnp.ones((4, 5)))
    close(transposed, np.broadcast_to(M[:, 0].sum(0), (4, 1, 3)))


@pytest.mark.slow
def test_hessian_of_each_example() -> None:
    hessian = auto_vmap(s=0, v=1, m=2)(jax.hessian(plain, argnums=1))
    expected = numpy_loop(jax.hessian(plain, argnums=1), "(n,n)")(S, V, M)
    close(hessian(S, V, M), expected, rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_vmap_around_it(axis: int) -> None:
    m = jnp.moveaxis(jnp.stack([M, 2 * M]), 0, axis)
    result = jax.vmap(quadratic, in_axes=(None, None, axis))(S, V, m)
    close(result, np.stack([EXPECTED, numpy_loop(plain)(S, V, 2 * M)]))


def test_vmap_around_it_with_a_named_axis() -> None:
    @auto_vmap(x=0)
    def centred(x: Any) -> Any:
        return x - jax.lax.pmean(x, "outer")

    x = jnp.arange(12.0).reshape(3, 4)
    result = jax.vmap(centred, axis_name="outer")(x)
    close(result, x - x.mean(0))


def test_eval_shape_and_make_jaxpr() -> None:
    structs = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (S, V, M)]
    out = jax.eval_shape(quadratic, *structs)
    assert (out.shape, out.dtype) == ((4, 5), jnp.float32)
    assert text(quadratic, *structs) == text(quadratic, S, V, M)


@jax.custom_jvp
def rooted(x: Any) -> Any:
    """A square root whose derivative at 0 is taken to be 0."""
    return jnp.sqrt(x)


@rooted.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return rooted(x), jnp.where(x > 0, dx / (2 * jnp.sqrt(jnp.where(x > 0, x, 1.0))), 0.0)


@jax.custom_vjp
def clipped(x: Any) -> Any:
    """The identity with a gradient that is clipped to [-1, 1]."""
    return x


clipped.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1, 1),))


def test_custom_jvp_inside() -> None:
    decorated = auto_vmap(x=0, y=0)(lambda x, y: rooted(x) * y)
    x, y = jnp.array([[0.0], [4.0]]), jnp.array([1.0, 3.0])
    close(decorated(x, y), np.sqrt(x) * np.asarray(y))
    close(jax.grad(lambda x: decorated(x, y).sum())(x), [[0.0], [1.0]])


def test_custom_vjp_inside() -> None:
    """A rule that is not linear, as this one, sees what is not mapped once, as in a nest by hand.

    So the gradients of all examples are added up before the rule clips them; with `jax.grad`
    inside the decorated function it clips each.
    """
    x, y = jnp.ones((2, 1)), jnp.array([5.0, -0.5, 7.0])

    def product(x: Any, y: Any) -> Any:
        return clipped(x) * y

    def gradient(function: Any, x: Any) -> Any:
        return jax.grad(lambda x: function(x, y).sum())(x)

    decorated = auto_vmap(x=0, y=0)(product)
    by_hand = jax.vmap(jax.vmap(product, in_axes=(None, 0)), in_axes=(0, None))
    close(gradient(decorated, x)[:, 0], gradient(by_hand, x[:, 0]))
    close(gradient(decorated, jnp.ones((2, 3))), [[1.0, -0.5, 1.0]] * 2)
    close(auto_vmap(x=0, y=0)(jax.grad(product))(x, y), [[1.0, -0.5, 1.0]] * 2)


def test_custom_jvp_and_vjp_of_a_decorated_function() -> None:
    scale = auto_vmap(x=0, y=0)(lambda x, y: x * y)
    forward, backward = jax.custom_jvp(scale), jax.custom_vjp(scale)
    forward.defjvp(lambda p, t: (scale(*p), 10 * scale(t[0], p[1])))
    backward.defvjp(lambda x, y: (scale(x, y), y), lambda y, g: (20 * (g @ y)[:, None], None))
    x, y = jnp.ones((2, 1)), jnp.array([1.0, 2.0, 3.0])
    for function, factor in ((forward, 10), (backward, 20)):
        close(function(x, y), [[1, 2, 3]] * 2)
        close(jax.grad(lambda x, f=function: f(x, y).sum())(x), [[6.0 * factor]] * 2)


def test_jit_and_checkpoint_inside() -> None:
    for transform in (jax.jit, jax.checkpoint):
        decorated = auto_vmap(s=0, v=1, m=2)(transform(plain))
        close(decorated(S, V, M), EXPECTED)
        close(jax.grad(lambda v, f=decorated: f(S, v, M).sum())(V), _gradient(V))


def _gradient(v: Any) -> Any:
    each = numpy_loop(jax.grad(plain, argnums=1), "(n)")(S, v, M)
    return each.sum(axis=1, keepdims=True)


def test_a_call_adds_squeezes_at_most() -> None:
    added = primitives(quadratic, S, V, M) - primitives(plain, S, V[0, 0], M[0])
    assert added.keys() <= {"squeeze", "broadcast_in_dim", "transpose"}
