import warnings

import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, ranks_of

with warnings.catch_warnings():  # tensorflow_probability reads a deprecated name
    warnings.filterwarnings("ignore", "jax.core.pytype_aval_mappings", DeprecationWarning)
    distrax = pytest.importorskip("distrax")

pytestmark = pytest.mark.libraries


def test_multivariate_normal_log_prob():
    normal = Normal()

    def log_prob(loc, scale_tril, x):
        return distrax.MultivariateNormalTri(loc, scale_tril).log_prob(x)

    factors = jnp.tril(normal(2, 1, 1, 3, 3)) + 3 * jnp.eye(3)
    arguments = normal(4, 1, 3), factors, normal(5, 3)
    result = agrees(auto_vmap(1, 2, 1)(log_prob), jax.jit(log_prob), (1, 2, 1), *arguments)
    assert result.shape == (2, 4, 5)


def test_mixture_log_prob():
    normal = Normal()

    @auto_vmap(components={"loc": 1, "scale": 1}, logits=1, x=0)
    def log_prob(components, logits, x):
        mixture = distrax.MixtureSameFamily(
            distrax.Categorical(logits=logits), distrax.Normal(**components)
        )
        return mixture.log_prob(x)

    components = {"scale": jnp.exp(normal(3, 1, 2)), "loc": normal(2)}
    arguments = components, normal(1, 2), normal(4)
    result = agrees(log_prob, jax.jit(log_prob.__wrapped__), (1, 1, 0), *arguments)
    assert result.shape == (3, 4)


def test_a_distribution_as_argument():
    normal = Normal()
    one, many = distrax.Normal(0.0, 1.0), distrax.Normal(normal(3, 1), jnp.exp(normal(3, 1)))
    log_prob = auto_vmap(distribution=like(one), x=0)(
        lambda distribution, x: distribution.log_prob(x)
    )
    arguments = many, normal(4)
    result = agrees(log_prob, log_prob.__wrapped__, (ranks_of(one), 0), *arguments)
    assert result.shape == (3, 4)


def test_sample_and_log_prob():
    normal = Normal()

    @auto_vmap(seed="key", loc=0, scale=0)
    def sample(seed, loc, scale):
        return distrax.Normal(loc, scale).sample_and_log_prob(seed=seed)

    keys = jax.random.split(jax.random.key(0), 3)[:, None]
    arguments = keys, normal(2), 0.5
    draws, _ = agrees(sample, sample.__wrapped__, ("key", 0, 0), *arguments)
    assert draws.shape == (3, 2)
