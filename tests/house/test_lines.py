"""`autovmap._lines`."""

import time

from autovmap._lines import wrapped


def test_a_long_message_is_broken_in_no_time() -> None:
    names = [f"layer_{i}" for i in range(3000)]
    began = time.perf_counter()
    text = wrapped(f"f(): the keys of p differ from the declaration: it has {names!r}")
    assert time.perf_counter() - began < 2
    assert text.replace("\n", " ").endswith("'layer_2999']")
