"""jaxopt's projections and losses are of one example; its docs put `jax.vmap` around them."""

import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .by_hand import equal_and_beyond
from .loop import Normal

jaxopt = pytest.importorskip("jaxopt")

pytestmark = pytest.mark.libraries


def test_projection_on_simplices_of_several_sizes():
    function = jaxopt.projection.projection_simplex
    ours = auto_vmap(x=1, value=0)(function)
    both = Normal()(5, 3), jnp.arange(1.0, 6.0)
    beyond = Normal()(2, 1, 3), jnp.array([1.0, 2.0])
    equal_and_beyond(ours, jax.vmap(function), (1, 0), both=both, beyond=beyond)


def test_logistic_loss():
    function = jaxopt.loss.multiclass_logistic_loss
    ours = auto_vmap(label=0, logits=1)(function)
    labels, logits = jnp.array([0, 2, 1]), Normal()(3, 4)
    beyond = labels, Normal()(5, 1, 4)
    equal_and_beyond(ours, jax.vmap(function), (0, 1), both=(labels, logits), beyond=beyond)
