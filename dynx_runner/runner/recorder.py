"""What factories, solvers and metrics say of a draw beside its metrics: counts, and seconds by phase."""

import contextlib
import functools
import inspect
import sys
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

_COMPILED = "/jax/core/compile/backend_compile_duration"


class Recorder:
    """Passed as `recorder` to every factory, solver and metric that has an argument of that name.

    What it is told becomes columns of the sweep's table.

    **Attributes:** `notes`, `{name: number}`.
    """

    def __init__(self, taken: Collection[str] = ()):
        """Begin with nothing.

        **Arguments:** `taken`: names that are columns already, which are refused.
        """
        self.notes: dict[str, float] = {}
        self._taken = frozenset(taken)

    def note(self, name: str, value: Any) -> None:
        """Write down a number, `value`, under `name`; `ValueError` for one that is a column already."""
        if name in self._taken:
            raise ValueError(f"recorder: there is a column `{name}` already; take another name")
        self.notes[name] = float(value)

    def count(self, name: str, by: float = 1) -> None:
        """Add `by` to the number under `name`, which begins at zero."""
        self.note(name, self.notes.get(name, 0.0) + float(by))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the seconds of what is done inside to `seconds NAME`, `name` being the NAME, and those of JAX's compiler to
        `seconds compiling`.
        """
        start, compiled = time.perf_counter(), _heard()
        try:
            yield
        finally:
            compiling = _heard() - compiled
            self.count(f"seconds {name}", time.perf_counter() - start - compiling)
            self.count("seconds compiling", compiling)


def takes_recorder(function: Callable) -> bool:
    """Whether a function has an argument `recorder`."""
    try:
        return "recorder" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # Some compiled functions do not say.
        return False


def call(function: Callable, *arguments: Any, phase: str, recorder: Recorder | None) -> Any:
    """Call a function, with the recorder if it takes one; its seconds are those of a phase."""
    more = {"recorder": recorder} if takes_recorder(function) else {}
    with contextlib.nullcontext() if recorder is None else recorder.phase(phase):
        return function(*arguments, **more)


_seconds = [0.0]


def _heard() -> float:
    """The seconds that JAX's compiler has taken since the first call."""
    if "jax" in sys.modules:
        _listen()
    return _seconds[0]


@functools.cache
def _listen() -> None:
    sys.modules["jax"].monitoring.register_event_duration_secs_listener(_compile)


def _compile(event: str, duration_secs: float, **kwargs: str | int) -> None:
    del kwargs
    if event == _COMPILED:
        _seconds[0] += duration_secs
