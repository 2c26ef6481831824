"""`compat.jax.vectorize`: what `jnp.vectorize` refuses is refused in its well-known words."""

from typing import Any

import jax.numpy as jnp
import pytest

from autovmap import AutoVmapError, SpecError
from autovmap.compat.jax import vectorize
from faults.saying import words as broken

pytestmark = pytest.mark.own

CALLS: list[tuple[str, Any, str, tuple[Any, ...], type[Exception]]] = [
    ("valid", "(n),(n)", "not a valid gufunc signature", (), TypeError),
    ("a word", "n,n", "not a valid gufunc signature", (), TypeError),
    ("the marker", "key", "not a valid gufunc signature", (), TypeError),
    ("empty", "", "not a valid gufunc signature", (), TypeError),
    ("dims", "(n,m),(m)->(n)", "not have enough dimensions for all core", ((3,), (3,)), ValueError),
    ("sizes", "(n),(n)->()", "inconsistent size for core dim", ((3,), (4,)), ValueError),
    ("result", "(n),(n)->(n)", "inconsistent size for core dim", ((3,), (3,)), ValueError),
    ("shape", "(n),(n)->()", "output shape (2,) does not match core dim", ((3,), (3,)), ValueError),
    ("more", "(n),(n)->(),(n)", "output must be a tuple when", ((3,), (3,)), TypeError),
]


class TestErrors:
    """The well-known words, in errors that say more."""

    @pytest.mark.parametrize(
        ("signature", "words", "shapes", "kind"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
    )
    def test_words_of_the_original(
        self, signature: Any, words: str, shapes: Any, kind: Any
    ) -> None:
        """The original has them too; it raises ValueError for a malformed signature."""
        function, args = (lambda x, y: x[..., :2]), [*map(jnp.ones, shapes or [3, 3])]
        with pytest.raises((TypeError, ValueError), match=broken(words)):
            jnp.vectorize(function, signature=signature)(*args)
        with pytest.raises(kind, match=broken(words)) as caught:
            vectorize(function, signature=signature)(*args)
        assert isinstance(caught.value, AutoVmapError)

    @pytest.mark.parametrize("count", [1, 3])
    def test_the_number_of_arguments(self, count: int) -> None:
        words = f"wrong number of positional arguments: expected 2, got {count}"
        for one in (vectorize, jnp.vectorize):
            with pytest.raises(TypeError, match=words):
                one(lambda *xs: xs[0], signature="(n),(n)->(n)")(*[jnp.ones(3)] * count)

    def test_the_number_of_outputs(self) -> None:
        for one in (vectorize, jnp.vectorize):
            with pytest.raises(TypeError, match="number of output arguments: expected 2, got 3"):
                one(lambda x: (x, x, x), signature="(n)->(n),(n)")(jnp.ones(3))

    @pytest.mark.parametrize(
        ("excluded", "words"),
        [
            ({1.5}, "can only exclude integer or string arguments, but excluded={1.5}"),
            ({None}, "can only exclude integer or string arguments, but excluded={None}"),
            ({-1}, "excluded={-1} contains negative numbers"),
        ],
    )
    def test_excluded(self, excluded: Any, words: str) -> None:
        for one in (vectorize, jnp.vectorize):
            with pytest.raises((TypeError, ValueError), match=broken(words)):
                one(jnp.add, excluded=excluded)

    @pytest.mark.parametrize(
        ("excluded", "words"),
        [
            ("scale", "excluded='scale' is a single argument, but excluded must be a set; give"),
            ("", "excluded='' is a single argument"),
            (1, "excluded=1 is a single argument, but excluded must be a set; give excluded={1}"),
            (1.5, "excluded=1.5 is not a set of arguments; give their indices or names"),
        ],
    )
    @pytest.mark.parametrize("signature", [None, "(n)->(n)"])
    def test_one_excluded_argument_that_is_in_no_set(
        self, excluded: Any, words: str, signature: str | None
    ) -> None:
        """A string would be taken for the names of its letters."""
        for decorate in (
            lambda f: vectorize(f, excluded=excluded, signature=signature),
            vectorize(excluded=excluded, signature=signature),
        ):
            with pytest.raises(SpecError, match=broken(words)):
                decorate(lambda x, scale, s, c, a, e: x)

    def test_what_is_no_function_or_no_signature(self) -> None:
        with pytest.raises(SpecError, match="takes a callable, but got 3"):
            vectorize(3)
        with pytest.raises(SpecError, match="not a valid gufunc signature: 3"):
            vectorize(jnp.add, signature=3)

    def test_mistakes_are_found_when_decorating(self) -> None:
        with pytest.raises(SpecError, match="2 operands for 1 positional"):
            vectorize(lambda x: x, signature="(n),(n)->(n)")

    def test_a_string_is_no_scalar(self) -> None:
        with pytest.raises(SpecError, match="how is 'fast' of type str"):
            vectorize(lambda x, how: x)(1.0, "fast")
