"""Pictures of a sweep."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dynx_runner.runner.places import advise

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
    # Neither pandas nor matplotlib is needed to run a sweep.
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if metric not in df.columns:
        raise ValueError(f"plot_bars: no column `{metric}`; {advise(metric, df.columns)}")
    ax = plt.subplots(figsize=(10, 6))[1] if ax is None else ax
    heights = df[metric].to_numpy(dtype=np.float64)
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
