"""Layers and steps as text: the nest and what is done around it, as Python and in words."""

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias, assert_never

from autovmap._plan.layers import Layer
from autovmap._plan.leaf import Shape, tuple_text
from autovmap._plan.steps import (
    Diagonal,
    Expand,
    Factor,
    FoldIn,
    Merge,
    Reshape,
    Squeeze,
    Step,
    Steps,
    Transpose,
)

WIDTH, MOST_ENTRIES = 88, 8
Entry: TypeAlias = int | Sequence[int | None] | None
"""The axes of one argument: of a leaf, or of each leaf in a list."""


def axes_text(entries: Sequence[Entry]) -> str:
    """The axes of some arguments, as short as `jax.vmap` allows.

    >>> axes_text([0, [0, 0]]), axes_text([0, [1, None]]), axes_text([[1, 0]])
    ('0', '(0, [1, None])', '([1, 0],)')
    """
    texts = [entry_text(entry) for entry in entries]
    if len(set(texts)) <= 1 and not any(text.startswith("[") for text in texts):
        return texts[0] if texts else "0"
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def entry_text(entry: Entry) -> str:
    """The axes of one argument.

    >>> entry_text(None), entry_text([0, 0]), entry_text([0, None])
    ('None', '0', '[0, None]')
    >>> entry_text([0] * 9 + [None])
    '[0] * 9 + [None]'
    """
    if entry is None or isinstance(entry, int):
        return repr(entry)
    if len(set(entry)) == 1:
        return repr(entry[0])
    if len(entry) <= MOST_ENTRIES:
        return f"[{', '.join(map(repr, entry))}]"
    runs = [(axis, len(list(run))) for axis, run in itertools.groupby(entry)]
    return " + ".join(f"[{axis}]" + (f" * {n}" if n > 1 else "") for axis, n in runs)


def keywords_text(layer: Layer, in_axes: str, out_axes: str) -> str:
    """What follows the function in one `jax.vmap(...)`, defaults left out."""
    parts: list[str] = []
    if in_axes != "0":
        parts.append(f"in_axes={in_axes}")
    if out_axes != "0":
        parts.append(f"out_axes={out_axes}")
    if layer.unmapped:
        parts.append(f"axis_size={layer.size}")
    if layer.name is not None:
        parts.append(f"axis_name={layer.name!r}")
    if layer.spmd_name is not None:
        parts.append(f"spmd_axis_name={layer.spmd_name!r}")
    return "".join(f", {part}" for part in parts)


def nested(function: str, keywords: Sequence[str]) -> str:
    """The whole nest as one expression; the first keywords are the outermost layer's."""
    for keyword in reversed(keywords):
        function = f"jax.vmap({function}{keyword})"
    return function


def applied(
    function: str, keywords: Sequence[str], arguments: str, head: str, name: str
) -> list[str]:
    """Lines that call a nest and begin the last with `head`: one if it fits, or one a layer."""
    line = f"{head}{nested(function, keywords)}({arguments})"
    if len(line) + 4 <= WIDTH:
        return [line]
    lines: list[str] = []
    for keyword in reversed(keywords):
        lines.append(f"{name} = jax.vmap({function}{keyword})")
        function = name
    return [*lines, f"{head}{function}({arguments})"]


def step_lines(place: str, steps: Steps, given: str, fold: str) -> list[str]:
    """Lines that do some steps to what stands at a place.

    >>> for line in step_lines("x", (Reshape((2, 3)), Transpose((1, 0))), "x", "fold"):
    ...     print(line)
    x = jax.numpy.reshape(x, (2, 3))
    x = jax.numpy.transpose(x, (1, 0))

    Args:
        place: a variable, or an item of a list.
        steps: what is done.
        given: what stands for the place in the first line.
        fold: a free name, for a nest that folds an index into a key.
    """
    lines: list[str] = []
    for step in steps:
        match step:
            case FoldIn():
                lines += [f"{place} = {given}"] * (given != place)
                lines += _fold_lines(place, step, fold)
            case Diagonal(one, other, size):
                lines += _diagonal_lines(place, given, (one, other), size)
            case _:
                lines.append(f"{place} = {step_text(given, step)}")
        given = place
    return lines or [f"{place} = {given}"] * (given != place)


def step_text(value: str, step: Step, shape: Shape | None = None) -> str:
    """What one step makes of a value, as an expression; `shape` is what it becomes, if known.

    >>> step_text("y", Expand((0,))), step_text("y", Squeeze((0, 1)))
    ('jax.numpy.expand_dims(y, 0)', 'jax.lax.squeeze(y, (0, 1))')
    >>> step_text("y", Merge(((2, 3), (...,), (2, None))))
    'jax.numpy.reshape(y, (6, *y.shape[2:-2], 2 * y.shape[-1]))'
    """
    match step:
        case Reshape(new):
            sizes = tuple(dim if isinstance(dim, int) else -1 for dim in new)  # one symbol at most
            return f"jax.numpy.reshape({value}, {sizes})"
        case Transpose(order):
            return f"jax.numpy.transpose({value}, {order})"
        case Squeeze(dims):
            return f"jax.lax.squeeze({value}, {dims})"
        case Expand(dims):
            return f"jax.numpy.expand_dims({value}, {dims[0] if len(dims) == 1 else dims})"
        case Merge(parts):
            if shape is not None and all(isinstance(dim, int) for dim in shape):
                return f"jax.numpy.reshape({value}, {shape})"
            return f"jax.numpy.reshape({value}, {tuple_text(_merged(value, parts))})"
        case Diagonal() | FoldIn():
            raise TypeError(f"{type(step).__name__} takes several lines: see step_lines")
        case _:
            assert_never(step)


def _diagonal_lines(place: str, given: str, dims: tuple[int, int], size: Any) -> list[str]:
    lines: list[str] = []
    if dims != (0, 1):
        lines.append(f"{place} = jax.numpy.moveaxis({given}, {dims}, (0, 1))")
        given = place
    count = size if isinstance(size, int) else f"{given}.shape[0]"
    index = f"(jax.numpy.arange({count}),) * 2"
    return [*lines, f"{place} = jax.numpy.moveaxis({given}[{index}], 0, -1)"]


def _merged(value: str, parts: Sequence[tuple[Factor, ...]]) -> Shape:
    """The dims of a merged array, each as text."""
    factors = [factor for part in parts for factor in part]
    rest = factors.index(...) if ... in factors else len(factors)
    found: list[str] = []
    first = 0
    for part in parts:
        places = [i if i <= rest else i - len(factors) for i in range(first, first + len(part))]
        first += len(part)
        if part == (...,):
            found.append(f"*{value}.shape[{rest or ''}:{rest + 1 - len(factors) or ''}]")
        elif ... in part:
            found.append("-1")
        else:
            sizes = [
                factor if isinstance(factor, int) else f"{value}.shape[{at}]"
                for factor, at in zip(part, places, strict=True)
            ]
            found.append(_product(sizes))
    return tuple(found)


def _product(factors: Sequence[int | str]) -> str:
    number = 1
    for factor in factors:
        number *= factor if isinstance(factor, int) else 1
    texts = [factor for factor in factors if isinstance(factor, str)]
    return " * ".join([str(number)] * (number != 1 or not texts) + texts)


def _fold_lines(key: str, step: FoldIn, name: str) -> list[str]:
    """Lines that fold an example's index into a key, once for each batch axis that it lacks."""
    lines: list[str] = []
    for size, nest in step.nests():
        keywords = [f", in_axes={axes_text(entry)}" for entry in nest]
        index = "0" if size == 1 else f'jax.numpy.arange({size}, dtype="uint32")'
        lines += applied("jax.random.fold_in", keywords, f"{key}, {index}", f"{key} = ", name)
    return lines


def step_words(step: Step) -> str:
    """A step in a few words.

    >>> step_words(Reshape((2, 3))), step_words(Diagonal(0, 2, 4)), step_words(Squeeze((0, 2)))
    ('reshaped to (2, 3)', 'diagonal of dims 0 and 2', 'dim 0, 2')
    """
    match step:
        case Reshape(shape):
            return f"reshaped to {tuple_text(shape)}"
        case Diagonal(one, other):
            return f"diagonal of dims {one} and {other}"
        case Transpose(order):
            return f"dims in the order {order}"
        case Squeeze(dims):
            return f"dim {', '.join(map(str, dims))}"
        case Expand(dims):
            return f"new dim {', '.join(map(str, dims))}"
        case FoldIn(axes):
            along = f"{'axis' if len(axes) == 1 else 'axes'} {', '.join(str(a) for a, _ in axes)}"
            return f"the example's index is folded in, batch {along}"
        case Merge():
            return "dims composed"
        case _:
            assert_never(step)


def first_words(steps: Sequence[Step]) -> str:
    """How an array is taken apart, if it is; a transpose alone goes without saying."""
    if not any(isinstance(step, (Reshape, Diagonal)) for step in steps):
        return ""
    first = (Reshape, Diagonal, Transpose)
    return ", ".join(step_words(step) for step in steps if isinstance(step, first))


def squeeze_words(steps: Sequence[Step]) -> str:
    """Which dims of a leaf are squeezed; of a key, that an index is folded in says all."""
    if any(isinstance(step, FoldIn) for step in steps):
        return ""
    return ", ".join(step_words(step) for step in steps if isinstance(step, Squeeze))
