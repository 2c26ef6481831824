"""What `f.loop()` makes of results whose static data seems to differ from example to example."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap


@jax.tree_util.register_pytree_node_class
class Noted:
    """A node with a note: static data."""

    def __init__(self, x: Any, note: Any) -> None:
        self.x, self.note = x, note

    def tree_flatten(self) -> Any:
        """The note is no child."""
        return (self.x,), self.note

    @classmethod
    def tree_unflatten(cls, note: Any, children: Any) -> "Noted":
        """As JAX has it."""
        return cls(*children, note)


@dataclasses.dataclass
class Settings:
    """Compared by identity of what it holds: arrays refuse a plain `==`."""

    table: Any


NOTES: dict[str, Any] = {
    "a function made anew": lambda: lambda y: y,
    "an array made anew": lambda: np.arange(3),
    "a dict of arrays": lambda: {"a": np.arange(3), "b": "text"},
    "an object made anew": lambda: object(),
    "a dataclass of arrays": lambda: Settings(np.arange(3)),
    "not a number": lambda: (float("nan"),),
}


@pytest.mark.parametrize("name", NOTES)
def test_static_data_whose_equality_says_no_goes_through(name: str) -> None:
    looped = auto_vmap(x=0)(lambda x: {"a": (Noted(2 * x, NOTES[name]()), 1.0)}).loop()
    found = looped(jnp.arange(4.0).reshape(2, 2))
    np.testing.assert_array_equal(found["a"][0].x, [[0, 2], [4, 6]])
    assert type(found["a"][0].note) is type(NOTES[name]())
    assert found["a"][1].shape == (2, 2)


DIFFERING: dict[str, tuple[Any, Any]] = {
    "text": ("one", "two"),
    "number": (1, 2),
    "inside a dict": ({"a": (1, "x")}, {"a": (1, "y")}),
    "length": ((1, 2), (1, 2, 3)),
}


@pytest.mark.parametrize("name", DIFFERING)
def test_static_data_that_does_differ_is_refused(name: str) -> None:
    """No vmapped call could return both, and one of them would stand for all."""
    one, other = DIFFERING[name]
    looped = auto_vmap(x=0)(lambda x: [Noted(x, one if x < 1 else other)]).loop()
    with pytest.raises(SpecError, match=r"static data of result\[0\], a Noted, is ") as raised:
        looped(jnp.arange(3.0))
    assert len(str(raised.value).splitlines()) <= 10


def test_a_leaf_that_differs_beside_static_data_that_seems_to() -> None:
    looped = auto_vmap(x=0)(lambda x: Noted(x if x < 1 else jnp.ones(2), np.arange(3))).loop()
    with pytest.raises(SpecError, match=r"result\[?.*\]? is float32\[2\], but float32\[\] there"):
        looped(jnp.arange(3.0))
