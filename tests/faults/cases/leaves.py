"""Rows 23 to 30: leaves that no vmap can map, or that are not what their rank says."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, Shaped

from autovmap import auto_vmap
from faults.cases.case import Case
from faults.cases.ways import called, entries


class Colour:
    """Nothing that JAX knows."""

    def __repr__(self) -> str:
        return "Colour()"


class Column:
    """What NumPy and JAX make an array of, as of a column of a table."""

    def __repr__(self) -> str:
        return "0    1.0\n1    2.0"

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array([1.0, 2.0], dtype)


def total(x: Any) -> Any:
    """The sum of a vector, or of the first leaf."""
    return jnp.sum(jnp.asarray(jax.tree.leaves(x)[0]))


def scalar(x: Any) -> Any:
    """The first leaf."""
    return jax.tree.leaves(x)[0] * 1


def either(k: Any, x: Any) -> Any:
    """The second of two."""
    return x


def drawn(k: Any) -> Any:
    """A draw."""
    return jax.random.uniform(k)


def read(r: Any, x: Any) -> Any:
    """A Ref's value and another."""
    return r[...] + x


VECTOR = entries(
    total, {"x": 1}, "(n)->()", {"x": Shaped[Array, "n"], "return": Shaped[Array, ""]}, "a [n] -> a"
)
SCALAR = entries(
    scalar, {"x": 0}, "()->()", {"x": Shaped[Array, ""], "return": Shaped[Array, ""]}, "a -> a"
)
TREE = entries(total, {"x": 1})
TREE_OF_SCALARS = entries(scalar, {"x": 0})


def vector(row: int, name: str, make: Callable[[], Any]) -> Case:
    """An argument that no vector can be."""
    return called(row, name, VECTOR, lambda: (make(),))


def number(row: int, name: str, make: Callable[[], Any]) -> Case:
    """An argument that no scalar can be."""
    return called(row, name, SCALAR, lambda: (make(),))


def deleted() -> Any:
    """A batch of vectors whose memory is given back."""
    array = jnp.ones((5, 3)) + 1
    array.delete()
    return array


def raw() -> Any:
    """A raw PRNG key."""
    return jax.random.PRNGKey(0)


def ref(shape: Any) -> Any:
    """A Ref to ones."""
    return jax.new_ref(jnp.ones(shape))


CASES = [
    vector(23, "a string", lambda: "relu"),
    vector(23, "bytes", lambda: b"x"),
    vector(23, "an object", Colour),
    vector(23, "a type", lambda: int),
    vector(23, "a long object", lambda: "a" * 100),
    vector(23, "a range", lambda: range(3)),
    vector(23, "what NumPy makes an array of", Column),
    vector(23, "a text of NumPy's", lambda: np.str_("relu")),
    number(24, "object", lambda: np.array([1, None], dtype=object)),
    number(24, "datetime", lambda: np.array(["2020-01-01"], dtype="datetime64[D]")),
    number(24, "structured", lambda: np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])),
    number(24, "longdouble", lambda: np.ones((2, 3), np.longdouble)),
    number(24, "big-endian", lambda: np.ones((2, 3), ">f4")),
    number(24, "text", lambda: np.array(["a"])),
    called(24, "in a tree", TREE, lambda: ({"a": np.ones((2, 3), ">f4")},)),
    vector(24, "masked", lambda: np.ma.masked_array(np.ones((2, 3)), mask=np.eye(2, 3))),
    called(24, "masked, in a tree", TREE, lambda: ({"a": np.ma.masked_array(np.ones((2, 3)))},)),
    vector(25, "a list of numbers", lambda: [1.0, 2.0]),
    vector(25, "a tuple of numbers", lambda: (1j,)),
    vector(25, "a list of bools", lambda: [True]),
    called(25, "in a tree", TREE, lambda: ({"a": [[1, 2], [3, 4]]},)),
    vector(26, "batched", lambda: jax.ShapeDtypeStruct((4, 3), jnp.float32)),
    called(26, "unbatched", TREE, lambda: (jax.ShapeDtypeStruct((3,), jnp.float32),)),
    called(26, "in a tree", TREE, lambda: ({"a": jax.ShapeDtypeStruct((4, 3), jnp.float32)},)),
    vector(27, "deleted", deleted),
    called(27, "deleted, in a tree", TREE, lambda: ({"a": deleted()},)),
    number(27, "an int of 32 bits", lambda: 2**31),
    number(27, "an int of 70 bits", lambda: 2**70),
    called(27, "an int in a tree", TREE_OF_SCALARS, lambda: ({"a": -(2**40)},)),
    called(
        28,
        "in a batch mismatch",
        entries(either, {"k": 0, "x": 0}, "(),()->()"),
        lambda: (raw(), jnp.ones(3)),
    ),
    called(28, "in an exception of the body", entries(drawn, {"k": 0}, "()->()"), lambda: (raw(),)),
    called(
        28,
        "the marker on what is no key",
        entries(drawn, {"k": "key"}, None, {"k": PRNGKeyArray, "return": Shaped[Array, ""]}),
        lambda: (jnp.ones(4),),
    ),
    called(
        29,
        "a missing batch dim",
        entries(read, {"r": 0, "x": 0}, "(),()->()"),
        lambda: (ref(5), jnp.ones((2, 5))),
        needs="new_ref",
        without=(".jit()",),  # a Ref is a tracer there, and what JAX makes of it differs
    ),
    called(
        29,
        "a size of 1",
        {"auto_vmap": lambda: auto_vmap(r=1, x=0)(read)},
        lambda: (ref((1, 3)), jnp.ones(5)),
        needs="new_ref",
        without=(".jit()",),  # a Ref is a tracer there, and what JAX makes of it differs
    ),
    vector(30, "a number", lambda: 1.5),
    vector(30, "a JAX scalar", lambda: jnp.float32(1)),
    vector(30, "a typed key", lambda: jax.random.key(0)),
    called(
        30,
        "a vector for a matrix",
        entries(total, {"x": 2}, "(m,n)->()", {"x": Shaped[Array, "m n"]}, "a [m n] -> a"),
        lambda: (np.ones(3, np.int8),),
    ),
    called(30, "in a tree", entries(total, {"x": {"a": [2]}}), lambda: ({"a": [jnp.ones(3)]},)),
    called(30, "a raw key of one dim", entries(drawn, {"k": "key"}), lambda: (jnp.uint32(0),)),
]
