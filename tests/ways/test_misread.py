"""Arrays that a warm `jax.jit` takes for what they are not, refused in every way of running.

Cold, JAX refuses a byte order that is not the machine's; warm, its own call reads the bytes as if
they were native ones, and the result is wrong. A masked array loses its mask, cold and warm.
"""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap
from autovmap._ways.distinct import substituting
from autovmap._ways.jit_call import explaining
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
    f = WAYS[way](auto_vmap(x=1)(function))
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
    f = auto_vmap(x=1)(function).jit()

    def run(array: Any) -> Any:
        args, kwargs = arguments(array)
        return f(*args, **kwargs)

    want = run(jnp.asarray(X))
    run(jnp.asarray(X))
    if refused:
        with pytest.raises(SpecError, match=r"masked array|has dtype"):
            run(wrong)
    np.testing.assert_array_equal(run(X), want)
    with pytest.raises(SpecError, match=r"masked array|has dtype [<>]f4"):
        run(wrong)


def test_native_arrays_that_came_are_not_forgotten() -> None:
    """What was held from before the first call, or runs in another thread, settles nothing anew."""
    f = auto_vmap(x=1)(ranked).jit()
    held = f.__call__
    held(X)
    held(jnp.asarray(X))
    for call in (f, held):
        with pytest.raises(SpecError, match="has dtype"):
            call(SWAPPED)


def test_a_jax_that_does_not_say_what_it_has_kept_has_all_looked_at() -> None:
    """The number of entries is no public interface: without it a call is slower, and right."""

    class Program:
        def __init__(self, program: Any) -> None:
            self.program = program

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.program(*args, **kwargs)

    f = auto_vmap(x=1)(ranked).jit()
    spec, signature = f._engine.spec, f._engine.signature
    misuse = Misuse(spec, signature, (), f._engine.bind)
    settled: list[Any] = []
    call = explaining(
        Program(jax.jit(jax.vmap(ranked))), misuse, substituting((), ()), settled.append
    )
    call({"a": jnp.asarray(X)})
    settled[-1]({"a": X})
    with pytest.raises(SpecError, match="has dtype"):
        settled[-1]({"a": SWAPPED})


def test_an_entry_that_another_thread_made_meanwhile_gives_no_wrong_result() -> None:
    class Program:
        entries = 1

        def _cache_size(self) -> int:
            return self.entries

        def __call__(self, x: Any) -> Any:
            if isinstance(x["a"], np.ndarray):
                self.entries += 1  # as if by another thread's call with native arrays
            return x["a"]

    f = auto_vmap(x=1)(ranked).jit()
    misuse = Misuse(f._engine.spec, f._engine.signature, (), f._engine.bind)
    settled: list[Any] = []
    explaining(Program(), misuse, substituting((), ()), settled.append)({"a": jnp.asarray(X)})
    with pytest.raises(SpecError, match="has dtype"):
        settled[-1]({"a": SWAPPED})


def test_what_a_warm_call_ranked_by_numbers_is_given_wrong_is_told_as_at_the_first() -> None:
    f: Any = auto_vmap(x=1)(ranked).jit()
    told = []
    for _ in range(2):
        with pytest.raises(SpecError, match="no array") as raised:
            f("no array")
        told.append(str(raised.value))
        f(jnp.asarray(X))
        f(jnp.asarray(X))
    assert told[0] == told[1]


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
