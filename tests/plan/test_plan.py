"""`autovmap._plan`: arithmetic on shapes, without JAX."""

from typing import Any

import pytest

from autovmap import BatchShapeError, RankError
from autovmap._plan.broadcast import batch_shape, promotion, refuse_stretching
from autovmap._plan.layers import Layer, layers, squeezed
from autovmap._plan.leaf import Leaf, account, checked_leaf, key_hint, looks_like_raw_key
from autovmap._plan.outputs import block_start
from autovmap._plan.plan import make_plan
from autovmap._spec.options import Options

pytestmark = pytest.mark.own


def leaf(path: str, *shape: Any, rank: int = 0, **more: Any) -> Leaf:
    """A leaf of float32."""
    return Leaf(path, shape, "float32", rank, **more)


class Dim:
    """A symbolic size: it answers `==` and `!=`, and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    def refuse(self, *args: Any) -> Any:
        raise AssertionError("compared otherwise than by == and !=")

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __int__ = __index__ = refuse


class TestLeaf:
    """`Leaf`, and what is said of one."""

    def test_parts(self) -> None:
        x = leaf("x", 2, 3, 7, 5, rank=2)
        assert (x.batch_ndim, x.batch, x.core) == (2, (2, 3), (7, 5))
        assert [x.size(axis) for axis in (-1, -2, -3)] == [3, 2, None]
        assert x.array_dim(-2) == 0

    def test_parts_of_a_block_further_in(self) -> None:
        x = leaf("x", 7, 2, 3, 5, rank=2, position=1)
        assert (x.batch, x.core) == ((2, 3), (7, 5))
        assert [x.array_dim(axis) for axis in (-1, -2)] == [2, 1]

    def test_an_offset_moves_its_axes_to_the_left(self) -> None:
        x = leaf("x", 2, 3, offset=2)
        assert [x.size(axis) for axis in range(-5, 0)] == [None, 2, 3, None, None]
        assert x.array_dim(-3) == 1

    @pytest.mark.parametrize(
        ("position", "start"), [(0, 0), (1, 1), (2, 2), (-1, 2), (-2, 1), (-3, 0)]
    )
    def test_positions(self, position: int, start: int) -> None:
        assert checked_leaf(leaf("x", 4, 4, 4, rank=2), position, "f").position == start

    @pytest.mark.parametrize("position", [3, -4])
    def test_positions_that_it_has_not(self, position: int) -> None:
        with pytest.raises(RankError, match=rf"(?s)f\(\): .* of x at {position}, .* from -3 to 2"):
            checked_leaf(leaf("x", 4, 4, 4, rank=2), position, "f")

    def test_account(self) -> None:
        said = "x: float32[4,3], base rank 1, batch shape (4,)"
        assert account(leaf("x", 4, 3, rank=1)) == said

    @pytest.mark.parametrize(
        ("shape", "dtype", "rank", "looks"),
        [
            ((2,), "uint32", 0, True),
            ((5, 4), "uint32", 0, True),
            ((3,), "uint32", 0, False),
            ((), "uint32", 0, False),
            ((2,), "int32", 0, False),
            ((2,), "uint32", 1, False),
        ],
    )
    def test_raw_keys(self, shape: Any, dtype: str, rank: int, looks: bool) -> None:
        x = Leaf("k", shape, dtype, rank)
        assert looks_like_raw_key(x) == looks
        if looks:
            assert f"uint32[{shape[-1]}]" in key_hint(x)


class TestBatchShape:
    """`batch_shape`."""

    def test_none_at_all(self) -> None:
        assert batch_shape([], "f") == ()
        assert batch_shape([leaf("x", 3, rank=1)], "f") == ()

    def test_symbolic_sizes_are_only_compared_for_equality(self) -> None:
        b, c = Dim("b"), Dim("c")
        shape = batch_shape([leaf("x", b, 1), leaf("y", c), leaf("z", b, c)], "f")
        assert shape == (b, c)
        with pytest.raises(BatchShapeError, match="axis -1 has size b in x and size c in y"):
            batch_shape([leaf("x", b), leaf("y", c)], "f")

    def test_all_that_take_part_are_listed(self) -> None:
        leaves = [leaf("x", 2), leaf("y", 3), leaf("z", 3), leaf("one", 1), leaf("none")]
        with pytest.raises(BatchShapeError, match=r"(?s)x: .*y: .*z: float32\[3\]") as raised:
            batch_shape(leaves, "f")
        assert "one:" not in str(raised.value)

    def test_a_long_list_is_cut(self) -> None:
        leaves = [leaf("x", 2), *(leaf(f"y{i}", 3) for i in range(20))]
        with pytest.raises(BatchShapeError, match=r"(?s)y5: .*  \.\.\.\nCheck") as raised:
            batch_shape(leaves, "f")
        assert len(str(raised.value).splitlines()) <= 13

    def test_no_remedy_for_an_outer_axis(self) -> None:
        with pytest.raises(BatchShapeError, match=r"Check the base ranks and the shapes\.$"):
            batch_shape([leaf("x", 2, 1), leaf("y", 3, 1)], "f")


class TestLayers:
    """`layers` and the positions of outputs."""

    def test_sizes_of_1_get_none(self) -> None:
        assert layers([leaf("x", 1, 1)], (1, 1)) == ()
        assert squeezed(leaf("x", 1, 4, 1, 1, rank=1)) == (0, 2)

    def test_a_named_axis_gets_one_at_any_size(self) -> None:
        found = layers([leaf("x", 1)], (1,), names=("i", "j"))
        assert [(layer.name, layer.size, layer.unmapped) for layer in found] == [
            ("i", 1, True),
            ("j", 1, True),
        ]

    def test_spmd_names(self) -> None:
        assert layers([leaf("x", 2, 3)], (2, 3), spmd_names=("d",)) == (
            Layer(2, -2, (0,)),
            Layer(3, -1, (0,), None, "d"),
        )

    def test_where_outputs_go(self) -> None:
        assert [block_start(at, 4, 2) for at in (0, 1, 2, -1, -2, -3)] == [0, 1, 2, 2, 1, 0]


class TestStrict:
    """`strict=True` and `jax_numpy_rank_promotion`."""

    @pytest.mark.parametrize("others", [[], [(4, 5)], [(), (4, 5)]], ids=str)
    def test_equal_or_absent(self, others: Any) -> None:
        refuse_stretching([leaf("x", 4, 5), *(leaf("y", *shape) for shape in others)], "f")

    @pytest.mark.parametrize("other", [(1, 5), (5,), (4, 1), (1,)], ids=str)
    def test_anything_else(self, other: Any) -> None:
        with pytest.raises(
            BatchShapeError, match=r"(?s)f\(\): strict=True.*x and y have different"
        ):
            refuse_stretching([leaf("x", 4, 5), leaf("y", *other)], "f")

    def test_promotion(self) -> None:
        assert promotion([leaf("x", 4, 5), leaf("y", 1, 5), leaf("z")], "f") is None
        message = promotion([leaf("x", 4, 5), leaf("y", 5)], "f")
        assert message is not None
        assert "x has 2 batch dims and y has 1" in message


def test_a_plan_is_a_key() -> None:
    one, other = (make_plan("f", [leaf("x", 1, 4)], Options()) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert {one: 1}[other] == 1
    assert one != make_plan("f", [leaf("x", 4, 1)], Options())
