"""Gufunc signatures by other means than autovmap's: NumPy's own parser, NEP 20's rule, a generator.

Nothing here is shared with what it checks.
"""

import importlib
import os
import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_NEW = np.lib.NumpyVersion(np.__version__) >= "2.0.0"
_CORE = "numpy._core" if _NEW else "numpy.core"
if not _NEW:  # the module of NumPy 1.26 asks for it when it is loaded
    os.environ.setdefault("NUMPY_EXPERIMENTAL_DTYPE_API", "1")
numpy_parser: Any = importlib.import_module(f"{_CORE}._umath_tests").test_signature
"""NumPy's C parser: `(n_in, n_out, text)` to its tables; ValueError where it refuses the text."""

CAN_IGNORE = 4
"""NumPy's flag of an optional dim."""

Dims = tuple[str, ...]
"""An operand's dims as they are written: `("m?", "3")`."""


def numpy_reads(text: str) -> tuple[list[Dims], list[Dims]] | None:
    """What NumPy's parser finds in a text, dims named by their numbers; None where it refuses."""
    arguments = text.partition("->")[0].count("("), text.partition("->")[2].count("(")
    try:
        _, counts, indices, flags, sizes = numpy_parser(*arguments, text)
    except ValueError:
        return None
    found: list[Dims] = []
    at = 0
    for count in counts:
        dims = indices[at : at + count]
        at += count
        shown = (str(sizes[i]) if sizes[i] > 0 else f"d{i}" for i in dims)
        optional = ("?" if flags[i] & CAN_IGNORE else "" for i in dims)
        found.append(tuple(map("".join, zip(shown, optional, strict=True))))
    return found[: arguments[0]], found[arguments[0] :]


def split(text: str) -> tuple[list[Dims], list[Dims]]:
    """The dims of a well-formed signature without blanks."""
    inputs, outputs = (re.findall(r"\(([^)]*)\)", side) for side in text.split("->"))
    parts = [[tuple(filter(None, one.split(","))) for one in side] for side in (inputs, outputs)]
    return parts[0], parts[1]


def dropped_dims(inputs: Sequence[Dims], ndims: Sequence[int]) -> set[str]:
    """NEP 20's rule: operands left to right, optional dims left to right, until it fits."""
    gone: set[str] = set()
    for dims, ndim in zip(inputs, ndims, strict=True):
        for dim in dims:
            left = [one for one in dims if one not in gone]
            if len(left) > ndim and dim.endswith("?"):
                gone.add(dim)
    return gone


def a_signature(rng: random.Random, optional: bool = True, outputs: int = 2) -> str:
    """A signature at random: names, fixed sizes, optional dims, names that outputs share."""
    pool = ["m", "n", "p", "2", "3"]
    if optional:
        pool = [name + "?" * (rng.random() < 0.4) for name in pool]

    def operand(names: Sequence[str], most: int) -> str:
        dims = rng.sample(names, rng.randint(0, min(most, len(names))))
        return f"({','.join(dims)})"

    inputs = [operand(pool, 3) for _ in range(rng.randint(1, 3))]
    known = sorted({dim for dims in split(",".join(inputs) + "->")[0] for dim in dims})
    outs = [operand(known, 2) for _ in range(rng.randint(1, outputs))]
    return f"{','.join(inputs)}->{','.join(outs)}"
