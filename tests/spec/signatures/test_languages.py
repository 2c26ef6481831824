"""One spec, several ways to say it: what is printed, what `f.signature` and `f.ranks` give back."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap, like
from autovmap.compat.jax import vectorize
from faults.saying import says

pytestmark = pytest.mark.own


def three(x: Any, y: Any = None, z: Any = None) -> Any:
    """A function of three arguments."""
    return x, y, z


class Line:
    """A class whose methods leave `self` out of a signature."""

    slope = 2.0

    @auto_vmap("(n),(n)->()")
    def at(self, x: Any, y: Any) -> Any:
        """Two vectors and a number of the object."""
        return self.slope * (x @ y)

    @staticmethod
    @auto_vmap("(n)->()")
    def total(x: Any) -> Any:
        """A static method."""
        return x.sum()

    @auto_vmap("(n)->()")
    @classmethod
    def scaled(cls, x: Any) -> Any:
        """A class method."""
        return cls.slope * x.sum()


class TestSignature:
    """`f.signature`: what was given, or ranks with dims named in order."""

    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ("(m?,n),(n,p?)->(m?,p?)", "(m?,n),(n,p?)->(m?,p?)"),
            (" ( n ) , ( 3 ) -> ( ) , ( k ) ", "(n),(3)->(),(k)"),
            ("()->()", "()->()"),
        ],
    )
    def test_what_was_given_without_blanks(self, given: str, wanted: str) -> None:
        found = auto_vmap(given)(three).signature
        assert found == wanted
        assert auto_vmap(found)(three).signature == wanted

    @pytest.mark.parametrize(
        ("ranks", "wanted"),
        [
            ((0, 2), "(),(a,b)->..."),
            ((1, 1, 1), "(a),(b),(c)->..."),
            ((0,), "()->..."),
            ((30,), f"({','.join(map(chr, range(97, 123)))},a1,b1,c1,d1)->..."),
        ],
    )
    def test_ranks_get_dims_of_different_names(self, ranks: Any, wanted: str) -> None:
        assert auto_vmap(*ranks)(three).signature == wanted

    @pytest.mark.parametrize(
        "decorator",
        [
            auto_vmap(x={"a": 1}),
            auto_vmap(x="key"),
            auto_vmap(x=(0, 1)),
            auto_vmap(x=like({"a": jnp.ones(3)})),
            auto_vmap(y=1),
            auto_vmap(x=0, z=1),
        ],
        ids=["dict", "key", "tuple", "like", "behind", "between"],
    )
    def test_none_where_ranks_cannot_be_said_so(self, decorator: Any) -> None:
        assert decorator(three).signature is None

    def test_none_where_a_rank_is_reached_by_keyword_alone(self) -> None:
        assert auto_vmap(x=1, y=0)(lambda x, *, y: x).signature is None
        assert auto_vmap(x=1)(lambda *x: x).signature is None
        assert auto_vmap(x=1)(lambda **x: x).signature is None

    @pytest.mark.parametrize("ranks", [(0, 2), ("(n,3)", 1), ("(n?,d)", "(m,d)")], ids=str)
    def test_a_signature_of_ranks_can_be_given_again(self, ranks: tuple[Any, ...]) -> None:
        found = auto_vmap(*ranks)(three).signature
        assert found is not None
        again = auto_vmap(found)(three)
        assert again.signature == found
        assert auto_vmap(found.replace("...", "()"))(three).signature == found[:-3] + "()"

    def test_dots_say_nothing_of_the_result(self) -> None:
        pair = auto_vmap("(n) -> ...")(lambda x: {"a": x, "b": x.sum()})
        found = pair(jnp.ones((5, 3)))
        assert (found["a"].shape, found["b"].shape) == ((5, 3), (5,))
        assert pair.plan(jnp.ones((5, 3))).code()
        for text, at in (("(n)->...,()", "(n)->..."), ("...->(n)", "")):
            with pytest.raises(SpecError, match=says("\n  " + " " * len(at) + "^")):
                auto_vmap(text)(three)

    def test_numpy_knows_no_dots_for_the_outputs(self) -> None:
        with pytest.raises(SpecError, match="to open an operand's core dims"):
            vectorize(three, signature="(n)->...")


class TestRanks:
    """`f.ranks`: a signature as base ranks, which `auto_vmap` takes again."""

    @pytest.mark.parametrize(
        ("signature", "ranks"),
        [
            ("(m,n),(n)->(m)", {"x": 2, "y": 1}),
            ("(m?,n),(n,p?),()->()", {"x": 2, "y": 2, "z": 0}),
            ("(3)->(3)", {"x": 1}),
        ],
    )
    def test_operands_by_parameter(self, signature: str, ranks: dict[str, int]) -> None:
        found = auto_vmap(signature)(three).ranks
        assert found == ranks
        assert auto_vmap(**found)(three).ranks == ranks

    def test_ranks_and_signature_give_the_same_plan(self) -> None:
        args = [jax.ShapeDtypeStruct(s, "float32") for s in [(5, 1, 2, 3), (4, 3)]]
        said = auto_vmap("(m,n),(n)->(m)")(three)
        one, other = said.plan(*args), auto_vmap(**said.ranks)(three).plan(*args)
        assert one.batch_shape == other.batch_shape == (5, 4)
        assert one.layers == other.layers

    def test_what_the_signature_does_not_cover_may_be_ranked_by_name(self) -> None:
        found = auto_vmap("(n)->()", z="key")(three)
        assert found.ranks == {"x": 1, "z": "key"}
        assert found.signature == "(n)->()"

    def test_values_of_args_have_a_rank_each(self) -> None:
        found = auto_vmap("(n),(),(n)->()")(lambda *xs: xs[0] @ xs[2] * xs[1])
        assert found.ranks == {"xs": (1, 0, 1)}
        assert repr(found.ranks["xs"]) == "per_value(1, 0, 1)"
        assert found(jnp.ones((5, 3)), 2.0, jnp.ones(3)).shape == (5,)

    def test_ranks_of_args_are_taken_again(self) -> None:
        args = (jnp.ones((5, 3)), 2.0, jnp.ones(3))
        for said in (
            auto_vmap("(n),(),(n)->()")(weighted),
            vectorize(weighted, excluded={1}),
            vectorize(weighted),
        ):
            again = auto_vmap(**said.ranks)(weighted)
            for other in (again, pickle.loads(pickle.dumps(again))):
                assert other.ranks == said.ranks
                assert other.plan(*args).layers == said.plan(*args).layers

    def test_values_of_args_that_are_alike_have_one_rank(self) -> None:
        assert vectorize(weighted).ranks == {"xs": 0}
        assert repr(vectorize(weighted, excluded={1}).ranks) == (
            "{'xs': per_value(0, None, further=0)}"
        )

    def test_a_plain_tuple_for_args_ranks_a_tuple(self) -> None:
        found = auto_vmap(xs=(1, 0))(lambda *xs: sum(x[0].sum() * x[1] for x in xs))
        pair = (jnp.ones((5, 3)), 2.0)
        assert found(pair, pair, pair).shape == (5,)

    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_values_of_args_are_as_many_as_the_operands(self, count: int) -> None:
        found = auto_vmap("(n),(),(n)->()")(lambda *xs: xs[0].sum())
        with pytest.raises(SpecError, match=rf"positional arguments: expected 3,\sgot {count}"):
            found(*[jnp.ones(3)] * count)


def weighted(*xs: Any) -> Any:
    return xs[1] * (xs[0] * xs[2])


class TestPrinted:
    """What a decorated function prints as."""

    @pytest.mark.parametrize(
        ("decorator", "wanted"),
        [
            (auto_vmap(" (m, n), (n) -> (m)"), "<auto_vmap('(m,n),(n)->(m)') of three>"),
            (auto_vmap(0, y=2), "<auto_vmap(x=0, y=2) of three>"),
            (auto_vmap("key"), "<auto_vmap(x='key') of three>"),
            (auto_vmap("(n)->()", y={"a": 1}), "<auto_vmap('(n)->()', y={'a': 1}) of three>"),
            (vectorize(signature="(n),()->()"), "<auto_vmap('(n),()->()') of three>"),
            (vectorize(excluded={1, "z"}), "<auto_vmap(x=0) of three>"),
        ],
    )
    def test_as_the_declaration(self, decorator: Any, wanted: str) -> None:
        assert repr(decorator(three)) == wanted

    def test_a_plan_names_the_core_dims(self) -> None:
        matmul = auto_vmap("(m?,n),(n,p?)->(m?,p?)")(jnp.matmul)
        plan = matmul.plan(jnp.ones(3), jnp.ones((5, 3, 2)))
        rows = {line.split()[0]: line.split("|")[1].strip() for line in str(plan).splitlines()[2:5]}
        assert rows == {"a": "n=3", "b": "n=3, p=2", "result": "p=2"}


class TestWhatASignatureIsAskedFor:
    """A signature against the function's parameters, when it is decorated."""

    def test_more_operands_than_parameters(self) -> None:
        with pytest.raises(SpecError, match=says("4 operands", "3 positional", "x, y, z")):
            auto_vmap("(),(),(),()->()")(three)

    def test_a_parameter_ranked_twice(self) -> None:
        with pytest.raises(SpecError, match="'x' is ranked by the signature and by name"):
            auto_vmap("(n)->()", x=1)(three)

    def test_a_signature_stands_alone_by_position(self) -> None:
        for ranks in [("(n)->()", 0), (0, "(n)->()")]:
            with pytest.raises(
                SpecError, match=says("'(n)->()' must be the only positional argument", "by name")
            ):
                auto_vmap(*ranks)(three)

    def test_a_lone_word_is_no_signature(self) -> None:
        assert auto_vmap("key")(three).ranks == {"x": "key"}
        with pytest.raises(SpecError, match="got 'n' of type str"):
            auto_vmap("n")(three)

    def test_keyword_only_parameters_take_no_operand(self) -> None:
        with pytest.raises(SpecError, match=says("2 operands", "1 positional")):
            auto_vmap("(),()->()")(lambda x, *, y: x)

    def test_in_a_class_body_it_skips_self(self) -> None:
        x = jnp.ones((5, 3))
        np.testing.assert_array_equal(Line().at(x, jnp.ones(3)), [6.0] * 5)
        np.testing.assert_array_equal(Line.scaled(x), [6.0] * 5)
        assert Line.total(x).shape == (5,)
        assert Line().at.signature == Line.at.signature == "(n),(n)->()"
        assert Line.at.ranks == {"x": 1, "y": 1}

    def test_options_go_with_a_signature(self) -> None:
        function = auto_vmap("(n)->(n)", out_axes=-1)(lambda x: 2 * x)
        assert function(jnp.ones((5, 3))).shape == (3, 5)

    def test_it_pickles(self) -> None:
        found = pickle.loads(pickle.dumps(auto_vmap("(n),()->()")(three)))
        assert found.signature == "(n),()->()"
        assert found.ranks == {"x": 1, "y": 0}
