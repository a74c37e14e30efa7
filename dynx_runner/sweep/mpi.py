"""Draws, shared among the processes of `mpirun`: who is free takes the next one, rank 0 too."""

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dynx_runner.launch import end_the_job, wait_until
from dynx_runner.runner.record import Record
from dynx_runner.sweep.ledger import Ledger, Task
from dynx_runner.sweep.local import Worker

# How long one waits before asking again where another draw has to end first.
_PAUSE = 0.005


def solve_together(channel: Any, worker: Worker, ledger: Ledger | None) -> None:
    """Run all draws of rank 0's ledger, on all processes.

    **Arguments:**

    - `channel`: a communicator of all processes, for nothing else.
    - `worker`: this process's own.
    - `ledger`: on rank 0, the draws and what becomes of them; elsewhere `None`.

    What is raised outside a draw, `KeyboardInterrupt` included, has to end the whole job: see `ending_the_job`.
    """
    if ledger is None:
        _follow(channel, worker)
    else:
        _lead(channel, worker, ledger)
    wait_until(channel.Ibarrier().Test)


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


def _lead(comm: Any, worker: Worker, ledger: Ledger) -> None:
    """Answer the other ranks from a thread, and work meanwhile."""
    from mpi4py import MPI

    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
        # This MPI allows calls from the main thread only.
        _serve(comm, ledger)
        return
    # The draws stay on the main thread, where signals and JAX's settings are.
    server = threading.Thread(target=_serve, args=(comm, ledger), name="dynx-server", daemon=True)
    server.start()
    while (tasks := ledger.take(comm.size)) != []:
        if tasks is None:
            time.sleep(_PAUSE)
            continue
        for task, record in worker.run(tasks):
            ledger.put(task, record)
    server.join()


def _serve(comm: Any, ledger: Ledger) -> None:
    from mpi4py import MPI

    with ending_the_job():
        message, working, waiting = MPI.Status(), comm.size - 1, list[int]()
        while working:
            if not waiting:
                wait_until(lambda: comm.Iprobe(status=message))
            elif not comm.Iprobe(status=message):
                time.sleep(_PAUSE)
                working -= _answer(comm, ledger, waiting)
                continue
            for task, record in comm.recv(source=message.source):
                ledger.put(task, record)
            waiting.append(message.source)
            working -= _answer(comm, ledger, waiting)


def _answer(comm: Any, ledger: Ledger, waiting: list[int]) -> int:
    """Send draws to whoever waits and can have some; how many of them have none left to do."""
    ended = 0
    for source in tuple(waiting):
        tasks = ledger.take(comm.size)
        if tasks is None:
            break
        comm.send(tasks, dest=source)
        waiting.remove(source)
        ended += not tasks
    return ended


def _follow(comm: Any, worker: Worker) -> None:
    """Ask rank 0 for draws until there are none."""
    finished: list[tuple[Task, Record]] = []
    while True:
        comm.send(finished, dest=0)
        wait_until(lambda: comm.Iprobe(source=0))
        tasks = comm.recv(source=0)
        if not tasks:
            return
        finished = worker.run(tasks)
