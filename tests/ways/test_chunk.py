"""`f.chunk(n)`: how a batch is cut, that no more is computed or compiled than must be."""

import math
import re
import threading
from typing import Any

import equinox as eqx
import jax
import jax.experimental
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import SpecError, auto_vmap
from autovmap._plan.leaf import Leaf
from autovmap._plan.plan import make_plan
from autovmap._spec.options import Options
from autovmap._ways.chunk import covered, plan_chunks
from autovmap._ways.fit import fitting
from strategies import cases


def plan_of(*shapes: tuple[int, ...], **options: Any) -> Any:
    """A plan of leaves of rank 0."""
    leaves = [Leaf(f"x{i}", shape, "float32", 0) for i, shape in enumerate(shapes)]
    return make_plan("f", leaves, Options(**options))


class TestCuts:
    """The planner, which is pure arithmetic."""

    @pytest.mark.parametrize(
        ("shapes", "n", "cuts"),
        [
            ([(10,)], 10, []),
            ([(10,)], 9, [(-1, 5, 2)]),
            ([(10,)], 3, [(-1, 3, 4)]),
            ([(10,)], 1, [(-1, 1, 10)]),
            ([(4, 1000)], 100, [(-2, 1, 4), (-1, 100, 10)]),
            ([(4, 1000)], 2000, [(-2, 2, 2)]),
            ([(4, 1000)], 3999, [(-2, 2, 2)]),
            ([(4, 1), (1000,)], 1500, [(-2, 1, 4)]),
            ([(2, 3, 5)], 1, [(-3, 1, 2), (-2, 1, 3), (-1, 1, 5)]),
            ([(1, 5)], 2, [(-1, 2, 3)]),
            ([(0, 5)], 2, []),
        ],
    )
    def test_the_outermost_axis_first(self, shapes, n, cuts):
        chunks = plan_chunks(plan_of(*shapes), n)
        assert [(s.axis, s.step, s.count) for s in chunks.splits] == cuts

    def test_a_sharded_axis_last(self):
        chunks = plan_chunks(plan_of((4, 6)), 4, sharded=(-2,))
        assert [(s.axis, s.step) for s in chunks.splits] == [(-1, 1)]
        chunks = plan_chunks(plan_of((4, 6)), 2, sharded=(-2,))
        assert [(s.axis, s.step) for s in chunks.splits] == [(-2, 2), (-1, 1)]

    def test_a_named_axis_never(self):
        plan = plan_of((4, 6), axis_name=("time",))
        assert [s.axis for s in plan_chunks(plan, 6).splits] == [-2]
        with pytest.raises(SpecError, match=r"(?s)chunk\(5\): 6 examples.*batch axis -1 'time'"):
            plan_chunks(plan, 5)

    @cases()
    @given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 50))
    def test_every_example_is_in_a_chunk_and_no_chunk_is_too_large(self, shape, n):
        chunks = plan_chunks(plan_of(tuple(shape)), n)
        assert chunks.examples <= n or not chunks.splits
        seen = np.zeros(shape, int)
        own = np.zeros(shape, int)
        for starts, parts in zip(chunks.starts(), covered(chunks), strict=True):
            index, new = [slice(None)] * len(shape), [slice(None)] * len(shape)
            for split, start, (first, stop) in zip(chunks.splits, starts, parts, strict=True):
                assert start <= first < stop == start + split.step
                index[split.axis] = slice(start, start + split.step)
                new[split.axis] = slice(first, stop)
            seen[tuple(index)] += 1
            own[tuple(new)] += 1
        assert seen.min() >= 1
        np.testing.assert_array_equal(own, 1)
        if len(shape) == 1:
            assert chunks.count == math.ceil(shape[0] / n)


@auto_vmap(x=1, y=1)
def cosine(x: Any, y: Any) -> Any:
    """A function of two vectors."""
    return x @ y / jnp.sqrt((x @ x) * (y @ y))


RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(101, 1, 3)), jnp.float32)
Y = jnp.asarray(RNG.normal(size=(7, 3)), jnp.float32)


class TestRuns:
    """The scan."""

    def test_ten_calls_compile_once(self):
        traces: list[int] = []

        @auto_vmap(x=1)
        def f(x):
            traces.append(1)
            return x.sum()

        chunked = f.chunk(10)
        chunked(X)
        before = len(traces)
        for i in range(9):
            chunked(X + i)
        assert len(traces) == before
        assert f.chunk(10) is chunked

    def test_bit_for_bit_where_no_rounding_is_fused(self):
        f = auto_vmap(x=1, y=1)(lambda x, y: (jnp.maximum(x, y), x.argsort(), x > y))
        for one, other in zip(f.chunk(40)(X, Y), f(X, Y), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_no_input_is_broadcast_or_copied(self):
        text = str(jax.make_jaxpr(cosine.chunk(7).jit())(X, Y))
        assert "f32[101,7,3]" not in text

    def test_temporaries_do_not_jump_at_a_remainder(self):
        f = auto_vmap(x=1)(lambda x: jnp.tanh(x[:, None] * x).sum()).chunk(1000).jit()

        def temporaries(rows: int) -> int:
            shape = jax.ShapeDtypeStruct((rows, 16), jnp.float32)
            return f.lower(shape).compile().memory_analysis().temp_size_in_bytes

        assert temporaries(100_001) <= 1.1 * temporaries(100_000)

    def test_memory_grows_with_the_chunk(self):
        f = auto_vmap(x=1)(lambda x: jnp.sort(jnp.tanh(x[:, None] * x), axis=0).sum())
        shape = jax.ShapeDtypeStruct((5000, 16), jnp.float32)
        found = [
            f.chunk(n).jit().lower(shape).compile().memory_analysis().temp_size_in_bytes
            for n in (10, 50, 250, 1250)
        ]
        assert found == sorted(found)

    def test_one_at_a_time_takes_one_branch_of_a_cond(self):
        f = auto_vmap(x=0)(lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x))
        x = jnp.arange(-3.0, 3)
        assert "cond[" in str(jax.make_jaxpr(f.chunk(1).jit())(x))
        assert "cond[" not in str(jax.make_jaxpr(f.chunk(2).jit())(x))
        np.testing.assert_allclose(f.chunk(1)(x), f(x))

    @pytest.mark.parametrize("remat", [False, True])
    def test_gradients(self, remat: bool):
        def loss(x, y, f):
            return jnp.sin(f(x, y)).sum()

        gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
        expected, found = gradient(X, Y, cosine), gradient(X, Y, cosine.chunk(40, remat=remat))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)

    def test_remat_computes_a_chunk_again(self):
        f = auto_vmap(x=1)(lambda x: jnp.sin(jnp.cos(x)).sum())
        text = {
            remat: str(jax.make_jaxpr(jax.grad(lambda x, r=remat: f.chunk(9, remat=r)(x).sum()))(X))
            for remat in (False, True)
        }
        assert "checkpoint" in text[True] or "remat" in text[True]
        assert "checkpoint" not in text[False]
        assert "remat" not in text[False]

    def test_keys(self):
        @auto_vmap(rng="key", x=0, randomness="different")
        def draw(rng, x):
            return x, jax.random.normal(rng)

        x = jnp.arange(11.0)
        for f in (draw, draw.batch(4)):
            expected = f(jax.random.key(0), x)[1]
            np.testing.assert_array_equal(f.chunk(3)(jax.random.key(0), x)[1], expected)

    def test_results_that_are_keys(self):
        f = auto_vmap(rng="key")(lambda rng: jax.random.split(rng))
        keys = jax.random.split(jax.random.key(0), 7)
        np.testing.assert_array_equal(
            jax.random.key_data(f.chunk(3)(keys)), jax.random.key_data(f(keys))
        )

    @pytest.mark.parametrize("out_axes", [0, 1, -1, -2])
    def test_out_axes(self, out_axes: int):
        f = auto_vmap(1, 1, out_axes=out_axes)(jnp.outer)
        for n in (1, 2, 7, 30):
            np.testing.assert_allclose(f.chunk(n)(X, Y), f(X, Y), rtol=1e-6)

    def test_outputs_without_the_batch(self):
        f = auto_vmap(x=1, y=1, out_axes={"a": None, "b": 1})(
            lambda x, y, z: {"a": z * 2, "b": x * y}
        )
        for n in (1, 30):
            found = f.chunk(n)(X, Y, 3.0)
            np.testing.assert_allclose(found["a"], 6.0)
            np.testing.assert_allclose(found["b"], f(X, Y, 3.0)["b"])
        g = auto_vmap(x=1, out_axes=None)(lambda x: x)
        with pytest.raises(SpecError, match="out_axes declares result None"):
            g.chunk(1)(X)

    def test_outputs_that_are_not_stretched(self):
        f = auto_vmap(x=1, y=1, stretch_outputs=False)(lambda x, y: (x.sum(), y.sum(), x @ y))
        for one, other in zip(f.chunk(5)(X, Y), f(X, Y), strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-5)

    def test_arguments_of_any_kind_without_a_rank(self):
        mlp = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
        f = auto_vmap(x=1)(lambda x, model, mode, *, scale: {"mode": mode, "y": scale * model(x)})
        found = f.chunk(10)(X, mlp, "fast", scale=2)
        assert found["mode"] == "fast"
        np.testing.assert_allclose(found["y"], f(X, mlp, "fast", scale=2)["y"], rtol=1e-5)

    def test_under_other_transformations(self):
        f = cosine.chunk(50)
        np.testing.assert_allclose(jax.jit(f)(X, Y), cosine(X, Y), rtol=1e-5)
        np.testing.assert_allclose(jax.vmap(f, (0, None))(X[None], Y)[0], cosine(X, Y), rtol=1e-5)
        np.testing.assert_allclose(jax.jvp(f, (X, Y), (X, Y))[1], 0, atol=1e-5)

    def test_a_symbolic_batch_dim_is_refused(self):
        (b,) = jax.export.symbolic_shape("b")
        with pytest.raises(SpecError, match=r"chunk\(\): batch dim b is symbolic"):
            cosine.chunk(5).plan(jax.ShapeDtypeStruct((b, 3), "float32"), Y[0])

    def test_errors_come_before_anything_is_compiled(self):
        from autovmap import BatchShapeError

        with pytest.raises(BatchShapeError, match="has size 101 in x and size 7"):
            cosine.chunk(5)(X[:, 0], Y)

    @pytest.mark.parametrize("size", [0, -1, 1.5, True, "all", None])
    def test_a_wrong_size(self, size: Any):
        with pytest.raises(SpecError, match=r"cosine\.chunk\(\)"):
            cosine.chunk(size)


def test_remat_is_true_or_false():
    with pytest.raises(SpecError, match="remat is 'yes'"):
        cosine.chunk(5, remat="yes")


@pytest.mark.parametrize("way", ["loop", "bucket"])
def test_other_ways_refuse_a_symbolic_batch_dim_too(way: str):
    (b,) = jax.export.symbolic_shape("b")
    run = getattr(cosine, way)()
    with pytest.raises(SpecError, match=rf"{way}\(\): batch dim b is symbolic"):
        run.plan_with_outputs(jax.ShapeDtypeStruct((b, 3), "float32"), Y[0])


class TestOneAtATime:
    """`chunk(1)` maps nothing, so what can't be mapped runs in it."""

    def test_ordered_effects_keep_the_order_of_the_examples(self):
        seen: list[float] = []

        def told(x: Any) -> Any:
            jax.experimental.io_callback(lambda y: seen.append(float(y)), None, x, ordered=True)
            return 2 * x

        x = jnp.arange(6.0).reshape(2, 3)
        np.testing.assert_array_equal(auto_vmap(x=0)(told).chunk(1)(x), 2 * x)
        jax.effects_barrier()
        assert seen == [0, 1, 2, 3, 4, 5]

    @pytest.mark.parametrize("run", [lambda f: f.chunk(1), lambda f: f.chunk(1).jit()])
    def test_a_callback_that_does_not_say_how_it_is_mapped(self, run: Any):
        f = auto_vmap(x=1, out_axes=-1)(
            lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((3,), "float32"), x)
        )
        x = RNG.normal(size=(2, 1, 3)).astype(np.float32)
        np.testing.assert_allclose(run(f)(x), np.moveaxis(np.sin(x), -1, 0), rtol=1e-6)

    def test_an_output_that_lacks_batch_axes_is_still_checked(self):
        f = auto_vmap(x=1, out_axes=None)(lambda x: x)
        with pytest.raises(SpecError, match="free of the batch"):
            f.chunk(1)(jnp.ones((3, 2)))


class TestMemory:
    """Sizes that follow from a bound."""

    @pytest.mark.parametrize("bound", [2**16, 2**18, 2**20, 2**22])
    def test_temporaries_stay_within_the_bound(self, bound: int):
        f = auto_vmap(x=1)(lambda x: jnp.sort(x[:, None] * x, axis=0).sum())
        x = jnp.asarray(RNG.normal(size=(3000, 16)), jnp.float32)
        chunked = f.chunk(memory=bound)
        size = chunked.tune(x)
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        used = f.chunk(size).jit().lower(shape).compile().memory_analysis().temp_size_in_bytes
        assert used <= bound
        np.testing.assert_allclose(chunked(x), f(x), rtol=1e-5)
        assert f"at most {size} examples fit {bound:,} bytes" in str(chunked.plan(x))

    def test_a_plan_before_the_first_call(self):
        f = auto_vmap(1)(jnp.sum).chunk(memory="1MiB")
        assert f.plan(jnp.ones((5, 3))).steps == (
            "chunk: as many examples as fit 1,048,576 bytes, decided at the first call",
        )

    def test_within_a_jit(self):
        f = auto_vmap(x=1)(lambda x: jnp.sort(x[:, None] * x, axis=0).sum())
        x = jnp.asarray(RNG.normal(size=(3000, 16)), jnp.float32)
        np.testing.assert_allclose(f.chunk(memory="64KiB").jit()(x), f(x), rtol=1e-5)

    def test_a_backend_that_tells_nothing(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("autovmap._ways.chunk_size._temporaries", lambda compiled: None)
        f = auto_vmap(1)(jnp.sum).chunk(memory="1MiB")
        with pytest.warns(
            UserWarning, match="does not report how much memory a program needs, so 1024"
        ):
            f(jnp.ones((5000, 3)))

    @pytest.mark.parametrize("memory", ["2", "2 XB", 0, -5, 1.5, True])
    def test_a_wrong_bound(self, memory: Any):
        with pytest.raises(SpecError, match=r"(?s)memory is .*512MiB"):
            cosine.chunk(memory=memory)

    def test_one_of_both(self):
        with pytest.raises(SpecError, match="leave one of them out"):
            cosine.chunk(5, memory="1MiB")

    @given(st.integers(1, 10**5), st.integers(0, 10**6), st.integers(1, 10**4))
    def test_the_fit(self, total: int, fixed: int, each: int):
        def used(n: int) -> int:
            return fixed + each * n + (n // 100) * 37  # not quite a line

        found = fitting(total, used, 10**6)
        assert found is not None
        assert 1 <= found <= total
        assert used(found) <= 10**6 or found == 1

    def test_one_where_every_program_is_too_large(self) -> None:
        """Whatever the line through the two small programs promises."""
        assert fitting(1000, lambda n: 0 if n in (4, 32) else 100 * n, 10) == 1


class TestQuickest:
    """`chunk("auto")` times what stays in the caches against what fits memory."""

    @pytest.fixture(autouse=True)
    def small_caches(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("autovmap._ways.chunk_size.CACHES", (2**12, 2**14))
        monkeypatch.setattr("autovmap._ways.chunk_size.SAMPLE", 2**16)

    @property
    def pairs(self) -> Any:
        """A new function each time: what was decided for one like it would be found again."""
        return lambda x: jnp.sort(x[:, None] * x, axis=0).sum()

    @pytest.mark.slow
    @pytest.mark.parametrize("shape", [(6, 100, 8), (1, 600, 8)])
    def test_it_is_told_and_right(self, shape: tuple[int, ...]):
        f = auto_vmap(x=1, y=1)(lambda x, y: self.pairs(x) + y.sum())
        x, y = RNG.normal(size=shape).astype(np.float32), np.ones(3, np.float32)
        chunked = f.chunk("auto")
        np.testing.assert_allclose(chunked(x, y), f(x, y), rtol=1e-3)
        told = next(step for step in chunked.plan(x, y).steps if step.startswith("chunk size"))
        found = re.fullmatch(
            r"chunk size: at most (\d+) examples, the quickest on (\d+) \((.*)\)", told
        )
        assert found is not None, told
        sizes = [int(part.split()[0]) for part in found[3].split(", ")]
        assert len(sizes) == 3
        assert sizes == sorted(sizes)
        assert sizes[-1] == int(found[2]) < 600
        assert int(found[1]) in (*sizes[:2], 600)

    @pytest.mark.slow
    @pytest.mark.parametrize("quick", [0, 1, 2])
    def test_the_quickest_is_taken(self, quick: int, monkeypatch: pytest.MonkeyPatch):
        offered: list[list[int]] = []

        def picked(timed: dict[int, float]) -> int:
            offered.append(sorted(timed))
            return sorted(timed)[quick]

        monkeypatch.setattr("autovmap._ways.chunk_size.quickest", picked)
        chunked = auto_vmap(x=1)(self.pairs).chunk("auto")
        size = chunked.tune(jnp.ones((600, 8)))
        assert size == (*offered[0][:2], 600)[quick]

    def test_it_is_decided_once(self, monkeypatch: pytest.MonkeyPatch):
        chunked = auto_vmap(x=1)(self.pairs).chunk("auto")
        x = jnp.ones((600, 8))
        chunked(x)
        monkeypatch.setattr("autovmap._ways.chunk_size.fitting", None)
        chunked(x)
        assert chunked.jit()(x).shape == (600,)

    def test_a_trace_times_nothing_and_a_call_after_it_does(self):
        chunked = auto_vmap(x=1)(self.pairs).chunk("auto")
        x = jnp.ones((600, 8))
        jax.jit(lambda x: chunked(x))(x)
        assert chunked.plan(x).steps[0] == (
            "chunk size: at most 600 examples fit half of the free memory"
        )
        chunked(x)
        assert "the quickest on" in chunked.plan(x).steps[0]

    def test_a_function_with_effects_runs_once(self, monkeypatch: pytest.MonkeyPatch):
        seen: list[float] = []

        def told(x: Any) -> Any:
            jax.debug.callback(lambda y: seen.append(float(y)), x[0])
            return self.pairs(x)

        chunked = auto_vmap(x=1)(told).chunk("auto")
        jax.block_until_ready(chunked(jnp.ones((60, 8))))
        jax.effects_barrier()
        assert len(seen) == 60
        assert "quickest" not in chunked.plan(jnp.ones((60, 8))).steps[0]
        monkeypatch.setattr("autovmap._ways.chunk_size.fitting", None)  # decided, and not once more
        jax.block_until_ready(chunked(jnp.ones((60, 8))))

    def test_what_stays_in_the_caches_is_not_timed(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("autovmap._ways.chunk_size.CACHES", (2**22, 2**25))
        chunked = auto_vmap(x=1)(self.pairs).chunk("auto")
        assert chunked.tune(jnp.ones((60, 8))) == 60
        assert "quickest" not in chunked.plan(jnp.ones((60, 8))).steps[0]
        monkeypatch.setattr("autovmap._ways.chunk_size.fitting", None)  # decided, and not once more
        jax.block_until_ready(chunked(jnp.ones((60, 8))))


class TestProgress:
    """A loop on the host."""

    def test_it_is_told(self):
        told: list[tuple[int, int]] = []
        f = cosine.chunk(100, progress=lambda done, total: told.append((done, total)))
        np.testing.assert_allclose(f(X, Y), cosine(X, Y), rtol=1e-6)
        assert told[-1] == (707, 707)
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert len(told) == 8

    def test_a_bar(self, capsys: pytest.CaptureFixture[str]):
        cosine.chunk(100, progress=True)(X, Y)
        assert "707/707" in capsys.readouterr().err

    def test_an_interrupt_between_chunks_breaks_nothing(self):
        def stop(done: int, total: int) -> None:
            if done > total / 2:
                raise KeyboardInterrupt("by hand")

        with pytest.raises(KeyboardInterrupt, match="by hand"):
            cosine.chunk(100, progress=stop)(X, Y)
        told: list[int] = []
        again = cosine.chunk(100, progress=lambda done, total: told.append(done))
        np.testing.assert_allclose(again(X, Y), cosine(X, Y), rtol=1e-6)

    def test_under_a_trace_nothing_is_told(self):
        told: list[int] = []
        f = cosine.chunk(100, progress=lambda done, total: told.append(done))
        np.testing.assert_allclose(jax.jit(f)(X, Y), cosine(X, Y), rtol=1e-6)
        assert told == []

    def test_what_it_is(self):
        with pytest.raises(SpecError, match="progress is 'yes'"):
            cosine.chunk(5, progress="yes")

    def test_not_compiled(self):
        with pytest.raises(SpecError, match=r"chunk\(progress=...\)\.jit\(\)"):
            cosine.chunk(5, progress=True).jit()


class TestIter:
    """Results chunk by chunk."""

    @pytest.mark.parametrize("n", [1, 3, 50, 100, 5000])
    def test_the_parts_are_the_whole(self, n: int):
        f = auto_vmap(x=1, y=1, out_axes=1)(lambda x, y: x * y)
        whole = np.full((3, 101, 7), np.nan, np.float32)
        for index, out in f.chunk(n).iter(X, Y):
            assert np.isnan(whole[(slice(None), *index)]).all(), "twice"
            whole[(slice(None), *index)] = out
        np.testing.assert_allclose(whole, f(X, Y))

    def test_only_chunks(self):
        with pytest.raises(SpecError, match=r"iter\(\): only \.chunk"):
            cosine.iter(X, Y)
        with pytest.raises(SpecError, match=r"tune\(\): only \.chunk"):
            cosine.tune(X, Y)


def test_threads():
    f = auto_vmap(x=1)(lambda x: x.sum()).chunk(10)
    results: list[Any] = [None] * 8

    def work(i: int) -> None:
        results[i] = f(X[: 20 + i] * i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, found in enumerate(results):
        np.testing.assert_allclose(found, (X[: 20 + i] * i).sum(-1), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.long
def test_ten_million_examples_in_bounded_memory():
    """One sorted row of 8 each: 320 MB if all were there at once."""
    f = auto_vmap(x=0)(lambda x: jnp.sort(x * jnp.asarray([3.0, 1, -1, 2, -2, 4, 0, 5]))[2])
    told: list[int] = []
    chunked = f.chunk(memory="256MiB", progress=lambda done, total: told.append(done))
    x = np.linspace(0.5, 1, 10**7, dtype=np.float32)
    found = chunked(x)
    assert len(told) > 1
    assert told[-1] == 10**7
    np.testing.assert_allclose(found[::99991], 0 * x[::99991], atol=1e-6)
    size = chunked.tune(x)
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    used = f.chunk(size).jit().lower(shape).compile().memory_analysis().temp_size_in_bytes
    assert used <= 2**28


@given(size=st.integers(2, 5000), most=st.integers(1, 600))
def test_sizes_of_chunks_are_multiples_of_eight_where_that_costs_no_chunk(
    size: int, most: int
) -> None:
    if most >= size:
        return
    (split,) = plan_chunks(plan_of((size,)), most).splits
    count = -(-size // most)
    assert split.step <= most
    assert split.count == count
    even = -(-size // count)
    whole = -(-even // 8) * 8
    if size % count:
        assert split.step == (whole if whole <= most else even)
    else:
        assert split.step == even, "no example is computed twice"
    (apart,) = plan_chunks(plan_of((size,)), most, overlaps=False).splits
    assert apart.step <= most
    assert apart.count <= count * 4 // 3 + 1
