"""Pictures of an estimation; matplotlib is imported where one is drawn."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np


def _axes(ax, size=(6.0, 4.0)):
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def trace(fit: Any, ax: Any = None) -> Any:
    """The criterion above its lowest value, step by step, of every start."""
    ax = _axes(ax)
    low = min(np.nanmin(t.values) for t in fit.traces)
    for t in fit.traces:
        ax.semilogy(np.maximum(np.asarray(t.values) - low, 1e-12), lw=1)
    ax.set(xlabel="step", ylabel="criterion above its lowest")
    return ax


def starts(fit: Any, ax: Any = None) -> Any:
    """Where every start ended, in order: steps of the waterfall are basins."""
    ax = _axes(ax)
    ends = np.sort([t.point.value for t in fit.traces])
    ax.plot(np.arange(1, len(ends) + 1), ends, "o-")
    ax.set(xlabel="start, the best first", ylabel="criterion at the end")
    return ax


def moments(fit: Any, ax: Any = None) -> Any:
    """Moments of the model in standard errors of the data, whose interval of 95 % is shaded."""
    if fit.task.likelihood:
        raise ValueError("plot_moments: a likelihood has no moments; draw plot_profile, or estimate by MinimumDistance or SMM")
    ax = _axes(ax)
    estimator = fit.estimator
    found = np.array(list(estimator.moments(fit.parameters).values()))
    size = np.sqrt(np.diag(estimator.omega(fit.z)))
    places = np.arange(found.size)
    ax.axvspan(-1.96, 1.96, color="0.9")
    ax.plot((found - estimator.data) / size, places, "o")
    ax.set_yticks(places, estimator.names)
    ax.invert_yaxis()
    ax.set(xlabel="model less data, in standard errors")
    return ax


def sensitivity(fit: Any, to: Sequence[str] | None = None, ax: Any = None) -> Any:
    """How estimates move, as a map: of each row in units of its largest entry."""
    ax = _axes(ax)
    table = fit.sensitivity(to)
    values = table.to_numpy() / np.nanmax(np.abs(table.to_numpy()), axis=1, keepdims=True)
    image = ax.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    ax.set_xticks(np.arange(table.shape[1]), table.columns, rotation=60, ha="right")
    ax.set_yticks(np.arange(table.shape[0]), table.index)
    ax.figure.colorbar(image, ax=ax)
    return ax


def profile(fit: Any, name: str, width: float = 2.0, points: int = 9, ax: Any = None) -> Any:
    """The criterion along one coordinate, the others where a Newton step takes them; beside it the parabola of its standard
    error.
    """
    if name not in fit.names:
        raise ValueError(f"profile: `{name}` is none of {', '.join(fit.names)}")
    ax, i, task = _axes(ax), fit.names.index(name), fit.task
    error = float(np.sqrt(fit.covariance()[i, i]))
    low, high = (b[i] for b in task.free.bounds())
    grid = np.clip(fit.z[i] + error * np.linspace(-width, width, points), low + 1e-6, high - 1e-6)
    others = fit.inside & (np.arange(len(fit.z)) != i)
    found = [_least(task, fit.z, i, x, others) for x in grid]
    ax.plot(grid, np.array(found) - fit.criterion, "o-", label="profile")
    if task.likelihood:
        ax.plot(grid, 0.5 * ((grid - fit.z[i]) / error) ** 2, ls=":", label="parabola")
    unit = task.circuit.source.units.get(name)
    ax.set(xlabel=f"{name} ({unit})" if unit else name, ylabel="criterion above its lowest")
    ax.legend(frameon=False)
    return ax


def _least(task, z, i, value, others):
    """The criterion with one coordinate fixed, after two steps of the others."""
    z = z.copy()
    z[i] = value
    best = task.value(z)
    for _ in range(2 if others.any() else 0):
        curve = task.curvature(z)[np.ix_(others, others)]
        moved = z.copy()
        moved[others] -= np.linalg.solve(curve, task.slope(z)[others])
        if not np.all(np.isfinite(np.asarray(task.free.real(jnp.asarray(moved))))) or not task.value(moved) < best:
            break
        z, best = moved, task.value(moved)
    return best


def band(fit: Any, function: Callable[[Any], Any], x: Any, ax: Any = None, level: float = 0.95) -> Any:
    """A curve of the solved circuit over `x`, as `lambda s: s[0]["CONS"].dcsn.sol.policy["c"](m=x)`, and its band."""
    from scipy.special import ndtri

    ax = _axes(ax)
    value, error = fit.delta(function)
    wide = float(ndtri(0.5 + 0.5 * level)) * np.asarray(error)
    ax.fill_between(x, np.asarray(value) - wide, np.asarray(value) + wide, alpha=0.3)
    ax.plot(x, value)
    return ax
