"""A sweep: the metrics of many draws, as one table."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dynx_runner.launch import cores, meet, world
from dynx_runner.runner.record import Record
from dynx_runner.store.lines import StoreError
from dynx_runner.store.part import Part
from dynx_runner.store.result_store import Missing, ResultStore
from dynx_runner.store.table import OUTCOMES, frame_of
from dynx_runner.sweep.batches import Batches, batches_of
from dynx_runner.sweep.ending import part_of
from dynx_runner.sweep.ledger import Ledger, Task
from dynx_runner.sweep.local import Worker, solve_here
from dynx_runner.sweep.mpi import ending_the_job, own_channel, solve_together
from dynx_runner.sweep.progress import progress_of

if TYPE_CHECKING:
    from pandas import DataFrame

BACKENDS = ("auto", "serial", "processes", "mpi")


class _Plan(NamedTuple):
    """What rank 0 knows of a sweep: the vectors, and what is to be done of them."""

    xs: np.ndarray
    missing: Missing
    share: tuple[int, int]
    programs: dict[tuple[float, ...], bytes] = {}

    def tasks(self) -> list[Task]:
        """Those draws of this share that are not known, each of them once."""
        keys, (part, parts) = self.missing.keys, self.share
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self.missing.known}
        mine = sorted((i, key) for key, i in first.items() if i % parts == part)
        return [Task(i, key, self.xs[i]) for i, key in mine]


def mpi_map(
    runner: Any,
    xs: np.ndarray,
    *,
    store: ResultStore | None = None,
    share: tuple[int, int] | None = None,
    retry_quarantined: bool | None = None,
    progress: bool | None = None,
    backend: str = "auto",
    workers: int | None = None,
) -> "DataFrame":
    """Run every draw: in this process, in processes that it starts, or on all of `mpirun -n N python script.py`.

    Under `mpirun` every process must call it, in the same order; whoever is free takes the next draw. Results do not
    depend on the number of processes. An exception outside a draw ends all processes. Where everything between a vector and
    its metrics can be traced by JAX, draws run in batches, as one compiled program.

    **Arguments:**

    - `runner`: a `CircuitRunner`, built on every process by the same script.
    - `xs`: parameter vectors, of shape `(n, parameters)`. Those of rank 0 count; the others' are not read.
    - `store`: where every draw is kept as soon as it is done. What is in it is not run again, so the same call resumes a sweep
      that was cut off. A draw that was running alone when its process died, twice, is left out: its status is `quarantined`.
    - `share`: `(k, n)` leaves all draws but every `n`-th from the `k`-th on to other jobs with the same store; the table then
      has those rows that are known.
    - `retry_quarantined`: whether such draws are run again; that of the store if not given.
    - `progress`: whether rank 0 shows a progress bar, or a line each half minute where there is no terminal; if left out, a bar
      comes after two seconds, in a terminal.
    - `backend`: `"processes"` starts some and gives each its own cores; one that dies costs the draw that it was at, no more.
      `"auto"` is whatever started this process, `"serial"` and `"mpi"` refuse the other.
    - `workers`: how many processes are started; as many as there are cores, if not given.

    **Returns:** the same DataFrame on every process, one row a draw in the order of `xs`: the parameters, the metrics,
    `status` (`"ok"`, `"failed"` where an exception was raised in the draw, or `"quarantined"`), `error` (one line),
    `traceback`, and `seconds`. Raises `ValueError` for `xs` of another shape, `RuntimeError` for a mismatched `mpirun`,
    `StoreError` for a store that belongs to another runner, was altered, or cannot be written.
    """
    if store is not None and not isinstance(store, ResultStore):
        raise TypeError(f"mpi_map: store must be a ResultStore, found {store!r:.60}; write store=ResultStore(folder)")
    columns = [*runner.param_names, *runner.metric_names, *OUTCOMES]
    repeated = {name for name in columns if columns.count(name) > 1}
    if repeated:
        raise ValueError(f"mpi_map: two columns are called {', '.join(sorted(repeated))}; rename a metric")
    if workers is not None and (backend != "processes" or isinstance(workers, bool) or workers < 1):
        raise ValueError(f'mpi_map: workers = {workers!r:.40}; it is how many processes backend="processes" starts')
    comm = world_for(backend)
    if comm is None:
        count = 1 if backend != "processes" else workers or cores()
        plan = _plan(runner, xs, store, share, retry_quarantined, count)
        batches = Batches(runner, plan.programs)
        with _ledger(plan, progress) as ledger, part_of(store, uuid.uuid4().hex, draws=len(plan.xs)) as part:
            _condemn(plan, part)
            if backend == "processes":
                # Python's own module for channels changes what happens at exit.
                from dynx_runner.sweep.processes import solve_in_processes

                count = min(count, len(plan.tasks()))
                solve_in_processes(runner, ledger, batches, workers=count, store=store, part=part)
            else:
                solve_here(Worker(runner, part, batches), ledger)
        return _table(runner, plan, ledger.records)
    job, programs, plan = _agreed(comm, runner, xs, columns, store, share, retry_quarantined)
    book = nullcontext() if plan is None else _ledger(plan, progress)
    with ending_the_job(), own_channel(comm) as channel, book as ledger:
        told = {} if plan is None else {"draws": len(plan.xs)}
        with part_of(store, job, rank=comm.rank, **told) as part:
            _condemn(plan, part)
            solve_together(channel, Worker(runner, part, Batches(runner, programs)), ledger)
        return comm.bcast(None if plan is None or ledger is None else _table(runner, plan, ledger.records))


def world_for(backend: str, where: str = "mpi_map") -> Any:
    """The communicator that a backend asks for; `None` for one process, and for those that it starts.

    Raises `ValueError` for another backend, `RuntimeError` for one that is not what started this process.
    """
    if backend not in BACKENDS:
        raise ValueError(f"{where}: no backend `{backend}`; there are {', '.join(BACKENDS)}")
    comm = world()
    if backend != "auto" and (comm is None) == (backend == "mpi"):
        started = "one process" if comm is None else "several processes"
        raise RuntimeError(f"{where}: the backend is `{backend}`, but the sweep was started in {started}")
    return comm


def _plan(runner: Any, xs: Any, store: ResultStore | None, share: Any, retry: bool | None, size: int) -> _Plan:
    """Check the vectors, and ask the store what is missing."""
    vectors, part = _vectors(xs, runner.param_names), _share(share, store)
    if store is None:
        # Without a store two equal vectors are two draws: their metrics may be random.
        nobody, keys = frozenset[str](), [str(i) for i in range(len(vectors))]
        missing = Missing(keys, {}, nobody, nobody, nobody, {})
    else:
        missing = store.prepare(runner, vectors, retry_quarantined=retry, size=size)
    plan = _Plan(vectors, missing, part)
    batches = batches_of(runner, plan.tasks())
    for structure in batches.programs if size > 1 else ():
        batches.ready(structure)  # The others find it on disk, where it is kept.
    return plan._replace(programs=batches.programs)


def _share(share: Any, store: ResultStore | None) -> tuple[int, int]:
    if share is None:
        return 0, 1
    if store is None:
        raise ValueError("mpi_map: a share of a sweep needs a store, where the shares meet")
    part, parts = share
    if not 0 <= part < parts:
        raise ValueError(f"mpi_map: share = {share}; expected (k, n) with 0 <= k < n")
    return int(part), int(parts)


def _agreed(
    comm: Any, runner: Any, xs: Any, columns: list[str], store: Any, share: Any, retry: Any
) -> tuple[str, dict[tuple[float, ...], bytes], _Plan | None]:
    """The name of the job, the programs of its batches, and on rank 0 the plan, once all know that it can be run.

    Else all raise alike.
    """
    plan, refusal = None, None
    if comm.rank == 0:
        try:
            plan = _plan(runner, xs, store, share, retry, comm.size)
        except (TypeError, ValueError, StoreError) as error:
            refusal = (StoreError if isinstance(error, StoreError) else ValueError, str(error))
    where = None if store is None else str(store.folder)
    with ending_the_job():
        meet(comm)
        told = comm.allgather((columns, where, refusal, uuid.uuid4().hex, {} if plan is None else plan.programs))
    if told[0][2] is not None:
        kind, message = told[0][2]
        raise kind(message)
    for rank, (theirs, folder, *_) in enumerate(told):
        if theirs != told[0][0]:
            raise ValueError(
                f"mpi_map: the runner of rank {rank} has {theirs}, that of rank 0 has {told[0][0]}; names and their order must"
                " agree (a set has another order in each process)"
            )
        if folder != told[0][1]:
            raise ValueError(f"mpi_map: the store of rank {rank} is {folder}, that of rank 0 is {told[0][1]}; they must agree")
    return told[0][3], told[0][4], plan


@contextmanager
def _ledger(plan: _Plan, shown: bool | None) -> Iterator[Ledger]:
    """The book of what is missing, with its progress bar."""
    tasks, missing = plan.tasks(), plan.missing
    known = len(plan.xs) - len(tasks) if plan.share == (0, 1) else 0
    with progress_of(known + len(tasks), known, shown=shown) as report:
        yield Ledger(tasks, report, suspects=missing.suspects, quiet=missing.quiet, strikes=missing.strikes)


def _condemn(plan: _Plan | None, part: Part | None) -> None:
    """Write down which draws are quarantined, so that the store has a row for each."""
    if plan is not None and part is not None and plan.missing.condemned:
        keys, known = plan.missing.keys, plan.missing.known
        rows = {key: (keys.index(key), key, plan.xs[keys.index(key)], known[key]) for key in plan.missing.condemned}
        part.done(rows.values())


def _vectors(xs: Any, names: tuple[str, ...]) -> np.ndarray:
    vectors = np.asarray(xs, dtype=np.float64)
    if vectors.size == 0:
        vectors = vectors.reshape(0, len(names))
    if vectors.ndim != 2 or vectors.shape[1] != len(names):
        hint = "; for one draw, pass xs[None, :]" if vectors.shape == (len(names),) else ""
        raise ValueError(f"mpi_map: xs has shape {vectors.shape}, expected (draws, {len(names)}) for {', '.join(names)}{hint}")
    return vectors


def _table(runner: Any, plan: _Plan, new: dict[str, Record]) -> "DataFrame":
    found = plan.missing.known | new
    rows = [i for i, key in enumerate(plan.missing.keys) if key in found]
    records = [found[plan.missing.keys[i]] for i in rows]
    table = frame_of(runner.param_names, runner.metric_names, plan.xs[rows], records, getattr(runner, "choices", {}))
    if units := getattr(runner, "units", {}):
        table.attrs["units"] = units  # For whoever draws it.
    return table
