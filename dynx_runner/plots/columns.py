"""What all pictures of a sweep need: a column by its name, axes to draw on, and which draws failed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynx_runner.runner.places import advise
from dynx_runner.store.table import OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


def column(verb: str, df: "DataFrame", name: str) -> np.ndarray:
    """A column of numbers; `ValueError` for one that is not there, or holds something else."""
    if name not in df.columns:
        raise ValueError(f"{verb}: no column `{name}`; {advise(name, df.columns)}")
    try:
        return df[name].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{verb}: column `{name}` holds {type(df[name].iloc[0]).__name__}, no numbers") from None


def label(df: "DataFrame", name: str) -> str:
    """A column's name, with the unit that the model says of a parameter."""
    unit = df.attrs.get("units", {}).get(name)
    return f"{name} ({unit})" if unit else name


def numbers(df: "DataFrame", names: Sequence[str] | None) -> list[str]:
    """The columns that were named, or else all of numbers but for the bookkeeping."""
    if names is not None:
        return list(names)
    return [name for name in df.columns if df[name].dtype.kind in "iuf" and name not in (*OUTCOMES, "rank")]


def axes(ax: "Axes | None", **figure: Any) -> "Axes":
    """The axes that were given, or those of a new figure."""
    # matplotlib is not needed to run a sweep.
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained", **figure)[1] if ax is None else ax


def failed(df: "DataFrame") -> np.ndarray:
    """Which draws have no metrics."""
    return np.zeros(len(df), dtype=bool) if "status" not in df.columns else (df["status"] != "ok").to_numpy()
