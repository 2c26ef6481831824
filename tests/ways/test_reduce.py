"""`f.reduce(...)`: equal to `jnp`'s reduction of the plain call, whatever the way of running."""

import gc
import operator
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autovmap import BatchShapeError, SpecError, auto_vmap, named_vmap
from autovmap._spec.fold import Combine
from autovmap._ways.chunk import plan_chunks
from strategies import cases, parts

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(jnp, name) for name in ("sum", "mean", "max", "min", "prod", "any", "all")},
    "logsumexp": jax.nn.logsumexp,
}
OWN: dict[str, tuple[Any, Callable[..., Any]]] = {
    "added": ((lambda a, b: a + b, 0), lambda x, axis: jnp.sum(x, axis=axis, dtype=x.dtype)),
    "largest": ((jnp.maximum, -100), lambda x, axis: jnp.max(x, axis=axis, initial=-100)),
}
MESH = jax.sharding.Mesh(jax.devices()[:1], ("d",))
WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda f: f,
    "jit": lambda f: f.jit(),
    "loop": lambda f: f.loop(),
    "chunk": lambda f: f.chunk(2),
    "one at a time": lambda f: f.chunk(1),
    "three and remat": lambda f: f.chunk(3, remat=True),
    "chunk and jit": lambda f: f.chunk(2).jit(),
    "shard": lambda f: f.shard("d", mesh=MESH),
    "chunk and shard": lambda f: f.shard("d", mesh=MESH).chunk(2),
    "bucket": lambda f: f.bucket(promote=None),
    "bucket and chunk": lambda f: f.bucket((3, 6), promote=None).chunk(2),
    "progress": lambda f: f.chunk(2, progress=lambda done, total: None),
}
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


def array_of(shape: tuple[int, ...], dtype: str, seed: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(-3, 4, shape)).astype(dtype)


def reduced(plain: Any, batch: tuple[int, ...], fold: str, axes: Any, position: int = 0) -> Any:
    """The oracle: each array of the plain result by `jnp`'s function, over its batch dims."""
    function = OWN[fold][1] if fold in OWN else FUNCTIONS[fold]
    if axes is None:
        axes = range(len(batch))

    def one(x: Any) -> Any:
        if isinstance(x, str):
            return x
        x = jnp.asarray(x)
        start = position if position >= 0 else x.ndim - len(batch) + 1 + position
        dims = tuple(start + axis % len(batch) for axis in axes)
        return function(x, axis=dims)

    return jax.tree.map(one, plain)


def check(got: Any, want: Any) -> None:
    """The same structure, shapes, dtypes, weak types, and values up to rounding."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if isinstance(other, str):
            assert one == other
            continue
        assert (one.shape, one.dtype, one.weak_type) == (other.shape, other.dtype, other.weak_type)
        tolerance = 0.05 if one.dtype == jnp.bfloat16 else 1e-4
        values = [
            np.asarray(x).astype(
                np.result_type(np.asarray(x).dtype, "c16" if np.iscomplexobj(x) else "f8")
            )
            for x in (one, other)
        ]
        np.testing.assert_allclose(*values, rtol=tolerance, atol=tolerance)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, ...]:
    batch = draw(st.sampled_from(BATCHES))
    dtype = draw(st.sampled_from(DTYPES))
    x = array_of((*draw(parts(batch)), 3), dtype, 1)
    y = array_of((*draw(parts(batch)), 2), dtype, 2)
    shape = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    fold = draw(st.sampled_from([*FUNCTIONS, *OWN]))
    axes = None
    if shape and draw(st.booleans()):
        count = st.integers(-len(shape), len(shape) - 1)
        axes = draw(st.lists(count, min_size=1, max_size=2, unique_by=lambda a: a % len(shape)))
    assume(fold != "largest" or dtype not in ("bool", "complex64"))  # -100 is none of their values
    return x, y, shape, fold, axes


@pytest.mark.parametrize("way", WAYS)
@cases(0.3)
@given(call=calls(), position=st.sampled_from([0, 0, -1]))
def test_equals_the_reduction_of_the_plain_call(way: str, call: Any, position: int) -> None:
    x, y, batch, fold, axes = call
    f = auto_vmap(x=1, y=1, out_axes=position)(several)
    said = OWN[fold][0] if fold in OWN else fold
    assume("shard" not in way or batch)  # over the first batch axis
    run = WAYS[way](f.reduce(said, axes=None if axes is None else tuple(axes)))
    plain = f(x, y)
    over = range(len(batch)) if axes is None else axes
    if fold in ("max", "min") and any(batch[axis] == 0 for axis in over):
        with pytest.raises(ValueError, match="zero-size"):
            reduced(plain, batch, fold, axes, position)
        with pytest.raises(BatchShapeError, match=f"there is no {fold} of no examples"):
            run(x, y)
    else:
        check(run(x, y), reduced(plain, batch, fold, axes, position))


@pytest.mark.parametrize("way", ["shard", "chunk and shard"])
@pytest.mark.parametrize("fold", ["sum", "mean", "prod", "all", "logsumexp"])
def test_of_no_examples_on_a_mesh(way: str, fold: str) -> None:
    f = auto_vmap(x=1)(lambda x: x)
    for dtype in ("complex64", "float32", "int8"):
        x = np.zeros((2, 0, 3), dtype)
        check(WAYS[way](f.reduce(fold))(x), reduced(f(x), (2, 0), fold, None, 0))


IDENTICAL = auto_vmap(x=0)(lambda x: x)


@pytest.mark.parametrize("fold", FUNCTIONS)
def test_inf_and_nan_are_those_of_jnp(fold: str) -> None:
    some = jnp.array([1.0, jnp.inf, -jnp.inf, jnp.nan, -jnp.inf, -2.0, 3.0])
    for x in (some, some[:2], some[1:3], some[4:], some[2:3].repeat(5), some[1:2].repeat(4)):
        for n in (1, 2, 3):
            found = IDENTICAL.reduce(fold).chunk(n)(x)
            np.testing.assert_array_equal(found, FUNCTIONS[fold](x))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_inf_leaves_what_is_finite_alone_in_a_logsumexp(dtype: str) -> None:
    for some in ([1.0, jnp.inf, 2.0], [jnp.inf, jnp.inf], [jnp.inf, -jnp.inf], [-jnp.inf, 1.0]):
        x = jnp.asarray(some).astype(dtype)
        for f in (IDENTICAL.reduce("logsumexp").chunk(1), IDENTICAL.reduce("logsumexp").chunk(2)):
            np.testing.assert_array_equal(f(x), jax.nn.logsumexp(x))
            found, want = (jax.grad(lambda x, of=of: of(x).real)(x) for of in (f, jax.nn.logsumexp))
            np.testing.assert_array_equal(jnp.isnan(found), jnp.isnan(want))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("fold", FUNCTIONS)
def test_chunks_give_the_dtype_of_jnp(fold: str, dtype: str) -> None:
    x = array_of((7,), dtype, 0)
    for f in (IDENTICAL.reduce(fold).chunk(3), IDENTICAL.reduce(fold).bucket().chunk(2)):
        check(f(x), FUNCTIONS[fold](x))


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


def test_own_folds_keep_the_order_and_take_trees() -> None:
    m = jnp.asarray(np.random.default_rng(0).normal(size=(7, 2, 2)), jnp.float32)
    chain = auto_vmap(m=2)(lambda m: m).reduce((jnp.matmul, jnp.eye(2)))
    want = np.linalg.multi_dot(list(np.asarray(m)))
    for f in (chain, chain.jit(), chain.chunk(2), chain.chunk(3), chain.bucket(), chain.loop()):
        np.testing.assert_allclose(f(m), want, rtol=1e-4)

    def merged(a: Any, b: Any) -> Any:
        n, d = a["n"] + b["n"], b["mean"] - a["mean"]
        parts = jnp.maximum(n, 1)
        m2 = a["m2"] + b["m2"] + d * d * a["n"] * b["n"] / parts
        return {"n": n, "mean": a["mean"] + d * b["n"] / parts, "m2": m2}

    one = auto_vmap(x=0)(lambda x: {"n": jnp.ones(()), "mean": x, "m2": jnp.zeros(())})
    moments = one.reduce((merged, {"n": 0.0, "mean": 0.0, "m2": 0.0}))
    x = jnp.asarray(np.random.default_rng(0).normal(size=101), jnp.float32)
    for f in (moments, moments.chunk(10), moments.bucket(), moments.loop()):
        found = f(x)
        assert found["n"] == 101
        np.testing.assert_allclose(found["mean"], x.mean(), atol=1e-6)
        np.testing.assert_allclose(found["m2"] / 101, x.var(), rtol=1e-5)


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


@pytest.mark.parametrize("fold", ["mean", "logsumexp", "max", "prod"])
def test_derivatives(fold: str) -> None:
    plain = lambda w: FUNCTIONS[fold](loss(w, X, Y))  # noqa: E731
    want = jax.grad(plain)(W)
    folded = loss.reduce(fold)
    for f in (folded, folded.chunk(4), folded.chunk(4, remat=True), folded.chunk(4).jit()):
        np.testing.assert_allclose(jax.grad(f)(W, X, Y), want, rtol=1e-3, atol=1e-6)
        tangent = jax.jvp(lambda w: f(w, X, Y), (W,), (W,))[1]  # noqa: B023
        np.testing.assert_allclose(tangent, jax.jvp(plain, (W,), (W,))[1], rtol=1e-3, atol=1e-6)
    several = jnp.stack([W, 2 * W])
    found = jax.vmap(folded.chunk(4), (0, None, None))(several, X, Y)
    np.testing.assert_allclose(found, jax.vmap(plain)(several), rtol=1e-4)
    if fold == "mean":
        lifted = loss.lift(jax.grad).reduce("mean")
        for f in (lifted, lifted.chunk(4), lifted.chunk(4).jit(), lifted.loop()):
            np.testing.assert_allclose(f(W, X, Y), want, rtol=1e-4, atol=1e-6)


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
        check(total(x, y), reduced(f(x, y), (n,), "sum", None))
        check(mean(x, y), reduced(f(x, y), (n,), "mean", None))
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
            check(total(x, y, **how), reduced(f(x, y, **how), (3, 5), "sum", None))
            check(total(x, y=y, **how), reduced(f(x, y, **how), (3, 5), "sum", None))
    assert len(traces) == 6, "one a way of calling"
    check(total(x, 2 * y), reduced(f(x, 2 * y), (3, 5), "sum", None))
    check(jax.jit(total)(x, y), reduced(f(x, y), (3, 5), "sum", None))
    assert len(traces) <= 7
    for now in (["x", "y"], ["both"], ["y"], ["x"]):  # read from outside: nothing shows it
        uses[:] = now
        check(total(x, y), reduced(f(x, y), (3, 5), "sum", None))
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
