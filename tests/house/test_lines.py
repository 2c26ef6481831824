"""`autovmap._lines`."""

import time

from autovmap._lines import wrapped

HANGING = 10.0
"""CPU seconds that no machine needs for it: breaks that look through the whole text took 36."""


def test_a_message_of_thousands_of_names_is_broken_too() -> None:
    names = [f"layer_{i}" for i in range(5000)]
    began = time.process_time()
    text = wrapped(f"f(): the keys of p differ from the declaration: it has {names!r}")
    assert time.process_time() - began < HANGING
    assert text.replace("\n", " ").endswith("'layer_4999']")
