"""Why `jax.jit` took no argument of a call: said as in a call that is not compiled."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, kind_of, shown
from autovmap._bind.leaves import jax_holds
from autovmap._bind.style import Slot, argument_slots, check_arguments
from autovmap._bind.trees import refuse_unsortable
from autovmap._frames import interface, leave_out_frames
from autovmap._spec.ranks import Core, Key, is_mapped
from autovmap._spec.spec import Spec
from autovmap._ways.distinct import ALIKE_BY_NAME, PLAIN, Substituted
from autovmap._ways.statics import refuse_changing, refuse_static
from autovmap.errors import SpecError

Bind = Callable[[tuple[Any, ...], dict[str, Any]], Any]


NDARRAY = np.ndarray
SUSPECTS = frozenset((np.ndarray, np.ma.MaskedArray, np.memmap, np.recarray, np.matrix))
"""Types of which a value may be one that a warm `jax.jit` misreads."""
CLEAR = frozenset((int, float, bool, str, type(None)))
"""Types of leaves, beside JAX's arrays, of which none is: most arguments are of these."""


@functools.cache
def _array_type() -> type:
    """The type of JAX's arrays: asked at a first call, as making one needs a backend."""
    with jax.ensure_compile_time_eval():  # an array too where all is traced
        return type(jax.numpy.zeros(()))


@dataclass(frozen=True, slots=True)
class Misuse:
    """Says of a compiled call that failed which of its arguments does not do."""

    spec: Spec
    signature: inspect.Signature
    static: tuple[str, ...]
    bind: Bind

    def refuse(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Name the argument that `jax.jit` did not take, if there is one.

        Raises:
            TypeError: the arguments do not fit the parameters, as a call that is not compiled says.
            SpecError: with the argument's path, and what to do.
        """
        if isinstance(error, SpecError):
            return
        check_arguments(self.spec, self.signature, args, kwargs)
        slots = list(argument_slots(self.spec, len(args), list(kwargs)))
        bound = False
        for slot in slots:
            value = slot.value(args, kwargs)
            where = f"{self.spec.function}.jit(): {slot.path}"
            if slot.parameter in self.static:
                refuse_static(value, slot.parameter, where, self.spec.function)
                continue
            for keys, leaf in self._flat(slot, value):
                refuse_array(leaf, f"{where}{keystr(keys)}")
                if kind_of(type(leaf)) is not Kind.OTHER or isinstance(leaf, jax.Array):
                    continue
                if is_mapped(slot.rank) and not bound:
                    self.bind(args, kwargs)  # which names what can't be under a rank
                    bound = True
                raise SpecError(untraceable(leaf, keystr(keys), where, slot.parameter)) from error

    def refuse_misread(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse the arrays that a warm `jax.jit` takes for what they are not.

        Other dtypes that JAX lacks it refuses by itself, warm too.

        Raises:
            TypeError: the arguments do not fit the parameters.
            SpecError: with the array's path, and what to do.
        """
        check_arguments(self.spec, self.signature, args, kwargs)
        for slot in argument_slots(self.spec, len(args), list(kwargs)):
            if slot.parameter not in self.static:
                for keys, leaf in self._flat(slot, slot.value(args, kwargs)):
                    refuse_array(leaf, f"{self.spec.function}.jit(): {slot.path}{keystr(keys)}")

    def _flat(self, slot: Slot, value: Any) -> list[tuple[Any, Any]]:
        try:
            return tree_flatten_with_path(value)[0]
        except ValueError as error:
            refuse_unsortable({slot.path: value}, self.spec.function, error)
            raise


def explaining(
    program: Any,
    misuse: Misuse,
    substituted: Substituted,
    settle: Callable[[Callable[..., Any]], None],
) -> Callable[..., Any]:
    """The call of a `jax.jit` object, explained where an argument can neither be traced nor kept.

    `jax.jit` refuses such arguments before it traces, so only a frame around its call can tell,
    at 0.2 microseconds a call. Where every argument is ranked by a number, and nothing is static,
    there is little to mistake: after a call that has gone well `settle` gets the `jax.jit` itself.

    A warm `jax.jit` takes a NumPy array of another byte order for a native one, and forgets a
    mask. A look at each leaf costs up to a tenth of a call, so they are looked at from the first
    call on that has NumPy arrays, as far as that is seen: by the first call, or later by a frame
    that is there anyway, among whole arguments by position.
    """
    ranks = [p.rank for p in misuse.spec.parameters]
    simple = not misuse.static and all(isinstance(rank, (Core, Key)) for rank in ranks)
    # Static values may have to be told apart: see `distinct`.
    usual: set[Any] = set(PLAIN if misuse.static else PLAIN | CLEAR)
    looking = _looking(program, misuse, usual, substituted)
    later = program if simple else _quick(program, misuse, usual, substituted, looking, settle)

    def first_call(*args: Any, **kwargs: Any) -> Any:
        try:
            usual.add(_array_type())
            result = looking(*args, **kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise
        numpy = any(kind_of(type(leaf)) is Kind.NUMPY for leaf in _leaves((args, kwargs)))
        settle(looking if numpy else later)
        return result

    return first_call


# In both of these what is looked for is looked for in place: a frame would cost more than a look.


def _quick(
    program: Any,
    misuse: Misuse,
    usual: set[Any],
    substituted: Substituted,
    looking: Callable[..., Any],
    settle: Callable[[Callable[..., Any]], None],
) -> Callable[..., Any]:
    """The call where no NumPy array has been seen yet."""
    static = bool(misuse.static)

    def call(*args: Any, **kwargs: Any) -> Any:
        odd = False
        try:
            for value in args:
                cls = type(value)
                if cls not in usual:
                    if cls in SUSPECTS:
                        settle(looking)
                        return looking(*args, **kwargs)
                    if cls is not float or not value or value != value:  # a zero or a NaN
                        odd = static
            if static and kwargs:
                for value in kwargs.values():
                    cls = type(value)
                    if cls in ALIKE_BY_NAME or (
                        cls not in usual and (cls is not float or not value or value != value)
                    ):
                        odd = True
            try:
                if odd:
                    positional, named = substituted(args, kwargs)
                    return program(*positional, **named)
                return program(*args, **kwargs)
            except (TypeError, ValueError) as error:
                misuse.refuse(error, args, kwargs)
                raise
        except Exception as error:
            leave_out_frames(error)
            raise

    return call


def _looking(
    program: Any, misuse: Misuse, usual: set[Any], substituted: Substituted
) -> Callable[..., Any]:
    """The call where arrays that would be misread are looked for among all leaves."""
    static = bool(misuse.static)

    def call(*args: Any, **kwargs: Any) -> Any:
        odd = False
        try:
            for value in args:
                cls = type(value)
                if cls is NDARRAY:
                    if not value.dtype.isnative:
                        misuse.refuse_misread(args, kwargs)
                elif cls not in usual:
                    odd = static
                    if cls not in CLEAR and _are_misread(value):
                        misuse.refuse_misread(args, kwargs)
            if kwargs:
                odd = static
                if _are_misread(kwargs):
                    misuse.refuse_misread(args, kwargs)
            try:
                if odd:
                    positional, named = substituted(args, kwargs)
                    return program(*positional, **named)
                return program(*args, **kwargs)
            except (TypeError, ValueError) as error:
                misuse.refuse(error, args, kwargs)
                raise
        except Exception as error:
            leave_out_frames(error)
            raise

    return call


def explaining_method(
    method: Callable[..., Any], misuse: Misuse, substituted: Substituted
) -> Callable[..., Any]:
    """The same of another method of a `jax.jit` object, such as `lower`: each call is looked at."""

    @interface
    def explained(*args: Any, **kwargs: Any) -> Any:
        if _are_misread((args, kwargs)):
            misuse.refuse_misread(args, kwargs)
        try:
            positional, named = substituted(args, kwargs)
            return method(*positional, **named)
        except (TypeError, ValueError) as error:
            misuse.refuse(error, args, kwargs)
            raise

    return explained


def _leaves(values: Any) -> list[Any]:
    """The leaves of a call's values; of static ones, which need be no pytrees, maybe none."""
    try:
        return jax.tree.leaves(values)
    except Exception:
        return []


def _are_misread(values: Any) -> bool:
    """Whether a leaf is one that a warm `jax.jit` takes for what it is not."""
    for leaf in _leaves(values):
        cls = type(leaf)
        if cls is NDARRAY:
            if not leaf.dtype.isnative:
                return True
        elif cls in SUSPECTS:
            return True
    return False


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
