"""Eight fake devices: batch axes that are sharded stay so, without a collective.

The checks are the functions of `on_devices_*.py`. Those of a file run in one process, as one test:
pytest's own processes share tests out, and each would start JAX and all checks anew.
"""

import json

import pytest

from compose.on_devices import MODULES, checks
from compose.scripts import finish, start


@pytest.mark.devices
@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_on_eight_devices(module: str) -> None:
    ((out, errors, status),) = finish(start("on_devices.py", module, devices=8))
    assert status == 0, errors[-4000:]
    outcomes = json.loads(out)
    assert outcomes.keys() == checks(module).keys()
    failed = {name: trace for name, trace in outcomes.items() if trace is not None}
    assert not failed, "\n".join(f"{name}:\n{trace}" for name, trace in failed.items())
