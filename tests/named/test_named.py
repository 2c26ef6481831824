"""The decorated object: pytrees, methods, collectives, options, layers, transformations."""

import operator
import pickle
from typing import Any, ClassVar

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, CoreSizeError, RankError, SpecError, named_vmap
from autovmap._plan.steps import Squeeze


def sds(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


@named_vmap("a [b] -> a")
def total(x: Any) -> Any:
    """The sum of a vector."""
    return x.sum()


class TestTrees:
    """One part of a pattern serves every leaf."""

    params: ClassVar[Any] = {
        "w": jnp.arange(40.0).reshape(10, 4, 1) * jnp.ones(3),
        "b": jnp.ones((10, 4)),
    }

    def test_an_ensemble(self) -> None:
        @named_vmap("e [...], b [n] -> e b [...]")
        def apply(params: Any, x: Any) -> Any:
            assert params["w"].shape == (4, 3)
            y = params["w"] @ x + params["b"]
            return {"y": y, "norm": y @ y, "name": "kept"}

        x = jnp.arange(15.0).reshape(5, 3)
        out = apply(self.params, x)
        y = jnp.einsum("eij,bj->ebi", self.params["w"], x) + self.params["b"][:, None]
        np.testing.assert_allclose(out["y"], y, rtol=1e-6)
        np.testing.assert_allclose(out["norm"], (y**2).sum(-1), rtol=1e-5)
        assert out["name"] == "kept"

    def test_core_dims_first_or_in_between(self) -> None:
        tree = {"v": jnp.ones((3, 5)), "m": jnp.ones((3, 4, 5)), "s": jnp.ones(5)}
        out = named_vmap("[...] b -> b [...] 2")(lambda t: t)(tree)
        assert jax.tree.map(jnp.shape, out) == {"v": (5, 3, 2), "m": (5, 3, 4, 2), "s": (5, 2)}
        out = named_vmap("[...] b, c -> b [...] c")(lambda t, c: jax.tree.map(lambda x: x * c, t))(
            tree, jnp.ones(7)
        )
        assert jax.tree.map(jnp.shape, out) == {"v": (5, 3, 7), "m": (5, 3, 4, 7), "s": (5, 7)}

    def test_each_leaf_is_checked(self) -> None:
        named = named_vmap("e [n] -> e [n]")(lambda t: t)
        with pytest.raises(CoreSizeError, match=r"size 3 in t\['a'\] and size 4 in t\['b'\]"):
            named({"a": jnp.ones((2, 3)), "b": jnp.ones((2, 4))})

    def test_none_and_strings_pass(self) -> None:
        out = named_vmap("b -> b")(lambda t: t["x"] * 2)({"x": jnp.ones(3), "n": None, "s": "s"})
        assert out.shape == (3,)


class TestCollectives:
    """The pattern's names are axis names."""

    def test_a_sum_over_a_name(self) -> None:
        x = jnp.arange(6.0).reshape(2, 3)
        summed = named_vmap("a b -> a")(lambda v: jax.lax.psum(v, "b"))(x)
        np.testing.assert_array_equal(summed, x.sum(1))

    def test_axes_of_size_one_and_new_axes_have_names_too(self) -> None:
        index = named_vmap("a -> n a", n=4)(lambda v: v * 0 + jax.lax.axis_index("n"))
        np.testing.assert_array_equal(index(jnp.ones(1))[:, 0], jnp.arange(4.0))
        mean = named_vmap("a b -> a b")(lambda v: jax.lax.pmean(v, ("a", "b")))
        assert mean(jnp.ones((1, 1))).shape == (1, 1)

    def test_axes_of_an_ellipsis_are_numbered(self) -> None:
        summed = named_vmap("a... -> a...")(lambda v: jax.lax.psum(v, "a.1"))(jnp.ones((2, 3)))
        np.testing.assert_array_equal(summed, jnp.full((2, 3), 3.0))

    def test_one_named_function_inside_another(self) -> None:
        outer = named_vmap("b [n] -> b [n]")(lambda v: named_vmap("b -> b")(lambda s: 2 * s)(v))
        assert outer(jnp.ones((2, 3))).shape == (2, 3)


class TestPlans:
    """Layers in the order of the first result, positions instead of transposes."""

    def test_layers(self) -> None:
        plan = named_vmap("b q [k] h, b [k] h c -> b q h c")(jnp.dot).plan(
            sds(2, 3, 4, 5), sds(2, 4, 5, 6)
        )
        assert [layer.name for layer in plan.layers] == ["b", "q", "h", "c"]
        assert [layer.in_axes for layer in plan.layers] == [(0, 0), (0, None), (1, 1), (None, 1)]
        assert plan.batch_shape == (2, 3, 5, 6)
        assert "vmap 4" in str(plan)

    def test_no_transpose_but_dot_general_s_own(self) -> None:
        named = named_vmap("a b c -> c a b")(jnp.sin)
        assert "transpose" not in str(jax.make_jaxpr(named)(jnp.ones((2, 3, 4)))).split("sin")[0]

    def test_a_size_of_one_is_not_mapped(self) -> None:
        plan = named_vmap("a b, b -> a b")(jnp.add).plan(sds(1, 3), sds(3))
        assert [layer.in_axes for layer in plan.layers] == [(None, None), (0, 0)]
        assert plan._data.before == ((Squeeze((0,)),), ())

    def test_without_batch_axes_the_function_is_called_as_it_is(self) -> None:
        assert named_vmap("[n] -> [n]")(lambda v: v).plan(sds(3)).layers == ()


class TestFunctions:
    """Any callable, in any place."""

    def test_a_method_leaves_out_self(self) -> None:
        class Model:
            scale = 3.0

            @named_vmap("b [n] -> b")
            def dot(self, x: Any) -> Any:
                return self.scale * x.sum()

            @staticmethod
            @named_vmap("b -> b")
            def double(x: Any) -> Any:
                return 2 * x

            @named_vmap("b -> b")
            @classmethod
            def name(cls, x: Any) -> Any:
                return x * len(cls.__name__)

        model = Model()
        np.testing.assert_array_equal(model.dot(jnp.ones((2, 3))), [9.0, 9.0])
        np.testing.assert_array_equal(Model.double(jnp.ones(2)), [2.0, 2.0])
        np.testing.assert_array_equal(Model.name(jnp.ones(2)), [5.0, 5.0])
        assert model.dot.plan(sds(2, 3)).batch_shape == (2,)

    def test_keywords_defaults_and_what_the_pattern_does_not_name(self) -> None:
        @named_vmap("b [n], b -> b")
        def f(x: Any, y: Any = 2.0, *, flag: str = "no") -> Any:
            assert isinstance(flag, str)
            return x.sum() * y

        with pytest.raises(RankError, match="y is float"):
            f(jnp.ones((2, 3)))
        assert f(y=jnp.ones(2), x=jnp.ones((2, 3)), flag="yes").shape == (2,)

    def test_it_keeps_its_names_and_is_pickled(self) -> None:
        assert total.__doc__ == (
            "The sum of a vector.\n\nBatch dims are those of the pattern ``a [b] -> a``."
        )
        assert repr(total) == "<named_vmap('a [b] -> a') of total>"
        assert total.pattern == "a [b] -> a"
        by_value = pickle.loads(pickle.dumps(named_vmap("a -> a")(operator.neg)))
        assert by_value(jnp.ones(2)).shape == (2,)
        again = named_vmap("a [b] -> a")(total.__wrapped__)
        assert again == total
        assert hash(again) == hash(total)
        assert named_vmap("b [a] -> b")(total.__wrapped__) != total

    def test_grad_jit_and_vmap_go_through(self) -> None:
        x = jnp.arange(6.0).reshape(2, 3)
        grad = jax.grad(lambda v: (total(v) ** 2).sum())(x)
        np.testing.assert_allclose(grad, jnp.broadcast_to(2 * x.sum(1)[:, None], (2, 3)))
        np.testing.assert_array_equal(jax.vmap(total)(x[None])[0], total(x))
        np.testing.assert_array_equal(jax.jit(total)(x), total(x))

    def test_lift(self) -> None:
        grad = named_vmap("a [b] -> a [b]")(lambda v: (v**2).sum()).lift(jax.grad)
        np.testing.assert_array_equal(grad(jnp.ones((2, 3))), jnp.full((2, 3), 2.0))


class TestOptions:
    """What a pattern does not say itself."""

    @pytest.mark.parametrize("name", ["in_axes", "out_axes", "axis_name"])
    def test_refused(self, name: str) -> None:
        with pytest.raises(SpecError, match=f"{name}=0 is not needed: the pattern"):
            named_vmap("a -> a", **{name: 0})
        with pytest.raises(SpecError, match=f"{name}=0 is not needed: the pattern"):
            total.replace(**{name: 0})

    def test_strict(self) -> None:
        assert named_vmap("a -> a", strict=True)(jnp.sin)(jnp.ones(2)).shape == (2,)
        with pytest.raises(SpecError, match="strict=False would let sizes stretch"):
            named_vmap("a -> a", strict=False)

    def test_batch_and_outer(self) -> None:
        with pytest.raises(SpecError, match="the pattern already has all batch axes"):
            total.batch(3)
        with pytest.raises(SpecError, match="combines axes of different names"):
            total.outer("x")

    def test_randomness(self) -> None:
        draw = named_vmap(", a -> a b", b=3, randomness="different")(
            lambda key, x: x * jax.random.normal(key)
        )
        drawn = draw(jax.random.key(0), jnp.ones(2))
        assert len(np.unique(drawn)) == 6
        fold = jax.random.fold_in
        key = fold(fold(jax.random.key(0), 1), 2)
        np.testing.assert_allclose(drawn[1, 2], jax.random.normal(key), rtol=1e-6)
        keys = jax.random.split(jax.random.key(0), 3)
        own = named_vmap("b, a -> a b", randomness="different")(
            lambda key, x: x * jax.random.normal(key)
        )(keys, jnp.ones(2))
        key = fold(keys[2], 1)
        np.testing.assert_allclose(own[1, 2], jax.random.normal(key), rtol=1e-6)
        with pytest.raises(BatchShapeError, match="one PRNG key would be used for several"):
            draw.replace(randomness="error")(jax.random.key(0), jnp.ones(2))
        assert len(np.unique(draw.replace(randomness="same")(jax.random.key(0), jnp.ones(2)))) == 1

    def test_stretch_outputs(self) -> None:
        both = named_vmap("a, b -> a b, (b a)", stretch_outputs=False)(lambda x, y: (x, y))
        x, y = both(jnp.ones(2), jnp.ones(3))
        assert x.shape == (2, 1)
        assert y.shape == (3,)
        assert [v.shape for v in both.loop()(jnp.ones(2), jnp.ones(3))] == [(2, 1), (3,)]

    def test_sizes_by_a_mapping(self) -> None:
        spread = named_vmap("a -> strict a", sizes={"strict": 3})(jnp.sin)
        assert spread(jnp.ones(2)).shape == (3, 2)

    @pytest.mark.parametrize(
        ("pattern", "op", "shapes", "sizes"),
        [
            ("a [b] c -> c a", jnp.sum, [(2, 3, 4)], {}),
            ("(a b) c, (c a) -> (b a c)", jnp.add, [(6, 2), (6,)], {}),
            ("a a b -> b a", jnp.sin, [(3, 3, 2)], {}),
            ("[...] a -> a [...] 2", jnp.sin, [(2, 3, 4)], {}),
            ("a, b -> a b, b a", lambda x, y: (x + y, y), [(2,), (3,)], {}),
            ("a b -> b a", jnp.sin, [(0, 3)], {}),
        ],
    )
    def test_loop(self, pattern: str, op: Any, shapes: Any, sizes: Any) -> None:
        args = [jnp.arange(float(np.prod(s))).reshape(s) for s in shapes]
        named = named_vmap(pattern, **sizes)(op)
        expected, got = named(*args), named.loop()(*args)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), expected, got)


def test_export_with_a_symbolic_size() -> None:
    (size,) = jax.export.symbolic_shape("s")
    x = jax.ShapeDtypeStruct((2 * size, 3), "float32")
    named = named_vmap("(a b) [n] -> b a", a=2)(jnp.sum)
    exported = jax.export.export(jax.jit(named))(x)
    assert exported.call(jnp.ones((8, 3))).shape == (4, 2)
