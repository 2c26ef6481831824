"""Optional dims: NumPy's own gufuncs and solve-like functions on every rank combination."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import CoreSizeError, RankError, auto_vmap
from faults.saying import says
from spec.signatures.gufuncs import a_signature, dropped_dims, split

pytestmark = pytest.mark.own

SIZES = {"m": 4, "n": 3, "p": 2, "2": 2, "3": 3}
BATCHES: list[tuple[int, ...]] = [(), (2,), (1,), (5, 1), (5, 2)]


def size(dim: str) -> int:
    """The size that a dim has in these tests."""
    return SIZES[dim.rstrip("?")]


def values(*shape: int) -> np.ndarray[Any, Any]:
    """Distinct small floats that no square matrix of is singular."""
    found = np.arange(1.0, np.prod(shape, dtype=int) + 1, dtype=np.float32).reshape(shape)
    return np.sin(3 * found) + (np.eye(*shape[-2:], dtype=np.float32) * 4 if shape[1:] else 0)


def shapes(cores: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """All shapes of an operand; batch dims only where no core dim is dropped."""
    full = max(map(len, cores))
    return [
        batch + core for core in cores for batch in (BATCHES if len(core) == full else BATCHES[:1])
    ]


def checked(signature: str, function: Callable[..., Any], ndims: set[Any]) -> Callable[..., Any]:
    """The function under a signature; it notes the numbers of dims that it sees."""

    def inner(*args: jax.Array) -> jax.Array:
        ndims.add(tuple(arg.ndim for arg in args))
        return function(*args)

    return auto_vmap(signature)(inner)


def matmul_shapes() -> list[Any]:
    return list(itertools.product(shapes([(3,), (4, 3)]), shapes([(3,), (3, 2)])))


class TestMatmul:
    """`(m?,n),(n,p?)->(m?,p?)`: the signature that `?` was made for."""

    def test_every_rank_combination_and_broadcast(self) -> None:
        seen: set[Any] = set()
        ours = checked("(m?,n),(n,p?)->(m?,p?)", jnp.matmul, seen)
        for a, b in matmul_shapes():
            wanted = np.matmul(values(*a), values(*b))
            np.testing.assert_allclose(ours(values(*a), values(*b)), wanted, 1e-4, 1e-4)
        assert seen == {(1, 1), (1, 2), (2, 1), (2, 2)}

    def test_an_empty_batch(self) -> None:
        ours = auto_vmap("(m?,n),(n,p?)->(m?,p?)")(jnp.matmul)
        for a, b in [((0, 1, 4, 3), (2, 3, 2)), ((3,), (0, 3, 2)), ((2, 0, 4, 3), (3,))]:
            assert ours(jnp.ones(a), jnp.ones(b)).shape == np.matmul(np.ones(a), np.ones(b)).shape

    def test_the_plan_has_the_same_batch_shape(self) -> None:
        ours = auto_vmap("(m?,n),(n,p?)->(m?,p?)")(jnp.matmul)
        for a, b in matmul_shapes():
            wanted = np.matmul(np.ones(a), np.ones(b)).shape
            plan = ours.plan(jax.ShapeDtypeStruct(a, "float32"), jax.ShapeDtypeStruct(b, "float32"))
            assert plan.batch_shape == wanted[: len(wanted) - (len(a) > 1) - (len(b) > 1)]

    def test_what_numpy_refuses_is_refused(self) -> None:
        ours = auto_vmap("(m?,n),(n,p?)->(m?,p?)")(jnp.matmul)
        with pytest.raises(ValueError, match="enough dimensions"):
            np.matmul(np.float32(1), np.ones(3))
        with pytest.raises(RankError, match=says("a is float32[]", "core dimensions (n)")):
            ours(jnp.float32(1), jnp.ones(3))
        with pytest.raises(RankError, match=r"a is the Python number 1\.0"):
            ours(1.0, jnp.ones(3))
        with pytest.raises(CoreSizeError, match=says("core dimension 'n': 3 in a and 4 in b")):
            ours(jnp.ones(3), jnp.ones((4, 2)))


class TestOthers:
    """NumPy's other linear algebra, and solve-like functions, which have optional dims too."""

    @pytest.mark.parametrize(
        ("name", "signature", "a", "b"),
        [
            ("vecdot", "(n),(n)->()", (3,), (3,)),
            ("matvec", "(m,n),(n)->(m)", (4, 3), (3,)),
            ("vecmat", "(n),(n,p)->(p)", (3,), (3, 2)),
        ],
    )
    def test_numpys_gufuncs_of_vectors(self, name: str, signature: str, a: Any, b: Any) -> None:
        ours = auto_vmap(signature)(jnp.matmul)
        theirs = getattr(np, name, None) or np.vectorize(np.matmul, signature=signature)
        for x, y in itertools.product(BATCHES, BATCHES):
            one, other = values(*x, *a), values(*y, *b)
            np.testing.assert_allclose(ours(one, other), theirs(one, other), 1e-4, 1e-4)

    def test_cross_of_a_fixed_size(self) -> None:
        ours = auto_vmap("(3),(3)->(3)")(jnp.cross)
        for x, y in itertools.product(BATCHES, BATCHES):
            one, other = values(*x, 3), values(*y, 3)[..., ::-1]
            np.testing.assert_allclose(ours(one, other), np.cross(one, other), 1e-5, 1e-5)

    @pytest.mark.slow
    def test_solve_for_a_vector_or_a_matrix(self) -> None:
        seen: set[Any] = set()
        ours = checked("(n,n),(n,p?)->(n,p?)", jnp.linalg.solve, seen)
        for a, b in itertools.product(shapes([(3, 3)])[:4], shapes([(3,), (3, 2)])):
            one, other = values(*a), values(*b)
            column = other[:, None] if other.ndim == 1 else other
            # NumPy 1 takes what has one dim less than the matrices for vectors.
            lead = np.broadcast_shapes(one.shape[:-2], column.shape[:-2])
            column = np.broadcast_to(column, lead + column.shape[-2:])
            wanted = np.linalg.solve(one, column)
            wanted = wanted[..., 0] if other.ndim == 1 else wanted
            np.testing.assert_allclose(ours(one, other), wanted, 1e-3, 1e-4)
        assert seen == {(2, 1), (2, 2)}

    def test_a_chain_of_three(self) -> None:
        ours = auto_vmap("(i?,j),(j,k),(k,l?)->(i?,l?)")(lambda a, b, c: a @ b @ c)
        for a, b, c in itertools.product(
            shapes([(3,), (4, 3)])[:4], shapes([(3, 2)])[:3], shapes([(2,), (2, 3)])[:4]
        ):
            one, two, three = values(*a), values(*b), values(*c)
            row = one if one.ndim > 1 else one[None]
            column = three if three.ndim > 1 else three[:, None]
            wanted = np.matmul(np.matmul(row, two), column)
            wanted = wanted if three.ndim > 1 else wanted[..., 0]
            wanted = wanted if one.ndim > 1 else np.take(wanted, 0, -1 - (three.ndim > 1))
            np.testing.assert_allclose(ours(one, two, three), wanted, 1e-4, 1e-4)


class TestTheRule:
    """Operands left to right; one with too few dims drops its optional ones until it fits."""

    @pytest.mark.parametrize("seed", range(4))
    def test_generated_signatures_see_the_reduced_ranks(self, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            signature = a_signature(rng, outputs=1)
            inputs, (output,) = split(signature)
            ndims = [rng.randint(0, len(dims) + 1) for dims in inputs]
            gone = dropped_dims(inputs, ndims)
            cores = [[size(dim) for dim in dims if dim not in gone] for dims in inputs]
            result = jnp.ones([size(dim) for dim in output if dim not in gone])
            seen: list[Any] = []

            def inner(*args: Any, seen: Any = seen, result: Any = result) -> Any:
                seen.extend(list(arg.shape) for arg in args)
                return result

            extra = [ndim - len(core) for core, ndim in zip(cores, ndims, strict=True)]
            pairs = zip(cores, extra, strict=True)
            args = [jnp.ones(([2] * more + core)[: len(core) + more]) for core, more in pairs]
            if min(extra) < 0:
                with pytest.raises(RankError, match="enough dimensions for all core dimensions"):
                    auto_vmap(signature)(inner)(*args)
                continue
            found = auto_vmap(signature)(inner)(*args)
            assert seen == cores, signature
            assert found.shape == (2,) * max(extra) + result.shape, signature

    def test_the_first_operand_decides_before_the_second(self) -> None:
        """x drops m, and so the two dims of y are a batch dim and n."""
        plan = auto_vmap("(m?,n?),(m?,n?)->()")(jnp.dot).plan(jnp.ones(3), jnp.ones((5, 3)))
        assert plan.batch_shape == (5,)
        assert [row.core for row in plan.args] == [(3,), (3,)]

    def test_the_second_operand_drops_a_dim_of_the_first(self) -> None:
        plan = auto_vmap("(m?,n),(n,m?)->()")(jnp.dot).plan(jnp.ones((5, 3)), jnp.ones(3))
        assert plan.batch_shape == (5,)
        assert [row.core for row in plan.args] == [(3,), (3,)]

    def test_an_optional_fixed_size(self) -> None:
        add = auto_vmap("(3?),(3?)->(3?)")(jnp.add)
        assert add(jnp.ones((5, 3)), jnp.ones((4, 1, 3))).shape == (4, 5, 3)
        assert add(jnp.float32(1), jnp.ones(4)).shape == (4,)
        with pytest.raises(CoreSizeError, match="fixed size 3, but got 4"):
            add(jnp.ones((5, 4)), jnp.ones(3))

    def test_a_python_number_drops_optional_dims(self) -> None:
        add = auto_vmap("(n?),(n?)->(n?)")(jnp.add)
        np.testing.assert_array_equal(add(2.0, jnp.arange(3.0)), [2.0, 3.0, 4.0])

    def test_all_dims_may_go(self) -> None:
        total = auto_vmap("(m?,n?)->()")(jnp.sum)
        assert total(jnp.float32(2)) == 2.0
        np.testing.assert_array_equal(total(jnp.ones((5, 2, 3))), [6.0] * 5)

    def test_each_leaf_of_a_tree_counts(self) -> None:
        seen: list[Any] = []
        function = auto_vmap("(m?,n)->(m?,n)")(lambda x: seen.append(x["b"].shape) or x)
        found = function({"a": jnp.ones(3), "b": jnp.ones((4, 3))})
        assert seen == [(3,)]
        assert found["a"].shape == found["b"].shape == (4, 3)

    def test_an_output_that_keeps_a_dropped_dim_is_refused(self) -> None:
        keeps = auto_vmap("(m?,n)->(m?)")(lambda x: jnp.ones(4))
        assert keeps(jnp.ones((2, 4, 3))).shape == (2, 4)
        with pytest.raises(CoreSizeError, match=says("(4,)", "does not match core dimensions ()")):
            keeps(jnp.ones(3))
