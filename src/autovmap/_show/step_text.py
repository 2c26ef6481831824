"""A plan's steps as Python text: for each leaf before the nest, for each output behind it."""

from collections.abc import Sequence
from typing import Any, assert_never

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
from autovmap._show.nest_text import applied, axes_text


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
    held, position = set(step.held), step.position
    for axis, size in step.axes:
        one = size == 1
        mapped = sorted(held if one else held | {axis})
        entries = [(position if a in held else None, 0 if a == axis else None) for a in mapped]
        keywords = [f", in_axes={axes_text(entry)}" for entry in entries]
        index = "0" if one else f'jax.numpy.arange({size}, dtype="uint32")'
        lines += applied("jax.random.fold_in", keywords, f"{key}, {index}", f"{key} = ", name)
        held, position = set(mapped), 0 if mapped else position
    return lines
