"""A plan's layers as one would write each `jax.vmap`: axes by path, and where results go."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autovmap._plan.leaf import Dim
from autovmap._plan.outputs import Group, layer_out_axis
from autovmap._plan.plan import CallPlan
from autovmap._show.calling import Calling, Output
from autovmap._spec.ranks import ByIndex, ByName, Position, Tree


@dataclass(frozen=True, slots=True)
class Vmap:
    """One layer: the batch axis, its size and name, and what is mapped along which dim.

    `in_axes` has the leaves that are mapped, by path; a leaf that is not there is not mapped.
    `out_axes` has the results, by path: each output if they are known, else what is declared. None
    is an output that gets no dim from this layer.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> plan = auto_vmap(1, 1)(jnp.dot).plan(jnp.ones((5, 3)), jnp.ones(3))
    >>> plan.vmaps
    (Vmap(axis=-1, size=5, name=None, in_axes={'a': 0}, out_axes={'result': 0}),)
    """

    axis: int
    size: Dim
    name: Hashable | None
    in_axes: Mapping[str, int]
    out_axes: Mapping[str, int | None]


def vmaps(plan: CallPlan, calling: Calling, outputs: Sequence[Output] | None) -> tuple[Vmap, ...]:
    """The layers, outermost first."""
    groups = dict(_groups(plan, calling, outputs))
    return tuple(
        Vmap(
            layer.axis,
            layer.size,
            layer.name,
            {
                leaf.path: axis
                for leaf, axis in zip(plan.leaves, layer.in_axes, strict=True)
                if axis is not None
            },
            {path: layer_out_axis(group, plan.layers, i) for path, group in groups.items()},
        )
        for i, layer in enumerate(plan.layers)
    )


def _groups(
    plan: CallPlan, calling: Calling, outputs: Sequence[Output] | None
) -> Iterator[tuple[str, Group]]:
    """Where results go, by path."""
    if outputs is not None:
        yield from ((output.path, output.group) for output in outputs if output.array)
    elif plan.parts:
        count = len(plan.parts)
        yield from ((part_path(i, count), part) for i, part in enumerate(plan.parts))
    else:
        yield from _declared(calling.out_axes, "result")


def part_path(i: int, count: int) -> str:
    """What the i-th part of a pattern's result is called.

    >>> part_path(0, 1), part_path(0, 2)
    ('result', 'result[0]')
    """
    return "result" if count == 1 else f"result[{i}]"


def _declared(tree: Tree, path: str) -> Iterator[tuple[str, Group]]:
    match tree:
        case ByName(children=named, others=others):
            for key, child in named:
                yield from _declared(child, f"{path}[{key!r}]")
            if others is not None:
                yield from _declared(others, f"{path}[...]")
        case ByIndex(labels=labels, children=children):
            for label, child in zip(labels, children, strict=True):
                yield from _declared(child, path + label)
        case Position(index=index):
            yield path, Group(index)
        case _:
            yield path, Group(None)
