"""PyYAML's loader, with the types of YAML 1.2, no tags, and limits."""

import re

import yaml

MAX_CHARACTERS, MAX_WRITTEN, MAX_NODES, MAX_DEPTH, MAX_INTEGER = 1_000_000, 50_000, 100_000, 60, 10**15


def _resolvers() -> dict[str, list]:
    # The core schema of YAML 1.2. PyYAML's own table is 1.1: it reads `1e-5` as text, `no` as False, 010 as 8.
    table: dict[str, list] = {}
    for tag, pattern, first in (
        ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
        ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
        ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
        ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+."),
        ("null", r"^(?:~|null|Null|NULL)$", "~nN"),
        ("merge", r"^<<$", "<"),
    ):
        for character in first:
            table.setdefault(character, []).append((f"tag:yaml.org,2002:{tag}", re.compile(pattern)))
    table[""] = [("tag:yaml.org,2002:null", re.compile("^$"))]
    return table


class Loader(yaml.SafeLoader):
    """It composes nodes, and counts them and their levels."""

    yaml_implicit_resolvers = _resolvers()
    depth = count = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise Refused("yaml-tag", f"the tag `{event.tag}` is not part of the dialect", event.start_mark)
        self.count += 1
        if self.count > MAX_WRITTEN:
            raise Refused("yaml-bomb", f"more than {MAX_WRITTEN} keys and values", event.start_mark)
        # Composing is recursive, so the limit is what keeps `[[[[...` from a RecursionError.
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused("yaml-depth", f"more than {MAX_DEPTH} levels of nesting", event.start_mark)
        node = yaml.SafeLoader.compose_node(self, parent, index)
        self.depth -= 1
        return node


class Refused(Exception):
    """What the dialect does not take, with its place."""

    def __init__(self, code: str, message: str, where: yaml.Mark, help: str | None = None):
        self.code, self.message, self.where, self.help = code, message, where, help


def cut_texts(parts: list[yaml.Node]) -> tuple[list[tuple[yaml.Node, yaml.Node]], set[int]]:
    """The texts that a comma in their parentheses has cut: (first, last) piece of each, and all pieces but the first.

    **Arguments:** `parts`: keys and values of a mapping, or the items of a sequence, in order.
    """
    found, pieces, depth, first = [], set(), 0, None
    for part in parts:
        if not isinstance(part, yaml.ScalarNode) or part.style is not None:
            continue
        step = part.value.count("(") - part.value.count(")")
        if first is None:
            first, depth = (part, step) if step > 0 else (None, 0)
            continue
        pieces.add(id(part))
        depth += step
        if depth <= 0:
            found.append((first, part))
            first = None
    # What is never closed is no matter of commas.
    return found, pieces if first is None else set()
