"""Arrays that a warm `jax.jit` takes for what they are not, refused in every way of running.

Cold, JAX refuses a byte order that is not the machine's; warm, its own call reads the bytes as if
they were native ones, and the result is wrong. A masked array loses its mask, cold and warm.
"""

import re
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap
from autovmap._ways.distinct import substituting
from autovmap._ways.jit_call import Noticed, explaining
from autovmap._ways.untraceable import Misuse

X = np.arange(6, dtype=np.float32).reshape(2, 3)
SWAPPED = X.astype(X.dtype.newbyteorder())
MASKED = np.ma.masked_array(X, X > 2)


class OfAUser(np.ndarray[Any, Any]):
    """JAX takes any subclass of NumPy's arrays for one."""


class MaskedOfAUser(np.ma.MaskedArray[Any, Any]):
    """The same of masked ones."""


WRONG: dict[str, Any] = {
    "byte order": SWAPPED,
    "mask": MASKED,
    "byte order, of a subclass": SWAPPED.view(OfAUser),
    "mask, of a subclass": MASKED.view(MaskedOfAUser),
}

WAYS: dict[str, Callable[[Any], Any]] = {
    "jit": lambda f: f.jit(),
    "jit, partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(1),
    "bucket": lambda f: f.bucket(),
    "jit of chunk": lambda f: f.chunk(1).jit(),
}


def ranked(x: Any) -> Any:
    return x["a"].sum() if isinstance(x, dict) else x.sum()


def shared(x: Any, u: Any) -> Any:
    return ranked(x) + ranked(u)


def anew(function: Any) -> Any:
    """The same function, of which no declaration is known that another test called."""
    return types.FunctionType(function.__code__, function.__globals__, function.__name__)


CALLS: dict[str, tuple[Any, Callable[[Any], tuple[tuple[Any, ...], dict[str, Any]]]]] = {
    "ranked": (ranked, lambda a: ((a,), {})),
    "ranked, beside one without": (shared, lambda a: ((a, X), {})),
    "shared": (shared, lambda a: ((X, a), {})),
    "shared, by keyword": (shared, lambda a: ((X,), {"u": a})),
    "shared, in a tree": (shared, lambda a: ((X, {"a": a}), {})),
    "ranked, in a tree": (ranked, lambda a: (({"a": a},), {})),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_would_be_misread_is_refused(way: str, call: str, warm: bool, wrong: Any) -> None:
    function, arguments = CALLS[call]
    f = WAYS[way](auto_vmap(x=1)(anew(function)))
    if warm:
        args, kwargs = arguments(X)
        for _ in range(3):
            f(*args, **kwargs)
    args, kwargs = arguments(wrong)
    with pytest.raises(SpecError, match=r"masked array|has dtype [<>]f4") as raised:
        f(*args, **kwargs)
    path = "u" if "shared" in call else "x"
    path += "['a']" if "tree" in call else ""
    assert re.search(rf"\(\): {re.escape(path)} ", str(raised.value))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("refused", [False, True], ids=["", "refused once"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_native_arrays_may_come_later_than_at_the_first_call(
    call: str, refused: bool, wrong: Any
) -> None:
    """A program that knew JAX's arrays alone learns to read NumPy's, and misreads from then on."""
    function, arguments = CALLS[call]
    f = auto_vmap(x=1)(anew(function)).jit()

    def run(array: Any) -> Any:
        args, kwargs = arguments(array)
        return f(*args, **kwargs)

    want = run(jnp.asarray(X))
    run(jnp.asarray(X))
    if refused:
        # Where all were arrays this is still the bare `jax.jit`, which refuses it too.
        told = "masked array|has dtype|Error interpreting"
        with pytest.raises((SpecError, TypeError, ValueError), match=told):
            run(wrong)
    np.testing.assert_array_equal(run(X), want)
    with pytest.raises(SpecError, match=r"masked array|has dtype [<>]f4"):
        run(wrong)


def test_native_arrays_that_came_are_not_forgotten() -> None:
    """What was held from before the first call, or runs in another thread, settles nothing anew."""
    f = auto_vmap(x=1)(anew(ranked)).jit()
    held = f.__call__
    held(X)
    held(jnp.asarray(X))
    for call in (f, held):
        with pytest.raises(SpecError, match="has dtype"):
            call(SWAPPED)


Settled = list[Any]


def explained(program: Any, compiled: Noticed) -> tuple[Callable[..., Any], Settled]:
    """The first call around a program, and where it puts what comes after it."""
    f = auto_vmap(x=1)(ranked).jit()
    misuse = Misuse(f._engine.spec, f._engine.signature, (), f._engine.bind)
    settled: Settled = []
    call = explaining(program, compiled, misuse, substituting((), ()), settled.append)
    return call, settled


@pytest.mark.parametrize("first", [jnp.asarray(X), {"a": jnp.asarray(X)}], ids=["array", "tree"])
def test_where_jax_does_not_ask_for_a_hash_all_is_looked_at(first: Any) -> None:
    """That it does is no public interface: without it a call is slower, and right."""
    call, settled = explained(jax.jit(jax.vmap(ranked)), Noticed(ranked))
    call(first)
    settled[-1](X)
    for wrong in (SWAPPED, {"a": SWAPPED}):
        with pytest.raises(SpecError, match="has dtype"):
            settled[-1](wrong)


def test_what_another_thread_left_meanwhile_gives_no_wrong_result() -> None:
    compiled = Noticed(ranked)

    def program(x: Any) -> Any:
        hash(compiled)  # as if for another thread's call with native arrays
        return x["a"]

    call, settled = explained(program, compiled)
    call({"a": jnp.asarray(X)})
    with pytest.raises(SpecError, match="has dtype"):
        settled[-1]({"a": SWAPPED})


def test_what_comes_while_the_bare_call_is_settled_is_noticed() -> None:
    compiled = Noticed(ranked)
    program = jax.jit(compiled)
    f = auto_vmap(x=1)(ranked).jit()
    misuse = Misuse(f._engine.spec, f._engine.signature, (), f._engine.bind)
    settled: Settled = []

    def settle(call: Any) -> None:
        settled.append(call)
        if call is program:
            program(X)  # as a call in another thread

    explaining(program, compiled, misuse, substituting((), ()), settle)(jnp.asarray(X))
    with pytest.raises(SpecError, match="has dtype"):
        settled[-1](SWAPPED)


def test_an_object_is_read_rightly_before_and_after() -> None:
    f = auto_vmap(x=1)(shared).jit()
    want = X.sum(1) + X.sum()
    for _ in range(2):
        np.testing.assert_allclose(f(X, X), want)
        with pytest.raises(SpecError, match="has dtype"):
            f(X, SWAPPED)


def test_a_keyword_that_is_no_parameter_is_told_as_python_tells_it() -> None:
    x: Any = np.ones((2, 3))
    masked: Any = np.ma.masked_array(x)
    f: Any = auto_vmap(x=1)(lambda x: x.sum())
    warm = f.jit()
    warm(x)
    for call in (warm, f.jit(partition=True)):
        with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
            call(x, z=x)
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        warm(x, z=masked)
