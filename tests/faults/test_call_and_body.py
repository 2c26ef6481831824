"""Calls, bodies and results: rows 39 to 45 (devices and processes stand in tests/compose)."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, SpecError, auto_vmap, named_vmap
from faults.saying import says

BATCH = jnp.arange(12.0).reshape(4, 3)


@auto_vmap(x=1, y=0)
def axpy(x: Any, y: Any = 0.0, *, a: Any = 1.0) -> Any:
    """A vector scaled and moved."""
    return a * x + y


class Point(NamedTuple):
    """A named tuple."""

    x: Any
    label: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Box:
    """A dataclass."""

    x: Any
    none: Any


WRONG_CALLS = [
    ("39 missing", (), {}, ("axpy()", "missing", "'x'")),
    ("39 unexpected", (BATCH,), {"b": 1}, ("axpy()", "unexpected keyword argument 'b'")),
    (
        "39 unexpected, one missing",
        (),
        {"xs": BATCH},
        ("axpy()", "unexpected keyword argument 'xs'"),
    ),
    ("39 too many", (BATCH, 0.0, 1.0), {}, ("axpy() takes from 1 to 2 positional", "3 were")),
    ("39 twice", (BATCH,), {"x": BATCH}, ("axpy()", "multiple values", "'x'")),
]


@pytest.mark.parametrize(
    ("args", "kwargs", "parts"), [pytest.param(*row[1:], id=row[0]) for row in WRONG_CALLS]
)
def test_39_arguments_that_do_not_fit(args: Any, kwargs: Any, parts: Any) -> None:
    for run in (axpy, axpy.plan):
        with pytest.raises(TypeError, match=says(*parts)) as raised:
            run(*args, **kwargs)
        assert type(raised.value) is TypeError


@auto_vmap(x=1, rest=1, extra=1)
def variadic(x: Any = None, *rest: Any, **extra: Any) -> Any:
    """The sum of all there is, and how many leaves."""
    leaves = jax.tree.leaves((x, rest, extra))
    return jnp.float32(sum(jnp.sum(leaf) for leaf in leaves)), len(leaves)


SUM = BATCH.sum(-1)
SPARSE = [
    ("40 nothing", (), {}, 0.0, 0),
    ("40 an empty dict", ({},), {}, 0.0, 0),
    ("40 an empty list and a batch", ([], BATCH), {}, SUM, 1),
    ("40 all None", (None, None), {"z": None}, 0.0, 0),
    ("40 None beside a batch", ({"a": None, "b": BATCH},), {}, SUM, 1),
    ("40 several", (BATCH, BATCH, BATCH), {}, 3 * SUM, 3),
    ("40 keywords", (BATCH,), {"b": BATCH, "a": BATCH}, 3 * SUM, 3),
    ("40 keywords alone", (), {"x": BATCH, "self": BATCH, "function": BATCH}, 3 * SUM, 3),
]


@pytest.mark.parametrize(
    ("args", "kwargs", "total", "count"), [pytest.param(*row[1:], id=row[0]) for row in SPARSE]
)
def test_40_empty_and_many(args: Any, kwargs: Any, total: Any, count: int) -> None:
    found, leaves = variadic(*args, **kwargs)
    np.testing.assert_array_equal(found, total)
    np.testing.assert_array_equal(leaves, np.full(np.shape(total), count))


class TestRow41:
    """NumPy arrays as input."""

    @pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 3), (0, 3)], ids=str)
    def test_at_works_and_the_callers_array_stays(self, shape: Any) -> None:
        array = np.ones(shape, np.float32)
        result = auto_vmap(x=1)(lambda x: x.at[0].set(5.0))(array)
        np.testing.assert_array_equal(array, np.ones(shape))
        assert result.shape == shape

    @pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 3)], ids=str)
    @pytest.mark.parametrize("other", [(), (2, 1)], ids=str)
    def test_the_same_kind_of_array_batched_or_not(self, shape: Any, other: Any) -> None:
        kinds = []
        auto_vmap(x=1, y=0)(lambda x, y: kinds.append((x, y)))(np.ones(shape), np.ones(other))
        assert all(isinstance(value, jax.Array) for value in kinds[0])

    @pytest.mark.parametrize("shape", [(3,), (4, 3)], ids=str)
    def test_assignment_in_the_body_is_refused(self, shape: Any) -> None:
        def body(x: Any, y: Any) -> Any:
            x[0] = 5.0
            return x * y

        array = np.ones(shape, np.float32)
        with pytest.raises(TypeError, match=r"immutable|does not support item assignment"):
            auto_vmap(x=1, y=0)(body)(array, jnp.ones((2, 1)))
        np.testing.assert_array_equal(array, np.ones(shape))

    def test_an_unranked_array_is_handed_on_as_it_is(self) -> None:
        table = np.ones(2)
        seen = []
        auto_vmap(x=1)(lambda x, table: seen.append(table))(BATCH, table)
        assert seen[0] is table


class Odd(Exception):
    """A user's own error."""


class TestRow42:
    """An exception of the body."""

    @pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 3)], ids=str)
    def test_keeps_its_type_and_gets_a_note(self, shape: Any) -> None:
        def body(x: Any, y: Any) -> Any:
            raise Odd("as it was")

        batch = shape[:-1]
        parts = (
            "as it was",
            "body()",
            f"batch shape {batch}",
            f"x['a']: float32[{','.join(map(str, shape))}], base rank 1, batch shape {batch}",
            "core shape (3,)",
            "y: float[], base rank 0, batch shape (), core shape ()",
        )
        with pytest.raises(Odd, match=says(*parts)) as raised:
            auto_vmap(x=1, y=0)(body)({"a": jnp.ones(shape)}, 2.0)
        assert raised.value.args == ("as it was",)

    def test_a_nested_call_leaves_a_note_for_each(self) -> None:
        @auto_vmap(z=0)
        def inner(z: Any) -> Any:
            raise Odd

        @auto_vmap(x=1)
        def outer(x: Any) -> Any:
            return inner(x)

        with pytest.raises(
            Odd, match=says("inner()", "z: float32[3]", "outer()", "x: float32[4,3]")
        ):
            outer(BATCH)

    def test_a_trace_for_the_shapes_of_the_result_tells_as_much(self) -> None:
        function = auto_vmap(x=1, out_axes=None)(lambda x: x)
        parts = ("<lambda>()", "out_axes declares result None", "depends on batch axis -1")
        for run in (function, function.plan_with_outputs):
            with pytest.raises(SpecError, match=says(*parts)):
                run(BATCH)

        def body(x: Any) -> Any:
            raise Odd("as it was")

        with pytest.raises(Odd, match=says("as it was", "body()", "x: float32[4,3]")):
            auto_vmap(x=1)(body).plan_with_outputs(BATCH)

    def test_an_error_of_an_inner_call_is_not_mistaken(self) -> None:
        inner = auto_vmap(a=0, b=0)(lambda a, b: a)
        with pytest.raises(
            BatchShapeError, match=says("size 3 in a and size 2 in b", "x: float32")
        ):
            auto_vmap(x=1)(lambda x: inner(x, jnp.ones(2)))(BATCH)

    def test_a_long_note_is_cut(self) -> None:
        def body(xs: Any) -> Any:
            raise Odd

        with pytest.raises(Odd, match=says("xs[0]", "6 leaves more")):
            auto_vmap(xs=0)(body)([jnp.ones(2)] * 30)

    def test_keyboard_interrupt_is_left_alone(self) -> None:
        def body(x: Any) -> Any:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            auto_vmap(x=0)(body)(jnp.ones(2))

    @pytest.mark.parametrize("shape", [(), (2,)], ids=str)
    def test_what_no_vmap_can_map(self, shape: Any) -> None:
        callback = lambda x: jax.pure_callback(np.sin, x, x)  # noqa: E731
        x = jnp.zeros(shape)
        if shape:
            with pytest.raises(NotImplementedError, match=says("vmap", "x: float32[2]")):
                auto_vmap(x=0)(callback)(x)
        else:
            assert auto_vmap(x=0)(callback)(x) == 0


class TestRow43:
    """The structure of results."""

    @pytest.mark.parametrize("batch", [(), (1,), (3,), (0,), (3, 1, 2, 1)], ids=str)
    def test_keeps_it_at_every_batch_shape(self, batch: Any) -> None:
        marker = object()

        def body(x: Any) -> Any:
            return {"p": Point(x, "text"), "n": None, "b": Box(x.sum(), None), "l": [marker, 1.5]}

        result = auto_vmap(x=1)(body)(jnp.ones((*batch, 2)))
        assert sorted(result) == ["b", "l", "n", "p"]
        assert isinstance(result["p"], Point)
        assert result["p"].label == "text"
        assert result["p"].x.shape == (*batch, 2)
        assert result["n"] is None
        assert isinstance(result["b"], Box)
        assert result["b"].x.shape == batch
        assert result["b"].none is None
        assert result["l"][0] is marker
        assert np.shape(result["l"][1]) == batch

    # JAX says so too, by a warning that shall become an error of its own.
    @pytest.mark.filterwarnings("ignore:Python iterable type 'generator':DeprecationWarning")
    @pytest.mark.parametrize("batch", [(), (1,), (3,)], ids=str)
    def test_refuses_a_generator(self, batch: Any) -> None:
        function = auto_vmap(x=0)(lambda x: {"a": [(i for i in range(3))]})
        with pytest.raises(SpecError, match=says("<lambda>()", "result['a'][0]", "generator")):
            function(jnp.ones(batch))

    @pytest.mark.parametrize("batch", [(), (1,), (3,)], ids=str)
    def test_refuses_a_coroutine(self, batch: Any) -> None:
        made: list[Any] = []

        async def later() -> None: ...

        def body(x: Any) -> Any:
            made.append(later())
            return made[-1]

        with pytest.raises(SpecError, match=says("body()", "result", "coroutine", "return")):
            auto_vmap(x=0)(body)(jnp.ones(batch))
        for coroutine in made:
            coroutine.close()


def test_44_a_python_if_on_a_batched_value() -> None:
    function = auto_vmap(x=0)(lambda x: 1.0 if x > 0 else 0.0)
    parts = ("<lambda>()", "batch shape (3,)", "x: float32[3]")
    with pytest.raises(jax.errors.TracerBoolConversionError, match=says(*parts)):
        function(jnp.ones(3))
    assert function(2.0) == 1.0


def test_42_the_note_where_no_array_has_a_rank() -> None:
    optional = auto_vmap(x=1)(lambda x: x + 1)
    with pytest.raises(TypeError, match="NoneType") as raised:
        optional(None)
    assert raised.value.__notes__ == [
        "in <lambda>(), called by autovmap with batch shape (); no array under a rank",
        "x has a rank, but is None, so the function got None for it",
    ]


@pytest.mark.parametrize("way", ["call", "jit", "chunk", "loop"])
def test_44_a_collective_over_an_axis_without_a_name(way: str) -> None:
    def share(x: Any) -> Any:
        return x / jax.lax.psum(x, "i")

    function = auto_vmap(x=0)(share)
    run: Any = function if way == "call" else getattr(function, way)(*[2] * (way == "chunk"))
    with pytest.raises(NameError, match="unbound axis name: i") as raised:
        run(jnp.ones(4))
    notes = " ".join(" ".join(raised.value.__notes__).split())
    assert "If i is to be the last batch axis, say axis_name='i' where share is decorated" in notes
    assert auto_vmap(x=0, axis_name="i")(share)(jnp.ones(4)).tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ((2, 4, 3), "y, float32[2,4,3], has no base rank, but begins with the batch shape (2, 4)"),
        ((4, 3), "y, float32[4,3], has no base rank, but begins with (4,), the end of the batch"),
        ((2, 3), None),
        ((1, 5), None),
    ],
    ids=str,
)
def test_51_a_rank_was_forgotten_where_batches_broadcast(y: Any, said: str | None) -> None:
    def f(x: Any, y: Any) -> Any:
        return x.reshape(1, 3) @ y.reshape(-1, 7)

    with pytest.raises(TypeError, match="reshape") as raised:
        auto_vmap(x=1)(f)(jnp.ones((2, 4, 3)), jnp.ones(y))
    note = " ".join(raised.value.__notes__[-1].split())
    assert note.startswith(said) if said else "forgotten" not in note


def test_44_a_collective_over_an_axis_that_a_pattern_does_not_name() -> None:
    with pytest.raises(NameError, match="unbound axis name: i") as raised:
        named_vmap("a -> a")(lambda x: x / jax.lax.psum(x, "i"))(jnp.ones(4))
    assert "name it so in the pattern" in raised.value.__notes__[-1]
