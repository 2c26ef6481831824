"""Core shapes as base ranks, anywhere in a rank tree: `R={"wxyz": "(4)"}`, `p="(3)"`."""

import pickle
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import AutoVmapError, CoreSizeError, RankError, SpecError, auto_vmap
from faults.saying import says
from spec.signatures.gufuncs import a_signature, split

pytestmark = pytest.mark.own


class Rotation(NamedTuple):
    """A quaternion, in a type of somebody else's."""

    wxyz: Any


def turned(R: Any, p: Any) -> Any:
    """A point, turned."""
    w, v = R.wxyz[0], R.wxyz[1:]
    return p + 2 * jnp.cross(v, jnp.cross(v, p) + w * p)


def distances(x: Any, y: Any) -> Any:
    """Squared distances of all points to all others."""
    return ((x[:, None] - y) ** 2).sum(-1)


def planned(function: Any, structs: Any) -> Any:
    """The plan's rows and layers, or the class of what is refused: dims may be dropped amiss."""
    try:
        plan = function.plan(*structs)
    except AutoVmapError as error:
        return type(error)
    return plan.args, plan.layers


rotate = auto_vmap(R={"wxyz": "(4)"}, p="(3)")(turned)
between = auto_vmap(x="(n,d)", y="(m, d)")(distances)


class TestSizes:
    """Fixed sizes are enforced; names agree, across arguments and leaves."""

    def test_batches_broadcast(self) -> None:
        rng = np.random.default_rng(0)
        q, p = rng.normal(size=(5, 1, 4)), rng.normal(size=(2, 3))
        found = rotate(Rotation(q), p)
        assert found.shape == (5, 2, 3)
        one = turned(Rotation(jnp.asarray(q[3, 0])), jnp.asarray(p[1]))
        np.testing.assert_allclose(found[3, 1], one, rtol=1e-6)

    def test_the_whole_message_of_a_fixed_size(self) -> None:
        with pytest.raises(CoreSizeError) as caught:  # noqa: PT011 - the whole text is below
            rotate(Rotation(jnp.ones((5, 3))), jnp.ones(3))
        assert str(caught.value) == (
            "turned(): a core dim of R.wxyz has the fixed size 4, but got 3\n"
            "  (4)\n"
            "   ^\n"
            "  R.wxyz: float32[5,3], base rank 1, batch shape (5,), core shape (3,)\n"
            "Pass an array of that core size"
        )

    def test_the_whole_message_of_a_name(self) -> None:
        with pytest.raises(CoreSizeError) as caught:  # noqa: PT011 - the whole text is below
            between(jnp.ones((5, 3)), jnp.ones((7, 4, 2)))
        assert str(caught.value) == (
            "distances(): inconsistent size for core dimension 'd': 3 in x and 2 in y\n"
            "  (n,d)\n"
            "     ^\n"
            "  (m, d)\n"
            "      ^\n"
            "  x: float32[5,3], base rank 2, batch shape (), core shape (5, 3)\n"
            "  y: float32[7,4,2], base rank 2, batch shape (7,), core shape (4, 2)\n"
            "Core dims with the same name must have the same size; they do not broadcast"
        )

    def test_names_agree_across_leaves_of_one_argument(self) -> None:
        total = auto_vmap(tree={"a": "(n)", "b": ("(n)", None)})(lambda tree: tree["a"].sum())
        assert total({"a": jnp.ones((5, 3)), "b": (jnp.ones(3), jnp.ones(9))}).shape == (5,)
        with pytest.raises(CoreSizeError, match=says("3 in tree['a'] and 4 in tree['b'][0]")):
            total({"a": jnp.ones((5, 3)), "b": (jnp.ones(4), jnp.ones(9))})

    def test_names_agree_with_a_signature(self) -> None:
        dot = auto_vmap("(n),(n)->()", w="(n)")(lambda x, y, *, w: (x * y * w).sum())
        assert dot(jnp.ones(3), jnp.ones((2, 3)), w=jnp.ones((5, 1, 3))).shape == (5, 2)
        with pytest.raises(CoreSizeError, match="'n': 3 in x and 4 in w"):
            dot(jnp.ones(3), jnp.ones(3), w=jnp.ones(4))

    def test_one_shape_covers_every_leaf(self) -> None:
        total = auto_vmap(tree="(n)")(lambda tree: sum(leaf.sum() for leaf in tree))
        assert total((jnp.ones((5, 3)), jnp.ones(3))).shape == (5,)
        with pytest.raises(CoreSizeError, match=says("3 in tree[0] and 4 in tree[1]")):
            total((jnp.ones(3), jnp.ones(4)))

    def test_too_few_dims(self) -> None:
        with pytest.raises(RankError, match=says("for all core dimensions (n, d)")):
            between(jnp.ones(3), jnp.ones((4, 3)))

    @pytest.mark.parametrize("way", ["jit", "loop", "chunk", "plan"])
    def test_every_way_checks(self, way: str) -> None:
        function = {
            "jit": rotate.jit(),
            "loop": rotate.loop(),
            "chunk": rotate.chunk(2),
            "plan": rotate.plan,
        }[way]
        function(Rotation(jnp.ones((5, 4))), jnp.ones(3))
        with pytest.raises(CoreSizeError, match="fixed size 3, but got 2"):
            function(Rotation(jnp.ones((5, 4))), jnp.ones(2))


class TestOptional:
    """`?`: dropped from everything where an operand has too few dims, as in signatures."""

    def test_dropped_together(self) -> None:
        matmul = auto_vmap(a="(m?,n)", b="(n,p?)")(jnp.matmul)
        assert matmul(jnp.ones((5, 2, 3)), jnp.ones((3, 4))).shape == (5, 2, 4)
        assert matmul(jnp.ones(3), jnp.ones((5, 3, 4))).shape == (5, 4)
        assert matmul(jnp.ones(3), jnp.ones(3)).shape == ()

    def test_optional_in_one_place_alone_is_refused(self) -> None:
        with pytest.raises(SpecError, match="'n' is optional") as caught:
            auto_vmap(x="(n?,d)", y="( n)")(distances)
        assert "\n  (n?,d)\n   ^\n  ( n)\n    ^\n" in str(caught.value)


class TestReading:
    """What is a core shape, and what else a string may be."""

    @pytest.mark.parametrize(
        ("text", "at", "why"),
        [
            ("(n", 2, "expected ')'"),
            ("(n))", 3, "expected its end"),
            ("(n,d),(d)", 5, "one argument or leaf"),
            ("(n)->()", 3, "expected its end"),
            ("(n|1)", 2, "NEP 20 defers it"),
            ("(0)", 1, "a positive number"),
            (" (n d)", 4, "expected ')'"),
        ],
    )
    def test_a_malformed_one_gets_a_caret(self, text: str, at: int, why: str) -> None:
        with pytest.raises(SpecError, match=says(why)) as caught:
            auto_vmap(x={"a": text})(lambda x: x)
        assert f"\n  {text}\n  {' ' * at}^\n" in str(caught.value)
        assert str(caught.value).startswith("<lambda>(): base rank x['a']: not a valid core shape")

    def test_without_parentheses(self) -> None:
        with pytest.raises(SpecError, match=says("got 'n' of type str", 'core shape like "(n,3)"')):
            auto_vmap(x="n")(lambda x: x)

    def test_by_position_a_lone_string_is_a_signature(self) -> None:
        with pytest.raises(SpecError, match=says("expected '->'", "name it: x='(n)'")):
            auto_vmap("(n)")(lambda x: x)
        assert auto_vmap("(n)", "(n,m)")(jnp.matmul).ranks == {"a": "(n)", "b": "(n,m)"}
        assert auto_vmap("key", "(2)")(lambda a, b: b).ranks == {"a": "key", "b": "(2)"}

    def test_an_empty_one(self) -> None:
        assert auto_vmap(x="()")(jnp.sin)(jnp.ones((2, 3))).shape == (2, 3)


class TestRoundTrip:
    """`f.ranks` and `f.signature` print what can be given again."""

    @pytest.mark.parametrize("function", [rotate, between], ids=["rotate", "between"])
    def test_ranks(self, function: Any) -> None:
        again = auto_vmap(**eval(repr(function.ranks)))(function.__wrapped__)
        assert again == function
        assert again.ranks == function.ranks
        assert pickle.loads(pickle.dumps(again)) == function

    def test_repr_and_docstring(self) -> None:
        assert repr(rotate) == "<auto_vmap(R={'wxyz': '(4)'}, p='(3)') of turned>"
        assert "``R={'wxyz': '(4)'}, p='(3)'``" in str(rotate.__doc__)

    def test_signature(self) -> None:
        assert rotate.signature is None
        assert between.signature == "(n,d),(m,d)->..."
        again = auto_vmap(between.signature)(distances)
        assert again.signature == between.signature
        with pytest.raises(CoreSizeError, match="'d': 3 in x and 2 in y"):
            again(jnp.ones((5, 3)), jnp.ones((4, 2)))

    def test_the_plan_names_the_dims(self) -> None:
        structs = [jax.ShapeDtypeStruct(s, "float32") for s in [(5, 3), (7, 4, 3)]]
        assert "n=5, d=3" in str(between.plan(*structs))

    @given(st.randoms(use_true_random=False))
    def test_core_shapes_mean_what_the_signature_means(self, rng: Any) -> None:
        signature = a_signature(rng)
        inputs, _ = split(signature)
        names = "xyz"[: len(inputs)]
        function = eval(f"lambda {', '.join(names)}: x")
        shapes = {n: f"({','.join(dims)})" for n, dims in zip(names, inputs, strict=True)}
        one = auto_vmap(signature.partition("->")[0] + "->...")(function)
        other = auto_vmap(ranks=shapes)(function)
        assert other.ranks == shapes
        sizes = {dim: rng.choice([2, 3]) for dim in "mnp"} | {"2": 2, "3": 3}
        gone = {dim for dim in sizes if rng.random() < 0.2}
        structs = [
            jax.ShapeDtypeStruct(
                tuple(sizes[d.strip("?")] for d in dims if not (d.endswith("?") and d[0] in gone)),
                "float32",
            )
            for dims in inputs
        ]
        assert planned(one, structs) == planned(other, structs)
