"""`autovmap._cache`."""

from typing import Any

import pytest

from autovmap._cache import BoundedCache


class Hostile:
    """A key whose hash or comparison raises."""

    def __init__(self, hashes: bool = True) -> None:
        self.hashes = hashes

    def __hash__(self) -> int:
        if not self.hashes:
            raise RuntimeError("no hash")
        return hash("a")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")


def test_drops_the_oldest() -> None:
    cache = BoundedCache[int](maxsize=3)
    for i in range(10):
        cache.put(i, i)
    assert [cache.get(i) for i in range(10)] == [None] * 7 + [7, 8, 9]
    assert len(cache) == 3


def test_a_key_stored_again_is_replaced() -> None:
    cache = BoundedCache[int](maxsize=2)
    for value in (1, 2):
        cache.put("a", value)
    assert cache.get("a") == 2
    assert len(cache) == 1


@pytest.mark.parametrize("key", [[], {}, Hostile(hashes=False)], ids=["list", "dict", "hostile"])
def test_a_key_that_does_not_hash_is_not_stored(key: Any) -> None:
    cache = BoundedCache[int](maxsize=2)
    cache.put(key, 1)
    assert cache.get(key) is None
    assert len(cache) == 0


def test_a_look_up_that_raises_finds_nothing() -> None:
    cache = BoundedCache[int](maxsize=2)
    cache.put("a", 1)
    assert cache.get(Hostile()) is None
    assert cache.get("a") == 1
