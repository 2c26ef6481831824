"""Attempts on options, on chains of methods, on ways of calling, and on `compat.jax.vmap`.

What a chain may hold is the table of docs/running.md, written down once more.
"""

import inspect
import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import oracle
from autovmap import auto_vmap
from autovmap.compat.jax import vmap
from faults.cases.case import one_device
from faults.misuse.attempt import Allowance, Attempt
from faults.misuse.trees import CORE, JUNK_RANKS, Thing, an_array, total

CALL = (
    Allowance(TypeError, r"^\w+\(\) missing a required( \S+)? argument: '"),
    Allowance(TypeError, r"^\w+\(\) got an unexpected keyword argument '"),
    Allowance(
        TypeError, r"^\w+\(\) '\w+' parameter is positional only, but was passed as a keyword"
    ),
    Allowance(TypeError, r"^\w+\(\) got some positional-only arguments passed as keyword"),
    Allowance(
        TypeError, r"^\w+\(\) takes (from \d+ to )?\d+ positional arguments? but \d+ w\w+ given$"
    ),
    Allowance(TypeError, r"^\w+\(\) got multiple values for argument '"),
)
"""Python's own words for arguments that do not fit a function's parameters."""


def weigh(x: Any, y: Any = 1.0) -> Any:
    """A vector's sum, scaled."""
    return jnp.sum(x) * y


OPTIONS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "out_axes": ((0, -1, None), (True, 1.5, "a", Thing(), {"a": 0}, [0], (0, 0), 5, -5)),
    "in_axes": ((0, -1, {"x": -2}, (0, 0)), (True, "a", [0], (0, 0, 0), {"z": 0}, {"x": "b"}, 9)),
    "axis_name": ((None, "i", ("i", "j")), (("i", "i"), ["i"], {"i": 1}, ("i", [1]), np.ones(2))),
    "spmd_axis_name": ((None,), (("i", "i"), ["i"], {})),
    "randomness": ((None, "same", "different", "error"), ("other", 0, 1, True, ["same"], b"same")),
    "strict": ((False, True), (1, None, "yes", np.True_, [])),
    "stretch_outputs": ((True, False), (0, None, "no", [], np.False_)),
}
"""The options, each with values that are right and values that are wrong."""

SHAPES = ((2, CORE), (2,))
"""Of the arguments of `weigh`: both batched, so that no option changes what is right."""


def arguments() -> tuple[Any, Any]:
    """The arguments of `weigh`."""
    return an_array(SHAPES[0], True), an_array(SHAPES[1], False)


def expected() -> oracle.Expected:
    """What the oracle says of them."""
    return oracle.loop(weigh, [[1], [0]], arguments())


EXPECTED: list[oracle.Expected] = []


def check_result(result: Any) -> None:
    """The check of a call with `arguments()`."""
    if not EXPECTED:
        EXPECTED.append(expected())
    np.testing.assert_allclose(np.asarray(result), EXPECTED[0].leaves[0].values, rtol=1e-5)


def option(rng: random.Random) -> Attempt:
    """Options with values that are none, by the decorator or by `replace`."""
    names = rng.sample(list(OPTIONS), rng.randint(1, 2))
    wrong = rng.random() < 0.6
    given = {name: rng.choice(OPTIONS[name][0]) for name in names}
    if wrong:
        given[names[0]] = rng.choice(OPTIONS[names[0]][1])
    replaced = rng.random() < 0.4
    told = f"options {given!r}, {'replaced' if replaced else 'declared'}"

    def run() -> Any:
        if replaced:
            return auto_vmap(x=1, y=0)(weigh).replace(**given).plan_with_outputs(*arguments())
        return auto_vmap(x=1, y=0, **given)(weigh).plan_with_outputs(*arguments())

    def check(plan: Any) -> None:
        assert plan.batch_shape == (2,)

    right = not wrong and "out_axes" not in given
    verdict: Any = "wrong" if wrong else "right" if right else "open"
    return Attempt("option", verdict, run, check, told)


Method = Callable[[Any], Any]
WAYS: dict[str, Method] = {
    "loop": lambda f: f.loop(),
    "jit": lambda f: f.jit(),
    "chunk": lambda f: f.chunk(1),
    "progress": lambda f: f.chunk(1, progress=lambda done, of: None),
    "bucket": lambda f: f.bucket(),
    "shard": lambda f: f.shard("d", mesh=one_device()),
    "axis_name": lambda f: f.replace(axis_name="i"),
    "stretch_outputs": lambda f: f.replace(stretch_outputs=False),
}
"""What the table of docs/running.md combines."""

EXCLUDED = {
    *map(frozenset, [("loop", "jit"), ("loop", "chunk"), ("loop", "progress"), ("loop", "bucket")]),
    *map(frozenset, [("loop", "shard"), ("loop", "axis_name"), ("progress", "jit")]),
    *map(frozenset, [("bucket", "jit"), ("bucket", "progress"), ("bucket", "axis_name")]),
    *map(frozenset, [("shard", "progress"), ("shard", "axis_name"), ("chunk", "axis_name")]),
    *map(frozenset, [("bucket", "stretch_outputs"), ("progress", "axis_name")]),
}
"""The pairs that the table refuses; with a batch of one named axis chunk has none to cut."""


def wrong_methods() -> dict[str, Method]:
    """Methods that are given what they can't be."""
    sizes = (0, -1, True, 1.5, "all", None, [2], Thing(), np.bool_(True), b"auto")
    memories = (0, -5, "lots", "5", "1 parsec", 1.5, True, [1], "-1GiB", "")
    specs = (0, None, 1.5, ("d", "d"), (), (None,), (1,), Thing(), {"d": 1}, b"d")
    buckets = (0, [], [0], [-1], ["a"], "ab", [True], Thing(), 1.5, [2.0])
    names = (1, "z", ["z"], ("x", "z"), Thing(), "x", b"x", 1.5)
    axes = (-1, True, 1.5, "a", None, (2,), Thing(), np.ones(1))
    groups = (0, "z", ("z",), ("x", "x"), "y z", 1.5, (0,), None, (["x"],), b"x", {"x"})
    found: dict[str, Method] = {}
    for value in sizes:
        found[f"chunk({value!r})"] = lambda f, v=value: f.chunk(v)
    for value in memories:
        found[f"chunk(memory={value!r})"] = lambda f, v=value: f.chunk(memory=v)
    for value in specs:
        found[f"shard({value!r})"] = lambda f, v=value: f.shard(v, mesh=one_device())
    for value in (1, "mesh", Thing(), jnp.ones(2)):
        found[f"shard('d', mesh={value!r})"] = lambda f, v=value: f.shard("d", mesh=v)
    for value in buckets:
        found[f"bucket({value!r})"] = lambda f, v=value: f.bucket(v)
    for value in (0, -1, True, 1.5, "a", [1]):
        found[f"bucket(promote={value!r})"] = lambda f, v=value: f.bucket(promote=v)
        found[f"chunk(2, remat={value!r})"] = lambda f, v=value: f.chunk(2, remat=v)
        found[f"chunk(2, progress={value!r})"] = lambda f, v=value: f.chunk(2, progress=v)
    for value in names:
        found[f"jit(static_argnames={value!r})"] = lambda f, v=value: f.jit(static_argnames=v)
    for value in axes:
        found[f"batch({value!r})"] = lambda f, v=value: f.batch(v)
    for value in groups:
        found[f"outer({value!r})"] = lambda f, v=value: f.outer(v)
    for value in (None, 3, "grad", Thing(), [jax.grad]):
        found[f"lift({value!r})"] = lambda f, v=value: f.lift(v)
    for value in ("x", "ranks", "chunk", "out_axis"):
        found[f"replace({value}=1)"] = lambda f, v=value: f.replace(**{v: 1})
    for name in ("stats", "iter", "tune"):
        found[f"{name}()"] = lambda f, n=name: getattr(f, n)()
    del found["chunk(2, remat=True)"], found["chunk(2, progress=True)"]
    return found


WRONG = wrong_methods()


def chain(rng: random.Random) -> Attempt:
    """A few methods after each other, of which one may be wrong, or two may exclude each other."""
    names = rng.sample(list(WAYS), rng.randint(1, 3))
    if "jit" in names:  # its result is called, and not changed further
        names = [name for name in names if name != "jit"] + ["jit"]
    methods = [WAYS[name] for name in names]
    if rng.random() < 0.5:
        known = {"bucket": "stats()", "chunk": "tune()", "progress": "tune()"}
        name = rng.choice(sorted(WRONG.keys() - {known.get(name) for name in names}))
        at = rng.randint(0, len(names) - ("jit" in names))
        names.insert(at, name)
        methods.insert(at, WRONG[name])
    wrong = any(name in WRONG for name in names)
    if {"chunk", "progress"} <= set(names):  # a repeat replaces
        dropped = min(("chunk", "progress"), key=names.index)
        names_left = [name for name in names if name != dropped]
    else:
        names_left = names
    clash = any(pair <= set(names_left) for pair in EXCLUDED)
    seen_early = any(pair <= set(names[:i]) for i in range(len(names) + 1) for pair in EXCLUDED)
    called = rng.random() < 0.02
    told = f"chain {names!r}, {'called' if called else 'planned'}"

    def run() -> Any:
        function: Any = auto_vmap(x=1, y=0)(weigh)
        for method in methods:
            function = method(function)
        return function(*arguments()) if called and not seen_early else function.plan(*arguments())

    def check(result: Any) -> None:
        if called and not seen_early:
            check_result(result)
        else:
            assert result.batch_shape == (2,)

    verdict: Any = "wrong" if wrong or clash else "open" if seen_early else "right"
    return Attempt("chain", verdict, run, check, told, CALL[:1])  # tune() lacks its arguments


def call(rng: random.Random) -> Attempt:
    """Arguments that do not fit the parameters; `inspect.signature` says which do."""
    args: list[Any] = [rng.choice(arguments()) for _ in range(rng.randint(0, 3))]
    kwargs = dict.fromkeys(rng.sample(["x", "y", "z", "self", "args"], rng.randint(0, 2)), 2.0)
    function = rng.choice((weigh, total, positional, spread))
    told = f"{function.__name__}(*{args!r}, **{kwargs!r})"
    try:
        inspect.signature(function).bind(*args, **kwargs)
        verdict: Any = "right"
    except TypeError:
        verdict = "wrong"
    decorated: Any = auto_vmap(x=0, y=0)(function)
    run: Callable[[], Any] = lambda: decorated.plan(*args, **kwargs)  # noqa: E731

    def check(plan: Any) -> None:
        assert plan.batch_shape in ((), (2,), (2, CORE))

    return Attempt("call", verdict, run, check, told, CALL)


def positional(x: Any, /, y: Any, *, z: Any = 0) -> Any:
    """Parameters of other kinds."""
    return x


def spread(x: Any, *args: Any, y: Any = 0, **kwargs: Any) -> Any:
    """Parameters that take any number."""
    return x


AXES = (0, 0, 1, -1, None, 2, -3, True, "a", 1.5, [0], {"a": 0}, (0,), Thing(), (0, 0))


def compat(rng: random.Random) -> Attempt:
    """`compat.jax.vmap` beside `jax.vmap` itself, under the same junk."""
    one, other = (rng.choice((0, 0, 0, None, -1, *AXES)) for _ in range(2))
    in_axes = rng.choice((one, (one, other), [one, other]))
    out_axes = rng.choice((0,) * len(AXES) + AXES)
    shapes = [(2,) * rng.randint(0 if rng.random() < 0.2 else 1, 2) for _ in range(2)]
    args = [an_array(shape, True) for shape in shapes]
    told = f"vmap(in_axes={in_axes!r}, out_axes={out_axes!r}) of {shapes!r}"
    struct: Any = None
    try:
        struct = jax.eval_shape(jax.vmap(jnp.multiply, in_axes=in_axes, out_axes=out_axes), *args)
    except Exception:
        verdict: Any = "wrong"
    else:
        verdict = "right"

    def run() -> Any:
        mapped = vmap(jnp.multiply, in_axes=in_axes, out_axes=out_axes)
        return jax.eval_shape(mapped, *args)

    def check(result: Any) -> None:
        assert (result.shape, result.dtype) == (struct.shape, struct.dtype)

    words = "mapped output but out_axes|incompatible shapes|broadcast"
    allowed = (Allowance(ValueError, words), Allowance(TypeError, words))
    return Attempt("compat", verdict, run, check, told, allowed)


def undecorated(rng: random.Random) -> Attempt:
    """What is no callable, or a callable that is refused."""
    junk = rng.choice((*JUNK_RANKS[:9], Thing(), max, iter, property(weigh), generator, None))
    run = lambda: auto_vmap(rng.choice((0, 1)))(junk)  # noqa: E731
    return Attempt("decorated", "wrong", run, lambda _: None, f"decorated {junk!r}")


def generator(x: Any) -> Any:
    """A generator function."""
    yield x


def attempt(rng: random.Random) -> Attempt:
    """One of these."""
    return rng.choice((option, chain, chain, call, compat, undecorated))(rng)
