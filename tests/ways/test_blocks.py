"""`f.bucket(block=n)`: ever-new sizes and numbers of batch axes through one program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap
from autovmap._ways import block_run
from autovmap._ways.split import Partition
from folding import in_one_program

RNG = np.random.default_rng(0)
SHAPES = [(5,), (16,), (100,), (9, 9), (1,), (3, 1, 4), (0,), (2, 0), ()]


def arr(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def data(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(leaf)
    return leaf


def check(f, *args, **kwargs):
    """The block's result is the plain call's: structure, shape, dtype, weak type, place, values."""
    plain = in_one_program(lambda: f(*args, **kwargs))
    blocks = f.bucket(block=16)(*args, **kwargs)
    assert jax.tree.structure(plain) == jax.tree.structure(blocks)
    for want, got in zip(jax.tree.leaves(plain), jax.tree.leaves(blocks), strict=True):
        if not isinstance(want, jax.Array):
            assert want == got
            continue
        assert (got.shape, got.dtype, got.committed) == (want.shape, want.dtype, want.committed)
        assert got.aval.weak_type == want.aval.weak_type
        np.testing.assert_allclose(data(got), data(want), rtol=1e-5, atol=1e-6)


KEYS = {"typed": jax.random.key(0), "raw": jax.random.PRNGKey(3)}
TURNS = [(batch, [*KEYS][i % 2], [2.0, "weak"][i // 2 % 2]) for i, batch in enumerate(SHAPES)]


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "key", "s"), TURNS)
def test_as_the_plain_call(batch, key, s):
    @auto_vmap(rng="key", x=1, s=0, randomness="different")
    def f(rng, x, s, n: int = 2, tree=None):
        noise = jax.random.normal(rng, (n,))[0]
        return {"y": s * x + noise, "key": jax.random.split(rng), "s": s, "name": "f"}

    weak = jnp.full(batch[-1:], 10)
    assert weak.aval.weak_type
    check(f, KEYS[key], arr(*batch, 3), weak if s == "weak" else s)


@pytest.mark.slow
def test_a_key_for_some_axes():
    f = auto_vmap(rng="key", x=0, randomness="different")(lambda rng, x: x * jax.random.normal(rng))
    keys = jax.random.split(jax.random.key(1), 7)
    check(f, keys[:, None], arr(7, 5))
    check(f.batch(4), keys, arr(7))
    check(f, keys[:5].reshape(5), arr(7, 1))


@pytest.mark.parametrize("out_axes", [0, -1, 1, {"a": None, "b": -2}])
def test_axes(out_axes):
    f = auto_vmap(x=2, y=1, in_axes={"x": 1}, out_axes=out_axes)(
        lambda x, y: {"a": jnp.ones((2, 2)), "b": x @ y[:, None]}
    )
    check(f, arr(4, 6, 7, 3), arr(7, 3))


def test_outer_and_trees():
    f = auto_vmap(p={"w": 2, "b": 1}, x=1)(lambda p, x: jnp.tanh(p["w"] @ x) + p["b"])
    p = {"w": arr(3, 2, 4), "b": arr(3, 2)}
    check(f.outer(), p, arr(5, 9, 4))
    check(f, jax.tree.map(lambda x: x[:, None], p), arr(11, 4))


def test_methods_and_statics():
    @jax.tree_util.register_pytree_node_class
    class Line:
        def __init__(self, a):
            self.a = a

        def tree_flatten(self):
            return (self.a,), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

        @auto_vmap(x=0)
        def at(self, x, power: int = 1):
            return self.a * x**power

    for size in (3, 40):
        check(Line(jnp.float32(2)).at, arr(size), power=3)


def test_one_program_for_all():
    f = auto_vmap(x=1, y=1)(lambda x, y: x @ y).bucket(block=8, promote=None)
    for batch in [(3,), (8,), (50,), (2, 5), (7, 1, 3)]:
        f(arr(*batch, 4), arr(*batch[-1:], 4))
    stats = f.stats()
    assert (stats.calls, stats.compilations, stats.hits) == (5, 1, 4)
    f(arr(30, 4), arr(4))  # one more, as y is shared
    assert f.stats().compilations == 2


def test_a_shape_that_comes_back_is_promoted():
    f = auto_vmap(x=0)(jnp.sin).bucket(block=8, promote=3)
    for _ in range(4):
        f(arr(20))
    assert (f.stats().promotions, f.stats().compilations) == (1, 2)


def test_under_a_trace_the_exact_program_runs():
    f = auto_vmap(x=0)(jnp.sin).bucket(block=8)
    x = arr(20)
    np.testing.assert_allclose(jax.jit(f)(x), np.sin(x), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: f(x).sum())(x), np.cos(x), rtol=1e-5)


def test_the_plan_says_the_blocks():
    f = auto_vmap(x=0)(jnp.sin).bucket(block=8)
    assert f.plan(arr(20)).steps == (
        "bucket: 3 blocks of 8 examples through one program, the last filled up by 4",
    )
    assert f.plan(arr(8)).steps == ("bucket: 1 block of 8 examples through one program",)


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (lambda f: f.bucket(block=0), "block is 0; give the number of examples"),
        (lambda f: f.bucket([4], block=8), r"sizes is \[4\] and block is 8"),
        (lambda f: f.bucket(block=8).chunk(2), r"\.bucket\(block=8\) with \.chunk"),
        (lambda f: f.shard("d").bucket(block=8), r"\.bucket\(block=8\) with \.shard"),
        (lambda f: f.bucket(block=8).jit(), "bucket"),
    ],
)
def test_what_makes_no_sense_is_refused(made, match):
    with pytest.raises(SpecError, match=match):
        made(auto_vmap(x=0)(jnp.sin))


@pytest.mark.parametrize("which", ["views", "index"])
def test_a_planted_fault_is_caught(monkeypatch, which):
    def shifted(leaf, rows):
        return index_of(leaf, [np.roll(places, 1) for places in rows])

    index_of = block_run.index_of
    if which == "index":
        monkeypatch.setattr(block_run, "flat_dim", lambda *_: None)
        monkeypatch.setattr(block_run, "index_of", shifted)
    else:
        of = block_run.Block.of
        monkeypatch.setattr(
            block_run.Block, "of", lambda *args: np.roll(of(*args), 1, axis=args[2])
        )
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(auto_vmap(x=0)(jnp.sin), arr(20))


def test_one_array_in_two_places_and_numbers_beside_it():
    f = auto_vmap(x=0, y=0, scale=0)(lambda x, y, scale, n=1: {"a": x - y * scale, "n": n})
    x = arr(20)
    check(f, x, x, 2.0, n=2)
    check(f, x, x[::-1], 2, n=2)
    check(f, np.asfortranarray(np.asarray(arr(5, 4))), x[:4], 1.0)


def test_a_call_is_taken_apart_once_for_all_its_blocks(monkeypatch):
    calls = []
    split = Partition.split
    monkeypatch.setattr(Partition, "split", lambda *args: calls.append(0) or split(*args))
    f = auto_vmap(x=0)(jnp.sin).bucket(block=8, promote=None)
    f(arr(80))
    assert len(calls) <= 2
