"""`strict`, and JAX's own setting for broadcasting between ranks."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, SpecError, auto_vmap
from oracle import compare, loop

pytestmark = pytest.mark.own


def scaled(x: Any, y: Any, z: Any = 1.0) -> Any:
    return x.sum() * y + z


decorated = auto_vmap(x=1, y=0, z=0)(scaled)
strict = auto_vmap(x=1, y=0, z=0, strict=True)(scaled)


def arrays(*batches: Any) -> list[Any]:
    """A vector and numbers of these batch shapes."""
    shapes = [(*batches[0], 3), *batches[1:]]
    return [
        jnp.arange(float(np.prod(s, dtype=int))).reshape(s) + i for i, s in enumerate(shapes, 1)
    ]


class TestStrict:
    """Batch shapes are equal or absent."""

    @pytest.mark.parametrize(
        "batches",
        [
            ((), ()),
            ((4,), (4,)),
            ((4,), ()),
            ((), (4,)),
            ((2, 4), (2, 4)),
            ((2, 4), ()),
            ((1,), (1,)),
            ((0,), (0,)),
            ((4,), (4,), (4,)),
            ((4,), (), (4,)),
        ],
        ids=str,
    )
    def test_equal_or_absent_works(self, batches: Any) -> None:
        args = arrays(*batches)
        compare(strict(*args), loop(scaled, [[1], [0], [0]][: len(args)], args))

    @pytest.mark.parametrize(
        "batches",
        [
            ((4,), (1,)),
            ((1,), (4,)),
            ((2, 4), (4,)),
            ((4,), (2, 4)),
            ((2, 1), (2, 4)),
            ((1, 4), (4,)),
            ((1,), (0,)),
        ],
        ids=str,
    )
    def test_anything_else_is_refused_naming_both(self, batches: Any) -> None:
        args = arrays(*batches)
        expected = loop(scaled, [[1], [0]], args)
        compare(decorated(*args), expected)
        pattern = r"(?s)scaled\(\): strict=True.* x and y .*x: float32.*rank 1.*y: float32.*rank 0"
        with pytest.raises(BatchShapeError, match=pattern):
            strict(*args)
        with pytest.raises(BatchShapeError, match=pattern):
            strict.plan(*args)

    def test_an_absent_one_between(self) -> None:
        with pytest.raises(BatchShapeError, match="x and z have different batch shapes"):
            strict(*arrays((4,), (), (1,)))

    def test_leaves_of_one_argument(self) -> None:
        total = auto_vmap(tree=1, strict=True)(lambda tree: tree["a"] + tree["b"])
        tree = {"a": jnp.ones((4, 3)), "b": jnp.ones((1, 3))}
        with pytest.raises(BatchShapeError, match=r"tree\['a'\] and tree\['b'\]"):
            total(tree)

    def test_a_conflict_is_an_error_too(self) -> None:
        with pytest.raises(BatchShapeError, match="x and y"):
            strict(*arrays((4,), (5,)))

    def test_positions_do_not_matter(self) -> None:
        moved = strict.replace(in_axes={"x": 1})
        np.testing.assert_array_equal(moved(jnp.ones((3, 4)), jnp.ones(4)), [4.0] * 4)

    def test_batch_and_outer_bring_axes_of_their_own(self) -> None:
        """They are said by the caller, so they are no accident."""
        assert strict.batch(2)(*arrays((4,), (4,))).shape == (2, 4)
        assert strict.outer("x", "y")(*arrays((4,), (5,))).shape == (4, 5)

    def test_the_second_group_of_outer_is_strict_too(self) -> None:
        with pytest.raises(BatchShapeError, match="y and z"):
            strict.outer("x", ("y", "z"))(*arrays((4,), (5,), (1,)))

    @pytest.mark.parametrize("wrong", [1, None, "yes"])
    def test_of_a_wrong_type(self, wrong: Any) -> None:
        with pytest.raises(SpecError, match=r"(?s)strict is .*True or False"):
            auto_vmap(x=0, strict=wrong)(jnp.sin)


class TestRankPromotion:
    """`jax_numpy_rank_promotion`, as `jax.numpy` takes it."""

    def test_allow(self) -> None:
        with jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
            warnings.simplefilter("error")
            args = arrays((2, 4), (4,))
            compare(decorated(*args), loop(scaled, [[1], [0]], args))

    def test_raise_names_both(self) -> None:
        with (
            jax.numpy_rank_promotion("raise"),
            pytest.raises(BatchShapeError, match=r"(?s)scaled\(\): x has 2 .* y has 1.*rank_prom"),
        ):
            decorated(*arrays((2, 4), (4,)))

    def test_warn_warns_once_a_place(self) -> None:
        args = arrays((2, 4), (4,))
        with jax.numpy_rank_promotion("warn"), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for _ in range(3):
                decorated(*args)
            decorated(*args)
        ours = [w for w in caught if "batch dims" in str(w.message)]
        assert [w.filename for w in ours] == [__file__] * 2
        assert "x has 2 batch dims and y has 1" in str(ours[0].message)

    @pytest.mark.parametrize("setting", ["warn", "raise"])
    @pytest.mark.parametrize(
        "batches", [((), ()), ((4,), ()), ((), (2, 4)), ((2, 4), (2, 4)), ((2, 1), (1, 4))]
    )
    def test_equal_ranks_absent_ones_and_ones_are_no_promotion(
        self, setting: str, batches: Any
    ) -> None:
        args = arrays(*batches)
        expected = loop(scaled, [[1], [0]], args)
        with jax.numpy_rank_promotion(setting):
            compare(decorated(*args), expected)

    def test_the_setting_is_read_at_each_call(self) -> None:
        args = arrays((2, 4), (4,))
        decorated(*args)
        with jax.numpy_rank_promotion("raise"), pytest.raises(BatchShapeError, match="x has 2"):
            decorated(*args)
        decorated(*args)

    def test_inside_the_function_it_is_jaxs_own(self) -> None:
        outer_sum = auto_vmap(x=1)(lambda x: x + jnp.ones((2, 3)))
        with jax.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="rank_promotion"):
            outer_sum(jnp.ones((4, 3)))

    def test_as_jax_numpy_vectorize_has_it(self) -> None:
        """Where `jnp.vectorize` raises, so does a call of ours."""
        add = auto_vmap(x=0, y=0)(lambda x, y: x + y)
        theirs = jnp.vectorize(lambda x, y: x + y)
        for x, y in [((2, 4), (4,)), ((4,), ()), ((2, 1), (1, 4)), ((1,), (2, 4))]:
            raised = []
            for function in (add, theirs):
                with jax.numpy_rank_promotion("raise"):
                    try:
                        function(jnp.ones(x), jnp.ones(y))
                    except ValueError:
                        raised.append((x, y))
            assert len(raised) in (0, 2), (x, y)
