"""Python numbers in trees, and objects that may be used once, in every way of running."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap, like
from autovmap.compat.jax import vmap

equal = np.testing.assert_array_equal

MESH = jax.sharding.Mesh(jax.devices()[:1], ("d",))
X = np.arange(6, dtype=np.float32).reshape(3, 2)

WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda f: f,
    "loop": lambda f: f.loop(),
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "one at a time": lambda f: f.chunk(1),
    "progress": lambda f: f.chunk(2, progress=lambda done, total: None),
    "bucket": lambda f: f.bucket(),
    "bucket and chunk": lambda f: f.bucket().chunk(2),
    "shard": lambda f: f.shard("d", mesh=MESH),
    "chunk and jit": lambda f: f.chunk(2).jit(partition=True),
}


@jax.tree_util.register_dataclass
@dataclass
class Layer:
    """A model with a number of each kind among its children."""

    w: Any
    on: Any = True
    copies: Any = 2
    rate: Any = 0.5

    def __call__(self, x: Any) -> Any:
        y = jnp.tile(self.w * x, self.copies)
        return y * self.rate if self.on else y


class Pair(NamedTuple):
    """A tuple by another name."""

    one: Any
    two: Any


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "ranks", [{"w": 1, ...: None}, {"w": 1, ...: 0}, like(Layer(np.ones(2))), None]
)
def test_numbers_in_a_tree_stay_numbers(ranks: Any, way: str) -> None:
    model = Layer(X if ranks else X[0])
    run = WAYS[way](auto_vmap(model=ranks, x=1)(lambda model, x: model(x)))
    for on in (True, False):
        factor = np.float32(0.5 if on else 1)
        model = Layer(model.w, on)
        equal(run(model, X), np.tile(model.w * X, (1, 2)) * factor)


@pytest.mark.parametrize("way", WAYS)
def test_numbers_inside_an_object_of_a_result_stay_numbers(way: str) -> None:
    run = WAYS[way](auto_vmap(x=1)(lambda x: {"model": Layer(x), "n": 2, "pair": Pair(x, [1.5])}))
    result = run(X)
    assert (result["model"].on, result["model"].copies, result["model"].rate) == (True, 2, 0.5)
    assert type(result["model"].on) is bool
    equal(result["model"].w, X)
    equal(result["n"], [2, 2, 2])
    equal(result["pair"].two[0], [1.5, 1.5, 1.5])
    again = auto_vmap(model={"w": 1, ...: None}, x=1)(lambda model, x: model(x))
    equal(again(result["model"], X), np.tile(X * X, (1, 2)) * 0.5)


def test_the_plan_shows_which_numbers_get_batch_dims() -> None:
    plan = auto_vmap(x=1)(lambda x: (Layer(x), 2)).plan_with_outputs(X)
    shown = {out.path: (out.array, out.shape) for out in plan.outputs}
    assert shown["result[0].w"] == (True, (3, 2))
    assert shown["result[0].copies"] == (False, ())
    assert shown["result[1]"] == (True, (3,))


def test_under_jax_vmaps_interface_every_number_is_mapped() -> None:
    ours, theirs = (v(lambda x: Layer(x))(X) for v in (vmap, jax.vmap))
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.dtype == other.dtype
        equal(one, other)


def test_a_loop_refuses_numbers_that_differ_inside_an_object() -> None:
    f = auto_vmap(x=0)(lambda x: Layer(x, copies=int(x)))
    with pytest.raises(SpecError, match=r"result\.copies is 1, but 0"):
        f.loop()(np.arange(3))
    equal(auto_vmap(x=0)(lambda x: [int(x)]).loop()(np.arange(3))[0], [0, 1, 2])


class Once:
    """What may be used once; JAX hands each trace a new one."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.used = False

    def use(self) -> Any:
        """The value, once."""
        assert not self.used, "used twice"
        self.used = True
        return self.value


jax.tree_util.register_pytree_node(
    Once, lambda once: ((once.value,), None), lambda _, values: Once(*values)
)

OPTIONS: list[dict[str, Any]] = [{}, {"out_axes": (0, None)}, {"stretch_outputs": False}]


@pytest.mark.filterwarnings("ignore:Some donated buffers")  # of a scalar, before JAX 0.7
@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"loop", "bucket", "bucket and chunk"}))
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("keyword", [False, True])
def test_an_object_that_may_be_used_once_lives_through_all(
    options: dict[str, Any], way: str, keyword: bool
) -> None:
    f = auto_vmap(x=1, **options)(lambda x, state: (x + state.use(), state.value))
    run = WAYS[way](f)
    state = Once(np.float32(1))
    f.plan_with_outputs(X, state)
    for _ in range(2):  # the second call takes the shortcut
        args, kwargs = ((X,), {"state": state}) if keyword else ((X, state), {})
        equal(run(*args, **kwargs)[0], X + 1)
    assert not state.used
