"""The call of `f.jit()`: that of a `jax.jit`, and what stands around it.

`jax.jit` refuses what it can neither trace nor keep before it traces anything, so only a Python
frame around its call can explain that. And a `jax.jit` that is warm takes some NumPy arrays for
what they are not: it reads another byte order as if it were native, and forgets a mask. They are
looked for at the least price, as a frame costs a twentieth of a small call, and a look at all
leaves of a tree a tenth of a larger one: see `explaining` for which call does what.
"""

import functools
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import jax
import numpy as np

from autovmap._bind.kinds import Kind, is_traced, kind_of
from autovmap._frames import interface, leave_out_frames
from autovmap._spec.spec import POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD
from autovmap._ways.distinct import PLAIN, Args, Arguments, Kwargs, Substituted
from autovmap._ways.jit_frame import written_out
from autovmap._ways.untraceable import Misuse

Call: TypeAlias = Callable[..., Any]

NDARRAY = np.ndarray
NUMBERS = frozenset((int, float, bool, complex))
CLEAR = NUMBERS | {str, type(None)}
"""Types of leaves, beside JAX's arrays, of which none is: most arguments are of these."""


@functools.cache
def _array_type() -> type:
    """The type of JAX's arrays: asked at a first call, as making one needs a backend."""
    with jax.ensure_compile_time_eval():  # an array too where all is traced
        return type(jax.numpy.zeros(()))


class Noticed:
    """A function to be compiled, which notices when `jax.jit` meets arguments of a new kind.

    Arguments like those of an earlier call a `jax.jit` runs without any Python. For others it looks
    up the function among what it has traced, and to do so asks for its hash.
    """

    def __init__(self, function: Call) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self._function = function
        self.count = 0
        """How often JAX has asked."""
        self.then: Callable[[], None] | None = None
        """What is to be done when it asks again, before it keeps anything for such arguments; it
        may ask for other reasons too, and in any thread."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __hash__(self) -> int:
        self.count += 1
        then, self.then = self.then, None
        if then is not None:
            then()
        return object.__hash__(self)

    def __repr__(self) -> str:
        return repr(self._function)


def explaining(
    program: Any,
    compiled: Noticed,
    misuse: Misuse,
    substituted: Substituted,
    settle: Callable[[Call], None],
) -> Call:
    """The call of a `jax.jit` object, explained where an argument does not do.

    The first call is looked at whole. What follows depends on what came with it:

    - NumPy arrays: each call is looked at leaf by leaf (`_looking`);
    - JAX's arrays and numbers alone, by position, and nothing static: the bare `jax.jit`, until it
      meets arguments of a new kind;
    - from then on, and where keywords or plain static values are among them: a frame that looks at
      the types of whole arguments (`_alike`);
    - trees or others: a frame that looks at the leaves where JAX has kept something new
      (`_watching`).

    In a frame keyword arguments go in by position: `jax.jit` takes longer over keywords, and would
    compile a function that is called in both ways twice.

    Args:
        program: the `jax.jit` object.
        compiled: what it compiles.
        misuse: says which argument does not do.
        substituted: gives static values stand-ins where they have to be told apart.
        settle: gets what is to be called from now on, once more is known of the calls.
    """
    lasting: list[Call] = []
    lock = threading.RLock()  # JAX may ask whenever Python collects its garbage

    def settle_for(call: Call, lasts: bool = False) -> None:
        with lock:
            if lasts:
                lasting.append(call)
            settle(lasting[0] if lasting else call)

    calls = Calls(program, compiled, misuse, _positional(misuse), substituted, settle_for)

    def first_call(*args: Any, **kwargs: Any) -> Any:
        before = compiled.count
        try:
            looking = _looking(calls)
            has_numpy = _has_numpy((args, kwargs))
            if has_numpy:  # before they are compiled for: calls in other threads may end first
                settle_for(looking, lasts=True)
            result = looking(*args, **kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise
        if has_numpy:
            return result
        given = by_position(calls.positional, args, kwargs)
        if compiled.count == before:  # this JAX does not ask: all that comes is looked at
            settle_for(looking, lasts=True)
        elif (alike := _alike(calls, *given)) is None:
            settle_for(_watching(calls, looking))
        elif misuse.static or kwargs:  # which the bare `jax.jit` would compile for once more
            settle_for(alike(_watching(calls, looking)))
        else:
            asked = compiled.count
            settle_for(program)
            compiled.then = lambda: settle_for(alike(looking), lasts=True)
            if compiled.count != asked:  # something came meanwhile, in another thread
                settle_for(alike(looking), lasts=True)
        return result

    return first_call


def explaining_method(method: Call, misuse: Misuse, substituted: Substituted) -> Call:
    """The same of another method of a `jax.jit` object, such as `lower`: each call is looked at."""

    @interface
    def explained(*args: Any, **kwargs: Any) -> Any:
        if _are_misread((args, kwargs), CLEAR):
            misuse.refuse_misread(args, kwargs)
        try:
            positional, named = substituted(args, kwargs)
            return method(*positional, **named)
        except (TypeError, ValueError) as error:
            misuse.refuse(error, args, kwargs)
            raise

    return explained


# Arguments by position


def _positional(misuse: Misuse) -> tuple[str, ...]:
    """The parameters at the front that take an argument by position or by name."""
    names: list[str] = []
    for p in misuse.signature.parameters.values():
        if p.kind is not POSITIONAL_OR_KEYWORD:
            # What stands behind one that has no name has a position, but not that of its name.
            return () if p.kind is POSITIONAL_ONLY else tuple(names)
        names.append(p.name)
    return tuple(names)


def by_position(positional: tuple[str, ...], args: Args, kwargs: Kwargs) -> Arguments:
    """A call with the arguments that come next in order taken from the keywords.

    >>> by_position(("x", "y", "z"), (1,), {"z": 3, "y": 2})
    ((1, 2, 3), {})
    >>> by_position(("x", "y"), (), {"y": 2})
    ((), {'y': 2})
    """
    more: list[Any] = []
    left = dict(kwargs)
    for name in positional[len(args) :]:
        if name not in left:
            break
        more.append(left.pop(name))
    return (*args, *more), left


# The calls. What is looked for is looked for in place: a frame would cost more than the look.


@dataclass(frozen=True, slots=True)
class Calls:
    """What the calls are made of: see `explaining`."""

    program: Any
    compiled: Noticed
    misuse: Misuse
    positional: tuple[str, ...]
    substituted: Substituted
    settle: Callable[..., None]
    """Gets what is to be called from now on, and whether it lasts, whatever comes behind it."""


def _alike(calls: Calls, args: Args, kwargs: Kwargs) -> Callable[[Call], Call] | None:
    """The call where arguments are given as here: JAX's arrays, numbers, and plain static values.

    Args:
        calls: what it is made of.
        args: the arguments of a call.
        kwargs: those that did not go in by position.

    Returns:
        Makes the call, given what any other call is to be; None if the arguments are not such.
    """
    misuse, names = calls.misuse, calls.positional
    static = frozenset(misuse.static)
    concrete = [x for x in args if kind_of(type(x)) is Kind.ARRAY and not is_traced(x)]
    # Typed keys have a type of their own.
    others = NUMBERS.union((_array_type(),), map(type, concrete))
    known = zip(names, args, strict=False)
    fits = all(type(value) in (PLAIN if name in static else others) for name, value in known)
    if not names or kwargs or not fits or len(names) < len(misuse.signature.parameters):
        return None

    of_function = (misuse.spec.function, names, len(args), static)
    return functools.partial(written_out, calls.program, *of_function, _array_type(), others)


def _with_stand_ins(calls: Calls) -> Call:
    """The program, with stand-ins for the static values that need them."""
    program, substituted = calls.program, calls.substituted
    if not calls.misuse.static:
        return program

    def run(*args: Any, **kwargs: Any) -> Any:
        front, left = substituted(args, kwargs)
        return program(*front, **left)

    return run


def _watching(calls: Calls, looking: Call) -> Call:
    """The call where no NumPy array has been seen yet, but may come, in a tree too.

    JAX can misread one only where it has kept how to read native ones like it, and to these it came
    as to something new. So the leaves are looked at in such calls, and in no other.
    """
    run, misuse, positional = _with_stand_ins(calls), calls.misuse, calls.positional
    compiled = calls.compiled

    def call(*args: Any, **kwargs: Any) -> Any:
        before = compiled.count
        try:
            if kwargs:
                args, kwargs = by_position(positional, args, kwargs)
            try:
                return run(*args, **kwargs)
            except (TypeError, ValueError) as error:
                misuse.refuse(error, args, kwargs)
                raise
            finally:  # a call that is refused may leave something behind too
                if compiled.count != before and _has_numpy((args, kwargs)):
                    calls.settle(looking, lasts=True)
                    # What another thread's call left may be what this one was read by.
                    if _are_misread((args, kwargs), CLEAR):
                        misuse.refuse_misread(args, kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise

    return call


def _looking(calls: Calls) -> Call:
    """The call where arrays that would be misread are looked for among all leaves."""
    run, misuse, positional = _with_stand_ins(calls), calls.misuse, calls.positional
    clear = CLEAR | {_array_type()}

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if kwargs:
                args, kwargs = by_position(positional, args, kwargs)
                if kwargs and _are_misread(kwargs, clear):
                    misuse.refuse_misread(args, kwargs)
            for value in args:
                cls = type(value)
                if cls is NDARRAY:
                    if not value.dtype.isnative:
                        misuse.refuse_misread(args, kwargs)
                elif cls not in clear and _are_misread(value, clear):
                    misuse.refuse_misread(args, kwargs)
            try:
                return run(*args, **kwargs)
            except (TypeError, ValueError) as error:
                misuse.refuse(error, args, kwargs)
                raise
        except Exception as error:
            leave_out_frames(error)
            raise

    return call


# What the leaves are


def _leaves(values: Any) -> list[Any]:
    """The leaves of a call's values; of static ones, which need be no pytrees, maybe none."""
    try:
        return jax.tree.leaves(values)
    except Exception:
        return []


def _has_numpy(values: Any) -> bool:
    return any(kind_of(type(leaf)) is Kind.NUMPY for leaf in _leaves(values))


def _are_misread(values: Any, clear: Collection[type]) -> bool:
    """Whether a leaf may be one that a warm `jax.jit` takes for what it is not.

    Of a subclass of `np.ndarray`, NumPy's or a user's own, a value may be one: whether it is, is
    found out where it is refused. Of the `clear` types none is.
    """
    for leaf in _leaves(values):
        cls = type(leaf)
        if cls is NDARRAY:
            if not leaf.dtype.isnative:
                return True
        elif cls not in clear and issubclass(cls, NDARRAY):
            return True
    return False
