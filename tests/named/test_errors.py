"""What a call that does not fit its pattern is told."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from autovmap import BatchShapeError, CoreSizeError, RankError, SpecError, named_vmap

pytestmark = pytest.mark.own


def told(error: type[Exception], pattern: str, op: Any, *args: Any, **sizes: Any) -> str:
    with pytest.raises(error, match=r".") as caught:
        named_vmap(pattern, **sizes)(op)(*args)
    assert type(caught.value) is error
    return str(caught.value)


def f(*args: Any) -> Any:
    return args[0]


def first(x: Any, y: Any) -> Any:
    return x


def test_two_sizes_of_one_axis() -> None:
    assert told(BatchShapeError, "a b, b -> a b", first, jnp.ones((2, 3)), jnp.ones(4)) == (
        "first(): axis 'b' has size 3 in x and size 4 in y; "
        "axes with the same name must have the same size; nothing stretches\n"
        "  a b, b -> a b\n"
        "    ^  ^\n"
        "  x: float32[2,3] = a b\n"
        "  y: float32[4] = b\n"
        "Check the shapes and the pattern"
    )


def test_a_composition_without_a_solution() -> None:
    assert told(BatchShapeError, "(a b) -> a b", jnp.sin, jnp.ones(7), a=2) == (
        "sin(): x: (a b) = 7 has no solution with a = 2 (given as a=2)\n"
        "  (a b) -> a b\n"
        "   ^ ^\n"
        "  x: float32[7] = (a b)\n"
        "Check the shapes and the pattern"
    )


def test_a_composition_with_two_unknowns() -> None:
    message = told(SpecError, "(a b) -> b a", jnp.sin, jnp.ones(6))
    assert "(a b) = 6 does not determine a and b; give a=... to named_vmap" in message
    assert "  (a b) -> b a\n  ^^^^^\n" in message


@pytest.mark.parametrize(
    ("error", "pattern", "shape", "sizes", "said"),
    [
        (CoreSizeError, "a [3] -> a", (2, 4), {}, "size 4 where the pattern has 3"),
        (CoreSizeError, "[n n] -> ", (2, 3), {}, "axis 'n' has size 2 in args"),
        (CoreSizeError, "[(n 2)] -> ", (3,), {}, "= 3 has no solution"),
        (BatchShapeError, "a a -> a", (2, 3), {}, "axis 'a' has size 2"),
        (BatchShapeError, "a -> a", (2,), {"a": 3}, "given as a=3. and size 2 in args"),
        (BatchShapeError, "(a b) -> a b", (5,), {"a": 0}, "no solution"),
        (SpecError, "(a b) -> a b", (0,), {"a": 0}, "does not determine b"),
        (RankError, "a [b] -> a", (2,), {}, "of rank 1, but its part of the pattern, `a .b.`"),
        (RankError, "a [b] ... -> a ...", (2,), {}, "at least 2 dims"),
        (RankError, " -> ", (2,), {}, "0 dims"),
        (SpecError, "a... b... -> a... b...", (2, 3), {}, "how many axes the ellipsis"),
    ],
)
def test_shapes(error: Any, pattern: str, shape: Any, sizes: Any, said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        named_vmap(pattern, **sizes)(f)(jnp.ones(shape))
    assert (
        "f(): args[0]" in str(caught.value)
        or "f(): a" in str(caught.value)
        or "^" in str(caught.value)
    )


def test_an_argument_that_is_none_tells_no_size() -> None:
    message = told(SpecError, "a, b -> a b", first, jnp.ones(2), None)
    assert "no array of this call has the axis 'b'" in message
    assert message.endswith("  a, b -> a b\n            ^")


class TestResults:
    """One example's result has the core shape that the pattern says."""

    def test_another_size(self) -> None:
        message = told(CoreSizeError, "a [b] -> a [b]", lambda x: x[:2], jnp.ones((2, 3)))
        assert message == (
            "<lambda>(): result has shape (2,) for one example, "
            "but `a [b]` in the pattern gives it the core shape (3,)\n"
            "  a [b] -> a [b]\n"
            "              ^\n"
            "Return an array of that shape, or fix the pattern"
        )

    def test_another_rank(self) -> None:
        message = told(RankError, "a [b] -> a", lambda x: {"y": x}, jnp.ones((2, 3)))
        assert "result['y'] has shape (3,) for one example" in message
        message = told(RankError, "a -> a [2 ...]", jnp.sin, jnp.ones(3))
        assert "core shape (2, ...)" in message.replace("\n", " ")

    def test_two_results_disagree_on_a_new_name(self) -> None:
        def op(x: Any) -> Any:
            return jnp.ones(2), jnp.ones(3)

        assert "result[1] has shape (3,)" in told(CoreSizeError, "a -> a [n], [n]", op, jnp.ones(2))

    def test_another_number(self) -> None:
        message = told(SpecError, "a -> a, a", jnp.sin, jnp.ones(2))
        assert "has 2 results, but the function returned one" in message

    def test_without_batch_axes_it_is_checked_too(self) -> None:
        told(CoreSizeError, "[b] -> [b]", lambda x: x[:2], jnp.ones(3))

    def test_a_missing_axis(self) -> None:
        message = told(SpecError, "a b -> a", jnp.sin, jnp.ones((2, 3)))
        assert (
            "result depends on the axis 'b', which is missing from its part of the pattern, `a`"
            in message
        )
        assert "  a b -> a\n    ^\n" in message
        assert message == told(SpecError, "a b -> a", jax.nn.relu, jnp.ones((2, 3))).replace(
            "relu()", "sin()"
        )  # a function with a derivative of its own
        with pytest.raises(SpecError, match="depends on the axis 'b'"):
            named_vmap("a b -> a")(jnp.sin).loop()(jnp.ones((2, 3)))


class TestDeclaring:
    """Mistakes that need no arguments."""

    def test_a_tensor_factory(self) -> None:
        message = told(SpecError, "a b, b -> a b", first, jnp.ones((2, 3)), jnp.ones)
        assert message.endswith("  a b, b -> a b\n       ^")
        assert "y is a function, but einx's tensor factories are not supported" in message

    def test_more_arguments_than_parameters(self) -> None:
        with pytest.raises(SpecError, match="3 arguments for 2 positional") as e:
            named_vmap("a, b, c -> a")(first)
        assert str(e.value).endswith("  a, b, c -> a\n        ^")

    @pytest.mark.parametrize(
        ("pattern", "sizes", "said"),
        [
            ("a -> a", {"b": 2}, "no axis 'b'; its axes are: a"),
            ("a -> a", {"a": -1}, "a=-1 is not a size; a size is a non-negative int\n"),
            ("a -> a", {"a": True}, "a=True is not a size"),
            ("a -> a", {"a": (2, 3)}, "is not a size"),
            ("a... -> a...", {"a": "xy"}, "or a tuple of them"),
            ("a -> a b", {}, "no argument has the axis 'b'.*give b="),
            ("a -> a ...", {}, "no argument has the axis"),
            ("a -> a [b...]", {}, "how many axes the ellipsis"),
        ],
    )
    def test_sizes(self, pattern: str, sizes: Any, said: str) -> None:
        with pytest.raises(SpecError, match=said):
            named_vmap(pattern, **sizes)(jnp.sin)

    def test_no_function(self) -> None:
        with pytest.raises(SpecError, match="decorates a callable"):
            named_vmap("a -> a")(3)  # type: ignore[call-overload]
