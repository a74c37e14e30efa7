"""Axes to draw on, and the words at their sides."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def canvas(ax: "Axes | None", **labels: str) -> "Axes":
    """The axes that were given, or those of a new figure; labels that they have already are kept."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(layout="constrained")[1] if ax is None else ax
    for name, text in labels.items():
        if text and not getattr(ax, f"get_{name}")():
            ax.set(**{name: text})
    return ax


def legend(ax: "Axes") -> "Axes":
    """A legend where several things are drawn that have a name."""
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(frameon=False)
    return ax


def worded(names: Iterable[str], units: Mapping[str, str]) -> str:
    """Names for the side of axes, with the units that the model says: `c, a (1000 euros)`."""
    names = list(names)
    of = [units.get(name.rpartition(".")[2], "") for name in names]
    if len(set(of)) == 1 and of[0]:
        return f"{', '.join(names)} ({of[0]})"
    return ", ".join(f"{name} ({unit})" if unit else name for name, unit in zip(names, of, strict=True))


def number(x) -> str:
    """A number as a label shows it."""
    return f"{float(np.asarray(x)):.4g}"
