"""Batch shapes that do not broadcast, and unusual ones that do: rows 31 to 37."""

import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from autovmap import BatchShapeError, RankError, auto_vmap
from conftest import PATIENCE
from faults.saying import says


def scale(v: Any, s: Any) -> Any:
    """A vector times a number."""
    return v * s


scaled = auto_vmap(v=1, s=0)(scale)
F32 = jnp.float32

MISMATCHES = [
    ("31 innermost", (7, 5, 4, 3), (7, 5, 2), -1, 4, 2),
    ("31 middle", (7, 5, 4, 3), (7, 2, 4), -2, 5, 2),
    ("31 outermost", (7, 5, 4, 3), (2, 5, 4), -3, 7, 2),
    ("31 beside a size of 1", (7, 1, 4, 3), (2, 5, 4), -3, 7, 2),
    ("31 beside a missing dim", (7, 5, 4, 3), (2, 4), -2, 5, 2),
    ("33 zero against three", (0, 3), (3,), -1, 0, 3),
    ("33 three against zero", (2, 3, 3), (2, 0), -1, 3, 0),
]


def text(shape: tuple[int, ...]) -> str:
    """A batch shape as a message writes it."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


@pytest.mark.parametrize(
    ("v", "s", "axis", "one", "other"), [pytest.param(*row[1:], id=row[0]) for row in MISMATCHES]
)
@pytest.mark.parametrize("planning", [False, True], ids=["call", "plan"])
def test_a_mismatch(v: Any, s: Any, axis: int, one: int, other: int, planning: bool) -> None:
    run = scaled.plan if planning else scaled
    v_shape, s_shape = ",".join(map(str, v)), ",".join(map(str, s))
    parts = (
        f"scale(): batch axis {axis} has size {one} in v and size {other} in s",
        f"v: float32[{v_shape}], base rank 1, batch shape {text(v[:-1])}",
        f"s: float32[{s_shape}], base rank 0, batch shape {text(s)}",
        "Check the base ranks",
    )
    with pytest.raises(BatchShapeError, match=says(*parts)):
        run(jnp.zeros(v), jnp.zeros(s))


def test_31_names_the_axis() -> None:
    function = auto_vmap(v=1, s=0, axis_name=("x", "y"))(scale)
    with pytest.raises(BatchShapeError, match=says("batch axis -2 'x' has size 4 in v")):
        function(jnp.zeros((4, 1, 3)), jnp.zeros((2, 1)))


def test_31_says_how_to_meet_each_with_each() -> None:
    with pytest.raises(
        BatchShapeError, match=says("every v with every s", ".outer('v', 's')", "s[:, None]")
    ):
        scaled(jnp.zeros((4, 3)), jnp.zeros(5))


def test_31_is_found_before_the_function_is_traced() -> None:
    traced = []
    function = auto_vmap(v=1, s=0)(lambda v, s: traced.append(v))
    with pytest.raises(BatchShapeError, match="batch axis -1"):
        function(jnp.zeros((4, 3)), jnp.zeros(5))
    assert not traced


def test_31_strict() -> None:
    function = auto_vmap(v=1, s=0, strict=True)(scale)
    parts = (
        "scale(): strict=True",
        "v and s have different",
        "v: float32[4,3]",
        "s: float32[1]",
        "batch shape (1,)",
    )
    with pytest.raises(BatchShapeError, match=says(*parts, "base rank 0", "base rank 1")):
        function(jnp.zeros((4, 3)), jnp.zeros(1))
    assert function(jnp.zeros((4, 3)), 2.0).shape == (4, 3)


def test_31_a_position_that_a_result_lacks() -> None:
    function = auto_vmap(v=1, out_axes=2)(lambda v: {"a": v})
    parts = ("<lambda>()", "out_axes", "of result['a']", "at 2", "1 dim;", "from -2 to 1")
    with pytest.raises(RankError, match=says(*parts)):
        function(jnp.zeros((4, 3)))


def test_32_two_leaves_of_one_argument() -> None:
    function = auto_vmap(tree={"v": 1, "s": 0})(lambda tree: tree["v"] * tree["s"])
    parts = ("batch axis -1", "tree['s']: float32[5]", "tree['v']: float32[4,3]", "base rank 1")
    with pytest.raises(BatchShapeError, match=says(*parts)):
        function({"v": jnp.zeros((4, 3)), "s": jnp.zeros(5)})


@pytest.mark.parametrize("shape", [(1,), (2, 1)], ids=["33 (1,)", "33 (2, 1)"])
def test_33_zero_against_one(shape: tuple[int, ...]) -> None:
    assert scaled(jnp.zeros((0, 3)), jnp.zeros(shape)).shape == (*shape[:-1], 0, 3)


def symbolic(v: str, s: str) -> Any:
    """Structs of symbolic batch shapes in one scope."""
    scope = export.SymbolicScope()
    shapes = [export.symbolic_shape(text, scope=scope) for text in (v, s)]
    return [jax.ShapeDtypeStruct(shape, F32) for shape in shapes]


@pytest.mark.parametrize(
    ("v", "s", "one", "other"),
    [("b,3", "c", "b", "c"), ("b,3", "4", "b", "4"), ("a,b,3", "a,2*b", "b", "2*b")],
    ids=["34 b against c", "34 b against 4", "34 b against 2 b"],
)
def test_34_symbolic_sizes_that_differ(v: str, s: str, one: str, other: str) -> None:
    parts = (f"size {one} in v and size {other} in s", f"v: float32[{v}]", f"s: float32[{s}]")
    with pytest.raises(BatchShapeError, match=says("batch axis -1", *parts)):
        export.export(jax.jit(scaled))(*symbolic(v, s))


@pytest.mark.parametrize("s", ["1", "b", "a,b", "a,1"], ids=lambda s: f"34 b against {s}")
def test_34_symbolic_sizes_that_agree_export(s: str) -> None:
    exported = export.export(jax.jit(scaled))(*symbolic("b,3", s))
    shape = tuple({"a": 2, "b": 4, "1": 1}[name] for name in s.split(","))
    v, s_value = jnp.arange(12.0).reshape(4, 3), jnp.ones(shape) * 2
    expected = np.broadcast_to(2 * v, (*shape[:-1], 4, 3))
    np.testing.assert_array_equal(exported.call(v, s_value), expected)


@pytest.mark.parametrize(
    ("v", "s", "expected"),
    [
        ((1, 3), (1,), (1, 3)),
        ((1, 1, 3), (1,), (1, 1, 3)),
        ((3,), (1, 1, 1), (1, 1, 1, 3)),
        ((3,), (), (3,)),
        ((4, 3), (5, 1), (5, 4, 3)),
        ((2, 1) * 3 + (2, 1) * 3 + (3,), (1, 2) * 6, (2,) * 12 + (3,)),
        ((1,) * 12 + (3,), (1,), (1,) * 12 + (3,)),
    ],
    ids=lambda shape: f"35 {shape}",
)
def test_35_unusual_batch_shapes(v: Any, s: Any, expected: Any) -> None:
    result = scaled(jnp.ones(v), jnp.full(s, 2.0))
    assert result.shape == expected
    np.testing.assert_array_equal(result, np.full(expected, 2.0))


@pytest.fixture
def explicit() -> Any:
    """An Explicit mesh of one device and one axis: types say where an array would lie."""
    if not hasattr(jax, "set_mesh"):
        pytest.skip("this JAX has no jax.set_mesh")
    kinds = (jax.sharding.AxisType.Explicit,)
    mesh = jax.make_mesh((1,), ("devices",), axis_types=kinds, devices=jax.devices()[:1])
    with jax.set_mesh(mesh):
        yield lambda shape, *spec: jax.device_put(jnp.ones(shape), NamedSharding(mesh, P(*spec)))


def test_36_shardings_that_disagree_on_a_batch_dim(explicit: Any) -> None:
    parts = (
        "scale(): batch axis -2",
        "v: float32[4,1,3]",
        "P('devices', None, None)",
        "s: float32[4,5]",
        "P(None, None)",
        "jax.reshard",
    )
    with pytest.raises(BatchShapeError, match=says(*parts)):
        scaled(explicit((4, 1, 3), "devices", None, None), explicit((4, 5), None, None))


def test_36_accounts_for_rank_and_batch_shape(explicit: Any) -> None:
    parts = ("base rank 1", "batch shape (4, 1)", "base rank 0", "batch shape (4, 5)")
    with pytest.raises(BatchShapeError, match=says(*parts)):
        scaled(explicit((4, 1, 3), "devices", None, None), explicit((4, 5), None, None))


@pytest.mark.parametrize("rank", [1, None], ids=["36 ranked", "36 unranked"])
def test_36_an_unmapped_argument_on_the_mapped_mesh_axis(explicit: Any, rank: Any) -> None:
    function = auto_vmap(x=1, y=rank)(lambda x, y: x + y["a"])
    parts = ("y['a']", "float32[2]", "'devices'", "jax.reshard")
    with pytest.raises(BatchShapeError, match=says("<lambda>()", *parts)):
        function(explicit((4, 2), "devices", None), {"a": explicit((2,), "devices")})


DIFFERENT_DEVICES = """
import jax, jax.numpy as jnp
from autovmap import auto_vmap
one, other = jax.devices()
x = jax.device_put(jnp.ones((4, 3)), one)
y = jax.device_put(jnp.ones((4, 3)), other)
try:
    auto_vmap(x=1, y=1)(lambda x, y: x @ y)(x, y)
except ValueError as error:
    print(error, *error.__notes__, sep="\\n")
"""


@pytest.mark.devices
def test_37_arguments_committed_to_different_devices() -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    found = subprocess.run(
        [sys.executable, "-c", DIFFERENT_DEVICES],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert "incompatible devices" in found.stdout
    assert "x: float32[4,3], base rank 1, batch shape (4,)" in found.stdout
    assert "y: float32[4,3], base rank 1, batch shape (4,)" in found.stdout
