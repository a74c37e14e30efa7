"""How a process leaves a sweep: what it was at is written down, unless it crashed."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from dynx_runner.store.part import Part
from dynx_runner.store.result_store import ResultStore


@contextlib.contextmanager
def part_of(store: ResultStore | None, job: str, **told: Any) -> Iterator[Part | None]:
    """A part of the store for this process, closed whatever happens; `None` without a store.

    A draw that ends the process by `sys.exit` is to blame for it, as one that is killed; an interruption and a signal to
    terminate are nobody's fault.
    """
    if store is None:
        yield None
        return
    part = store.part(job, **told)
    with _when_terminated(part.close):
        try:
            yield part
        except SystemExit:
            part.close(crashed=True)
            raise
        finally:
            part.close()


@contextlib.contextmanager
def _when_terminated(act: Callable[[], None]) -> Iterator[None]:
    """Inside, `SIGTERM` lets this process act before it ends, even in the middle of a long draw.

    Python's own handlers wait for the end of the compiled program that is running, which launchers do not.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield  # Somebody else has plans.
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _do_nothing)
    threading.Thread(target=_watch, args=(reader, act), name="dynx-sigterm", daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(before)
        os.close(writer)  # The thread reads the end, and ends.


def _do_nothing(number: int, frame: Any) -> None:
    del number, frame  # The thread that watches the pipe acts.


def _watch(reader: int, act: Callable[[], None]) -> None:
    while number := os.read(reader, 1):
        if number[0] == signal.SIGTERM:
            try:
                act()
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(128 + signal.SIGTERM)
    os.close(reader)
