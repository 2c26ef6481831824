"""Eight fake devices: batch axes that are sharded stay so, without a collective.

The checks are the functions of `on_devices_*.py`, all run in one process (to start JAX once).
"""

import json

import pytest

from compose.on_devices import CHECKS
from compose.scripts import finish, start

pytestmark = [pytest.mark.devices, pytest.mark.slow]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str | None]:
    ((out, errors, status),) = finish(start("on_devices.py", devices=8))
    assert status == 0, errors[-4000:]
    return json.loads(out)


@pytest.mark.parametrize("name", CHECKS)
def test_on_eight_devices(name: str, outcomes: dict[str, str | None]) -> None:
    traceback = outcomes[name]
    assert traceback is None, traceback
