"""Draws, one after the other, in this process."""

import time
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np

from dynx_runner.runner.record import FAILED, Record
from dynx_runner.runner.recorder import Recorder
from dynx_runner.store.part import Part
from dynx_runner.store.table import OUTCOMES
from dynx_runner.sweep.batches import Batches, Structure
from dynx_runner.sweep.ledger import Ledger, Task


class Worker:
    """What a process needs to run draws: its own runner, which never travels, its part of the store, and programs."""

    def __init__(self, runner: Any, part: Part | None = None, batches: Batches | None = None):
        self._runner, self._part, self._batches = runner, part, batches or Batches(runner, {})

    def run(self, tasks: list[Task]) -> list[tuple[Task, Record]]:
        """Run draws, each of which is in the store before the next one, or the next batch, begins.

        Raises nothing but what ends a process: `KeyboardInterrupt`, `SystemExit`; and `StoreError`.
        """
        return [row for rows in self.steps(tasks) for row in rows]

    def steps(self, tasks: list[Task]) -> Iterator[list[tuple[Task, Record]]]:
        """The same, as soon as each draw or batch is done."""
        for structure, group in self._batches.sorted(tasks):
            if structure is None:
                yield from ([(task, self._one(task))] for task in group)
            else:
                self._batches.ready(structure)  # The compiler's seconds are no draw's.
                yield from self._together(structure, group)

    def _together(self, structure: Structure, tasks: list[Task]) -> Iterator[list[tuple[Task, Record]]]:
        """A batch; whoever went wrong in it is run once more, in Python, which knows what to say."""
        self._say_start(tasks)
        try:
            records = self._batches.run(structure, tasks)
        # As of a machine without the memory for it: then it is one draw's own, and the others have their turn.
        except RuntimeError:
            if len(tasks) > 1:
                for task in tasks:
                    yield from self._together(structure, [task])
                return
            records = [None]
        rows = [(task, record) for task, record in zip(tasks, records, strict=True) if record is not None]
        self._say_done(rows)
        yield rows
        yield from ([(task, self._one(task))] for task, record in zip(tasks, records, strict=True) if record is None)

    def _one(self, task: Task) -> Record:
        self._say_start([task])
        record = attempt(self._runner, task.x)
        self._say_done([(task, record)])
        return record

    def _say_start(self, tasks: list[Task]) -> None:
        if self._part is not None:
            self._part.start([task.key for task in tasks])

    def _say_done(self, rows: list[tuple[Task, Record]]) -> None:
        if self._part is not None and rows:
            self._part.done((task.i, task.key, task.x, record) for task, record in rows)


def attempt(runner: Any, x: np.ndarray) -> Record:
    """Run one draw; what it raises becomes part of the record.

    **Arguments:**

    - `runner`: has `run(x) -> {metric: number or array}`.
    - `x`: a parameter vector.

    **Returns:** a record. Raises nothing but what ends a process: `KeyboardInterrupt`, `SystemExit`.
    """
    start, recorder = time.perf_counter(), None
    if getattr(runner, "records", False):
        recorder = Recorder((*runner.param_names, *runner.metric_names, *OUTCOMES))
    notes = {} if recorder is None else recorder.notes
    try:
        metrics = runner.run(x) if recorder is None else runner.run(x, recorder=recorder)
        return Record(metrics, seconds=time.perf_counter() - start, notes=notes)
    # Any error of the user's model, known to nobody here, is a result of the sweep.
    except Exception as failure:
        told = _one_line(failure), traceback.format_exc()
        return Record({}, *told, time.perf_counter() - start, notes, FAILED)


def solve_here(worker: Worker, ledger: Ledger) -> None:
    """Run all draws of a ledger in this process."""
    while tasks := ledger.take(1):
        for task, record in worker.run(tasks):
            ledger.put(task, record)


def _one_line(failure: Exception) -> str:
    message = str(failure).strip().splitlines()
    headline = f"{type(failure).__name__}: {message[0] if message else ''}"[:300]
    # The runner's own note says which of its functions failed, then the parameters, which have their columns.
    places = [note.partition(", at ")[0] for note in getattr(failure, "__notes__", ()) if note.startswith("in ")]
    return f"{headline} ({places[-1]})" if places else headline
