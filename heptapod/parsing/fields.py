"""Reading a block of a user's own part: the fields of its class are the keys."""

from collections.abc import Mapping, Set
from dataclasses import MISSING, fields
from typing import Any

import sympy as sp

from heptapod.errors import did_you_mean
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader

MOST = 10_000_000


def read_size(reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], least: int = 1) -> int | None:
    """A size: an integer, or arithmetic over integer settings; it is static, so nothing traced may decide it."""
    expression = reader.expression(path, scope)
    if expression is None:
        return None
    traced = sorted(str(s) for s in expression.free_symbols if str(s) not in integers)
    if traced:
        message = f"a size must not depend on `{traced[0]}`, which may change between solves"
        reader.error("type", message, path, _whole(reader, path, traced[0]) or "sizes are integers from `settings:`")
        return None
    value: Any = expression.xreplace({s: sp.Integer(integers[str(s)]) for s in expression.free_symbols})
    if not value.is_Integer or not least <= value <= MOST:
        reader.error("type", f"a size must be an integer from {least} to {MOST}, found {sp.sstr(value)}", path)
        return None
    return int(value)


def _whole(reader: Reader, path: Path, name: str) -> str | None:
    """What to write for a setting that is a whole number with a point, which makes it a real one."""
    scopes = [path[:i] for i in range(len(path), 0, -1)] + [("model",)]
    value = next((x for x in (reader.get((*scope, "settings", name)) for scope in scopes) if x is not None), None)
    if not isinstance(value, float) or value != round(value):
        return None
    return f"a size is written without a point: in `settings:`, `{name}: {value:g}.0` is a real number; write {round(value)}"


def read_fields(
    reader: Reader, path: Path, what: str, part: type, known: Set[str], scope: Scope, integers: Mapping[str, int]
) -> dict | None:
    """The values of the fields of a user's class: `int` is a size, `str` a word, any other a numeric slot.

    **Arguments:** `what`: the block in words; `known`: keys and fields that are read elsewhere.

    **Returns:** the arguments of the class beside `known`, `None` after an error.
    """
    before, block, found = reader.collector.count, reader.mapping(path, None, what), {}
    keys = {f.name: f for f in fields(part) if f.init and f.name not in known}
    for key in (k for k in block if k not in keys and k not in known):
        help = did_you_mean(str(key), keys) or f"the keys are {', '.join(keys) or 'none'}"
        reader.poison.add(path)
        reader.error("unknown-key", f"`{key}` is not a key of {what}", (*path, key), help, key=True)
    for name, f in keys.items():
        place = (*path, name)
        if block.get(name) is None:
            if f.default is MISSING and f.default_factory is MISSING:
                reader.missing("shock" if "shock" in what else "grid", f"{what} needs `{name}`", place[:-1])
        elif f.type in (int, "int"):
            found[name] = read_size(reader, place, scope, integers)
        elif f.type in (str, "str"):
            found[name] = str(block[name])
        else:
            found[name] = reader.slot(place, scope)
    return None if reader.collector.count > before or None in found.values() else found
