"""Functions that their authors annotated with jaxtyping, decorated with no arguments at all."""

import warnings

import jax
import jax.numpy as jnp
import pytest

from autovmap import CoreSizeError, SpecError, auto_vmap, infer_ranks

from .loop import Normal, agrees

eqx = pytest.importorskip("equinox")
lx = pytest.importorskip("lineax")
dfx = pytest.importorskip("diffrax")

with warnings.catch_warnings():  # tensorflow_probability, and a docstring with a backslash
    warnings.filterwarnings("ignore", "jax.core.pytype_aval_mappings", DeprecationWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
    pytest.importorskip("dynamax")
    from dynamax.hidden_markov_model import parallel_inference as hmm
    from dynamax.linear_gaussian_ssm import inference as lgssm
    from dynamax.nonlinear_gaussian_ssm import ParamsNLGSSM, extended_kalman_filter
    from dynamax.utils.utils import compute_state_overlap

dot_product_attention = eqx.nn._attention.dot_product_attention

VECTOR = lx.AbstractLinearOperator.mv.__annotations__["vector"]
TIME = dfx.AbstractPath.evaluate.__annotations__["t0"]

pytestmark = pytest.mark.libraries

NLGSSM = {
    "initial_mean": 1,
    "initial_covariance": 2,
    "dynamics_function": None,
    "dynamics_covariance": 2,
    "emission_function": None,
    "emission_covariance": 2,
}
BY_HAND = [
    (dot_product_attention, {"query": 2, "key_": 2, "value": 2, "mask": 2, "key": "key"}),
    (eqx.nn.RotaryPositionalEmbedding.__call__, {"x": 2, "key": "key"}),
    (eqx.nn.Embedding.__call__, {"x": 0, "key": "key"}),
    (eqx.nn.Linear.__init__, {"key": "key"}),
    (eqx.nn.MLP.__init__, {"key": "key"}),
    (lx.MatrixLinearOperator, {"matrix": 2}),
    (lx.TridiagonalLinearOperator, {"diagonal": 1, "lower_diagonal": 1, "upper_diagonal": 1}),
    (lx.AbstractLinearOperator.mv, {"vector": 1}),
    (dfx.VirtualBrownianTree.__init__, {"t0": 0, "t1": 0, "tol": 0, "key": "key"}),
    (dfx.AbstractPath.evaluate, {"t0": 0, "t1": 0}),
    (hmm.hmm_filter, {"initial_probs": 1, "transition_matrix": 2, "log_likelihoods": 2}),
    (hmm.hmm_smoother, {"initial_probs": 1, "transition_matrix": 2, "log_likelihoods": 2}),
    (
        lgssm._predict,
        {
            "prior_mean": 1,
            "prior_cov": 2,
            "dynamics_matrix": 2,
            "input_weights": 2,
            "dynamics_bias": 1,
            "dynamics_cov": 2,
            "inpt": 1,
        },
    ),
    (extended_kalman_filter, {"params": NLGSSM, "emissions": 2, "inputs": 2}),
    (compute_state_overlap, {"z1": 1, "z2": 1}),
]


@pytest.mark.parametrize(
    ("function", "ranks"),
    BY_HAND,
    ids=[case[0].__qualname__ for case in BY_HAND],
)
def test_ranks_are_those_written_by_hand(function, ranks):
    assert infer_ranks(function) == ranks
    assert auto_vmap(function).ranks == auto_vmap(ranks=ranks)(function).ranks


def test_equinox_attention():
    normal = Normal()
    arguments = normal(3, 1, 5, 4), normal(2, 6, 4), normal(6, 7)
    attend = auto_vmap(dot_product_attention)
    result = agrees(attend, dot_product_attention, (2, 2, 2), *arguments)
    assert result.shape == (3, 2, 5, 7)
    with pytest.raises(CoreSizeError, match=r"'kv_seq':\s6 in key_ and 8 in value"):
        attend(*arguments[:2], normal(8, 7))


def test_lineax_tridiagonal():
    """A class is a function of its fields; its constructor's annotations are the fields'."""
    normal = Normal()
    build = auto_vmap(lx.TridiagonalLinearOperator)
    operator = build(normal(3, 1, 4) + 6, normal(2, 3), normal(3))
    assert operator.diagonal.shape == (3, 2, 4)
    assert operator.upper_diagonal.shape == (3, 2, 3)


def test_lineax_solve():
    @auto_vmap(..., matrix=2)
    def solve(matrix, vector: VECTOR):
        return lx.linear_solve(lx.MatrixLinearOperator(matrix), vector).value

    normal = Normal()
    arguments = normal(3, 1, 3, 3) + 4 * jnp.eye(3), normal(4, 3)
    assert agrees(solve, solve.__wrapped__, (2, 1), *arguments).shape == (3, 4, 3)


def test_dynamax_hmm_filter():
    normal = Normal()
    hmm_filter = auto_vmap(hmm.hmm_filter)
    probs = jax.nn.softmax(normal(3)), jax.nn.softmax(normal(2, 1, 3, 3))
    posterior = agrees(hmm_filter, hmm.hmm_filter, (1, 2, 2), *probs, normal(4, 5, 3))
    assert posterior.filtered_probs.shape == (2, 4, 5, 3)


def test_dynamax_extended_kalman_filter():
    """A NamedTuple of arrays and functions."""
    normal = Normal()
    params = ParamsNLGSSM(
        initial_mean=normal(2, 1, 2),
        initial_covariance=jnp.eye(2),
        dynamics_function=jnp.sin,
        dynamics_covariance=jnp.array([0.1, 1.0, 10.0])[:, None, None] * jnp.eye(2),
        emission_function=lambda z: z[:1],
        emission_covariance=jnp.eye(1),
    )
    posterior = auto_vmap(extended_kalman_filter)(params, normal(5, 1))
    one = params._replace(
        initial_mean=params.initial_mean[1, 0], dynamics_covariance=params.dynamics_covariance[2]
    )
    emissions = Normal()
    emissions(2, 1, 2)
    expected = extended_kalman_filter(one, emissions(5, 1))
    assert posterior.marginal_loglik.shape == (2, 3)
    assert jnp.allclose(posterior.marginal_loglik[1, 2], expected.marginal_loglik, rtol=1e-4)


def test_diffrax_paths():
    """Keys of many paths, drawn at many times."""

    @auto_vmap(..., key="key")
    def evaluate(key, t: TIME):
        tree = dfx.VirtualBrownianTree(0.0, 1.0, 1e-2, (), key)
        return tree.evaluate(t)

    keys, times = jax.random.split(jax.random.key(0), 3)[:, None], jnp.linspace(0.0, 1.0, 4)
    assert agrees(evaluate, evaluate.__wrapped__, ("key", 0), keys, times).shape == (3, 4)


def test_what_an_author_left_open_is_named():
    with pytest.raises(SpecError, match=r"Dropout.__call__\(\): x is annotated as Array"):
        infer_ranks(eqx.nn.Dropout.__call__)
    with pytest.raises(
        SpecError, match=r"(?s)linear_interpolation\(\): ys .* an open number of dims"
    ):
        infer_ranks(dfx.linear_interpolation)
    with pytest.raises(
        SpecError, match=r"(?s)__call__\(\): mask .* base ranks 2 and 3 for arrays of"
    ):
        infer_ranks(eqx.nn.MultiheadAttention.__call__)
