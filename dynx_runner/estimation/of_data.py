"""Declared moments of data, with their covariance: every observation's part in each moment is its influence function."""

from typing import Any

import numpy as np


def found(items, frame: Any, by: str | None) -> tuple[dict[str, float], Any]:
    """The moments by name, and their covariance, a frame; `ValueError` names what is missing."""
    import pandas as pd

    frame = frame.reset_index(drop=True)
    by = by or next((name for name in ("id", "agent") if name in frame.columns), None)
    who = np.unique(frame[by].to_numpy(), return_inverse=True)[1] if by else np.arange(len(frame))
    clock = next((name for name in ("age", "period") if name in frame.columns), None)
    heavy = np.asarray(frame["weight"], float) if "weight" in frame.columns else np.ones(len(frame))
    values, parts = {}, []
    for moment in items:
        columns, rows = _columns(moment, frame, who, clock, heavy > 0)
        if not rows.size:
            raise ValueError(f"moments: {moment.label}: no row of the data has it")
        weights = heavy[rows] / heavy[rows].mean()
        values[moment.label], influence = _one(moment, columns, weights)
        parts.append(np.bincount(who[rows], influence / rows.size, who.max() + 1))
    parts = np.stack(parts)
    count = parts.shape[1]
    return values, pd.DataFrame(parts @ parts.T * count / (count - 1), list(values), list(values))


def _column(moment, frame, name):
    stage, _, variable = name.rpartition(".")
    given = moment.column if moment.column and name == moment.of else ""
    for label in (given,) if given else (name, variable):
        if label in frame.columns:
            x = np.asarray(frame[label], float)
            here = frame["stage"].to_numpy() == stage if "stage" in frame.columns else np.ones(len(frame), bool)
            return np.where(here, x, np.nan)
    there = ", ".join(map(str, frame.columns))
    raise ValueError(f"moments: {moment.label}: the data have no column `{given or variable}`; there are {there}")


def _columns(moment, frame, who, clock, live):
    """The values that a moment is made of, and their rows."""
    x = [_column(moment, frame, name) for name in (moment.of, *([moment.beside] if moment.beside else []))]
    if moment.kind == "autocovariance":
        x.append(_lagged(moment, frame, who, x[0], clock))
    here = np.all([np.isfinite(v) for v in x], axis=0) & live
    if moment.ages is not None:
        if clock is None:
            raise ValueError(f"moments: {moment.label}: the data have no column `age` or `period`")
        t = np.asarray(frame[clock], float)
        here &= (t >= moment.ages[0]) & (t <= moment.ages[1])
    rows = np.flatnonzero(here)
    return [np.log(v[rows]) if moment.log else v[rows] for v in x], rows


def _lagged(moment, frame, who, x, clock):
    """The value of the same unit some periods earlier."""
    if "period" not in frame.columns:
        raise ValueError(f"moments: {moment.label}: the data have no column `period`")
    del clock
    t = np.asarray(frame["period"], int)
    seen = np.isfinite(x)
    place = dict(zip(zip(who[seen], t[seen], strict=True), x[seen], strict=True))
    return np.array([place.get((u, s - moment.lag), np.nan) for u, s in zip(who, t, strict=True)])


def _one(moment, columns, weights) -> tuple[float, np.ndarray]:
    """A moment, and the influence of each observation on it; weights are one in the mean."""
    x, mean = columns[0], lambda y: float(np.mean(weights * y))
    if moment.kind in ("share", "mean"):
        x = ((x >= moment.low) & (x <= moment.high)).astype(float) if moment.kind == "share" else x
        return mean(x), weights * (x - mean(x))
    if moment.kind == "quantile":
        at, low, high = _quantiles(x, weights, (moment.q, 0.25, 0.75))
        width = 1.06 * min(np.sqrt(mean((x - mean(x)) ** 2)), (high - low) / 1.34) * x.size ** (-0.2)
        density = mean(np.exp(-0.5 * ((x - at) / width) ** 2)) / (width * np.sqrt(2 * np.pi))
        return at, weights * (moment.q - (x <= at)) / density
    other = x if moment.kind == "variance" else columns[1]
    product = (x - mean(x)) * (other - mean(other))
    return mean(product), weights * (product - mean(product))


def _quantiles(x, weights, shares):
    """Between the values in order, those of numpy where weights are equal."""
    order = np.argsort(x)
    below = np.cumsum(weights[order]) - weights[order]
    return [float(np.interp(q * below[-1], below, x[order])) for q in shares]
