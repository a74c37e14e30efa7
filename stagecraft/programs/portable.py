"""Functions of arrays as programs of a few bytes: written by whom they were traced by, and run by who has never seen them."""

import re
import struct
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
from jax import export as jax_export

from stagecraft.programs.counts import compiling

# XLA's own library of linear algebra and random numbers; anything else that a program calls may be a function of this process.
_CALLS = re.compile(r"custom_call @(lapack|cusolver|cublas|cu)_\w+\(")
_CALLS_BACK = "the program would call functions of this process, which no file can hold, as a callback or a print in `fn` does"
# LLVM's own path compiles in two thirds of the time, and what it compiles is as fast.
_OPTIONS: dict[str, str | bool] = {"xla_cpu_use_fusion_emitters": False}
# The threads of a process decide how a product of matrices is cut, and so its last digits.
_ALIKE: dict[str, str | bool] = {**_OPTIONS, "xla_cpu_multi_thread_eigen": False}
# What bytes that are no program make of JAX's reader, which checks little.
BROKEN = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError, struct.error)


def export_function(fn: Callable, *examples: Any, platforms: Sequence[str] | None = None) -> bytes:
    """The program of a function of arrays, which `load_function` reads where the function is not at hand.

    **Arguments:** `fn`: of arrays and pytrees of them, to such; `examples`: arguments, of which shapes and types count;
    `platforms`: that of this process, if not given.

    **Returns:** the program, as bytes to be written to a file or sent to a process.

    **Raises:** `ValueError` for a function that calls Python while it runs, and whatever tracing it raises.
    """
    compiled = jax.jit(fn)
    effects = compiled.trace(*examples).jaxpr.effects
    if effects:
        raise ValueError(f"{_CALLS_BACK} ({', '.join(map(str, effects))})")
    try:
        exported = jax_export.export(compiled, platforms=platforms)(*examples)
    except NotImplementedError as error:  # A callback without effects.
        raise ValueError(f"{_CALLS_BACK} ({error})") from None
    if foreign(exported):
        raise ValueError(_CALLS_BACK)
    return bytes(exported.serialize(vjp_order=0))


def load_function(program: bytes, name: str = "function") -> "ExportedFunction":
    """Read a program of `export_function`, without tracing; a first call compiles, or finds what was compiled on disk.

    Compiled alike in every process: its results do not depend on how many threads there are.

    **Arguments:** `program`: what `export_function` gave; `name`: what it is called where compilations are counted.

    **Returns:** a function of arguments shaped as the examples were.

    **Raises:** `ValueError` for what is no program, or calls anything but XLA's own operations.
    """
    try:
        read = jax_export.deserialize(bytearray(program))
        calls = foreign(read)
    except BROKEN as error:
        raise ValueError(f"this is no program of jax {jax.__version__} ({type(error).__name__}: {error})") from None
    if calls:
        raise ValueError("the program calls what is no part of XLA")
    return ExportedFunction(read, name)


class ExportedFunction:
    """A program that is called as the function that it was made from."""

    def __init__(self, program: jax_export.Exported, name: str):
        self._program, self._name, self._compiled = program, name, None

    def compile(self) -> None:
        """Compile it ahead of the first call."""
        if self._compiled is None:
            arguments, named = jax.tree.unflatten(self._program.in_tree, self._program.in_avals)
            with compiling("exported", SimpleNamespace(name=self._name)):
                self._compiled = compiled(self._program, *arguments, options=_ALIKE, **named)

    def __call__(self, *arguments: Any) -> Any:
        self.compile()
        assert self._compiled is not None
        return self._compiled(*arguments)


def compiled(program: jax_export.Exported, *examples: Any, options=_OPTIONS, **named: Any) -> Any:
    """The machine code of a program."""
    lowered = jax.jit(program.call).lower(*examples, **named)
    return lowered.compile(options if jax.default_backend() == "cpu" else None)


def foreign(program: jax_export.Exported) -> bool:
    """Whether a program calls what is none of XLA's own."""
    text = program.mlir_module()
    return text.count("custom_call") != len(_CALLS.findall(text))
