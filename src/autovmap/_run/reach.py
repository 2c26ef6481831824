"""On which inputs an output depends, read from the jaxpr of one example."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

Axes: TypeAlias = frozenset[int]
"""Batch axes of a call, counted from the right."""
NONE: Axes = frozenset()

CALLS = (
    *("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "shard_map"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
)
"""Primitives, by their names in all supported versions, that call the one jaxpr they hold.

vmap maps each of their outputs as that jaxpr says. Other primitives with a jaxpr of as many inputs
and outputs do not: a `reduce` of several operands, of which one is mapped, maps all its outputs.
"""


def reached(
    closed: Any, inputs: Sequence[Axes], names: Mapping[Hashable, int] | None = None
) -> list[Axes]:
    """The batch axes on which each output of a jaxpr depends.

    Goes right through jit, custom derivatives and other calls, through scan, cond and while; any
    other primitive's outputs depend on all of its inputs. What an equation does over a named axis
    depends on that axis.

    >>> import jax
    >>> jaxpr = jax.make_jaxpr(lambda x, y: (x + 1, x * y, 3.0))(1.0, 2.0)
    >>> [sorted(axes) for axes in reached(jaxpr, [frozenset({-2}), frozenset({-1})])]
    [[-2], [-2, -1], []]

    Args:
        closed: a closed jaxpr.
        inputs: for each of its inputs the axes along which it is mapped.
        names: the named batch axes.
    """
    jaxpr = _opened(closed)
    known: dict[Any, Axes] = dict(zip(jaxpr.invars, inputs, strict=True))

    def axes_of(var: Any) -> Axes:
        return NONE if isinstance(var, Literal) else known.get(var, NONE)

    for equation in jaxpr.eqns:
        found = _outputs(equation, [axes_of(var) for var in equation.invars], names or {})
        known.update(zip(equation.outvars, found, strict=True))
    return [axes_of(var) for var in jaxpr.outvars]


def _outputs(equation: Any, inputs: list[Axes], names: Mapping[Hashable, int]) -> list[Axes]:
    params = equation.params
    match equation.primitive.name:
        case "scan":
            return _scan(equation, inputs, names)
        case "while":
            return _while(params, inputs, names)
        case "cond":
            branches = [reached(branch, inputs[1:], names) for branch in params["branches"]]
            # Which branch is taken depends on the index, so all that comes out does.
            return [union([inputs[0], *outs]) for outs in zip(*branches, strict=True)]
        case name if name in CALLS and (called := _called(equation)) is not None:
            return reached(called, inputs, names)
        case _:
            named = [frozenset({axis}) for name, axis in names.items() if _mentions(params, name)]
            return [union([*inputs, *named])] * len(equation.outvars)


def _called(equation: Any) -> Any:
    """The one jaxpr of an equation, if it takes its inputs and gives its outputs."""
    jaxprs = list(_jaxprs(equation.params))
    if len(jaxprs) != 1:
        return None
    inside = _opened(jaxprs[0])
    counts = len(inside.invars), len(inside.outvars)
    return jaxprs[0] if counts == (len(equation.invars), len(equation.outvars)) else None


def _opened(jaxpr: Any) -> Any:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def union(parts: Iterable[Axes]) -> Axes:
    """All axes of some sets of axes."""
    return NONE.union(*parts)


def _scan(equation: Any, inputs: list[Axes], names: Mapping[Hashable, int]) -> list[Axes]:
    """The inputs are constants, carry and slices, the outputs carry and slices.

    How many are what is told by the shapes, as versions of JAX differ in the parameters: a slice
    has one dim less inside.
    """
    jaxpr = equation.params["jaxpr"]
    inside = _opened(jaxpr)
    sliced = _slices(equation.invars, inside.invars)
    last = len(equation.invars) - sliced
    first = last - (len(equation.outvars) - _slices(equation.outvars, inside.outvars))
    consts, carry, xs = inputs[:first], inputs[first:last], inputs[last:]
    while True:  # one carry may get at an axis through another, a round later
        out = reached(jaxpr, [*consts, *carry, *xs], names)
        grown = [union(pair) for pair in zip(carry, out, strict=False)]  # slices stand behind
        if grown == carry:
            return out
        carry = grown


def _slices(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    both = zip(outside, inside, strict=True)
    return sum(len(one.aval.shape) > len(other.aval.shape) for one, other in both)


def _while(params: Any, inputs: list[Axes], names: Mapping[Hashable, int]) -> list[Axes]:
    tested, run = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    test_consts, consts, carry = inputs[:tested], inputs[tested:run], inputs[run:]
    while True:
        test = reached(params["cond_jaxpr"], [*test_consts, *carry], names)
        out = reached(params["body_jaxpr"], [*consts, *carry], names)
        # How often the body runs depends on the test, and with it all that is carried.
        grown = [union([*pair, *test]) for pair in zip(carry, out, strict=True)]
        if grown == carry:
            return carry
        carry = grown


def _mentions(params: Mapping[str, Any], name: Hashable) -> bool:
    """Whether an equation's parameters name an axis: a collective, `axis_index`, a nested call.

    Only values of the name's own type are compared with it: what else stands there may refuse to
    be compared, as JAX's wrapped functions do.
    """
    values = list(_within(params))
    return any(type(value) is type(name) and value == name for value in values) or any(
        _mentions(equation.params, name)
        for jaxpr in _jaxprs(params)
        for equation in _opened(jaxpr).eqns
    )


def primitives(closed: Any) -> set[str]:
    """The names of all primitives in a jaxpr, and in those inside of it."""
    found: set[str] = set()
    waiting = [closed]
    while waiting:
        for equation in _opened(waiting.pop()).eqns:
            found.add(equation.primitive.name)
            waiting += _jaxprs(equation.params)
    return found


def _jaxprs(params: Mapping[str, Any]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters, told by their type.

    Each primitive has another name for them, and a `custom_linear_solve` keeps them in a tuple.
    """
    return (value for value in _within(params) if isinstance(value, (ClosedJaxpr, Jaxpr)))


def _within(container: Any) -> Iterator[Any]:
    """All that stands in containers within containers; the keys of mappings are left out.

    Since JAX 0.11 a primitive may stand among an equation's parameters, with parameters of its own
    (`jax.experimental.hijax`): there `custom_root` keeps its jaxpr.
    """
    for value in container.values() if isinstance(container, Mapping) else container:
        yield value
        own = getattr(value, "params", None)
        if isinstance(own, Mapping):
            yield from _within(cast("Any", own))
        if isinstance(value, (tuple, list, set, frozenset, Mapping)):
            yield from _within(cast("Any", value))
