"""`chunk("auto")` where examples can take different ways: what is seen, tried, kept and said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap
from autovmap._ways import chunk_size
from autovmap._ways.fit import diverges


def halve(x):
    return jax.lax.while_loop(lambda x: x > 1, lambda x: x / 2, x)


def bounded(x):
    return jax.lax.while_loop(lambda s: s[1] < 3, lambda s: (s[0] / 2, s[1] + 1), (x, 0))[0]


def either(x):
    return jax.lax.cond(x > 1, jnp.sin, jnp.cos, x)


def shared(x):
    return jax.lax.cond(jax.device_count() > 99, jnp.sin, jnp.cos, x)


def equinox_loop(x):
    loops = pytest.importorskip("equinox.internal")
    return loops.while_loop(lambda x: x > 1, lambda x: x / 2, x, kind="checkpointed", max_steps=16)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (halve, True),
        (jax.jit(halve), True),
        (either, True),
        (jax.checkpoint(either), True),
        (lambda x: jax.lax.switch(x.astype(int), [jnp.sin, jnp.cos], x), True),
        (equinox_loop, True),
        (lambda x: jax.lax.scan(lambda c, _: (either(c), None), x, None, length=3)[0], True),
        (bounded, False),
        (shared, False),
        (lambda x: jax.lax.fori_loop(0, 5, lambda i, x: jnp.sin(x), x), False),
        (jnp.sin, False),
    ],
)
@pytest.mark.parametrize("depth", [1, 2])
def test_what_diverges(function, expected, depth):
    xs = jnp.ones((3, 2)[:depth])
    nest = one = function
    for _ in range(depth):
        nest = jax.vmap(nest)
        one = lambda x, f=one: jax.lax.map(f, x)  # noqa: E731
    assert diverges(jax.make_jaxpr(one)(xs), jax.make_jaxpr(nest)(xs)) is expected


@pytest.fixture
def timed(monkeypatch):
    """A clock that says how long each size takes; what is tried is recorded."""
    tried: list[int] = []
    seconds: dict[int, float] = {}

    def of(self, args, kwargs, parts, examples):
        tried.append(examples)
        return seconds.get(examples, 0.1)

    monkeypatch.setattr(chunk_size.Sizing, "_seconds", of)
    return tried, seconds


def test_the_quickest_size_is_kept_and_said(timed):
    tried, seconds = timed
    seconds[8] = 0.001
    f = auto_vmap(x=0)(halve).chunk("auto")
    x = np.linspace(1, 1e6, 2000, dtype=np.float32)
    assert f.tune(x) == 8
    assert set(tried) == {1, 8, 64, 2000}
    size, cut = f.plan(x).steps
    assert "examples differ: 8 at a time, 1e+02 times quicker than all at once" in size
    assert cut == "chunk: 250 chunks of 8 examples (8 of batch axis -1)"
    tried.clear()
    np.testing.assert_array_equal(f(x), auto_vmap(x=0)(halve)(x))
    assert not tried  # decided once


def test_all_at_once_stays_where_it_is_quickest(timed):
    _, seconds = timed
    seconds[2000] = 0.01
    f = auto_vmap(x=0)(either).chunk("auto")
    x = np.linspace(0, 2, 2000, dtype=np.float32)
    assert f.tune(x) == 2000
    assert "all at once is quickest" in f.plan(x).steps[0]


def test_long_timing_takes_a_part_of_the_batch_and_says_so(timed, capsys):
    _, seconds = timed
    seconds.update({20_000: 60.0, 1: 0.001})
    f = auto_vmap(x=0)(halve).chunk("auto")
    x = np.ones(20_000, np.float32)
    assert f.tune(x) == 1
    assert "(on 83: 1 at once" in f.plan(x).steps[0]
    assert 'halve.chunk("auto"): timing 1, 8, 64, 83 examples at once' in capsys.readouterr().err


@pytest.mark.parametrize("function", [bounded, jnp.sin])
def test_examples_that_are_alike_are_not_timed(timed, function):
    tried, _ = timed
    f = auto_vmap(0)(function).chunk("auto")
    assert f.tune(np.ones(2000, np.float32)) == 2000
    assert not tried


def test_under_a_trace_nothing_is_timed(timed):
    tried, seconds = timed
    seconds[1] = 0.001
    f = auto_vmap(x=0)(halve).chunk("auto")
    x = np.linspace(1, 9, 200, dtype=np.float32)
    np.testing.assert_array_equal(jax.jit(f)(x), auto_vmap(x=0)(halve)(x))
    assert not tried
    assert f.tune(x) == 1  # a later call on arrays still decides
    assert tried


def test_a_function_with_effects_runs_no_more_often(timed):
    tried, _ = timed
    calls = []

    @auto_vmap(x=0)
    def f(x):
        jax.debug.callback(calls.append, x)
        return halve(x)

    jax.block_until_ready(f.chunk("auto")(np.ones(4, np.float32)))
    jax.effects_barrier()
    assert (len(calls), tried) == (4, [])


def test_a_named_axis_keeps_its_examples_together(timed):
    tried, _ = timed
    f = auto_vmap(x=0, axis_name="i")(lambda x: halve(jax.lax.psum(x, "i"))).chunk("auto")
    x = np.ones((3, 5), np.float32)
    np.testing.assert_array_equal(f(x), auto_vmap(x=0, axis_name="i")(f.__wrapped__)(x))
    assert not tried
