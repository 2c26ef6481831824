"""What `test_processes.py` runs twice: two processes, the second of which dies between two calls.

Arguments: the coordinator's address, and this process's number.
"""

import inspect
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType

sys.path.insert(0, str(Path(__file__).parents[1]))

from autovmap import auto_vmap
from compose.one_process import distributed


@auto_vmap(x=1)
def total(x: Any) -> Any:
    return x.sum()


if __name__ == "__main__":
    address, number = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    quick = {"heartbeat_timeout_seconds": 10}
    if "heartbeat_timeout_seconds" not in inspect.signature(jax.distributed.initialize).parameters:
        quick = {}
    jax.distributed.initialize(address, 2, int(number), initialization_timeout=600, **quick)
    mesh = jax.make_mesh((4,), ("a",), axis_types=(AxisType.Auto,))
    gathered = total.shard("a", mesh=mesh)
    for call in range(100):
        x = np.full((7, 3), float(call), np.float32)
        if call == 3 and number == "1":
            os._exit(3)
        try:
            result = np.asarray(gathered(distributed(x, mesh)).addressable_shards[0].data)
        except Exception as error:
            print(type(error).__name__, "refused")
            sys.stdout.flush()
            os._exit(4)
        np.testing.assert_allclose(result, 3.0 * call)
    print("never noticed")
