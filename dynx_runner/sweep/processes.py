"""Draws, shared among processes that this one starts: one that dies takes one draw along, and another takes its place."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from dynx_runner.launch import device_for
from dynx_runner.runner.record import quarantined
from dynx_runner.store.part import Part
from dynx_runner.store.result_store import ResultStore
from dynx_runner.sweep.batches import Batches
from dynx_runner.sweep.ledger import Ledger, Task
from dynx_runner.sweep.spawned import Orders, Trouble

# So often in a row a process may end before it has begun.
_STILLBORN = 3
# What of JAX's configuration decides results, and where compiled programs are.
_CONFIG = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_default_prng_impl",
           "jax_threefry_partitionable", "jax_platforms", "jax_enable_compilation_cache", "jax_compilation_cache_dir",
           "jax_persistent_cache_min_compile_time_secs")  # fmt: skip


def solve_in_processes(
    runner: Any, ledger: Ledger, batches: Batches, *, workers: int, store: ResultStore | None, part: Part | None
) -> None:
    """Run all draws of a ledger in processes of their own, which end with it.

    **Arguments:**

    - `runner`: is pickled, with lambdas and what they close over.
    - `batches`: its programs, which the processes compile and do not trace.
    - `workers`: how many processes.
    - `store`: where each of them writes a part of its own; `part`: that of this process, which says who is quarantined.

    Raises `RuntimeError` where a process cannot begin, or for what went wrong in one outside a draw.
    """
    pickled, config = _pickled(runner), _jax_config()
    crew = _Crew(lambda k: Orders(k, config, pickled, batches.programs, store), workers)
    try:
        while busy := crew.employ(ledger):
            for channel in wait([member.channel for member in busy]):
                if not _hear(crew.by(channel), ledger):
                    _mourn(crew.by(channel), ledger, batches, store, part)
                    crew.bury(crew.by(channel))
    finally:
        crew.dismiss()


class _Member:
    """A process, and what it is at; `None` until it has begun."""

    def __init__(self, number: int, orders: Orders, share: tuple[int, ...]):
        self.number = number
        self.channel, theirs = Pipe()
        command = [sys.executable, "-m", "dynx_runner.sweep.spawned", str(theirs.fileno())]
        # A session of its own, so that a terminal's Ctrl-C comes to this process alone.
        more: dict[str, Any] = {"stdin": subprocess.DEVNULL, "start_new_session": True, "pass_fds": (theirs.fileno(),)}
        with _on(share):
            self.process = subprocess.Popen(command, env=_environment(number, share), **more)
        theirs.close()
        self.tasks: list[Task] | None = None
        _send(self, orders)


class _Crew:
    """The processes, by number."""

    def __init__(self, orders: Any, workers: int):
        self._orders, self._workers = orders, workers
        self._members: dict[int, _Member] = {}
        self._stillborn = 0

    def employ(self, ledger: Ledger) -> list[_Member]:
        """Give draws to whoever is free; who is at work, or about to begin."""
        for number in range(self._workers):
            member = self._members.get(number)
            if member is None and ledger.waiting:
                self._members[number] = _Member(number, self._orders(number), _share(number, self._workers))
            elif member is not None and member.tasks == []:
                member.tasks = ledger.take(self._workers) or []
                if member.tasks:
                    _send(member, member.tasks)
        busy = [member for member in self._members.values() if member.tasks != []]
        # Nobody waits for those who are about to begin, once all is done.
        return busy if ledger.waiting or any(member.tasks for member in busy) else []

    def by(self, channel: Any) -> _Member:
        return next(member for member in self._members.values() if member.channel is channel)

    def bury(self, member: _Member) -> None:
        """Let another one take the place of a process that ended."""
        member.channel.close()
        code = member.process.wait()
        del self._members[member.number]
        self._stillborn = self._stillborn + 1 if member.tasks is None else 0
        if self._stillborn >= _STILLBORN:
            raise RuntimeError(
                f"{_STILLBORN} processes in a row ended before their first draw, the last one with exit code {code}; what it "
                "wrote on stderr may say why"
            )

    def dismiss(self) -> None:
        """End all of them, in the middle of draws if need be; what they were at is nobody's fault."""
        for member in self._members.values():
            member.channel.close()
            if member.tasks != []:
                member.process.terminate()
        for member in self._members.values():
            try:
                member.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()


def _hear(member: _Member, ledger: Ledger) -> bool:
    """Take what a process has to say: it has begun, or is done with some draws; whether it lives."""
    try:
        told = member.channel.recv()
    except (EOFError, OSError):
        return False
    if isinstance(told, Trouble):
        sys.stderr.write(told.traceback)
        raise RuntimeError(f"a process of the sweep ended outside a draw: {told.error}")
    for task, record in told:
        ledger.put(task, record)
    if member.tasks is None or all(task.key in ledger.records for task in member.tasks):
        member.tasks = []
    return True


def _mourn(member: _Member, ledger: Ledger, batches: Batches, store: ResultStore | None, part: Part | None) -> None:
    """Line up what a dead process had in flight, except for who is to blame for the second time."""
    tasks = member.tasks or []
    left = {task.key: task for task in tasks if task.key not in ledger.records}
    # It may have written down what it could not say any more.
    for key, record in (store.records(left) if store is not None and left else {}).items():
        ledger.put(left[key], record)
    flying = batches.begun(tasks, ledger.records.keys())
    others = [task for task in tasks if task.key not in ledger.records and task.key not in {one.key for one in flying}]
    for task, strikes in ledger.lost(flying, others):
        record = quarantined(strikes)
        if part is not None:
            part.done([(task.i, task.key, task.x, record)])
        ledger.put(task, record)


def _send(member: _Member, told: Any) -> None:
    """Tell a process something; of one that died since, the end of its channel is heard next."""
    with contextlib.suppress(OSError):
        member.channel.send(told)


def _pickled(runner: Any) -> bytes:
    try:
        import cloudpickle  # pyright: ignore[reportMissingImports] - only who starts processes needs it.
    except ImportError as error:
        raise RuntimeError('backend="processes" needs cloudpickle: pip install "dynx[processes]"') from error
    try:
        return cloudpickle.dumps(runner)
    except Exception as error:  # Of whatever the user's functions close over.
        raise RuntimeError(f"the runner cannot be sent to another process: {type(error).__name__}: {error}") from error


def _jax_config() -> dict[str, Any]:
    """What was set in this process."""
    if "jax" not in sys.modules:
        return {}
    config = sys.modules["jax"].config
    return {name: getattr(config, name) for name in _CONFIG}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _share(number: int, workers: int) -> tuple[int, ...]:
    """The cores of one process; none in particular where there are fewer than processes."""
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(own) < workers:
        return ()
    return tuple(own[number * len(own) // workers : (number + 1) * len(own) // workers])


@contextlib.contextmanager
def _on(share: tuple[int, ...]) -> Iterator[None]:
    """What is started inside runs on these cores from its first thread on."""
    if not share:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, share)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment(number: int, share: tuple[int, ...]) -> dict[str, str]:
    """That of this process, with its modules, and so many threads as a process has cores; one device for each."""
    threads = str(max(1, len(share)))
    told = {**os.environ, "NPROC": threads, "PYTHONPATH": os.pathsep.join(place or os.getcwd() for place in sys.path)}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        told.setdefault(name, threads)
    device = device_for(number)
    return device | told | {name: value for name, value in device.items() if name == "CUDA_VISIBLE_DEVICES"}
