"""What reads or copies functions takes a decorated one: pickle, copy, help, doctest, Sphinx."""

import copy
import doctest
import functools
import html
import inspect
import pickle
import pydoc
import re
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap

pytestmark = pytest.mark.python

BATCH = jnp.arange(12.0).reshape(4, 3)
SUM = np.asarray(BATCH.sum(-1))
equal = np.testing.assert_array_equal


@auto_vmap(x=1)
def total(x: jax.Array, scale: float = 1.0) -> jax.Array:
    """The sum of a vector, scaled.

    >>> import jax.numpy as jnp
    >>> total(jnp.ones((4, 3))).shape
    (4,)
    """
    return scale * x.sum()


def undecorated(x: Any) -> Any:
    """A function that keeps its name for itself."""
    return x.sum()


renamed = auto_vmap(x=1)(undecorated)
of_partial = auto_vmap(x=1)(functools.partial(undecorated))


@jax.tree_util.register_pytree_node_class
class Model:
    """A model with methods of every kind."""

    def __init__(self, w: Any) -> None:
        self.w = w

    @auto_vmap(x=1)
    def f(self, x: jax.Array) -> jax.Array:
        """A scalar product.

        >>> import jax.numpy as jnp
        >>> Model(jnp.ones(3)).f(jnp.ones((4, 3))).shape
        (4,)
        """
        return self.w @ x

    @auto_vmap(1)
    @classmethod
    def above(cls, x: jax.Array) -> jax.Array:
        """Above classmethod."""
        return x.sum()

    @classmethod
    @auto_vmap(1)
    def below(cls, x: jax.Array) -> jax.Array:
        """Below classmethod."""
        return x.sum()

    @auto_vmap(1)
    @staticmethod
    def static(x: jax.Array) -> jax.Array:
        """Above staticmethod."""
        return x.sum()

    def tree_flatten(self) -> Any:
        return (self.w,), None

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> "Model":
        return cls(*children)


HERE = sys.modules[__name__]
PROTOCOLS = [0, 2, pickle.HIGHEST_PROTOCOL]


@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestPickle:
    """Pickling, as functions are pickled."""

    def load(self, value: Any, protocol: int) -> Any:
        return pickle.loads(pickle.dumps(value, protocol))

    def test_a_function_goes_by_reference(self, protocol: int) -> None:
        assert self.load(total, protocol) is total
        assert len(pickle.dumps(total, protocol)) < 200

    @pytest.mark.parametrize("name", ["f", "static"])
    def test_a_method_goes_by_reference(self, protocol: int, name: str) -> None:
        assert self.load(getattr(Model, name), protocol) is getattr(Model, name)

    @pytest.mark.parametrize("name", ["renamed", "of_partial"])
    def test_one_that_its_name_does_not_lead_to(self, protocol: int, name: str) -> None:
        function = getattr(HERE, name)
        loaded = self.load(function, protocol)
        equal(loaded(BATCH), SUM)
        assert loaded.ranks == {"x": 1}
        assert loaded.plan(BATCH) == function.plan(BATCH)
        if name == "renamed":
            assert loaded == function

    def test_a_bound_method(self, protocol: int) -> None:
        loaded = self.load(Model(jnp.ones(3)).f, protocol)
        equal(loaded(BATCH), SUM)
        assert loaded.__func__ is Model.f

    @pytest.mark.parametrize("name", ["above", "below"])
    def test_a_class_method(self, protocol: int, name: str) -> None:
        loaded = self.load(getattr(Model, name), protocol)
        equal(loaded(BATCH), SUM)
        assert loaded.__self__ is Model

    def test_a_decorated_callable_module(self, protocol: int) -> None:
        module = jax.tree_util.Partial(undecorated_product, jnp.ones(3))
        equal(self.load(auto_vmap(x=1)(module), protocol)(BATCH), SUM)

    def test_a_plan(self, protocol: int) -> None:
        plan = total.plan(BATCH)
        assert self.load(plan, protocol) == plan


def undecorated_product(w: Any, x: Any) -> Any:
    """A scalar product."""
    return w @ x


def test_what_can_not_be_pickled_says_so() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match=r"pickle|local"):
        pickle.dumps(auto_vmap(x=1)(lambda x: x.sum()))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copy(duplicate: Any) -> None:
    assert duplicate(total) is total
    equal(duplicate(auto_vmap(x=1)(lambda x: x.sum()))(BATCH), SUM)
    equal(duplicate(renamed)(BATCH), SUM)
    equal(duplicate(Model(jnp.ones(3)).f)(BATCH), SUM)


def test_inspect() -> None:
    assert inspect.signature(total) == inspect.signature(total.__wrapped__)
    assert inspect.getsource(total).startswith("@auto_vmap(x=1)\ndef total(")
    assert inspect.getdoc(total).startswith("The sum of a vector, scaled.")
    assert inspect.getmodule(total) is HERE
    assert inspect.isroutine(total)


class TestHelp:
    """`help()` shows signature and docstring."""

    def test_of_a_function(self) -> None:
        shown = pydoc.render_doc(total, renderer=pydoc.plaintext)
        assert re.search(r"^total\(x: .*Array, scale: float = 1.0\) -> ", shown, re.MULTILINE)
        assert "The sum of a vector, scaled." in shown
        assert "Batch dims broadcast; the base ranks are ``x=1``." in shown

    def test_of_a_method_on_the_class(self) -> None:
        shown = pydoc.render_doc(Model.f, renderer=pydoc.plaintext)
        assert re.search(r"^f\(self, x: .*Array\) -> ", shown, re.MULTILINE)
        assert "A scalar product." in shown

    def test_of_a_bound_method(self) -> None:
        shown = pydoc.render_doc(Model(jnp.ones(3)).f, renderer=pydoc.plaintext)
        assert re.search(r"^f\(x: .*Array\) -> ", shown, re.MULTILINE)
        assert "A scalar product." in shown

    def test_of_the_class(self) -> None:
        shown = pydoc.render_doc(Model, renderer=pydoc.plaintext)
        for signature in (r"f\(self, x: ", r"above\(x: ", r"below\(x: ", r"static\(x: "):
            assert re.search(rf"^ \|  {signature}", shown, re.MULTILINE), (signature, shown)

    def test_of_the_module(self) -> None:
        shown = pydoc.render_doc(HERE, renderer=pydoc.plaintext)
        assert re.search(r"^    total\(x: .*Array, scale: float = 1.0\) -> ", shown, re.MULTILINE)


def test_doctest_finds_and_runs_the_examples() -> None:
    found = {
        test.name.rsplit("test_introspection.", 1)[-1]: test
        for test in doctest.DocTestFinder(exclude_empty=True).find(HERE)
        if test.examples
    }
    assert set(found) == {"total", "Model.f"}
    for test in found.values():
        result = doctest.DocTestRunner(verbose=False).run(test)
        assert (result.failed, result.attempted) == (0, 2)


MODULE = '''
"""A module to be documented."""

import jax

from autovmap import auto_vmap


@auto_vmap(x=1)
def total(x: jax.Array, scale: float = 1.0) -> jax.Array:
    """The sum of a vector, scaled."""
    return scale * x.sum()


class Model:
    """A model."""

    @auto_vmap(x=1)
    def method(self, x: jax.Array, bias: float = 2.0) -> jax.Array:
        """A method, mapped."""
        return x.sum() + bias

    @auto_vmap(x=1)
    @staticmethod
    def static(x: jax.Array, bias: float = 3.0) -> jax.Array:
        """A static method, mapped."""
        return x.sum() + bias

    @auto_vmap(x=1)
    @classmethod
    def of_class(cls, x: jax.Array, bias: float = 4.0) -> jax.Array:
        """A class method, mapped."""
        return x.sum() + bias
'''


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Sphinx's autodoc writes of that module, as text."""
    # Imported here: it is slow, and needed by no other test.
    from sphinx.application import Sphinx

    folder = tmp_path_factory.mktemp("sphinx")
    (folder / "documented_by_sphinx.py").write_text(MODULE)
    (folder / "conf.py").write_text("extensions = ['sphinx.ext.autodoc']\n")
    (folder / "index.rst").write_text(
        "Page\n====\n\n.. automodule:: documented_by_sphinx\n   :members:\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        app = Sphinx(folder, folder, folder / "out", folder / "trees", "html", status=None)
        app.build()
    text = re.sub(r"<[^>]*>", "", (folder / "out" / "index.html").read_text())
    return re.sub(r"\s+", " ", html.unescape(text))


@pytest.mark.parametrize(
    ("signature", "doc"),
    [
        (
            r"documented_by_sphinx\.total\( ?x: (\w+\.)*Array, scale: float = 1\.0",
            "of a vector, scaled",
        ),
        (r"method\( ?x: (\w+\.)*Array, bias: float = 2\.0", "A method, mapped."),
        (r"static\( ?x: (\w+\.)*Array, bias: float = 3\.0", "A static method, mapped."),
        pytest.param(
            r"of_class\( ?x: (\w+\.)*Array, bias: float = 4\.0",
            "A class method, mapped.",
            marks=pytest.mark.xfail(
                reason="Sphinx drops the first parameter of a class method that is no MethodType"
            ),
        ),
    ],
    ids=["function", "method", "staticmethod", "classmethod"],
)
def test_sphinx_shows_signature_and_docstring(page: str, signature: str, doc: str) -> None:
    assert re.search(signature, page), page
    assert doc in page
    assert page.count("Batch dims broadcast; the base ranks are x=1.") == 4


def test_sphinx_warns_of_nothing(page: str) -> None:
    assert "System Message" not in page
