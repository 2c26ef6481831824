"""What a decorated call compiles to is what a nest of vmaps by hand compiles to, no more."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.scipy.linalg import solve_triangular

from autovmap import auto_vmap
from compose.examples import arrays, plain, quadratic
from compose.jaxprs import cost, equations, primitives, text

A, B, N = 4, 5, 6


def mahalanobis(covariance: Any, x: Any) -> Any:
    """Its Cholesky factor depends on the covariance alone."""
    return (solve_triangular(jnp.linalg.cholesky(covariance), x, lower=True) ** 2).sum()


decorated = auto_vmap(covariance=2, x=1)(mahalanobis)


def covariances(*batch: int) -> Any:
    return jnp.broadcast_to(jnp.eye(N) * 2.0, (*batch, N, N))


def by_hand(covariance: Any, x: Any) -> Any:
    """The nest for (A, 1) against (1, B): it squeezes the dims of size 1 itself."""
    inner = jax.vmap(mahalanobis, in_axes=(None, 0))
    return jax.vmap(inner, in_axes=(0, None))(
        jax.lax.squeeze(covariance, (1,)), jax.lax.squeeze(x, (0,))
    )


def everything(covariance: Any, x: Any) -> Any:
    """What broadcasting first would do: a Cholesky factor for each of the A * B pairs."""
    return jax.vmap(jax.vmap(mahalanobis))(
        jnp.broadcast_to(covariance, (A, B, N, N)), jnp.broadcast_to(x, (A, B, N))
    )


ARGS = (covariances(A, 1), jnp.ones((1, B, N)))


def test_the_jaxpr_is_that_of_the_nest_by_hand() -> None:
    assert text(decorated, *ARGS) == text(by_hand, *ARGS)


def test_the_jaxpr_differs_where_all_is_broadcast_first() -> None:
    """The comparison above can fail."""
    assert text(decorated, *ARGS) != text(everything, *ARGS)


def test_flops_and_bytes_are_those_of_the_nest_by_hand() -> None:
    flops, accessed = cost(decorated, *ARGS)
    assert (flops, accessed) == cost(by_hand, *ARGS)
    more_flops, more_accessed = cost(everything, *ARGS)
    assert more_accessed > accessed
    assert more_flops > flops


@pytest.mark.parametrize("argnum", [0, 1])
def test_so_it_is_for_gradients(argnum: int) -> None:
    gradients = [
        jax.grad(lambda *args, f=f: f(*args).sum(), argnums=argnum) for f in (decorated, by_hand)
    ]
    assert text(gradients[0], *ARGS) == text(gradients[1], *ARGS)
    assert cost(gradients[0], *ARGS) == cost(gradients[1], *ARGS)


def shapes_of(name: str, function: Any, *args: Any) -> list[Any]:
    """The shapes of the first outputs of the equations of a primitive."""
    found = equations(jax.make_jaxpr(function)(*args))
    return [eqn.outvars[0].aval.shape for eqn in found if eqn.primitive.name == name]


@pytest.mark.parametrize(
    ("covariance", "x", "expected"),
    [
        ((A, 1), (1, B), (A,)),
        ((A, 1), (B,), (A,)),
        ((A,), (B, 1), (A,)),
        ((), (A, B), ()),
        ((1, 1), (A, B), ()),
        ((A, B), (), (A, B)),
        ((A, 1, 1), (1, B, 1), (A,)),
        ((A, 1, 2), (B, 1), (A, 2)),
    ],
    ids=str,
)
def test_work_on_one_argument_is_done_for_its_own_examples(
    covariance: Any, x: Any, expected: Any
) -> None:
    args = covariances(*covariance), jnp.ones((*x, N))
    assert shapes_of("cholesky", decorated, *args) == [(*expected, N, N)]


def test_work_on_an_unranked_argument_is_done_once() -> None:
    partial = auto_vmap(x=1)(mahalanobis)
    assert shapes_of("cholesky", partial, covariances(), jnp.ones((A, B, N))) == [(N, N)]


def test_random_numbers_of_an_unbatched_key_are_drawn_once() -> None:
    noisy = auto_vmap(key=0, x=0)(lambda key, x: x + jax.random.normal(key))
    found = primitives(noisy, jax.random.key(0), jnp.ones((A, 1)))
    once = primitives(noisy, jax.random.key(0), 1.0)
    assert found["random_bits"] == once["random_bits"]
    assert shapes_of("random_bits", noisy, jax.random.key(0), jnp.ones((A, B))) == [()]


@pytest.mark.parametrize(
    ("v", "m", "layers", "squeezes"),
    [
        ((), (), 0, 0),
        ((4,), (), 1, 0),
        ((4,), (4,), 1, 0),
        ((4, 1), (5,), 2, 1),
        ((4, 1), (1, 5), 2, 2),
        ((4, 5), (4, 5), 2, 0),
        ((1,), (1,), 0, 2),
        ((1, 1), (1, 1), 0, 2),
        ((1, 4), (1, 1), 1, 2),
        ((4, 1, 1, 1), (1, 5), 2, 2),
        ((2, 1, 2, 1), (3, 1, 2), 4, 2),
    ],
    ids=str,
)
def test_layers_and_squeezes(v: Any, m: Any, layers: int, squeezes: int) -> None:
    args = arrays(v=v, m=m)
    plan = quadratic.plan(*args)
    assert len(plan.layers) == layers
    assert len([steps for steps in plan._data.before if steps]) == squeezes
    found = primitives(quadratic, *args)
    example = args[0], args[1][(0,) * len(v)], args[2][(0,) * len(m)]
    assert found["squeeze"] - primitives(plain, *example)["squeeze"] == squeezes
    assert found["reshape"] == 0


def test_one_layer_more_adds_no_equation_that_is_no_matter_of_layout() -> None:
    layout = {"squeeze", "broadcast_in_dim", "transpose", "pjit", "jit"}
    s, v, m = arrays()
    counts = [primitives(plain, s, v[0, 0], m[0]), primitives(quadratic, s, v, m)]
    for name in (counts[0] | counts[1]).keys() - layout:
        assert counts[0][name] == counts[1][name], name


def test_an_unbatched_call_is_the_plain_function() -> None:
    s, v, m = arrays(v=(), m=())
    assert text(quadratic, s, v, m) == text(plain, s, v, m)
    covariance, x = covariances(), jnp.ones(N)
    assert text(decorated, covariance, x) == text(mahalanobis, covariance, x)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 1, 1)])
def test_a_call_of_size_one_squeezes_expands_and_does_no_more(shape: Any) -> None:
    s, v, m = arrays(v=shape, m=())
    found = primitives(quadratic, s, v, m)
    expected = primitives(plain, s, v[(0,) * len(shape)], m)
    assert found - expected == {"squeeze": 1, "broadcast_in_dim": 1}
    assert not expected - found


def test_a_named_axis_keeps_its_layer() -> None:
    named = auto_vmap(x=0, axis_name="i")(lambda x: jax.lax.psum(x, "i"))
    assert [len(named.plan(jnp.ones(shape)).layers) for shape in [(), (1,), (3,)]] == [1, 1, 1]


def test_a_scan_stays_one_scan_of_its_own_length() -> None:
    sums = auto_vmap(xs=1, y=0)(
        lambda xs, y: jax.lax.scan(lambda c, x: (c + y * x, None), y * 0.0, xs)[0]
    )
    found = primitives(sums, jnp.ones((4, 1, 7)), jnp.ones(5))
    assert found["scan"] == 1
    assert found["while"] == 0


@pytest.mark.parametrize("batch", [(5,), (5, 4)])
def test_no_signature_is_made_at_a_call(
    batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX asks a mapped function for its signature each time, and Python keeps none by itself."""
    made: list[str] = []
    parameter = inspect.Parameter.__init__

    def count(self: Any, name: str, *args: Any, **kwargs: Any) -> None:
        made.append(name)
        parameter(self, name, *args, **kwargs)

    x = jnp.ones((*batch, 3))
    function = auto_vmap(x=1)(lambda x: x)
    by_hand = jax.vmap(lambda x: x)
    for warm in (function, function, by_hand):  # the second call makes the quick way
        warm(x)
    monkeypatch.setattr(inspect.Parameter, "__init__", count)
    function(x)
    assert not made
    by_hand(x)
    assert made == ["x"]
