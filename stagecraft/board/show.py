"""How nouns show themselves: a few lines of text, or a diagram with a table; no array is computed for either."""

from collections.abc import Iterable, Mapping

from stagecraft.arrays import listed as text
from stagecraft.arrays import shown as value
from stagecraft.arrays import table
from stagecraft.board.draw import svg

__all__ = ["page", "parameters", "text", "value"]


def parameters(scopes: Mapping[str, Mapping]) -> list[tuple[str, str]]:
    """(path, value) of every parameter."""
    return [(f"{scope}.{name}", value(x)) for scope, names in scopes.items() for name, x in names.items()]


def page(title: str, rows: Iterable[tuple[str, str]], board=None) -> str:
    """The same for a notebook, with the diagram of a board above."""
    return table(title, rows, f"<div>{svg(board)}</div>" if board is not None else "")
