"""The patterns that several files test: written by hand, and generated."""

import random
from typing import Any

import jax.numpy as jnp
import numpy as np

from made import on_device


def arrays(*shapes: tuple[int, ...]) -> list[Any]:
    """Arrays of these shapes, all different; made by NumPy, as JAX would compile for each shape."""
    made = [np.arange(np.prod(s, dtype=int), dtype=np.int32).reshape(s) for s in shapes]
    return [on_device(array + i) for i, array in enumerate(made)]


def identity(x: Any) -> Any:
    return x


def flip_sum(x: Any, y: Any) -> Any:
    return 0.5 * jnp.sum(x, axis=1) + jnp.flip(y)


SHARED: list[tuple[str, Any, tuple[tuple[int, ...], ...], dict[str, Any]]] = [
    # einx's own examples (seed-cases.md)
    ("b q [k] h, b [k] h c -> b q h c", jnp.dot, ((2, 3, 4, 5), (2, 4, 5, 6)), {}),
    ("a b c, c a -> b a c", jnp.add, ((4, 8, 2), (2, 4)), {}),
    ("a b [c d], a [c] -> b [c] a", flip_sum, ((2, 3, 4, 5), (2, 4)), {}),
    ("(a b) c, (c a) -> (b a c)", jnp.add, ((32, 2), (8,)), {}),
    # where brackets may stand
    ("a [b] c -> c a", jnp.sum, ((2, 3, 4),), {}),
    ("[(a b)] c -> c", jnp.sum, ((6, 4),), {"a": 2}),
    ("([a] b) c -> c b", jnp.sum, ((6, 4),), {"b": 2}),
    ("(a [b]) c -> c a", jnp.sum, ((6, 4),), {"a": 2}),
    ("[a (b c)] ->", jnp.sum, ((6, 4),), {"b": 2}),
    ("[a (b c)] d -> d", jnp.sum, ((4, 6, 5),), {"b": 2}),
    ("(a [b] c) -> c a", jnp.sum, ((24,),), {"a": 2, "b": 3}),
    ("a [[b]] -> a", jnp.sum, ((2, 3),), {}),
    ("a [] -> a", identity, ((2,),), {}),
    ("b [x y] -> b [y x]", jnp.transpose, ((6, 2, 3),), {}),
    # compositions
    ("((a b) c) -> c b a", identity, ((24,),), {"a": 2, "b": 3}),
    ("(a b) c, (a b) -> (a b) c", jnp.add, ((6, 2), (6,)), {}),
    ("(a b) c, (a b) d -> d (a b) c", jnp.add, ((6, 2), (6, 3)), {}),
    ("() (a b) -> b a ()", identity, ((1, 6),), {"a": 2}),
    ("(a a) -> a", identity, ((9,),), {}),
    ("(a a) -> a", identity, ((9,),), {"a": 3}),
    # ellipses
    ("a... [b] -> a...", jnp.sum, ((2, 3, 4),), {}),
    ("... [b] -> ...", jnp.sum, ((2, 3, 4),), {}),
    ("[...] b -> b", jnp.sum, ((2, 3, 4),), {}),
    ("b [...] -> b [...]", identity, ((2, 3, 4),), {}),
    ("b [s...] -> [s...] b", identity, ((2, 3, 4),), {}),
    ("(a b)... -> a... b...", identity, ((4, 6),), {"a": 2}),
    ("(a b)... -> (b a)...", identity, ((4, 6),), {"a": (2, 3)}),
    ("(a...) -> a...", identity, ((6,),), {"a": (2, 3)}),
    ("a ... b -> b ... a", identity, ((2, 3, 4, 5),), {}),
    ("a ..., ... -> ... a", jnp.add, ((2, 3, 4), (3, 4)), {}),
    ("a ... -> a (...)", identity, ((2, 3, 4),), {}),
    ("a [...], b [...] -> a b [...]", jnp.add, ((2, 3, 4), (5, 3, 4)), {}),
    ("[...] a -> a [...]", identity, ((2, 3, 4),), {}),
    # diagonals
    ("a a -> a", identity, ((3, 3),), {}),
    ("a a b -> b a", identity, ((3, 3, 2),), {}),
    ("a b a b -> b a", identity, ((3, 2, 3, 2),), {}),
    ("a a a -> a", identity, ((3, 3, 3),), {}),
    ("[n n] b -> b", jnp.trace, ((3, 3, 2),), {}),
    ("a [n] a, a -> a [n]", jnp.add, ((3, 2, 3), (3,)), {}),
    # numbers, and axes that only a result has
    ("a [3] -> a", jnp.sum, ((2, 3),), {}),
    ("a -> a 3", identity, ((2,),), {}),
    ("a -> a b", identity, ((2,),), {"b": 5}),
    ("a -> (b a)", identity, ((2,),), {"b": 5}),
    ("a -> a [3]", lambda x: jnp.stack([x] * 3), ((2,),), {}),
    ("a () b -> a b", identity, ((2, 1, 3),), {}),
    ("a 1 b -> b 1 a 1", identity, ((2, 1, 3),), {}),
    ("a b -> b", identity, ((1, 3),), {}),
    ("a [b -> c]", lambda x: jnp.arange(7) * x.sum(), ((2, 3),), {"c": 7}),
    # several results, no dims at all, sizes of 0 and 1
    ("a, b -> a b, b a", lambda x, y: (x + y, x - y), ((2,), (3,)), {}),
    ("a -> a, a", lambda x: (x, 2 * x), ((9,),), {}),
    ("a, -> a", jnp.add, ((2,), ()), {}),
    ("[a] ->", jnp.sum, ((9,),), {}),
    ("a b, a -> b a ", jnp.add, ((1, 3), (1,)), {}),
]


def generated(seed: int) -> tuple[str, Any, list[tuple[int, ...]], dict[str, int]]:
    """A pattern with compositions, brackets, ones and new axes, an operation, and shapes.

    No diagonals: where other axes stand beside them, einx 0.4.3 gets them wrong (see below).
    """
    rng = random.Random(seed)
    sizes = {name: rng.randint(1, 3) for name in "abcdklmn"}
    batch, core = list("abcd"), list("klmn")
    inputs: list[list[str]] = []
    for _ in range(rng.randint(1, 3)):
        axes = rng.sample(batch, rng.randint(0, 3)) + rng.sample(core, rng.randint(0, 2))
        if axes and axes[-1] in core and rng.random() < 0.3:
            axes.append(axes[-1])
        rng.shuffle(axes)
        inputs.append(axes)
    used = sorted({axis for axes in inputs for axis in axes if axis in batch})
    outputs: list[list[str]] = []
    for _ in range(rng.randint(1, 2)):
        new = [axis for axis in batch if axis not in used and rng.random() < 0.3]
        axes = [*used, *new, *rng.sample(core, rng.randint(0, 2))]
        rng.shuffle(axes)
        outputs.append(axes)

    def text(axes: list[str], shape: list[int]) -> str:
        words: list[str] = []
        i = 0
        while i < len(axes):
            count = rng.choice([1, 1, 1, 2, 3])
            part = [f"[{axis}]" if axis in core else axis for axis in axes[i : i + count]]
            shape.append(int(np.prod([sizes[axis] for axis in axes[i : i + count]])))
            words.append(part[0] if len(part) == 1 else f"({' '.join(part)})")
            if rng.random() < 0.1:
                words.append(rng.choice(["1", "()"]))
                shape.append(1)
            i += count
        return " ".join(words)

    shapes: list[list[int]] = [[] for _ in inputs]
    left = ", ".join(text(axes, shape) for axes, shape in zip(inputs, shapes, strict=True))
    right = ", ".join(text(axes, []) for axes in outputs)
    cores = [[sizes[axis] for axis in axes if axis in core] for axes in outputs]

    def op(*args: Any) -> Any:
        total = 0
        for i, x in enumerate(args):
            weights = np.arange(i + 1, x.size + i + 1, dtype=np.int32).reshape(x.shape)
            total = total * 7 + jnp.sum(x * weights)
        found = [
            total * (j + 1) + np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
            for j, shape in enumerate(cores)
        ]
        return found[0] if len(found) == 1 else tuple(found)

    return f"{left} -> {right}", op, [tuple(shape) for shape in shapes], sizes
