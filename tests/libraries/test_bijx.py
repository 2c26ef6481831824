"""bijx is written on jax_autovmap; here it runs on autovmap, by a shim, with the same results.

Both are imported afresh in a process of their own, as a module is only imported once.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

NEEDED = ("bijx", "jax_autovmap")
pytestmark = [
    pytest.mark.libraries,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED), reason="needs bijx"
    ),
]
SHIM = """
import sys, types
import autovmap as ours

def autovmap(*ranks, **named):
    if not ranks and not named:
        return lambda function: function
    return ours.auto_vmap(*ranks, ranks=named) if named else ours.auto_vmap(*ranks)

sys.modules["jax_autovmap"] = types.SimpleNamespace(autovmap=autovmap)
"""
CALLS = Path(__file__).with_name("bijx_calls.py")


def results(before: str, target: Path) -> dict[str, np.ndarray]:
    """What bijx's functions give, in a process that runs some code first."""
    code = f"{before}\nimport runpy\nrunpy.run_path({str(CALLS)!r}, run_name='__main__')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(target)], check=True, env=environment)
    with np.load(target) as found:
        return dict(found)


def test_the_same_results_on_autovmap(tmp_path):
    theirs = results("", tmp_path / "theirs.npz")
    ours = results(SHIM, tmp_path / "ours.npz")
    assert str(theirs.pop("decorator")) == "jax_autovmap"
    assert str(ours.pop("decorator")) == "autovmap"
    assert ours.keys() == theirs.keys()
    assert len(ours) >= 12
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        np.testing.assert_allclose(ours[name], value, rtol=2e-5, atol=2e-5, err_msg=name)
