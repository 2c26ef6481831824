"""Found by passing around what the ways of running give: pickles, and bound views."""

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap, named_vmap
from autovmap.errors import SpecError

X = jnp.arange(15.0).reshape(5, 3)


@auto_vmap(x=1)
def total(x: Any, n: int = 2) -> Any:
    return x.sum() * n


def exported(x: Any) -> Any:
    return x.sum()


exported: Any = auto_vmap(x=1)(exported).jit()


@named_vmap("a [b] -> a")
def named(x: Any) -> Any:
    return x.sum()


@jax.tree_util.register_dataclass
@dataclass
class Model:
    w: Any

    @auto_vmap(x=1)
    def f(self, x: Any, n: int = 2) -> Any:
        return self.w * x.sum() * n

    @auto_vmap(x=1)
    @classmethod
    def of_class(cls, x: Any) -> Any:
        return x.sum()


WAYS = {
    "jit": lambda f: f.jit(),
    "jit with options": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "chunk by memory": lambda f: f.chunk(memory="1MiB", remat=True),
    "bucket": lambda f: f.bucket([4, 8]),
    "chunk and jit": lambda f: f.chunk(2).jit(),
    "loop": lambda f: f.loop(),
    "replace": lambda f: f.replace(strict=True),
    "batch": lambda f: f.batch(3),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["function", "method", "class method"])
def test_ways_are_pickled(way: str, name: str) -> None:
    f: Any = {"function": total, "method": Model(2.0).f, "class method": Model.of_class}[name]
    run = WAYS[way](f)
    found = pickle.loads(pickle.dumps(run))
    np.testing.assert_allclose(found(X), run(X), rtol=1e-6)
    assert type(found).__name__ == type(run).__name__
    np.testing.assert_allclose(copy.deepcopy(run)(X), run(X), rtol=1e-6)


def test_what_is_made_of_an_exported_program_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(exported.__wrapped__)) is exported.__wrapped__
    found = pickle.loads(pickle.dumps(exported.chunk(2)))
    np.testing.assert_allclose(found(X), exported(X), rtol=1e-6)


def test_what_is_made_of_a_pattern_is_pickled() -> None:
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(named.jit()))(X), named(X))
    looped = pickle.loads(pickle.dumps(named.loop()))
    np.testing.assert_array_equal(looped(X), named(X))


def test_a_bound_program_has_what_a_program_has() -> None:
    model = Model(jnp.array(3.0))
    bound = model.f.jit()
    assert bound.ranks == {"x": 1}
    assert bound.signature == model.f.signature
    assert bound.static_argnames == ("n",)
    assert bound.plan_with_outputs(X).outputs[0].shape == (5,)
    for again in (bound.chunk(2), bound.replace(strict=True), bound.outer()):
        np.testing.assert_allclose(again(X), model.f(X), rtol=1e-6)
        assert type(again) is type(bound)
    assert bound.batch(4)(X).shape == (4, 5)
    np.testing.assert_allclose(bound.lift(jax.grad)(X), model.f.lift(jax.grad)(X))
    with pytest.raises(SpecError, match="a loop calls the plain function on real examples"):
        bound.loop()
    with pytest.raises(SpecError, match="a bucket pads on the host"):
        bound.bucket()


def test_a_bound_program_leads_back_to_its_method() -> None:
    model = Model(jnp.array(3.0))
    assert model.f.jit().__wrapped__ == model.f
    np.testing.assert_array_equal(model.f.jit().__wrapped__.chunk(2)(X), model.f(X))
    assert Model.of_class.jit().__wrapped__ == Model.of_class
