"""dm_pix takes one image or one batch of images, all of one shape."""

import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .by_hand import equal_and_beyond
from .loop import Normal

dm_pix = pytest.importorskip("dm_pix")

pytestmark = pytest.mark.libraries


def images(*shape):
    return jnp.clip(Normal()(*shape) / 4 + 0.5, 0, 1)


@pytest.mark.parametrize("name", ["psnr", "mae", "rmse"])
def test_metrics_of_one_image_against_many(name):
    theirs = getattr(dm_pix, name)
    ours = auto_vmap(a=3, b=3)(lambda a, b: theirs(a, b))
    both = images(4, 8, 8, 3), images(4, 8, 8, 3)[::-1]
    beyond = images(2, 1, 8, 8, 3), images(8, 8, 3)
    equal_and_beyond(ours, theirs, (3, 3), both=both, beyond=beyond)


def test_a_brightness_for_each_image():
    ours = auto_vmap(image=3, delta=0)(dm_pix.adjust_brightness)
    both = images(4, 8, 8, 3), 0.2
    beyond = images(8, 8, 3), jnp.array([0.1, 0.2])
    equal_and_beyond(ours, dm_pix.adjust_brightness, (3, 0), both=both, beyond=beyond)
