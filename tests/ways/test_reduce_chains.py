"""`f.reduce(...)` with all else that a caller may say, in every way of running."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, SpecError, auto_vmap
from autovmap._ways import reduce_parts, reduce_run
from folding import FUNCTIONS, WAYS, array_of, check, in_one_program, reduced, said

QUICK = ("plain", "chunk", "loop", "bucket")
EACH_WAY = [pytest.param(way, marks=() if way in QUICK else pytest.mark.slow) for way in WAYS]
KEY = jax.random.key(0)
X, Y = array_of((4, 1, 3), "float32", 0) + 0.5, array_of((5,), "float32", 1)


def both(x: Any, y: Any) -> dict[str, Any]:
    """Outputs that depend on both, and on one."""
    return {"both": x * y, "x": x, "y": y}


def run(way: str, f: Any) -> Any:
    """The function in a way of running, or a skip where the two exclude each other."""
    try:
        return WAYS[way](f)
    except SpecError as error:
        pytest.skip(str(error))


def turned(folds: Sequence[str], way: str, i: int) -> dict[str, str]:
    """A fold for each output of `both`; other ones with each way and each `i`.

    So that a program tries three of them, and each is tried on each output.
    """
    first = [*WAYS].index(way) + i
    return {name: folds[(first + j) % len(folds)] for j, name in enumerate(("both", "x", "y"))}


@pytest.mark.parametrize("way", EACH_WAY)
def test_outer_and_batch(way: str) -> None:
    f = auto_vmap(x=1, y=0)(both).outer("x", "y")
    plain = in_one_program(lambda: f(X, Y))
    for i, axes in enumerate((None, (0, -1), 1)):
        folds = turned(("added", "sum", "mean", "max", "logsumexp"), way, i)
        tree = {name: said(fold) for name, fold in folds.items()}
        got = run(way, f.reduce(tree, axes=axes))(X, Y)
        check(got, reduced(plain, (4, 1, 5), folds, (axes,) if isinstance(axes, int) else axes))
    more = auto_vmap(x=1, y=0)(both).batch(3)
    plain = in_one_program(lambda: more(X, Y))
    check(run(way, more.reduce("sum"))(X, Y), reduced(plain, (3, 4, 5), "sum"))


@pytest.mark.parametrize("way", EACH_WAY)
def test_outputs_that_are_not_stretched(way: str) -> None:
    f = auto_vmap(x=1, y=0)(both)
    short = f.replace(stretch_outputs=False)
    whole = in_one_program(lambda: f(X, Y))
    for i in range(2):
        folds = turned(("sum", "mean", "prod"), way, i)
        check(run(way, short.reduce(folds))(X, Y), reduced(whole, (4, 5), folds))
    want = reduced(whole, (4, 5), folds, (0,))
    want["x"] = want["x"][:1]  # along the other axis x has one example
    check(run(way, short.reduce(folds, axes=0))(X, Y), want)


@pytest.mark.parametrize("way", EACH_WAY)
def test_statics_and_defaults(way: str) -> None:
    def powers(x: Any, n: int = 2, kind: str = "a", *, scale: Any = 1.0) -> Any:
        total = x
        for _ in range(n):
            total = total * x
        return (total * scale, kind)

    f = auto_vmap(x=1, scale=0)(powers)
    g = run(way, f.reduce("sum"))
    for args, kwargs in (((X,), {}), ((X, 3), {"kind": "b"}), ((X, 1, "c"), {"scale": Y})):
        batch = (4, 5) if kwargs.get("scale") is Y else (4, 1)
        plain = in_one_program(lambda: f(*args, **kwargs))  # noqa: B023
        check(g(*args, **kwargs), reduced(plain, batch, "sum"))


@jax.tree_util.register_pytree_node_class
class Line:
    """An object that is traced."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def tree_flatten(self) -> Any:
        return (self.a,), None

    @classmethod
    def tree_unflatten(cls, _: Any, children: Any) -> "Line":
        return cls(*children)

    @auto_vmap(x=1)
    def at(self, x: Any) -> Any:
        """A point."""
        return self.a * x

    @auto_vmap(self=0, x=1)
    def own(self, x: Any) -> Any:
        """A point of a batch of lines."""
        return self.a * x


@pytest.mark.parametrize("way", EACH_WAY)
def test_bound_methods(way: str) -> None:
    line, lines = Line(jnp.float32(2)), Line(Y)
    check(run(way, line.at.reduce("mean"))(X), reduced(line.at(X), (4, 1), "mean"))
    check(run(way, lines.own.reduce("max"))(X), reduced(lines.own(X), (4, 5), "max"))


@pytest.mark.parametrize("way", EACH_WAY)
def test_draws_are_those_of_the_plain_call(way: str) -> None:
    """Told by the keys: to compile a draw from one takes many times longer."""
    folds = {"mean": "mean", "max": "max"}

    def drawn(key: Any, x: Any) -> Any:
        data = jax.random.key_data(key)
        return {"mean": data, "max": (data, x)}

    f = auto_vmap(key="key", x=1, randomness="different")(drawn)
    keys, x, batch = jax.random.split(KEY, 5), X, (4, 5)
    if [*WAYS].index(way) % 2:  # one key for all; in every other way, as threefry compiles slowly
        f, keys, x, batch = f.batch(37), KEY, X[0, 0], (37,)
    plain = in_one_program(lambda: f(keys, x))
    drawn_keys = plain["mean"].reshape(-1, 2)
    assert len(np.unique(drawn_keys, axis=0)) == len(drawn_keys)
    check(run(way, f.reduce(folds))(keys, x), reduced(plain, batch, folds))


@pytest.mark.parametrize("way", EACH_WAY)
def test_batches_of_none_and_of_one(way: str) -> None:
    f = auto_vmap(x=1, y=0)(both)
    for i, batch in enumerate(((0,), (1,), (1, 1), (0, 3), (3, 0))):
        x, y = array_of((*batch, 3), "float32", 2), array_of(batch, "float32", 3)
        some = [fold for fold in FUNCTIONS if 0 not in batch or fold not in ("max", "min")]
        folds = turned(some, way, 3 * i)
        plain = in_one_program(lambda: f(x, y))  # noqa: B023
        check(run(way, f.reduce(folds))(x, y), reduced(plain, batch, folds))
        for fold in ("max", "min") if 0 in batch else ():
            with pytest.raises(BatchShapeError, match=f"no {fold} of no examples"):
                run(way, f.reduce(fold))(x, y)


def test_padding_that_counts_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As overlapping chunks would: see `test_reduce.py`."""
    reducing_of = reduce_run.reducing_of
    everything = lambda plan, spec, real=None: reducing_of(plan, spec)  # noqa: E731
    monkeypatch.setattr(reduce_parts, "reducing_of", everything)
    f = auto_vmap(x=0)(lambda x: x).reduce("sum").bucket(promote=None)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(f(jnp.ones(29)), jnp.sum(jnp.ones(29)))


def test_a_row_beyond_the_end_that_counts_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """So would a mask that is one example too long."""
    part_of = reduce_run.part_of

    def one_more(layers: Any, group: Any, array: Any, valid: Any = None) -> Any:
        longer = {axis: jnp.roll(rows, 1).at[0].set(True) for axis, rows in (valid or {}).items()}
        return part_of(layers, group, array, longer)

    monkeypatch.setattr(reduce_run, "part_of", one_more)
    f = auto_vmap(x=0)(lambda x: x).reduce("sum").bucket(promote=None)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(f(jnp.ones(29)), jnp.sum(jnp.ones(29)))


def test_padded_examples_do_not_count_where_nothing_is_compiled() -> None:
    f = auto_vmap(x=1)(lambda x: x.sum()).reduce("sum").bucket()
    x = jnp.ones((5, 3))
    with jax.disable_jit():
        assert f(x) == 15
