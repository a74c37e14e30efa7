"""A process that runs draws for the one that started it, until there are no more: `python -m dynx_runner.sweep.spawned FD`."""

import pickle
import signal
import sys
import traceback
import uuid
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from dynx_runner.store.result_store import ResultStore
from dynx_runner.sweep.batches import Batches
from dynx_runner.sweep.ending import part_of
from dynx_runner.sweep.local import Worker


class Orders(NamedTuple):
    """What a process is told before anything else.

    **Attributes:**

    - `number`: which one it is.
    - `config`: of JAX, by name.
    - `runner`: pickled, with its functions.
    - `programs`: those of its batches.
    - `store`: where its draws are kept.
    """

    number: int
    config: dict[str, Any]
    runner: bytes
    programs: dict[tuple[float, ...], bytes]
    store: ResultStore | None


class Trouble(NamedTuple):
    """What went wrong outside a draw: a line, and the whole traceback."""

    error: str
    traceback: str


def main(channel: Connection) -> None:
    """Obey; whoever gave the orders may die, which ends this process after the draw that it is at."""
    # Ctrl-C is meant for the process that started this one, which says what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        orders: Orders = channel.recv()
        try:
            _work(channel, orders)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        # Whatever it is, the other process is to raise it.
        except Exception as error:
            channel.send(Trouble(f"{type(error).__name__}: {error}", traceback.format_exc()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _work(channel: Connection, orders: Orders) -> None:
    if orders.config:
        import jax

        for name, value in orders.config.items():
            jax.config.update(name, value)
    runner = pickle.loads(orders.runner)
    # A process of its own lives and dies alone.
    with part_of(orders.store, uuid.uuid4().hex, rank=orders.number) as part:
        worker = Worker(runner, part, Batches(runner, orders.programs))
        channel.send([])
        while tasks := channel.recv():
            for rows in worker.steps(tasks):
                channel.send(rows)


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
