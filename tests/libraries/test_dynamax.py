import warnings

import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, ranks_of

with warnings.catch_warnings():  # tensorflow_probability, and a docstring with a backslash
    warnings.filterwarnings("ignore", "jax.core.pytype_aval_mappings", DeprecationWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
    pytest.importorskip("dynamax")
    from dynamax import hidden_markov_model as hmm
    from dynamax import linear_gaussian_ssm as lgssm

pytestmark = pytest.mark.libraries


def one_model():
    return lgssm.LinearGaussianSSM(2, 1).initialize(jax.random.key(0))[0]


def test_lgssm_filter_over_noise():
    """A nested NamedTuple, ranked by an example of itself."""
    model = one_model()
    levels = jnp.array([0.1, 1.0, 10.0])[:, None, None, None]
    many = model._replace(dynamics=model.dynamics._replace(cov=levels * model.dynamics.cov))
    lgssm_filter = auto_vmap(params=like(model), emissions=2)(lgssm.lgssm_filter)
    arguments = many, Normal()(2, 5, 1)
    plain = jax.jit(lgssm.lgssm_filter)
    posterior = agrees(lgssm_filter, plain, (ranks_of(model), 2), *arguments)
    assert posterior.marginal_loglik.shape == (3, 2)
    assert posterior.filtered_covariances.shape == (3, 2, 5, 2, 2)


def test_lgssm_smoother_ranked_by_field():
    model = one_model()
    ranks = {
        "initial": {"mean": 1, "cov": 2},
        "dynamics": {"weights": 2, "bias": 1, "input_weights": 2, "cov": 2},
        "emissions": {"weights": 2, "bias": 1, "input_weights": 2, "cov": 2},
    }
    starts = model.initial._replace(mean=Normal()(2, 1, 2))
    lgssm_smoother = auto_vmap(ranks, 2)(lgssm.lgssm_smoother)
    arguments = model._replace(initial=starts), Normal()(3, 4, 1)
    plain = jax.jit(lgssm.lgssm_smoother)
    posterior = agrees(lgssm_smoother, plain, (ranks_of(model), 2), *arguments)
    assert posterior.smoothed_means.shape == (2, 3, 4, 2)


def test_hmm_filter():
    """A function that is jitted already, one of whose arguments is static."""
    normal = Normal()
    ranks = {"initial_distribution": 1, "transition_matrix": 2, "log_likelihoods": 2}
    hmm_filter = auto_vmap(**ranks)(hmm.hmm_filter)
    arguments = (
        jax.nn.softmax(normal(3)),
        jax.nn.softmax(normal(2, 1, 3, 3)),
        normal(4, 5, 3),
    )
    posterior = agrees(hmm_filter, hmm.hmm_filter, (1, 2, 2), *arguments)
    assert posterior.filtered_probs.shape == (2, 4, 5, 3)


def test_hmm_posterior_mode():
    normal = Normal()
    mode = auto_vmap(1, 2, 2)(hmm.hmm_posterior_mode)
    arguments = jnp.full(3, 1 / 3), jax.nn.softmax(normal(2, 3, 3)), normal(4, 1, 5, 3)
    states = agrees(mode, hmm.hmm_posterior_mode, (1, 2, 2), *arguments)
    assert states.shape == (4, 2, 5)
    assert jnp.issubdtype(states.dtype, jnp.integer)
