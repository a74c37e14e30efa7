"""How a sweep went: where in the prior draws failed, and who did the work."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dynx_runner.plots.columns import axes, column, failed, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from dynx_runner.store.result_store import ResultStore


def plot_failures(df: "DataFrame", x: str, y: str | None = None, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """Where in the prior draws failed: the share of failures along one parameter, or draws over two.

    **Arguments:**

    - `df`: one row a draw, as `mpi_map` returns it.
    - `x`, `y`: the parameters.
    - `ax`: where to draw; a new figure if not given.
    - `style`: what `Axes.bar` takes, or `Axes.scatter` where there are two parameters.

    **Returns:** the axes. Raises `ValueError` for a column that is not there.
    """
    across, lost = column("plot_failures", df, x), failed(df)
    ax = axes(ax)
    ax.set_xlabel(label(df, x))
    if y is None:
        edges = np.histogram_bin_edges(across, bins=max(1, min(20, len(across) // 5)))
        count, _ = np.histogram(across, edges)
        bad, _ = np.histogram(across[lost], edges)
        share = np.divide(bad, count, out=np.zeros(len(count)), where=count > 0)
        ax.bar(edges[:-1], share, np.diff(edges), align="edge", **{"color": "tab:red", **style})
        ax.set_ylim(0, 1)
        ax.set_ylabel("share of draws that failed")
        return ax
    up = column("plot_failures", df, y)
    ax.scatter(across[~lost], up[~lost], **{"s": 12, "color": "tab:gray", "label": "ok", **style})
    if lost.any():
        ax.scatter(across[lost], up[lost], s=30, marker="x", color="tab:red", label="failed")
    ax.set_ylabel(label(df, y))
    ax.legend()
    return ax


def plot_load(store: "ResultStore", ax: "Axes | None" = None, **style: Any) -> "Axes":
    """The seconds that each process of a store spent in draws, one bar a process, in the order in which they ended.

    **Arguments:** `store`; `ax`: where to draw, a new figure if not given; `style`: what `Axes.barh` takes.

    **Returns:** the axes; a bar is labelled by its rank, its machine, and how many draws it did.
    """
    load = store.load()
    ax = axes(ax, figsize=(8, 1.5 + 0.3 * len(load)))
    places = np.arange(len(load))
    ax.barh(places, load["seconds"], **{"color": "tab:blue", **style})
    labels = [f"rank {one['rank']}, {one['host']} ({one['draws']} draws)" for one in load.to_dict("records")]
    ax.set_yticks(places, labels)
    ax.invert_yaxis()
    ax.set_xlabel("seconds in draws")
    return ax
