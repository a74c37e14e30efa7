"""What is declared and never used, and where every name that a stage sees comes from."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from heptapod.parameters.calibration import MAIN
from heptapod.parameters.declared import GROUPS, Declared
from heptapod.parsing.reader import Path, Reader
from heptapod.stage.scope import StageScope
from heptapod.text.shared import HELPER


@dataclass(frozen=True)
class StageNames:
    """What the texts of a stage name: its place, all scopes of the model, and the names that its texts looked up."""

    path: Path
    scopes: Mapping[str, Declared]
    scope: StageScope


# Settings that no equation names: the solver reads them.
SOLVER_SETTINGS = ("tolerance",)


def warn_unused(reader: Reader, scopes: Mapping[str, Declared], stages: Mapping[str, StageNames], main_used: Set[str]) -> None:
    """A warning for every parameter, setting, definition, bracket and helper that nothing of the model uses.

    **Arguments:** `main_used`: names of the model's own scope that its horizon, aggregates and markets use.
    """
    used = {MAIN: set(main_used)}
    for name, stage in stages.items():
        own = set(stage.scope.used)
        for mover, seen in stage.scope.mover_used.items():
            table = scopes[f"{name}.{mover}"].table
            closed = _closed(table, seen)
            _warn_scope(reader, (*stage.path, "movers", mover), table, closed)
            own |= _above(table, closed)
        table = scopes[name].table
        closed = _closed(table, own)
        _warn_scope(reader, stage.path, table, closed)
        used[MAIN] |= _above(table, closed)
        _warn_helpers(reader, stage)
    table = scopes[MAIN].table
    _warn_scope(reader, ("model",), table, _closed(table, used[MAIN]))


def warn_unread(reader: Reader) -> None:
    """A warning for every key without a value, which is read as if it were not there."""
    wait: list[tuple[Path, Any]] = [((), reader.get(()))]
    while wait:
        path, node = wait.pop()
        items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
        for k, value in items:
            if value is None and isinstance(node, Mapping):
                message = f"`{k}` has no value, and is read as if it were not there"
                reader.warning("empty", message, (*path, k), "drop it", key=True)
            wait.append(((*path, k), value))


def check_shared(reader: Reader) -> None:
    """An error for what no model can share, and a warning for what it shares and no stage names."""
    for text in reader.mapping(("model", "functions"), None, "`model: functions:`"):
        if not HELPER.match(text):
            help = "a helper is written `name(arguments): ...`; an equation belongs to a stage"
            reader.error("unknown-key", f"`{text}` is no helper", ("model", "functions", text), help, key=True)
    reader.mapping(("model", "shocks"), None, "`model: shocks:`")
    for path in getattr(reader.document, "idle", ()):
        what = f"the helper `{path[-1]}` is called" if path[1] == "functions" else f"the shock `{path[-1]}` is drawn"
        reader.warning("unused", f"{what} nowhere", path, "drop it, or name it in a stage", key=True)


def _closed(table, used):
    """With what the definitions and sizes in use name themselves."""
    entries, done, wait = table.entries, set(), list(used)
    while wait:
        name = wait.pop()
        if name not in done:
            done.add(name)
            entry = entries.get(name)
            if entry is not None:
                wait += [*(entry.formula.names if entry.formula is not None else ()), *entry.sources]
    return done


def _above(table, used):
    """The names of the scope above that a scope uses: behind brackets, and those it does not declare itself."""
    entries = table.entries
    own = {entry.target for name, entry in entries.items() if entry.target is not None and name in used}
    return own | {name for name in used if name not in entries}


def _warn_scope(reader, path, table, used):
    for name, entry in table.entries.items():
        if name not in used and name not in SOLVER_SETTINGS:
            place = next(((*path, g, name) for g in GROUPS if reader.get((*path, g, name)) is not None), path)
            what = "is inherited and used nowhere" if entry.kind == "reference" else "is declared and used nowhere"
            reader.warning("unused", f"`{name}` {what}", place, "drop it, or use it", key=True)


def _warn_helpers(reader, stage):
    scope = stage.scope
    called = scope.called
    for path, helpers in scope.helper_places():
        for written, name in helpers:
            shared = (*path, written) in getattr(reader.document, "homes", ())
            if name not in called and not shared:
                message = f"the helper `{name}` is called nowhere"
                reader.warning("unused", message, (*path, written), "drop it, or call it", key=True)


def provenance(reader: Reader, stage: StageNames) -> dict[str, str]:
    """For every name that a stage uses: where it is declared, through what it is inherited, and what it hides."""
    scopes, name = stage.scopes, stage.scope.name
    own, main = scopes[name].table.entries, scopes[MAIN].table.entries
    found = {}
    for each in (n for n in dict.fromkeys((*own, *(main if stage.scope.inherit else ()))) if n in stage.scope.used):
        found[each] = _origin(reader, stage.path, own.get(each), each, main if stage.scope.inherit else {})
    for mover in stage.scope.movers:
        table = scopes[f"{name}.{mover}"].table
        for each, entry in table.entries.items():
            above = own if table.inherits else {}
            origin = _origin(reader, (*stage.path, "movers", mover), entry, each, above, f"stage {name}")
            found[f"{mover}.{each}"] = origin
            if each in found and table.inherits:
                found[each] += f"; overridden in {mover} ({_line(reader, (*stage.path, 'movers', mover), each)})"
    return found


def _origin(reader, path, entry, name, above, owner="the model"):
    if entry is None:
        return f"inherited from {owner} ({_line(reader, ('model',), name)})"
    line = _line(reader, path, name)
    if entry.kind == "reference":
        base = ("model",) if owner == "the model" else path[:-2]
        return f'inherited from {owner} by ["{entry.target}"] ({line}; declared {_line(reader, base, entry.target)})'
    kind = "defined here" if entry.kind == "definition" else "declared here"
    hides = f", hiding that of {owner}" if name in above else ""
    return f"{kind}{hides} ({line})"


def _line(reader, path, name):
    place = next(((*path, g, name) for g in GROUPS if reader.get((*path, g, name)) is not None), path)
    mark = reader.mark(place, key=True)
    return mark.file if mark.inside else f"{mark.file}:{mark.line}"
