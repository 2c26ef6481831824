"""Why `jax.jit` took no argument of a call: said as in a call that is not compiled."""

from collections.abc import Callable, Collection
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, kind_of, shown
from autovmap._bind.leaves import jax_holds
from autovmap._bind.style import argument_slots
from autovmap._frames import leave_out_frames
from autovmap._spec.ranks import Core, Key, is_mapped
from autovmap._spec.spec import Spec
from autovmap._ways.statics import refuse_changing, refuse_static
from autovmap.errors import SpecError

Bind = Callable[[tuple[Any, ...], dict[str, Any]], Any]


SUSPECTS = frozenset((np.ndarray, np.ma.MaskedArray, np.memmap, np.recarray, np.matrix))
"""Types of which a value may be one that a warm `jax.jit` misreads."""


def explaining(
    program: Any,
    spec: Spec,
    static: Collection[str],
    bind: Bind,
    settle: Callable[[Callable[..., Any]], None],
) -> Callable[..., Any]:
    """The call of a `jax.jit` object, explained where an argument can neither be traced nor kept.

    `jax.jit` refuses such arguments before it traces, so only a frame around its call can tell,
    at 0.2 microseconds a call. Where every argument is ranked by a number, and nothing is static,
    there is little to mistake: after a call that has gone well `settle` gets the `jax.jit` itself.

    A warm `jax.jit` takes a NumPy array of another byte order for a native one, and forgets a
    mask. A look at each leaf costs a tenth of a call, so they are looked at from the first call
    on that has NumPy arrays, as far as that is seen: by the first call, or later by a frame that
    is there anyway, among whole arguments by position.
    """
    simple = not static and all(isinstance(p.rank, (Core, Key)) for p in spec.parameters)

    def called(looks: bool) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                if looks:
                    refuse_misread(args, kwargs, spec, static)
                elif not SUSPECTS.isdisjoint(map(type, args)):
                    settle(looking)
                    refuse_misread(args, kwargs, spec, static)
                try:
                    return program(*args, **kwargs)
                except (TypeError, ValueError) as error:
                    refuse_untraceable(error, args, kwargs, spec, static, bind)
                    raise
            except Exception as error:
                leave_out_frames(error)
                raise

        return call

    looking, quick = called(True), called(False)

    def first_call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = looking(*args, **kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise
        numpy = any(kind_of(type(leaf)) is Kind.NUMPY for leaf in _leaves((args, kwargs)))
        settle(looking if numpy else program if simple else quick)
        return result

    return first_call


def _leaves(values: Any) -> list[Any]:
    """The leaves of a call's values; of static ones, which need be no pytrees, maybe none."""
    try:
        return jax.tree.leaves(values)
    except Exception:
        return []


def refuse_misread(
    args: tuple[Any, ...], kwargs: dict[str, Any], spec: Spec, static: Collection[str]
) -> None:
    """Refuse the arrays that a warm `jax.jit` takes for what they are not.

    Other dtypes that JAX lacks it refuses by itself, warm too.

    Raises:
        SpecError: with the array's path, and what to do.
    """
    for leaf in _leaves((args, kwargs)):
        if type(leaf) in SUSPECTS and not (type(leaf) is np.ndarray and leaf.dtype.isnative):
            break
    else:
        return
    try:
        slots = list(argument_slots(spec, len(args), list(kwargs)))
    except Exception:  # the arguments do not fit the parameters, which JAX will say
        return
    for slot in slots:
        if slot.parameter not in static:
            for keys, leaf in tree_flatten_with_path(slot.value(args, kwargs))[0]:
                refuse_array(leaf, f"{spec.function}.jit(): {slot.path}{keystr(keys)}")


def is_misread(leaf: Any) -> bool:
    """Whether a leaf is an array that JAX has no type for."""
    kind = kind_of(type(leaf))
    return kind is Kind.MASKED or (kind is Kind.NUMPY and not jax_holds(leaf.dtype))


def refuse_array(leaf: Any, where: str) -> None:
    """Refuse an array that JAX has no type for.

    Raises:
        SpecError: with what to do.
    """
    if not is_misread(leaf):
        return
    if kind_of(type(leaf)) is Kind.MASKED:
        raise SpecError(
            f"{where} is a masked array, {shown(leaf)}, and JAX would drop the mask; pass "
            f"its .filled(value)"
        ) from None
    raise SpecError(
        f"{where} has dtype {leaf.dtype} and shape {leaf.shape}, which JAX can't "
        f"compile for; convert it, for example by .astype()"
    ) from None


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
            refuse_array(leaf, f"{where}{keystr(keys)}")
            if kind_of(type(leaf)) is not Kind.OTHER or isinstance(leaf, jax.Array):
                continue
            if is_mapped(slot.rank) and not bound:
                bind(args, kwargs)  # which names what can't be under a rank
                bound = True
            raise SpecError(untraceable(leaf, keystr(keys), where, slot.parameter)) from error


def untraceable(leaf: Any, path: str, where: str, parameter: str) -> str:
    """What to do about a leaf that is not an array where `jax.jit` traces."""
    if path:
        return (
            f"{where}{path} is {shown(leaf)} of type {type(leaf).__name__}, which is not an array "
            f"and can't be traced with the rest; to split such arguments at each call, use "
            f".jit(partition=True)"
        )
    refuse_changing(leaf, where)
    return (
        f"{where} is {shown(leaf)} of type {type(leaf).__name__}, which JAX can't trace; make it "
        f"static: .jit(static_argnames={parameter!r}), or annotate it, "
        f"{parameter}: {'Callable' if callable(leaf) else type(leaf).__name__}"
    )
