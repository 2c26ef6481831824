"""`f.jit()`: a call of `jax.jit`, planned while it traces."""

import enum
import functools
import inspect
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap

TRACES: list[str] = []


class Mode(enum.Enum):
    """A way to reduce."""

    SUM = "sum"
    MAX = "max"


@auto_vmap(x=1)
def reduced(x: Any, mode: Mode = Mode.SUM, power: int = 1, scale: float = 1.0) -> Any:
    """A reduction of a vector."""
    TRACES.append("reduced")
    return scale * (x.sum() if mode is Mode.SUM else x.max()) ** power


exported = reduced.jit()
X = jnp.arange(15.0).reshape(5, 3)


def traces(call: Callable[[], Any]) -> int:
    """How often the function is traced in a call."""
    before = len(TRACES)
    call()
    return len(TRACES) - before


def test_it_is_made_once_and_wraps_the_function():
    assert reduced.jit() is exported
    assert exported.__wrapped__ is reduced
    assert exported.jit() is exported
    assert reduced.jit(static_argnames="mode") is not exported
    assert reduced.jit(static_argnames="mode") is reduced.jit(static_argnames="mode")
    assert exported.__name__ == "reduced"
    assert exported.__doc__.startswith("A reduction of a vector.")
    assert repr(exported) == f"{reduced!r}.jit()"


def test_its_call_is_the_call_of_jax_jit_until_something_new_comes():
    """Where all are arrays and nothing is static; from then on a frame looks what it is."""
    doubled = auto_vmap(x=1)(lambda x: 2 * x).jit()
    bare = type(jax.jit(lambda x: x))

    def told() -> str:
        with pytest.raises(
            SpecError, match=r"x\['a'\] is 'b' of type str, which is not an array"
        ) as raised:
            doubled({"a": "b"})
        return str(raised.value)

    first = told()
    for _ in range(2):
        doubled(X)
        assert type(type(doubled).__call__) is bare
    doubled(X[:2])
    for _ in range(2):
        assert inspect.isfunction(type(doubled).__call__)
        assert told() == first
    exported(X)
    assert inspect.isfunction(type(exported).__call__)


@pytest.mark.parametrize("first", ["position", "name", "both", "NumPy", "tree", "static"])
def test_in_a_frame_an_argument_is_traced_once_by_position_and_by_name(first: str):
    """`jax.jit` itself compiles a program for each."""

    def summed(x: Any, y: Any, n: int = 1) -> Any:
        TRACES.append("summed")
        return n * (jax.tree.leaves(x)[0].sum() + y)

    f = auto_vmap(x=1, y=0)(summed).jit(static_argnames="n" if first == "static" else ())
    x: Any = {"tree": [X], "NumPy": np.asarray(X)}.get(first, X)
    y = X[:, 0]
    calls: dict[str, Callable[[], Any]] = {
        "position": lambda: f(x, y),
        "name": lambda: f(y=y, x=x),
        "both": lambda: f(x, y=y),
    }
    want = np.asarray(X.sum(1) + y)
    assert traces(calls.get(first, calls["position"])) == 1
    if first == "position":  # the bare `jax.jit`, up to here
        f(X[:2], y[:2])
    for call in calls.values():
        for _ in range(2):
            assert traces(call) == 0
            np.testing.assert_array_equal(call(), want)


def test_parameters_may_have_any_names():
    """The frame around a warm call is written for them."""

    def odd(type: Any, _array: Any, __given: Any, Exception: Any, call: Any) -> Any:
        return type + _array + __given + Exception + call

    f = auto_vmap(type=0, _array=0, __given=0, Exception=0, call=0)(odd).jit()
    values = [jnp.arange(3.0) + i for i in range(5)]
    named: dict[str, Any] = dict(
        zip(("type", "_array", "__given", "Exception", "call"), values, strict=True)
    )
    for _ in range(2):
        for result in (
            f(*values),
            f(**named),
            f(
                *values[:2],
                call=values[4],
                **{name: named[name] for name in ("Exception", "__given")},
            ),
        ):
            np.testing.assert_array_equal(result, sum(values))


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(),
        lambda f: f(X),
        lambda f: f(y=X),
        lambda f: f(X, X, X),
        lambda f: f(X, x=X),
        lambda f: f(X, y=X, z=X),
        lambda f: f(x=X, z=X),
        lambda f: f(x=X, y="text"),
        lambda f: f(X, None),
        lambda f: f(X, b"bytes"),
    ],
)
def test_a_wrong_call_says_the_same_cold_and_warm(call: Callable[[Any], Any], warm: bool):
    f = auto_vmap(x=1, y=1)(lambda x, y: x @ y)
    other = X[:2]

    def told(g: Any) -> str:
        with pytest.raises((SpecError, TypeError)) as raised:
            call(g)
        return f"{type(raised.value).__name__}: {raised.value}"

    jitted = f.jit()
    if warm:
        for x in (X, X, other, other):
            jitted(x, x)
    fresh = auto_vmap(x=1, y=1)(lambda x, y: x @ y).jit()
    assert told(jitted) == told(fresh)


def test_one_program_for_each_way_of_calling_and_each_static_value():
    f = auto_vmap(x=1)(reduced.__wrapped__).jit()
    f.clear_cache()  # a declaration like it may have been made before
    assert traces(lambda: f(X)) == 1
    assert traces(lambda: f(X + 1)) == 0
    assert traces(lambda: f(x=X)) == 0  # by position and by name it is one program
    assert traces(lambda: f(X, Mode.MAX)) == 1
    assert traces(lambda: f(mode=Mode.MAX, x=X)) == 0
    assert traces(lambda: f(X, Mode.MAX)) == 0
    assert traces(lambda: f(X, scale=2.0)) == 1
    assert traces(lambda: [f(X, scale=float(s)) for s in range(20)]) == 0
    assert traces(lambda: f(X[:4])) == 1
    f.clear_cache()
    assert traces(lambda: f(X)) == 1


def test_a_decorated_function_is_traced_once_in_an_outer_jit():
    f = auto_vmap(x=1)(reduced.__wrapped__).jit()
    f.clear_cache()  # a declaration like it may have been made before
    assert traces(lambda: jax.jit(lambda x: sum(f(x).sum() for _ in range(20)))(X)) == 1


@pytest.mark.parametrize(
    ("annotation", "default", "static"),
    [
        (int, None, True),
        (bool, None, True),
        (str, None, True),
        ("int | None", None, True),
        (Literal["a", "b"], None, True),
        (Mode, None, True),
        (type, None, True),
        (type[int], None, True),
        (Callable[[Any], Any], None, True),
        (Callable, None, True),
        (float, None, False),
        (jax.Array, None, False),
        (float, 3, False),
        ("int | jax.Array", None, False),
        (Any, None, False),
        (None, 3, True),
        (None, True, True),
        (None, "mode", True),
        (None, Mode.SUM, True),
        (None, jnp.tanh, True),
        (None, jnp.float32, True),
        (None, 3.0, False),
        (None, (1, 2), False),
        (None, eqx.nn.Linear(2, 2, key=jax.random.key(0)), False),
        ("no_such_name", None, False),
    ],
)
def test_what_is_static(annotation: Any, default: Any, static: bool):
    def function(x, option):
        return x

    if annotation is not None:
        function.__annotations__["option"] = annotation
    if default is not None:
        function.__defaults__ = (default,)
    assert auto_vmap(x=1)(function).jit().static_argnames == (("option",) if static else ())


def test_given_names_replace_the_guess():
    f = reduced.jit(static_argnames=("scale",))
    assert f.static_argnames == ("scale",)
    with pytest.raises(TypeError, match=r"(?s)mode.*static_argnames"):
        f(X, Mode.SUM)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"static_argnames": "speed"}, "static_argnames has 'speed', which is not a parameter"),
        ({"static_argnames": "x"}, "'x', which has a base rank, and so is traced"),
        ({"donate_argnames": ("y",)}, "donate_argnames has 'y', which is not a parameter"),
        ({"donate_argnames": "mode"}, "'mode' is static"),
        ({"donate_argnames": "x", "partition": True}, "partition=True splits arguments"),
    ],
)
def test_wrong_options(options: Any, said: str):
    with pytest.raises(SpecError, match=rf"(?s)reduced\.jit\(\): .*{said}"):
        reduced.jit(**options)


def test_an_unhashable_static_says_so():
    with pytest.raises(SpecError, match=r"mode is \[1\], a list, which has no hash"):
        exported(X, [1])


def test_positional_only_and_keyword_only_statics():
    @auto_vmap(x=1)
    def f(mode: str, x: Any, /, *, power: int) -> Any:
        assert isinstance(mode, str)
        assert isinstance(power, int)
        return x.sum() ** power

    np.testing.assert_allclose(f.jit()("a", X, power=2), np.square(X.sum(1)))


def test_donation():
    f = auto_vmap(x=1, y=1)(lambda x, y: x + y).jit(donate_argnames="y")
    y = jnp.ones((5, 3))
    f(X, y)
    assert y.is_deleted()
    assert not X.is_deleted()


def test_a_warning_at_the_eighth_value_of_a_static_number():
    f = auto_vmap(x=1)(lambda x, power=1: x.sum() ** power).jit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for power in range(7):
            f(X, power)
    with pytest.warns(UserWarning, match=r"(?s)static argument 'power' takes its eighth.*power=0"):
        f(X, 7)
    f(X, 8)  # said once


def test_results_that_are_no_arrays_pass():
    f = auto_vmap(x=1)(lambda x: {"name": "total", "value": x.sum(), "none": None})
    for _ in range(2):
        found = f.jit()(X)
        assert found["name"] == "total"
        assert found["none"] is None
        np.testing.assert_allclose(found["value"], X.sum(1))


def test_errors_are_those_of_a_plain_call():
    from autovmap import BatchShapeError, RankError

    f = auto_vmap(x=1, y=1)(lambda x, y: x @ y).jit()
    with pytest.raises(BatchShapeError, match="batch axis -1 has size 5 in x and size 4 in y"):
        f(X, jnp.ones((4, 3)))
    with pytest.raises(RankError, match="below its base rank 1"):
        f(1.0, X)
    with pytest.raises(ValueError, match="boom") as caught:
        auto_vmap(x=1)(functools.partial(_boom, "boom")).jit()(X)
    assert "batch shape (5,)" in "".join(caught.value.__notes__)


def _boom(text: str, x: Any) -> Any:
    raise ValueError(text)


def test_transforms():
    f = auto_vmap(x=1)(lambda x: x @ x).jit()
    np.testing.assert_allclose(jax.grad(lambda x: f(x).sum())(X), 2 * X)
    np.testing.assert_allclose(jax.vmap(f)(X[None]), f(X)[None])
    np.testing.assert_allclose(jax.jit(f)(X), f(X))
    assert f.lower(X).compile()(X).shape == (5,)
    assert f.eval_shape(X).shape == (5,)
    assert f.trace(X).jaxpr.out_avals[0].shape == (5,)
    assert f.plan(X).batch_shape == (5,)
    assert f.plan(X).steps[-1].startswith("jit: ")
    assert f.plan_with_outputs(X).outputs[0].shape == (5,)


def test_the_program_is_that_of_the_nest():
    def foo(s, v, m):
        return v @ m @ v + s * v.size

    args = jnp.ones(4), jnp.ones((7, 1, 3)), jnp.ones((7, 1, 3, 3))
    nest = jax.vmap(jax.vmap(foo, (0, None, None)), (None, 0, 0))

    def by_hand(s, v, m):
        return nest(s, v[:, 0], m[:, 0])

    ours = auto_vmap(s=0, v=1, m=2)(foo).jit().lower(*args).compile().cost_analysis()
    hand = jax.jit(by_hand).lower(*args).compile().cost_analysis()
    one = [x[0] if isinstance(x, list) else x for x in (ours, hand)]
    for what in ("flops", "bytes accessed"):
        assert one[0][what] == one[1][what]


def test_pickling_is_by_reference():
    assert pickle.loads(pickle.dumps(exported)) is exported
    other = reduced.jit(static_argnames="mode")
    assert pickle.loads(pickle.dumps(other)) == other or (
        pickle.loads(pickle.dumps(other)).static_argnames == other.static_argnames
    )


def test_chains_mean_the_same_in_any_order():
    assert exported.batch(2).__wrapped__ == reduced.batch(2)
    assert exported.chunk(2).__wrapped__ == reduced.chunk(2)
    assert exported.chunk(2).static_argnames == exported.static_argnames
    np.testing.assert_allclose(exported.chunk(2)(X), reduced(X))
    np.testing.assert_allclose(exported.replace(out_axes=-1)(X), reduced(X))


@dataclass(frozen=True)
class Frozen:
    """Static by its fields."""

    factor: float

    @auto_vmap(x=1)
    def total(self, x: Any) -> Any:
        """A sum."""
        TRACES.append("Frozen")
        return self.factor * x.sum()

    compiled = total.jit()


class Changing:
    """Neither a pytree nor frozen: a program would go on with the old factor."""

    def __init__(self) -> None:
        self.factor = 2.0

    @auto_vmap(x=1)
    def total(self, x: Any) -> Any:
        """A sum."""
        return self.factor * x.sum()


class Module(eqx.Module):
    """A pytree."""

    w: Any

    @auto_vmap(x=1)
    def total(self, x: Any) -> Any:
        """A sum."""
        TRACES.append("Module")
        return (self.w * x).sum()

    @auto_vmap(x=1)
    def __call__(self, x: Any) -> Any:
        """The same."""
        return self.total(x)

    compiled = total.jit()


class TestMethods:
    """A pytree is traced, a constant object static, another refused."""

    def test_a_frozen_object_is_static(self):
        assert traces(lambda: Frozen(2.0).total.jit()(X)) == 1
        assert traces(lambda: Frozen(2.0).total.jit()(X)) == 0
        assert traces(lambda: Frozen(3.0).total.jit()(X)) == 1
        np.testing.assert_allclose(Frozen(3.0).compiled(X), 3 * X.sum(1))

    def test_a_pytree_is_traced(self):
        models = [Module(jnp.full(3, float(i))) for i in range(5)]
        assert traces(lambda: [model.total.jit()(X) for model in models]) == 1
        for i, model in enumerate(models):
            np.testing.assert_allclose(model.compiled(X), i * X.sum(1))
        grads = jax.grad(lambda model: model.compiled(X).sum())(models[1])
        np.testing.assert_allclose(grads.w, X.sum(0))

    def test_another_is_refused(self):
        with pytest.raises(
            SpecError, match=r"(?s)Changing\.total\.jit\(\): self is a Changing.*hash"
        ):
            Changing().total.jit()

    def test_its_view_binds_the_object(self):
        bound = Module(jnp.ones(3)).total.jit()
        assert bound.lower(X).compile() is not None
        assert bound.eval_shape(X).shape == (5,)
        assert bound.trace(X) is not None
        assert bound.plan(X).batch_shape == (5,)
        assert bound.__wrapped__(X).shape == (5,)
        bound.clear_cache()
        assert traces(lambda: bound(X)) == 1

    def test_a_callable_module(self):
        model = Module(jnp.ones(3))
        np.testing.assert_allclose(auto_vmap(x=1)(model).jit()(X), X.sum(1))

    def test_arrays_and_statics_in_one_tree(self):
        mlp = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
        f = auto_vmap(x=1)(lambda mlp, x: mlp(x))
        compiled = f.jit(partition=True)
        for _ in range(2):
            np.testing.assert_allclose(compiled(mlp, X), jax.vmap(mlp)(X), rtol=1e-5)
        np.testing.assert_allclose(
            auto_vmap(x=1)(mlp).jit(partition=True)(X), jax.vmap(mlp)(X), rtol=1e-5
        )
        with pytest.raises(SpecError, match=r"(?s)activation is .*partition=True"):
            auto_vmap(x=1)(mlp).jit()
        assert compiled.lower(mlp, X).compile() is not None
        assert compiled.eval_shape(mlp, X).shape == (5, 2)


class TestPartition:
    """Arguments are taken apart at each call."""

    def test_floats_are_static_to_the_last_bit(self):
        seen: list[Any] = []

        def function(x, config):
            seen.append(config["rate"])
            return x * config["rate"]

        f = auto_vmap(x=0)(function).jit(partition=True)
        for rate in (0.0, -0.0, 0.0, float("nan"), float("nan"), 1, 1.0, True):
            f(jnp.ones(2), {"rate": rate})
        assert [str(rate) for rate in seen] == ["0.0", "-0.0", "nan", "1", "1.0", "True"]

    def test_a_number_of_its_own_is_traced(self):
        seen: list[Any] = []
        f = auto_vmap(x=0)(lambda x, rate: (seen.append(rate), x * rate)[1]).jit(partition=True)
        for rate in (0.5, 1.5):
            np.testing.assert_allclose(f(jnp.ones(2), rate), rate)
        assert len(seen) == 1

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"a": Changing()}, r"config\['a'\] is a Changing, .* hashed by identity"),
            ({"a": bytearray(b"x")}, r"config\['a'\] is a bytearray, .* has no hash"),
            ({1: 2.0, "a": 3.0}, "config.*sort"),
        ],
    )
    def test_what_may_change_is_refused(self, config: Any, said: str):
        with pytest.raises(SpecError, match=said):
            auto_vmap(x=0)(lambda x, config: x).jit(partition=True)(jnp.ones(2), config)

    def test_an_array_for_a_static_parameter(self):
        with pytest.raises(SpecError, match=r"power is float32.., an array, but power is static"):
            reduced.jit(partition=True)(X, power=jnp.ones(()))
