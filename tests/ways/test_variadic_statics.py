"""Values of `*args` and `**kwargs` that are static: by their name, by the parameter's, by kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap

WAYS = {
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "bucket": lambda f: f.bucket(),
    "shard": lambda f: f.shard("d", mesh=jax.sharding.Mesh(jax.devices()[:1], ("d",))),
}
x = np.arange(12.0, dtype=np.float32).reshape(2, 6)


def shaped(x, **o):
    return jnp.reshape(x, o["shape"]).sum(0)


@pytest.mark.parametrize("static", ["shape", "o", ("shape", "other")])
def test_a_keyword_is_static_by_its_own_name_and_by_the_parameters(static):
    f = auto_vmap(x=1)(shaped)
    jitted = f.jit(static_argnames=static)
    for shape in [(2, 3), (3, 2)]:
        np.testing.assert_array_equal(jitted(x, shape=shape), f(x, shape=shape))


def test_an_annotation_of_the_parameter_is_obeyed():
    def ints(x, **o: int):
        return x.sum(**o)

    def strings(x, *how: str):
        return getattr(jnp, how[0])(x)

    f, g = auto_vmap(x=1)(ints), auto_vmap(x=1)(strings)
    np.testing.assert_array_equal(f.jit()(x, axis=0), f(x, axis=0))
    np.testing.assert_array_equal(g.jit()(x, "cumsum"), g(x, "cumsum"))
    assert f.jit().static_argnames == ("o",)


@pytest.mark.parametrize("way", WAYS)
def test_an_int_among_them_is_an_option_where_a_program_is_kept(way):
    f = auto_vmap(x=1)(lambda x, *args, **o: args[0] * x.sum(**o))
    run = WAYS[way](f)
    np.testing.assert_array_equal(run(x, 2, axis=0), f(x, 2, axis=0))
    np.testing.assert_array_equal(run(x, 3, axis=0), f(x, 3, axis=0))
    traced = jax.make_jaxpr(lambda scale: f(x, scale, axis=0))(2.5)
    assert traced.jaxpr.invars


@pytest.mark.parametrize("way", WAYS)
def test_a_float_among_them_is_traced(way):
    traces = 0

    @auto_vmap(x=1)
    def f(x, **o):
        nonlocal traces
        traces += 1
        return o["scale"] * x.sum()

    run = WAYS[way](f)
    run(x, scale=2.0)
    before = traces
    np.testing.assert_array_equal(run(x, scale=3.0), 3 * x.sum(1))
    assert traces == before


def test_what_has_a_rank_stays_traced():
    f = auto_vmap(x=1, o={"y": 1})(lambda x, **o: x @ o["y"])
    with pytest.raises(SpecError, match="which has a base rank"):
        f.jit(static_argnames="y")
    with pytest.raises(SpecError, match="which is not a parameter"):
        auto_vmap(x=1)(lambda x, n: x * n).jit(static_argnames="m")


def test_donated_by_its_own_name():
    f = auto_vmap(x=1, o={"y": 1})(lambda x, **o: x + o["y"])
    y = jnp.ones((2, 6))
    result = f.jit(donate_argnames="y")(x, y=y)
    np.testing.assert_array_equal(result, x + 1)
    assert y.is_deleted()
