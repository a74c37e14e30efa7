"""Draws in one parquet file, which other programs read, too."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynx_runner.runner.record import Record
from dynx_runner.store.contents import Stored
from dynx_runner.store.lines import StoreError

_VERSION = b"1"
_PLAIN = ("key", "draw", "status", "error", "traceback", "seconds")


def write(path: Path, draws: Sequence[Stored], names: Sequence[str], metrics: Sequence[str]) -> None:
    """Write draws to a new file.

    **Arguments:** `names`, `metrics`: of the parameters and of the metrics.
    """
    pa, pq = _pyarrow()
    records = [draw.record for draw in draws]
    columns: dict[str, Any] = {"key": [draw.key for draw in draws], "draw": [draw.i for draw in draws]}
    columns |= {name: np.array([draw.x[k] for draw in draws], dtype=np.float64) for k, name in enumerate(names)}
    shapes: dict[str, str] = {}
    for name in metrics:
        values = [record.metrics.get(name) for record in records]
        columns[name] = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
        dtypes = [value.dtype for value in values if isinstance(value, np.ndarray)]
        if dtypes:
            shapes[name] = np.result_type(*dtypes).str
    columns |= {name: [getattr(record, name) for record in records] for name in _PLAIN[2:]}
    notes = list(dict.fromkeys(name for record in records for name in record.notes))
    columns |= {name: [record.notes.get(name) for record in records] for name in notes}
    arrays = [pa.array(values) for values in columns.values()]
    told = {"parameters": list(names), "metrics": list(metrics), "notes": notes, "dtypes": shapes}
    metadata = {b"dynx_store": _VERSION, b"dynx_columns": json.dumps(told).encode()}
    pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))).replace_schema_metadata(metadata), path)


def read(path: Path) -> dict[str, Stored]:
    """The draws of a file by key; `StoreError` for a file of another version, or one that cannot be read."""
    pa, pq = _pyarrow()
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}); move it away, and the draws that were in it are run again"
        ) from error
    metadata = table.schema.metadata or {}
    version = metadata.get(b"dynx_store")
    if version != _VERSION:
        found = "no store's table" if version is None else f"a table of version {version.decode(errors='replace')}"
        raise StoreError(
            f"{path} is {found}, and this version of dynx reads version {_VERSION.decode()}; nothing was changed. Read it with"
            " the dynx that wrote it, or move it away"
        )
    told = json.loads(metadata[b"dynx_columns"])
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    xs = np.array([columns[name] for name in told["parameters"]], dtype=np.float64).reshape(-1, table.num_rows).T
    return {key: _stored(k, key, xs[k], columns, told) for k, key in enumerate(columns["key"])}


def _stored(k: int, key: str, x: np.ndarray, columns: dict[str, list], told: dict[str, Any]) -> Stored:
    values = {name: columns[name][k] for name in told["metrics"] if columns[name][k] is not None}
    dtypes = told["dtypes"]
    metrics = {name: np.array(v, dtype=dtypes[name]) if name in dtypes else v for name, v in values.items()}
    notes = {name: columns[name][k] for name in told["notes"] if columns[name][k] is not None}
    status, error, traceback, seconds = (columns[name][k] for name in _PLAIN[2:])
    return Stored(key, columns["draw"][k], x, Record(metrics, error, traceback, seconds, notes, status))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise StoreError('a table of a store needs pyarrow; install it with: pip install "dynx[store]"') from error
    return pyarrow, pyarrow.parquet
