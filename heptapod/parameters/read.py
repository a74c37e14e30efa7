"""Reading `parameters:`, `settings:` and `definitions:` of one scope, on top of what it inherits."""

from collections.abc import Mapping

from heptapod.parameters.calibration import ScopeTable
from heptapod.parameters.declared import GROUPS, Declared, Time
from heptapod.parameters.entries import ParameterBlock
from heptapod.parsing.reader import Path, Reader


def read_scope(reader: Reader, path: Path, name: str, time: Time, model: Declared | None, inherit_all: bool) -> Declared:
    """Read the parameters and settings below `path`.

    **Arguments:** `model`: the scope above, which brackets refer to; `None` for the model's own.
    """
    out = Declared(ScopeTable(name), inherits=inherit_all)
    out.numbers.update(time.numbers)
    if model is not None and inherit_all:
        out.numbers |= {k: v for k, v in model.numbers.items() if k not in time.numbers}
        out.integers |= model.integers
        out.poison |= model.poison
        out.shapes |= model.shapes
    for k, block in reader.mapping(path).items():
        if (*path, k) in reader.poison and isinstance(block, Mapping):
            out.poison |= block.keys()  # The key that is not known may be that of a block of declarations.
    groups = {}
    for group in ("settings", "parameters"):
        reading = ParameterBlock(reader, (*path, group), group, time, model, out)
        groups[group] = reading.read()
    _check_twice(reader, path, groups)
    out.table = ScopeTable(name, groups["parameters"], groups["settings"], model is not None and inherit_all)
    if inherit_all and model is not None:
        _warn_shadowed(reader, path, out, model)
    return out


def _check_twice(reader, path, groups):
    """No name in two of the blocks of a scope."""
    parameters, settings = (dict(groups[g]) for g in ("parameters", "settings"))
    definitions = reader.mapping((*path, "definitions"), None, "`definitions`")
    written = reader.mapping((*path, "parameters"), None, "`parameters`")
    for k in settings:
        if k in parameters:
            reader.error("duplicate-key", f"`{k}` is a parameter and a setting", (*path, "settings", k), key=True)
    for k in definitions:
        if k in written:
            reader.error("duplicate-key", f"`{k}` is a parameter and a definition", (*path, "definitions", k), key=True)


def _warn_shadowed(reader, path, own, model):
    """A name of its own where one of the scope above would be seen: legal, and said."""
    for name, entry in own.table.entries.items():
        if name in model.numbers and not (entry.kind == "reference" and entry.target == name):
            place = next(((*path, g, name) for g in GROUPS if reader.get((*path, g, name)) is not None), path)
            reader.warning("shadowed", f"`{name}` hides the `{name}` of {model.above}", place, "rename one of them", key=True)
