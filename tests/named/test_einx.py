"""Equal to einx 0.4 on the same inputs, and to `jnp.einsum` where the operation is a dot."""

import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import AutoVmapError, named_vmap
from conftest import scaled
from named.patterns import SHARED, arrays, generated, identity

pytestmark = pytest.mark.own


def same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(x, y)


def by_einx(pattern: str, op: Any, args: Any, sizes: Any) -> Any:
    import einx  # and sympy, for a second: only where these tests run

    return einx.jax.adapt_with_vmap(lambda *a: op(*a))(pattern, *args, **sizes)


@pytest.mark.parametrize(("pattern", "op", "shapes", "sizes"), SHARED, ids=[s[0] for s in SHARED])
def test_equals_einx(pattern: str, op: Any, shapes: Any, sizes: Any) -> None:
    args = arrays(*shapes)
    decorated = named_vmap(pattern, **sizes)(lambda *a: op(*a))
    same(*jax.jit(lambda *a: (decorated(*a), by_einx(pattern, op, a, sizes)))(*args))


def test_the_seed_cases_have_their_shapes() -> None:
    shapes = [(2, 3, 5, 6), (8, 4, 2), (3, 4, 2), (64,)]
    for (pattern, op, given, sizes), shape in zip(SHARED, shapes, strict=False):
        assert named_vmap(pattern, **sizes)(op)(*arrays(*given)).shape == shape


REFUSED = [
    ("a -> a a", ((3,),)),
    ("b... [...] -> b...", ((2, 3),)),
    ("a 3 -> a 3", ((2, 3),)),
    ("a [b] d", ((2, 3, 4),)),
    ("a [b -> c], d -> d", ((2, 3), (4,))),
    ("a b -> a", ((2, 3),)),
    ("a[b]c -> c a", ((2, 3, 4),)),
    ("[b] -> b", ((2,),)),
    ("a b, a -> a b", ((1, 3), (2,))),
    ("a (...) -> a ...", ((2, 12),)),
    ("(a b) -> [(a b)]", ((6,),)),
    ("a + b -> a", ((2,),)),
    ("(a + b) -> a, b", ((5,),)),
    ("a a... -> a", ((2, 3),)),
    ("(a b) -> a b", ((6,),)),
]


@pytest.mark.parametrize(("pattern", "shapes"), REFUSED, ids=[s[0] for s in REFUSED])
def test_refuses_what_einx_refuses(pattern: str, shapes: Any) -> None:
    args = arrays(*shapes)
    with pytest.raises(Exception, match=r"."):
        by_einx(pattern, identity, args, {})
    with pytest.raises(AutoVmapError, match=r"\^"):
        named_vmap(pattern)(lambda *a: a[0])(*args)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_generated_patterns_equal_einx(block: int) -> None:
    """All patterns of a block in one program: compiling them one by one takes minutes."""
    cases = [generated(25 * block + i) for i in range(scaled(25))]

    def both(inputs: Any) -> Any:
        found: list[Any] = []
        for (pattern, op, _, sizes), args in zip(cases, inputs, strict=True):
            mentioned = {name: size for name, size in sizes.items() if name in pattern}
            ours = named_vmap(pattern, **mentioned)(op)(*args)
            found.append((ours, by_einx(pattern, op, args, mentioned)))
        return found

    for pair in jax.jit(both)([arrays(*shapes) for _, _, shapes, _ in cases]):
        same(*pair)


def test_generated_patterns_are_various() -> None:
    patterns = [generated(seed)[0] for seed in range(200)]
    assert len(set(patterns)) > 190
    for sign in ("(", "[", "1", "()", ","):
        assert sum(sign in pattern for pattern in patterns) > 20


def dot(seed: int) -> tuple[Any, str, list[Any]]:
    """A decorated dot, the einsum that it is, and arguments."""
    rng = random.Random(seed)
    sizes = {name: rng.randint(1, 4) for name in "abckl"}
    contracted = rng.sample("kl", rng.randint(1, 2))
    sides = [rng.sample("abc", rng.randint(0, 3)) + contracted for _ in range(2)]
    for axes in sides:
        rng.shuffle(axes)
    out = sorted({axis for axes in sides for axis in axes} - {"k", "l"})
    rng.shuffle(out)
    inner = ["".join(axis for axis in axes if axis in "kl") for axes in sides]
    words = [" ".join(f"[{a}]" if a in "kl" else a for a in axes) for axes in sides]
    decorated = named_vmap(f"{words[0]}, {words[1]} -> {' '.join(out)}")(
        lambda x, y: jnp.einsum(f"{inner[0]},{inner[1]}->", x, y)
    )
    args = arrays(*[tuple(sizes[axis] for axis in axes) for axes in sides])
    return decorated, f"{''.join(sides[0])},{''.join(sides[1])}->{''.join(out)}", args


@pytest.mark.parametrize("block", range(4))
def test_dots_equal_einsum(block: int) -> None:
    cases = [dot(10 * block + i) for i in range(scaled(10))]

    def both(inputs: Any) -> Any:
        pairs = zip(cases, inputs, strict=True)
        return [(ours(*args), jnp.einsum(text, *args)) for (ours, text, _), args in pairs]

    for pair in jax.jit(both)([args for _, _, args in cases]):
        same(*pair)


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes", "einsum", "apart"),
    [
        ("(b a) (b d) -> b a d", (6, 4), {"b": 2}, "babd->bad", (2, 3, 2, 2)),
        ("b a b d -> b a d", (2, 3, 2, 4), {}, "babd->bad", (2, 3, 2, 4)),
        ("(d b) a b -> a d b", (6, 2, 3), {"b": 3}, "dbab->adb", (2, 3, 2, 3)),
        ("a c a c a -> c a", (2, 3, 2, 3, 2), {}, "acaca->ca", (2, 3, 2, 3, 2)),
    ],
)
def test_diagonals_equal_einsum(
    pattern: str, shape: Any, sizes: Any, einsum: str, apart: Any
) -> None:
    """NumPy judges here: einx 0.4.3 gives the first two in another order."""
    (x,) = arrays(shape)
    expected = np.einsum(einsum, np.asarray(x).reshape(apart))
    same(named_vmap(pattern, **sizes)(identity)(x), expected)


def test_the_comparison_can_fail() -> None:
    x = jnp.ones((2, 3))
    with pytest.raises(AssertionError, match="shapes"):
        same(named_vmap("a b -> b a")(identity)(x), by_einx("a b -> a b", identity, [x], {}))
