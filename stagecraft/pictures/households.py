"""Pictures of a distribution: its density, its Lorenz curve, and how its quantiles move with age."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stagecraft.pictures.canvas import canvas, legend, worded
from stagecraft.pictures.profiles import plot_profiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("fan", "density", "lorenz")
FAN = (0.1, 0.25, 0.5, 0.75, 0.9)
BINS = 60


def plot_fan(
    dists: list, name: str, periods, age, label: str, ax: "Axes | None", units: Mapping[str, str], **style: Any
) -> "Axes":
    """The median of a state by period between the quartiles, and between the 10th and 90th percentile."""
    quantiles = np.array([np.asarray(dist.quantile(name, np.array(FAN))) for dist in dists]).T
    bands = {label: [(quantiles[0], quantiles[4]), (quantiles[1], quantiles[3])]}
    title = "median, quartiles, 10th and 90th percentile"
    ax = canvas(ax, ylabel=worded([name], units), title=title)
    return plot_profiles({label: quantiles[2]}, bands, periods, age, ax, units, **style)


def plot_density(dist, name: str, label: str, ax: "Axes | None", units: Mapping[str, str], **style: Any) -> "Axes":
    """The share of households in equal steps of a state, up to where one in a thousand is beyond; a discrete state has bars."""
    x, w = np.asarray(dist.states[name], float), np.asarray(dist.weights, float)
    x, w = np.broadcast_to(x, w.shape)[w > 0], w[w > 0]
    values = np.unique(x)
    ax = canvas(ax, xlabel=worded([name], units), ylabel="share of households")
    if len(values) <= BINS // 2:
        share = np.array([w[x == v].sum() for v in values]) / w.sum()
        ax.vlines(values, 0.0, share, linewidth=3, alpha=0.6, label=label or name, **style)
        ax.plot(values, share, "o", color="black", markersize=3)
        return legend(ax)
    top = float(np.asarray(dist.quantile(name, 0.999)))
    counts, edges = np.histogram(x, bins=BINS, range=(values[0], max(top, values[1])), weights=w / w.sum())
    ax.stairs(counts, edges, fill=True, alpha=0.5, label=label or name, **style)
    return legend(ax)


def plot_lorenz(dist, name: str, label: str, ax: "Axes | None", units: Mapping[str, str], **style: Any) -> "Axes":
    """The share of the total that the poorest `p` hold, beside equality; the Gini coefficient stands in the legend."""
    del units  # Shares have none.
    p = np.linspace(0.0, 1.0, 201)
    ax = canvas(ax, xlabel="share of households, from the poorest", ylabel=f"share of {name}")
    words = [label, f"Gini {float(np.asarray(dist.gini(name))):.3f}"]
    ax.plot(p, np.asarray(dist.lorenz(name, p)), label=", ".join(w for w in words if w), **style)
    if not any(line.get_gid() == "equality" for line in ax.lines):
        ax.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", gid="equality")
    ax.legend(frameon=False)
    return ax
