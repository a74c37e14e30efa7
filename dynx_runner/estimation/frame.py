"""Frames of observations, read into arrays: who, when, what, and what came before; every complaint names columns or rows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dynx_runner.estimation import adapter
from heptapod.errors import did_you_mean

_SHOWN = 5


class Rows(NamedTuple):
    """The observations of one stage.

    **Attributes:** `t`: periods; `unit`: position of whoever is observed; `places`: rows of the frame; `values`: by variable,
    NaN where nothing is seen.
    """

    t: np.ndarray
    unit: np.ndarray
    places: np.ndarray
    values: dict[str, np.ndarray]


class Frame(NamedTuple):
    """All observations.

    **Attributes:** `rows`: by stage; `units`: their names; `weights`: of units; `kinds`: of units, -1 where the type is not
    known, `None` where no column tells it; `ordered`: whether rows of one unit follow each other.
    """

    rows: dict[str, Rows]
    units: np.ndarray
    weights: np.ndarray
    kinds: np.ndarray | None
    ordered: bool


def read_frame(circuit, frame: Any, observe: Mapping[str, tuple[str, ...]], noisy: set[str]) -> Frame:
    """The observations of a frame; `ValueError` names what is missing or wrong.

    **Arguments:** `observe`: variables by stage; `noisy`: those that are seen with an error, which no set confines.
    """
    if not hasattr(frame, "columns"):
        frame = _frame_of(frame)
    if not len(frame):
        raise ValueError("data: the frame has no rows")
    frame = frame.reset_index(drop=True)
    who = next((name for name in ("id", "agent") if name in frame.columns), None)
    several = "stage" in frame.columns
    t = _periods(circuit, frame)
    nobody = np.flatnonzero(frame[who].isna()) if who else np.zeros(0, int)
    if nobody.size:
        raise ValueError(f"data: {_rows(nobody)} have no `{who}`")
    timed = who is not None and ("period" in frame.columns or "age" in frame.columns)
    units, unit = np.unique(frame[who].to_numpy(), return_inverse=True) if who else (np.arange(len(frame)),) * 2
    rows = {}
    for stage, names in observe.items():
        part = np.flatnonzero(frame["stage"].to_numpy() == stage) if several else np.arange(len(frame))
        if not part.size:
            raise ValueError(f"data: no row has stage {stage}; there are {', '.join(map(str, frame['stage'].unique()))}")
        values = {name: _column(circuit, frame, stage, name, len(observe) > 1).to_numpy()[part] for name in names}
        values = {name: _numbers(circuit, stage, name, x, part) for name, x in values.items()}
        met = np.any([np.isfinite(x) for x in values.values()], axis=0)
        rows[stage] = Rows(t[part][met], unit[part][met], part[met], {name: x[met] for name, x in values.items()})
        if not met.any():
            raise ValueError(f"data: nothing is seen of stage {stage}, NaN in all its rows: {', '.join(names)}")
        _check_sets(circuit, stage, rows[stage], noisy)
        if timed:
            _check_once(stage, rows[stage], who)
    return Frame(rows, units, _weights(frame, unit, len(units)), _kinds(circuit, frame, unit, len(units)), timed)


def _frame_of(data):
    import pandas as pd

    if isinstance(data, Mapping):
        return pd.DataFrame(dict(data))
    if hasattr(data, "to_pandas"):
        return data.to_pandas()
    raise ValueError(f"data: a pandas frame with a row for each observation is needed, found {type(data).__name__}")


def _column(circuit, frame, stage, name, several):
    """One column; `STAGE.name` is looked for first where several stages are observed."""
    for label in (f"{stage}.{name}", name):
        if label in frame.columns:
            return frame[label]
    near = did_you_mean(name, [str(c) for c in frame.columns])
    del circuit, several
    raise ValueError(f"data: no column `{name}`, which stage {stage} is observed by; {near or ''} there are {_named(frame)}")


def _named(frame):
    return ", ".join(map(str, frame.columns))


def _periods(circuit, frame) -> np.ndarray:
    """The period of each row; `ValueError` for those outside the horizon."""
    horizon, age = circuit.structure.horizon, circuit.structure.calibration.age
    if "period" in frame.columns:
        found = np.asarray(frame["period"], float)
    elif "age" in frame.columns and age is not None:
        found = (np.asarray(frame["age"], float) - age[0]) / age[1]
    elif horizon in (None, 1):
        return np.zeros(len(frame), int)
    else:
        raise ValueError(f"data: a column `period` is needed, of {horizon} periods from 0; there are {_named(frame)}")
    bad = ~(np.isfinite(found) & (np.abs(found - np.round(found)) < 1e-9) & (found >= 0))
    bad |= False if horizon is None else found >= horizon
    if bad.any():
        last = "" if horizon is None else f" to {horizon - 1}"
        raise ValueError(f"data: {_rows(np.flatnonzero(bad))} are in no period; periods are whole numbers from 0{last}")
    return np.round(found).astype(int)


def _numbers(circuit, stage, name, x, part) -> np.ndarray:
    """A column as numbers; branches by position or name."""
    if name == "branch" and np.asarray(x).dtype.kind not in "fiub":
        names = adapter.branch_names(circuit, stage)
        text = [str(v) for v in x]
        found = np.array([names.index(v) if v in names else _number(v) for v in text])
        bad = np.isnan(found) & ~np.isin(text, ["nan", "None", "<NA>"])
        if bad.any():
            raise ValueError(
                f"data: {_rows(part[bad])} have branch {text[int(np.argmax(bad))]!r}; stage {stage} has {', '.join(names)}"
            )
        return found
    try:
        found = np.asarray(x, float)
    except (TypeError, ValueError):
        raise ValueError(f"data: column `{name}` of stage {stage} holds something that is no number") from None
    if np.isinf(found).any():
        raise ValueError(
            f"data: {_rows(part[np.isinf(found)])} have an infinite `{name}` at stage {stage}; NaN where nothing is seen"
        )
    return found


def _number(text: str) -> float:
    """A number, NaN for any other text."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def _check_once(stage, rows: Rows, who) -> None:
    """Speak of rows that tell twice of one period of one id."""
    pairs = np.stack([rows.unit, rows.t], axis=1)
    _, place, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    twice = np.flatnonzero(counts[place.ravel()] > 1)
    if twice.size:
        raise ValueError(
            f"data: {_rows(np.sort(rows.places[twice]))} tell of one `{who}` in one period at stage {stage} more than once"
        )


def _check_sets(circuit, stage, rows: Rows, noisy) -> None:
    """Speak of values outside sets and grids, with their rows."""
    for name, x in rows.values.items():
        if name in noisy:
            continue
        plain = name.removesuffix("_dcsn").removesuffix("_controls")
        for t in np.unique(rows.t) if circuit.structure.horizon else [0]:
            here = np.isfinite(x) & ((rows.t == t) if circuit.structure.horizon else True)
            if name == "branch":
                values = np.arange(len(adapter.branch_names(circuit, stage)))
            else:
                values = adapter.set_of(circuit, stage, plain, t)
            if values is not None:
                bad = here & ~np.isclose(x[:, None], np.asarray(values), rtol=1e-6, atol=1e-9).any(axis=1)
                told = f"the set {_listed(values)}"
            else:
                low, high = adapter.ends_of(circuit, stage, plain, t) or (-np.inf, np.inf)
                room = 1e-9 * (1 + max(abs(low), abs(high))) if np.isfinite(high - low) else 0.0
                bad, told = here & ((x < low - room) | (x > high + room)), f"the grid from {low:g} to {high:g}"
            if bad.any():
                some = np.unique(x[bad])[:_SHOWN]
                raise ValueError(
                    f"data: {_rows(rows.places[bad])} have {name} = {', '.join(f'{v:g}' for v in some)} at stage {stage}, "
                    f"outside {told}"
                )


def _listed(values):
    values = np.asarray(values)
    return ", ".join(f"{v:g}" for v in values[:8]) + (", ..." if values.size > 8 else "")


def _rows(places) -> str:
    """Rows in words."""
    shown = ", ".join(map(str, np.asarray(places)[:_SHOWN]))
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"rows {shown}{more}" if len(places) > 1 else f"row {shown}"


rows_in_words = _rows


def _per_unit(x, unit, count, what):
    """One number for each unit; `ValueError` where its rows differ."""
    found = np.zeros(count)
    found[unit] = x
    bad = np.flatnonzero(found[unit] != x)
    if bad.size:
        hint = "; those of a panel with `weights=True` say who is alive: drop the column" if what == "weight" else ""
        raise ValueError(f"data: `{what}` must be the same in all rows of an id; {_rows(bad)} differ from others{hint}")
    return found


def _weights(frame, unit, count):
    if "weight" not in frame.columns:
        return np.ones(count)
    x = np.asarray(frame["weight"], float)
    bad = ~(np.isfinite(x) & (x >= 0))
    if bad.any():
        raise ValueError(f"data: {_rows(np.flatnonzero(bad))} have weights that are no numbers of zero or more")
    if not x.any():
        raise ValueError("data: all weights are zero")
    return _per_unit(x, unit, count, "weight")


def _kinds(circuit, frame, unit, count):
    if circuit.types is None or "type" not in frame.columns:
        return None
    x = np.asarray(frame["type"], float)
    x = np.where(np.isnan(x), -1, x)
    bad = ~np.isin(x, [-1, *range(len(circuit.types))])
    if bad.any():
        raise ValueError(f"data: {_rows(np.flatnonzero(bad))} have a type that is none of 0 to {len(circuit.types) - 1}")
    return _per_unit(x, unit, count, "type").astype(int)
