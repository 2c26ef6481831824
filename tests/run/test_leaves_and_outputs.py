"""Every kind of leaf and output, at batch shapes with missing, single and empty axes."""

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap

BATCHES: list[tuple[int, ...]] = [(), (1,), (3,), (0,), (3, 1, 2, 1)]
at_every_batch = pytest.mark.parametrize("batch", BATCHES, ids=str)
equal = np.testing.assert_array_equal


def numbers(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Small whole numbers, that every dtype holds."""
    count = int(np.prod(shape, dtype=int))
    return (np.arange(count) % 4).reshape(shape).astype(dtype)


DTYPES = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32"),
    *("float16", "float32", "complex64"),
    *(ml_dtypes.bfloat16, ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn),
]
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


@at_every_batch
@dtypes
@pytest.mark.parametrize("make", [jnp.asarray, np.asarray], ids=["JAX", "NumPy"])
def test_arrays_keep_dtype_and_values(batch: Any, dtype: Any, make: Any) -> None:
    seen = []

    def body(x: Any, y: Any) -> Any:
        seen.append((isinstance(x, jax.Array), x.dtype, x.shape, y.dtype))
        return x, x[0], y

    array = numbers((*batch, 2), dtype)
    other = numbers((), dtype)
    same, first, spread = auto_vmap(x=1, y=0)(body)(make(array), make(other))
    assert same.dtype == first.dtype == spread.dtype == array.dtype
    equal(np.asarray(same), array)
    equal(np.asarray(first), array[..., 0])
    equal(np.asarray(spread), np.broadcast_to(other, batch))
    assert seen == [(True, array.dtype, (2,), array.dtype)]


@at_every_batch
@pytest.mark.parametrize("value", [True, 2, 2.5, 1 + 2j], ids=["bool", "int", "float", "complex"])
class TestPythonNumbers:
    """Numbers are leaves of rank 0, and stay what they are."""

    def test_the_function_sees_a_number(self, batch: Any, value: Any) -> None:
        seen = []
        auto_vmap(x=0, n=0)(lambda x, n: seen.append(n))(jnp.ones(batch), n=value)
        assert seen == [value]
        assert type(seen[0]) is type(value)

    def test_they_stay_weak(self, batch: Any, value: Any) -> None:
        x = jnp.ones(batch, jnp.bfloat16)
        result = auto_vmap(x=0, n=0)(lambda x, n: x * n)(x, value)
        assert result.dtype == (x * value).dtype

    def test_as_an_output(self, batch: Any, value: Any) -> None:
        result = auto_vmap(x=0)(lambda x: {"n": value})(jnp.ones(batch))["n"]
        if batch == ():
            assert type(result) is type(value)
        else:
            assert result.dtype == jnp.asarray(value).dtype
        equal(result, np.full(batch, value))


@pytest.mark.parametrize("value", [True, 2, 2.5, 1 + 2j], ids=["bool", "int", "float", "complex"])
def test_a_number_stays_one_in_an_unbatched_call(value: Any) -> None:
    result = auto_vmap(x=0)(lambda x: x)(value)
    assert result == value
    assert type(result) is type(value)


@at_every_batch
class TestWeakTypes:
    """Weakly typed arrays stay so."""

    def test_ranked(self, batch: Any) -> None:
        x = jnp.broadcast_to(jnp.asarray(1.0), batch)
        weak = jax.lax.full_like(x, 1.0) if batch else jnp.asarray(1.0)
        result = auto_vmap(x=0)(lambda x: x * jnp.bfloat16(2))(weak)
        assert weak.weak_type == jnp.asarray(1.0).weak_type
        assert result.dtype == (weak * jnp.bfloat16(2)).dtype

    def test_a_weak_scalar_beside_a_batch(self, batch: Any) -> None:
        weak = jnp.asarray(2.0)
        x = jnp.ones(batch, jnp.bfloat16)
        result = auto_vmap(x=0, w=0)(lambda x, w: x * w)(x, weak)
        assert (result.dtype, result.weak_type) == ((x * weak).dtype, (x * weak).weak_type)


def draw(k: Any) -> Any:
    """A draw of a key."""
    return jax.random.normal(k, (2,))


def keys(batch: tuple[int, ...], typed: bool) -> Any:
    """Different keys."""
    made = jax.random.split(jax.random.key(3), batch) if batch else jax.random.key(3)
    return made if typed else jax.random.key_data(made)


@at_every_batch
class TestKeys:
    """Keys of either kind, against a loop over them."""

    @pytest.mark.parametrize(
        ("typed", "rank"),
        [(True, 0), (True, "key"), (False, "key"), (False, 1)],
        ids=["typed as 0", "typed as key", "raw as key", "raw as 1"],
    )
    def test_a_draw_for_each(self, batch: Any, typed: bool, rank: Any) -> None:
        made = keys(batch, typed)
        result = auto_vmap(k=rank)(draw)(made)
        flat = keys(batch, True).reshape(-1)
        expected = [draw(key) for key in flat]
        equal(result.reshape(-1, 2), np.asarray(expected, np.float32).reshape(-1, 2))
        assert result.shape == (*batch, 2)

    def test_one_key_for_all(self, batch: Any) -> None:
        key = jax.random.key(0)
        result = auto_vmap(k="key", x=0)(lambda k, x: draw(k) + x)(key, jnp.zeros(batch))
        equal(result, np.broadcast_to(draw(key), (*batch, 2)))

    def test_a_key_as_an_output(self, batch: Any) -> None:
        made = keys(batch, True)
        result = auto_vmap(k="key")(lambda k: {"k": k, "pair": jax.random.split(k)})(made)
        assert result["k"].dtype == made.dtype
        assert result["pair"].shape == (*batch, 2)
        equal(jax.random.key_data(result["k"]), jax.random.key_data(made))

    def test_an_unranked_key_is_shared(self, batch: Any) -> None:
        result = auto_vmap(x=0)(lambda k, x: draw(k) + x)(jax.random.key(0), jnp.zeros(batch))
        assert result.shape == (*batch, 2)


@at_every_batch
@pytest.mark.skipif(not hasattr(jax, "new_ref"), reason="this JAX has no jax.new_ref")
class TestRefs:
    """Refs are mapped where they have all batch dims, and shared without a rank."""

    def test_is_read(self, batch: Any) -> None:
        array = numbers((*batch, 2), np.float32)
        result = auto_vmap(r=1)(lambda r: r[...] * 2)(jax.new_ref(jnp.asarray(array)))
        equal(result, 2 * array)

    def test_is_written(self, batch: Any) -> None:
        array = numbers((*batch, 2), np.float32)
        ref = jax.new_ref(jnp.zeros_like(array))

        def write(r: Any, x: Any) -> None:
            r[...] = x

        auto_vmap(r=1, x=1)(write)(ref, array)
        equal(ref[...], array)

    def test_is_shared_without_a_rank(self, batch: Any) -> None:
        ref = jax.new_ref(jnp.float32(2))
        equal(auto_vmap(x=0)(lambda r, x: r[...] * x)(ref, jnp.ones(batch)), np.full(batch, 2.0))


@at_every_batch
def test_none_and_other_leaves_pass_through(batch: Any) -> None:
    marker = object()
    tree = {"x": jnp.ones((*batch, 2)), "none": None, "text": "a", "f": jnp.tanh, "o": [marker]}
    seen = []

    def body(tree: Any) -> Any:
        seen.append(tree)
        return tree["f"](tree["x"])

    assert auto_vmap(tree=1)(body)(tree).shape == (*batch, 2)
    assert {name: seen[0][name] for name in ("none", "text", "f", "o")} == {
        name: tree[name] for name in ("none", "text", "f", "o")
    }


@at_every_batch
def test_float0_goes_through(batch: Any) -> None:
    zeros = np.zeros((*batch, 2), jax.dtypes.float0)
    result = auto_vmap(t=1, x=0)(lambda t, x: (t, x))(zeros, jnp.ones(batch))[0]
    assert result.shape == (*batch, 2)
    assert result.dtype == jax.dtypes.float0


class Pair(NamedTuple):
    """A named tuple."""

    a: Any
    b: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Data:
    """A dataclass."""

    a: Any
    b: Any


class Module(eqx.Module):
    """A module with a function and a static field."""

    a: Any
    f: Callable[..., Any]
    name: str = eqx.field(static=True, default="name")


CONSTANT = np.arange(2.0, dtype=np.float32)
OUTPUTS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda x: x,
    "none": lambda x: None,
    "text": lambda x: "text",
    "empty": lambda x: {},
    "tuple": lambda x: (x, None, (x.sum(),)),
    "list": lambda x: [x, "text", [None]],
    "dict": lambda x: {"b": x, "a": {"c": x.sum(), "d": None}},
    "NamedTuple": lambda x: Pair(x, Pair(None, "text")),
    "dataclass": lambda x: Data(x.sum(), {"x": x}),
    "module": lambda x: Module(x, jnp.tanh),
    "JAX constant": lambda x: (x, jnp.arange(2.0)),
    "NumPy constant": lambda x: {"c": CONSTANT},
    "NumPy scalar": lambda x: [np.float32(2), np.int8(1)],
    "dtype and shape": lambda x: (x.dtype, x.shape, x),
    "type": lambda x: {"type": float, "x": x},
    "a function": lambda x: (jnp.tanh, x),
    "an error": lambda x: [NotImplemented, ...],
}


def leaf_equal(batch: tuple[int, ...], one: Any, leaf: Any) -> None:
    """One output leaf against the same leaf of one example."""
    if isinstance(one, (jax.Array, int, float)) or (
        isinstance(one, (np.ndarray, np.generic)) and one.dtype != object
    ):
        expected = np.broadcast_to(one, (*batch, *np.shape(one)))
        equal(leaf, expected)
        assert jnp.asarray(leaf).dtype == jnp.asarray(one).dtype
    else:
        assert leaf is one or leaf == one


@at_every_batch
@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_keep_their_structure(batch: Any, name: str) -> None:
    function = OUTPUTS[name]
    one = function(jnp.ones(2))
    result = auto_vmap(x=1)(function)(jnp.ones((*batch, 2)))
    assert jax.tree.structure(result) == jax.tree.structure(one)
    jax.tree.map(lambda a, b: leaf_equal(batch, a, b), one, result)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None])], ids=["text", "object"])
def test_a_numpy_output_that_jax_has_not(array: Any) -> None:
    function = auto_vmap(x=0)(lambda x: {"a": array})
    assert function(1.0)["a"] is array
    with pytest.raises(
        SpecError, match=r"(?s)result\['a'\] is a NumPy array of dtype .*return a JAX"
    ):
        function(jnp.ones(3))


@at_every_batch
def test_outputs_under_jit_keep_their_structure(batch: Any) -> None:
    function = jax.jit(auto_vmap(x=1)(lambda x: Pair(x, {"n": None, "c": CONSTANT})))
    result = function(jnp.ones((*batch, 2)))
    assert result.b["n"] is None
    equal(result.b["c"], np.broadcast_to(CONSTANT, (*batch, 2)))


class Colour(enum.Enum):
    """What is no array, and holds none."""

    RED = 1


def constant(x: Any) -> Any:
    """A function of nothing but itself."""
    return x


WAYS: dict[str, Any] = {
    "call": lambda f: f,
    "jit": lambda f: f.jit(),
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "progress": lambda f: f.chunk(2, progress=lambda done, total: None),
    "bucket": lambda f: f.bucket(),
    "loop": lambda f: f.loop(),
}


@pytest.mark.parametrize("shape", [(), (1,), (3,)], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_what_holds_no_array_of_an_example_passes_through(way: str, shape: Any) -> None:
    table = jnp.arange(3.0)
    method = "text".upper

    def function(x: Any) -> Any:
        given = functools.partial(constant, "a")
        return [x, lambda: table, Colour.RED, constant, jax.nn.relu, Colour, given, method, "a"]

    found = WAYS[way](auto_vmap(x=0)(function))(jnp.ones(shape))
    assert found[0].shape == shape
    np.testing.assert_array_equal(found[1](), table)
    assert found[2:6] == [Colour.RED, constant, jax.nn.relu, Colour]
    assert (found[6](), found[7](), found[8]) == ("a", "TEXT", "a")


def test_an_iterator_is_not_used_up_by_the_look_at_it() -> None:
    _, rest = auto_vmap(x=0)(lambda x: (x, iter(range(3))))(jnp.ones(2))
    assert list(rest) == [0, 1, 2]


def test_objects_that_hold_each_other_and_many() -> None:
    """The search ends, however an object is made."""

    class Ring:
        def __init__(self) -> None:
            self.other = self
            self.many = [[i, [i]] for i in range(100_000)]

        def __getattr__(self, name: str) -> Any:
            raise KeyError(name)

    ring = Ring()
    assert auto_vmap(x=0)(lambda x: (x, ring))(jnp.ones(2))[1] is ring


def test_slots_and_arrays_of_objects_are_looked_into() -> None:
    class Slotted:
        __slots__ = ("unset", "x")

        def __init__(self, x: Any) -> None:
            self.x = x

    def in_an_array(x: Any) -> Any:
        array = np.empty(1, object)
        array[0] = x
        return functools.partial(constant, array)

    for wrap in (Slotted, in_an_array):
        with pytest.raises(SpecError, match="holds an array of one example"):
            auto_vmap(x=0)(wrap)(jnp.ones(2))


@pytest.mark.parametrize("way", ["call", "jit", "chunk", "bucket", "loop"])
def test_sparse_arrays_are_refused_by_name(way: str) -> None:
    """Under a rank and in a result; without a rank they are what they are."""
    sparse = pytest.importorskip("jax.experimental.sparse")
    matrices = sparse.BCOO.fromdense(jnp.ones((4, 2, 3)), n_batch=1)
    times = auto_vmap(m=2, v=1)(lambda m, v: m @ v)
    with pytest.raises(SpecError, match="m is a BCOO, a sparse array"):
        WAYS[way](times)(matrices, jnp.ones(3))
    made = auto_vmap(m=2)(lambda m: {"a": sparse.BCOO.fromdense(m, nse=6)})
    with pytest.raises(SpecError, match="the result holds a BCOO, a sparse array"):
        WAYS[way](made)(jnp.ones((4, 2, 3)))
    shared = auto_vmap(v=1)(lambda m, v: m @ v)
    found = WAYS[way](shared)(sparse.BCOO.fromdense(jnp.ones((2, 3))), jnp.ones((4, 3)))
    np.testing.assert_array_equal(found, np.full((4, 2), 3.0))
