"""YAML 1.2 with a source mark for every value, and nothing that executes, surprises or explodes."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from heptapod.errors import Collector, Diagnostic, Mark, ModelError
from heptapod.text.loader import MAX_CHARACTERS, MAX_DEPTH, MAX_INTEGER, MAX_NODES, Loader, Refused, cut_texts
from heptapod.text.marked import Text as Text


@dataclass(frozen=True)
class Document:
    """A YAML file read into plain Python, with the place of every value.

    **Attributes:**

    - `data`: dictionaries, lists, numbers, booleans, `None` and `Text`.
    - `file`, `text`: where it came from, and the source.
    """

    data: Any
    file: str
    text: str
    _values: dict[tuple, Mark] = field(repr=False)
    _keys: dict[tuple, Mark] = field(repr=False)

    def mark(self, path: tuple, key: bool = False) -> Mark:
        """The place of the value at `path`, or of its key; of the nearest parent where there is none.

        **Arguments:**

        - `path`: keys and list positions from the root.
        - `key`: whether the key is meant.
        """
        path = tuple(path)
        while path and path not in self._values:
            path = path[:-1]
        return self._keys.get(path, self._values[path]) if key else self._values[path]


def read(text: str | bytes, file: str = "<string>") -> Document:
    """Read one YAML document, or raise a `ModelError` that says where it cannot be read.

    **Arguments:**

    - `text`: the source; bytes must be UTF-8.
    - `file`: the name that messages show.
    """
    text = _decoded(text, file)
    lines = text.splitlines() or [""]
    loader = None
    try:
        loader = Loader(text)
        root = loader.get_single_node()
        builder = _NodeBuilder(file, lines)
        data = builder.build(root, (), 0) if root is not None else None
    except Refused as refusal:
        mark = _mark(file, lines, refusal.where)
        raise ModelError(Diagnostic(refusal.code, refusal.message, mark, refusal.help)) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, file, lines) from None
    except yaml.reader.ReaderError as error:
        message = f"the character U+{int(error.character):04X} is not allowed in a model file"
        raise ModelError(Diagnostic("yaml", message, _at_offset(text, error.position, file))) from None
    except (ValueError, OverflowError) as error:
        # PyYAML hands an escape such as "\U00110000" to chr() unchecked.
        where = _mark(file, lines, loader.get_mark()) if loader else Mark(file)
        raise ModelError(Diagnostic("yaml", f"a character that does not exist ({error})", where)) from None
    builder.found.raise_if_any()
    builder.values.setdefault((), Mark(file, 1, 1, lines[0]))
    return Document(data, file, text, builder.values, builder.keys)


def _decoded(text: str | bytes, file: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise ModelError(Diagnostic("yaml-size", f"a model file may have {MAX_CHARACTERS} characters", Mark(file)))
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8", "replace")
        mark = _at_offset(before + "?", len(before), file)
        raise ModelError(Diagnostic("yaml", "the file is not UTF-8", mark, "save it as UTF-8")) from None


def _at_offset(text: str, offset: int, file: str) -> Mark:
    before = text[:offset].splitlines() or [""]
    if text[:offset].endswith(("\n", "\r")):
        before.append("")
    # The character that cannot be read cannot be shown either.
    return Mark(file, len(before), len(before[-1]) + 1, before[-1] + "?")


def _mark(file: str, lines: list[str], where: yaml.Mark, width: int = 1) -> Mark:
    row = min(where.line, len(lines) - 1)
    column = where.column if row == where.line else len(lines[row])
    return Mark(file, row + 1, column + 1, lines[row], width)


def _syntax(error: yaml.MarkedYAMLError, file: str, lines: list[str]) -> ModelError:
    problem, where = error.problem or str(error), error.problem_mark or error.context_mark
    mark = Mark(file) if where is None else _mark(file, lines, where)
    help = None
    if "another document" in problem or "single document" in (error.context or ""):
        problem, help = "a file holds one document", "put the second one into a file of its own"
    elif "mapping values are not allowed" in problem:
        help = "quote a text that contains `: `"
    elif "undefined alias" in problem:
        help = "an anchor `&name` must stand before its alias `*name`"
    return ModelError(Diagnostic("yaml", problem, mark, help))


class _NodeBuilder:
    """Turns nodes into data; counts them, since an alias costs nothing to write and everything to expand."""

    def __init__(self, file: str, lines: list[str]):
        self.file, self.lines, self.count = file, lines, 0
        self.values: dict[tuple, Mark] = {}
        self.keys: dict[tuple, Mark] = {}
        self.found = Collector()

    def build(self, node: yaml.Node, path: tuple, depth: int):
        self._spend(node)
        if depth > MAX_DEPTH:
            raise Refused("yaml-depth", "an alias contains itself, or nests too deep", node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self.values[path] = _mark(self.file, self.lines, node.start_mark)
        if isinstance(node, yaml.SequenceNode):
            cut = self._cut_at_commas(node.value, "[ ]") if node.flow_style else ()
            whole = [item for item in node.value if id(item) not in cut]
            return [self.build(item, (*path, i), depth + 1) for i, item in enumerate(whole)]
        data = {}
        for key, (key_node, value) in self._pairs(node, depth).items():
            self.keys[(*path, key)] = _mark(self.file, self.lines, key_node.start_mark, _width(key_node))
            data[key] = self.build(value, (*path, key), depth + 1)
        return data

    def _spend(self, node: yaml.Node) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            raise Refused("yaml-bomb", f"more than {MAX_NODES} values once aliases are expanded", node.start_mark)

    def _pairs(self, node: yaml.Node, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The pairs of a mapping; `<<` comes first, so that own keys win over merged ones."""
        merged, own = {}, {}
        flow = getattr(node, "flow_style", False)
        cut = self._cut_at_commas([part for pair in node.value for part in pair], "{ }") if flow else ()
        for key, value in node.value:
            if id(key) in cut:
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":null"):
                raise Refused("yaml-key", "a key must be a name or a number", key.start_mark)
            if key.value in own:
                first = own[key.value][0].start_mark.line + 1
                mark = _mark(self.file, self.lines, key.start_mark, _width(key))
                self.found.error("duplicate-key", f"`{key.value}` is given twice (first at line {first})", mark)
                continue
            own[key.value] = key, value
            if key.tag.endswith(":merge"):
                merged = self._merged(value, depth + 1)
        return merged | {name: pair for name, pair in own.items() if not pair[0].tag.endswith(":merge")}

    def _cut_at_commas(self, parts: list[yaml.Node], brackets: str) -> set[int]:
        """Tell of every text that a comma has cut in a flow collection; the pieces that follow are no entries."""
        found, pieces = cut_texts(parts)
        for first, last in found:
            start, end = first.start_mark, last.end_mark
            text = "..." if end.buffer is None else end.buffer[start.pointer : end.pointer]
            message = f"quote the text: inside {brackets} a comma ends the entry"
            self.found.error("yaml", message, _mark(self.file, self.lines, start, end.index - start.index), f'write "{text}"')
        return pieces

    def _merged(self, node: yaml.Node, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if depth > MAX_DEPTH:
            raise Refused("yaml-depth", "an alias contains itself, or nests too deep", node.start_mark)
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged = {}
        for source in reversed(sources):  # Of two merged mappings the first one wins.
            self._spend(source)
            if not isinstance(source, yaml.MappingNode):
                raise Refused("yaml-key", "`<<` merges mappings, and nothing else", source.start_mark)
            merged |= self._pairs(source, depth)
            self.count += len(merged)
        return merged

    def _scalar(self, node: yaml.ScalarNode, path: tuple):
        mark = _mark(self.file, self.lines, node.start_mark, _width(node))
        self.values[path] = mark
        tag, value = node.tag.rsplit(":", 1)[-1], node.value
        if tag == "int":
            return self._integer(value, mark)
        if tag == "float":
            return self._float(value, mark)
        if tag in ("bool", "null"):
            return value.lower() == "true" if tag == "bool" else None
        if any(ord(character) < 32 and character not in "\n\t" or "\ud800" <= character < "\ue000" for character in value):
            self.found.error("yaml", "an escape for a character that has no place in a model file", mark)
        text = Text(value, self._content(node, mark), self.lines, node.style in ("|", ">"))
        self.values[path] = text.mark
        return text

    def _integer(self, value: str, mark: Mark) -> int:
        if len(value.lstrip("+-0")) > 16 or abs(int(value)) > MAX_INTEGER:
            self.found.error("literal", "an integer beyond 1e15 is not exact in double precision", mark)
            return 0
        return int(value)

    def _float(self, value: str, mark: Mark) -> float:
        special = value.lower().lstrip("+-") in (".inf", ".nan")
        number = float(value.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if not special and (abs(number) == float("inf") or number == 0 and re.search("[1-9]", re.split("[eE]", value)[0])):
            self.found.error("literal", f"`{value[:40]}` is out of the range of double precision", mark)
        return number

    def _content(self, node: yaml.ScalarNode, mark: Mark) -> Mark:
        if node.style in ("'", '"'):
            return replace(mark, column=mark.column + 1, width=max(1, mark.width - 2))
        if node.style not in ("|", ">"):
            return mark
        row = mark.line  # The line after the indicator.
        while row + 1 < len(self.lines) and not self.lines[row].strip():
            row += 1
        if row >= len(self.lines):
            return mark
        line = self.lines[row]
        return Mark(self.file, row + 1, len(line) - len(line.lstrip()) + 1, line, max(1, len(line.strip())))


def _width(node: yaml.Node) -> int:
    same_line = node.end_mark.line == node.start_mark.line
    return max(1, node.end_mark.column - node.start_mark.column) if same_line else 1
