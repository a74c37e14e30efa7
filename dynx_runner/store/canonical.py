"""What a function or a value is, as plain data: the same in every process, and different where results may differ."""

import functools
import hashlib
import types
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from dynx_runner.runner.circuit_factory import CircuitFactory
from dynx_runner.store.sources import effects_in, functions_in, name_of, names_in, of_library, source_of

_IDLE = {"__module__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__qualname__", "__firstlineno__"}


class Canon:
    """Walks through values, and remembers what it cannot tell apart by its contents.

    **Attributes:** `unknown`, the places of such values, as `metric LL: rng (Generator)`; `effects`, what functions do beside
    returning something, as far as it can be read, as `metric LL: prints`.
    """

    def __init__(self):
        self.unknown: list[str] = []
        self.effects: list[str] = []
        self._above: list[int] = []
        self._known: dict[int, tuple[Any, Any]] = {}

    def of(self, value: Any, place: str) -> Any:
        """A value as JSON.

        **Arguments:**

        - `value`: anything.
        - `place`: what to call it where it cannot be told by its contents.

        **Returns:** numbers, strings, lists and dictionaries; floats in hexadecimal, functions as their syntax has them.
        """
        if isinstance(value, bool | int | str | None):
            return value
        if isinstance(value, float):
            return value.hex()
        if id(value) in self._above:  # A function that calls itself.
            return {"again": len(self._above) - self._above.index(id(value))}
        if id(value) not in self._known:
            self._above.append(id(value))
            try:
                # The value is kept, so that no other one has its number.
                self._known[id(value)] = (value, self._deeper(value, place))
            finally:
                self._above.pop()
        return self._known[id(value)][1]

    def _deeper(self, value: Any, place: str) -> Any:
        if isinstance(value, bytes | complex | type(Ellipsis) | slice | range):
            return {"text": repr(value)}
        if isinstance(value, PurePath):
            return {"path": str(value)}
        if isinstance(value, Mapping):
            return {"mapping": [[self.of(key, place), self.of(one, f"{place}: {key}")] for key, one in value.items()]}
        if isinstance(value, list | tuple):
            return [self.of(one, f"{place}[{k}]") for k, one in enumerate(value)]
        if isinstance(value, set | frozenset):
            return {"set": sorted((self.of(one, place) for one in value), key=repr)}
        if isinstance(value, types.ModuleType):
            return {"module": value.__name__}
        if isinstance(getattr(value, "dtype", None), np.dtype) and hasattr(value, "shape"):
            return self._array(value, place)
        return self._callable(value, place)

    def _array(self, value: Any, place: str) -> Any:
        array = np.asarray(value)
        if array.dtype.hasobject:
            return self._unknown(value, place)
        if array.size == 1 and array.dtype.kind == "f":
            content = float(array.reshape(())).hex()
        else:
            content = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()
        return {"array": content, "dtype": array.dtype.str, "shape": list(array.shape)}

    def _callable(self, value: Any, place: str) -> Any:
        inner = getattr(value, "__wrapped__", None)
        if isinstance(value, type):
            return {"name": name_of(value)} if of_library(value) else self._class(value, place)
        if isinstance(value, types.FunctionType):
            return {"name": name_of(value)} if of_library(value) else self._function(value, place)
        if inner is not None:  # What `jit` and others wrap says all.
            return self.of(inner, place)
        if isinstance(value, functools.partial):
            return {"partial": self.of([value.func, value.args, value.keywords], place)}
        owner = getattr(value, "__self__", None)
        if callable(value) and owner is not None and not isinstance(owner, types.ModuleType | type):
            return {"method": self.of(getattr(value, "__func__", value.__name__), place), "of": self.of(owner, place)}
        if callable(value) and hasattr(value, "__name__") and of_library(type(value)):
            return {"name": name_of(value)}
        return self._instance(value, place)

    def _instance(self, value: Any, place: str) -> Any:
        if isinstance(value, CircuitFactory):
            # Where the file lies and what was read of it before is not what it says.
            return self.of(value.circuit, place)
        text = getattr(getattr(getattr(value, "source", None), "spec", None), "text", None)
        if text is not None and hasattr(value, "with_parameters"):
            # A circuit: its text says more, and shorter, than its structure.
            own = [value.horses, functions_in(value.source.spec)]
            return {"model": text, "values": self.of([value.parameters, value.settings, *own], place)}
        fields = getattr(value, "__dict__", None)
        # Objects of compiled libraries hide what they hold: two generators look alike.
        if fields is None or (not fields and of_library(type(value))):
            return self._unknown(value, place)
        return {"made by": self.of(type(value), place), "with": self.of(dict(sorted(fields.items())), place)}

    def _class(self, value: type, place: str) -> Any:
        told = {}
        for name, one in vars(value).items():
            # The inner function of a property, and of a class method.
            inner = getattr(one, "fget", None) or getattr(one, "__func__", one)
            if name not in _IDLE and not isinstance(one, types.GetSetDescriptorType | types.MemberDescriptorType):
                told[name] = self.of(inner, f"{place}: {name}")
        return {"class": value.__qualname__, "of": [self.of(base, place) for base in value.__bases__], "with": told}

    def _function(self, function: types.FunctionType, place: str) -> Any:
        text, written = source_of(function)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        looked: dict[str, Any] = {}
        for name in sorted({*cells, *names_in(function.__code__)}):
            try:
                looked[name] = cells[name].cell_contents if name in cells else function.__globals__[name]
            except (KeyError, ValueError):  # A builtin, or a name that is still to be defined.
                continue
        # What a function counts or remembers in a list of its caller is not what it computes.
        kept = {name for name, one in looked.items() if name not in written or not isinstance(one, list | dict | set)}
        used = {name: self.of(looked[name], f"{place}: {name}") for name in sorted(kept)}
        self.effects += [f"{place}: {effect}" for effect in effects_in(function.__code__, looked, written)]
        defaults = [one for one in (function.__defaults__, function.__kwdefaults__) if one]
        return {"function": text, "names": used} | ({"defaults": self.of(defaults, place)} if defaults else {})

    def _unknown(self, value: Any, place: str) -> Any:
        self.unknown.append(f"{place} ({type(value).__name__})")
        return {"unknown": type(value).__name__}
