"""Draw the pictures of plans that the pages show: `python docs/draw.py` writes `docs/pictures`.

They are text and do not depend on the machine; `tests/docs/test_pictures.py` compares them.
"""

from collections.abc import Callable
from pathlib import Path

import jax

from autovmap import Plan, auto_vmap

PICTURES = Path(__file__).parent / "pictures"


def f32(*shape: int) -> jax.ShapeDtypeStruct:
    """The shape of an array, which is all that a plan looks at."""
    return jax.ShapeDtypeStruct(shape, "float32")


@auto_vmap(point=1, start=1, direction=1)
def distance(point, start, direction):
    """Stand for the function of `start.md`."""
    return point


@auto_vmap(x=1)
def norm(x):
    """Stand for a function of one vector."""
    return x


@auto_vmap(a=1, b=1)
def dot(a, b):
    """Stand for a function of two vectors."""
    return a


@auto_vmap(m=2, v=1)
def solve(m, v):
    """Stand for a function of a matrix and a vector."""
    return v


@auto_vmap(x=0, y=0, z=0)
def volume(x, y, z):
    """Stand for a function of three scalars."""
    return x


@auto_vmap(charge=0, position=1, metric=2)
def energy(charge, position, metric):
    """Stand for the function of the README."""
    return charge


@auto_vmap(x=1, center=1, scale=0)
def log_density(x, center, scale):
    """Stand for the function of `index.md`."""
    return x


@auto_vmap(x=0, axis_name="batch")
def centered(x):
    """Stand for the function of `howto/collectives.md`."""
    return x


@auto_vmap(x=0, axis_name=("chain", "time"))
def standardised(x):
    """Stand for the other function there."""
    return x


@auto_vmap(rng="key", randomness="different")
def walk(rng):
    """Stand for the function of `howto/keys.md`."""
    return rng


PLANS: dict[str, Callable[[], Plan]] = {
    "index": lambda: log_density.plan(f32(1000, 3), f32(4, 1, 3), 2.0),
    "readme": lambda: energy.plan(2.0, f32(7, 1, 3), f32(7, 5, 3, 3)),
    "start-one": lambda: distance.plan(f32(1000, 2), f32(2), f32(2)),
    "start-grid": lambda: distance.plan(f32(1000, 2), f32(2), f32(5, 1, 2)),
    "ranks-split": lambda: norm.plan(f32(4, 5, 3)),
    "ranks-pair": lambda: dot.plan(f32(4, 3), f32(4, 3)),
    "ranks-meet": lambda: dot.plan(f32(4, 1, 3), f32(5, 3)),
    "ranks-share": lambda: dot.plan(f32(4, 3), f32(3)),
    "ranks-mapped": lambda: solve.plan(f32(10, 1, 3, 3), f32(1, 1000, 3)),
    "collectives-batch": lambda: centered.plan(f32(2, 3)),
    "collectives-one": lambda: standardised.plan(f32(3)),
    "keys-walk": lambda: walk.batch(100, 3).plan(jax.random.key(0)),
    "ranks-ones": lambda: volume.plan(f32(6, 1, 1), f32(1, 1), f32(5)),
}


def text(name: str) -> str:
    """The file of a picture."""
    return PLANS[name]().svg() + "\n"


if __name__ == "__main__":
    for name in PLANS:
        (PICTURES / f"{name}.svg").write_text(text(name), encoding="utf-8")
