"""What a bare import loads, and what is loaded when it is asked for."""

import json
import subprocess
import sys

import pytest

import autovmap

LOADED = """
import json, sys
import jax, jax.numpy, optree
before = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
MOST = 70
"""Modules of the library that a bare import may load; the whole has about twice as many."""
LATER = ("_show", "_cli", "_demo", "compat", "_ways.program", "_ways.parts", "_ways.chunk_run")
"""What is loaded when it is asked for."""


def loaded(code: str) -> set[str]:
    """The modules that code loads beyond JAX and optree, in a process of its own."""
    command = [sys.executable, "-c", LOADED.format(code=code)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def belongs(module: str, part: str) -> bool:
    return f"{module}.".startswith(f"autovmap.{part}.")


@pytest.mark.own
@pytest.mark.parametrize(
    "code",
    [
        "import autovmap",
        "from autovmap import auto_vmap; f = auto_vmap(x=1)(lambda x: x.sum())",
        "import autovmap; autovmap.auto_vmap(x=1)(lambda x: x.sum())(jax.numpy.ones((2, 3)))",
    ],
    ids=["import", "declare", "call"],
)
def test_a_bare_import_is_light(code: str) -> None:
    found = loaded(code)
    assert not [name for name in found if name.startswith(("jax.extend", "jaxtyping", "equinox"))]
    own = {name for name in found if name.partition(".")[0] == "autovmap"}
    assert not [name for name in own if any(belongs(name, part) for part in LATER)]
    assert len(own) <= MOST


@pytest.mark.own
@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("autovmap.named_vmap", "_named.decorated"),
        ("autovmap.Plan", "_show.plan"),
        ("autovmap.compat.jax.vmap", "compat.jax"),
        ("autovmap.compat.functorch.vmap", "compat.functorch"),
        ("autovmap.auto_vmap(x=0)(abs).plan(1.0)", "_show.plan"),
        ("autovmap.auto_vmap(x=0)(abs).chunk(2)(jax.numpy.ones(3))", "_ways.chunk_run"),
    ],
)
def test_the_rest_is_loaded_when_it_is_asked_for(code: str, part: str) -> None:
    assert f"autovmap.{part}" in loaded(f"import autovmap; {code}")


def test_every_name_is_listed_and_found() -> None:
    names = [name for name in dir(autovmap) if not name.startswith("_")]
    assert {"auto_vmap", "named_vmap", "Plan", "BucketStats", "compat"} <= set(names)
    for name in names:
        assert getattr(autovmap, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'auto_map'"):
        autovmap.auto_map  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'torch'"):
        autovmap.compat.torch  # noqa: B018
