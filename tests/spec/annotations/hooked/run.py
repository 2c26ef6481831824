"""Import `clawed` under a hook and call what it defines."""

import sys

import jax.numpy as jnp
from beartype import BeartypeConf, BeartypeDecorPlace
from beartype.claw import beartype_packages
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError, install_import_hook

HOW = sys.argv[1]
if HOW == "claw":
    beartype_packages(("clawed",))
elif HOW == "claw-first":
    place = BeartypeDecorPlace.FIRST
    beartype_packages(("clawed",), conf=BeartypeConf(claw_decor_place_func=place))
else:
    install_import_hook("clawed", "beartype.beartype")

import clawed  # noqa: E402

from autovmap import AutoVmapped  # noqa: E402

x, y = jnp.ones((5, 3, 2)), jnp.ones((4, 1, 2))
model, plain = clawed.Model(jnp.ones((3, 2))), clawed.Plain()
assert clawed.apply(x, y).shape == (4, 5, 3)
assert clawed.total(jnp.ones((5, 3))).shape == (5,)
assert clawed.same(jnp.ones((5, 3))).shape == (3, 5)
assert model(jnp.ones((5, 2))).shape == (5, 3)
assert plain.method(jnp.ones((5, 2))).shape == (5, 2)
assert plain.static(jnp.ones((5, 2))).shape == (5,)
assert plain.of_class(jnp.ones((5, 2))).shape == (5,)
assert model.__call__.plan(jnp.ones((5, 2))).batch_shape == (5,)
assert plain.method.plan(jnp.ones((5, 2))).batch_shape == (5,)
# By default beartype.claw puts a function of its own around what it finds at the top of a module.
assert isinstance(clawed.apply, AutoVmapped) == (HOW != "claw")
if HOW != "claw":
    assert clawed.apply.plan(x, y).batch_shape == (4, 5)
try:
    clawed.apply(x.astype(int), y)
except (BeartypeCallHintViolation, TypeCheckError):
    print("done")
