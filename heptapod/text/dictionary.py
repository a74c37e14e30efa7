"""The tree of a model as Python dictionaries: the same data as a file, with the path of a value in place of its line."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import yaml

from heptapod.errors import Collector, Mark
from heptapod.text.loader import MAX_DEPTH, MAX_INTEGER, MAX_NODES
from heptapod.text.marked import Text
from heptapod.text.yaml import Document

_NUMBERS = (bool, int, float, np.number, np.bool_)


def document_of(tree: Mapping) -> Document:
    """A document out of dictionaries, lists, tuples, text, numbers, functions, and arrays of NumPy or JAX.

    **Raises:** `ModelError` for anything else, at the path where it stands.
    """
    builder = _TreeBuilder()
    data = builder.build(tree, (), 0)
    builder.found.raise_if_any()
    return Document(data, "<dictionary>", yaml.safe_dump(bare(data), sort_keys=False), builder.values, builder.keys)


def spelled(path: tuple) -> str:
    """A path as text: `model.connections.inter_period[0].source`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "<dictionary>"


class _TreeBuilder:
    """Copies a tree into plain data; counts it, since what contains itself has no end."""

    def __init__(self):
        self.count, self.found = 0, Collector()
        self.values: dict[tuple, Mark] = {}
        self.keys: dict[tuple, Mark] = {}

    def build(self, node: Any, path: tuple, depth: int) -> Any:
        """The data of one node; what cannot be read is noted, and `None`."""
        mark = self.values[path] = Mark(spelled(path), inside=True)
        self.count += 1
        if self.count > MAX_NODES or depth > MAX_DEPTH:
            what = f"more than {MAX_NODES} values" if self.count > MAX_NODES else f"more than {MAX_DEPTH} levels of nesting"
            code = "yaml-bomb" if self.count > MAX_NODES else "yaml-depth"
            # Told once: a tree that contains itself has too many places where it could be told.
            return None if self.found.errors else self.found.error(code, what, mark, "a model is a tree")
        if isinstance(node, (np.ndarray, jax.Array)):
            node = np.asarray(node).tolist()
        if isinstance(node, Mapping):
            return self._mapping(node, path, depth)
        if isinstance(node, (list, tuple)):
            return [self.build(item, (*path, i), depth + 1) for i, item in enumerate(node)]
        return self._scalar(node, path, mark)

    def _mapping(self, node, path, depth):
        data = {}
        for key, value in node.items():
            if isinstance(key, bool) or not isinstance(key, (str, int, float, np.number)):
                self.found.error("yaml-key", f"a key must be a name or a number, found {_kind(key)}", self.values[path])
                continue
            name = str(key.item() if isinstance(key, np.number) else key)
            place = (*path, name)
            if name in data:
                self.found.error(
                    "duplicate-key", f"`{name}` is given twice", Mark(spelled(place), inside=True), "drop one of them"
                )
                continue
            self.keys[place] = Mark(spelled(place), inside=True)
            data[name] = self.build(value, place, depth + 1)
        return data

    def _scalar(self, node, path, mark):
        if node is None:
            return None
        if isinstance(node, str):
            return self._text(str(node), path, mark)
        if callable(node) and not isinstance(node, type):
            return node
        if not isinstance(node, _NUMBERS):
            help = "text, a number, a list, an array or a dictionary"
            return self.found.error("type", f"{_kind(node)} is no part of a model", mark, help)
        number = node.item() if isinstance(node, np.generic) else node
        if isinstance(number, complex):
            return self.found.error("type", "a complex number is no part of a model", mark, "a real number")
        if isinstance(number, int) and not isinstance(number, bool) and abs(number) > MAX_INTEGER:
            return self.found.error("literal", "an integer beyond 1e15 is not exact in double precision", mark)
        return number

    def _text(self, value, path, mark):
        value = value.replace("\r\n", "\n")
        if any(ord(c) < 32 and c not in "\n\t" or "\ud800" <= c < "\ue000" for c in value):
            return self.found.error("yaml", "a character that has no place in a model", mark)
        first = value.split("\n")[0]
        self.values[path] = Mark(spelled(path), 1, 1, first, max(1, len(first)), inside=True)
        return Text(value, self.values[path])


def _kind(node) -> str:
    return f"a {type(node).__name__}"


def bare(node):
    """Plain strings in place of those that know where they stand, to be written out."""
    if isinstance(node, dict):
        return {str(k) if isinstance(k, str) else k: bare(v) for k, v in node.items()}
    if callable(node):
        return f"function {getattr(node, '__name__', type(node).__name__)}"
    return [bare(v) for v in node] if isinstance(node, list) else str(node) if isinstance(node, str) else node
