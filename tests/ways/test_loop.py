"""`f.loop()`: a Python loop over real examples, with the results of the vmapped call."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from autovmap import SpecError, auto_vmap
from functions import REAL, REAL_CORES
from oracle import compare, is_key, loop, weak
from strategies import Case, cases, generic


def assert_same(found: Any, wanted: Any) -> None:
    """Structure, kinds, dtypes, weak types and values are the same."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        if not isinstance(other, jax.Array):
            assert type(one) is type(other)
            assert np.array_equal(one, other)
            continue
        assert isinstance(one, jax.Array)
        assert (one.shape, one.dtype, weak(one)) == (other.shape, other.dtype, weak(other))
        one, other = (jax.random.key_data(x) if is_key(x) else x for x in (one, other))
        if one.dtype == jnp.bfloat16:  # of which NumPy before 2 compares nothing
            one, other = one.astype(jnp.float32), other.astype(jnp.float32)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@cases(0.25)
@given(generic())
def test_any_function_and_tree_equals_the_oracle(case: Case) -> None:
    positions, options = case.ranks
    args, kwargs = case.call()
    decorated = auto_vmap(*positions, **options)(case.function())
    compare(decorated.loop()(*args, **kwargs), case.expected())


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("batch", [(), (3,), (2, 1), (0,)], ids=str)
def test_real_functions_equal_the_vmapped_call(name: str, batch: Any) -> None:
    function, ranks = REAL[name]
    rng = np.random.default_rng(0)
    args = [
        jax.random.split(jax.random.key(0), batch)
        if rank == "key"
        else jnp.asarray(rng.uniform(1, 5, batch + REAL_CORES[rank]), jnp.float32)
        for rank in ranks
    ]
    decorated = auto_vmap(*ranks)(function)
    assert_same(decorated.loop()(*args), decorated(*args))


FITTING = [
    pair
    for pair in itertools.product([(), (1,), (3,), (2, 1), (0,)], repeat=2)
    if set(pair) != {(3,), (0,)}
]


@pytest.mark.parametrize(("x", "y"), FITTING)
def test_batch_shapes_that_stretch(x: Any, y: Any) -> None:
    decorated = auto_vmap(x=0, y=1)(lambda x, y: {"x": x, "y": (y * x, "text", 2.0, None)})
    args = jnp.full(x, 2.0), jnp.arange(np.prod(y, dtype=int) * 3.0).reshape(*y, 3)
    assert_same(decorated.loop()(*args), decorated(*args))


OUTPUTS: dict[str, Any] = {
    "weak": lambda x: 2.0,
    "int": lambda x: 3,
    "flag": lambda x: True,
    "numpy": lambda x: np.float32(2),
    "numpy array": lambda x: np.arange(3),
    "bool": lambda x: x > 1,
    "complex": lambda x: x * 1j,
    "half": lambda x: x.astype(jnp.bfloat16),
    "key": lambda x: jax.random.key(3),
    "empty": lambda x: jnp.zeros((0, 2)),
    "none": lambda x: None,
    "text": lambda x: ("text", x),
    "weak array": lambda x: jnp.asarray(1.5) * 2,
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,)], ids=str)
def test_every_kind_of_output(name: str, shape: Any) -> None:
    decorated = auto_vmap(x=0)(OUTPUTS[name])
    x = jnp.ones(shape)
    assert_same(decorated.loop()(x), decorated(x))


class TestOptions:
    """The options mean what they mean in a vmapped call."""

    @pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (1, 3), (0, 2)], ids=str)
    @pytest.mark.parametrize("out_axes", [0, 1, -1, -2, (1, {"b": 0}), (None, {"b": -1})], ids=str)
    def test_out_axes(self, shape: Any, out_axes: Any) -> None:
        decorated = auto_vmap(x=1, out_axes=out_axes)(lambda x: (jnp.ones((2, 2)), {"b": x * 2}))
        x = jnp.arange(3.0 * np.prod(shape, dtype=int)).reshape(*shape, 3)
        assert_same(decorated.loop()(x), decorated(x))

    def test_in_axes(self) -> None:
        decorated = auto_vmap(x=1, y=0, in_axes=(1, 0))(lambda x, y: x * y)
        args = jnp.arange(24.0).reshape(3, 2, 4), jnp.arange(4.0)
        assert_same(decorated.loop()(*args), decorated(*args))

    @pytest.mark.parametrize("randomness", ["same", "different"])
    @pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,)], ids=str)
    def test_keys(self, randomness: Any, shape: Any) -> None:
        decorated = auto_vmap(key="key", raw="key", x=0, randomness=randomness)(
            lambda key, raw, x: (x + jax.random.normal(key), jax.random.uniform(raw))
        )
        args = jax.random.key(0), jax.random.PRNGKey(1), jnp.zeros(shape)
        assert_same(decorated.loop()(*args), decorated(*args))

    @pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,)], ids=str)
    def test_outputs_that_are_not_stretched(self, shape: Any) -> None:
        decorated = auto_vmap(x=0, y=0, stretch_outputs=False)(lambda x, y: (x, y, x + y, 1.0))
        args = jnp.ones((*shape, 1)), jnp.arange(4.0)
        assert_same(decorated.loop()(*args), decorated(*args))

    def test_batch_and_outer(self) -> None:
        decorated = auto_vmap(x=0, y=0)(lambda x, y: x - y)
        args = jnp.arange(3.0), jnp.arange(2.0)
        for f in (decorated.outer(), decorated.outer("y", "x"), decorated.outer().batch(2)):
            assert_same(f.loop()(*args), f(*args))
        assert_same(decorated.loop().outer().batch(2)(*args), decorated.outer().batch(2)(*args))

    def test_named_axes_are_refused(self) -> None:
        decorated = auto_vmap(x=0, axis_name="i")(lambda x: jax.lax.psum(x, "i"))
        with pytest.raises(
            SpecError, match=r"(?s)\.loop\(\): axis_name=.*'i'.* without \.loop\(\)"
        ):
            decorated.loop()
        with pytest.raises(SpecError, match=r"loop\(\): axis_name"):
            auto_vmap(x=0)(jnp.sin).loop().replace(axis_name="i")

    def test_a_method(self) -> None:
        class Owner:
            @auto_vmap(0)
            def method(self, x: Any) -> Any:
                return float(x) + 1.0

        np.testing.assert_array_equal(Owner().method.loop()(jnp.arange(3.0)), [1.0, 2.0, 3.0])


class TestReal:
    """The function sees real examples, one after the other."""

    def test_values_can_be_printed_and_branched_on(self, capsys: Any) -> None:
        @auto_vmap(x=0, y=0)
        def show(x: Any, y: Any) -> Any:
            print(float(x), int(y))
            return x if x > y else -x

        found = show.loop()(jnp.array([[1.0], [2.0]]), jnp.array([1, 2, 0]))
        assert capsys.readouterr().out.splitlines() == [
            f"{x} {y}" for x, y in itertools.product([1.0, 2.0], [1, 2, 0])
        ]
        np.testing.assert_array_equal(found, [[-1, -1, 1], [2, -2, 2]])

    def test_each_example_is_called_once(self) -> None:
        calls: list[Any] = []
        auto_vmap(x=1)(lambda x: calls.append(x.shape)).loop()(jnp.ones((2, 3, 4)))
        assert calls == [(4,)] * 6

    def test_numpy_and_python_numbers_are_what_they_are_in_a_vmapped_call(self) -> None:
        function = auto_vmap(x=0, s=0)(lambda x, s: (x.at[()].set(1.0), type(s).__name__))
        found = function.loop()(np.zeros(3), 2.0)
        np.testing.assert_array_equal(found[0], [1.0] * 3)
        assert found[1] == "float"

    def test_the_failing_examples_index_is_a_note(self) -> None:
        @auto_vmap(x=0, y=0)
        def fails(x: Any, y: Any) -> Any:
            if x + y == 3:
                raise KeyError("three")
            return x

        with pytest.raises(KeyError, match="three") as caught:
            fails.loop()(jnp.arange(3.0)[:, None], jnp.arange(4.0))
        notes = "\n".join(caught.value.__notes__)
        assert "fails.loop(), at example (0, 3) of (3, 4)" in notes
        assert "x: float32[3,1], base rank 0, batch shape" in notes

    def test_it_runs_under_jit_too(self) -> None:
        decorated = auto_vmap(x=1)(lambda x: (x.sum(), 2.0))
        x = jnp.arange(12.0).reshape(4, 3)
        assert_same(jax.jit(decorated.loop())(x), decorated(x))
        np.testing.assert_array_equal(
            jax.grad(lambda x: decorated.loop()(x)[0].sum())(x), jnp.ones_like(x)
        )

    def test_without_examples_the_structure_is_that_of_a_vmapped_call(self) -> None:
        decorated = auto_vmap(x=1)(lambda x: {"a": x.sum(), "b": "text", "c": (x, None)})
        x = jnp.ones((0, 2, 3))
        assert_same(decorated.loop()(x), decorated(x))
        compare(decorated.loop()(x), loop(decorated.__wrapped__, [[1]], (x,)))


DISAGREEING: dict[str, Any] = {
    "length": lambda x: [x] * int(x),
    "keys": lambda x: {"ab"[int(x) - 1]: x},
    "shape": lambda x: jnp.ones(int(x)),
    "dtype": lambda x: x if x > 1 else x.astype(int),
    "text": lambda x: f"{float(x)}",
}


@pytest.mark.parametrize("function", DISAGREEING.values(), ids=DISAGREEING)
def test_examples_whose_results_do_not_fit_together_are_named(function: Any) -> None:
    """No vmapped call could return them."""
    with pytest.raises(SpecError, match=r"example \(1,\)"):
        auto_vmap(x=0)(function).loop()(jnp.arange(1.0, 3.0))
