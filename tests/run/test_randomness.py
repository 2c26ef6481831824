"""`randomness`: what one PRNG key means to a batch of examples."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, RankError, SpecError, auto_vmap, named_vmap
from compose.jaxprs import primitives


def noisy(key: Any, x: Any) -> Any:
    """A number with a draw added."""
    return x + jax.random.normal(key)


same = auto_vmap(key="key", x=0, randomness="same")(noisy)
different = auto_vmap(key="key", x=0, randomness="different")(noisy)
refusing = auto_vmap(key="key", x=0, randomness="error")(noisy)

unsaid = auto_vmap(key="key", x=0)(noisy)

KEYS = {"typed": jax.random.key, "raw": jax.random.PRNGKey}


def folded(key: Any, index: tuple[int, ...]) -> Any:
    """The key of one example: an index after the other is folded in, outermost first."""
    for i in index:
        key = jax.random.fold_in(key, i)
    return key


def draws(key: Any, shape: tuple[int, ...]) -> Any:
    """What `different` gives for zeros of this batch shape, by a loop."""
    found = [jax.random.normal(folded(key, index)) for index in np.ndindex(*shape)]
    return np.asarray(found, dtype=np.float32).reshape(shape)


def moved_by_no_one(found: Any, expected: Any) -> None:
    """Bit for bit."""
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


SHAPES = [(), (1,), (3,), (0,), (2, 3), (3, 1), (1, 1), (2, 1, 3), (2, 0)]


@pytest.mark.parametrize("kind", KEYS)
class TestDifferent:
    """ "different": an example's index is folded in, once for each axis that the key lacks."""

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_one_key_for_all(self, kind: str, shape: Any) -> None:
        key = KEYS[kind](7)
        moved_by_no_one(different(key, jnp.zeros(shape)), draws(key, shape))

    def test_without_a_batch_the_key_is_left_alone(self, kind: str) -> None:
        key = KEYS[kind](7)
        assert different(key, 0.0) == jax.random.normal(key)

    def test_a_key_for_each_example_is_left_alone(self, kind: str) -> None:
        keys = jax.random.split(KEYS[kind](7), 3)
        wanted = np.asarray([jax.random.normal(key) for key in keys])
        moved_by_no_one(different(keys, jnp.zeros(3)), wanted)
        moved_by_no_one(different(keys[:1], jnp.zeros(1)), wanted[:1])
        moved_by_no_one(different(keys[:1], 0.0), wanted[:1])

    def test_only_along_the_axes_that_the_key_lacks(self, kind: str) -> None:
        keys = jax.random.split(KEYS[kind](7), 2)
        inner = np.stack([draws(key, (3,)) for key in keys])
        moved_by_no_one(different(keys[:, None], jnp.zeros(3)), inner)
        moved_by_no_one(different(keys[:, None], jnp.zeros((2, 3))), inner)
        outer = np.stack([draws(key, (3,)) for key in keys], axis=1)
        moved_by_no_one(different(keys, jnp.zeros((3, 1))), outer)
        around = np.stack([draws(key, (4, 3)) for key in keys], axis=1)
        moved_by_no_one(different(keys[:, None], jnp.zeros((4, 1, 3))), around)

    def test_compiled_or_not(self, kind: str) -> None:
        key, x = KEYS[kind](7), jnp.zeros((2, 3))
        moved_by_no_one(jax.jit(different)(key, x), draws(key, (2, 3)))
        moved_by_no_one(different.loop()(key, x), draws(key, (2, 3)))

    def test_under_an_outer_vmap_nothing_is_split_further(self, kind: str) -> None:
        key = KEYS[kind](7)
        rows = jax.vmap(different, (None, 0))(key, jnp.zeros((2, 3)))
        moved_by_no_one(rows, np.stack([draws(key, (3,))] * 2))
        keys = jax.random.split(key, 2)
        rows = jax.jit(jax.vmap(different, (0, None)))(keys, jnp.zeros(3))
        moved_by_no_one(rows, np.stack([draws(k, (3,)) for k in keys]))

    @pytest.mark.parametrize("shape", [(5, 3), (2, 7), (5, 7)], ids=str)
    def test_growth_does_not_change_a_draw(self, kind: str, shape: Any) -> None:
        key = KEYS[kind](7)
        grown = different(key, jnp.zeros(shape))
        moved_by_no_one(grown[:2, :3], draws(key, (2, 3)))

    def test_out_axes_do_not_change_a_draw(self, kind: str) -> None:
        key = KEYS[kind](7)
        vector = auto_vmap(key="key", x=1, randomness="different", out_axes=-1, in_axes={"x": 1})
        found = vector(noisy)(key, jnp.zeros((4, 2, 3)))
        moved_by_no_one(found, np.broadcast_to(draws(key, (2, 3)), (4, 2, 3)))


@pytest.mark.slow
def test_ten_thousand_draws_are_those_of_the_loop_and_of_split() -> None:
    key, n = jax.random.key(11), 10_000
    found = np.asarray(different(key, jnp.zeros(n)))
    # Each by a call of its own: a thousand of them, from end to end.
    some, keys = range(0, n, 10), jax.random.split(key, n)
    one = jax.jit(lambda key, i: jax.random.normal(jax.random.fold_in(key, i)))
    moved_by_no_one(found[some], np.asarray([one(key, i) for i in some]))
    draw = jax.jit(lambda keys, i: jax.random.normal(keys[i]))
    moved_by_no_one(found[some], np.asarray([draw(keys, i) for i in some]))
    assert distance(found) < 1.95 / np.sqrt(n)  # exceeded by one sample in a thousand
    assert distance(found + 0.05) > 1.95 / np.sqrt(n)
    two = np.asarray(different.batch(100)(key, jnp.zeros(100))).ravel()
    assert distance(two) < 1.95 / np.sqrt(n)


def distance(sample: Any) -> float:
    """The Kolmogorov-Smirnov statistic against the standard normal distribution."""
    n = len(sample)
    below = np.asarray(jax.scipy.stats.norm.cdf(np.sort(sample)))
    return float(max((np.arange(1, n + 1) / n - below).max(), (below - np.arange(n) / n).max()))


class State(NamedTuple):
    """Keys deep in an argument."""

    key: Any
    weights: Any


class TestWhichKeys:
    """Keys by rank, anywhere in the ranked arguments; no others."""

    @pytest.mark.parametrize("mark", [0, "key"])
    def test_typed_keys_of_rank_zero(self, mark: Any) -> None:
        key = jax.random.key(2)
        decorated = auto_vmap(key=mark, x=0, randomness="different")(noisy)
        moved_by_no_one(decorated(key, jnp.zeros(3)), draws(key, (3,)))

    def test_in_trees_and_variadic_arguments(self) -> None:
        def function(state: Any, *keys: Any, **named: Any) -> Any:
            found = [state["s"].key, state["raw"], *keys, named["k"]]
            return [jax.random.normal(key) + state["s"].weights.sum() for key in found]

        ranks = {"s": State("key", 1), "raw": "key"}
        decorated = auto_vmap(state=ranks, keys="key", named="key", randomness="different")
        typed, raw = jax.random.key(1), jax.random.PRNGKey(2)
        each = jax.random.split(jax.random.key(3), 4)
        state = {"s": State(typed, jnp.zeros((4, 2))), "raw": raw}
        found = decorated(function)(state, each, raw, k=typed)
        one, two = draws(typed, (4,)), draws(raw, (4,))
        own = np.asarray([jax.random.normal(key) for key in each])
        for column, wanted in zip(found, [one, two, own, two, one], strict=True):
            moved_by_no_one(column, wanted)

    def test_an_array_of_keys_that_belongs_to_one_example_is_no_lone_key(self) -> None:
        decorated = auto_vmap(keys=1, x=0, randomness="different")(
            lambda keys, x: x + jax.random.normal(keys[0])
        )
        keys = jax.random.split(jax.random.key(0), 2)
        found = decorated(keys, jnp.zeros(3))
        moved_by_no_one(found, np.repeat(np.asarray(jax.random.normal(keys[0]))[None], 3))

    def test_unranked_keys_are_never_touched(self) -> None:
        for mode in ("different", "error", "same"):
            decorated = auto_vmap(key=None, x=0, randomness=mode)(noisy)
            key = jax.random.key(0)
            wanted = np.repeat(np.asarray(jax.random.normal(key))[None], 3)
            moved_by_no_one(decorated(key, jnp.zeros(3)), wanted)
            tree = auto_vmap(state={"key": None, "x": 0}, randomness=mode)(
                lambda state: noisy(**state)
            )
            moved_by_no_one(tree({"key": key, "x": jnp.zeros(3)}), wanted)

    @pytest.mark.parametrize("mode", ["same", None])
    def test_raw_keys_without_the_mark_are_numbers(self, mode: Any) -> None:
        data = auto_vmap(key=1, x=0, randomness=mode)(lambda key, x: x + key.sum())
        np.testing.assert_array_equal(data(jnp.ones(2, jnp.uint32), jnp.zeros(3)), [2.0] * 3)

    def test_raw_keys_with_batch_dims_elsewhere(self) -> None:
        keys = jax.random.split(jax.random.PRNGKey(0), 3)
        turned = different.replace(in_axes={"key": 1})
        moved_by_no_one(turned(keys.T, jnp.zeros((2, 3))), different(keys, jnp.zeros((2, 3))))
        moved_by_no_one(turned(keys[0], jnp.zeros(3)), draws(keys[0], (3,)))


class TestSame:
    """ "same": one key, one draw."""

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_every_example_has_the_draw(self, shape: Any) -> None:
        key = jax.random.key(7)
        wanted = np.broadcast_to(np.asarray(jax.random.normal(key)), shape)
        moved_by_no_one(same(key, jnp.zeros(shape)), wanted)

    def test_nothing_is_folded(self) -> None:
        found = primitives(same, jax.random.key(0), jnp.zeros((2, 3)))
        assert not any("fold" in name for name in found)
        assert found["random_bits"] == 1

    def test_a_plan_says_how_many_share_a_key(self) -> None:
        key = jax.random.key(0)
        assert "one key for 70 examples" in str(same.plan(key, jnp.zeros((7, 10))))
        keys = jax.random.split(key, 7)
        assert "one key for 10 examples" in str(same.plan(keys[:, None], jnp.zeros((7, 10))))
        assert "one key" not in str(same.plan(keys, jnp.zeros(7)))
        assert "one key" not in str(same.plan(key, 0.0))
        assert "one key" not in str(auto_vmap(x=0)(noisy).plan(key, jnp.zeros(7)))

    def test_a_plan_of_one_example_shares_nothing(self) -> None:
        assert "1 examples" not in str(same.plan(jax.random.key(0), jnp.zeros(1)))

    def test_a_plan_says_what_is_folded(self) -> None:
        shown = str(different.plan(jax.random.key(0), jnp.zeros((7, 10))))
        assert "key key: the example's index is folded in, batch axes -2, -1" in shown
        assert "one key" not in shown


class TestError:
    """ "error": refuses what "different" would fold."""

    @pytest.mark.parametrize("shape", [(1,), (3,), (2, 3), (0,)], ids=str)
    @pytest.mark.parametrize("kind", KEYS)
    def test_names_the_argument(self, kind: str, shape: Any) -> None:
        pattern = r'(?s)noisy\(\): randomness="error".* key: .*(key<fry>|uint32).*"different"'
        with pytest.raises(BatchShapeError, match=pattern):
            refusing(KEYS[kind](0), jnp.zeros(shape))
        with pytest.raises(BatchShapeError, match=pattern):
            refusing.plan(KEYS[kind](0), jnp.zeros(shape))

    def test_names_the_path(self) -> None:
        decorated = auto_vmap(state={"rngs": ["key"], "w": 0}, randomness="error")(lambda state: 1)
        with pytest.raises(BatchShapeError, match=r"state\['rngs'\]\[0\]: key<fry>"):
            decorated({"rngs": [jax.random.key(0)], "w": jnp.ones(3)})

    def test_of_a_key_that_is_stretched_along_one_axis(self) -> None:
        keys = jax.random.split(jax.random.key(0), 2)
        with pytest.raises(BatchShapeError, match="several examples"):
            refusing(keys[:, None], jnp.zeros((2, 3)))
        with pytest.raises(BatchShapeError, match="several examples"):
            refusing.batch(3)(keys, 0.0)

    def test_lets_all_else_through(self) -> None:
        key = jax.random.key(0)
        assert refusing(key, 0.0) == jax.random.normal(key)
        keys = jax.random.split(key, 3)
        wanted = np.asarray([jax.random.normal(k) for k in keys])
        moved_by_no_one(refusing(keys, jnp.zeros(3)), wanted)
        moved_by_no_one(refusing(keys, 0.0), wanted)


RAW = jax.random.PRNGKey(0)
RAW_FOUR = jnp.ones(4, jnp.uint32)


class TestRawKeysAmongNumbers:
    """Under "different" and "error", what looks like a shared raw key is refused as numbers."""

    @pytest.mark.parametrize("mode", ["different", "error"])
    @pytest.mark.parametrize("key", [RAW, RAW_FOUR, np.asarray(RAW)], ids=["two", "four", "numpy"])
    def test_names_the_rank_of_a_key(self, mode: Any, key: Any) -> None:
        decorated = auto_vmap(key=1, x=0, randomness=mode)(lambda key, x: x + key.sum())
        pattern = r"(?s)key looks like a raw PRNG key.*its rank is \"key\";.*dtype other than"
        for way in (decorated, decorated.jit(), decorated.chunk(2), decorated.loop()):
            with pytest.raises(RankError, match=pattern):
                way(key, jnp.zeros(3))
        with pytest.raises(RankError, match=pattern):
            decorated.plan(key, jnp.zeros(3))
        with pytest.raises(RankError, match=pattern):
            decorated.batch(3)(key, 0.0)

    def test_in_a_tree_by_its_path(self) -> None:
        decorated = auto_vmap(state={"rng": 1, "x": 0}, randomness="different")(lambda state: 1)
        with pytest.raises(RankError, match=r"state\['rng'\] looks like a raw PRNG key"):
            decorated({"rng": RAW, "x": jnp.zeros(3)})

    def test_under_a_signature_and_under_a_pattern(self) -> None:
        for decorated in (
            auto_vmap("(k),()->()", randomness="different")(noisy),
            named_vmap("[k], b -> b", randomness="different")(noisy),
        ):
            with pytest.raises(RankError, match="key looks like a raw PRNG key"):
                decorated(RAW, jnp.zeros(3))

    def test_no_false_alarms(self) -> None:
        """One for each example, one example alone, other dtypes, other shapes, other ranks."""
        decorated = auto_vmap(key=1, x=0, randomness="error")(lambda key, x: x + key.sum())
        each = jax.random.split(RAW, 3)
        wanted = np.asarray(each).sum(1, dtype=np.uint32)
        np.testing.assert_allclose(decorated(each, jnp.zeros(3)), wanted, rtol=1e-6)
        assert decorated(RAW_FOUR, 0.0) == 4
        for data in (jnp.ones(2, jnp.int32), jnp.ones(3, jnp.uint32), jnp.ones(2)):
            assert decorated(data, jnp.zeros(3)).shape == (3,)
        matrix = auto_vmap(m=2, x=0, randomness="error")(lambda m, x: x + m.sum())
        assert matrix(jnp.ones((2, 2), jnp.uint32), jnp.zeros(3)).shape == (3,)
        seeds = auto_vmap(s=0, x=0, randomness="error")(lambda s, x: x + s)
        assert seeds(jnp.ones(2, jnp.uint32), jnp.zeros((3, 1))).shape == (3, 2)


class TestKeysWithoutARank:
    """A typed key that no rank was given to: refused where it can't be meant."""

    def test_under_error(self) -> None:
        decorated = auto_vmap(x=0, randomness="error")(noisy)
        pattern = r"(?s)key, key<fry>\[\], is a PRNG key that all examples share.*key=None"
        for way in (decorated, decorated.jit(), decorated.plan, decorated.chunk(2)):
            with pytest.raises(BatchShapeError, match=pattern):
                way(jax.random.key(0), jnp.zeros(3))
        assert decorated(jax.random.key(0), 0.0).shape == ()

    def test_drawn_by_batch_with_nothing_said(self) -> None:
        decorated = auto_vmap(x=0)(noisy).batch(5)
        with pytest.raises(BatchShapeError, match=r"\.batch\(5\) of one PRNG key"):
            decorated(jax.random.key(0), 1.0)
        shared = auto_vmap(key=None, x=0)(noisy).batch(5)
        assert shared(jax.random.key(0), 1.0).shape == (5,)


class TestNothingSaid:
    """None: "same", but equal draws of `f.batch` are refused."""

    @pytest.mark.parametrize("kind", KEYS)
    def test_a_shared_key(self, kind: str) -> None:
        pattern = (
            r"(?s)noisy\(\): \.batch\(5\) of one PRNG key would give equal draws.* key: .*different"
        )
        f = unsaid.batch(5)
        for way in (f, f.jit(), f.chunk(2), f.chunk(2, progress=print), f.bucket(), f.loop()):
            with pytest.raises(BatchShapeError, match=pattern):
                way(KEYS[kind](0), 1.0)
        for way in (f.plan, f.plan_with_outputs, f.replace(randomness=None)):
            with pytest.raises(BatchShapeError, match=pattern):
                way(KEYS[kind](0), 1.0)

    def test_keys_of_the_arguments_own_axes_are_shared_by_the_new_one(self) -> None:
        with pytest.raises(BatchShapeError, match=r"\.batch\(2, 5\) of one PRNG key"):
            unsaid.batch(5).batch(2)(jax.random.split(jax.random.key(0), 3), 1.0)

    def test_what_is_meant(self) -> None:
        key, x = jax.random.key(7), jnp.zeros(3)
        moved_by_no_one(unsaid(key, x), same(key, x))
        moved_by_no_one(unsaid.batch(1)(key, x), same(key, x)[None])
        assert unsaid.batch(1, 0)(key, x).shape == (1, 0, 3)
        moved_by_no_one(same.batch(2)(key, x), np.stack([same(key, x)] * 2))
        moved_by_no_one(different.batch(2)(key, x), draws(key, (2, 3)))
        replaced = unsaid.batch(2).replace(randomness="same")
        moved_by_no_one(replaced(key, x), same.batch(2)(key, x))
        assert auto_vmap(x=0)(lambda x: x).batch(2)(x).shape == (2, 3)

    def test_the_size_zero_draws_nothing(self) -> None:
        assert unsaid.batch(0)(jax.random.key(0), 1.0).shape == (0,)


class TestWhatIsNoKey:
    """A seed, and a key under the rank of a vector."""

    @pytest.mark.parametrize("seed", [0, np.int32(3), np.array(3), jnp.array(3)], ids=repr)
    def test_a_seed(self, seed: Any) -> None:
        for way in (same, same.jit(), same.plan, same.chunk(2)):
            with pytest.raises(SpecError, match=r"if it is a seed, pass jax.random.key\(key\)"):
                way(seed, jnp.zeros(3))

    def test_a_typed_key_under_rank_one(self) -> None:
        decorated = auto_vmap(key=1, x=0)(noisy)
        for way in (decorated, decorated.jit(), decorated.plan):
            with pytest.raises(
                RankError, match=r'(?s)key<fry>\[\].*one element, and its rank is "key"'
            ):
                way(jax.random.key(0), jnp.zeros(3))


class TestRbg:
    """JAX's vmap draws other numbers from rbg keys than a loop does; the keys themselves agree."""

    def test_the_folded_keys_are_those_of_the_loop(self) -> None:
        decorated = auto_vmap(key="key", x=0, randomness="different")(
            lambda key, x: jax.random.key_data(key)
        )
        key = jax.random.key(0, impl="rbg")
        wanted = [jax.random.key_data(folded(key, index)) for index in np.ndindex(2, 3)]
        found = decorated(key, jnp.zeros((2, 3)))
        moved_by_no_one(found.reshape(6, 4), np.stack(wanted))

    def test_the_draws_are_those_of_vmap(self) -> None:
        key = jax.random.key(0, impl="rbg")
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(3))
        wanted = jax.vmap(noisy)(keys, jnp.zeros(3))
        moved_by_no_one(different(key, jnp.zeros(3)), wanted)
        moved_by_no_one(jax.jit(different)(key, jnp.zeros(3)), wanted)
        assert len(np.unique(wanted)) == 3

    def test_one_shared_key_draws_what_it_draws_alone(self) -> None:
        key = jax.random.key(0, impl="rbg")
        wanted = np.repeat(np.asarray(jax.random.normal(key))[None], 3)
        moved_by_no_one(same(key, jnp.zeros(3)), wanted)

    def test_raw_keys_of_four_numbers(self) -> None:
        with jax.default_prng_impl("rbg"):
            raw = jax.random.PRNGKey(0)
            assert raw.shape == (4,)
            typed = jax.random.wrap_key_data(raw, impl="rbg")
            moved_by_no_one(different(raw, jnp.zeros(3)), different(typed, jnp.zeros(3)))
