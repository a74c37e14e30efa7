"""Records as a table: the parameters, the metrics, and what became of each draw."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynx_runner.runner.record import Record

if TYPE_CHECKING:
    from pandas import DataFrame

OUTCOMES = ("status", "error", "traceback", "seconds")


def frame_of(
    names: Sequence[str],
    metrics: Sequence[str],
    xs: np.ndarray,
    records: Sequence[Record],
    choices: Mapping[str, Sequence[Any]] = {},
) -> "DataFrame":
    """One row a draw.

    **Arguments:**

    - `names`, `metrics`: of the parameters and of the metrics.
    - `xs`: of shape `(n, parameters)`.
    - `records`: `n` of them.
    - `choices`: of categorical parameters, whose columns show what was chosen.

    **Returns:** a DataFrame; a metric that is an array is one in each row, a metric of a draw that failed is NaN.
    """
    # Imported here, since a runner without a sweep needs no pandas.
    import pandas as pd

    columns: dict[str, Any] = {name: xs[:, position] for position, name in enumerate(names)}
    columns |= {name: [among[int(code)] for code in columns[name]] for name, among in choices.items()}
    for name in metrics:
        columns[name] = column([record.metrics.get(name, np.nan) for record in records])
    columns["status"] = [record.status for record in records]
    columns["error"] = [record.error for record in records]
    columns["traceback"] = [record.traceback for record in records]
    columns["seconds"] = np.array([record.seconds for record in records], dtype=np.float64)
    for name in dict.fromkeys(name for record in records for name in record.notes):
        columns[name] = np.array([record.notes.get(name, np.nan) for record in records], dtype=np.float64)
    return pd.DataFrame(columns)


def column(values: list[Any]) -> np.ndarray:
    """Numbers as they are; where there are arrays, objects."""
    if all(np.ndim(value) == 0 for value in values):
        return np.array(values, dtype=np.float64)
    cells = np.empty(len(values), dtype=object)
    for k, value in enumerate(values):  # Arrays of one shape, given at once, would be taken for a matrix.
        cells[k] = value
    return cells


def failures_of(table: "DataFrame") -> dict[str, int]:
    """How often each error came up in the draws of a table, the most frequent first."""
    return table.loc[table["error"] != "", "error"].value_counts().to_dict()
