"""The metric of each draw as a bar."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dynx_runner.plots.columns import axes, column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


def plot_bars(df: "DataFrame", metric: str, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """One bar a draw; a draw that failed, or whose metric is not finite, is marked by a red cross on the axis.

    **Arguments:**

    - `df`: one row a draw, as `mpi_map` returns it; the index labels the bars.
    - `metric`: the column to draw.
    - `ax`: where to draw; a new figure if not given.
    - `style`: what `Axes.bar` takes, e.g. `color`.

    **Returns:** the axes. Raises `ValueError` for a column that is not there.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    heights = column("plot_bars", df, metric)
    ax = axes(ax, figsize=(10, 6))
    places, solved = np.arange(len(heights)), np.isfinite(heights)
    ax.bar(places[solved], heights[solved], **{"width": 0.8, "color": "tab:blue", **style})
    if not solved.all():
        failed = places[~solved]
        ax.plot(failed, np.zeros(len(failed)), "x", color="tab:red", ms=9, mew=2, clip_on=False, label="failed")
        ax.legend()
    ax.axhline(0.0, color="black", linewidth=0.8)
    labels = [str(label) for label in df.index]
    ax.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True, min_n_ticks=1))
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda place, _: labels[round(place)] if 0 <= round(place) < len(labels) else "")
    )
    ax.set_xlim(-0.6, max(len(labels), 1) - 0.4)
    ax.set_xlabel(str(df.index.name or "draw"))
    ax.set_ylabel(metric)
    return ax
