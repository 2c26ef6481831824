"""Arrays that a result holds where JAX does not see them: traced ones would leak.

What is no array goes around vmap and jit as it is. So an object that JAX takes for a leaf, or the
static data of a pytree node, would carry a tracer out of its trace.
"""

import collections
import enum
import functools
import gc
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import a, is_key, is_sparse, is_traced, shown
from autovmap._cache import BoundedCache
from autovmap.errors import SpecError

LIMIT = 1000
"""How many objects are looked at in one leaf, so that a large one costs little."""

SIMPLE = (
    *(str, bytes, int, float, complex, type(None), type, enum.Enum, types.ModuleType),
    *(np.dtype, np.generic, types.BuiltinFunctionType, range, slice),
)
"""Types whose values hold nothing, or what outlives the call anyway."""

BUILTIN = (dict, list, tuple, type(None))
_of_builtins: BoundedCache[bool] = BoundedCache(256)
"""Structures of nothing but these: only such ones are kept, as others may hold arrays."""

METHODS = (types.FunctionType, types.MethodType)
VIEWS = (type({}.keys()), type({}.values()), type({}.items()))


@dataclass(frozen=True, slots=True)
class Hidden:
    """An array inside a leaf that is not an array, or inside the static data of a node."""

    holder: Any
    place: str
    array: Any
    static: bool = False


def hidden(leaves: Iterable[Any], treedef: Any) -> Iterator[Hidden]:
    """The arrays that JAX does not see in a result; leaves that are arrays are skipped."""
    for leaf in leaves:
        for place, array in arrays_in(leaf):
            if array is not leaf:
                yield Hidden(leaf, place, array)
    for cls, data in _static_data(treedef):
        yield from (Hidden(cls, place, array, True) for place, array in arrays_in(data))


def refuse_hidden(result: Any, leaves: Iterable[Any], treedef: Any, function: str) -> None:
    """Refuse traced arrays where JAX does not see them.

    Args:
        result: what the function returned for one example.
        leaves: its leaves, or those that are not arrays.
        treedef: its structure.
        function: the function's name, for the message.

    Raises:
        SpecError: with the path in the result.
    """
    for found in hidden(leaves, treedef):
        if is_traced(found.array):
            raise _error(result, found, function)


def refuse_sparse_result(treedef: Any, function: str) -> None:
    """Refuse JAX's sparse arrays in a result that gets batch dims, which their parts can't get.

    Raises:
        SpecError: there is one.
    """
    for cls, _ in _static_data(treedef):
        if is_sparse(cls):
            raise SpecError(
                f"{function}(): the result holds a {cls.__name__}, a sparse array, whose parts "
                f"can't get batch dims.\nReturn it dense (.todense()), or its data and indices"
            )


def refuse_differing(first: Any, other: Any, function: str) -> None:
    """Refuse arrays where JAX does not see them if another example's result has others there.

    For a loop, where nothing is traced: the first example's would stand for all.
    """
    if isinstance(first, jax.Array) and isinstance(other, jax.Array):  # as most are
        return
    one, two = ([*hidden(*jax.tree.flatten(result))] for result in (first, other))
    for known, found in zip(one, two, strict=False):
        if not _equal(known.array, found.array):
            raise _error(other, found, function)
    if len(one) != len(two):
        raise _error(other, max(one, two, key=len)[-1], function)


def refuse_dependent(run: Callable[[Any], Any], rows: Any, result: Any, function: str) -> None:
    """Refuse arrays where JAX does not see them if they depend on the arguments.

    For calls that trace nothing, as all batch axes have size 1: `run` is traced once more, but
    only if there is such an array. Where it can't be traced, nothing is known.
    """

    def traced(rows: Any) -> None:
        result = run(rows)
        refuse_hidden(result, *jax.tree.flatten(result), function)

    if any(True for _ in hidden(*jax.tree.flatten(result))):
        try:
            jax.eval_shape(traced, rows)
        except SpecError:
            raise
        except Exception:  # whatever a function that needs values may raise
            return


def _equal(array: Any, other: Any) -> bool:
    if array is other:
        return True
    if (array.shape, array.dtype) != (other.shape, other.dtype):
        return False
    if is_key(array):
        array, other = jax.random.key_data(array), jax.random.key_data(other)
    # By bytes: NaN is equal to itself here, and 0.0 is not -0.0.
    return np.asarray(array).tobytes() == np.asarray(other).tobytes()


def _error(result: Any, found: Hidden, function: str) -> SpecError:
    holder, account = found.holder, _account(found.place, found.array)
    if found.static:
        return SpecError(
            f"{function}(): the static data of {a(holder.__name__)} in the result holds an array.\n"
            f"It belongs to one example ({account}) and means nothing outside the call.\n"
            f"Make it a child of the pytree node"
        )
    flat, _ = tree_flatten_with_path(result)
    path = next((keystr(keys) for keys, leaf in flat if leaf is holder), "")
    name = holder.__qualname__.rsplit("<locals>.", 1)[-1] if isinstance(holder, METHODS) else ""
    kind = a(str(type(holder).__name__))
    return SpecError(
        f"{function}(): result{path} is {kind}{f' ({name})' * bool(name)}, "
        f"which is not a JAX pytree node.\n"
        f"It holds an array of one example ({account}), which means nothing outside the call.\n"
        f"{_remedy(holder)}"
    )


def _account(place: str, array: Any) -> str:
    place = place.lstrip(".")
    return f"{place}: {shown(array)}" if place else shown(array)


def _remedy(leaf: Any) -> str:
    if isinstance(leaf, types.FunctionType):
        return "Return the arrays in a tuple or dict, and make the function from them afterwards"
    if isinstance(leaf, functools.partial):
        return "Return a jax.tree_util.Partial, which is a pytree node, or the arrays in a tuple"
    if isinstance(leaf, (Collection, *VIEWS)) or _is_iterator(leaf):
        return "Return a tuple, list or dict of what it holds"
    cls = type(leaf.__self__ if isinstance(leaf, types.MethodType) else leaf)
    return (
        f"Register {cls.__name__} (jax.tree_util.register_dataclass, register_pytree_node), "
        f"or return a tuple or dict"
    )


def _is_iterator(value: Any) -> bool:
    """Whether it is an iterator of Python's own, such as a `zip`: looking must not use it up."""
    return type(value).__module__ in ("builtins", "itertools") and hasattr(value, "__next__")


def arrays_in(value: Any) -> Iterator[tuple[str, Any]]:
    """The JAX arrays inside of any object, with where they are: nothing of it is called.

    >>> import jax.numpy as jnp
    >>> box = types.SimpleNamespace(x=jnp.ones(3))
    >>> held = {"a": functools.partial(print, jnp.ones(())), "b": {1: box}}
    >>> [place for place, _ in arrays_in(held)]
    ["['a'].args[0]", "['b'][1].x"]
    """
    seen: set[int] = set()
    waiting = collections.deque([("", value)])
    while waiting and len(seen) < LIMIT:
        place, value = waiting.popleft()
        if isinstance(value, jax.Array):
            yield place, value
        elif not isinstance(value, SIMPLE) and id(value) not in seen and not _is_global(value):
            seen.add(id(value))
            waiting.extend((place + label, part) for label, part in _parts(value))


def _is_global(value: Any) -> bool:
    """Whether it stands in its module under its own name, and so outlives any call."""
    try:
        name, module = value.__qualname__, value.__module__
    except Exception:  # most things have no such name; a `__getattr__` may raise anything
        return False
    if not isinstance(name, str) or not isinstance(module, str):
        return False
    return getattr(sys.modules.get(module), name, None) is value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, behind labels."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            yield from ((f"[{i}]", x) for i, x in enumerate(value.flat))
        return
    # Copies, as a container may change (in another thread, too) while the caller looks at a part.
    if isinstance(value, (dict, types.MappingProxyType)):
        yield from ((f"[{key!r}]", x) for key, x in list(cast("Any", value).items()))
    elif isinstance(value, (list, tuple, set, frozenset, collections.deque, *VIEWS)):
        yield from ((f"[{i}]", x) for i, x in enumerate(list(cast("Any", value))))
    elif isinstance(value, types.MethodType):
        yield from ((".__self__", value.__self__), (".__func__", value.__func__))
    elif isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, types.FunctionType):
        yield from _variables(value)
    elif _is_iterator(value):
        yield from (("", x) for x in gc.get_referents(value))
    elif type(value).__module__.partition(".")[0] in ("jax", "jaxlib"):
        # Compiled functions and the like hold what they wrap; jaxprs and meshes are large, and
        # hold no array of an example.
        yield ".__wrapped__", getattr(value, "__wrapped__", None)
        return
    yield from _attributes(value)


def _variables(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function holds beside globals."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield ".__defaults__", function.__defaults__
    yield ".__kwdefaults__", function.__kwdefaults__


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """What stands in an object's `__dict__` and slots, past properties and `__getattr__`."""
    try:
        found = dict(object.__getattribute__(value, "__dict__"))
    except (AttributeError, TypeError):
        found = {}
    for name, slot in _slots(type(value)):
        try:
            found[name] = slot.__get__(value)
        except (AttributeError, TypeError):  # not assigned
            continue
    yield from ((f".{name}", x) for name, x in found.items())


@functools.lru_cache(maxsize=256)
def _slots(cls: type) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, slot)
        for base in cls.__mro__
        if base.__module__ != "builtins"
        for name, slot in vars(base).items()
        if isinstance(slot, types.MemberDescriptorType) and name != "__dict__"
    )


def _static_data(treedef: Any) -> Iterator[tuple[type, Any]]:
    """The nodes of a structure that may hold more than keys: their classes and static data."""
    if _of_builtins.get(treedef):
        return
    nodes, found = [treedef], False
    while nodes:
        node = nodes.pop()
        data = node.node_data()
        if data is not None and data[0] not in BUILTIN:
            found = True
            yield data
        nodes += node.children()
    if not found:
        _of_builtins.put(treedef, True)
