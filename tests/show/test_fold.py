"""What a plan shows of `f.reduce(...)`: code that does the same, and a mark in the picture."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap
from folding import in_one_program
from show.test_code import compiled

pytestmark = pytest.mark.own

X, Y = jnp.arange(1.0, 13).reshape(4, 1, 3), jnp.arange(5.0)
M = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 2, 2)), jnp.float32)


def several(x: Any, y: Any) -> dict[str, Any]:
    """Outputs that depend on both arguments or on one, in a tree."""
    return {"both": x * y, "x": x, "pair": (y, {"sum": x.sum() + y})}


def moments(x: Any) -> dict[str, Any]:
    """What `merged` takes two of."""
    return {"n": jnp.ones(()), "sum": x}


def merged(a: Any, b: Any) -> Any:
    return {"n": a["n"] + b["n"], "sum": a["sum"] + b["sum"]}


def check(f: Any, *args: Any, given: tuple[Any, ...] = (), outputs: bool = False) -> None:
    """The printed code gives what the call gives."""
    plan = (f.plan_with_outputs if outputs else f.plan)(*args)
    code = compiled(plan.code())
    got, want = in_one_program(lambda: (code(f.__wrapped__, *given, *args), f(*args)))
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if isinstance(other, (str, float)):
            assert one == other
            continue
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=1e-5)


NAMES = ("sum", "mean", "max", "min", "prod", "any", "all", "logsumexp")


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("out_axes", [0, -1])
def test_one_fold_and_a_tree_of_folds(axes: Any, out_axes: int) -> None:
    f = auto_vmap(x=1, y=0, out_axes=out_axes)(several)
    first = 4 * (out_axes == 0) + (None, 0, -1, (0, 1)).index(axes)
    name, other = (NAMES[(first + i) % len(NAMES)] for i in (0, 3))
    check(f.reduce(name, axes=axes), X, Y)
    tree = {"both": other, "x": None, "pair": (name, "sum")}
    check(f.reduce(tree, axes=axes), X, Y, outputs=bool(first % 2))
    check(f.reduce({"both": "sum", "x": "max", "pair": None}, axes=axes).chunk(3), X, Y)


def test_lists_and_what_is_no_array() -> None:
    f = auto_vmap(x=0)(lambda x: [x, "text", 2 * x])
    check(f.reduce(["max", None, "min"]), Y, outputs=True)
    check(f.reduce("max"), Y, outputs=True)
    for axes in (None, 0, -1):
        check(f.batch(2).reduce("sum", axes=axes), Y, outputs=True)
        check(f.replace(out_axes=-1).reduce(["max", None, "min"]), Y[None], outputs=True)


def test_folds_of_the_callers_own() -> None:
    chain = auto_vmap(m=2)(lambda m: m).reduce((jnp.matmul, jnp.eye(2)))
    check(chain, M, given=(jnp.matmul, jnp.eye(2)))
    last = auto_vmap(m=2)(lambda m: m).reduce((jnp.matmul, jnp.eye(2)), axes=-1)
    check(last, M, given=(jnp.matmul, jnp.eye(2)))
    identity = {"n": 0.0, "sum": 0.0}
    one = auto_vmap(x=0)(moments).reduce((merged, identity))
    check(one, Y, given=(merged, identity))
    f = auto_vmap(x=1, y=0)(several)
    tree = {"both": (jnp.add, 0.0), "x": "sum", "pair": (jnp.maximum, -9.0)}
    for axes in (None, 0, 1):
        check(f.reduce(tree, axes=axes), X, Y, given=(jnp.add, 0.0, jnp.maximum, -9.0))


def test_parameters_whose_names_are_taken() -> None:
    f = auto_vmap(jax=0, combine=0)(lambda jax, combine, batched=2: {"a": jax * combine * batched})
    check(f.reduce({"a": (jnp.add, 0.0)}), Y, Y, given=(jnp.add, 0.0))
    check(f.reduce({"a": "max"}), Y, Y)


class Pair(NamedTuple):
    """A result with fields."""

    low: Any
    high: Any


def test_batch_dims_that_do_not_lead() -> None:
    a = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 2, 2)), jnp.float32)
    for at in (1, -1, -2):
        for axes in (0, -1, None):
            f = auto_vmap(m=2, out_axes=at)(lambda m: m).reduce((jnp.matmul, jnp.eye(2)), axes=axes)
            check(f, a, given=(jnp.matmul, jnp.eye(2)))


@pytest.mark.parametrize("axes", [None, 0, -1])
def test_batch_dims_in_different_places(axes: Any) -> None:
    places = {"both": -1, "x": 0, "pair": (0, {"sum": 0})}
    f = auto_vmap(x=1, y=0, out_axes=places)(several)
    own = (jnp.add, jnp.zeros(()))
    check(f.reduce("sum", axes=axes), X, Y)
    check(f.reduce({"x": "max", "pair": (None, "min"), "both": own}, axes=axes), X, Y, given=own)
    kept = f.replace(out_axes={"both": -1, "x": 1, "pair": (0, 0)})
    check(kept.reduce({"x": None, "pair": "mean", "both": "any"}, axes=axes), X, Y)
    two = auto_vmap(x=0, y=0, out_axes=(0, None))(lambda x, y: (x * y, 3.0))
    check(two.reduce("sum", axes=axes), Y, Y[:, None])
    check(two.reduce(("sum", None), axes=axes), Y, Y[:, None], outputs=True)


def test_folds_that_need_the_result() -> None:
    """Of fields, of the rest of a dict, of values of several arrays, of unstretched outputs."""
    f = auto_vmap(x=1, y=0, out_axes={"x": -1, ...: 0})(several)
    fields = auto_vmap(x=0, y=0)(lambda x, y: Pair(x * y, {"n": y, "t": "text"}))
    identity = {"n": 0.0, "sum": 0.0}
    own = (merged, identity)
    pairs = auto_vmap(x=0, y=0)(lambda x, y: (moments(x * y), Pair(y, moments(y))))
    for axes in (None, 0, 1):
        check(f.reduce({"x": "max", ...: "sum"}, axes=axes), X, Y, outputs=True)
        a, b = Y[:, None], Y[:3]
        check(fields.reduce({"low": "min", "high": "max"}, axes=axes), a, b, outputs=True)
        tree = (own, {"low": "sum", "high": (merged, identity)})
        given = (merged, identity, merged, identity)
        check(pairs.reduce(tree, axes=axes), a, b, given=given, outputs=True)
        short = auto_vmap(x=0, y=0, stretch_outputs=False)(lambda x, y: (x * y, y, x))
        check(short.reduce("max", axes=axes), a, b, outputs=True)
        check(short.reduce(("max", None, "min"), axes=axes), a, b, outputs=True)


def test_what_has_no_code_says_so() -> None:
    f = auto_vmap(x=0)(lambda x: Pair(x, x)).reduce({"low": "min", ...: "max"})
    with pytest.raises(SpecError, match=r"(?s)depends\s+on\s+the\s+result.*plan_with_outputs"):
        f.plan(Y).code()
    check(f, Y, outputs=True)


def test_a_picture_and_a_table_mark_what_is_folded() -> None:
    f = auto_vmap(x=1, y=0)(several)
    tree = {"both": "mean", "x": None, "pair": "logsumexp"}
    plan = f.reduce(tree, axes=-1).plan_with_outputs(X, Y)
    picture = plan.svg()
    for text in (">mean<", ">logsumexp<", ">folded<"):
        assert text in picture
    assert ">folded<" not in f.plan_with_outputs(X, Y).svg()
    lines = {line.split()[0]: line for line in str(plan).splitlines()[2:]}
    assert lines["result['both']"].endswith(" 4   . | 3")
    assert lines["result['x']"].endswith(" 4   5 | 3")
    assert lines["result['pair'][0]"].endswith(" 4   . |")
    assert ">max<" in f.reduce("max").plan(X, Y).svg()


def test_a_table_shows_what_is_not_stretched() -> None:
    f = auto_vmap(x=0, y=0, stretch_outputs=False)(lambda x, y: (x * y, y, x))
    plan = f.reduce(("max", None, "min"), axes=-1).plan_with_outputs(Y[:, None], Y[:3])
    lines = {line.split()[0]: line for line in str(plan).splitlines()[2:]}
    assert lines["result[0]"].endswith(" 5   . |")
    assert lines["result[1]"].endswith(" 1*  3 |")
    assert lines["result[2]"].endswith(" 5   . |")
