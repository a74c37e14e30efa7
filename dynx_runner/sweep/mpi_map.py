"""A sweep: the metrics of many draws, as one table."""

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from dynx_runner.launch import meet, world
from dynx_runner.sweep.local import Record, solve_here
from dynx_runner.sweep.mpi import ending_the_job, solve_together

if TYPE_CHECKING:
    from pandas import DataFrame

_OUTCOMES = ("status", "error", "traceback", "seconds")


def mpi_map(runner: Any, xs: np.ndarray, *, progress: bool = False) -> "DataFrame":
    """Run every draw, in this process or on all processes of `mpirun -n N python script.py`.

    Under `mpirun` every process must call it, in the same order; whoever is free takes the next draw. Results do not
    depend on the number of processes. An exception outside a draw ends all processes.

    **Arguments:**

    - `runner`: a `CircuitRunner`, built on every process by the same script.
    - `xs`: parameter vectors, of shape `(n, parameters)`. Those of rank 0 count; the others' are not read.
    - `progress`: whether rank 0 shows a progress bar.

    **Returns:** the same DataFrame on every process, one row a draw in the order of `xs`: the parameters, the metrics,
    `status` (`"ok"`, or `"failed"` where an exception was raised in the draw), `error` (one line), `traceback`, and
    `seconds`. Raises `ValueError` for `xs` of another shape, `RuntimeError` for a mismatched `mpirun`.
    """
    columns = [*runner.param_names, *runner.metric_names, *_OUTCOMES]
    repeated = {name for name in columns if columns.count(name) > 1}
    if repeated:
        raise ValueError(f"mpi_map: two columns are called {', '.join(sorted(repeated))}; rename a metric")
    comm = world()
    if comm is None:
        xs = _vectors(xs, runner.param_names)
        with _bar(len(xs), shown=progress) as bar:
            records = solve_here(runner, xs, report=bar.update)
        return _table(runner, xs, records)
    vectors = _agreed(comm, runner, xs, columns)
    with _bar(0 if vectors is None else len(vectors), shown=progress and comm.rank == 0) as bar:
        records = solve_together(comm, runner, vectors, report=bar.update)
    with ending_the_job():
        return comm.bcast(None if vectors is None else _table(runner, vectors, records))


def _agreed(comm: Any, runner: Any, xs: Any, columns: list[str]) -> np.ndarray | None:
    """The vectors on rank 0, `None` elsewhere, once all processes know that they can be run; else all raise alike."""
    vectors, refusal = None, None
    if comm.rank == 0:
        try:
            vectors = _vectors(xs, runner.param_names)
        except (TypeError, ValueError) as error:
            refusal = str(error)
    with ending_the_job():
        meet(comm)
        said = comm.allgather((columns, refusal))
    if said[0][1] is not None:
        raise ValueError(said[0][1])
    others = [rank for rank, (theirs, _) in enumerate(said) if theirs != said[0][0]]
    if others:
        raise ValueError(
            f"mpi_map: the runner of rank {others[0]} has {said[others[0]][0]}, that of rank 0 has {said[0][0]}; names"
            " and their order must agree (a set has another order in each process)"
        )
    return vectors


def _vectors(xs: Any, names: tuple[str, ...]) -> np.ndarray:
    vectors = np.asarray(xs, dtype=np.float64)
    if vectors.size == 0:
        vectors = vectors.reshape(0, len(names))
    if vectors.ndim != 2 or vectors.shape[1] != len(names):
        hint = "; for one draw, pass xs[None, :]" if vectors.shape == (len(names),) else ""
        raise ValueError(f"mpi_map: xs has shape {vectors.shape}, expected (draws, {len(names)}) for {', '.join(names)}{hint}")
    return vectors


def _table(runner: Any, xs: np.ndarray, records: list[Record]) -> "DataFrame":
    # Imported here, since a runner without a sweep needs no pandas.
    import pandas as pd

    columns: dict[str, Any] = {name: xs[:, position] for position, name in enumerate(runner.param_names)}
    for name in runner.metric_names:
        columns[name] = np.array([record.metrics.get(name, np.nan) for record in records], dtype=np.float64)
    columns["status"] = ["failed" if record.error else "ok" for record in records]
    columns["error"] = [record.error for record in records]
    columns["traceback"] = [record.traceback for record in records]
    columns["seconds"] = np.array([record.seconds for record in records], dtype=np.float64)
    return pd.DataFrame(columns)


def _bar(total: int, *, shown: bool) -> tqdm:
    return tqdm(total=total, desc="draws", unit="draw", disable=not shown)
