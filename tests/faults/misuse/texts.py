"""Attempts on texts: signatures and patterns with random edits, and annotations that are none.

Signatures are judged by NumPy's own parser. Patterns without compositions and ellipses are judged
by a small model here; of others only the kind of error is.
"""

import random
import re
import typing
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from autovmap import auto_vmap, named_vmap
from faults.cases.ways import annotated
from faults.misuse.attempt import Attempt
from faults.misuse.trees import CORE, SIZES, Refused, an_array, total
from spec.signatures.gufuncs import a_signature, numpy_reads

SIGNATURE_LETTERS = "()mn,->?2 |1.+"
PATTERN_LETTERS = "ab c[],->2.()+?"


def mangled(rng: random.Random, text: str, letters: str, most: int = 3) -> str:
    """A text with some letters inserted, dropped, changed, or swapped."""
    for _ in range(rng.randint(0, most)):
        at = rng.randint(0, len(text))
        letter = rng.choice(letters)
        before, after = text[:at], text[at:]
        text = rng.choice(
            (before + letter + after, before[:-1] + after, before + letter + after[1:])
        )
    return text


def signature(rng: random.Random) -> Attempt:
    """A signature with edits, planned for random shapes."""
    text = mangled(rng, a_signature(rng), SIGNATURE_LETTERS, rng.choice((0, 0, 2)))
    shapes = [tuple(rng.choice((1, 2, 2, 3)) for _ in range(rng.randint(0, 3))) for _ in range(2)]
    told = f"signature {text!r}, shapes {shapes!r}"
    batch = signature_model(text, shapes)

    def run() -> Any:
        return auto_vmap(text)(total).plan(*(an_array(shape, False) for shape in shapes))

    def check(plan: Any) -> None:
        assert batch is not None
        assert plan.batch_shape == batch

    return Attempt("signature", "wrong" if batch is None else "right", run, check, told)


def signature_model(text: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The batch shape under a signature; None where it is none, or the shapes do not fit."""
    if "->" not in text and "(" not in text:
        return None
    found = numpy_reads(re.sub(r"\s+\?", "?", text))  # autovmap takes blanks there
    if found is None or not found[1] or len(found[0]) > len(shapes):
        return None
    if found[0] == [] and not text.replace(" ", "").startswith("->"):
        return None
    gone: set[str] = set()
    for dims, shape in zip(found[0], shapes, strict=False):
        for dim in dims:
            if dim.endswith("?") and len([d for d in dims if d not in gone]) > len(shape):
                gone.add(dim)
    sizes: dict[str, int] = {}
    batches: list[tuple[int, ...]] = []
    for dims, shape in zip(found[0], shapes, strict=False):
        left = [dim for dim in dims if dim not in gone]
        if len(left) > len(shape):
            return None
        cut = len(shape) - len(left)
        batches.append(shape[:cut])
        for dim, size in zip(left, shape[cut:], strict=True):
            name = dim.rstrip("?")
            if sizes.setdefault(name, int(name) if name.isdigit() else size) != size:
                return None
    try:
        return np.broadcast_shapes(*batches)
    except ValueError:
        return None


FLAT = re.compile(r"[a-c\[\], ]*->[a-c\[\], ]*")


def pattern(rng: random.Random) -> Attempt:
    """A pattern with edits, planned for shapes that mostly fit."""
    names = rng.sample("abc", rng.randint(1, 3))
    core = names.pop() if len(names) > 1 and rng.random() < 0.6 else ""
    parts = [part(rng, names, core) for _ in range(2)]
    text = f"{', '.join(parts)} -> {' '.join(rng.sample(names, len(names)))}"
    sizes = {name: rng.choice(SIZES) for name in "abc"}
    shapes = [tuple(sizes[name] for name in re.findall("[abc]", part)) for part in parts]
    if rng.random() < 0.2:
        shapes[0] = (*shapes[0], 3)
    text = mangled(rng, text, PATTERN_LETTERS, rng.choice((0, 0, 0, 2)))
    told = f"pattern {text!r}, shapes {shapes!r}"
    batch: Any = None
    verdict: Any = "open"
    if FLAT.fullmatch(text) and not re.search(r"[a-c]{2}", text):
        try:
            batch, verdict = pattern_model(text, shapes), "right"
        except Refused:
            verdict = "wrong"

    def run() -> Any:
        return named_vmap(text)(total).plan(*(an_array(shape, False) for shape in shapes))

    def check(plan: Any) -> None:
        assert all(isinstance(size, int) for size in plan.batch_shape)
        assert verdict == "open" or sorted(plan.batch_shape) == sorted(batch)

    return Attempt("pattern", verdict, run, check, told)


def part(rng: random.Random, names: list[str], core: str) -> str:
    """An argument's part of a pattern: some batch axes, and perhaps a core axis."""
    axes = rng.sample(names, rng.randint(0, len(names)))
    axes.insert(rng.randint(0, len(axes)), f"[{core}]" if core else "")
    return " ".join(filter(None, axes))


def pattern_model(text: str, shapes: list[tuple[int, ...]]) -> list[int]:
    """The sizes of the batch axes under a pattern of names and brackets, in any order.

    Raises:
        Refused: the pattern is none, or the shapes do not fit it.
    """
    inputs, outputs = ([axes_of(part) for part in side.split(",")] for side in text.split("->"))
    if text.count("->") > 1 or len(inputs) > len(shapes):
        raise Refused("no pattern")
    batch = {name for part in inputs + outputs for name, bracket in part if not bracket}
    core = {name for part in inputs + outputs for name, bracket in part if bracket}
    if batch & core:
        raise Refused("an axis in brackets and outside")
    sizes: dict[str, int] = {}
    for axes, shape in zip(inputs, shapes, strict=False):
        if len(axes) != len(shape):
            raise Refused("another number of dims")
        for (name, _), size in zip(axes, shape, strict=True):
            if sizes.setdefault(name, size) != size:
                raise Refused("two sizes of one axis")
    for axes in outputs:
        own = [name for name, bracket in axes if not bracket]
        if len(set(own)) < len(own) or not set(own) <= sizes.keys():
            raise Refused("a result's axis twice, or one that no argument has")
    return [sizes[name] for name in sizes if name in batch]


def axes_of(part: str) -> list[tuple[str, bool]]:
    """The axes of one part of a pattern, each with whether it stands in brackets."""
    found: list[tuple[str, bool]] = []
    inside = False
    for token in re.findall(r"[a-z]+|[\[\]]", part):
        if token in "[]":
            if inside == (token == "["):
                raise Refused("brackets")
            inside = not inside
        else:
            found.append((token, inside))
    if inside:
        raise Refused("brackets")
    if re.search(r"[a-c\]]\[|\][a-c]", part):
        raise Refused("no blank between two axes")
    return found


FITTING = {0: Float[Array, ""], 1: Float[Array, "n"], 2: Int[Array, "m n"]}
WRONG: tuple[Any, ...] = (
    *(Array, typing.Any, "Flaot[Array, 'n']", "Float[Array, n", "nowhere.Type", np.ndarray),
    *(Float[Array, "n"] | Float[Array, "m n"], PyTree[Float[Array, "..."]], "1 +", "", "[]()"),
    *(Float[Array, "..."], object(), 3, list[Array], dict, Bool[Array, "*b"], typing.TypeVar("T")),
)
OTHERS: tuple[Any, ...] = (int, float, str, None, PRNGKeyArray, bool | None, "int")


def annotation(rng: random.Random) -> Attempt:
    """Annotations of which some are none, some are no array's, and some do not fit."""
    ranks = [rng.randint(0, 2) for _ in range(2)]
    said = [FITTING[rank] for rank in ranks]
    shapes = [(*[rng.choice(SIZES)] * rng.randint(0, 1), *[CORE] * rank) for rank in ranks]
    verdict: Any = "right"
    kind = rng.random()
    i = rng.randrange(2)
    if kind < 0.5:
        said[i] = rng.choice(WRONG)
        verdict = "open"  # some are read as "not mapped", or tell a rank after all
    elif kind < 0.6:
        said[i] = rng.choice(OTHERS)
        verdict = "open"
    elif kind < 0.75:
        shapes[i] = shapes[i][1:]
        verdict = "wrong" if len(shapes[i]) < ranks[i] else "right"
    told = f"annotations {said!r}, shapes {shapes!r}"

    def run() -> Any:
        decorated = auto_vmap(annotated(total, {"x": said[0], "y": said[1]}))
        return decorated.plan(*(an_array(shape, False) for shape in shapes))

    def check(plan: Any) -> None:
        if verdict == "right":
            own = [s[: len(s) - r] for s, r in zip(shapes, ranks, strict=True)]
            assert plan.batch_shape == np.broadcast_shapes(*own)
        assert len(plan.batch_shape) <= max(map(len, shapes))

    sizes = {
        size
        for shape, rank in zip(shapes, ranks, strict=True)
        for size in shape[: len(shape) - rank]
    }
    cores = {
        shape[len(shape) - 1] for shape, rank in zip(shapes, ranks, strict=True) if rank and shape
    }
    if verdict == "right" and (len(sizes - {1}) > 1 or len(cores) > 1):
        verdict = "open"
    return Attempt("annotation", verdict, run, check, told)


def attempt(rng: random.Random) -> Attempt:
    """One of the three."""
    return rng.choice((signature, pattern, annotation))(rng)
