"""What a message says to do is done, and then the call works."""

import collections
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import AutoVmapError, auto_vmap, like, named_vmap

BATCH = jnp.arange(12.0).reshape(4, 3)


def message(call: Callable[[], Any]) -> str:
    """What a call is refused with."""
    with pytest.raises(AutoVmapError, match=r".") as caught:
        call()
    return str(caught.value)


def code(text: str, pattern: str) -> str:
    """The code that a message gives as its remedy."""
    found = re.search(pattern, re.sub(r"\n(?! )", " ", text))
    assert found is not None, text
    return found[1]


@pytest.mark.parametrize(
    ("v", "s", "third", "shape"),
    [
        ((4, 3), (5,), (), (5, 4, 3)),
        ((2, 4, 3), (2, 5), (), (2, 5, 2, 4, 3)),
        ((7, 4, 3), (5,), (), (5, 7, 4, 3)),
        ((4, 3), (5,), (2, 1), (5, 2, 4, 3)),
        ((4, 3), (2, 5), (6, 1), (2, 5, 6, 4, 3)),
    ],
    ids=str,
)
def test_31_every_example_of_one_meets_every_one_of_the_other(
    v: Any, s: Any, third: Any, shape: Any
) -> None:
    function = auto_vmap(v=1, s=0, t=0)(lambda v, s, t: v * s + t)
    arguments = {"v": jnp.ones(v), "s": jnp.arange(np.prod(s)).reshape(s), "t": jnp.ones(third)}
    index = code(message(lambda: function(**arguments)), r"batch dims?: (s\[[^\]]*\])\.$")
    s_value = eval(index, dict(arguments))
    result = function(**{**arguments, "s": s_value})
    assert result.shape == shape
    expected = arguments["s"].reshape(s + (1,) * (len(shape) - len(s))) + jnp.ones(shape)
    np.testing.assert_array_equal(result, expected)


def test_06_ranks_by_name() -> None:
    def f(x, y):
        return x * y

    text = message(lambda: auto_vmap(f))
    decorate = eval(code(text, r"@(auto_vmap\([^)]*\)) for scalars"), {"auto_vmap": auto_vmap})
    assert decorate(f)(jnp.ones((4, 1)), jnp.ones(3)).shape == (4, 3)


def test_07_the_dict_as_keywords() -> None:
    def f(x, y):
        return x.sum() * y

    text = message(lambda: auto_vmap({"x": 1, "y": 0})(f))
    decorate = eval(code(text, r"that is (auto_vmap\(.*\))\?"), {"auto_vmap": auto_vmap})
    assert decorate(f)(BATCH, jnp.ones(4)).shape == (4,)


def test_09_a_function_of_ones_own() -> None:
    text = message(lambda: auto_vmap(0)(max))
    wrapped = eval(code(text, r"as in (.*)$"))
    assert auto_vmap(None)(wrapped)([2.0, 1.0]) == 2.0


def test_11_the_spec_of_a_mesh() -> None:
    function = auto_vmap(1)(lambda x: x.sum())
    text = message(lambda: function.shard(3))
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1), ("data",))
    shard = eval(code(text, r"as in \.shard\((.*?\))\)"), {"jax": jax})
    assert function.shard(shard, mesh=mesh)(jnp.ones((4, 2, 3))).shape == (4, 2)


def test_11_new_axes_of_a_pattern() -> None:
    text = message(lambda: named_vmap("a -> a")(jnp.sin).batch(5))
    decorate = eval(code(text, r"as in (named_vmap\(.*\))"), {"named_vmap": named_vmap})
    assert decorate(jnp.sin)(jnp.ones(3)).shape == (5, 3)


def test_13_a_rank_for_each_key() -> None:
    tree = {"a": BATCH, "b": BATCH}
    function = auto_vmap(tree={"a": 1, "c": 0})(lambda tree: tree["a"].sum())
    assert "Remove what is absent, and declare what is there" in message(lambda: function(tree))
    mended = auto_vmap(tree={"a": 1, "b": None})(function.__wrapped__)
    assert mended(tree).shape == (4,)


def test_13_an_absent_key_is_added_or_not_declared() -> None:
    function = auto_vmap(tree={"a": 1, "b": 0})(lambda tree: tree["a"].sum())
    text = message(lambda: function({"a": BATCH}))
    assert "Add what is absent to tree, or remove it from the declaration" in text
    assert function({"a": BATCH, "b": 1.0}).shape == (4,)
    assert auto_vmap(tree={"a": 1})(function.__wrapped__)({"a": BATCH}).shape == (4,)


def test_12_a_signature_by_position() -> None:
    dot = lambda x, y: x @ y  # noqa: E731
    for wrong in (
        lambda: auto_vmap(dot, signature="(n),(n)->()"),
        lambda: auto_vmap(signature="(n),(n)->()")(dot),
    ):
        decorate = eval(code(message(wrong), r".*(auto_vmap\('.*?'\))"), {"auto_vmap": auto_vmap})
        assert decorate(dot)(BATCH, BATCH).shape == (4,)


@pytest.mark.parametrize("rank", [{"a": [1, 1]}, {"a": 1}, 1, like({"a": [jnp.ones(3)] * 2})])
def test_14_a_rank_for_each_child_or_one_for_all(rank: Any) -> None:
    tree = {"a": [BATCH, BATCH]}
    total = lambda tree: tree["a"][0].sum()  # noqa: E731
    assert "give a rank for each child" in message(lambda: auto_vmap(tree={"a": [1]})(total)(tree))
    assert auto_vmap(tree=rank)(total)(tree).shape == (4,)


def test_20_no_rank_for_what_has_keys_that_cannot_be_sorted() -> None:
    tree = {"u": {1: BATCH, "a": BATCH}}
    function = auto_vmap(tree={"u": 1}, x=0)(lambda tree, x: x * 2)
    assert "or give tree no rank" in message(lambda: function(tree, 2.0))
    assert auto_vmap(tree=None, x=0)(function.__wrapped__)(tree, 2.0) == 4.0


@pytest.mark.parametrize(
    "leaf", [collections.deque([BATCH]), np.ones(2, ">f4"), [1.0, 2.0]], ids=["21", "24", "25"]
)
def test_no_rank_inside_a_tree(leaf: Any) -> None:
    function = auto_vmap(tree=1)(lambda tree: tree["b"].sum())
    message(lambda: function({"a": leaf, "b": BATCH}))
    mended = auto_vmap(tree={"a": None, "b": 1})(function.__wrapped__)
    assert mended({"a": leaf, "b": BATCH}).shape == (4,)


@pytest.mark.parametrize("way", ["call", "jit"])
@pytest.mark.parametrize("entry", ["auto_vmap", "signature", "named_vmap"])
def test_25_a_list_of_numbers_as_an_array(entry: str, way: str) -> None:
    declared = {
        "auto_vmap": lambda: auto_vmap(x=1),
        "signature": lambda: auto_vmap("(n)->()"),
        "named_vmap": lambda: named_vmap("[n] ->"),
    }
    function = declared[entry]()(lambda x: jnp.sum(x))
    run = function.jit() if way == "jit" else function
    text = message(lambda: run([1.0, 2.0]))
    assert run(eval(code(text, r"instead: (.*)$"), {"jnp": jnp, "x": [1.0, 2.0]})) == 3.0


def test_25_a_number_that_stands_in_no_list_is_not_said_to() -> None:
    assert "list" not in message(lambda: auto_vmap(x=1)(lambda x: x)(1.5))


@pytest.mark.parametrize("way", ["chunk", "bucket", "shard"])
def test_27_a_deleted_array_is_named_where_a_program_is_kept(way: str) -> None:
    function = auto_vmap(x=1)(lambda x: x["a"].sum())
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",))
    ways = {
        "chunk": lambda: function.chunk(2),
        "bucket": lambda: function.bucket(),
        "shard": lambda: function.shard("d", mesh=mesh),
    }
    run = ways[way]()
    array = jnp.ones((5, 3)) + 1
    assert run({"a": array}).shape == (5,)
    array.delete()
    assert "x['a']: float32[5,3], base rank 1" in message(lambda: run({"a": array}))


def test_34_a_symbolic_size_without_the_way() -> None:
    function = auto_vmap(x=1)(lambda x: x.sum())
    (b,) = jax.export.symbolic_shape("b")
    struct = jax.ShapeDtypeStruct((b, 3), jnp.float32)
    text = message(lambda: jax.eval_shape(lambda x: function.chunk(2)(x), struct))
    assert "export it without .chunk()" in text
    assert jax.eval_shape(function, struct).shape == (b,)


def tiled(x, n):
    return jnp.tile(x, n)


def summed(x, n):
    return sum(x[i] for i in range(n))


def filled(x, n):
    return jnp.full((n, 2), x.sum())


def flipped(x, n):
    return x if n > 1 else -x


@pytest.mark.parametrize("body", [tiled, summed, filled, flipped])
@pytest.mark.parametrize(
    "way",
    [lambda f: f.jit(), lambda f: f.chunk(2), lambda f: f.chunk(2).jit(), lambda f: f.bucket()],
    ids=["jit", "chunk", "chunk.jit", "bucket"],
)
def test_a_number_that_is_traced_where_its_value_is_needed(body: Any, way: Any) -> None:
    function = auto_vmap(x=1)(body)
    with pytest.raises(Exception, match=r"(?i)trace") as caught:
        way(function)(BATCH, 2)
    said = caught.value.__notes__[-1]
    if "JAX has removed" in said:
        said = caught.value.__notes__[-2]
    assert said.startswith("n has no rank, and in a compiled call it is traced: ")
    if function.bucket() == way(function):  # which takes no .jit()
        assert "static_argnames" not in said
    else:
        static = code(said, r"static_argnames=('\w+')")
        result = way(function).jit(static_argnames=eval(static))(BATCH, 2)
        np.testing.assert_allclose(result, function(BATCH, 2))
    annotation = code(said, r"(?:as in|annotate it,) (n: int)(?:\Z|,)").partition(": ")
    body.__annotations__ = {annotation[0]: annotation[2]}
    try:
        np.testing.assert_allclose(way(auto_vmap(x=1)(body))(BATCH, 2), function(BATCH, 2))
    finally:
        body.__annotations__ = {}


def test_a_value_that_differs_from_example_to_example_can_not_be_static() -> None:
    function = auto_vmap(x=1)(lambda x, n: x if x.sum() > 0 else n * x)
    with pytest.raises(jax.errors.TracerBoolConversionError, match="boolean") as caught:
        function.jit()(BATCH, 2)
    assert "static_argnames" not in "".join(caught.value.__notes__)


def test_an_array_that_is_traced_is_not_to_be_static() -> None:
    function = auto_vmap(x=1)(lambda x, table: x.sum() + float(table[0]))
    with pytest.raises(jax.errors.ConcretizationTypeError, match=r"(?i)trace") as caught:
        function.jit()(BATCH, jnp.ones(3))
    assert "static_argnames" not in "".join(caught.value.__notes__)


def test_a_shape_that_is_traced() -> None:
    function = auto_vmap(x=1)(lambda x, shape=(): jnp.full(shape, x.sum()))
    with pytest.raises(TypeError, match="Shapes must be") as caught:
        function.jit()(BATCH, (2,))
    said = next(note for note in caught.value.__notes__ if "traced" in note)
    assert "annotate" not in said
    static = eval(code(said, r"static_argnames=('\w+')\)\Z"))
    assert function.jit(static_argnames=static)(BATCH, (2,)).shape == (4, 2)


def test_31_one_rank_for_a_model_whose_parts_have_others() -> None:
    def apply(model, x):
        return model["w"] @ x + model["b"]

    one = {"w": jnp.ones((4, 3)), "b": jnp.ones(4)}
    text = message(lambda: auto_vmap(model=0, x=1)(apply)(one, BATCH))
    remedy = code(text, r"All parts of model have base rank 0: .* or (model=like\(example\))\.")
    ranks = eval(f"dict({remedy})", {"like": like, "example": one})
    assert auto_vmap(**ranks, x=1)(apply)(one, BATCH).shape == (4, 4)
    in_full = auto_vmap(**ranks, x=1)(apply)
    several = {"w": jnp.ones((5, 4, 3)), "b": jnp.ones((2, 4))}
    assert "All parts of model" not in message(lambda: in_full(several, BATCH))


def test_31_the_items_of_a_list_and_two_arguments_get_no_word_on_parts() -> None:
    total = auto_vmap(x=0, rest=0)(lambda x, *rest: x + sum(rest))
    assert "All parts" not in message(lambda: total(0.0, jnp.ones(2), jnp.ones(3)))
    assert "All parts" not in message(lambda: total(jnp.ones(2), jnp.ones(3)))
