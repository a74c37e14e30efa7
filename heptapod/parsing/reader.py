"""Reading a document without stopping at the first mistake: typed look-ups that report where they fail."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import sympy as sp

from heptapod.dialect import keys
from heptapod.dialect.parts import Parts
from heptapod.errors import ANY, Collector, Mark, ModelError, did_you_mean
from heptapod.formulas.formula import Formula
from heptapod.formulas.freeze import freeze
from heptapod.parsing.kinds import NAME_RULE, bracketed, kind, unfit
from heptapod.parsing.parse import Scope, Statement, parse, parse_expression
from heptapod.parsing.python import express
from heptapod.text.bundle import Bundle
from heptapod.text.yaml import Document

Path = tuple
_T = TypeVar("_T")
# Of a block with more keys that are not known no more are told.
_MOST_TOLD = 100


def complete(parts: Iterable[_T | None]) -> tuple[_T, ...] | None:
    """All parts, or `None` where one is in error."""
    listed = tuple(parts)
    found = tuple(part for part in listed if part is not None)
    return found if len(found) == len(listed) else None


class Reader:
    """A document and the diagnostics collected so far.

    **Attributes:** `document`; `collector`; `poison`: blocks in error: no mappings, or with a key that is not known, which may
    be the misspelling of one that is missed.
    """

    def __init__(self, document: Document | Bundle, collector: Collector | None = None, parts: Parts = Parts()):
        self.document, self.parts = document, parts
        self.collector = collector or Collector()
        self.poison: set[Path] = set()

    def mark(self, path: Path, key: bool = False) -> Mark:
        """The place of the value (or key) at a path."""
        return self.document.mark(tuple(path), key=key)

    def error(
        self, code: str, message: str, path: Path, help: str | None = None, key: bool = False, about: str | None = None
    ) -> None:
        """Record an error at a path."""
        self.collector.error(code, message, self.mark(path, key), help, about)

    def missing(self, code: str, message: str, path: Path, help: str | None = None) -> None:
        """Record that something is not in the mapping at a path, unless the mapping itself is in error."""
        if not self.poisoned((*path, ANY)):
            self.error(code, message, path, help, key=True)

    def poisoned(self, path: Path) -> bool:
        """Whether what should stand at a path is in error: it is no mapping, or the block that lacks it is in error."""
        place = path
        while place and self.get(place) is None:
            place = place[:-1]
        return place in self.poison and (place != path or not isinstance(self.get(path), Mapping))

    def warning(self, code: str, message: str, path: Path, help: str | None = None, key: bool = False) -> None:
        """Record a warning at a path."""
        self.collector.warning(code, message, self.mark(path, key), help)

    def note(self, code: str, message: str, path: Path, help: str | None = None, key: bool = True) -> None:
        """Record a note at a path."""
        self.collector.note(code, message, self.mark(path, key), help)

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

    def mapping(
        self, path: Path, allowed: Iterable[str] | None = None, what: str = "this block", of: str | None = None
    ) -> dict:
        """The mapping at a path, empty if absent; keys outside `allowed` are errors, names of what `of` says."""
        node = self.get(path)
        if node is None:
            return {}
        if not isinstance(node, Mapping):
            if path not in self.poison:
                self.error("type", f"{what} must be a mapping `key: value`, found {kind(node)}", path)
            self.poison.add(path)
            return {}
        if allowed is not None:
            self._check_keys(path, node, list(allowed), what, of)
        return dict(node)

    def block(self, path: Path, name: str, what: str | None = None, more: Iterable[str] = ()) -> dict:
        """The mapping at a path with the keys of a block of the language, and `more`; empty if absent."""
        found = self.mapping(path, (*keys.of(name), *more), what or name)
        for key in keys.texts(name):
            if isinstance(found.get(key), (Mapping, list, bool)):
                self.error("type", f"`{key}` is text, found {kind(found[key])}", (*path, key))
        return found

    def _check_keys(self, path, node, allowed, what, of):
        told = 0
        for k in node:
            if k not in allowed:
                self.poison |= {path, (*path, k)}
                told += 1
                if told > _MOST_TOLD:
                    continue
                home = f"`{k}` is a key of {' and of '.join(keys.homes(k))}; here " if keys.homes(k) else ""
                suggestion = did_you_mean(str(k), allowed) or f"{home}the keys are {', '.join(allowed)}"
                self.error("unknown-key", f"`{k}` is not a key of {what}", (*path, k), suggestion, key=True,
                           about=None if of is None else f"{of} {k.rpartition('.')[2]}")  # fmt: skip

    def names(self, path: Path, what: str) -> list[str]:
        """A bracketed list of names; anything else is an error and gives an empty list."""
        node = self.get(path)
        if node is None:
            return []
        if not isinstance(node, list) or not all(isinstance(x, str) for x in node):
            self.error("type", f"{what} must be a bracketed list of names, found {kind(node)}", path, 'e.g. ["y"]')
            return []
        for i, name in enumerate(node):
            if (why := unfit(name)) is not None:
                self.error("name", f"`{name}` {why}", (*path, i), NAME_RULE)
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
        found = f"`{node}`" if isinstance(node, str) else kind(node)
        self.error("value", f"{what} cannot be {found}", path, suggestion)
        return default

    def flag(self, path: Path, what: str, default: bool = False) -> bool:
        """`true` or `false`."""
        node = self.get(path)
        if node is None or isinstance(node, bool):
            return default if node is None else node
        self.error("type", f"{what} is true or false, found {kind(node)}", path)
        return True

    def expression(self, path: Path, scope: Scope) -> sp.Basic | None:
        """One expression; `None` after an error. Numbers and one bracketed name are expressions, too."""
        path = self._plain(path)
        path = (*path, 0) if bracketed(self.get(path)) else path
        node = self.get(path)
        if isinstance(node, (Mapping, list, bool)) or node is None:
            self.error("type", f"expected a number or an expression, found {kind(node)}", path)
            return None
        try:
            if callable(node):
                return self._one(express(node, scope, self.mark(path)), path)
            return parse_expression(node, scope, self.mark(path))
        except ModelError as error:
            return self.take(error, scope)

    def statements(self, path: Path, scope: Scope) -> list | None:
        """Several `target = expression`; `None` after an error."""
        path = self._plain(path)
        node = self.get(path)
        if callable(node):
            return self._targets(node, path, scope)
        if not isinstance(node, str):
            self.error("type", f"expected `target = expression`, found {kind(node)}", path, _as_text(node))
            return None
        try:
            return parse(node, scope, self.mark(path))
        except ModelError as error:
            return self.take(error, scope)

    def _one(self, found, path):
        """One expression out of a function that should give no more."""
        if not isinstance(found, dict):
            return found
        return self.error("function", "one number is expected here, not a dictionary", path, "return the number")

    def _targets(self, function, path, scope):
        """The statements of a function that returns a dictionary of targets."""
        try:
            found = express(function, scope, self.mark(path))
        except ModelError as error:
            return self.take(error, scope)
        if not isinstance(found, dict):
            help = 'e.g. lambda m, c: {"a_nxt": m - c}'
            return self.error("function", "a transition returns a dictionary of its targets", path, help)
        return [Statement(name, expression, self.mark(path)) for name, expression in found.items()]

    def take(self, error: ModelError, scope: Scope) -> None:
        """Take over the errors of an equation; a name that is not known is poison from now on."""
        self.collector.extend(error)
        scope.poison.update(found.about for found in error.diagnostics if found.about)

    def _plain(self, path):
        """An equation as `{expr: ...}`, an older form, is read as what stands in it."""
        node = self.get(path)
        if isinstance(node, Mapping) and list(node) == ["expr"]:
            self.note("older", "`expr:` is not needed: the equation may stand after its name", (*path, "expr"))
            return (*path, "expr")
        return path

    def slot(self, path: Path, scope: Scope) -> Formula | None:
        """A numeric slot as a formula: a number, an expression, or a bracketed name."""
        expression = self.expression(path, scope)
        if expression is None:
            return None
        if isinstance(expression, sp.logic.boolalg.Boolean) and not expression.is_Symbol:
            self.error("type", "expected a number, found a condition", path)
            return None
        return freeze(expression)


def _as_text(node) -> str | None:
    """Several equations that were written as a list or as a mapping, as the text that they should be."""
    lines = [f"{k} = {v}" for k, v in node.items()] if isinstance(node, Mapping) else node if isinstance(node, list) else []
    if not lines or not all(isinstance(line, str) for line in lines):
        return None
    return f'several equations are one text, with `;` or a new line between them: "{"; ".join(lines)}"'
