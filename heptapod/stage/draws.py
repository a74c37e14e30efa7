"""The shocks of one stage: those that can be read, and what is known of the others."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass

from heptapod.errors import ANY
from heptapod.parsing.kinds import NAME_RULE, unfit
from heptapod.parsing.reader import Path
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.read import check_shock, read_shock
from heptapod.stage.scope import StageScope


@dataclass(frozen=True)
class Draws:
    """What a stage draws.

    **Attributes:** `shocks`: by name; `dimensions`: of all of them, those of a shock in error among them; `poison`: names of
    shocks in error, `ANY` where the whole block is; `poisoned`: whether a dimension may be missing for that reason.
    """

    shocks: Mapping[str, AbstractShock]
    dimensions: tuple[str, ...]
    poison: frozenset[str]
    poisoned: bool


def read_shocks(scope: StageScope, path: Path) -> Draws:
    """The `shocks:` block of a stage."""
    shocks, drawn, poison, poisoned = {}, (), set(), False
    for name, block in scope.reader.mapping(path, None, "`shocks`").items():
        listed = block.get("dimensions") if isinstance(block, Mapping) else None
        names = tuple(x for x in listed if unfit(x) is None) if isinstance(listed, list) else ()
        drawn += names
        shock = _shock(scope, name, (*path, name), block)
        if shock is not None:
            shocks[name] = shock
            continue
        poison.add(name)
        poisoned = poisoned or not names or len(names) < len(listed or ())
    if scope.reader.poisoned(path):
        poison, poisoned = {ANY}, True
    return Draws(shocks, drawn, frozenset(poison), poisoned)


def _shock(scope, name, path, block):
    reader, before = scope.reader, scope.reader.collector.count
    if (why := unfit(name)) is not None:
        return reader.error("name", f"`{name}` {why}", path, NAME_RULE, key=True)
    if not reader.mapping(path, None, "a shock"):
        return reader.missing("shock", f"the shock `{name}` is empty", path, 'dimensions: ["y"], shock_method: ...')
    shock = read_shock(reader, path, scope.slots, scope.own.integers, scope.shapes)
    if shock is None or reader.collector.count > before:
        return None
    check_shock(reader, path, shock, scope.own.numbers)
    scope.used.update(_vectors(shock))
    return shock


def _vectors(part) -> set[str]:
    """The vector and matrix parameters that a shock names."""
    if isinstance(part, tuple):
        return {name for each in part for name in _vectors(each)}
    if not is_dataclass(part):
        return set()
    name = getattr(part, "name", None)
    own = {name} if isinstance(name, str) else set()
    return own | {name for f in fields(part) for name in _vectors(getattr(part, f.name))}
