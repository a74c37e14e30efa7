"""The text of a function: what is written of it, which names it looks up, and into which of them it writes."""

import ast
import copy
import dataclasses
import dis
import functools
import inspect
import sysconfig
import types
from collections.abc import Iterator, Mapping, Set
from typing import Any

# Methods by which a function writes into a container, which then is no input of it.
_WRITES = {"append", "add", "update", "extend", "insert", "pop", "clear", "setdefault", "remove", "discard", "popitem"}
# Modules and functions by which a function does something, or learns something, beside what it is given.
_EFFECTS = {"asyncio", "datetime", "io", "logging", "multiprocessing", "nt", "os", "pathlib", "posix", "random", "requests",
            "secrets", "shutil", "signal", "socket", "subprocess", "sys", "threading", "time", "urllib"}  # fmt: skip
_ACTS = {"breakpoint", "eval", "exec", "exit", "globals", "input", "open", "print", "quit"}
_OURS = ("dynx_runner", "stagecraft", "heptapod", "builtins")
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def of_library(thing: Any) -> bool:
    """Whether a function or a class is a library's, ours included: its version stands in the manifest."""
    module = getattr(thing, "__module__", None) or ""
    if module.split(".")[0] in _OURS:
        return True
    try:
        file = inspect.getsourcefile(thing) or ""
    except TypeError:  # Compiled, or defined where there is no file.
        return module not in ("__main__", "")
    return file.startswith(_LIBRARIES)


def name_of(thing: Any) -> str:
    """Where a library has a function or a class."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", type(thing).__qualname__)
    return f"{getattr(thing, '__module__', None) or ''}.{name}"


def source_of(function: types.FunctionType) -> tuple[str, frozenset[str]]:
    """What is written of a function.

    **Returns:** its text without comments and docstring, or its bytecode where there is no text; and the names of its
    surroundings that it writes into.
    """
    node = _node(function)
    if node is None:
        return bytecode(function.__code__), frozenset()
    written = frozenset(_written(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
        node = copy.copy(node)
        node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(node), written


def names_in(code: types.CodeType) -> Iterator[str]:
    """The names that a function and those inside it look up in their module."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)


def effects_in(code: types.CodeType, looked: Mapping[str, Any], written: Set[str] = frozenset()) -> Iterator[str]:
    """What a function does beside returning something, as far as its names tell: it prints, waits, or asks for the time.

    **Arguments:** `looked`: what it looks up in its surroundings; `written`: the names there that it writes into.
    """
    for name in sorted(set(_imported(code)) & _EFFECTS):
        yield f"it imports `{name}`"
    for name in sorted({*names_in(code), *looked}):
        if name in written:
            yield f"it writes into `{name}`"
        elif name not in looked and name in _ACTS:
            yield f"it calls `{name}`"
        elif name in looked:
            one = looked[name]
            module = one.__name__ if isinstance(one, types.ModuleType) else getattr(one, "__module__", None)
            if isinstance(module, str) and module.split(".")[0] in _EFFECTS:
                yield f"it uses `{name}`"


def _imported(code: types.CodeType) -> Iterator[str]:
    """The packages that a function and those inside it import."""
    yield from (step.argval.split(".")[0] for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imported(constant)


def functions_in(value: Any) -> list[types.FunctionType]:
    """The users' functions that static records hold, such as those that a model's equations call."""
    found, seen, left = [], set(), [value]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, types.FunctionType):
            found += [] if of_library(one) else [one]
        elif isinstance(one, tuple | list):
            left += one
        elif isinstance(one, Mapping):
            left += one.values()
        elif dataclasses.is_dataclass(one) and not isinstance(one, type):
            left += [getattr(one, field.name, None) for field in dataclasses.fields(one)]
    return sorted(found, key=name_of)


def bytecode(code: types.CodeType) -> str:
    """A function as Python runs it: the same for the same version of Python."""
    return "; ".join(f"{step.opname} {_argument(step.argval)}" for step in dis.get_instructions(code))


def _argument(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return f"({bytecode(value)})"
    # The order of a set of strings differs between processes.
    return repr(sorted(value, key=repr)) if isinstance(value, frozenset) else repr(value)


def _node(function: types.FunctionType) -> ast.AST | None:
    """The syntax of a function, found by its place: a statement may hold several lambdas."""
    code = function.__code__
    try:
        lines, _ = inspect.findsource(function)
        nodes = _functions("".join(lines))
    except (OSError, SyntaxError, TypeError):
        return None
    here = [node for node in nodes if _first(node) == code.co_firstlineno]
    if code.co_name != "<lambda>":
        found = [node for node in here if getattr(node, "name", None) == code.co_name]
    else:
        places = set(code.co_positions())
        found = [node for node in here if isinstance(node, ast.Lambda) and _span(node.body) in places]
    return found[0] if len(found) == 1 else None


@functools.lru_cache(maxsize=32)
def _functions(text: str) -> list[Any]:
    kinds = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def _first(node: Any) -> int:
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])


def _span(node: ast.expr) -> tuple[int, int | None, int, int | None]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _written(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        target = None
        if isinstance(one, ast.Global | ast.Nonlocal):
            yield from one.names
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in _WRITES:
            target = one.func.value
        elif isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store):
            target = one.value
        if isinstance(target, ast.Name):
            yield target.id
