import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, ranks_of

lx = pytest.importorskip("lineax")

pytestmark = pytest.mark.libraries


def test_linear_solve():
    @auto_vmap(matrix=2, vector=1)
    def solve(matrix, vector):
        return lx.linear_solve(lx.MatrixLinearOperator(matrix), vector).value

    normal = Normal()
    arguments = normal(3, 1, 3, 3) + 4 * jnp.eye(3), normal(4, 3)
    assert agrees(solve, solve.__wrapped__, (2, 1), *arguments).shape == (3, 4, 3)


def test_linear_solve_itself():
    """An operator, whose constructor checks the matrix, as a ranked argument; a whole Solution."""
    normal = Normal()
    one = lx.MatrixLinearOperator(jnp.eye(3))
    many = jax.vmap(lx.MatrixLinearOperator)(normal(2, 3, 3) + 4 * jnp.eye(3))
    solve = auto_vmap(operator=like(one), vector=1)(lx.linear_solve)
    solution = agrees(solve, lx.linear_solve, (ranks_of(one), 1), many, normal(4, 1, 3))
    assert solution.value.shape == (4, 2, 3)


def test_tridiagonal_solve():
    @auto_vmap(bands={"diagonal": 1, "lower": 1, "upper": 1}, vector=1)
    def solve(bands, vector):
        operator = lx.TridiagonalLinearOperator(bands["diagonal"], bands["lower"], bands["upper"])
        return lx.linear_solve(operator, vector, lx.Tridiagonal()).value

    normal = Normal()
    bands = {"lower": normal(3, 1, 3), "diagonal": normal(1, 4) + 6, "upper": normal(3)}
    assert agrees(solve, solve.__wrapped__, (1, 1), bands, normal(2, 4)).shape == (3, 2, 4)


def test_conjugate_gradients():
    """An iterative solve stops at its own step in each example."""

    @auto_vmap(ridge=0, vector=1)
    def solve(matrix, ridge, vector):
        operator = lx.MatrixLinearOperator(
            matrix @ matrix.T + ridge * jnp.eye(len(matrix)), lx.positive_semidefinite_tag
        )
        return lx.linear_solve(operator, vector, lx.CG(rtol=1e-6, atol=1e-6)).value

    normal = Normal()
    arguments = normal(4, 4), jnp.array([1.0, 10.0])[:, None], normal(3, 4)
    result = agrees(solve, jax.jit(solve.__wrapped__), (None, 0, 1), *arguments)
    assert result.shape == (2, 3, 4)
