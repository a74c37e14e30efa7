"""What a value of a file is: a name that may be given, a name in brackets, its kind in words."""

import keyword
from collections.abc import Mapping
from typing import Any

from heptapod.formulas.builtins import BUILTINS

RESERVED = ("t", "age", "E", "V", "pi", "inf")
NAME_RULE = "choose a name of plain letters, digits and _, that begins with a letter"


def unfit(name: Any) -> str | None:
    """Why something cannot name a variable or a parameter; `None` if it can."""
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or name.startswith("_"):
        return "is not a name of plain letters, digits and _"
    taken = name in RESERVED or name in BUILTINS or keyword.iskeyword(name)
    return "has a meaning of its own" if taken else None


def bracketed(node: Any) -> bool:
    """Whether a list is one name in brackets, which is a reference and not a list."""
    return isinstance(node, list) and len(node) == 1 and isinstance(node[0], str)


def kind(node: Any) -> str:
    """What a value of the file is, in words."""
    if node is None:
        return "nothing"
    names = {bool: "true/false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(node), "a mapping" if isinstance(node, Mapping) else "text")
