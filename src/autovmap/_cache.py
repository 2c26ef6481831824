"""A bounded, thread-safe cache whose keys may refuse to be hashed or compared.

Treedefs carry users' static data, and that may raise when hashed or compared (an array in a
static field does). Such a key is never found and never stored: the caller works it out anew.
"""

import threading
import types
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class BoundedCache(Generic[V]):
    """Keep at most `maxsize` values, dropping the oldest.

    >>> cache = BoundedCache[str](maxsize=2)
    >>> for key in "abc":
    ...     cache.put(key, key.upper())
    >>> cache.get("a"), cache.get("c"), len(cache)
    (None, 'C', 2)
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._values: dict[Hashable, V] = {}
        self._lock = threading.Lock()
        self.find: Callable[[Hashable], V | None] = self._values.get
        """As `get`, for keys that are known to hash and compare: without a Python frame."""

    def get(self, key: Hashable) -> V | None:
        """The value stored for `key`, or None."""
        try:
            return self._values.get(key)
        except Exception:  # whatever a user's __hash__ or __eq__ raises: see the module
            return None

    def put(self, key: Hashable, value: V) -> None:
        """Store `value`, unless `key` can't be hashed."""
        try:
            with self._lock:
                self._values[key] = value
                self._shrink()
        except Exception:
            return

    def keep(self, key: Hashable, value: V) -> V:
        """The value that is stored for `key`, which is this one if there was none.

        Threads that ask at once get the same.
        """
        try:
            with self._lock:
                found = self._values.setdefault(key, value)
                self._shrink()
        except Exception:
            return value
        return found

    def _shrink(self) -> None:
        while len(self._values) > self._maxsize:
            del self._values[next(iter(self._values))]  # a dict's first key is its oldest

    def values(self) -> tuple[V, ...]:
        """All that is stored, the oldest first."""
        return tuple(self._values.values())

    def __len__(self) -> int:
        return len(self._values)


def same(value: object) -> Hashable:
    """A key of one object alone, which it keeps alive, so that no other takes its place.

    A bound method is one: it is hashed and compared by its object's identity, without a Python
    frame. Nobody calls it.

    >>> same([1]) == same([1]), same(len) == same(len)
    (False, True)
    """
    return value if value is None else types.MethodType(id, value)


def is_storable(treedef: Any) -> bool:
    """Whether a treedef may be kept: all that its nodes hold beside their children hashes.

    A treedef's own hash leaves that out. One that holds an array would keep it alive, and would
    make look-ups of other values of that node's type fail.
    """
    nodes = [treedef]
    while nodes:
        node = nodes.pop()
        data = node.node_data()
        try:
            hash(tuple(data[1]) if data is not None and isinstance(data[1], list) else data)
        except Exception:
            return False
        nodes += node.children()
    return True
