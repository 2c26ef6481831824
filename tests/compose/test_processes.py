"""Two processes of two CPU devices each, over loopback: a decorated call on global arrays."""

import socket

import jax
import pytest

from compose.scripts import finish, start

pytestmark = [
    pytest.mark.devices,
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(jax.config, "jax_cpu_collectives_implementation"),
        reason=f"jax {jax.__version__} has no gloo collectives on CPU",
    ),
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_two_processes() -> None:
    address = f"127.0.0.1:{free_port()}"
    processes = [start("one_process.py", address, str(i), devices=2) for i in range(2)]
    for out, errors, status in finish(*processes):
        assert status == 0, errors[-4000:]
        assert out.split()[-1] == "right", errors[-4000:]


def test_a_process_that_dies_is_an_error_in_the_other() -> None:
    """Of JAX's own, within its time-out; never a wrong result."""
    address = f"127.0.0.1:{free_port()}"
    processes = [start("one_dies.py", address, str(i), devices=2) for i in range(2)]
    (out, errors, status), (_, _, killed) = finish(*processes)
    assert killed == 3
    assert "never noticed" not in out
    assert "AssertionError" not in errors, errors[-4000:]
    assert status == 4 or "heartbeat" in errors or "UNAVAILABLE" in errors, (status, errors[-4000:])
