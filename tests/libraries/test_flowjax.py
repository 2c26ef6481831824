"""flowjax vectorizes by a signature that it makes from the shape of an event at each call."""

import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .loop import Normal, agrees, assert_same

distributions = pytest.importorskip("flowjax.distributions")

pytestmark = pytest.mark.libraries


class Ours(distributions.Normal):
    """The rank of an event is the distribution's own knowledge."""

    @auto_vmap(x=lambda self: len(self.shape))
    def log_prob_of(self, x):
        return self._log_prob(x, None)


@pytest.mark.parametrize("event", [(), (3,), (2, 3)], ids=str)
def test_log_prob_over_events_of_any_rank(event):
    theirs = distributions.Normal(jnp.ones(event), 2.0)
    ours = Ours(jnp.ones(event), 2.0)
    x = Normal()(5, 4, *event)
    assert_same(ours.log_prob_of(x), theirs.log_prob(x))
    assert_same(ours.log_prob_of.jit(partition=True)(x), theirs.log_prob(x))


def test_a_batch_of_distributions():
    """Theirs has no batch of distributions but by `eqx.filter_vmap` around all."""

    @auto_vmap(loc=1, x=1)
    def log_prob(loc, x):
        return distributions.Normal(loc, jnp.ones(3)).log_prob(x)

    loc, x = Normal()(4, 1, 3), Normal(1)(5, 3)
    found = agrees(log_prob, jax.jit(log_prob.__wrapped__), (1, 1), loc, x)
    assert found.shape == (4, 5)
    wrong = distributions.Normal(loc, jnp.ones(3)).log_prob
    with pytest.raises(ValueError, match="dim"):
        wrong(x)
