"""How nouns show themselves: a few lines of text, or a diagram with a table; no array is computed for either."""

import html
from collections.abc import Iterable, Mapping

import numpy as np

from stagecraft.board.draw import svg


def value(x) -> str:
    """An array in a few characters: a number, or a shape and a range."""
    if not hasattr(x, "__array__") or type(x).__name__.endswith("Tracer"):
        return f"{getattr(x, 'dtype', type(x).__name__)}{list(getattr(x, 'shape', []))}"
    array = np.asarray(x)
    if array.ndim == 0:
        return f"{array:.6g}"
    there = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    span = f"[{there.min():.6g}, {there.max():.6g}]" if there.size else "[]"
    return f"{'x'.join(map(str, array.shape))} in {span}" if array.size else "empty"


def parameters(scopes: Mapping[str, Mapping]) -> list[tuple[str, str]]:
    """(path, value) of every parameter."""
    return [(f"{scope}.{name}", value(x)) for scope, names in scopes.items() for name, x in names.items()]


def text(title: str, rows: Iterable[tuple[str, str]], limit: int = 24) -> str:
    """A title and aligned rows; no more than fit a screen."""
    rows = list(rows)
    shown = rows[:limit]
    width = max((len(k) for k, _ in shown), default=0)
    lines = [title, *[f"  {k:<{width}}  {v}"[:118] for k, v in shown]]
    return "\n".join(lines + ([f"  ... and {len(rows) - limit} more"] if len(rows) > limit else []))


def page(title: str, rows: Iterable[tuple[str, str]], board=None) -> str:
    """The same for a notebook, with the diagram of a board above."""
    cells = "".join(
        f"<tr><td style='text-align:left'><code>{html.escape(k)}</code></td><td>{html.escape(v)}</td></tr>" for k, v in rows
    )
    picture = f"<div>{svg(board)}</div>" if board is not None else ""
    return f"<div><b>{html.escape(title)}</b>{picture}<table>{cells}</table></div>"
