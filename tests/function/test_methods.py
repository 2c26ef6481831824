"""Methods: in class bodies, above and below classmethod and staticmethod, and as pytrees."""

import abc
import copy
import inspect
import sys
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BoundAutoVmapped, SpecError, auto_vmap, like, named_vmap

pytestmark = pytest.mark.python

BATCH = jnp.arange(12.0).reshape(4, 3)
SUM = np.asarray(BATCH.sum(-1))
equal = np.testing.assert_array_equal


class Plain:
    """A class that JAX knows nothing of."""

    factor = 2.0

    @auto_vmap(x=1)
    def named(self, x: Any, y: Any = 1.0) -> Any:
        """By name."""
        return self.factor * x.sum() * y

    @auto_vmap(1, 0)
    def positional(self, x: Any, y: Any = 1.0) -> Any:
        """By position."""
        return self.factor * x.sum() * y

    @auto_vmap(1, 0)
    def unusual(this, x: Any, y: Any = 1.0) -> Any:
        """By position, and the object has another name."""
        return this.factor * x.sum() * y

    @classmethod
    @auto_vmap(1)
    def class_below(cls, x: Any) -> Any:
        """Below classmethod."""
        return cls.factor * x.sum()

    @auto_vmap(1)
    @classmethod
    def class_above(cls, x: Any) -> Any:
        """Above classmethod."""
        return cls.factor * x.sum()

    @staticmethod
    @auto_vmap(1)
    def static_below(x: Any) -> Any:
        """Below staticmethod."""
        return 2 * x.sum()

    @auto_vmap(1)
    @staticmethod
    def static_above(x: Any) -> Any:
        """Above staticmethod."""
        return 2 * x.sum()

    @auto_vmap(0)
    def __call__(self, x: Any) -> Any:
        """Decorated in the class body, called on the object."""
        return self.factor * x


class Child(Plain):
    """Overrides by a decorated method, and calls the parent's."""

    factor = 3.0

    @auto_vmap(1)
    def named(self, x: Any, y: Any = 1.0) -> Any:
        """The parent's plus one."""
        return super().named(x, y) + 1


NAMES = ["named", "positional", "unusual", "class_below", "class_above"]
STATIC = ["static_below", "static_above"]


def planned(method: Any, name: str) -> Any:
    """The method's plan; below `classmethod`, Python 3.13 hides the class and we say so."""
    if name != "class_below" or sys.version_info < (3, 13):
        return method.plan(BATCH)
    with pytest.raises(SpecError, match="put @auto_vmap above @classmethod"):
        method.plan(BATCH)
    return Plain.class_above.plan(BATCH)


@pytest.mark.parametrize("name", [*NAMES, *STATIC])
def test_on_an_instance(name: str) -> None:
    method = getattr(Plain(), name)
    equal(method(BATCH), 2 * SUM)
    equal(method(BATCH[0]), 2 * SUM[0])
    assert planned(method, name).batch_shape == (4,)
    assert method.__name__ == name
    assert method.__doc__ == inspect.getdoc(vars(Plain)[name])


@pytest.mark.parametrize("name", ["named", "positional", "unusual"])
def test_on_the_class(name: str) -> None:
    equal(getattr(Plain, name)(Plain(), BATCH), 2 * SUM)
    assert getattr(Plain, name).plan(Plain(), BATCH).batch_shape == (4,)
    assert list(inspect.signature(getattr(Plain, name)).parameters)[1:] == ["x", "y"]
    assert list(inspect.signature(getattr(Plain(), name)).parameters) == ["x", "y"]


@pytest.mark.parametrize("name", ["class_below", "class_above", *STATIC])
def test_on_the_class_where_no_object_is_needed(name: str) -> None:
    equal(getattr(Plain, name)(BATCH), 2 * SUM)
    assert planned(getattr(Plain, name), name).batch_shape == (4,)
    assert list(inspect.signature(getattr(Plain, name)).parameters) == ["x"]


@pytest.mark.parametrize("name", ["class_below", "class_above"])
def test_a_class_method_sees_the_subclass(name: str) -> None:
    equal(getattr(Child, name)(BATCH), 3 * SUM)
    equal(getattr(Child(), name)(BATCH), 3 * SUM)


def test_inheritance_and_super() -> None:
    equal(Child().named(BATCH), 3 * SUM + 1)
    equal(Child().positional(BATCH, jnp.ones((2, 1))), [3 * SUM, 3 * SUM])


def test_call_decorated_in_the_class_body() -> None:
    equal(Plain()(BATCH), 2 * BATCH)


def test_what_kinds_of_objects_they_are() -> None:
    bound = Plain().named
    assert isinstance(bound, BoundAutoVmapped)
    assert not inspect.ismethod(bound)
    assert bound.__func__ is Plain.named
    assert inspect.ismethod(bound.__wrapped__)
    assert bound.ranks == {"x": 1}
    instance = Plain()
    assert instance.named == instance.named
    assert hash(instance.named) == hash(instance.named)
    assert instance.named != Plain().named
    assert instance.named.__self__ is instance
    assert "named" in repr(bound)


class Model(eqx.Module):
    """A module with a decorated method."""

    w: jax.Array
    name: str = eqx.field(static=True, default="model")

    @auto_vmap(x=1, scale=0)
    def f(self, x: Any, scale: Any = 1.0) -> Any:
        """A scalar product."""
        return scale * (self.w @ x)

    @auto_vmap(self={"w": 1}, x=1)
    def batched(self, x: Any) -> Any:
        """The same, for instances that come in batches."""
        return self.w @ x

    @auto_vmap(1, self=1)
    def batched_by_int(self, x: Any) -> Any:
        """The same: one rank for all array leaves."""
        return self.w @ x


class TestRankedSelf:
    """Instances that come in batches."""

    @pytest.mark.parametrize("name", ["batched", "batched_by_int"])
    def test_instances_in_batches(self, name: str) -> None:
        models = Model(jnp.arange(6.0).reshape(2, 1, 3))
        method = getattr(models, name)
        equal(method(BATCH), jnp.einsum("aij,bj->ab", models.w, BATCH))
        assert [arg.path for arg in method.plan(BATCH).args] == ["self.w", "x"]

    def test_like_an_unbatched_one(self) -> None:
        one = Model(jnp.ones(3))
        function = auto_vmap(self=like(one), x=1)(Model.f.__wrapped__)
        models = Model(jnp.ones((4, 3)))
        equal(function(models, BATCH), SUM)

    def test_an_unranked_one_is_shared(self) -> None:
        equal(Model(jnp.ones(3)).f(BATCH), SUM)
        with pytest.raises(TypeError, match=r"dot|matmul"):
            Model(jnp.ones((2, 1, 3))).f(jnp.ones((4, 5)))


class TestPytrees:
    """`model.f` and a decorated callable module have the object as their child."""

    def bound(self, w: Any) -> Any:
        return Model(w).f

    def callable_module(self, w: Any) -> Any:
        linear = eqx.nn.Linear(3, "scalar", use_bias=False, key=jax.random.key(0))
        return auto_vmap(x=1)(eqx.tree_at(lambda m: m.weight, linear, w[None]))

    @pytest.fixture(params=["bound", "callable_module"])
    def make(self, request: Any) -> Any:
        return getattr(self, request.param)

    def test_the_object_is_the_child(self, make: Any) -> None:
        function = make(jnp.ones(3))
        paths = jax.tree_util.tree_flatten_with_path(function)[0]
        assert jax.tree_util.keystr(paths[0][0]).startswith(".__self__.w")
        leaves, treedef = jax.tree.flatten(function)
        assert [leaf.size for leaf in leaves] == [3]
        equal(jax.tree.unflatten(treedef, leaves)(BATCH), SUM)
        assert jax.tree.structure(make(jnp.zeros(3))) == treedef

    def test_differentiates(self, make: Any) -> None:
        gradient = jax.grad(lambda f: f(BATCH).sum())(make(jnp.ones(3)))
        assert isinstance(gradient, BoundAutoVmapped)
        equal(jnp.ravel(jax.tree.leaves(gradient)[0]), BATCH.sum(0))

    def test_one_trace_for_five_models(self, make: Any) -> None:
        traces = []

        @jax.jit
        def run(f: Any, x: Any) -> Any:
            traces.append(x.shape)
            return f(x)

        for factor in range(5):
            equal(run(make(factor * jnp.ones(3)), BATCH), factor * SUM)
        assert traces == [(4, 3)]

    def test_maps_over_models(self, make: Any) -> None:
        models = jax.tree.map(lambda *ws: jnp.stack(ws), make(jnp.ones(3)), make(2 * jnp.ones(3)))
        equal(jax.vmap(lambda f: f(BATCH))(models), [SUM, 2 * SUM])

    def test_goes_through_jit_as_function_and_result(self, make: Any) -> None:
        function = make(jnp.ones(3))
        equal(jax.jit(function)(BATCH), SUM)
        moved = jax.jit(lambda f: jax.tree.map(lambda w: 2 * w, f))(function)
        equal(moved(BATCH), 2 * SUM)

    def test_copies(self, make: Any) -> None:
        for duplicate in (copy.copy, copy.deepcopy):
            equal(duplicate(make(jnp.ones(3)))(BATCH), SUM)


def test_a_plain_object_is_a_leaf() -> None:
    instance = Plain()
    leaves, treedef = jax.tree.flatten(instance.named)
    assert leaves == [instance]
    assert jax.tree.unflatten(treedef, leaves) == instance.named


def test_a_method_with_too_many_ranks() -> None:
    with pytest.raises((SpecError, RuntimeError), match=r"2 ranks|__set_name__"):

        class Wrong:
            """One parameter beside the object."""

            @auto_vmap(0, 0)
            def f(this, x: Any) -> Any: ...


def test_a_lambda_in_a_class_body() -> None:
    class Holder:
        """Holds a function that was written elsewhere."""

        f = auto_vmap(x=1)(lambda self, x: x.sum())

    equal(Holder().f(BATCH), SUM)


def abstract(self: Any, x: Any) -> Any:
    """What a subclass defines."""
    raise NotImplementedError


ABSTRACT = {
    "above": lambda f: auto_vmap(x=1)(abc.abstractmethod(f)),
    "below": lambda f: abc.abstractmethod(auto_vmap(x=1)(f)),
    "jit": lambda f: auto_vmap(x=1)(abc.abstractmethod(f)).jit(),
    "above jit": lambda f: abc.abstractmethod(auto_vmap(x=1)(f).jit()),
    "partition": lambda f: auto_vmap(x=1)(abc.abstractmethod(f)).jit(partition=True),
    "chunk": lambda f: auto_vmap(x=1)(abc.abstractmethod(f)).chunk(2),
    "other options": lambda f: auto_vmap(x=1)(abc.abstractmethod(f)).replace(strict=True),
    "a pattern": lambda f: named_vmap("b [n] -> b")(abc.abstractmethod(f)),
    "class method, above": lambda f: auto_vmap(x=1)(classmethod(abc.abstractmethod(f))),
    "class method, below": lambda f: classmethod(auto_vmap(x=1)(abc.abstractmethod(f))),
    "class method, jit": lambda f: classmethod(auto_vmap(x=1)(abc.abstractmethod(f)).jit()),
    "static method, above": lambda f: auto_vmap(x=1)(staticmethod(abc.abstractmethod(f))),
    "static method, below": lambda f: staticmethod(auto_vmap(x=1)(abc.abstractmethod(f))),
    "static method, jit": lambda f: staticmethod(auto_vmap(x=1)(abc.abstractmethod(f)).jit()),
}


@pytest.mark.parametrize("name", ABSTRACT)
def test_an_abstract_method_stays_one(name: str) -> None:
    """In the class and in one derived from it, which asks for the attribute anew."""
    base = abc.ABCMeta("Base", (), {"f": ABSTRACT[name](abstract)})
    derived = abc.ABCMeta("Derived", (base,), {})
    for cls in (base, derived):
        with pytest.raises(TypeError, match=r"abstract method '?f'?"):
            cls()
    made = abc.ABCMeta("Made", (derived,), {"f": auto_vmap(x=1)(lambda self, x: x.sum())})
    equal(made().f(BATCH), SUM)  # pyright: ignore[reportAttributeAccessIssue]


def test_what_is_bound_to_an_object_tells_that_it_is_abstract() -> None:
    class Base(NamedTuple):
        f = auto_vmap(x=1)(abc.abstractmethod(abstract))

    assert Base().f.__isabstractmethod__
    assert Base().f.jit().__isabstractmethod__
    assert not Plain().named.__isabstractmethod__
    assert not hasattr(Plain.named, "__isabstractmethod__")
