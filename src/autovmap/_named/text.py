"""What a pattern asks for around the nest, as Python text: arrays prepared, results composed."""

from collections.abc import Mapping, Sequence
from typing import Any

from autovmap._named.parts import Item, PlacedGroup, Prepare
from autovmap._plan.leaf import Dim, Leaf, Shape
from autovmap._plan.plan import PlanData
from autovmap._spec.ranks import CoreDim
from autovmap.errors import SpecError


def prepared_text(value: str, prepare: Prepare, leaf: Leaf, function: str) -> list[str]:
    """Expressions for an array as the nest takes it, each in terms of the one before.

    >>> for text in prepared_text("x", Prepare((2, 3), order=(1, 0)), Leaf("x", (6,), "f", 0), "f"):
    ...     print(text)
    jax.numpy.reshape(x, (2, 3))
    jax.numpy.transpose(x, (1, 0))
    """
    texts: list[str] = []
    shape = leaf.shape
    if prepare.reshape is not None:
        shape = prepare.reshape
        texts.append(f"jax.numpy.reshape({value}, {_shape_text(shape, leaf.path, function)})")
    for pair in prepare.diagonals:
        size = f"{shape[pair[0]]}" if isinstance(shape[pair[0]], int) else f"{value}.shape[0]"
        if pair != (0, 1):
            texts.append(f"jax.numpy.moveaxis({value}, {pair}, (0, 1))")
        texts.append(f"jax.numpy.moveaxis({value}[(jax.numpy.arange({size}),) * 2], 0, -1)")
        shape = (*(dim for i, dim in enumerate(shape) if i not in pair), shape[pair[0]])
    if prepare.order is not None:
        texts.append(f"jax.numpy.transpose({value}, {prepare.order})")
    return texts


def _shape_text(shape: Shape, path: str, function: str) -> str:
    unknown = [dim for dim in shape if not isinstance(dim, int)]
    if len(unknown) > 1:
        raise SpecError(
            f"{function}: {path} is taken apart into sizes of which several are symbolic "
            f"({', '.join(map(str, unknown))}), for which plain code has no expression; give "
            f"shapes of which at most one is symbolic in each composition"
        )
    texts = [str(dim) if isinstance(dim, int) else "-1" for dim in shape]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def composed_text(value: str, part: PlacedGroup, plan: PlanData, shape: Shape | None) -> str:
    """An expression for an output with its dims composed; `shape` is what it becomes, if known."""
    if part.flat:
        return value
    if shape is not None and all(isinstance(dim, int) for dim in shape):
        return f"jax.numpy.reshape({value}, {shape})"
    sizes = dict(plan.core.sizes)
    texts: list[str] = []
    for places in part.composed:
        if len(places) == 1 and part.items[places[0]] is None:
            texts.append(f"*{value}.shape[{_rest(part, places[0])}]")
        elif any(part.items[i] is None for i in places):
            texts.append("-1")
        else:
            texts.append(_product([_size(value, part, i, plan, sizes) for i in places]))
    return f"jax.numpy.reshape({value}, ({', '.join(texts)}{',' if len(texts) == 1 else ''}))"


def _rest(part: PlacedGroup, i: int) -> str:
    """The slice of a shape that `[...]` is."""
    behind = sum(map(part.makes, part.items[i + 1 :]))
    return f"{_place(part, i) or ''}:{-behind if behind else ''}"


def _place(part: PlacedGroup, i: int) -> int:
    """Where an item's dim is, counted from the end behind core dims of any number."""
    made = [item for item in part.items if part.makes(item)]
    before = [item for item in part.items[:i] if part.makes(item)]
    return len(before) - len(made) if None in before else len(before)


def _size(
    value: str, part: PlacedGroup, i: int, plan: PlanData, sizes: Mapping[str, Dim]
) -> int | str:
    item = part.items[i]
    if not part.makes(item):
        return 1
    known = item_size(item, plan, sizes)
    return known if isinstance(known, int) else f"{value}.shape[{_place(part, i)}]"


def item_size(item: Item, plan: PlanData, sizes: Mapping[str, Dim]) -> Dim | None:
    """The size of a dim of a result, or None where only the function's result tells it."""
    if isinstance(item, int):
        return plan.batch_shape[item]
    if not isinstance(item, CoreDim):
        return None
    return item.size if item.name is None else sizes.get(item.name)


def _product(factors: Sequence[int | str]) -> str:
    number = 1
    for factor in factors:
        number *= factor if isinstance(factor, int) else 1
    texts = [factor for factor in factors if isinstance(factor, str)]
    return " * ".join([str(number)] * (number != 1 or not texts) + texts)


def prepare_words(path: str, prepare: Prepare) -> str:
    """What is done to an array first, in words.

    >>> prepare_words("x", Prepare((2, 3, 2), diagonals=((0, 2),)))
    'x reshaped to (2, 3, 2), diagonal of dims 0 and 2'
    """
    words: list[Any] = []
    if prepare.reshape is not None:
        words.append(f"reshaped to ({', '.join(map(str, prepare.reshape))}")
        words[-1] += ",)" if len(prepare.reshape) == 1 else ")"
    words += [f"diagonal of dims {one} and {other}" for one, other in prepare.diagonals]
    if prepare.order is not None:
        words.append(f"dims in the order {prepare.order}")
    return f"{path} {', '.join(words)}"
