"""The parser: what it reads, what it refuses, and that nothing makes it fail otherwise."""

import random
from typing import Any

import pytest

from autovmap import AutoVmapError, SpecError, named_vmap
from autovmap._named.notation import Pattern, text_of
from autovmap._named.plan import make_pattern_plan
from autovmap._named.rules import read_pattern
from autovmap._named.sizes import Given
from autovmap._plan.leaf import Leaf
from autovmap._spec.options import Options

pytestmark = pytest.mark.own

REFUSED = [
    ("a b", "no `->`", "  a b\n     ^"),
    ("a -> b -> c", "more than one `->`", "  a -> b -> c\n         ^^"),
    ("a + b -> a", r"`\+`, einx's concatenation", "  a + b -> a\n    ^"),
    ("(a + b) -> a", r"`\+`", "  (a + b) -> a\n     ^"),
    ("a? -> a", "has no meaning", "  a? -> a\n   ^"),
    ("(a -> a", r"opens '\(' and does not close it", "  (a -> a\n  ^"),
    ("a) -> a", r"closes '\)', which is not open", "  a) -> a\n   ^"),
    ("[a) -> a", r"closes '\[' with '\)'", "  [a) -> a\n  ^ ^"),
    ("a[b] -> a", "needs a space", "  a[b] -> a\n  ^^"),
    ("3a -> a", "needs a space", "  3a -> a\n  ^^"),
    ("a [b] -> b", "'b' in brackets and outside", "  a [b] -> b\n     ^     ^"),
    ("a -> a a", "'a' twice in one result", "  a -> a a\n       ^ ^"),
    ("a 3 -> a", "the number 3 as a batch axis", "  a 3 -> a\n    ^"),
    ("a a... -> a", "with an ellipsis and without", "  a a... -> a\n  ^ ^^^^    ^"),
    ("(a...)... -> a", "ellipsis inside an ellipsis", "  (a...)... -> a\n   ^^^^"),
    ("3... -> ", "repeats something that has no name", "  3... -> \n  ^^^^"),
    ("[...] [...] -> ", r"\[\.\.\.\] twice", "  [...] [...] -> \n   ^^^   ^^^"),
    ("([...]) -> ", "in a composition of an argument", "  ([...]) -> \n    ^^^"),
    ("9999999999999999999 -> ", "too large to be a size", None),
    ("(" * 40 + ")" * 40 + " ->", "nested more than 32 deep", None),
]


@pytest.mark.parametrize(("text", "said", "shown"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(text: str, said: str, shown: str | None) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        read_pattern(text)
    assert "^" in str(caught.value)
    if shown is not None and "with an ellipsis" not in said:
        assert str(caught.value).endswith(shown)


@pytest.mark.parametrize(
    ("text", "inputs", "outputs"),
    [
        ("a b [c d], a [c] -> b [c] a", ["a b [c d]", "a [c]"], ["b [c] a"]),
        ("a [b -> c]", ["a [b]"], ["a [c]"]),
        ("a [b, c -> d] e", ["a [b] e", "a [c] e"], ["a [d] e"]),
        ("b [c], b [c -> d]", ["b [c]", "b [c]"], ["b [c]", "b [d]"]),
        ("(a [b]) c... -> [...] c...", ["(a [b]) c..."], ["[...] c..."]),
        ("->", [""], [""]),
        ("a,->a", ["a", ""], ["a"]),
        ("  a\t[ b\n3 ]  ->a  ", ["a [b 3]"], ["a"]),
    ],
)
def test_read(text: str, inputs: list[str], outputs: list[str]) -> None:
    pattern = read_pattern(text)
    assert [text_of(nodes) for nodes in pattern.inputs] == inputs
    assert [text_of(nodes) for nodes in pattern.outputs] == outputs


@pytest.mark.parametrize("given", [None, 3, ["a"], len])
def test_a_pattern_is_a_string(given: Any) -> None:
    with pytest.raises(SpecError, match="give a pattern"):
        named_vmap(given)


SEEDS = [
    "a b [c d], a [c] -> b [c] a",
    "(a b) c, (c a) -> (b a c)",
    "e [...], b [n] -> e b [...]",
    "a... [b -> c], ... -> a... ...",
    "((a b) [c])... 1 () -> a... [3]",
]
PIECES = [
    *"ab1 9[](),.+->|?é²\n\t\0_",
    "->",
    "...",
    "[",
    "]",
    "(",
    ")",
    " a ",
    "[b]",
    "a...",
    "\U0001d4b3",
]


def mutated(rng: random.Random) -> str:
    text = rng.choice(SEEDS)
    for _ in range(rng.randint(1, 6)):
        i, j = sorted(rng.randint(0, len(text)) for _ in range(2))
        match rng.randint(0, 3):
            case 0:
                text = text[:i] + rng.choice(PIECES) + text[i:]
            case 1:
                text = text[:i] + text[i + 1 :]
            case 2:
                text = text[:i] + text[i:j] * 2 + text[j:]
            case _:
                text = text[:i] + rng.choice(PIECES) + text[j:]
    return text


def last_line_of_the_error(text: str) -> str | None:
    """What points at the mistake, or None where there is none."""
    try:
        assert isinstance(read_pattern(text), Pattern)
    except SpecError as error:
        return str(error).splitlines()[-1]
    return None


def test_mutated_patterns_give_a_pattern_or_a_caret() -> None:
    rng = random.Random(0)
    lines = [last_line_of_the_error(mutated(rng)) for _ in range(10_000)]
    assert all("^" in line for line in lines if line is not None)
    assert 300 < lines.count(None) < 9700


@pytest.mark.parametrize("opening", ["(", "[", "a (", "([", "a, ", "a ", "-> "])
def test_long_patterns_end(opening: str) -> None:
    with pytest.raises(SpecError, match=r"\^"):
        read_pattern(opening * 5000)


def test_mutated_patterns_and_shapes_give_a_plan_or_an_error_of_ours() -> None:
    rng = random.Random(1)
    plans = 0
    for _ in range(20_000):
        try:
            pattern = read_pattern(mutated(rng))
        except SpecError:
            continue
        ranks = [max(0, len(nodes) + rng.choice([0, 0, 0, 1, -1])) for nodes in pattern.inputs]
        shapes = [tuple(rng.choice([0, 1, 2, 2, 3, 3, 6]) for _ in range(rank)) for rank in ranks]
        given = [
            Given(Leaf(f"x{i}", shape, "f", 0), nodes)
            for i, (shape, nodes) in enumerate(zip(shapes, pattern.inputs, strict=True))
        ]
        try:
            plan = make_pattern_plan("f", pattern, (("a", 2), ("b", 3)), given, Options())
        except AutoVmapError:
            continue
        assert len(plan.layers) == len(plan.batch_shape)
        plans += 1
    assert plans > 20
