"""Every public name is in the reference, and its docstring has an example, arguments and errors."""

import doctest
import functools
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

import autovmap
from autovmap import (
    AutoVmapped,
    BoundAutoVmapped,
    BoundJitted,
    Jitted,
    Plan,
    auto_vmap,
    named_vmap,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
COMPAT = ("autovmap.compat.jax", "autovmap.compat.functorch")
FACES = (BoundAutoVmapped, Jitted, BoundJitted)
"""The same methods on other objects."""
RAISES_NOTHING = {"Plan.html", "Plan.svg", "AutoVmapped.signature"}
Named = tuple[str, Any]


def names_of(module: types.ModuleType) -> Iterator[Named]:
    """The public functions and classes of a module."""
    for name in dir(module):  # some are loaded when they are asked for
        value = getattr(module, name)
        own = module is autovmap or getattr(value, "__module__", "") == module.__name__
        kind = inspect.isclass(value) or inspect.isfunction(value)
        if own and kind and not name.startswith("_"):
            yield name, value


def members(cls: type, base: type = object) -> Iterator[Named]:
    """The public methods and properties of a class."""
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        kinds = (types.FunctionType, property, functools.cached_property)
        if not name.startswith("_") and isinstance(value, kinds):
            yield f"{cls.__name__}.{name}", value


def plan_members() -> Iterator[Named]:
    """Those of a plan that are for its readers: not what execution asks of it."""
    return ((name, value) for name, value in members(Plan) if name.split(".")[1] in vars(Plan))


def returned() -> Iterator[Named]:
    """The classes of what public methods give."""
    total = auto_vmap(x=1)(lambda x: x.sum())
    plan = total.plan_with_outputs(jnp.ones((5, 3)))
    assert plan.outputs is not None
    values = [total, total.jit(), total.bucket().stats(), plan, plan.args[0], plan.layers[0]]
    values += [plan.vmaps[0], plan.outputs[0], named_vmap("a [b] -> a")(jnp.sum)]
    for value in values:
        cls = type(value)
        cls = Jitted if issubclass(cls, Jitted) else cls
        yield cls.__name__, cls
    yield from (("BoundAutoVmapped", BoundAutoVmapped), ("BoundJitted", BoundJitted))
    yield from (("NamedVmapped.pattern", type(values[-1]).pattern),)
    yield from (("Jitted.static_argnames", Jitted.static_argnames),)


def public() -> dict[str, Any]:
    found = dict(names_of(autovmap)) | dict(names_of(autovmap.errors))
    for name in COMPAT:
        found |= {f"{name}.{key}": value for key, value in names_of(importlib.import_module(name))}
    return found | dict(members(AutoVmapped)) | dict(plan_members()) | dict(returned())


PUBLIC = public()


def function_of(value: Any) -> Any:
    """The function behind a property."""
    return getattr(value, "fget", None) or getattr(value, "func", None) or value


def lacks(name: str, value: Any) -> list[str]:
    """What a docstring should have and has not."""
    text = inspect.getdoc(value) or ""
    found = []
    if not re.match(r"[A-Z`].*[^.]\.(\n|$)|[A-Z].*[:.]", text):
        found.append("a sentence")
    if not doctest.DocTestParser().get_examples(text):
        found.append("an example")
    function = function_of(value)
    if isinstance(function, types.FunctionType):
        for parameter in list(inspect.signature(function).parameters):
            if parameter not in ("self",) and not re.search(rf"^ +{parameter}: ", text, re.M):
                found.append(f"the argument {parameter}")
        attribute = isinstance(value, (property, functools.cached_property))
        if not attribute and name not in RAISES_NOTHING and "Raises:\n" not in text:
            found.append("what it raises")
    return found


def test_there_are_the_names_that_the_design_has() -> None:
    wanted = "plan jit chunk bucket shard loop batch outer replace lift tune iter stats ranks"
    assert {f"AutoVmapped.{name}" for name in wanted.split()} <= set(PUBLIC)
    assert {"Plan.args", "Plan.code", "Plan.svg", "Plan.steps", "Plan.vmaps"} <= set(PUBLIC)
    assert {"auto_vmap", "named_vmap", "like", "infer_ranks", "AutoVmapError"} <= set(PUBLIC)
    assert {f"{COMPAT[0]}.vmap", f"{COMPAT[0]}.vectorize", f"{COMPAT[1]}.vmap"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name: str) -> None:
    assert lacks(name, PUBLIC[name]) == []


def test_a_poor_docstring_is_seen() -> None:
    def poor(x: int) -> None:
        """Not much."""

    assert lacks("poor", poor) == ["an example", "the argument x", "what it raises"]
    assert lacks("none", lambda: None)[0] == "a sentence"


@pytest.mark.parametrize("face", FACES)
def test_a_method_is_written_once_for_every_face(face: type) -> None:
    shown = {name.split(".")[1]: value for name, value in members(AutoVmapped)}
    assert {"chunk", "jit", "lift", "plan", "ranks", "replace"} <= set(shown)
    assert shown == {name: inspect.getattr_static(face, name) for name in shown}


@pytest.mark.parametrize("name", PUBLIC)
def test_it_is_in_the_reference(name: str) -> None:
    if not PAGE.exists():
        pytest.skip("the docs are not here")
    directives = re.findall(r"^\.\. (?:auto|py:)\w+:: ([\w.]+)", PAGE.read_text("utf-8"), re.M)
    shown = {directive.removeprefix("autovmap.") for directive in directives}
    shown |= {re.sub(r"^_\w+(\.\w+)*?\.(?=[A-Z])", "", directive) for directive in shown}
    assert name.removeprefix("autovmap.") in shown
