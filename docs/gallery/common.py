"""What the examples share: the check against a loop, and the looks of their pictures."""

import sys
from io import BytesIO
from pathlib import Path

import jax
import numpy as np
from matplotlib import rcParams, rcParamsDefault
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

INK, GREY = "#1d2b36", "#8a96a0"
# Okabe and Ito's colours, which the colour-blind can tell apart
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#aa4499"
SETTINGS = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
}


def check(result, batch_shape, one, count=30, rtol=1e-4, atol=1e-5):
    """Compare a batched result with a loop over `count` of its examples, drawn at random.

    `one(*index)` calls the plain function on the example at an index of the batch shape. It cuts
    the example out by hand, so that nothing here relies on what is checked.
    """
    rng = np.random.default_rng(0)
    for flat in rng.choice(np.prod(batch_shape), count, replace=False):
        index = tuple(int(i) for i in np.unravel_index(flat, batch_shape))
        want = one(*index)
        got = jax.tree.map(lambda leaf, index=index: leaf[index], result)
        assert jax.tree.structure(got) == jax.tree.structure(want), "another structure"
        for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            assert np.shape(g) == np.shape(w), "another shape"
            np.testing.assert_allclose(g, w, rtol, atol, err_msg=f"at example {index}")
    print(f"a loop over {count} of the {np.prod(batch_shape)} examples gives the same")


def new_figure(width, height):
    """A figure of so many inches, with the looks above."""
    rcParams.update(rcParamsDefault)
    rcParams.update(SETTINGS)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure, name):
    """Write the picture to the folder named on the command line, or else to this one."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    buffer = BytesIO()
    figure.savefig(buffer, dpi=150)
    # 256 colours: a third of the size, and no difference to the eye
    Image.open(buffer).convert("RGB").quantize(256).save(folder / name, optimize=True)
