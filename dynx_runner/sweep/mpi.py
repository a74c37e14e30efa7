"""Draws, shared among the processes of `mpirun`: who is free takes the next one, rank 0 too."""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dynx_runner.launch import end_the_job, wait_until
from dynx_runner.sweep.local import Record, attempt

_TOGETHER = 0.1


class Ledger:
    """Rank 0's book of the draws: which is next, and what became of those before.

    **Attributes:** `records`, by the number of the draw.
    """

    def __init__(self, size: int, report: Callable[[], Any]):
        self.records: dict[int, Record] = {}
        self._next, self._size, self._seconds = 0, size, 0.0
        self._report = report
        self._lock = threading.Lock()

    def take(self, ranks: int | None = None) -> list[int]:
        """The next draw; or, for one of several ranks, as many as take a tenth of a second. None if there is none.

        Short draws travel together, since every message interrupts rank 0; but never more than a rank's half of its share
        of what is left, so that all end at one time.
        """
        with self._lock:
            count = 1
            if ranks is not None and self.records:
                mean, left = self._seconds / len(self.records), self._size - self._next
                count = max(1, min(int(_TOGETHER / max(mean, 1e-6)), left // (2 * ranks)))
            first, self._next = self._next, min(self._next + count, self._size)
            return list(range(first, self._next))

    def put(self, i: int, record: Record) -> None:
        """Enter what became of draw `i`."""
        with self._lock:
            self.records[i] = record
            self._seconds += record.seconds
            self._report()


def solve_together(comm: Any, runner: Any, xs: np.ndarray | None, *, report: Callable[[], Any]) -> list[Record]:
    """Run all draws of rank 0, on all processes.

    **Arguments:**

    - `comm`: the communicator of all processes.
    - `runner`: this process's own runner; it never travels, so that it may hold lambdas.
    - `xs`: on rank 0, parameter vectors of shape `(n, parameters)`; elsewhere `None`.
    - `report`: called on rank 0 after each draw.

    **Returns:** on rank 0, `n` records in the order of `xs`; elsewhere none. What is raised outside a draw,
    `KeyboardInterrupt` included, ends the whole job.
    """
    with ending_the_job(), own_channel(comm) as channel:
        if xs is None:
            records = _follow(channel, runner)
        else:
            records = _lead(channel, runner, xs, report)
        wait_until(channel.Ibarrier().Test)
    return records


@contextmanager
def ending_the_job() -> Iterator[None]:
    """What is raised inside ends the job, even where a caller would catch it: the other processes cannot know."""
    try:
        yield
    except BaseException:
        traceback.print_exc()
        end_the_job()
        raise


@contextmanager
def own_channel(comm: Any) -> Iterator[Any]:
    """A copy of the communicator, so that no message of the user's own is mistaken for one of the sweep."""
    channel = comm.Dup()
    yield channel
    channel.Free()


def _lead(comm: Any, runner: Any, xs: np.ndarray, report: Callable[[], Any]) -> list[Record]:
    """Answer the other ranks from a thread, and work meanwhile."""
    from mpi4py import MPI

    ledger = Ledger(len(xs), report)
    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
        # This MPI allows calls from the main thread only.
        _serve(comm, xs, ledger)
    else:
        # The draws stay on the main thread, where signals and JAX's settings are.
        server = threading.Thread(target=_serve, args=(comm, xs, ledger), name="dynx-server", daemon=True)
        server.start()
        while taken := ledger.take():
            for i in taken:
                ledger.put(i, attempt(runner, xs[i]))
        server.join()
    return [ledger.records[i] for i in range(len(xs))]


def _serve(comm: Any, xs: np.ndarray, ledger: Ledger) -> None:
    from mpi4py import MPI

    with ending_the_job():
        message, working = MPI.Status(), comm.size - 1
        while working:
            wait_until(lambda: comm.Iprobe(status=message))
            for i, record in comm.recv(source=message.source):
                ledger.put(i, record)
            taken = ledger.take(comm.size)
            comm.send([(i, xs[i]) for i in taken], dest=message.source)
            working -= not taken


def _follow(comm: Any, runner: Any) -> list[Record]:
    """Ask rank 0 for draws until there are none."""
    finished: list[tuple[int, Record]] = []
    while True:
        comm.send(finished, dest=0)
        wait_until(lambda: comm.Iprobe(source=0))
        tasks = comm.recv(source=0)
        if not tasks:
            return []
        finished = [(i, attempt(runner, x)) for i, x in tasks]
