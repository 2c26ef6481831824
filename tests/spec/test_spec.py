"""`autovmap._spec`: what a user wrote, read without JAX."""

import inspect
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from autovmap import SpecError
from autovmap._spec.declaration import Declaration, read_spec
from autovmap._spec.options import DEFAULTS, Options, read_options
from autovmap._spec.ranks import (
    UNMAPPED,
    ByIndex,
    ByName,
    Core,
    Key,
    Position,
    is_mapped,
    leaves_of,
    plain,
)
from autovmap._spec.reading import read_positions, read_rank
from autovmap._spec.spec import Spec

pytestmark = [pytest.mark.python, pytest.mark.own]


def leafless(node: Any) -> None:
    """JAX knows no node: what optree knows alone is read by optree."""


def children_of_lists(node: Any) -> Any:
    """JAX knows lists."""
    if isinstance(node, list):
        return [(f"[{i}]", child) for i, child in enumerate(node)]
    return None


@pytest.mark.parametrize("raw", [0, 3, "key", None, {"a": 1, "b": {"c": None}}, (1, (0, "key"))])
def test_plain_gives_back_what_was_read(raw: Any) -> None:
    tree = read_rank(raw, "x", leafless)
    assert plain(tree) == raw
    assert read_rank(tree, "x", leafless) is tree
    assert read_rank(plain(tree), "x", leafless) == tree


def test_ranks_are_ints_whatever_integer_was_given() -> None:
    tree = read_rank(np.uint8(2), "x", leafless)
    assert tree == Core(2)
    assert type(tree.rank) is int


def test_the_order_of_a_mapping_is_kept() -> None:
    tree = read_rank(OrderedDict(b=1, a=0), "x", leafless)
    assert tree == ByName((("b", Core(1)), ("a", Core(0))))


def test_jax_decides_first_what_a_node_is() -> None:
    tree = read_rank([1, None], "x", children_of_lists)
    assert tree == ByIndex(list, ("[0]", "[1]"), (Core(1), UNMAPPED))


def test_leaves_and_is_mapped() -> None:
    tree = read_rank({"a": (1, "key"), "b": None}, "x", leafless)
    assert list(leaves_of(tree)) == [Core(1), Key(), UNMAPPED]
    assert is_mapped(tree)
    assert not is_mapped(read_rank({"a": None, "b": ()}, "x", leafless))


def test_positions() -> None:
    assert read_positions(-2, "out_axes", leafless) == Position(-2)
    assert plain(read_positions({"a": 1, "b": None}, "out_axes", leafless)) == {"a": 1, "b": None}
    with pytest.raises(SpecError, match=r"out_axes\['a'\]: got True of type bool; a position is"):
        read_positions({"a": True}, "out_axes", leafless)


class TestOptions:
    """`read_options`."""

    def test_the_defaults(self) -> None:
        assert read_options({}, "f", leafless) == Options()
        assert set(Options.__dataclass_fields__) == set(DEFAULTS)

    def test_one_name_is_a_tuple_of_one(self) -> None:
        assert read_options({"axis_name": "i"}, "f", leafless).axis_name == ("i",)

    def test_in_axes_by_position(self) -> None:
        found = read_options({"in_axes": (0, {"a": -1})}, "f", leafless).in_axes
        assert found == (Position(0), ByName((("a", Position(-1)),)))

    @pytest.mark.parametrize("axes", [None, [0], "x", 1.5], ids=str)
    def test_in_axes_of_no_form(self, axes: Any) -> None:
        with pytest.raises(SpecError, match="in_axes"):
            read_options({"in_axes": axes}, "f", leafless)


def spec(function: Any, *positional: Any, skip_first: bool = False, **named: Any) -> Spec:
    """The spec of a declaration."""
    declared = Declaration(positional, named)
    return read_spec(declared, inspect.signature(function), "f", leafless, skip_first)


class TestSpec:
    """`read_spec`."""

    def test_every_parameter_is_there(self) -> None:
        found = spec(lambda a, /, b, *c, d=1, **e: 0, 1, c=2, e={"z": 0})
        assert [(p.name, plain(p.rank)) for p in found.parameters] == [
            ("a", 1),
            ("b", None),
            ("c", 2),
            ("d", None),
            ("e", {"z": 0}),
        ]

    def test_which_parameter_takes_a_keyword(self) -> None:
        found = spec(lambda a, /, b, *, c, **d: 0)
        names = {name: found.parameter(name).name for name in ("a", "b", "c", "d", "z")}
        assert names == {"a": "d", "b": "b", "c": "c", "d": "d", "z": "d"}
        assert spec(lambda a: 0).parameter("z") is None
        assert spec(lambda: 0).parameter("z") is None

    def test_keywords_by_key(self) -> None:
        last = spec(lambda **kw: 0, kw={"a": 1}).parameters[-1]
        assert last.rank_of("a") == Core(1)
        assert last.rank_of("b") == UNMAPPED

    def test_skip_first(self) -> None:
        found = spec(lambda self, x: 0, 1, skip_first=True)
        assert [plain(p.rank) for p in found.parameters] == [None, 1]

    def test_in_axes_by_position_skip_it_too(self) -> None:
        found = spec(lambda self, x: 0, 1, in_axes=(-1,), skip_first=True)
        assert [plain(p.positions) for p in found.parameters] == [0, -1]

    def test_in_axes_by_name(self) -> None:
        found = spec(lambda x, y: 0, 1, 1, in_axes={"y": -1})
        assert [plain(p.positions) for p in found.parameters] == [0, -1]

    def test_it_hashes(self) -> None:
        assert hash(spec(lambda x: 0, {"a": 1})) == hash(spec(lambda x: 0, {"a": 1}))
