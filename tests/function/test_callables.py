"""Every kind of callable and parameter that can be decorated."""

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap, named_vmap

pytestmark = pytest.mark.python

BATCH = jnp.arange(12.0).reshape(4, 3)
SUM = np.asarray(BATCH.sum(-1))
equal = np.testing.assert_array_equal


def total(x: Any, scale: Any = 1.0) -> Any:
    """The sum of a vector, scaled."""
    return scale * x.sum()


class Linear(eqx.Module):
    """A callable module."""

    w: jax.Array

    def __call__(self, x: Any, scale: Any = 1.0) -> Any:
        """A scalar product."""
        return scale * (self.w @ x)

    def method(self, x: Any, scale: Any = 1.0) -> Any:
        """The same."""
        return scale * (self.w @ x)


class Opaque:
    """A callable object that JAX knows nothing of."""

    def __call__(self, x: Any, scale: Any = 1.0) -> Any:
        return scale * x.sum()

    def method(self, x: Any, scale: Any = 1.0) -> Any:
        return scale * x.sum()

    def oddly(this, x: Any, scale: Any = 1.0) -> Any:
        return scale * x.sum()


@jax.tree_util.register_pytree_node_class
class Node:
    """A node whose method calls its object by another name."""

    def __init__(self, w: Any) -> None:
        self.w = w

    def oddly(this, x: Any, scale: Any = 1.0) -> Any:
        return scale * (this.w * x).sum()

    def tree_flatten(self) -> Any:
        return (self.w,), None

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> "Node":
        return cls(*children)


@jax.custom_jvp
def ruled(x: Any, scale: Any = 1.0) -> Any:
    """A function with a derivative of its own."""
    return scale * x.sum()


ruled.defjvp(lambda primals, tangents: (ruled(*primals), 0 * ruled(*primals)))

ONES = jnp.ones(3)
CALLABLES: dict[str, Callable[..., Any]] = {
    "function": total,
    "lambda": lambda x, scale=1.0: scale * x.sum(),
    "partial": functools.partial(total, scale=1.0),
    "partial by position": functools.partial(lambda one, x, scale=1.0: one * scale * x.sum(), 1.0),
    "jax.tree_util.Partial": jax.tree_util.Partial(total, scale=1.0),
    "jit": jax.jit(total),
    "jit with a static": jax.jit(total, static_argnames="scale"),
    "checkpoint": jax.checkpoint(total),
    "custom_jvp": ruled,
    "filter_jit": eqx.filter_jit(total),
    "module": Linear(ONES),
    "module's bound method": Linear(ONES).method,
    "object": Opaque(),
    "bound method": Opaque().method,
    "bound method of this": Opaque().oddly,
    "node's bound method of this": Node(ONES).oddly,
    "wrapped": functools.wraps(total)(lambda *args, **kwargs: total(*args, **kwargs)),
}


@pytest.mark.parametrize("name", CALLABLES)
@pytest.mark.parametrize("decorator", [auto_vmap(x=1), auto_vmap(1)], ids=["name", "position"])
class TestCallables:
    """What all of them have in common."""

    def test_maps_what_is_ranked(self, name: str, decorator: Any) -> None:
        decorated = decorator(CALLABLES[name])
        equal(decorated(BATCH), SUM)
        equal(decorated(BATCH, scale=2.0), 2 * SUM)
        equal(decorated(x=BATCH[0]), SUM[0])
        assert decorated.plan(x=BATCH).batch_shape == (4,)
        assert decorated.ranks == {"x": 1}

    def test_keeps_the_signature(self, name: str, decorator: Any) -> None:
        expected = inspect.signature(CALLABLES[name])
        assert inspect.signature(decorator(CALLABLES[name])) == expected

    def test_keeps_name_and_docstring(self, name: str, decorator: Any) -> None:
        decorated, function = decorator(CALLABLES[name]), CALLABLES[name]
        for attribute in ("__name__", "__qualname__", "__module__"):
            value = getattr(function, attribute, None)
            if isinstance(value, str) and inspect.isroutine(function):
                assert getattr(decorated, attribute) == value
        if isinstance(function.__doc__, str) and inspect.isroutine(function):
            line = "\n\nBatch dims broadcast; the base ranks are ``x=1``."
            assert decorated.__doc__ == function.__doc__ + line
        elif function.__doc__ is None:
            assert decorated.__doc__ is None


@pytest.mark.parametrize(
    ("builtin", "ranks", "args", "expected"),
    [
        (abs, (0,), (-BATCH,), BATCH),
        (operator.matmul, (1, 2), (BATCH, jnp.eye(3)), BATCH),
        (sum, (1,), (BATCH,), SUM),
        (divmod, (0, None), (BATCH, 2.0), (BATCH // 2, BATCH % 2)),
    ],
    ids=["abs", "operator.matmul", "sum", "divmod"],
)
def test_builtins_with_a_signature(builtin: Any, ranks: Any, args: Any, expected: Any) -> None:
    decorated = auto_vmap(*ranks)(builtin)
    assert decorated.__name__ == builtin.__name__
    assert inspect.signature(decorated) == inspect.signature(builtin)
    jax.tree.map(equal, decorated(*args), expected)


def test_the_name_of_a_ufunc_is_said() -> None:
    with pytest.raises(SpecError, match=r"\badd\(\)"):
        auto_vmap(nothing=0)(jnp.add)


def test_a_class_is_a_callable() -> None:
    class Made(eqx.Module):
        x: Any

    assert auto_vmap(x=1)(Made)(BATCH).x.shape == (4, 3)


def only(x: Any, y: Any = 1.0, /) -> Any:
    """Positional-only parameters."""
    return x.sum() * y


def keyword(x: Any, *, y: Any = 1.0) -> Any:
    """A keyword-only parameter."""
    return x.sum() * y


def rest(x: Any, *y: Any) -> Any:
    """Any number of positional arguments."""
    return x.sum() * sum(y)


def extra(x: Any, **y: Any) -> Any:
    """Any number of keyword arguments."""
    return x.sum() * sum(value.sum() for value in y.values())


def clash(self: Any, args: Any, kwargs: Any, function: Any) -> Any:
    """Names that the machinery may use itself."""
    return self + args + kwargs + function


class TestParameters:
    """Every kind of parameter."""

    def test_positional_only(self) -> None:
        decorated = auto_vmap(x=1, y=0)(only)
        equal(decorated(BATCH), SUM)
        equal(decorated(BATCH, jnp.ones((2, 1))), [SUM, SUM])
        with pytest.raises(TypeError, match="only"):
            decorated(x=BATCH)

    def test_keyword_only(self) -> None:
        equal(auto_vmap(1, y=0)(keyword)(BATCH, y=jnp.ones((2, 1))), [SUM, SUM])
        equal(auto_vmap(1, y=0)(keyword)(BATCH), SUM)

    @pytest.mark.parametrize("ranks", [((1, 0), {}), ((), {"x": 1, "y": 0})], ids=["pos", "name"])
    def test_star_args(self, ranks: Any) -> None:
        decorated = auto_vmap(*ranks[0], **ranks[1])(rest)
        equal(decorated(BATCH, 1.0, jnp.ones((2, 1)), jnp.ones(4)), [3 * SUM, 3 * SUM])
        plan = decorated.plan(BATCH, 1.0, jnp.ones(4))
        assert [arg.path for arg in plan.args] == ["x", "y[0]", "y[1]"]

    def test_star_kwargs(self) -> None:
        decorated = auto_vmap(x=1, y=0)(extra)
        equal(decorated(BATCH, b=jnp.ones((2, 1)), a=1 * jnp.ones(4)), [2 * SUM, 2 * SUM])
        paths = [arg.path for arg in decorated.plan(BATCH, b=1.0, a=2.0).args]
        assert sorted(paths) == ["x", "y['a']", "y['b']"]

    def test_star_kwargs_by_key(self) -> None:
        decorated = auto_vmap(x=1, y={"v": 1, "s": 0, "absent": 3})(extra)
        equal(decorated(BATCH, v=jnp.ones((4, 2)), other=jnp.ones(5)), 7 * SUM)
        equal(decorated(BATCH, s=jnp.ones((2, 1))), [SUM, SUM])

    def test_names_that_the_machinery_uses(self) -> None:
        decorated = auto_vmap(self=0, args=0, kwargs=0, function=0)(clash)
        result = decorated(self=jnp.ones(4), kwargs=1.0, function=jnp.ones((2, 1)), args=1.0)
        equal(result, np.full((2, 4), 4.0))

    def test_positions_and_keywords_are_alike(self) -> None:
        decorated = auto_vmap(s=0, v=1)(lambda s, v: s * v)
        s = jnp.arange(4.0)
        results = [decorated(s, BATCH), decorated(s, v=BATCH), decorated(v=BATCH, s=s)]
        for result in results:
            equal(result, s[:, None] * BATCH)


class TestDefaults:
    """Defaults are arguments too."""

    def test_a_ranked_default_may_be_a_batch(self) -> None:
        for function in (
            lambda x, y=BATCH: x.sum() * y.sum(),
            lambda x, *, y=BATCH: x.sum() * y.sum(),
            lambda x, y=BATCH, /: x.sum() * y.sum(),
            lambda x, z=1.0, y=BATCH, /, *rest: z * x.sum() * y.sum(),
            functools.partial(lambda x, y: x.sum() * y.sum(), y=BATCH),
        ):
            decorated = auto_vmap(x=1, y=1)(function)
            equal(decorated(ONES), 3 * SUM)
            assert decorated.plan(ONES).batch_shape == (4,)

    def test_a_ranked_numpy_default_arrives_as_a_jax_array(self) -> None:
        seen = []
        two = np.float32(2)
        auto_vmap(x=1, y=0)(lambda x, y=two: seen.append(y))(BATCH)
        assert isinstance(seen[0], jax.Array)

    def test_a_default_of_none_is_optional(self) -> None:
        def function(x: Any, y: Any = None) -> Any:
            return x.sum() if y is None else x.sum() * y

        decorated = auto_vmap(x=1, y=0)(function)
        equal(decorated(BATCH), SUM)
        equal(decorated(BATCH, y=2.0), 2 * SUM)

    def test_an_unranked_default_stays_out_of_the_call(self) -> None:
        function = jax.jit(lambda x, mode="a": x.sum() * len(mode), static_argnames="mode")
        equal(auto_vmap(x=1)(function)(BATCH), SUM)
        equal(auto_vmap(x=1)(function)(BATCH, mode="bb"), 2 * SUM)


def test_one_argument_can_be_any_unranked_object() -> None:
    unhashable = {1: [], "a": {}, None: set()}
    seen = []
    auto_vmap(x=1)(lambda x, other, f: seen.append((other, f)))(BATCH, unhashable, f=print)
    assert seen[0][0] is unhashable
    assert seen[0][1] is print


def test_annotations_and_attributes_survive() -> None:
    def function(x: "jax.Array", y: int = 0) -> "jax.Array":
        return x

    function.note = {"a": 1}
    decorated = auto_vmap(x=1)(function)
    assert decorated.__annotations__ == function.__annotations__
    assert decorated.note is function.note
    assert decorated.__wrapped__ is function
    assert inspect.unwrap(decorated) is function


def test_equality_and_hash() -> None:
    one, other = auto_vmap(x=1)(total), auto_vmap(1)(total)
    assert one == other
    assert hash(one) == hash(other)
    assert one != auto_vmap(x=0)(total)
    assert one != total
    assert len({one, other, auto_vmap(x=0)(total)}) == 2


def test_a_callable_without_a_hash() -> None:
    """JAX and its libraries key what they compile by the function that they are given."""

    class Scaled:
        __hash__ = None

        def __call__(self, x: jax.Array) -> jax.Array:
            return 2 * x

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Scaled)

    one, other = auto_vmap(x=0)(Scaled()), auto_vmap(0)(Scaled())
    assert one == other
    assert hash(one) == hash(other)
    assert one != auto_vmap(x=1)(Scaled())
    np.testing.assert_array_equal(jax.jit(one)(jnp.arange(3.0)), [0.0, 2.0, 4.0])


def test_repr() -> None:
    assert repr(auto_vmap(x=1, scale="key")(total)) == "<auto_vmap(x=1, scale='key') of total>"


def test_repr_of_a_chain() -> None:
    f = auto_vmap(x=1, scale=0)(total)
    mesh = jax.sharding.Mesh(jax.devices()[:1], ("d",))
    shown = {
        ".chunk(10)": f.chunk(10),
        ".chunk('auto', remat=True)": f.chunk("auto", remat=True),
        ".chunk(memory=1024, progress=True)": f.chunk(memory="1KiB", progress=True),
        ".chunk(2, progress=print)": f.chunk(2, progress=print),
        ".bucket()": f.bucket(),
        ".bucket((8, 16), promote=None)": f.bucket([16, 8], promote=None),
        ".bucket(abs)": f.bucket(abs),
        ".shard(P('d'))": f.shard("d"),
        ".shard(P(None, ('d', 'e')), mesh=...)": f.shard((None, ("d", "e")), mesh=mesh),
        ".loop()": f.loop(),
        ".lift(...)": f.lift(jax.grad),
        ".outer('x', 'scale').batch(3, 4)": f.batch(3, 4).outer("x", "scale"),
        ".outer(('x', 'scale'))": f.outer(("x", "scale")),
        ".replace(strict=True, out_axes=1)": f.replace(strict=True).replace(out_axes=1),
        ".bucket().chunk(3)": f.chunk(3).bucket(),
        ".chunk(3).jit()": f.jit().chunk(3),
    }
    for chain, function in shown.items():
        assert repr(function) == f"{f!r}{chain}"
    named = named_vmap("a [n] -> a")(lambda x: x.sum())
    assert repr(named.loop()) == f"{named!r}.loop()"
