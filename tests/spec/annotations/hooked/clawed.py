"""Decorated functions of every kind, imported under an import hook."""

import equinox as eqx
from jaxtyping import Array, Float

from autovmap import auto_vmap


@auto_vmap
def apply(x: Float[Array, "n m"], y: Float[Array, "m"], s: float = 1.0) -> Float[Array, "n"]:
    return x @ y * s


@auto_vmap(x=1)
def total(x: Float[Array, "n"]) -> Float[Array, ""]:
    return x.sum()


@auto_vmap(out_axes=-1)
def same(x: Float[Array, "n"]) -> Float[Array, "n"]:
    return x


class Model(eqx.Module):
    w: Float[Array, "o i"]

    @auto_vmap
    def __call__(self, x: Float[Array, "i"]) -> Float[Array, "o"]:
        return self.w @ x


class Plain:
    @auto_vmap
    def method(self, x: Float[Array, "i"], k: int = 2) -> Float[Array, "i"]:
        return k * x

    @staticmethod
    @auto_vmap
    def static(x: Float[Array, "i"]) -> Float[Array, ""]:
        return x.sum()

    @classmethod
    @auto_vmap
    def of_class(cls, x: Float[Array, "i"]) -> Float[Array, ""]:
        return x.sum()
