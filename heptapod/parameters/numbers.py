"""Numbers of a file as arrays, and arrays in words."""

from typing import Any

import numpy as np


def array(node: Any) -> np.ndarray | None:
    """An array of finite numbers, `None` for anything else, text and truth values among it."""
    if not _numeric(node):
        return None
    try:
        value = np.asarray(node, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if value.size and np.all(np.isfinite(value)) else None


def _numeric(node) -> bool:
    if isinstance(node, (list, tuple)):
        return all(_numeric(x) for x in node)
    return isinstance(node, (int, float, np.ndarray, np.floating)) and not isinstance(node, bool)


def short(value: np.ndarray) -> str:
    """A number, or the first ones of an array, for a message."""
    flat = np.ravel(value)
    return f"{flat[0]:g}" if flat.size == 1 else f"[{', '.join(f'{v:g}' for v in flat[:3])}{', ...' if flat.size > 3 else ''}]"
