"""What a user adds to the language: methods, shocks, grids and functions, looked at when they are handed over."""

import inspect
import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_NONE: Mapping = MappingProxyType({})


@dataclass(frozen=True)
class Parts:
    """A user's own parts, by the names under which a model file calls them; ours are not among them.

    **Attributes:** `horses`: records of methods; `shocks`, `grids`: classes; `functions`: elementwise JAX functions.
    """

    horses: Mapping[str, type] = field(default_factory=lambda: _NONE)
    shocks: Mapping[str, type] = field(default_factory=lambda: _NONE)
    grids: Mapping[str, type] = field(default_factory=lambda: _NONE)
    functions: Mapping[str, Callable] = field(default_factory=lambda: _NONE)


def added(
    kind: str, given: Mapping[str, type] | None, ours: Mapping[str, type], base: type, frozen: bool = True
) -> dict[str, type]:
    """The entries of a table that are not ours, each with all that its interface asks for.

    **Arguments:** `kind`: `"shocks"`, as the table is called; `given`: what a user handed over, our own entries among it
    perhaps; `ours`: our table; `base`: the interface, a class whose `interface` says for every method that is needed how it
    is called and what it returns; `frozen`: whether it must be a frozen dataclass.

    **Returns:** the entries of `given` that are not in `ours`, by name.

    **Raises:** `TypeError` naming the entry, what is missing and what it should return; `ValueError` for a name that cannot
    be written in a model file.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"`{kind}` is a dictionary of classes by name, {{'mine': Mine}}, found {given!r}")
    found = {}
    for name, part in given.items():
        if ours.get(name) is part:
            continue
        if name in ours:
            raise ValueError(f"{kind}: `{name}` is one of ours; give yours a name of its own")
        check_name(kind, name)
        check_class(f"{kind}: `{name}`", part, base, frozen)
        found[str(name)] = part
    return found


def check_name(kind: str, name: Any) -> None:
    """A `ValueError` for a name that no model file can spell."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise ValueError(f"{kind}: {name!r} is no name that a model file can say; use a lower-case word, `my_law`")


def check_class(what: str, part: Any, base: type, frozen: bool = True) -> None:
    """A `TypeError` that says which method of an interface a class lacks, and what it should return."""
    if not isinstance(part, type):
        raise TypeError(f"{what} is {part!r}; hand over the class itself, a subclass of {base.__name__}")
    missing = [name for name in base.interface if _lacks(part, name)]
    if missing:
        wanted = "; ".join(base.interface[name] for name in missing)
        raise TypeError(f"{what} ({part.__name__}) has no {', '.join(f'`{name}`' for name in missing)}: {wanted}")
    if not issubclass(part, base):
        raise TypeError(f"{what} ({part.__name__}) is no subclass of {base.__name__}, which says how it is called")
    if frozen and not getattr(getattr(part, "__dataclass_params__", None), "frozen", False):
        why = "two loads of one model are compared by value"
        raise TypeError(f"{what} ({part.__name__}) is no frozen dataclass; write @dataclass(frozen=True) above it, since {why}")


def _lacks(part: type, name: str) -> bool:
    found = getattr(part, name, None)
    return found is None or getattr(found, "__isabstractmethod__", False)


def check_functions(functions: Mapping[str, Callable] | None, taken: Mapping) -> dict[str, Callable]:
    """The functions, each with arguments that can be told by name.

    **Arguments:** `taken`: names of functions that every model knows.
    """
    if functions is None:
        return {}
    if not isinstance(functions, Mapping):
        raise TypeError(f"`functions` is a dictionary of functions by name, {{'f': f}}, found {functions!r}")
    for name, function in functions.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"functions: {name!r} is no name that an equation can say")
        if name in taken:
            raise ValueError(f"functions: `{name}` is a function of ours; give yours a name of its own")
        if not callable(function):
            raise TypeError(f"functions: `{name}` is {function!r}; hand over an elementwise JAX function, def {name}(x): ...")
        arguments_of(name, function)
    return dict(functions)


def arguments_of(name: str, function: Callable) -> tuple[str, ...]:
    """The names of the arguments of a function; `TypeError` where they cannot be told, or there is none."""
    found = named_arguments(function)
    if not found:
        raise TypeError(f"functions: the arguments of `{name}` cannot be told; write def {name}(x, y): ..., elementwise")
    return found


def named_arguments(function: Callable) -> tuple[str, ...] | None:
    """The names of the arguments of a function, each of which may be given by position; `None` where they cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    return tuple(p.name for p in parameters) if all(p.kind in plain for p in parameters) else None
