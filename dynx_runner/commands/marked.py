"""YAML whose values know the line they stand on, so that what is wrong with one is told with its place."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from heptapod.errors import Diagnostic, Mark, ModelError, did_you_mean


class Marked(NamedTuple):
    """A document.

    **Attributes:** `data`: as plain values; `node`: the same with places; `file` and `lines`.
    """

    data: dict
    node: Any
    file: Path
    lines: list[str]

    def error(self, code: str, message: str, *keys: Any, help: str | None = None) -> ModelError:
        """A complaint at the value that keys lead to, or at the last of them that is there."""
        node = self.node
        for key in keys:
            node = _below(node, key) or node
        return ModelError(Diagnostic(code, message, _mark(self.file, self.lines, node.start_mark), help))

    def unknown(self, name: str, pool: Collection[str], *keys: Any) -> ModelError:
        """A complaint about a name that is not known."""
        advice = did_you_mean(str(name), pool) or f"there is {', '.join(f'`{one}`' for one in pool)}"
        return self.error("unknown-key", f"`{name}` is not known here", *keys, help=advice)

    def value(self, *keys: Any) -> Any:
        """What stands at a place."""
        found: Any = self.data
        for key in keys:
            found = found[key]
        return found


def read(file: Path, known: Mapping[str, str], needed: Collection[str]) -> Marked:
    """Read a file whose top is a mapping of known keys; raise `ModelError` else."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(Diagnostic("file", f"cannot read `{file.name}` ({error})", Mark(file=str(file)))) from None
    lines = text.splitlines()
    try:
        node, data = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        mark = Mark(file=str(file)) if place is None else _mark(file, lines, place)
        raise ModelError(Diagnostic("syntax", getattr(error, "problem", None) or str(error), mark)) from None
    if not isinstance(data, dict):
        raise ModelError(Diagnostic("value", f"expected the keys {', '.join(known)}", Mark(file=str(file))))
    marked = Marked(data, node, file, lines)
    _refuse_twins(marked, node)
    for key in data:
        if key not in known:
            raise marked.unknown(key, known, key)
    for key in needed:
        if data.get(key) is None:
            raise marked.error("missing-key", f"`{key}` is missing: {known[key]}")
    return marked


def mapping(marked: Marked, *keys: Any) -> dict[str, Any]:
    """A mapping that is not empty, by names."""
    value = marked.value(*keys)
    if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value):
        raise marked.error("value", f"`{keys[-1]}` is a mapping of names", *keys)
    return value


def word(marked: Marked, *keys: Any, among: Collection[str] | None = None) -> str:
    """A text, or one of a few."""
    value = marked.value(*keys)
    if among is not None and value not in among:
        raise marked.unknown(value, among, *keys)
    if not isinstance(value, str):
        raise marked.error("value", f"`{keys[-1]}` is a text, found {value!r:.60}", *keys)
    return value


def number(marked: Marked, *keys: Any) -> float:
    """A number; `1e-3` is one too, though YAML reads it as a text."""
    value = marked.value(*keys)
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise marked.error("value", f"`{keys[-1]}` is a number, found {value!r:.60}", *keys) from None


def whole(marked: Marked, *keys: Any) -> int:
    """A whole number that is not negative."""
    value = number(marked, *keys)
    if value < 0 or not value.is_integer():
        raise marked.error("value", f"`{keys[-1]}` is a whole number that is not negative, found {value:g}", *keys)
    return int(value)


def _below(node: Any, key: Any) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return node.value[key] if isinstance(key, int) and key < len(node.value) else None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _refuse_twins(marked: Marked, node: Any) -> None:
    """YAML takes the last of two equal keys without a word."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for name, value in node.value:
            if name.value in seen:
                mark = _mark(marked.file, marked.lines, name.start_mark)
                raise ModelError(Diagnostic("duplicate-key", f"`{name.value}` stands here twice", mark))
            seen.add(name.value)
            _refuse_twins(marked, value)


def _mark(file: Path, lines: list[str], place: Any) -> Mark:
    text = lines[place.line] if place.line < len(lines) else ""
    return Mark(str(file), place.line + 1, place.column + 1, text, max(1, len(text) - place.column))
