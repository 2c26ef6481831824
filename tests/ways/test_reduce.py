"""`f.reduce(...)`: equal to `jnp`'s reduction of the plain call, whatever the way of running."""

import gc
import itertools
import operator
import pickle
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, seed
from hypothesis import strategies as st

from autovmap import BatchShapeError, SpecError, auto_vmap, named_vmap
from autovmap._spec.fold import Combine
from autovmap._ways.chunk import plan_chunks
from folding import FUNCTIONS, OWN, WAYS, array_of, check, reduced, said
from strategies import cases, parts

DTYPES = ("float32", "int32", "int8", "bool", "bfloat16", "complex64")
BATCHES = ((), (1,), (5,), (4, 3), (1, 7), (3, 1, 2), (0,), (0, 3), (2, 0))


def several(x: Any, y: Any) -> dict[str, Any]:
    """Outputs that depend on both arguments, on one, on the other, and on none."""
    return {
        "both": x[:, None] * y,
        "x": x,
        "deep": (y.sum(), {"constant": jnp.array([0, 1]).astype(x.dtype)}),
        "number": 2,
        "text": "no array",
    }


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, ...]:
    batch = draw(st.sampled_from(BATCHES))
    dtype = draw(st.sampled_from(DTYPES))
    x = array_of((*draw(parts(batch)), 3), dtype, 1)
    y = array_of((*draw(parts(batch)), 2), dtype, 2)
    shape = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    every = [*FUNCTIONS, *OWN]
    if dtype in ("bool", "complex64"):
        every.remove("largest")  # -100 is none of their values
    # Several folds in one call, so that each program tries all of them.
    folds = draw(st.lists(st.sampled_from(every), min_size=3, max_size=3))
    axes = None
    if shape and draw(st.booleans()):
        count = st.integers(-len(shape), len(shape) - 1)
        axes = draw(st.lists(count, min_size=1, max_size=2, unique_by=lambda a: a % len(shape)))
    return x, y, shape, dict(zip(("both", "x", "deep"), folds, strict=True)), axes


@pytest.mark.parametrize("way", WAYS)
def test_equals_the_reduction_of_the_plain_call(way: str) -> None:
    @seed([*WAYS].index(way))  # each way has cases of its own
    @cases(0.17)
    @given(call=calls(), position=st.sampled_from([0, 0, -1]))
    def holds(call: Any, position: int) -> None:
        equals_the_reduction(way, call, position)

    holds()


def equals_the_reduction(way: str, call: Any, position: int) -> None:
    """One call in one way is as the plain call, folded by the oracle."""
    x, y, batch, folds, axes = call
    folds |= {"number": folds["deep"], "text": folds["both"]}
    f = auto_vmap(x=1, y=1, out_axes=position)(several)
    assume("shard" not in way or batch)  # over the first batch axis
    tree = {name: said(fold) for name, fold in folds.items()}
    run = WAYS[way](f.reduce(tree, axes=None if axes is None else tuple(axes)))
    plain = f.jit()(x, y)
    over = range(len(batch)) if axes is None else axes
    if any(batch[axis] == 0 for axis in over) and {"max", "min"} & set(folds.values()):
        with pytest.raises(ValueError, match="zero-size"):
            reduced(plain, batch, folds, axes, position)
        with pytest.raises(BatchShapeError, match=r"there is no (max|min) of no examples"):
            run(x, y)
    else:
        check(run(x, y), reduced(plain, batch, folds, axes, position))


@pytest.mark.parametrize("way", ["shard", "chunk and shard"])
@pytest.mark.parametrize("fold", ["sum", "mean", "prod", "all", "logsumexp"])
def test_of_no_examples_on_a_mesh(way: str, fold: str) -> None:
    f = auto_vmap(x=1)(lambda x: x)
    for dtype in ("complex64", "float32", "int8"):
        x = np.zeros((2, 0, 3), dtype)
        check(WAYS[way](f.reduce(fold))(x), reduced(f(x), (2, 0), fold))


IDENTICAL = auto_vmap(x=0)(lambda x: x)
EACH_NAME = {name: name for name in FUNCTIONS}


def folded_by_each(rank: int) -> Any:
    """What gives each named fold of its argument, in one program."""
    return auto_vmap(x=rank)(lambda x: dict.fromkeys(FUNCTIONS, x)).reduce(EACH_NAME)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_inf_and_nan_are_those_of_jnp(n: int) -> None:
    """In each place of five examples, beside each other in many combinations.

    Not in all of them: in an array of a thousand columns `jnp.max` overlooks nan (jax 0.10.2).
    """
    x = np.float32(list(itertools.product([1, np.inf, -np.inf, np.nan], repeat=5))[::11]).T
    want = jax.jit(lambda x: {name: f(x, axis=0) for name, f in FUNCTIONS.items()})(x)
    found = folded_by_each(1).chunk(n)(x)
    for name in FUNCTIONS:
        np.testing.assert_allclose(found[name], want[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_inf_leaves_what_is_finite_alone_in_a_logsumexp(dtype: str) -> None:
    some = np.array(list(itertools.product([1, 2, np.inf, -np.inf], repeat=3))).T
    folded = auto_vmap(x=1)(lambda x: x).reduce("logsumexp")
    ways = folded.chunk(1), folded.chunk(2), lambda x: jax.nn.logsumexp(x, axis=0)

    def value_and_grad(of: Any, x: Any) -> Any:
        return of(x), jax.grad(lambda x: of(x).real.sum())(x)

    found = jax.jit(lambda x: [value_and_grad(of, x) for of in ways])(jnp.asarray(some, dtype))
    values, gradients = zip(*found, strict=True)
    tolerance = 0.01 if dtype == "bfloat16" else 1e-6
    for value, gradient in zip(values[:2], gradients[:2], strict=True):
        np.testing.assert_allclose(
            np.asarray(value, complex), np.asarray(values[2], complex), rtol=tolerance
        )
        np.testing.assert_array_equal(np.isnan(gradient), np.isnan(gradients[2]))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "uint8", "bool", "complex64"])
def test_chunks_give_the_dtype_of_jnp(dtype: str) -> None:
    x = array_of((7,), dtype, 0)
    folded = folded_by_each(0)
    for f in (folded.chunk(3), folded.bucket().chunk(2)):
        check(f(x), reduced(dict.fromkeys(FUNCTIONS, x), (7,), EACH_NAME))


@pytest.mark.parametrize("fold", ["any", "all"])
def test_what_of_a_complex_number_is_true_is_said_by_jnp(fold: str) -> None:
    """jnp reads the real part alone, NumPy both."""
    x = jnp.array([1j, 0, 1j] if fold == "any" else [1, 1j, 1 + 1j], jnp.complex64)
    want = FUNCTIONS[fold](x)
    folded = IDENTICAL.reduce(fold)
    for f in (folded, folded.chunk(2), folded.bucket()):
        assert bool(f(x)) == bool(want)


def test_sums_of_small_floats_are_kept_in_float32() -> None:
    x = jnp.full(4096, 1.01, jnp.bfloat16)
    assert IDENTICAL.reduce("sum").chunk(8)(x) == jnp.sum(x)
    assert IDENTICAL.reduce("mean").chunk(8)(x) == jnp.mean(x)


@pytest.mark.parametrize("fold", ["sum", "mean"])
def test_many_small_chunks_add_up_as_well_as_jnp(fold: str) -> None:
    x = np.random.default_rng(0).uniform(size=300_000).astype(np.float32)
    want = getattr(x.astype(np.float64), fold)()
    f = auto_vmap(x=0)(lambda x: x).reduce(fold)
    for way in (f.chunk(8), f.chunk(8, remat=True), f.chunk(1000)):
        np.testing.assert_allclose(way(x), want, rtol=1e-7)
    scaled = auto_vmap(x=0)(lambda w, x: w * x).reduce(fold).chunk(8)
    np.testing.assert_allclose(jax.grad(scaled)(1.0, x), want, rtol=1e-4)
    for bad in ([np.inf, 1, 1], [-np.inf] * 3, [3e38, 3e38, 1], [np.inf, -np.inf, 1]):
        np.testing.assert_array_equal(
            f.chunk(1)(jnp.float32(bad)), getattr(jnp, fold)(jnp.float32(bad))
        )


def merged(a: Any, b: Any) -> Any:
    """The count, mean and squared deviations of two samples as one."""
    n, d = a["n"] + b["n"], b["mean"] - a["mean"]
    parts = jnp.maximum(n, 1)
    m2 = a["m2"] + b["m2"] + d * d * a["n"] * b["n"] / parts
    return {"n": n, "mean": a["mean"] + d * b["n"] / parts, "m2": m2}


@pytest.mark.parametrize("way", ["plain", "jit", "chunk", "three and remat", "bucket", "loop"])
def test_own_folds_keep_the_order_and_take_trees(way: str) -> None:
    one = lambda m, x: (m, {"n": jnp.ones(()), "mean": x, "m2": jnp.zeros(())})  # noqa: E731
    chain, moments = (jnp.matmul, jnp.eye(2)), (merged, {"n": 0.0, "mean": 0.0, "m2": 0.0})
    f = WAYS[way](auto_vmap(m=2, x=0)(one).reduce((chain, moments)))
    count = 7 if way in ("plain", "loop") else 101  # these two compile one operation at a time
    m = np.random.default_rng(0).normal(size=(count, 2, 2)).astype(np.float32)
    m /= np.sqrt(np.abs(np.linalg.det(m)))[:, None, None]
    product, found = f(m, m[:, 0, 0])
    want = np.linalg.multi_dot(list(m.astype(np.float64)))
    np.testing.assert_allclose(product, want, rtol=1e-3, atol=1e-5 * np.abs(want).max())
    assert found["n"] == count
    np.testing.assert_allclose(found["mean"], m[:, 0, 0].mean(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["m2"] / count, m[:, 0, 0].var(), rtol=1e-5)


@auto_vmap(x=1, y=0)
def loss(w: Any, x: Any, y: Any) -> Any:
    """A function of parameters and one example."""
    return (jnp.tanh(w @ x) - y) ** 2


X = jnp.asarray(np.random.default_rng(1).normal(size=(29, 3)), jnp.float32)
W, Y = jnp.ones(3), X[:, 0]


def signed(a: Any, b: Any) -> Any:
    return jnp.copysign(jnp.abs(a) + jnp.abs(b), b)


@pytest.mark.parametrize("way", ["plain", "jit", "chunk", "bucket"])
def test_identities_that_are_equal_or_change_are_told_apart(way: str) -> None:
    empty = jnp.ones(0)
    for identity in (0.0, -0.0, np.float32(0.0), np.float32(-0.0), np.zeros(()), -np.zeros(())):
        found = WAYS[way](IDENTICAL.reduce((signed, identity)))(empty)
        assert np.signbit(found) == np.signbit(identity)
    changes: dict[str, Any] = {"a": np.zeros(())}
    add = lambda p, q: {"a": p["a"] + q["a"]}  # noqa: E731
    tree = auto_vmap(x=0)(lambda x: {"a": x})
    before = WAYS[way](tree.reduce((add, changes)))
    assert before(empty)["a"] == 0
    changes["a"][()] = 5
    assert before(empty)["a"] == 0
    assert WAYS[way](tree.reduce((add, changes)))(empty)["a"] == 5
    changes["a"] = 7
    assert WAYS[way](tree.reduce((add, changes)))(empty)["a"] == 7


def test_a_pickled_fold_is_known_by_its_own_identity() -> None:
    found = pickle.loads(pickle.dumps(Combine(operator.add, jnp.zeros(3))))
    assert found == Combine(operator.add, found.identity)
    assert found != Combine(operator.add, jnp.zeros(3))


def mixed(a: Any, b: Any) -> Any:
    """Two keys as one; a key of zeros changes nothing."""
    return jax.random.wrap_key_data(jax.random.key_data(a) ^ jax.random.key_data(b))


@pytest.mark.parametrize("way", WAYS)
def test_keys_are_combined_by_a_function_of_keys_alone(way: str) -> None:
    keys = jax.random.split(jax.random.key(0), 5)
    same = auto_vmap(key="key")(lambda key: key)
    none = jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32))
    found = WAYS[way](same.reduce((mixed, none)))(keys)
    want = np.bitwise_xor.reduce(np.asarray(jax.random.key_data(keys)))
    np.testing.assert_array_equal(jax.random.key_data(found), want)
    with pytest.raises(SpecError, match=r"result holds PRNG keys, .* there\s+is no sum of keys"):
        WAYS[way](same.reduce("sum"))(keys)
    with pytest.raises(SpecError, match=r"the identity of mixed has dtype"):
        same.reduce((mixed, 0)).chunk(2)(keys)


DERIVED = ("mean", "logsumexp", "max", "prod")
FUNCTION_OF_EACH = auto_vmap(x=1, y=0)(
    lambda w, x, y: dict.fromkeys(DERIVED, 1 + loss(w, x, y) / 9)
)


def derivatives(f: Any) -> Any:
    """Of the loss folded in several ways, all in one program: gradient, tangents, and mapped."""
    of = lambda w: f(w, X, Y)  # noqa: E731
    total = lambda w: sum(of(w)[name] * (i + 2) for i, name in enumerate(DERIVED))  # noqa: E731
    return jax.jit(lambda w: (jax.grad(total)(w), jax.jvp(of, (w,), (w,)), jax.vmap(of)(w[None])))(
        W
    )


def test_derivatives() -> None:
    folded = FUNCTION_OF_EACH.reduce({name: name for name in DERIVED})
    plain = lambda w, x, y: {name: FUNCTIONS[name](1 + loss(w, x, y) / 9) for name in DERIVED}  # noqa: E731
    want = derivatives(plain)
    for f in (folded, folded.chunk(4), folded.chunk(4, remat=True).jit()):
        found = derivatives(f)
        assert jax.tree.structure(found) == jax.tree.structure(want)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    mean = jax.jit(jax.grad(lambda w: jnp.mean(loss(w, X, Y))))(W)
    found = jax.grad(lambda w: loss.reduce("mean").chunk(4)(w, X, Y))(W)  # not compiled
    np.testing.assert_allclose(found, mean, rtol=1e-3, atol=1e-6)
    lifted = loss.lift(jax.grad).reduce("mean")
    for f in (lifted.jit(), lifted.chunk(4)):
        np.testing.assert_allclose(f(W, X, Y), mean, rtol=1e-4, atol=1e-6)


def test_memory_does_not_grow_with_the_batch() -> None:
    """A matrix for each example, of which only the sum is kept."""
    outer = auto_vmap(x=1)(lambda x: jnp.outer(jnp.tanh(x), x)).reduce("sum").chunk(64)
    programs = [
        outer.jit().lower(jax.ShapeDtypeStruct((n, 24), "float32")).compile()
        for n in (1_000, 10_000, 100_000)
    ]
    sizes = [program.memory_analysis().temp_size_in_bytes for program in programs]
    assert len(set(sizes)) == 1, sizes
    assert sizes[0] < 4 * 64 * 24 * 24, "not even one chunk's matrices are held"


def test_the_function_is_traced_once() -> None:
    seen: list[int] = []
    f = auto_vmap(x=0)(lambda x: seen.append(0) or 2 * x).reduce("sum")
    assert f.chunk(4)(jnp.ones(29)) == 58
    assert len(seen) == 1, "for all chunks, the smaller last one too"
    seen.clear()
    plain = auto_vmap(x=0)(lambda x: seen.append(0) or 3 * x)
    assert plain.chunk(4)(jnp.ones(29)).sum() == 87
    assert len(seen) == 1, "for the result's shapes and for all chunks"


def test_a_bucket_counts_no_padding_and_does_not_compile_for_each_size() -> None:
    f = auto_vmap(x=0, y=0)(lambda x, y: {"xy": x * y, "y": y, "one": 1.0})
    total, mean = f.reduce("sum").bucket(promote=None), f.reduce("mean").bucket(promote=None)
    for n in (5, 6, 7, 8):
        x, y = jnp.arange(1.0, n + 1), jnp.float32(3)
        check(total(x, y), reduced(f(x, y), (n,), "sum"))
        check(mean(x, y), reduced(f(x, y), (n,), "mean"))
    assert total.stats().compilations == mean.stats().compilations == 1
    with pytest.raises(SpecError, match=r"with \.bucket\(block=8\)"):
        f.reduce("sum").bucket(block=8)


def test_the_fold_so_far() -> None:
    f = auto_vmap(a=0, b=0)(lambda a, b: {"ab": a * b, "b": b, "kept": a + b})
    a, b = jnp.arange(1.0, 4)[:, None], jnp.arange(5.0)
    for axes in (None, 0, 1):
        whole = f(a, b)
        g = f.reduce({"ab": "mean", "b": "mean", "kept": None}, axes=axes)
        seen = np.zeros((3, 5), bool)
        for index, found in g.chunk(2).iter(a, b):
            seen[index] = True
            np.testing.assert_array_equal(found["kept"], whole["kept"][index])
            over = (0, 1) if axes is None else axes
            rows = tuple(slice(None) if axes in (None, i) else at for i, at in enumerate(index))
            weights = seen[rows]
            want = np.average(whole["ab"][rows], axis=over, weights=weights)
            np.testing.assert_allclose(found["ab"], want, rtol=1e-6)
        assert seen.all()


def test_a_double_count_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from autovmap._ways import parts

    overlapping = lambda plan, n, sharded=(), overlaps=True: plan_chunks(plan, n, sharded)  # noqa: E731
    monkeypatch.setattr(parts, "plan_chunks", overlapping)
    doubled = auto_vmap(x=0)(lambda x: x).reduce("sum").chunk(4)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(doubled(jnp.ones(29)), jnp.sum(jnp.ones(29)))


def test_what_makes_no_sense_is_refused() -> None:
    f = auto_vmap(x=0, axis_name="time")(lambda x: x)
    with pytest.raises(SpecError, match=r"(?s)'sums'.*did you mean 'sum'"):
        f.reduce("sums")
    with pytest.raises(SpecError, match="did you mean 'sum'"):
        f.reduce(jnp.sum)
    with pytest.raises(SpecError, match="folds no output"):
        f.reduce({"a": None})
    with pytest.raises(SpecError, match=r"already folded, by \.reduce\('sum'\)"):
        f.reduce("sum").reduce("max")
    with pytest.raises(SpecError, match=r"(?s)no batch axis is named 'space'.*'time'"):
        f.reduce("sum", axes="space")
    with pytest.raises(BatchShapeError, match=r"the batch shape \(5,\) has no axis 1"):
        f.reduce("sum", axes=1)(jnp.ones(5))
    with pytest.raises(BatchShapeError, match="twice"):
        f.reduce("sum", axes=(0, "time"))(jnp.ones(5))
    with pytest.raises(SpecError, match="only splitting"):
        f.reduce("sum").chunk(2)(jnp.ones(5))
    with pytest.raises(SpecError, match="the pattern already says which axes"):
        named_vmap("a [b] -> a")(jnp.sum).reduce("sum")
    assert f.reduce("sum", axes="time")(jnp.ones((3, 5))).shape == (3,)


def test_a_plan_says_the_fold_in_text_and_code() -> None:
    f = auto_vmap(x=1, y=0)(lambda x, y: x * y)
    x, y = jnp.ones((4, 1, 3)), jnp.ones(5)
    for folded in (f.reduce("mean"), f.reduce("max", axes=-1).replace(out_axes=1)):
        plan = folded.plan(x, y)
        assert "folded over batch axis" in str(plan)
        scope: dict[str, Any] = {}
        exec(plan.code(), scope)
        np.testing.assert_allclose(scope["call"](f.__wrapped__, x, y), folded(x, y))
    shown = f.reduce("sum", axes=0).chunk(3).plan_with_outputs(x, y)
    assert "result    float32[5,3]     .   5 | 3" in str(shown)
    assert any("and 3 of batch axis -1, the last 2" in step for step in shown.steps)
    assert shown.svg().startswith("<svg ")


def test_the_index_of_a_named_axis_is_an_output_along_it() -> None:
    function = auto_vmap(x=0, axis_name="i")(lambda x: (jax.lax.axis_index("i"), x))
    x = jnp.ones((3, 4))
    folded = function.reduce("sum")
    for way in (folded, folded.jit(), folded.chunk(4)):
        index, total = way(x)
        assert (int(index), float(total)) == (18, 12)


def test_uncompiled_calls_like_one_before_are_not_traced_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from autovmap._ways import reduce_units

    traces: list[int] = []
    trace_once = reduce_units.trace_once
    monkeypatch.setattr(
        reduce_units, "trace_once", lambda *args: traces.append(0) or trace_once(*args)
    )
    uses = ["x"]

    def function(x: Any, y: Any, scale: Any = 1.0, *, square: bool = False) -> Any:
        out = {"x": x, "y": y, "both": x * y}
        chosen = sum(out[name] for name in uses)
        return {"chosen": (chosen**2 if square else chosen) * scale, "y": y}

    f = auto_vmap(x=0, y=0)(function)
    x, y = jnp.arange(5.0), jnp.arange(3.0)[:, None]
    total = f.reduce("sum")
    for _ in range(3):
        for how in ({}, {"square": True}, {"scale": jnp.ones(())}):
            check(total(x, y, **how), reduced(f(x, y, **how), (3, 5), "sum"))
            check(total(x, y=y, **how), reduced(f(x, y, **how), (3, 5), "sum"))
    assert len(traces) == 6, "one a way of calling"
    check(total(x, 2 * y), reduced(f(x, 2 * y), (3, 5), "sum"))
    check(jax.jit(total)(x, y), reduced(f(x, y), (3, 5), "sum"))
    assert len(traces) <= 7
    for now in (["x", "y"], ["both"], ["y"], ["x"]):  # read from outside: nothing shows it
        uses[:] = now
        check(total(x, y), reduced(f(x, y), (3, 5), "sum"))
    changing = auto_vmap(x=0)(lambda x, box: x * box[0]).reduce("sum")
    for value in (2.0, 3.0):
        assert changing(x, [value]) == 10 * value


def test_an_uncompiled_fold_keeps_no_array_of_a_function_that_it_is_given() -> None:
    total = auto_vmap(x=0)(lambda x, scaled: scaled(x)).reduce("sum")

    def scaled(scale: Any) -> Any:
        return lambda x: x * scale

    scales = [jnp.asarray(float(i)) for i in range(3)]
    kept = [weakref.ref(scale) for scale in scales]
    assert [float(total(jnp.ones(2), scaled(scale))) for scale in scales] == [0, 2, 4]
    del scales
    gc.collect()
    assert not any(scale() is not None for scale in kept)
