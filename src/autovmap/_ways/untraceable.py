"""Why `jax.jit` took no argument of a call: said as in a call that is not compiled."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, kind_of, shown
from autovmap._bind.leaves import jax_holds
from autovmap._bind.style import Slot, argument_slots, check_arguments
from autovmap._bind.trees import refuse_unsortable
from autovmap._spec.ranks import is_mapped
from autovmap._spec.spec import Spec
from autovmap._ways.statics import refuse_changing, refuse_static
from autovmap.errors import SpecError

Bind = Callable[[tuple[Any, ...], dict[str, Any]], Any]


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
