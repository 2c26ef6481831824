"""The line in a docstring that says what broadcasts, and that nothing else changes."""

import functools
import inspect
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float

from autovmap import auto_vmap, named_vmap
from autovmap._function.identity import with_line
from autovmap.compat.jax import vectorize

pytestmark = pytest.mark.python

LINE = "Batch dims broadcast; the base ranks are ``x=1``."


def total(x: Any) -> Any:
    """The sum of a vector."""
    return x.sum()


def google(x: Any, scale: float = 1.0) -> Any:
    """The sum of a vector.

    >>> import jax.numpy as jnp
    >>> google(jnp.ones(3)).shape
    ()

    Args:
        x: a vector.
        scale: what it is
            multiplied by.
    """
    return scale * x.sum()


def numpydoc(x: Any) -> Any:
    """The sum of a vector.

    In a few more words.

    Parameters
    ----------
    x : array
        A vector.

    Returns
    -------
    array
    """
    return x.sum()


def undocumented(x: Any) -> Any:
    return x.sum()


def test_one_line() -> None:
    assert auto_vmap(x=1)(total).__doc__ == f"The sum of a vector.\n\n{LINE}"
    assert total.__doc__ == "The sum of a vector."


def test_google_s_sections() -> None:
    """The line stands behind them, at their indentation, so that it belongs to none."""
    found = inspect.getdoc(auto_vmap(x=1)(google))
    assert found == f"{inspect.getdoc(google)}\n\n{LINE}"


def test_numpydoc_s_sections() -> None:
    """The line stands before them: what follows a heading is part of its section."""
    plain, found = inspect.getdoc(numpydoc), inspect.getdoc(auto_vmap(x=1)(numpydoc))
    assert plain is not None
    assert found == plain.replace("Parameters\n---", f"{LINE}\n\nParameters\n---")


@pytest.mark.parametrize("function", [undocumented, lambda x: x])
def test_without_a_docstring(function: Any) -> None:
    assert auto_vmap(x=1)(function).__doc__ is None
    assert named_vmap("a -> a")(function).__doc__ is None


@pytest.mark.parametrize("text", ["", " ", "\n    \n"])
def test_an_empty_docstring_stays_empty(text: str) -> None:
    assert with_line(text, LINE) == text


def test_the_docstring_of_a_class_is_not_the_callable_s() -> None:
    partial = auto_vmap(x=1)(functools.partial(google, scale=2.0))
    assert partial.__doc__ == functools.partial.__doc__


@pytest.mark.parametrize(
    ("decorate", "line"),
    [
        (auto_vmap(0, {"w": 2}), "broadcast; the base ranks are ``a=0, b={'w': 2}``."),
        (auto_vmap(a="key", strict=True), "are equal or absent; the base ranks are ``a='key'``."),
        (auto_vmap("(m,n),(n)->(m)"), "broadcast, around the core dims of ``(m,n),(n)->(m)``."),
        (vectorize(signature="(n),()->()"), "broadcast, around the core dims of ``(n),()->()``."),
        (vectorize(excluded={1}), "broadcast; the base ranks are ``a=0``."),
        (named_vmap(" a [c],\n b -> a b"), "are those of the pattern ``a [c], b -> a b``."),
    ],
)
def test_what_it_says(decorate: Any, line: str) -> None:
    def function(a: Any, b: Any) -> Any:
        """Some words."""

    assert decorate(function).__doc__ == f"Some words.\n\nBatch dims {line}"


def test_long_ranks_are_cut() -> None:
    def function(params: Any) -> Any:
        """Some words."""

    found = auto_vmap(params={f"layer_{i}": {"w": 2, "b": 1} for i in range(50)})(function)
    line = (found.__doc__ or "").splitlines()[-1]
    assert line.endswith("...``.")
    assert len(line) < 100


def test_without_ranks_there_is_no_line() -> None:
    assert auto_vmap(x=None)(total).__doc__ == total.__doc__


def test_ranks_in_annotations_are_named_once_they_are_read() -> None:
    @auto_vmap
    def norm(x: Float[Array, " n"]) -> Float[Array, ""]:  # noqa: F722
        """A norm."""
        return jnp.sqrt(x @ x)

    assert norm.__doc__ == "A norm.\n\nBatch dims broadcast; the base ranks are ``...``."
    assert norm.ranks == {"x": 1}
    assert norm.__doc__ == f"A norm.\n\n{LINE}"


def test_variants_methods_and_modules() -> None:
    class Model:
        @auto_vmap(x=1)
        def at(self, x: Any) -> Any:
            """A method."""

        @named_vmap("a -> a")
        def by_name(self, x: Any) -> Any:
            """Another."""

    assert Model.at.__doc__ == Model().at.__doc__ == f"A method.\n\n{LINE}"
    assert Model().by_name.__doc__ == "Another.\n\nBatch dims are those of the pattern ``a -> a``."
    for variant in (auto_vmap(x=1)(total).batch(5), auto_vmap(x=1)(total).lift(jax.grad)):
        assert variant.__doc__ == f"The sum of a vector.\n\n{LINE}"


def test_decorated_twice_it_says_the_outer_ranks() -> None:
    @auto_vmap(x=2)
    @auto_vmap(x=1)
    def twice(x: Any) -> Any:
        """Some words."""

    assert twice.__doc__ == f"Some words.\n\n{LINE.replace('1', '2')}"


@auto_vmap(x=1)
def pickled(x: Any) -> Any:
    """A function that pickle finds by its name."""
    return x.sum()


def test_pickling() -> None:
    assert pickle.loads(pickle.dumps(pickled)) is pickled
    by_value = auto_vmap(x=1)(total)
    assert pickle.loads(pickle.dumps(by_value)).__doc__ == by_value.__doc__
