"""Draws that are one compiled program: traced in one process, compiled alike in each, and run without Python in between."""

import functools
import time
import weakref
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from dynx_runner.runner.record import Record
from dynx_runner.sweep.ledger import Task
from dynx_runner.sweep.traceable import ROOM, UntraceableError, moving, objection, program_of, structure_of

Structure = tuple[float, ...]


class Batches:
    """The programs of a runner, one for each structure of its model.

    **Attributes:** `programs`, in bytes, by structure: what other processes need of it.
    """

    def __init__(self, runner: Any, programs: Mapping[Structure, bytes]):
        self.programs = dict(programs)
        self._runner, self._loaded = runner, dict[Structure, Any]()
        self._moving = moving(runner) if self.programs else []

    def sorted(self, tasks: list[Task]) -> list[tuple[Structure | None, list[Task]]]:
        """Draws that can be run together, with their structure; and one by one, with `None`, those that have no program."""
        groups: dict[Any, list[Task]] = {}
        for task in tasks:
            found = _structure_of(self._runner, task.x) if self.programs else None
            groups.setdefault(found if found in self.programs else task.key, []).append(task)
        return [(None if isinstance(name, str) else name, group) for name, group in groups.items()]

    def begun(self, tasks: list[Task], done: Set[str]) -> list[Task]:
        """Of draws that somebody runs, and of which some are done, those that are in flight: a batch, or one.

        Whoever went wrong in a batch, which then is done in part, is run alone.
        """
        for structure, group in self.sorted(tasks):
            left = [task for task in group if task.key not in done]
            if left:
                return left if structure is not None and len(left) == len(group) else left[:1]
        return []

    def ready(self, structure: Structure) -> None:
        """Compile a program, or find it on disk."""
        if structure not in self._loaded:
            self._loaded[structure] = _loaded(self.programs[structure])
        self._loaded[structure].compile()

    def run(self, structure: Structure, tasks: list[Task]) -> list[Record | None]:
        """Run draws of one structure; what a runner that has a cache was asked before is not run again.

        **Returns:** a record each; `None` for one that went wrong, of which its program cannot say what.
        """
        self.ready(structure)
        start = time.perf_counter()
        how, memory = _configuration(), _memory.setdefault(self._runner, {}) if getattr(self._runner, "cache", False) else {}
        names = [(how, task.x.tobytes()) for task in tasks]
        fresh = [k for k, name in enumerate(names) if name not in memory]
        if fresh:
            memory |= self._solved(structure, {names[k]: tasks[k].x for k in fresh})
        seconds = (time.perf_counter() - start) / len(tasks)
        return [Record(dict(memory[name]), seconds=seconds) if name in memory else None for name in names]

    def _solved(self, structure: Structure, xs: Mapping[Any, np.ndarray]) -> dict[Any, dict[str, Any]]:
        """The metrics of vectors, but for those of which a verb would have raised."""
        rows = np.zeros((ROOM, len(self._moving)))
        rows[: len(xs)] = np.array(list(xs.values()))[:, self._moving]
        found, wrong = self._loaded[structure](rows.astype(_floating()), np.int32(len(xs)))
        columns, bad = {name: np.asarray(column) for name, column in found.items()}, np.asarray(wrong)
        measured = lambda k: {name: _own(column[k]) for name, column in columns.items()}
        return {name: measured(k) for k, name in enumerate(xs) if not bad[k]}


_memory: weakref.WeakKeyDictionary[Any, dict[Any, dict[str, Any]]] = weakref.WeakKeyDictionary()
_known: weakref.WeakKeyDictionary[Any, dict[Any, dict[Structure, Any]]] = weakref.WeakKeyDictionary()


def batches_of(runner: Any, tasks: Iterable[Task]) -> Batches:
    """The programs that some draws of a runner need; none where they are run one by one.

    Raises `ValueError` where the runner says `batches=True` and cannot be traced.
    """
    insists, reason = bool(getattr(runner, "batches", None)), objection(runner)
    known = {} if reason else _known.setdefault(runner, {}).setdefault(_configuration(), {})
    needed = dict.fromkeys(_structure_of(runner, task.x) for task in tasks) if not reason else {}
    for structure in (one for one in needed if one is not None):
        if structure not in known:
            try:
                known[structure] = program_of(runner, structure)
            except UntraceableError as error:
                known[structure] = error
        if isinstance(known[structure], UntraceableError):
            reason = str(known[structure])
    if insists and reason:
        raise ValueError(f"mpi_map: the draws cannot be run in batches: {reason}")
    return Batches(runner, {structure: program for structure, program in known.items() if isinstance(program, bytes)})


@functools.lru_cache(maxsize=64)
def _loaded(program: bytes) -> Any:
    """A program, which one sweep after another shares."""
    import stagecraft

    return stagecraft.load_function(program, "sweep")


def _structure_of(runner: Any, x: np.ndarray) -> Structure | None:
    """Which program a draw needs; `None` where it is no vector of this runner, which its own record will say."""
    try:
        return structure_of(runner, x)
    except ValueError:
        return None


def _configuration() -> tuple[Any, ...]:
    """What else decides a program."""
    import jax

    told = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_default_prng_impl")
    return jax.default_backend(), *(getattr(jax.config, name) for name in told)


def _floating() -> Any:
    import jax

    return jax.numpy.result_type(float)


def _own(value: Any) -> Any:
    """A float, or an array of its own."""
    return np.array(value) if np.ndim(value) else float(value)
