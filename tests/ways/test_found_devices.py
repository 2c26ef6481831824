"""Found by using the ways of running on several devices, in a process of its own."""

import pytest

from compose.scripts import HERE, finish, start

SCRIPT = HERE.parent / "ways" / "on_devices_found.py"


@pytest.mark.slow
@pytest.mark.devices
def test_on_eight_devices() -> None:
    ((out, errors, status),) = finish(start(str(SCRIPT), devices=8))
    assert status == 0, errors[-4000:]
    assert len(out.splitlines()) == 5
