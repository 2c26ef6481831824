"""Leaves that no vmap can map, or that are not what their rank says: rows 23 to 30."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import AutoVmapError, BatchShapeError, RankError, SpecError, auto_vmap
from faults.saying import says

BATCH = jnp.arange(12.0).reshape(4, 3)


@auto_vmap(x=1)
def vector(x: Any) -> Any:
    """The sum of the first leaf."""
    return jnp.sum(jax.tree.leaves(x)[0])


@auto_vmap(x=0)
def scalar(x: Any) -> Any:
    """The first leaf."""
    return jax.tree.leaves(x)[0] * 1


class Colour:
    """Nothing that JAX knows."""

    def __repr__(self) -> str:
        return "Colour()"


PASSENGERS = {"str": "relu", "bytes": b"x", "object": Colour(), "callable": jnp.tanh, "type": int}


@pytest.mark.parametrize("leaf", PASSENGERS.values(), ids=[f"23 {name}" for name in PASSENGERS])
class TestRow23:
    """What is no array."""

    def test_passes_through_inside_a_pytree(self, leaf: Any) -> None:
        function = auto_vmap(tree=1)(lambda tree: (tree["a"].sum(), tree["z"] is leaf))
        total, same = function({"a": BATCH, "z": leaf})
        np.testing.assert_array_equal(total, BATCH.sum(-1))
        assert same.all()

    def test_is_refused_as_the_whole_argument(self, leaf: Any) -> None:
        kind = type(leaf).__name__
        with pytest.raises(SpecError, match=says("vector(): x is", kind, "give x no rank")):
            vector(leaf)


STRANGE = {
    "object": np.array([1, None], dtype=object),
    "datetime": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "timedelta": np.array([1], dtype="timedelta64[s]"),
    "structured": np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]),
    "longdouble": np.ones((2, 3), np.longdouble),
    "clongdouble": np.ones((2, 3), np.clongdouble),
    "big-endian": np.ones((2, 3), ">f4"),
    "text": np.array(["a"]),
    "a longdouble scalar": np.longdouble(1),
}


@pytest.mark.parametrize("array", STRANGE.values(), ids=[f"24 {name}" for name in STRANGE])
@pytest.mark.parametrize("inside", [False, True], ids=["whole", "inside a tree"])
def test_24_a_dtype_that_jax_has_not(array: Any, inside: bool) -> None:
    path = "x['a']" if inside else "x"
    parts = (f"scalar(): {path}", f"dtype {array.dtype}", str(array.shape), f"give {path} no rank")
    for _ in range(2):
        with pytest.raises(SpecError, match=says(*parts)):
            scalar({"a": array} if inside else array)


def test_24_a_masked_array() -> None:
    masked = np.ma.masked_array(np.ones((2, 3)), mask=np.eye(2, 3, dtype=bool))
    with pytest.raises(SpecError, match=says("vector(): x['a']", "masked", "x['a'].filled(")):
        vector({"a": masked})


@pytest.mark.parametrize("numbers", [[1.0, 2.0], [1, 2], [True], (1j,)], ids=lambda x: f"25 {x}")
def test_25_a_list_of_numbers_under_a_rank(numbers: Any) -> None:
    parts = ("vector(): x[0]", repr(numbers[0]), "base rank 1", "jnp.asarray")
    with pytest.raises(RankError, match=says(*parts)):
        vector(numbers)


def test_25_a_list_of_numbers_under_rank_0_is_a_tree_of_numbers() -> None:
    assert scalar([2.0, 1.0]) == 2.0


@pytest.mark.parametrize("planned_first", [False, True], ids=["26 at once", "26 planned before"])
@pytest.mark.parametrize("shape", [(3,), (4, 3)], ids=str)
def test_26_a_struct_in_a_call(shape: tuple[int, ...], planned_first: bool) -> None:
    function = auto_vmap(x=1)(lambda x: x.sum())
    struct = jax.ShapeDtypeStruct(shape, jnp.float32)
    if planned_first:
        assert function.plan({"a": struct}).batch_shape == shape[:-1]
    with pytest.raises(SpecError, match=says("x['a']", "ShapeDtypeStruct", "jax.eval_shape")):
        function({"a": struct})


@pytest.mark.parametrize("rank", [1, 2], ids=["27 batched", "27 unbatched"])
def test_27_a_deleted_array(rank: int) -> None:
    array = jnp.ones((5, 3)) + 1
    array.delete()
    function = auto_vmap(x=rank)(lambda x: x["a"].sum())
    with pytest.raises(AutoVmapError, match=says("x['a']", "float32[5,3]", "deleted")) as raised:
        function({"a": array})
    assert "deleted" in str(raised.value.__cause__)


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
def test_27_a_donated_array() -> None:
    array = jnp.ones((5, 3)) + 1
    jax.jit(lambda x: x + 1, donate_argnums=0)(array)
    with pytest.raises(AutoVmapError, match=says("vector(): x", "float32[5,3]", "donated")):
        vector(array)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**70], ids=lambda x: f"27 {x}")
def test_27_an_int_that_does_not_fit(value: int) -> None:
    parts = (
        "scalar(): x['a']",
        str(value),
        "does not fit into an integer of JAX",
        "jax_enable_x64",
    )
    for _ in range(2):
        with pytest.raises(SpecError, match=says(*parts)) as raised:
            scalar({"a": value})
        assert isinstance(raised.value.__cause__, OverflowError)


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31)], ids=lambda x: f"27 {x}")
def test_27_an_int_that_just_fits(value: int) -> None:
    assert scalar(value) == value


def test_27_what_fits_64_bits_alone_is_planned_anew_without_them() -> None:
    function = auto_vmap(x=0)(lambda x: x)
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        assert function(2**40) == 2**40
    with pytest.raises(SpecError, match=says("x is the Python int", str(2**40))):
        function(2**40)


HINT = ("If k is a raw PRNG key", 'its rank is "key", not 0')


class TestRow28:
    """A raw key that was ranked as a number."""

    def test_in_a_batch_mismatch(self) -> None:
        function = auto_vmap(k=0, x=0)(lambda k, x: x)
        with pytest.raises(BatchShapeError, match=says(*HINT, "uint32[2]")):
            function(jax.random.PRNGKey(0), jnp.ones(3))

    def test_of_four_words(self) -> None:
        function = auto_vmap(k=0, x=0)(lambda k, x: x)
        with pytest.raises(BatchShapeError, match=says(*HINT, "uint32[4]")):
            function(jnp.zeros(4, jnp.uint32), jnp.ones(3))

    def test_in_an_exception_of_the_body(self) -> None:
        function = auto_vmap(k=0)(lambda k: jax.random.uniform(k))
        with pytest.raises((TypeError, ValueError), match=says(*HINT)):
            function(jax.random.PRNGKey(0))

    def test_alone_it_is_data(self) -> None:
        result = auto_vmap(k=0)(lambda k: k + 1)(jax.random.PRNGKey(0))
        np.testing.assert_array_equal(result, jax.random.PRNGKey(0) + 1)

    def test_no_hint_for_other_data(self) -> None:
        with pytest.raises(BatchShapeError, match=r"(?s)^(?!.*raw PRNG key)(?s:.*)$"):
            auto_vmap(k=0, x=0)(lambda k, x: x)(jnp.zeros(2, jnp.int32), jnp.ones(3))

    def test_the_marker_on_what_is_no_key(self) -> None:
        parts = ("k is float32[4]", 'rank is "key"', "uint32[2]", "jax.random.key")
        with pytest.raises(SpecError, match=says(*parts)):
            auto_vmap(k="key")(lambda k: k)(jnp.ones(4))


@pytest.mark.skipif(not hasattr(jax, "new_ref"), reason="this JAX has no jax.new_ref")
class TestRow29:
    """A Ref can't be stretched: that would be a copy."""

    def test_a_ref_with_a_missing_batch_dim(self) -> None:
        function = auto_vmap(r=0, x=0)(lambda r, x: r[...] + x)
        parts = ("r is the Ref float32[5]", "base rank 0", "batch shape (2, 5)", "no rank")
        with pytest.raises(SpecError, match=says("<lambda>()", *parts)):
            function(jax.new_ref(jnp.ones(5)), jnp.ones((2, 5)))

    def test_a_ref_with_a_size_of_1(self) -> None:
        function = auto_vmap(r=1, x=0)(lambda r, x: r[0] + x)
        with pytest.raises(SpecError, match=says("r is the Ref float32[1,3]", "batch shape (5,)")):
            function(jax.new_ref(jnp.ones((1, 3))), jnp.ones(5))

    def test_a_ref_of_batch_shape_1(self) -> None:
        ref = jax.new_ref(jnp.ones((1, 3)))
        result = auto_vmap(r=1)(lambda r: r[...].sum())(ref)
        np.testing.assert_array_equal(result, [3.0])

    def test_a_ref_without_a_rank_is_shared(self) -> None:
        ref = jax.new_ref(jnp.float32(2))
        result = auto_vmap(x=0)(lambda r, x: r[...] + x)(ref, jnp.ones(5))
        np.testing.assert_array_equal(result, [3.0] * 5)


SHORT = [
    ("30 a vector for a matrix", 2, jnp.ones(3), "float32[3]", "of rank 1"),
    ("30 a number for a vector", 1, jnp.float32(1), "float32[]", "of rank 0"),
    ("30 a NumPy array", 3, np.ones((2, 3), np.int8), "int8[2,3]", "of rank 2"),
]


@pytest.mark.parametrize(
    ("rank", "array", "shown", "has"), [pytest.param(*row[1:], id=row[0]) for row in SHORT]
)
def test_30_below_its_base_rank(rank: int, array: Any, shown: str, has: str) -> None:
    function = auto_vmap(tree={"a": [rank]})(lambda tree: 0)
    parts = ("<lambda>(): tree['a'][0]", shown, has, f"base rank {rank}", f"at least {rank} dim")
    with pytest.raises(RankError, match=says(*parts)):
        function({"a": [array]})


def test_30_a_python_number() -> None:
    with pytest.raises(RankError, match=says("vector(): x", "1.5", "rank 0", "base rank 1")):
        vector(1.5)


def test_30_a_typed_key() -> None:
    with pytest.raises(RankError, match=says("vector(): x", "key<fry>[]", "rank 0", "base rank 1")):
        vector(jax.random.key(0))
