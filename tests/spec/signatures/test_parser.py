"""The grammar of gufunc signatures: read as NumPy's own parser reads it, refused with a caret."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import SpecError
from autovmap._spec.gufunc import Gufunc, caret, read_gufunc
from faults.saying import says
from spec.signatures.gufuncs import Dims, a_signature, numpy_reads, split
from strategies import cases

pytestmark = pytest.mark.own

SEEDS = [
    "(m?,n),(n,p?)->(m?,p?)",
    "(),()->()",
    "(3),(3)->(3)",
    "(n,m),(m)->(n),()",
    " ( alpha_1 , beta ) , ( ) -> ( beta , 12 ? ) ",
    "->(n)",
]


def pointed_at(error: SpecError, text: str) -> int:
    """The place in the text under which a message has its caret."""
    lines = str(error).splitlines()
    (row,) = (i for i, line in enumerate(lines) if line.strip() == "^")
    shown = lines[row - 1]
    assert shown[:2] == "  "
    assert len(shown) == len(text) + 2
    return lines[row].index("^") - 2


def refused(text: str) -> SpecError:
    """The error that a text is refused with."""
    with pytest.raises(SpecError, match="not a valid gufunc signature") as caught:
        read_gufunc(text)
    return caught.value


def sides(found: Gufunc) -> tuple[list[Dims], list[Dims]]:
    """The dims of both sides as they are written."""
    inputs, outputs = ([tuple(map(str, dims)) for dims in s] for s in (found.inputs, found.outputs))
    return inputs, outputs


def numbered(parts: tuple[list[Dims], list[Dims]]) -> tuple[list[Dims], list[Dims]]:
    """Names replaced by their numbers in order of appearance, as NumPy's parser has them."""
    numbers: dict[str, int] = {}

    def number(dim: str) -> str:
        name, mark = dim.rstrip("?"), "?" * dim.endswith("?")
        i = numbers.setdefault(name, len(numbers))
        return (name if name.isdigit() else f"d{i}") + mark

    inputs, outputs = ([tuple(map(number, dims)) for dims in side] for side in parts)
    return inputs, outputs


class TestGrammar:
    """What is read, and what it is read as."""

    @pytest.mark.parametrize(
        ("text", "inputs", "outputs"),
        [
            ("()->()", [()], [()]),
            ("->()", [], [()]),
            ("(n)->(n),()", [("n",)], [("n",), ()]),
            ("(m?,n),(n,p?)->(m?,p?)", [("m?", "n"), ("n", "p?")], [("m?", "p?")]),
            ("(3),(3)->(3)", [("3",), ("3",)], [("3",)]),
            ("(3?),(03?)->(3?)", [("3?",), ("3?",)], [("3?",)]),
            ("(n)->(m)", [("n",)], [("m",)]),
            ("(n,n)->()", [("n", "n")], [()]),
            ("(_a1,B)->(B)", [("_a1", "B")], [("B",)]),
            ("(größe)->()", [("größe",)], [()]),
            ("(key),(if)->()", [("key",), ("if",)], [()]),
        ],
    )
    def test_what_is_read(self, text: str, inputs: list[Dims], outputs: list[Dims]) -> None:
        assert sides(read_gufunc(text)) == (inputs, outputs)

    def test_blanks_stand_anywhere_but_within_a_name(self) -> None:
        text = "\t( m ? , n ) ,\n( n , 3 )  ->  ( m ? , 3 ) , ( ) "
        assert str(read_gufunc(text)) == "(m?,n),(n,3)->(m?,3),()"
        assert pointed_at(refused("(m n)->()"), "(m n)->()") == 3
        assert pointed_at(refused("(n)- >()"), "(n)- >()") == 3

    def test_a_dim_knows_its_place(self) -> None:
        text = " (alpha , 3) -> (alpha)"
        found = read_gufunc(text)
        places = [dim.at for dims in (*found.inputs, *found.outputs) for dim in dims]
        assert places == [2, 10, 17]
        assert found.text == text

    def test_place_is_no_part_of_what_a_dim_is(self) -> None:
        assert read_gufunc("( n)->()").inputs == read_gufunc("(n)->()").inputs

    @pytest.mark.parametrize("seed", range(5))
    def test_as_numpy_reads_it(self, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(200):
            text = a_signature(rng)
            ours = sides(read_gufunc(text))
            assert ours == split(text), text
            assert numbered(ours) == numpy_reads(text), text
            assert str(read_gufunc(text)) == text


class TestRefused:
    """Each mistake is shown where it stands, with what was expected there."""

    @pytest.mark.parametrize(
        ("text", "at", "words"),
        [
            ("", 0, "'('"),
            ("(n)", 3, "'->'"),
            ("(n)->", 5, "'('"),
            ("(n),->()", 4, "'('"),
            ("(n)->(n),", 9, "'('"),
            ("(n,)->()", 3, "the name or the size"),
            ("(,n)->()", 1, "the name or the size"),
            ("((n))->()", 1, "the name or the size"),
            ("(-1)->()", 1, "the name or the size"),
            ("(²)->()", 1, "the name or the size"),
            ("(٣)->()", 1, "the name or the size"),
            ("(a.b)->()", 2, "')'"),
            ("(3n)->()", 2, "')'"),
            ("(1_0)->()", 2, "')'"),
            ("(n??)->()", 3, "')'"),
            ("(?n)->()", 1, "the name or the size"),
            ("(n", 2, "')'"),
            ("n->n", 0, "'('"),
            ("(n)(m)->()", 3, "'->'"),
            ("(n)->(n)->(n)", 8, "the end"),
            ("(n)->(n)#", 8, "the end"),
            ("(n)=>(n)", 3, "'->'"),
            ("(n)->...", 5, "'('"),
            ("(n?),(n)->()", 6, "'n' is optional"),
            ("(n),(m)->(n?)", 10, "'n' is optional"),
            ("(3),(3?)->()", 5, "'3' is optional"),
            ("(3?),(03)->()", 6, "is optional"),
            ("(n),(0)->()", 5, "positive number"),
            ("(" + "9" * 19 + ")->()", 1, "at most 18 digits"),
            ("(" + "9" * 5000 + ")->()", 1, "at most 18 digits"),
        ],
    )
    def test_the_place_and_what_was_expected(self, text: str, at: int, words: str) -> None:
        error = refused(text)
        assert pointed_at(error, text) == at
        assert words in str(error)

    @pytest.mark.parametrize(("text", "at"), [("(n|1)->()", 2), ("(m),(n?|1)->()", 7)])
    def test_a_dim_that_stretches_is_refused_with_the_reason(self, text: str, at: int) -> None:
        with pytest.raises(SpecError, match=says("|1", "NEP 20 defers it")) as caught:
            read_gufunc(text)
        assert pointed_at(caught.value, text) == at

    def test_the_whole_message(self) -> None:
        assert str(refused("(m,n),(n->(m)")) == (
            "not a valid gufunc signature: expected ')' to close an operand's core dims\n"
            "  (m,n),(n->(m)\n"
            "          ^\n"
            "A signature is written as for NumPy's gufuncs: (m,n),(n)->(m), where () is a scalar"
        )

    def test_the_caret_stands_under_its_place_in_a_text_of_several_lines(self) -> None:
        assert caret("(n)\n->\t(m", 7) == "  (n) -> (m\n         ^"


JUNK = "()()(),,->?|123 0nmpé_²٣\t\n\x00\x1c.*[]{}'\"\\\u200b😀"


def mutated(rng: random.Random, seeds: list[str]) -> str:
    """A text with a few places changed."""
    text = rng.choice(seeds)
    for _ in range(rng.randint(1, 6)):
        i, j = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:i] + rng.choice(JUNK) + text[i:]
        elif kind == 1:
            text = text[:i] + text[i + 1 :]
        elif kind == 2:
            text = text[:i] + rng.choice(JUNK) + text[i + 1 :]
        elif kind == 3:
            text = text[:j] + text[i:j] * rng.randint(0, 3) + text[j:]
        else:
            text = text[:i] + rng.choice(seeds)[i:]
    return text


def a_result_or_an_error_with_a_caret(text: str) -> bool:
    """Whether the text is read; where it is not, the caret stands in it."""
    try:
        found = read_gufunc(text)
    except SpecError as caught:
        error = caught
    else:
        assert read_gufunc(str(found)) == Gufunc(str(found), found.inputs, found.outputs), text
        return True
    assert 0 <= pointed_at(error, text) <= len(text), text
    return False


class TestFuzz:
    """Whatever the text: a result or a SpecError with a caret, and in no time."""

    def test_ten_thousand_mutations(self) -> None:
        rng = random.Random(0)
        texts = [mutated(rng, SEEDS) for _ in range(10_000)]
        start = time.perf_counter()
        read = sum(map(a_result_or_an_error_with_a_caret, texts))
        assert time.perf_counter() - start < 60
        assert 200 < read < 9_800, "the mutations are of both kinds"

    def test_what_numpy_reads_is_read_alike(self) -> None:
        """The other way round ours takes more: blanks before `?` and names beyond ASCII."""
        rng = random.Random(1)
        compared = 0
        for text in (mutated(rng, SEEDS) for _ in range(10_000)):
            # NumPy's parser stops at NUL, and takes a text that ends before the arrow.
            wanted = numpy_reads(text) if "->" in text and "\x00" not in text else None
            if wanted is not None:
                assert numbered(sides(read_gufunc(text))) == wanted, text
                compared += 1
        assert compared > 200

    @cases()
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        a_result_or_an_error_with_a_caret(text)

    @pytest.mark.parametrize("part", [*"(n \n?9-", "(n),", "->", "()", "(n,"])
    def test_a_long_text_takes_no_long_time(self, part: str) -> None:
        start = time.perf_counter()
        for text in (part * 20_000, "()->()" + part * 20_000, "(n" + part * 20_000):
            a_result_or_an_error_with_a_caret(text)
        assert time.perf_counter() - start < 60
