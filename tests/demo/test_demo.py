"""The demo's model against statsmodels and against the dense normal density, and its output."""

import contextlib
import io
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap._demo import study
from autovmap._demo.maximise import Grid, around_best, best, own_grids
from autovmap._demo.model import load_nile, log_likelihood, simulate, smoothed_level
from autovmap._demo.picture import Findings
from autovmap._demo.run import Settings, run_demo
from autovmap._demo.timing import progress

pytestmark = pytest.mark.own

FLOW = load_nile().flow
LITERATURE = (15_099.0, 1_469.1)


@pytest.fixture
def x64():
    with study.double_precision():
        yield


@pytest.fixture(scope="module")
def statsmodels():
    return pytest.importorskip("statsmodels.api", reason="the extra test installs it")


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Findings, str, bytes]:
    """What a small demo found, printed and drew."""
    pytest.importorskip("matplotlib", reason="the extras demo and test install it")
    out = tmp_path_factory.mktemp("demo") / "nile.png"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        findings = run_demo(Settings(grid=60, series=25, out=out))
    return findings, printed.getvalue(), out.read_bytes()


def dense(y: np.ndarray, var_obs: float, var_level: float) -> float:
    """The same density with no filter: a diffuse start leaves that of the differences."""
    differences = np.diff(y)
    n = differences.size
    neighbours = np.eye(n, k=1) + np.eye(n, k=-1)
    covariance = (2 * var_obs + var_level) * np.eye(n) - var_obs * neighbours
    _, log_determinant = np.linalg.slogdet(covariance)
    square = differences @ np.linalg.solve(covariance, differences)
    return -(log_determinant + square + y.size * np.log(2 * np.pi)) / 2


def filtered(y: np.ndarray, var_obs: float, var_level: float, variance: float) -> float:
    """A filter in NumPy, given the variance of the second year's level."""
    level, total = y[0], -np.log(2 * np.pi) / 2
    for seen in y[1:]:
        spread = variance + var_obs
        total -= (np.log(2 * np.pi * spread) + (seen - level) ** 2 / spread) / 2
        level += variance / spread * (seen - level)
        variance = variance * var_obs / spread + var_level
    return total


def random_variances(count: int) -> np.ndarray:
    ends = np.log([study.VAR_OBS, study.VAR_LEVEL])
    return np.exp(np.random.default_rng(1).uniform(ends[:, 0], ends[:, 1], (count, 2)))


class TestData:
    @pytest.mark.slow  # statsmodels takes seconds to import
    def test_is_statsmodels_series(self, statsmodels):
        data = statsmodels.datasets.nile.load_pandas().data
        nile = load_nile()
        np.testing.assert_array_equal(nile.year, data["year"])
        np.testing.assert_array_equal(nile.flow, data["volume"])

    def test_a_century(self):
        nile = load_nile()
        assert nile.year.tolist() == list(range(1871, 1971))
        assert (nile.flow.sum(), nile.flow.min(), nile.flow.max()) == (91_935, 456, 1370)


@pytest.mark.usefixtures("x64")
class TestModel:
    @pytest.mark.slow  # statsmodels takes seconds to import
    def test_equals_statsmodels(self, statsmodels):
        model = statsmodels.tsa.UnobservedComponents(FLOW, "local level", use_exact_diffuse=True)
        points = np.vstack([LITERATURE, random_variances(30)])
        expected = [model.loglike(point) for point in points]
        found = log_likelihood(FLOW, points[:, 0], points[:, 1])
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_equals_the_dense_density(self):
        points = random_variances(30)
        found = log_likelihood(FLOW, points[:, 0], points[:, 1])
        np.testing.assert_allclose(found, [dense(FLOW, *point) for point in points], rtol=1e-11)

    def test_the_dense_density_notices_a_mistake(self):
        """A filter whose second level lacks the first year's change, the smallest of slips."""
        var_obs, var_level = LITERATURE
        expected = dense(FLOW, *LITERATURE)
        right = filtered(FLOW, *LITERATURE, variance=var_obs + var_level)
        np.testing.assert_allclose(right, expected, rtol=1e-11)
        wrong = filtered(FLOW, *LITERATURE, variance=var_obs)
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            np.testing.assert_allclose(wrong, expected, rtol=1e-11)

    def test_grid_equals_loop(self):
        points = random_variances(4)
        grid = log_likelihood(FLOW, points[:, :1], points[:, 1])
        one = log_likelihood.__wrapped__
        looped = [[one(FLOW, v, w) for w in points[:, 1]] for v in points[:, 0]]
        np.testing.assert_allclose(grid, looped, rtol=1e-12)

    def test_many_series_on_a_grid_equal_loop(self):
        series, points = FLOW + np.arange(3)[:, None] ** 2 * FLOW[::-1], random_variances(2)
        found = log_likelihood(series[:, None, None], points[:, :1], points[:, 1])
        expected = [[[dense(y, v, w) for w in points[:, 1]] for v in points[:, 0]] for y in series]
        np.testing.assert_allclose(found, expected, rtol=1e-11)

    def test_gains_are_worked_out_once_for_all_series(self):
        """The logarithm of the forecast's variance has no axis of series."""
        y, var_obs, var_level = np.ones((7, 1, 1, 9)), np.ones((5, 1)), np.ones(3)
        jaxpr = jax.make_jaxpr(log_likelihood)(y, var_obs, var_level)
        (scan,) = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "scan"]
        inner = scan.params["jaxpr"].eqns
        shapes = [eqn.outvars[0].aval.shape for eqn in inner if eqn.primitive.name == "log"]
        assert shapes == [(5, 3)]
        assert scan.outvars[-1].aval.shape == (7, 5, 3)

    @pytest.mark.slow  # statsmodels takes seconds to import
    def test_smoothed_level_equals_statsmodels(self, statsmodels):
        model = statsmodels.tsa.UnobservedComponents(FLOW, "local level", use_exact_diffuse=True)
        points = random_variances(5)
        expected = [model.smooth(point).level.smoothed for point in points]
        found = smoothed_level(FLOW, points[:, 0], points[:, 1])
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    def test_simulated_series_have_the_variances(self):
        keys = jax.random.split(jax.random.key(3), 4000)
        series = np.asarray(simulate(keys, FLOW, *LITERATURE))
        assert series.shape == (4000, 100)
        change = np.diff(series)  # the level's change and the difference of two noises
        for values, expected in (
            (series[:, 0], FLOW[0]),
            ((change**2).mean(axis=1), 2 * LITERATURE[0] + LITERATURE[1]),
            ((change[:, 1:] * change[:, :-1]).mean(axis=1), -LITERATURE[0]),
        ):
            assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(values.size)


def test_single_precision_is_near():
    found = log_likelihood(FLOW, *LITERATURE)
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(dense(FLOW, *LITERATURE), abs=2e-3)


@pytest.mark.usefixtures("x64")
class TestMaximum:
    def test_is_the_literature_s(self, ran):
        peak = ran[0].peak
        assert float(peak.var_obs) == pytest.approx(LITERATURE[0], rel=1e-3)
        assert float(peak.var_level) == pytest.approx(LITERATURE[1], rel=1e-3)

    @pytest.mark.slow
    def test_with_the_full_grid_within_a_hundredth_of_a_percent(self):
        surface = study.study_surface(FLOW, 200)
        peak = study.refine(FLOW, surface)[-1]
        assert float(peak.var_obs) == pytest.approx(LITERATURE[0], rel=1e-4)
        assert float(peak.var_level) == pytest.approx(LITERATURE[1], rel=1e-4)
        assert surface.timed.disagreement < 1e-12

    @pytest.mark.slow  # statsmodels takes seconds to import
    def test_is_as_high_as_statsmodels(self, ran, statsmodels):
        model = statsmodels.tsa.UnobservedComponents(FLOW, "local level", use_exact_diffuse=True)
        fitted = model.fit(disp=0)
        assert float(ran[0].peak.log_likelihood) == pytest.approx(fitted.llf, abs=1e-3)
        assert ran[0].peak.log_likelihood >= fitted.llf - 1e-6

    @pytest.mark.slow  # statsmodels takes seconds to import
    def test_of_bootstrap_series_are_as_high_as_statsmodels(self, ran, statsmodels):
        peaks = ran[0].bootstrap.peaks
        keys = jax.random.split(jax.random.key(0), 25)[:4]
        draws = np.asarray(simulate(keys, FLOW, ran[0].peak.var_obs, ran[0].peak.var_level))
        for y, height in zip(draws, peaks.log_likelihood, strict=False):
            model = statsmodels.tsa.UnobservedComponents(y, "local level", use_exact_diffuse=True)
            assert height == pytest.approx(model.fit(disp=0).llf, abs=5e-3)


class TestGrids:
    def test_every_series_gets_its_own(self):
        grid = Grid.spanning((1.0, 100.0), (1.0, 100.0), 9)
        tops = np.array([[2, 6], [5, 3]])
        rows, columns = np.mgrid[:9, :9]
        values = np.stack([-((rows - i) ** 2 + (columns - j) ** 2) for i, j in tops]).astype(float)
        peak = best(grid, values)
        np.testing.assert_allclose(peak.var_obs, grid.var_obs[tops[:, 0]])
        np.testing.assert_allclose(peak.var_level, grid.var_level[tops[:, 1]])
        finer = around_best(grid, values, 5)
        np.testing.assert_allclose(finer.var_obs, [grid.var_obs[:5], grid.var_obs[3:8]])
        np.testing.assert_allclose(finer.var_level, [grid.var_level[4:], grid.var_level[1:6]])

    def test_own_grids_is_one_call_with_the_shapes_it_says(self):
        seen = []

        def f(y, var_obs, var_level):
            seen.append((y.shape, var_obs.shape, var_level.shape))
            return jnp.zeros((2, 5, 5))

        axes = np.ones((2, 5))
        assert own_grids(f, np.ones((2, 100)), Grid(axes, axes)).shape == (2, 5, 5)
        assert seen == [((2, 1, 1, 100), (2, 5, 1), (2, 1, 5))]


class TestOutput:
    def test_fits_80_columns_and_is_plain(self, ran):
        text = ran[1]
        assert max(len(line) for line in text.splitlines()) <= 80
        assert text.isascii()
        assert text == "\n".join(line.rstrip() for line in text.splitlines()) + "\n"

    def test_says_what_was_found(self, ran):
        findings, text, _ = ran
        assert "1. A grid of 60 x 60 variances, in one call" in text
        assert "    log_likelihood: batch shape (60, 60)" in text
        assert "    log_likelihood: batch shape (25, 40, 40)" in text
        assert f"{findings.peak.var_obs:,.1f}" in text
        assert "15,099.0      1,469.10        -633.4645636" in text
        assert "3. How sure is that? 25 series drawn from the model" in text

    def test_picture_is_a_png(self, ran):
        assert ran[2].startswith(b"\x89PNG\r\n")
        assert len(ran[2]) > 50_000

    def test_leaves_precision_as_it_was(self, ran):
        assert jnp.ones(()).dtype == jnp.float32

    @pytest.mark.slow
    def test_without_matplotlib_says_how_to_get_it_and_goes_on(self, monkeypatch, tmp_path, capsys):
        for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
            monkeypatch.setitem(sys.modules, name, None)
        run_demo(Settings(grid=10, series=2, out=tmp_path / "nile.png"))
        printed = capsys.readouterr()
        assert "pip install matplotlib" in printed.err
        assert "3. How sure is that?" in printed.out
        assert not list(tmp_path.iterdir())


class TestProgress:
    def test_speaks_when_it_takes_long(self, capsys):
        with progress("counting", after=0.01):
            time.sleep(0.3)
        assert capsys.readouterr().err == "... counting\n"

    def test_says_nothing_when_it_is_fast(self, capsys):
        with progress("counting", after=0.2):
            pass
        time.sleep(0.3)
        assert capsys.readouterr() == ("", "")

    def test_stops_after_an_error(self, capsys):
        with pytest.raises(ValueError, match="no"), progress("counting", after=0.2):
            raise ValueError("no")
        time.sleep(0.3)
        assert capsys.readouterr().err == ""
