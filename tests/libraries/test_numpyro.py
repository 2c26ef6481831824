import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, ranks_of

numpyro = pytest.importorskip("numpyro")
dist = numpyro.distributions

pytestmark = pytest.mark.libraries


def test_dirichlet_log_prob():
    normal = Normal()

    @auto_vmap(concentration=1, x=1)
    def log_prob(concentration, x):
        return dist.Dirichlet(concentration).log_prob(x)

    arguments = jnp.exp(normal(3, 1, 4)), jax.nn.softmax(normal(2, 4))
    assert agrees(log_prob, log_prob.__wrapped__, (1, 1), *arguments).shape == (3, 2)


def test_a_distribution_class():
    """A class is a callable; its instances are nodes, with their shapes in the static part."""
    normal = Normal()
    many_normals = auto_vmap(loc=0, scale=0)(dist.Normal)
    loc, scale = normal(3, 1), jnp.exp(normal(2))
    result = agrees(many_normals, dist.Normal, (0, 0), loc, scale)
    assert isinstance(result, dist.Normal)
    assert result.loc.shape == result.scale.shape == (3, 2)


@pytest.mark.parametrize("made_by", ["auto_vmap", "batched parameters"])
def test_a_distribution_as_argument(made_by):
    """Batched parameters give other static parts than the example's; the ranks are the same."""
    normal = Normal()
    make = auto_vmap(loc=0, scale=0)(dist.Normal) if made_by == "auto_vmap" else dist.Normal
    one, many = dist.Normal(0.0, 1.0), make(normal(3, 1), jnp.exp(normal(3, 1)))
    log_prob = auto_vmap(d=like(one), x=0)(lambda d, x: d.log_prob(x))
    result = agrees(log_prob, log_prob.__wrapped__, (ranks_of(one), 0), many, normal(4))
    assert result.shape == (3, 4)


def test_log_prob_method():
    """A method as a function, with `self` ranked."""
    normal = Normal()
    one, many = dist.Gamma(1.0, 1.0), dist.Gamma(jnp.exp(normal(3, 1)), jnp.exp(normal(3, 1)))
    log_prob = auto_vmap(self=like(one), value=0)(dist.Gamma.log_prob)
    arguments = many, jnp.exp(normal(1, 4))
    result = agrees(log_prob, dist.Gamma.log_prob, (ranks_of(one), 0), *arguments)
    assert result.shape == (3, 4)


def test_kl_divergence():
    """A multipledispatch function: its signature is `*args`, one rank for all of them."""
    normal = Normal()
    normals = auto_vmap(loc=0, scale=0)(dist.Normal)
    p, q = normals(normal(3, 1), 1.0), normals(normal(4), jnp.exp(normal(4)))
    kl = auto_vmap(args=0)(dist.kl_divergence)
    assert agrees(kl, dist.kl_divergence, (0, 0), p, q).shape == (3, 4)


def test_log_density_of_a_model():
    normal = Normal()

    def model(x, y):
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
        offset = numpyro.sample("offset", dist.Normal(0.0, 10.0))
        numpyro.sample("y", dist.Normal(slope * x + offset, 0.5), obs=y)

    @auto_vmap(params={"slope": 0, "offset": 0}, y=1)
    def log_density(params, x, y):
        return numpyro.infer.util.log_density(model, (x, y), {}, params)[0]

    grid = {"offset": jnp.linspace(-1, 1, 3)[:, None], "slope": jnp.linspace(0, 2, 4)}
    arguments = grid, normal(6), normal(2, 1, 1, 6)
    result = agrees(log_density, jax.jit(log_density.__wrapped__), (0, None, 1), *arguments)
    assert result.shape == (2, 3, 4)
