"""How many programs each verb has compiled, heard from JAX; a long compilation says so."""

import collections
import contextlib
import functools
import sys
import threading
from collections.abc import Iterator

import jax

from stagecraft.arrays import traced
from stagecraft.programs.cache import begin, bound

_COMPILED, _LOADED = "/jax/core/compile/backend_compile_duration", "/jax/compilation_cache/cache_hits"
_LONG = 2.0  # Seconds.
_counts: collections.Counter[str] = collections.Counter()


class _Here(threading.local):
    """What this thread is at: the verb, the last verb traced into a user's own program, and whether the disk had one."""

    verb: str | None = None
    around: str | None = None
    loaded: bool = False


_here = _Here()


def compilations() -> dict[str, int]:
    """How many programs this process has compiled, by verb and model: `{"solve Buffer": 1}`.

    **Returns:** a new dictionary. A program that was loaded from the cache on disk is not among them, nor is what a user's
    own `jax.jit` compiles.
    """
    return dict(_counts)


@contextlib.contextmanager
def compiling(verb: str, circuit) -> Iterator[None]:
    """Around what a verb may compile: the cache is turned on, and programs are counted as its own."""
    _listen()
    begin()
    before, name, compiled = _here.verb, f"{verb} {_name(circuit)}", _counts.total()
    if traced(circuit):
        _here.around = name
    _here.verb = name
    try:
        yield
    finally:
        _here.verb = before
        if _counts.total() > compiled:
            bound()


def _name(circuit) -> str:
    """What the file calls a model, or the name of a stage alone."""
    spec = getattr(getattr(circuit, "source", None), "spec", None)
    return getattr(spec, "name", None) or getattr(circuit, "name", "circuit")


@functools.cache
def _listen() -> None:
    jax.monitoring.register_event_listener(_load)
    jax.monitoring.register_event_duration_secs_listener(_compile)


def _load(event: str, **kwargs: str | int) -> None:
    del kwargs
    _here.loaded = _here.loaded or event == _LOADED


def _compile(event: str, duration_secs: float, **kwargs: str | int) -> None:
    """JAX has a program, from its compiler or from the disk."""
    del kwargs
    if event != _COMPILED:
        return
    loaded, _here.loaded = _here.loaded, False
    if _here.verb is not None and not loaded:
        _counts[_here.verb] += 1
    name = _here.verb or (_here.around and f"what is around {_here.around}")
    if name and duration_secs > _LONG and not loaded:
        sys.stderr.write(f"stagecraft: compiled {name} in {duration_secs:.1f} s\n")
