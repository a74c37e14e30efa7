"""Where the stages of a model stand in its file, and what kind each is."""

from collections.abc import Mapping

from heptapod.dialect import keys
from heptapod.errors import ANY
from heptapod.parameters.calibration import MAIN
from heptapod.parsing.kinds import NAME_RULE, kind, unfit
from heptapod.parsing.reader import Path, Reader


def read_stages(reader: Reader) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The path of every stage by name, and the names of those in error, `ANY` where any name may be one."""
    before = reader.collector.count
    if reader.get(("stage",)) is not None and reader.get(("stages",)) is not None:
        reader.error("duplicate-key", "`stage:` and `stages:` are both given", ("stages",), "one of them", key=True)
        return {}, (ANY,)
    found = _one(reader) if reader.get(("stage",)) is not None else _several(reader)
    if not found[0] and not found[1] and reader.collector.count == before:
        reader.missing("model", "the file has no stage", (), "write `stage:` with a name and `math:`")
    return found


def _one(reader):
    path = ("stage",)
    reader.block(path, "a stage")
    if reader.poisoned(path):
        return {}, (ANY,)
    name = reader.get((*path, "name"))
    if name is None:
        reader.missing("name", "the stage has no `name`", path, "e.g. name: CONS")
    elif unfit(name) is not None or name == MAIN:
        shown = f"`{name}`" if isinstance(name, str) else kind(name)
        reader.error("name", f"{shown} is not a name for a stage", (*path, "name"), f"{NAME_RULE}; not `main`")
    else:
        return {str(name): path}, ()
    return {"STAGE": path}, (ANY,)


def _several(reader):
    paths, poison = {}, ()
    for name in reader.mapping(("stages",), None, "`stages`"):
        path = ("stages", name)
        block = reader.get(path)
        if unfit(name) is not None or name == MAIN:
            reader.error("name", f"`{name}` is not a name for a stage", path, f"{NAME_RULE}; not `main`", key=True)
            poison += (name, ANY)
        elif not isinstance(block, Mapping):
            message = f"the stage {name} must be a mapping with `math:`, found {kind(block)}"
            reader.error("type", message, path, key=block is None)
            poison += (name,)
        else:
            reader.block(path, "a stage")
            if block.get("name") not in (None, name):
                message = f"the stage {name} calls itself {block['name']}"
                reader.error("name", message, (*path, "name"), "under `stages:` the key is the name; drop `name:`")
            paths[name] = path
    return paths, poison + ((ANY,) if reader.poisoned(("stages",)) else ())


def read_kind(reader: Reader, path: Path) -> bool:
    """Whether a stage branches; after an error, whether it has branches."""
    node = reader.get((*path, "kind"))
    word = reader.word((*path, "kind"), keys.words("a stage", "kind"), "`kind`", "")
    if word == "" and node is not None:
        return reader.get((*path, "math", "branches")) is not None
    return word == "branching"
