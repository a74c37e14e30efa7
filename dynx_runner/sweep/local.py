"""Draws, one after the other, in this process."""

import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Record(NamedTuple):
    """What became of one draw; plain values, so that it travels between processes.

    **Attributes:**

    - `metrics`: `{name: float}`, empty if the draw failed.
    - `error`: one line that says what was raised and where, empty if nothing was.
    - `traceback`: the whole of it.
    - `seconds`: wall time.
    """

    metrics: dict[str, float]
    error: str
    traceback: str
    seconds: float


def attempt(runner: Any, x: np.ndarray) -> Record:
    """Run one draw; what it raises becomes part of the record.

    **Arguments:**

    - `runner`: has `run(x) -> {metric: float}`.
    - `x`: a parameter vector.

    **Returns:** a record. Raises nothing but what ends a process: `KeyboardInterrupt`, `SystemExit`.
    """
    start = time.perf_counter()
    try:
        metrics, error, trace = runner.run(x), "", ""
    # Any error of the user's model, known to nobody here, is a result of the sweep.
    except Exception as failure:
        metrics, error, trace = {}, _one_line(failure), traceback.format_exc()
    return Record(metrics, error, trace, time.perf_counter() - start)


def solve_here(runner: Any, xs: np.ndarray, *, report: Callable[[], Any]) -> list[Record]:
    """Run all draws in order.

    **Arguments:**

    - `runner`: has `run(x) -> {metric: float}`.
    - `xs`: parameter vectors, of shape `(n, parameters)`.
    - `report`: called after each draw.

    **Returns:** `n` records in the order of `xs`.
    """
    records = []
    for x in xs:
        records.append(attempt(runner, x))
        report()
    return records


def _one_line(failure: Exception) -> str:
    message = str(failure).strip().splitlines()
    headline = f"{type(failure).__name__}: {message[0] if message else ''}"[:300]
    # The runner's own note says which of its functions failed, then the parameters, which have their columns.
    places = [note.partition(", at ")[0] for note in getattr(failure, "__notes__", ()) if note.startswith("in ")]
    return f"{headline} ({places[-1]})" if places else headline
