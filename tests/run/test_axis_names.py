"""`axis_name` and `spmd_axis_name`: collectives at every batch depth, names in plans and errors."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from autovmap import BatchShapeError, SpecError, auto_vmap
from compose.jaxprs import text

DEPTHS = [(), (1,), (4,), (0,), (3, 4), (3, 1), (1, 4), (1, 1), (2, 3, 4), (2, 1, 1), (2, 3, 1)]


def numbers(*shape: int) -> Any:
    """Distinct small floats, in NumPy."""
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape) + 1


def full(x: Any, names: int = 2) -> Any:
    """With every named axis: those that the call lacks have size 1."""
    return x.reshape((1,) * max(0, names - x.ndim) + x.shape)


def turned(x: Any) -> Any:
    """Each example gets the value of the one before it."""
    size = lax.psum(1, "b")
    return lax.ppermute(x, "b", [(i, (i + 1) % size) for i in range(size)])


COLLECTIVES: dict[str, tuple[Any, Any]] = {
    "psum b": (
        lambda x: lax.psum(x, "b"),
        lambda x: np.broadcast_to(x.sum(-1, keepdims=True), x.shape),
    ),
    "psum a": (
        lambda x: lax.psum(x, "a"),
        lambda x: np.broadcast_to(x.sum(-2, keepdims=True), x.shape),
    ),
    "psum both": (
        lambda x: lax.psum(x, ("a", "b")),
        lambda x: np.broadcast_to(x.sum((-1, -2), keepdims=True), x.shape),
    ),
    "size": (lambda x: x + lax.psum(1, "a"), lambda x: x + x.shape[-2]),
    "pmean": (
        lambda x: x - lax.pmean(x, "b"),
        lambda x: x - (x.mean(-1, keepdims=True) if x.size else 0),
    ),
    "pmean a": (
        lambda x: x - lax.pmean(x, "a"),
        lambda x: x - (x.mean(-2, keepdims=True) if x.size else 0),
    ),
    "all_gather": (
        lambda x: lax.all_gather(x, "b").sum() + x,
        lambda x: x.sum(-1, keepdims=True) + x,
    ),
    "ppermute": (
        turned,
        lambda x: np.roll(x, 1, -1),
    ),
    "index b": (
        lambda x: x * 0 + lax.axis_index("b"),
        lambda x: np.broadcast_to(np.arange(x.shape[-1]), x.shape),
    ),
    "index a": (
        lambda x: lax.axis_index("a"),
        lambda x: np.broadcast_to(np.arange(x.shape[-2])[:, None], x.shape),
    ),
}


@pytest.mark.parametrize("shape", DEPTHS, ids=str)
@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives_at_every_depth(name: str, shape: Any) -> None:
    function, expected = COLLECTIVES[name]
    decorated = auto_vmap(x=0, axis_name=("a", "b"))(function)
    x = numbers(*shape)
    found = decorated(jnp.asarray(x))
    assert found.shape == shape
    np.testing.assert_allclose(found, expected(full(x)).reshape(shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", DEPTHS, ids=str)
def test_one_name_is_that_of_the_last_axis(shape: Any) -> None:
    x = numbers(*shape)
    expected = full(x, 1).sum(-1, keepdims=True) + 0 * full(x, 1)
    for names in ("last", ("last",)):
        summed = auto_vmap(x=0, axis_name=names)(lambda x: lax.psum(x, "last"))
        np.testing.assert_allclose(summed(jnp.asarray(x)), expected.reshape(shape))


def test_an_axis_along_which_leaves_stretch_is_summed_whole() -> None:
    """(3, 1) against (4,): what lacks the axis counts once for each of its examples."""
    both = auto_vmap(x=0, y=0, axis_name=("a", "b"))(
        lambda x, y: (lax.psum(x, "b"), lax.psum(y, "a"), lax.psum(x * y, ("a", "b")))
    )
    x, y = numbers(3, 1), numbers(4)
    found = both(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(found[0], np.broadcast_to(x * 4, (3, 4)))
    np.testing.assert_allclose(found[1], np.broadcast_to(y * 3, (3, 4)))
    np.testing.assert_allclose(found[2], np.full((3, 4), (x * y).sum()))


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 4), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("position", [-1, 1, 0, -2])
def test_squeezed_out_wherever_the_block_sits(shape: Any, position: int) -> None:
    decorated = auto_vmap(x=1, axis_name=("a", "b"), out_axes=position)(
        lambda x: x + lax.psum(jnp.zeros(5), "a")
    )
    x = numbers(*shape, 5)
    start = position if position >= 0 else 2 + position
    batch = range(len(shape))
    expected = np.moveaxis(x, batch, [start + i for i in batch])
    np.testing.assert_allclose(decorated(jnp.asarray(x)), expected)


def test_structure_is_kept_where_nothing_is_mapped() -> None:
    decorated = auto_vmap(x=0, axis_name="i")(
        lambda x: {"n": None, "t": "text", "x": (lax.psum(x, "i"), 2.0)}
    )
    for shape in [(), (1,)]:
        found = decorated(jnp.ones(shape))
        assert found["n"] is None
        assert found["t"] == "text"
        assert [y.shape for y in found["x"]] == [shape, shape]


def test_axes_beyond_the_names_are_unnamed() -> None:
    plan = auto_vmap(x=0, axis_name="i")(jnp.sin).plan(jnp.ones((2, 3, 4)))
    assert [layer.name for layer in plan.layers] == [None, None, "i"]
    plan = auto_vmap(x=0, axis_name=("a", "b"))(jnp.sin).plan(jnp.ones(()))
    assert [(layer.name, layer.size) for layer in plan.layers] == [("a", 1), ("b", 1)]


def test_names_may_be_any_hashable() -> None:
    decorated = auto_vmap(x=0, axis_name=(7, ("a", 1)))(lambda x: lax.psum(x, (("a", 1),)))
    np.testing.assert_allclose(decorated(jnp.ones((2, 3))), np.full((2, 3), 3.0))


def test_gradients_go_through_collectives() -> None:
    centred = auto_vmap(x=0, axis_name="i")(lambda x: x - lax.pmean(x, "i"))
    x = jnp.array([1.0, 2.0, 4.0])
    found = jax.jacobian(centred)(x)
    np.testing.assert_allclose(found, np.eye(3) - 1 / 3, rtol=1e-5)


class TestSaying:
    """Names stand in plans and errors."""

    def test_in_a_plan(self) -> None:
        shown = str(auto_vmap(x=0, axis_name=("batch", "time"))(jnp.sin).plan(jnp.ones((2, 3, 4))))
        assert "batch axis -3, size 2" in shown
        assert "batch axis -2 'batch', size 3" in shown
        assert "batch axis -1 'time', size 4" in shown

    def test_in_a_conflict(self) -> None:
        decorated = auto_vmap(x=0, y=0, axis_name=("time", "series"))(lambda x, y: x + y)
        with pytest.raises(BatchShapeError, match=r"batch axis -2 'time' has size 3 in x and"):
            decorated(jnp.ones((3, 1)), jnp.ones((4, 5)))
        with pytest.raises(BatchShapeError, match=r"batch axis -1 'series' has size 3 in x and"):
            decorated(jnp.ones(3), jnp.ones((4, 5)))
        with pytest.raises(BatchShapeError, match=r"batch axis -3 has size 3 in x and"):
            decorated(jnp.ones((3, 1, 1)), jnp.ones((4, 5, 6)))

    def test_in_the_error_for_an_output_that_depends(self) -> None:
        decorated = auto_vmap(x=0, axis_name="time", out_axes=None)(lambda x: x)
        with pytest.raises(SpecError, match="batch axis -1 'time'"):
            decorated(jnp.ones(3))


class TestDuplicates:
    """A name bound twice would silently hide the outer axis."""

    def test_in_one_declaration(self) -> None:
        for option in ("axis_name", "spmd_axis_name"):
            with pytest.raises(SpecError, match=rf"{option} has 'a' twice"):
                auto_vmap(x=0, **{option: ("a", "b", "a")})(jnp.sin)

    @staticmethod
    def nested(inner_name: str, outer_name: str, wrap: Any = lambda f: f) -> Any:
        @auto_vmap(x=0, axis_name=inner_name)
        def inside(x: Any) -> Any:
            return lax.psum(x, inner_name)

        wrapped = wrap(inside)

        @auto_vmap(x=1, axis_name=outer_name)
        def around(x: Any) -> Any:
            return wrapped(x) + lax.psum(x, outer_name)

        return around

    @pytest.mark.parametrize(
        "wrap", [lambda f: f, jax.jit, jax.checkpoint], ids=["", "jit", "ckpt"]
    )
    @pytest.mark.parametrize("shape", [(4,), (3, 4), (1, 4)], ids=str)
    def test_in_nested_calls_naming_both(self, wrap: Any, shape: Any) -> None:
        x = numbers(*shape)
        other = self.nested("i", "j", wrap)(jnp.asarray(x))
        expected = x.sum(-1, keepdims=True) + full(x, 2).sum(0)
        np.testing.assert_allclose(other, np.broadcast_to(expected, shape), rtol=1e-6)
        with pytest.raises(
            SpecError, match=r"(?s)inside\(\): axis_name 'i' is already in use by around\(\)"
        ):
            self.nested("i", "i", wrap)(jnp.asarray(x))

    def test_two_calls_side_by_side_may_share_a_name(self) -> None:
        inner = auto_vmap(x=0, axis_name="i")(lambda x: lax.psum(x, "i"))
        outer = auto_vmap(x=1, axis_name="j")(lambda x: inner(inner(x)) + inner(x))
        np.testing.assert_allclose(outer(jnp.ones((2, 3))), np.full((2, 3), 12.0))

    def test_after_a_failure_the_name_is_free_again(self) -> None:
        around = self.nested("i", "i")
        for _ in range(2):
            with pytest.raises(SpecError, match="already in use"):
                around(jnp.ones((3, 4)))
        inner = auto_vmap(x=0, axis_name="i")(lambda x: lax.psum(x, "i"))
        np.testing.assert_allclose(inner(jnp.ones(3)), [3.0] * 3)


class TestSpmd:
    """`spmd_axis_name`, one a layer, is handed to `jax.vmap`."""

    def setup_method(self) -> None:
        devices = np.array(jax.devices()[:1]).reshape(1, 1, 1)
        self.mesh = Mesh(devices, ("p", "q", "r"))

    def constrained(self, x: Any) -> Any:
        return lax.with_sharding_constraint(x * 2, NamedSharding(self.mesh, PartitionSpec("r")))

    @pytest.mark.parametrize("names", ["q", ("p", "q"), (("p", "q"),)], ids=str)
    def test_the_jaxpr_is_that_of_vmaps_by_hand(self, names: Any) -> None:
        each = names if isinstance(names, tuple) else (names,)
        each = (None,) * (2 - len(each)) + each
        by_hand = jax.vmap(self.constrained, spmd_axis_name=each[1])
        by_hand = jax.vmap(by_hand, spmd_axis_name=each[0])
        ours = auto_vmap(x=1, spmd_axis_name=names)(self.constrained)
        x = jnp.ones((2, 3, 4))
        assert text(ours, x) == text(by_hand, x)
        assert text(ours, x) != text(auto_vmap(x=1)(self.constrained), x)
        np.testing.assert_array_equal(jax.jit(ours)(x), x * 2)

    def test_with_axis_names(self) -> None:
        ours = auto_vmap(x=1, axis_name="i", spmd_axis_name=("p", "q"))(self.constrained)
        plan = ours.plan(jnp.ones((2, 3, 4)))
        assert [(layer.name, layer.spmd_name) for layer in plan.layers] == [(None, "p"), ("i", "q")]

    @pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2, 3, 4)])
    def test_at_every_depth(self, shape: Any) -> None:
        ours = auto_vmap(x=1, spmd_axis_name=("p", "q"))(self.constrained)
        x = jnp.ones((*shape, 4))
        found = ours(x)
        np.testing.assert_array_equal(found, x * 2)
        assert found.shape == x.shape


class TestBatchNorm:
    """A flax layer that takes its statistics over a named axis."""

    norm = nn.BatchNorm(use_running_average=False, axis_name="batch", momentum=0.9)

    def layer(self, x: Any) -> Any:
        variables = self.norm.init(jax.random.key(0), jnp.ones(3))
        return self.norm.apply(variables, x, mutable=["batch_stats"])

    @pytest.mark.parametrize("batch", [(), (1,), (6,), (2, 6), (2, 1)], ids=str)
    def test_at_every_depth(self, batch: Any) -> None:
        x = np.random.default_rng(0).normal(size=(*batch, 3)).astype(np.float32)
        names = auto_vmap(x=1, axis_name="batch")(self.layer)
        y, updated = names(jnp.asarray(x))
        rows = x.reshape(-1, 1, 3) if not batch else x.reshape(-1, batch[-1], 3)
        mean, var = rows.mean(1, keepdims=True), rows.var(1, keepdims=True)
        np.testing.assert_allclose(
            y, ((rows - mean) / np.sqrt(var + 1e-5)).reshape(x.shape), rtol=1e-3, atol=1e-4
        )
        running = updated["batch_stats"]["mean"]
        assert running.shape == x.shape
        expected = np.broadcast_to(0.1 * mean, rows.shape).reshape(x.shape)
        np.testing.assert_allclose(running, expected, rtol=1e-3, atol=1e-5)
