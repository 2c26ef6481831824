"""Why `jax.jit` took no argument of a call: said as in a call that is not compiled."""

from collections.abc import Callable, Collection
from typing import Any

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.binder import argument_slots
from autovmap._bind.kinds import Kind, kind_of, shown
from autovmap._frames import leave_out_frames
from autovmap._spec.ranks import Core, Key, is_mapped
from autovmap._spec.spec import Spec
from autovmap._ways.statics import refuse_changing, refuse_static
from autovmap.errors import SpecError

Bind = Callable[[tuple[Any, ...], dict[str, Any]], Any]


def explaining(
    program: Any, spec: Spec, static: Collection[str], bind: Bind, settle: Callable[[], None]
) -> Callable[..., Any]:
    """The call of a `jax.jit` object, explained where an argument can neither be traced nor kept.

    `jax.jit` refuses such arguments before it traces, so only a frame around its call can tell,
    at 0.2 microseconds a call. Where every argument is ranked by a number, and nothing is static,
    there is little to mistake: `settle` is called once a call has gone well, to leave it out.
    """
    simple = not static and all(isinstance(p.rank, (Core, Key)) for p in spec.parameters)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            try:
                return program(*args, **kwargs)
            except (TypeError, ValueError) as error:
                refuse_untraceable(error, args, kwargs, spec, static, bind)
                raise
        except Exception as error:
            leave_out_frames(error)
            raise

    def first_call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise
        settle()
        return result

    return first_call if simple else call


def refuse_untraceable(
    error: Exception,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    spec: Spec,
    static: Collection[str],
    bind: Bind,
) -> None:
    """Name the argument that `jax.jit` did not take, if there is one.

    Raises:
        SpecError: with the argument's path, and what to do.
    """
    if isinstance(error, SpecError):
        return
    try:
        slots = list(argument_slots(spec, len(args), list(kwargs)))
        values = [slot.value(args, kwargs) for slot in slots]
    except Exception:  # the arguments do not fit the parameters, which JAX has said
        return
    bound = False
    for slot, value in zip(slots, values, strict=True):
        where = f"{spec.function}.jit(): {slot.path}"
        if slot.parameter in static:
            refuse_static(value, slot.parameter, where, spec.function)
            continue
        for keys, leaf in tree_flatten_with_path(value)[0]:
            if kind_of(type(leaf)) is not Kind.OTHER or isinstance(leaf, jax.Array):
                continue
            if is_mapped(slot.rank) and not bound:
                bind(args, kwargs)  # which names what can't be under a rank
                bound = True
            raise SpecError(untraceable(leaf, keystr(keys), where, slot.parameter)) from error


def untraceable(leaf: Any, path: str, where: str, parameter: str) -> str:
    """What to do about a leaf that is no array where `jax.jit` traces."""
    if path:
        return (
            f"{where}{path} is {shown(leaf)} of type {type(leaf).__name__}, which is not an array, "
            f"beside what is traced; take such arguments apart at each call: .jit(partition=True)"
        )
    refuse_changing(leaf, where)
    return (
        f"{where} is {shown(leaf)} of type {type(leaf).__name__}, which JAX can't trace; make it "
        f"static: .jit(static_argnames={parameter!r}), or annotate it, "
        f"{parameter}: {'Callable' if callable(leaf) else type(leaf).__name__}"
    )
