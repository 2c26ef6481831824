"""One annotation at a time: the rank that it says, and what is known of the core dims."""

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from jaxtyping import (
    Array,
    ArrayLike,
    Bool,
    Complex,
    Float,
    Float32,
    Inexact,
    Int,
    Key,
    PRNGKeyArray,
    PyTree,
    Scalar,
    ScalarLike,
    Shaped,
    UInt32,
)

from autovmap import CoreSizeError, RankError, SpecError, auto_vmap, infer_ranks

pytestmark = [pytest.mark.python, pytest.mark.own]

Bounded = TypeVar("Bounded", bound=Float[Array, "n"])
Constrained = TypeVar("Constrained", Float[Array, "n"], Int[Array, "n"])
Named = NewType("Named", Float[Array, "n m"])
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]

RANKS: list[tuple[Any, Any]] = [
    # jaxtyping's arrays
    (Float[Array, ""], 0),
    (Float[Array, "n"], 1),
    (Float[Array, " n"], 1),
    (Float[Array, "n m"], 2),
    (Float[Array, "3 n 4"], 3),
    (Float[Array, "_ _"], 2),
    (Float[Array, "_rows cols=3"], 2),
    (Float[Array, "#n m"], 2),
    (Float[Array, "n n+1 2*n-1 min(n,3)"], 4),
    (Float[Array, "..."], 0),
    (Float[Array, "... n"], 1),
    (Float[Array, "*batch n m"], 2),
    (Float[Array, "*#batch n"], 1),
    (Float[Float[Array, "n"], "b"], 2),
    (Float[Float[Array, "n"], "... b"], 2),
    (Shaped[Array, "n"], 1),
    (Float[np.ndarray, "n"], 1),
    (Float[ArrayLike, "n"], 1),
    (Float[ArrayLike, ""], 0),
    (Float[ArrayLike, "..."], 0),
    (Inexact[Any, "n"], 1),
    (Scalar, 0),
    (ScalarLike, 0),
    # keys
    (PRNGKeyArray, "key"),
    (PRNGKeyArray | None, "key"),
    (Key[Array, ""], "key"),
    (Key[Array, "..."], "key"),
    (Key[Array, "n"], 1),
    (UInt32[Array, "2"], 1),
    # pytrees
    (PyTree[Float[Array, "n"]], 1),
    (PyTree[Float[Array, "?n"], "T"], 1),
    (PyTree[Shaped[Array, "?*dims"], "Y"], 0),
    (PyTree[PRNGKeyArray], "key"),
    (PyTree[tuple[Float[Array, "n"], Float[Array, "m"]]], 1),
    # unions and names
    (Optional[Float[Array, "n"]], 1),  # noqa: UP045
    (Float[Array, "n"] | None, 1),
    (Union[Float[Array, "n"], Float[np.ndarray, "n"]], 1),  # noqa: UP007
    (Float[Array, "n"] | Int[Array, "m"], 1),
    (float | Float[Array, ""], 0),
    (float | Float[Array, "n"], 1),
    (str | Float[Array, "n"], 1),
    (Annotated[Float[Array, "n"], "kelvin"], 1),
    (Bounded, 1),
    (Constrained, 1),
    (Named, 2),
    # containers
    (tuple[Float[Array, "n"], Float[Array, ""]], (1, 0)),
    (tuple[Float[Array, "n"], int], (1, None)),
    (tuple[Float[Array, "n"], ...], 1),
    (list[Float[Array, "n"]], 1),
    (typing.List[Float[Array, "n"]], 1),  # noqa: UP006
    (Sequence[Float[Array, "n"]], 1),
    (Iterable[Float[Array, "n m"]], 2),
    (dict[str, Float[Array, "n"]], 1),
    (Mapping[str, Float[Array, "n"]], 1),
    (list[tuple[Float[Array, "n"], Float[Array, ""]]], [(1, 0), ...]),
    # NumPy's
    (Matrix, 2),
    (Matrix | None, 2),
    (np.ndarray[tuple[()], np.dtype[np.float64]], 0),
    (np.ndarray[tuple[Literal[3], int], np.dtype[Any]], 2),
]
UNMAPPED: list[Any] = [
    *(bool, int, float, complex, str, bytes, None, int | None, str | float, Literal["a", "b"]),
    *(Callable, Callable[[int], int], typing.Callable, type, Any, object, np.float64),
    *(PyTree, PyTree[Any], PyTree[int], dict, list, tuple, dict[str, int], tuple[int, ...]),
    *(TypeVar("Free"), jax.ShapeDtypeStruct, re.Pattern),
]


def of(annotation: Any) -> Any:
    """A function of one parameter with this annotation, and one of a scalar."""

    def f(x: Any, y: Any = 0.0) -> Any:
        return jax.tree.map(lambda leaf: leaf, x)

    f.__annotations__ = {"x": annotation, "y": Float[Array, ""]}
    return f


@pytest.mark.parametrize(("annotation", "rank"), RANKS, ids=lambda value: str(value)[:60])
def test_ranks(annotation, rank):
    assert infer_ranks(of(annotation)) == {"x": rank, "y": 0}
    assert infer_ranks(auto_vmap(of(annotation))) == {"x": rank, "y": 0}


@pytest.mark.parametrize("annotation", UNMAPPED, ids=str)
def test_unmapped(annotation):
    assert infer_ranks(of(annotation)) == {"y": 0}


@pytest.mark.parametrize(("annotation", "rank"), RANKS, ids=lambda value: str(value)[:60])
def test_what_was_read_can_be_given_again(annotation, rank):
    again = auto_vmap(ranks={"x": rank, "y": 0})(of(annotation))
    assert again.ranks == infer_ranks(of(annotation))


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        (Array, "x is annotated as Array, which does not say how many dims"),
        (jax.Array, "which does not say how many dims"),
        (jnp.ndarray, "which does not say how many dims"),
        (np.ndarray, "x is annotated as ndarray, which does not say how many dims"),
        (ArrayLike, "which does not say how many dims"),
        (Array | None, "which does not say how many dims"),
        (npt.NDArray[np.float64], "which does not say how many dims"),
        (np.ndarray[tuple[int, ...], np.dtype[Any]], "which does not say how many dims"),
        (PyTree[Array], "which does not say how many dims"),
        (list[Array], "x[...] is annotated as Array"),
        (tuple[Float[Array, "n"], Array], "x[1] is annotated as Array"),
        (Float[Array, "n ..."], "Float[Array, 'n ...'], which has an open number of dims"),
        (Float[Array, "n *rest m"], "an open number of dims"),
        (PyTree[Shaped[Array, "times ?*y"], "Y"], "an open number of dims"),
        (Float[Array, "n"] | Float[Array, "n m"], "the base ranks 1 and 2 for arrays of one dtype"),
        (Float32[Array, ""] | Float[Array, "n"], "the base ranks 0 and 1 for arrays of one dtype"),
        (Shaped[Array, ""] | Int[Array, "n"], "the base ranks 0 and 1"),
        (Float[Array, "n"] | tuple[Float[Array, "n"], int], "members have different base ranks"),
        (tuple[Float[Array, "n"]] | tuple[Float[Array, ""]], "members have different base ranks"),
        (PyTree[tuple[Float[Array, "n"], Float[Array, ""]]], "parts have different base ranks"),
    ],
    ids=str,
)
def test_what_leaves_the_rank_open_is_refused(annotation, what):
    with pytest.raises(SpecError, match=re.escape(what)) as caught:
        infer_ranks(of(annotation))
    assert "f(): x" in str(caught.value)
    assert "@auto_vmap(..., x=" in str(caught.value)


class TestCoreSizes:
    @pytest.mark.parametrize(
        ("annotation", "shape", "what"),
        [
            (Float[Array, "3"], (7, 4), "has the fixed size 3, but got 4"),
            (Float[Array, "rows=3 m"], (4, 3), "has the fixed size 3, but got 4"),
            (Float[Array, "n n"], (7, 4, 3), "inconsistent size for core dimension 'n'"),
            (np.ndarray[tuple[Literal[3]], np.dtype[Any]], (4,), "has the fixed size 3"),
        ],
    )
    def test_a_wrong_size_is_refused(self, annotation, shape, what):
        with pytest.raises(CoreSizeError, match=what):
            auto_vmap(of(annotation))(jnp.ones(shape))

    @pytest.mark.parametrize("dim", ["#n", "_", "_n", "n+1"])
    def test_what_may_differ_is_not_checked(self, dim):
        @auto_vmap
        def f(x: Float[Array, "n"], y: Float[Array, dim]):
            return x.sum() + y.sum()

        assert f(jnp.ones((5, 3)), jnp.ones(1)).shape == (5,)

    def test_a_name_is_shared_between_arguments(self):
        @auto_vmap
        def f(x: Float[Array, "n m"], y: Float[Array, "m"]):
            return x @ y

        assert f(jnp.ones((5, 3, 2)), jnp.ones((4, 1, 2))).shape == (4, 5, 3)
        with pytest.raises(CoreSizeError, match="'m': 2 in x and 3 in y"):
            f(jnp.ones((5, 3, 2)), jnp.ones(3))

    def test_members_of_a_union_keep_what_they_agree_on(self):
        @auto_vmap
        def f(x: Float[Array, "n 3"] | Int[Array, "m 3"], y: Float[Array, "n"]):
            return x.sum() + y.sum()

        assert f(jnp.ones((5, 2, 3)), jnp.ones(7)).shape == (5,)
        with pytest.raises(CoreSizeError, match="fixed size 3, but got 4"):
            f(jnp.ones((5, 2, 4)), jnp.ones(7))


class TestUnions:
    """Members that a leaf's dtype tells apart, at the call."""

    def test_by_dtype(self):
        @auto_vmap
        def f(x: Float[Array, "n"] | Int[Array, ""] | Complex[Array, "n n"]):
            return jnp.sum(x)

        assert f(jnp.ones((5, 3))).shape == (5,)
        assert f(jnp.ones((5, 3), int)).shape == (5, 3)
        assert f(np.ones((5, 3, 3), complex)).shape == (5,)
        assert f(7).shape == ()
        assert auto_vmap(x=f.ranks["x"])(f.__wrapped__).ranks == f.ranks
        with pytest.raises(SpecError, match=r"(?s)x is bool\[3\], and no member .* of that dtype"):
            f(jnp.ones(3, bool))

    def test_a_key_or_data(self):
        @auto_vmap
        def f(x: PRNGKeyArray | Float[Array, "n"]):
            return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x

        assert f(jax.random.split(jax.random.key(0), 5)).shape == (5, 2)
        assert f(jax.random.split(jax.random.PRNGKey(0), 5)).shape == (5, 2)
        assert f.plan(jnp.ones((5, 3))).batch_shape == (5,)

    def test_a_number_or_an_array(self):
        @auto_vmap
        def f(x: float | Float[Array, "n"], y: Float[Array, "n"]):
            return x * y

        assert f(2.0, jnp.ones((5, 3))).shape == (5, 3)
        assert f(jnp.ones((4, 1, 3)), jnp.ones((5, 3))).shape == (4, 5, 3)

    def test_without_a_number_a_number_is_below_its_rank(self):
        f = auto_vmap(of(Float[Array, "n"]))
        with pytest.raises(RankError, match="below its base rank 1"):
            f(2.0)

    def test_a_word_or_an_array(self):
        @auto_vmap
        def f(x: Literal["ones"] | Float[Array, "n"], y: Float[Array, "n"]):
            return y if isinstance(x, str) else x * y

        assert f("ones", jnp.ones((5, 3))).shape == (5, 3)
        assert f(jnp.ones((4, 1, 3)), jnp.ones((5, 3))).shape == (4, 5, 3)

    def test_a_mask_or_none(self):
        @auto_vmap
        def f(x: Float[Array, "n"], mask: Bool[Array, "n"] | None = None):
            return x.sum() if mask is None else x.sum(where=mask)

        assert f(jnp.ones((5, 3))).shape == (5,)
        assert f(jnp.ones((5, 3)), jnp.ones((4, 1, 3), bool)).shape == (4, 5)
