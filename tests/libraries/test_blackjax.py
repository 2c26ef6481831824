import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, ranks_of

blackjax = pytest.importorskip("blackjax")

pytestmark = pytest.mark.libraries


def logdensity(x):
    return -0.5 * jnp.sum(x["a"] ** 2) - 0.5 * (x["b"] - 1) ** 2


def positions(*batch):
    normal = Normal()
    return {"a": normal(*batch, 2), "b": normal(*batch)}


@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey])
def test_hmc_step(make_key):
    """Keys, typed or raw, of one batch shape; chains of another; step sizes of a third."""

    @auto_vmap(
        rng_key="key", state=like(blackjax.mcmc.hmc.init(positions(), logdensity)), step_size=0
    )
    def step(rng_key, state, step_size):
        return blackjax.hmc(logdensity, step_size, jnp.ones(3), 3).step(rng_key, state)

    states = jax.vmap(lambda x: blackjax.mcmc.hmc.init(x, logdensity))(positions(4))
    keys = jax.random.split(make_key(0), 2)
    arguments = keys[:, None], states, 0.3
    ranks = "key", ranks_of(blackjax.mcmc.hmc.init(positions(), logdensity)), 0
    state, info = agrees(jax.jit(step), jax.jit(step.__wrapped__), ranks, *arguments)
    assert state.position["a"].shape == (2, 4, 2)
    assert info.acceptance_rate.shape == (2, 4)


def test_mala_step_over_step_sizes():
    @auto_vmap(rng_key="key", position={"a": 1, "b": 0}, step_size=0)
    def step(rng_key, position, step_size):
        mala = blackjax.mala(logdensity, step_size)
        return mala.step(rng_key, mala.init(position))

    keys = jax.random.split(jax.random.key(0), 3)
    arguments = keys, positions(), jnp.array([[0.01], [0.1]])
    plain = jax.jit(step.__wrapped__)
    state, _ = agrees(jax.jit(step), plain, ("key", [1, 0], 0), *arguments)
    assert state.position["a"].shape == (2, 3, 2)


def test_chains():
    """Whole chains: a scan for one key, start and step size."""

    @auto_vmap(key=0, start={"a": 1, "b": 0}, step_size=0)
    def chain(key, start, step_size):
        sampler = blackjax.hmc(logdensity, step_size, jnp.ones(3), 2)

        def step(state, key):
            state, _ = sampler.step(key, state)
            return state, state.position["b"]

        return jax.lax.scan(step, sampler.init(start), jax.random.split(key, 3))[1]

    keys = jax.random.split(jax.random.key(0), 4)
    arguments = keys, positions(1), jnp.array([0.1, 0.5])[:, None]
    result = agrees(chain, jax.jit(chain.__wrapped__), (0, [1, 0], 0), *arguments)
    assert result.shape == (2, 4, 3)


def test_systematic_resampling():
    """The number of samples is static: left unranked, it stays a Python int."""
    resample = auto_vmap(rng_key="key", weights=1)(blackjax.smc.resampling.systematic)
    keys = jax.random.split(jax.random.key(0), 3)[:, None]
    arguments = keys, jax.nn.softmax(Normal()(2, 5)), 6
    plain = jax.jit(blackjax.smc.resampling.systematic, static_argnums=2)
    assert agrees(resample, plain, ("key", 1, None), *arguments).shape == (3, 2, 6)
