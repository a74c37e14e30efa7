"""Profiles: what happens over the periods, a line with a band around it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float

from stagecraft.pictures.canvas import canvas, legend, worded

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def clock_of(age: tuple[float, float] | None, periods) -> tuple[str, np.ndarray]:
    """The word and the numbers below a profile: ages where the model has a clock, else periods."""
    t = np.asarray(periods)
    return ("period", t) if age is None else ("age", age[0] + age[1] * t)


def plot_profiles(
    lines: Mapping[str, Float[Array, " periods"]],
    bands: Mapping[str, list],
    periods,
    age: tuple[float, float] | None = None,
    ax: "Axes | None" = None,
    units: Mapping[str, str] = MappingProxyType({}),
    **style: Any,
) -> "Axes":
    """Lines over the periods, and (lower, upper) bands of them, the widest first; NaN leaves a gap."""
    word, x = clock_of(age, periods)
    ax = canvas(ax, xlabel=worded([word], units), ylabel=worded(lines, units))
    marks: dict[str, Any] = {"marker": "o"} if len(x) == 1 else {}
    for name, y in lines.items():
        (line,) = ax.plot(x, np.asarray(y), label=name, **{**marks, **style})
        for low, high in bands.get(name, []):
            ax.fill_between(x, np.asarray(low), np.asarray(high), alpha=0.18, color=line.get_color(), linewidth=0)
    return legend(ax)


def plot_panel(panel, names: tuple[str, ...], band: tuple[float, float] | None, ax: "Axes | None", **style: Any) -> "Axes":
    """Means by period of the agents who have a variable, and what lies between two of their percentiles."""
    lines, bands = {}, {}
    for name in names:
        values = np.asarray(panel.variable(name), float)
        seen = ~np.isnan(values)
        rows = [row[keep] for row, keep in zip(values, seen, strict=True)]
        lines[name] = np.array([row.mean() if row.size else np.nan for row in rows])
        if band is not None:
            ends = [np.percentile(row, band) if row.size else (np.nan, np.nan) for row in rows]
            bands[name] = [np.array(ends).T]
    return plot_profiles(lines, bands, np.arange(len(values)), panel.age, ax, dict(panel.units), **style)
