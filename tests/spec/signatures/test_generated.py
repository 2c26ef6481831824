"""500 generated signatures and shapes against the loop over examples.

200 of the shapes are hypothesis' (`mutually_broadcastable_shapes` knows gufunc signatures), 300
are NumPy's random numbers', with several outputs and with names that only outputs have.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from autovmap import CoreSizeError, auto_vmap
from conftest import scaled
from oracle import Expected, compare, loop
from spec.signatures.gufuncs import Dims, a_signature, dropped_dims, split

pytestmark = pytest.mark.own

Shape = tuple[int, ...]
Sizes = dict[str, int]


def sizes_of(inputs: Sequence[Dims], shapes: Sequence[Shape]) -> Sizes:
    """The size of every dim that an operand has; the dims that are dropped are not among them."""
    gone = dropped_dims(inputs, [len(shape) for shape in shapes])
    found: Sizes = {}
    for dims, shape in zip(inputs, shapes, strict=True):
        kept = [dim for dim in dims if dim not in gone]
        found |= dict(zip(kept, shape[len(shape) - len(kept) :], strict=True))
    return found


def a_function(outputs: Sequence[Dims], sizes: Sizes, new: Sizes) -> Callable[..., Any]:
    """A function of any operands, every output of which depends on every entry of each."""

    def function(*args: Any) -> Any:
        total = 0.0
        for i, arg in enumerate(args):
            weights = np.arange(1.0, arg.size + 1, dtype=np.float32).reshape(arg.shape) + i
            total = total + (arg * weights).sum()
        found = []
        for dims in outputs:
            shape = [{**sizes, **new}[dim] for dim in dims if dim in sizes or dim in new]
            found.append(total * np.arange(2.0, 2 + np.prod(shape, dtype=int)).reshape(shape))
        return found[0] if len(found) == 1 else tuple(found)

    return function


def examined(signature: str, shapes: Sequence[Shape], new: Sizes | None = None) -> Expected:
    """Call a function under the signature, and compare with the loop over examples."""
    inputs, outputs = split(signature)
    sizes = sizes_of(inputs, shapes)
    function = a_function(outputs, sizes, new or {})
    args = [
        np.random.default_rng(i).integers(-4, 5, shape).astype(np.float32)
        for i, shape in enumerate(shapes)
    ]
    ranks = [[sum(dim in sizes for dim in dims)] for dims in inputs]
    expected = loop(function, ranks, args)
    compare(auto_vmap(signature)(function)(*args), expected)
    return expected


@st.composite
def signatures_and_shapes(draw: st.DrawFn) -> tuple[str, Any]:
    """A signature with one output, and what hypothesis finds for it.

    Of several optional dims of one operand hypothesis drops any, NumPy the leftmost.
    """
    signature = a_signature(random.Random(draw(st.integers(0, 400))), outputs=1)
    signature = re.sub(r"(\d)\?", r"\1", signature)  # hypothesis knows no optional fixed sizes
    assume(all(operand.count("?") < 2 for operand in signature.split(")")))
    found = mutually_broadcastable_shapes(signature=signature, max_dims=2, min_side=0, max_side=2)
    return signature, draw(found)


@settings(max_examples=scaled(200), derandomize=True, deadline=None)
@given(signatures_and_shapes())
def test_shapes_that_hypothesis_finds(found: tuple[str, Any]) -> None:
    signature, shapes = found
    expected = examined(signature, shapes.input_shapes)
    assert expected.leaves[0].values.shape == shapes.result_shape


def some_shapes(signature: str, rng: np.random.Generator) -> tuple[list[Shape], Sizes]:
    """Shapes of the operands under one broadcastable batch shape, and the sizes of their names."""
    inputs, _ = split(signature)
    sizes = {dim: int(rng.integers(1, 4)) for dims in inputs for dim in dims}
    sizes |= {dim: int(dim) for dim in sizes if dim.isdigit()}
    batch = rng.integers(1, 3, rng.integers(0, 3))
    shapes: list[Shape] = []
    for dims in inputs:
        part = np.where(rng.random(len(batch)) < 0.3, 1, batch)[rng.integers(0, len(batch) + 1) :]
        shapes.append((*map(int, part), *(sizes[dim] for dim in dims)))
    return shapes, sizes


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_shapes_of_random_numbers(seed: int) -> None:
    """Several outputs, of which the last may have a dim of its own."""
    rng, words = np.random.default_rng(seed), random.Random(seed)
    for _ in range(scaled(60)):
        signature = a_signature(words, optional=False, outputs=3)
        new = {"q": 2} if words.random() < 0.4 else {}
        signature += ",(q)" if new else ""
        shapes, _ = some_shapes(signature, rng)
        examined(signature, shapes, new)


@pytest.mark.parametrize("seed", range(3))
def test_a_size_that_differs_is_refused(seed: int) -> None:
    """The same shapes with one core dim of one operand a size larger."""
    rng, words = np.random.default_rng(seed), random.Random(seed)
    refused = 0
    while refused < scaled(50):
        signature = a_signature(words, optional=False)
        inputs, _ = split(signature)
        shapes, _ = some_shapes(signature, rng)
        shared = [
            (i, j)
            for i, dims in enumerate(inputs)
            for j, dim in enumerate(dims)
            if dim.isdigit() or sum(dim in other for other in inputs) > 1
        ]
        if not shared:
            continue
        i, j = words.choice(shared)
        at = len(shapes[i]) - len(inputs[i]) + j
        shapes[i] = (*shapes[i][:at], shapes[i][at] + 1, *shapes[i][at + 1 :])
        with pytest.raises(CoreSizeError, match=r"(?s)core dim.*\n  \(.*\n *\^"):
            auto_vmap(signature)(lambda *args: None).plan(*map(np.ones, shapes))
        refused += 1


def test_the_comparison_can_fail() -> None:
    """A sum over another axis than the signature says is seen."""
    args = [np.arange(6.0, dtype=np.float32).reshape(2, 3)]
    expected = loop(lambda x: x.sum(0), [[2]], args)
    with pytest.raises(AssertionError, match=r"\(2,\), not \(3,\)"):
        compare(auto_vmap("(m,n)->(m)")(lambda x: x.sum(1))(*args), expected)
