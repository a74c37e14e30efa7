"""A sweep as a picture."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from dynx_runner import plot_bars

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


def test_all_draws_may_have_failed():
    ax = plot_bars(pd.DataFrame({"LL": [np.nan, np.nan]}), "LL")
    assert not ax.patches and ax.get_legend() is not None


def test_an_unknown_metric_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="no column `EulerErr`; did you mean `EulerError`"):
        plot_bars(pd.DataFrame({"EulerError": [1.0]}), "EulerErr")
