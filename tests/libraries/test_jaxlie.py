import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, assert_same

jaxlie = pytest.importorskip("jaxlie")

pytestmark = pytest.mark.libraries


def test_se3_exp():
    exp = auto_vmap(tangent=1)(jaxlie.SE3.exp)
    result = agrees(exp, jaxlie.SE3.exp, (1,), Normal()(2, 3, 6))
    assert isinstance(result, jaxlie.SE3)
    assert result.wxyz_xyz.shape == (2, 3, 7)


def test_so3_multiply():
    normal = Normal()
    a, b = jaxlie.SO3.exp(normal(3, 1, 3)), jaxlie.SO3.exp(normal(2, 3))
    multiply = auto_vmap(self={"wxyz": 1}, other={"wxyz": 1})(jaxlie.SO3.multiply)
    result = agrees(multiply, jaxlie.SO3.multiply, (1, 1), a, b)
    assert_same(result, a @ b)  # jaxlie broadcasts by itself


def test_se3_apply():
    normal = Normal()
    identity = jaxlie.SE3.identity()
    apply = auto_vmap(self=like(identity), target=1)(jaxlie.SE3.apply)
    poses, points = jaxlie.SE3.exp(normal(4, 1, 6)), normal(5, 3)
    result = agrees(apply, jaxlie.SE3.apply, (1, 1), poses, points)
    assert result.shape == (4, 5, 3)


def test_se3_log_of_a_bound_method():
    pose = jaxlie.SE3.exp(Normal()(6))
    assert_same(
        auto_vmap(target=1)(pose.apply)(jnp.eye(3)),
        pose.rotation().as_matrix().T + pose.translation(),
    )


def test_rplus_on_a_tree_of_poses():
    normal = Normal()
    state = {"body": jaxlie.SE3.exp(normal(3, 1, 6)), "heading": jaxlie.SO2.exp(normal(2, 1))}
    delta = {"heading": normal(1), "body": normal(3, 2, 6)}
    rplus = auto_vmap(transform=1, delta=1)(jaxlie.manifold.rplus)
    result = agrees(rplus, jax.jit(jaxlie.manifold.rplus), (1, 1), state, delta)
    assert result["heading"].unit_complex.shape == (3, 2, 2)
