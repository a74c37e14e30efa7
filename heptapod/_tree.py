"""Reading a document without stopping at the first mistake: typed look-ups that report where they fail."""

from collections.abc import Iterable, Mapping
from typing import Any

import sympy as sp

from heptapod._formula import Formula
from heptapod._lower import freeze
from heptapod._parse import Scope, parse, parse_expression
from heptapod._yaml import Document
from heptapod.errors import Collector, Mark, ModelError, did_you_mean

Path = tuple


class Reader:
    """A document and the diagnostics collected so far.

    **Attributes:** `document`; `collector`.
    """

    def __init__(self, document: Document, collector: Collector | None = None):
        self.document = document
        self.collector = collector or Collector()

    def mark(self, path: Path, key: bool = False) -> Mark:
        """The place of the value (or key) at a path."""
        return self.document.mark(tuple(path), key=key)

    def error(self, code: str, message: str, path: Path, help: str | None = None, key: bool = False) -> None:
        """Record an error at a path."""
        self.collector.error(code, message, self.mark(path, key), help)

    def warning(self, code: str, message: str, path: Path, help: str | None = None, key: bool = False) -> None:
        """Record a warning at a path."""
        self.collector.warning(code, message, self.mark(path, key), help)

    def get(self, path: Path) -> Any:
        """The raw value at a path, `None` where there is none."""
        node = self.document.data
        for step in path:
            if isinstance(node, Mapping) and step in node:
                node = node[step]
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node = node[step]
            else:
                return None
        return node

    def mapping(self, path: Path, allowed: Iterable[str] | None = None, what: str = "this block") -> dict:
        """The mapping at a path, empty if absent; keys outside `allowed` are errors."""
        node = self.get(path)
        if node is None:
            return {}
        if not isinstance(node, Mapping):
            self.error("type", f"{what} must be a mapping `key: value`, found {_kind(node)}", path)
            return {}
        if allowed is not None:
            allowed = list(allowed)
            for k in node:
                if k not in allowed:
                    suggestion = did_you_mean(str(k), allowed) or f"the keys are {', '.join(allowed)}"
                    self.error("unknown-key", f"`{k}` is not a key of {what}", (*path, k), suggestion, key=True)
        return dict(node)

    def names(self, path: Path, what: str) -> list[str]:
        """A bracketed list of names; anything else is an error and gives an empty list."""
        node = self.get(path)
        if node is None:
            return []
        if not isinstance(node, list) or not all(isinstance(x, str) for x in node):
            self.error("type", f"{what} must be a bracketed list of names, found {_kind(node)}", path, 'e.g. ["y"]')
            return []
        for i, name in enumerate(node):
            if not name.isidentifier():
                self.error("name", f"`{name}` is not a name", (*path, i))
            elif name in node[:i]:
                self.error("duplicate-key", f"`{name}` is listed twice in {what}", (*path, i))
        return [str(x) for x in node]

    def word(self, path: Path, choices: Iterable[str], what: str, default: str) -> str:
        """A literal word among `choices`, whatever its case."""
        node = self.get(path)
        if node is None:
            return default
        choices = list(choices)
        if isinstance(node, str) and node.lower() in choices:
            return node.lower()
        suggestion = did_you_mean(str(node).lower(), choices) or f"one of {', '.join(choices)}"
        self.error("value", f"{what} cannot be `{node}`", path, suggestion)
        return default

    def expression(self, path: Path, scope: Scope) -> sp.Expr | None:
        """One expression; `None` after an error. Numbers and one bracketed name are expressions, too."""
        node = self.get(path)
        if isinstance(node, list) and len(node) == 1 and isinstance(node[0], str):
            node, path = node[0], (*path, 0)
        if isinstance(node, (Mapping, list, bool)) or node is None:
            self.error("type", f"expected a number or an expression, found {_kind(node)}", path)
            return None
        try:
            return parse_expression(node, scope, self.mark(path))
        except ModelError as error:
            self.collector.extend(error)
            return None

    def statements(self, path: Path, scope: Scope) -> list:
        """Several `target = expression`; empty after an error."""
        node = self.get(path)
        if not isinstance(node, str):
            self.error("type", f"expected `target = expression`, found {_kind(node)}", path)
            return []
        try:
            return parse(node, scope, self.mark(path))
        except ModelError as error:
            self.collector.extend(error)
            return []

    def slot(self, path: Path, scope: Scope) -> Formula | None:
        """A numeric slot as a formula: a number, an expression, or a bracketed name."""
        expression = self.expression(path, scope)
        if expression is None:
            return None
        if isinstance(expression, sp.logic.boolalg.Boolean) and not expression.is_Symbol:
            self.error("type", "expected a number, found a condition", path)
            return None
        return freeze(expression)


def _kind(node: Any) -> str:
    if node is None:
        return "nothing"
    names = {bool: "true/false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(node), "a mapping" if isinstance(node, Mapping) else "text")
