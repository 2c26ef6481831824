"""`chunk("auto")` over the best fixed size, on functions of other libraries.

`python benchmarks/divergence.py` prints a row a function: seconds of one call with 1, 8 and 64
examples at a time and with all of them, of what "auto" picked, and the ratio of that to the best;
then that of the fixed size which it picked, the same program, by which chance is told from choice.
Examples of the first five differ in how long they take; those of the last three do not. A library
that is not installed is left out: `pip install diffrax jaxkd jaxopt optimistix ott-jax tinygp`.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np

from autovmap import auto_vmap

ROUNDS = 5
SAMPLE, SECONDS = 5e-3, 6.0
SIZES = (1, 8, 64)
Row = tuple[str, Any, tuple[Any, ...]]
RNG = np.random.default_rng(0)


def f32(array: Any) -> Any:
    """An array of float32, on the device."""
    return jnp.asarray(array, jnp.float32)


def newton() -> Row:
    """Newton solves, one in twenty of which is far from its root."""
    import optimistix

    @auto_vmap(target=0)
    def solve(target):
        solver = optimistix.Newton(1e-5, 1e-5)
        found = optimistix.root_find(
            lambda y, _: y**3 + y - target, solver, jnp.float32(1.0), max_steps=512, throw=False
        )
        return found.value

    count = 20_000
    targets = np.where(RNG.random(count) < 0.05, 1e20, RNG.random(count))
    return f"optimistix, {count:,} Newton solves", solve, (f32(targets),)


def neighbours() -> Row:
    """Queries of a k-d tree."""
    import jaxkd

    tree = jaxkd.build_tree(f32(RNG.normal(size=(20_000, 3))))

    @auto_vmap(point=1)
    def nearest(point):
        return jaxkd.query_neighbors(tree, point[None], k=8)[1][0]

    return "jaxkd, 1000 queries", nearest, (f32(RNG.normal(size=(1000, 3))),)


def transport(iterations: int | None) -> Row:
    """Optimal transport, until it has converged or for so many iterations."""
    from ott.geometry import pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    most = iterations or 2000
    least = iterations or 0

    @auto_vmap(x=2, y=2, epsilon=0)
    def cost(x, y, epsilon):
        geometry = pointcloud.PointCloud(x, y, epsilon=epsilon)
        solver = sinkhorn.Sinkhorn(max_iterations=most, min_iterations=least, threshold=1e-3)
        return solver(linear_problem.LinearProblem(geometry)).reg_ot_cost

    x, y = f32(RNG.normal(size=(200, 24, 2))), f32(RNG.normal(size=(200, 24, 2)) + 1)
    name = "until converged" if iterations is None else f"{iterations} iterations"
    epsilon = f32(10.0 ** RNG.uniform(-2, 0.5, 200))
    return f"ott, 200 Sinkhorn problems, {name}", cost, (x, y, epsilon)


def oscillator(adaptive: bool) -> Row:
    """Van der Pol oscillators of many stiffnesses."""
    import diffrax

    controller = diffrax.PIDController(1e-4, 1e-6) if adaptive else diffrax.ConstantStepSize()

    @auto_vmap(mu=0)
    def last(mu):
        term = diffrax.ODETerm(
            lambda t, y, mu: jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])
        )
        solution = diffrax.diffeqsolve(
            term, diffrax.Tsit5(), 0.0, 5.0, 0.01, f32([2.0, 0.0]), args=mu,
            stepsize_controller=controller, max_steps=4096, throw=False,
        )  # fmt: skip
        return solution.ys[-1]

    high = 50 if adaptive else 2
    kind = "adaptive steps" if adaptive else "fixed steps"
    return f"diffrax, 256 oscillators, {kind}", last, (f32(np.geomspace(0.1, high, 256)),)


def bisection() -> Row:
    """Bisections to tolerances of many sizes."""
    import jaxopt

    @auto_vmap(target=0, upper=0)
    def root(target, upper):
        solver = jaxopt.Bisection(
            lambda x: x**3 - target, 0.0, upper, maxiter=100, tol=1e-4, check_bracket=False
        )
        return solver.run().params

    count = 20_000
    targets = f32(10.0 ** RNG.uniform(-3, 1, count))
    return f"jaxopt, {count:,} bisections", root, (targets, f32(10.0 ** RNG.uniform(1, 6, count)))


def evidence() -> Row:
    """Marginal likelihoods of Gaussian processes."""
    from tinygp import GaussianProcess, kernels

    x = f32(np.linspace(0, 1, 60))

    @auto_vmap(scale=0, y=1)
    def log_probability(scale, y):
        return GaussianProcess(kernels.Matern32(scale), x, diag=0.1).log_probability(y)

    scales, ys = f32(RNG.uniform(0.1, 1, 500)), f32(RNG.normal(size=(500, 60)))
    return "tinygp, 500 likelihoods", log_probability, (scales, ys)


CASES: tuple[Callable[[], Row], ...] = (
    newton,
    neighbours,
    lambda: transport(None),
    lambda: oscillator(True),
    bisection,
    lambda: transport(100),
    lambda: oscillator(False),
    evidence,
)


def seconds(calls: Sequence[Callable[[], Any]]) -> list[float]:
    """The least time of each call, over rounds in turns after one that compiles.

    A round is of so many calls as take a few milliseconds together.
    """
    repeats = []
    for call in calls:
        jax.block_until_ready(call())
        took = timed(call, 1)
        repeats.append(max(1, int(SAMPLE / took)))
    least = [math.inf] * len(calls)
    begun, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or (time.perf_counter() - begun < SECONDS and rounds < 20 * ROUNDS):
        for i, call in enumerate(calls):
            least[i] = min(least[i], timed(call, repeats[i]))
        rounds += 1
    return least


def timed(call: Callable[[], Any], repeats: int) -> float:
    """Seconds of one call, of so many in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(call())
    return (time.perf_counter() - start) / repeats


def rows() -> Iterator[str]:
    """The rows of the table, each as it is measured."""
    yield (
        "| function | "
        + " | ".join(map(str, SIZES))
        + " | all | auto: size | auto | over the best | its size over the best |"
    )
    yield "| --- |" + " --- |" * (len(SIZES) + 5)
    for case in CASES:
        try:
            name, function, arguments = case()
        except ImportError as error:
            yield f"| left out: {error} |"
            continue
        examples = function.plan(*arguments).batch_shape[-1]
        tuned = function.chunk("auto")
        size = tuned.tune(*arguments)
        chunked = [function.chunk(n) for n in (*SIZES, examples)]
        calls = [lambda f=f: f(*arguments) for f in (*chunked, tuned)]  # noqa: B023
        *took, auto = seconds(calls)
        shown = " | ".join(f"{1000 * s:.3g} ms" for s in took)
        best, sizes = min(took), (*SIZES, examples)
        picked = f"{took[sizes.index(size)] / best:.2f}" if size in sizes else ""
        ratios = f"{auto / best:.2f} | {picked}"
        yield f"| {name} | {shown} | {size} | {1000 * auto:.3g} ms | {ratios} |"


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
