"""Parameters that go by age or by period: tables that hold each value until the next, and lists with a value for each."""

from collections.abc import Mapping

import numpy as np

from heptapod.parameters.declared import Time
from heptapod.parsing.reader import Path, Reader


def read_steps(reader: Reader, path: Path, name: str, by: str | None, time: Time) -> list[float] | None:
    """One value for each period from a table that holds each value until the next age named; `None` after an error.

    **Arguments:** `path`: of the parameter's block.
    """
    steps, place = reader.get((*path, "steps")), (*path, "steps")
    if not by or not isinstance(steps, Mapping) or not steps:
        reader.missing("by-age", f"`{name}`: `steps` is a table {{age: value}} beside `by: age`", path)
        return None
    table = {}
    for k, v in steps.items():
        age, value = _number(k), v if isinstance(v, (int, float)) and not isinstance(v, bool) else None
        if age is None or value is None or not np.isfinite(value) or age in table:
            message = f"`{name}`: ages and values in `steps` must be finite numbers, each age once"
            reader.error("by-age", message, (*place, k), "steps: {25: 1.03, 45: 1.0}", key=True)
            return None
        table[age] = float(value)
    clock, ages = time.numbers[by], sorted(table)
    if ages[0] > clock[0]:
        message = f"the first step of `{name}` is at {ages[0]:g}, after the first period's {by} {clock[0]:g}"
        reader.error("by-age", message, place, f"begin with {clock[0]:g}: ...")
        return None
    late = [age for age in ages if age > clock[-1]]
    if late and not time.poison:
        message = f"the step of `{name}` at {late[0]:g} lies after the last period, whose {by} is {clock[-1]:g}"
        reader.warning("by-age", message, place, "it is never reached")
    return [table[ages[i]] for i in np.searchsorted(ages, clock, side="right") - 1]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def read_list(reader: Reader, path: Path, name: str, time: Time) -> list | None:
    """The values of the periods from a list that is as long as the horizon at least; `None` after an error."""
    values = reader.get((*path, "values"))
    if isinstance(values, list) and len(values) >= time.periods:
        return values[: time.periods]
    if not time.poison or not isinstance(values, list):
        count = f"{len(values)} values" if isinstance(values, list) else "no list of values"
        reader.error("by-age", f"`{name}` has {count} for {time.periods} periods", (*path, "values"), "one for each period")
    return None
