"""How metrics depend on parameters: one against another, all against all, and over two parameters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynx_runner.plots.columns import axes, column, failed, label, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


def plot_scatter(
    df: "DataFrame", x: str, y: str, ax: "Axes | None" = None, *, color: str | None = None, **style: Any
) -> "Axes":
    """One column against another, a point a draw; draws that failed are crosses on the lower edge.

    **Arguments:**

    - `df`: one row a draw, as `mpi_map` returns it.
    - `x`, `y`: the columns; `color`: a third one, by which points are coloured.
    - `ax`: where to draw; a new figure if not given.
    - `style`: what `Axes.scatter` takes.

    **Returns:** the axes. Raises `ValueError` for a column that is not there.
    """
    across, up = column("plot_scatter", df, x), column("plot_scatter", df, y)
    ax, shown = axes(ax), np.isfinite(across) & np.isfinite(up)
    shade = {} if color is None else {"c": column("plot_scatter", df, color)[shown]}
    points = ax.scatter(across[shown], up[shown], **{"s": 18, **shade, **style})
    if color is not None:
        ax.figure.colorbar(points, ax=ax, label=label(df, color))
    lost = np.isfinite(across) & ~np.isfinite(up)
    if lost.any():
        # On the edge in the axes' own coordinates, since there is no height to give them.
        ax.plot(across[lost], np.zeros(lost.sum()), "x", color="tab:red", transform=ax.get_xaxis_transform(), clip_on=False)
    ax.set_xlabel(label(df, x))
    ax.set_ylabel(label(df, y))
    return ax


def plot_pairs(df: "DataFrame", names: Sequence[str] | None = None, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """Every column against every other, with histograms on the diagonal.

    **Arguments:**

    - `df`: one row a draw.
    - `names`: of the columns; all of numbers if not given.
    - `ax`: whose place the grid of pictures takes; a new figure if not given.
    - `style`: what `Axes.scatter` takes.

    **Returns:** the axes, which frame the grid; its cells are `ax.child_axes`, row by row. Raises `ValueError` for a column
    that is not there, and for none.
    """
    names = numbers(df, names)
    if not names:
        raise ValueError("plot_pairs: there is no column of numbers")
    values, size = [column("plot_pairs", df, name) for name in names], len(names)
    ax = axes(ax, figsize=(2 + 1.8 * size, 2 + 1.8 * size))
    ax.set_axis_off()
    good = ~failed(df)
    for row in range(size):
        for place in range(size):
            cell = ax.inset_axes((place / size + 0.01, 1 - (row + 1) / size + 0.01, 1 / size - 0.02, 1 / size - 0.02))
            _pair(cell, values[place], None if row == place else values[row], good, style)
            cell.tick_params(labelsize=7, labelbottom=row == size - 1, labelleft=place == 0 and row != place)
            if row == size - 1:
                cell.set_xlabel(label(df, names[place]), fontsize=8)
            if place == 0:
                cell.set_ylabel(label(df, names[row]), fontsize=8)
    return ax


def plot_heat(
    df: "DataFrame", x: str, y: str, metric: str, ax: "Axes | None" = None, *, bins: int | None = None, **style: Any
) -> "Axes":
    """The mean of a metric over two parameters, as colours.

    **Arguments:**

    - `df`: one row a draw.
    - `x`, `y`: the parameters; `metric`: what is shown.
    - `ax`: where to draw; a new figure if not given.
    - `bins`: how many intervals each parameter is cut into. If not given, the values of a grid are taken as they are, and
      other draws are cut so that there are some in each.
    - `style`: what `Axes.pcolormesh` takes.

    **Returns:** the axes; a cell without a draw that has the metric is blank. Raises `ValueError` for a column that is
    not there.
    """
    across, up, value = (column("plot_heat", df, name) for name in (x, y, metric))
    ax, shown = axes(ax), np.isfinite(value)
    edges = [_edges(one, bins, int(shown.sum())) for one in (across, up)]
    total, *_ = np.histogram2d(across[shown], up[shown], edges, weights=value[shown])
    count, *_ = np.histogram2d(across[shown], up[shown], edges)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    mesh = ax.pcolormesh(*edges, mean.T, **style)
    ax.figure.colorbar(mesh, ax=ax, label=metric)
    ax.set_xlabel(label(df, x))
    ax.set_ylabel(label(df, y))
    return ax


def _pair(cell: "Axes", across: np.ndarray, up: np.ndarray | None, good: np.ndarray, style: dict[str, Any]) -> None:
    if up is None:
        cell.hist(across[np.isfinite(across)], bins=20, color="tab:blue")
        cell.set_yticks([])
        return
    cell.scatter(across[good], up[good], **{"s": 6, **style})
    # A parameter has a value in a draw that failed, too.
    cell.scatter(across[~good], up[~good], s=10, marker="x", color="tab:red")


def _edges(values: np.ndarray, bins: int | None, draws: int) -> np.ndarray:
    levels = np.unique(values[np.isfinite(values)])
    if bins is None and 1 < len(levels) <= max(np.sqrt(len(values)) * 2, 2):
        inner = (levels[1:] + levels[:-1]) / 2
        return np.array([2 * levels[0] - inner[0], *inner, 2 * levels[-1] - inner[-1]])
    low, high = (levels[0], levels[-1]) if levels.size else (0.0, 1.0)
    wide = (low - 0.5, high + 0.5) if low == high else (low, high)
    return np.linspace(*wide, (bins or max(2, int(np.sqrt(draws / 4)))) + 1)
