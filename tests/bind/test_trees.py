"""`autovmap._bind.trees`: a declaration against an argument."""

from collections import UserDict
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import GetAttrKey

from autovmap import SpecError, auto_vmap, like
from autovmap._bind.match import match
from autovmap._bind.trees import flatten, one_level
from autovmap._spec.ranks import UNMAPPED, Core, plain
from autovmap._spec.reading import read_rank

pytestmark = pytest.mark.python


class Pair(NamedTuple):
    """A named tuple."""

    w: Any
    b: Any


class Fields(UserDict[str, Any]):
    """A mapping for Python, whose children are fields for JAX, as chex makes dataclasses."""


class Values(UserDict[str, Any]):
    """A mapping for Python, whose children have no names for JAX, as haiku's are."""


jax.tree_util.register_pytree_with_keys(
    Fields,
    lambda x: ([(GetAttrKey(name), x[name]) for name in x], tuple(x)),
    lambda names, children: Fields(zip(names, children, strict=True)),
)
jax.tree_util.register_pytree_node(
    Values,
    lambda x: (tuple(x.values()), tuple(x)),
    lambda names, children: Values(zip(names, children, strict=True)),
)


@pytest.mark.parametrize("cls", [Fields, Values])
def test_like_a_mapping_that_jax_takes_for_another_node(cls: type[Any]) -> None:
    example = cls(w=jnp.ones((2, 3)), b=jnp.ones(2))
    batch = cls(w=jnp.ones((5, 2, 3)), b=jnp.ones((4, 1, 2)))
    for model in (example, batch):
        ranks = [tree for _, tree, _ in match(like(example), model, "m", "f()")]
        assert ranks == [Core(2), Core(1)]
    ranked = auto_vmap(m=like(example))(lambda m: m["w"].sum() + m["b"].sum())
    assert ranked(batch).shape == (4, 5)
    assert ranked.chunk(3)(batch).shape == (4, 5)


def test_one_level() -> None:
    assert one_level(Pair(1, [2])) == [(".w", 1), (".b", [2])]
    assert one_level([1, None]) == [("[0]", 1), ("[1]", None)]
    assert one_level(()) == []
    for leaf in (1, None, "a", np.ones(2)):
        assert one_level(leaf) is None


class TestLike:
    """`like(example)`."""

    @pytest.mark.parametrize(
        ("example", "ranks"),
        [
            (np.ones((2, 3)), 2),
            (1.5, 0),
            (jax.ShapeDtypeStruct((4,), jnp.float32), 1),
            (jax.random.key(0), 0),
            (None, None),
            ("text", None),
            (jnp.tanh, None),
            ({"b": [1, jnp.ones(2)], "a": None}, {"a": None, "b": [0, 1]}),
            (Pair(jnp.ones(3), "x"), {"w": 1, "b": None}),
        ],
        ids=["array", "number", "struct", "key", "None", "text", "function", "dict", "named"],
    )
    def test_ranks(self, example: Any, ranks: Any) -> None:
        assert plain(like(example)) == ranks

    def test_of_a_module(self) -> None:
        mlp = eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(0))
        found = {path: tree for path, tree, _ in match(like(mlp), mlp, "m", "f()")}
        assert found["m.layers[0].weight"] == Core(2)
        assert found["m.layers[1].bias"] == Core(1)
        assert found["m.activation"] == UNMAPPED

    def test_is_hashable_and_holds_no_array(self) -> None:
        tree = like({"a": jnp.ones(2)})
        assert hash(tree) == hash(like({"a": jnp.zeros(2)}))


class TestMatch:
    """`match` gives a row for each of JAX's leaves, in JAX's order."""

    @pytest.mark.parametrize(
        "value",
        [
            {"b": 1, "a": [2, None, Pair(3, 4)]},
            Pair({"z": 1, "y": 2}, ()),
            [[], [1], {}],
            eqx.nn.Linear(2, 2, key=jax.random.key(0)),
        ],
        ids=["dict", "named", "list", "module"],
    )
    def test_rows(self, value: Any) -> None:
        flat = jax.tree_util.tree_flatten_with_path(value)[0]
        expected = [("x" + jax.tree_util.keystr(keys), Core(1), False) for keys, _ in flat]
        assert match(Core(1), value, "x", "f()") == expected
        rows = match(like(value), value, "x", "f()")
        assert [path for path, _, _ in rows] == [path for path, _, _ in expected]

    def test_a_whole_argument(self) -> None:
        assert match(Core(1), 1.0, "x", "f()") == [("x", Core(1), True)]
        assert match(Core(1), None, "x", "f()") == []

    def test_mixed_keys_of_a_spec(self) -> None:
        tree = read_rank({1: 0, "a": 1}, "x", one_level)
        with pytest.raises(SpecError, match=r"(?s)keys of x differ.*\['a'\] declared but absent"):
            match(tree, {1: 2.0}, "x", "f()")


class Unflattenable:
    """A node that JAX can't flatten, for a reason of its own."""


jax.tree_util.register_pytree_node(
    Unflattenable, lambda node: (_ for _ in ()).throw(ValueError("its own reason")), lambda *_: None
)


class TestFlatten:
    """`flatten` names what JAX can't flatten."""

    def test_what_it_can(self) -> None:
        leaves, treedef = flatten({"x": [1, 2], "y": None}, "f")
        assert leaves == [1, 2]
        assert treedef == jax.tree.structure([[1, 2], None])

    def test_keys_that_can_not_be_sorted(self) -> None:
        with pytest.raises(SpecError, match=r"f\(\): the keys of y\[0\]\['a'\] can't be sorted"):
            flatten({"x": 1, "y": [{"a": {1: 1, "b": 2}}]}, "f")

    def test_anything_else_keeps_its_error(self) -> None:
        with pytest.raises(ValueError, match="its own reason"):
            flatten({"x": Unflattenable()}, "f")
