"""A sweep as a picture."""

from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest

from dynx_runner import (
    CircuitRunner,
    ResultStore,
    circuit_factory,
    mpi_map,
    plot_bars,
    plot_failures,
    plot_heat,
    plot_load,
    plot_pairs,
    plot_scatter,
)
from dynx_runner.estimation import pictures
from dynx_runner.runner.record import Record
from dynx_runner.store.part import Part

matplotlib.use("Agg")

import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def tick_labels(ax):
    ax.figure.canvas.draw()
    return [label.get_text() for label in ax.get_xticklabels() if label.get_text()]


def test_every_draw_has_a_bar_of_the_height_of_its_metric():
    df = pd.DataFrame({"LL": [1.0, -2.0, 3.0]})
    fig, ax = plt.subplots(figsize=(10, 6))
    assert plot_bars(df, "LL", ax=ax) is ax
    assert [bar.get_height() for bar in ax.patches] == [1.0, -2.0, 3.0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("draw", "LL")
    assert tick_labels(ax) == ["0", "1", "2"]


def test_a_failed_draw_is_marked_where_its_bar_would_be():
    ax = plot_bars(pd.DataFrame({"LL": [1.0, np.nan, 3.0, np.inf]}), "LL")
    assert [round(bar.get_x() + bar.get_width() / 2) for bar in ax.patches] == [0, 2]
    (crosses,) = [line for line in ax.lines if line.get_marker() == "x"]
    assert list(crosses.get_xdata()) == [1, 3]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["failed"]


def test_bars_are_labelled_by_the_index():
    df = pd.DataFrame({"LL": [1.0, 2.0]}, index=pd.Index(["low", "high"], name="calibration"))
    ax = plot_bars(df, "LL", color="tab:green")
    assert tick_labels(ax) == ["low", "high"] and ax.get_xlabel() == "calibration"


@pytest.mark.parametrize("draws", [0, 1, 500])
def test_few_and_many_draws_stay_readable(draws):
    ax = plot_bars(pd.DataFrame({"LL": np.linspace(0.0, 1.0, draws)}), "LL")
    assert len(ax.patches) == draws and len(tick_labels(ax)) <= 22


def test_a_parameter_has_the_unit_that_its_model_says():
    text = (Path(__file__).parent / "cake.yml").read_text()
    text = text.replace('in: "(0, inf)"}', 'in: "(0, inf)", unit: of risk}').replace(
        "beta: 0.9", "beta: {value: 0.9, unit: a year}"
    )
    specs = {"main.parameters.gamma": (1.0, 3.0, None), "main.beta": (0.9, 0.99, None)}
    runner = CircuitRunner(None, None, None, specs, circuit_factory(text), lambda c: c, {"none": lambda c: 1.0}, batches=False)
    table = mpi_map(runner, runner.sample_prior(3, seed=0), progress=False)
    ax = plot_scatter(table, "main.parameters.gamma", "none", color="main.beta")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("main.parameters.gamma (of risk)", "none")
    assert plot_failures(table, "main.beta").get_xlabel() == "main.beta (a year)"
    last = plot_pairs(table, ["main.beta", "none"]).child_axes[2]
    assert (last.get_xlabel(), last.get_ylabel()) == ("main.beta (a year)", "none")


def test_moments_are_drawn_of_moments():
    of_likelihood = SimpleNamespace(task=SimpleNamespace(likelihood=True))
    with pytest.raises(ValueError, match="plot_moments: a likelihood has no moments; draw plot_profile"):
        pictures.moments(of_likelihood)


def test_all_draws_may_have_failed():
    ax = plot_bars(pd.DataFrame({"LL": [np.nan, np.nan]}), "LL")
    assert not ax.patches and ax.get_legend() is not None


def test_an_unknown_metric_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="no column `EulerErr`; did you mean `EulerError`"):
        plot_bars(pd.DataFrame({"EulerError": [1.0]}), "EulerErr")


def sweep(n=40):
    """A sweep of two parameters, the first draws of which failed."""
    a, b = np.linspace(0.0, 1.0, n), np.tile([1.0, 2.0], n // 2)
    value = np.where(a < 0.2, np.nan, a + b)
    status = np.where(np.isnan(value), "failed", "ok")
    return pd.DataFrame({"a": a, "b": b, "value": value, "status": status, "error": "", "seconds": 0.1})


def test_a_scatter_has_a_point_for_each_draw_and_a_cross_for_each_failure():
    fig, ax = plt.subplots()
    assert plot_scatter(sweep(), "a", "value", ax=ax, color="b") is ax
    assert len(ax.collections[0].get_offsets()) == 32 and len(ax.lines[0].get_xdata()) == 8
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "value")


def test_pairs_are_a_square_of_pictures_inside_one():
    ax = plot_pairs(sweep())
    assert len(ax.child_axes) == 9
    last = ax.child_axes[6]
    assert (last.get_xlabel(), last.get_ylabel()) == ("a", "value")
    assert [len(points.get_offsets()) for points in ax.child_axes[1].collections] == [32, 8]
    fig, own = plt.subplots()
    assert plot_pairs(sweep(), ["a", "b"], ax=own) is own and len(own.child_axes) == 4


def test_a_heat_map_of_a_grid_has_a_cell_for_each_point():
    grid = pd.DataFrame([(a, b, 10 * a + b) for a in (1.0, 2.0, 4.0) for b in (0.0, 1.0)], columns=["a", "b", "value"])
    grid.loc[0, "value"] = np.nan
    ax = plot_heat(grid, "a", "b", "value")
    cells = np.ma.filled(ax.collections[0].get_array().reshape(2, 3), np.nan)
    np.testing.assert_array_equal(cells, [[np.nan, 20.0, 40.0], [11.0, 21.0, 41.0]])
    cells = plot_heat(sweep(400), "a", "b", "value", bins=4).collections[0].get_array()
    assert cells.shape == (4, 4)


def test_failures_are_shown_where_they_are_in_the_prior():
    ax = plot_failures(sweep(), "a")
    assert [bar.get_height() for bar in ax.patches] == [1.0, pytest.approx(0.6), 0, 0, 0, 0, 0, 0]
    ax = plot_failures(sweep(), "a", "b")
    assert [len(points.get_offsets()) for points in ax.collections] == [32, 8]


def test_the_load_is_that_of_each_process(tmp_path):
    for job, draws in (("one", 3), ("two", 1)):
        part = Part(tmp_path, job, rank=draws)
        for i in range(draws):
            part.done([(i, f"{job}{i}", np.zeros(1), Record({"seconds": 9.0}, seconds=0.5, notes={"n": 1.0}))])
        part.close()
    ax = plot_load(ResultStore(tmp_path))
    assert sorted(bar.get_width() for bar in ax.patches) == [0.5, 1.5]
    assert any(label.get_text().endswith("(3 draws)") for label in ax.get_yticklabels())


@pytest.mark.parametrize(
    "plot",
    [
        lambda df: plot_scatter(df, "a", "valu"),
        lambda df: plot_scatter(df, "a", "b", color="valu"),
        lambda df: plot_pairs(df, ["valu"]),
        lambda df: plot_heat(df, "a", "b", "valu"),
        lambda df: plot_failures(df, "valu"),
    ],
)
def test_every_plot_refuses_a_column_that_is_not_there(plot):
    with pytest.raises(ValueError, match="no column `valu`; did you mean `value`"):
        plot(sweep())


def test_a_column_of_arrays_is_refused():
    with pytest.raises(ValueError, match="column `m` holds ndarray, no numbers"):
        plot_bars(pd.DataFrame({"m": [np.zeros(2), np.zeros(2)]}), "m")
