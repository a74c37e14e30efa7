"""Warnings for what is declared and never named again."""

import re
from collections.abc import Iterator
from typing import Any

from heptapod._tree import Path, Reader

_WORD = re.compile(r"[^\W\d]\w*")
_SILENT = ("name", "description", "unit", "latex")


def warn_unused(reader: Reader, scopes: dict[str, Path]) -> None:
    """A warning for every parameter, setting, definition and helper whose name no text of the file mentions.

    **Arguments:** `scopes`: where each scope with declarations stands.
    """
    mentioned = {word for text in _texts(reader.get(())) for word in _WORD.findall(text)}
    for path in scopes.values():
        for group in ("parameters", "settings", "definitions"):
            for name in reader.mapping((*path, group), None, group):
                if name not in mentioned:
                    message = f"`{name}` is declared and used nowhere"
                    reader.warning("unused", message, (*path, group, name), "drop it, or use it", key=True)
        functions = (*path, "math", "functions")
        for written in reader.mapping(functions, None, "`functions`") if reader.get(functions) else ():
            name, bracket, _ = written.partition("(")
            if bracket and name.strip() not in mentioned:
                message = f"the helper `{name.strip()}` is called nowhere"
                reader.warning("unused", message, (*functions, written), "drop it, or call it", key=True)


def _texts(node: Any) -> Iterator[str]:
    """Every text that stands as a value; a name that stands for itself, `beta: ["beta"]`, counts for the scope above."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            if key not in _SILENT:
                yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
