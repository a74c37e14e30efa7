"""Putting documents together: stages under their names or aliases, connections into the model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from heptapod.dialect import keys
from heptapod.errors import Collector, Mark, did_you_mean
from heptapod.text.yaml import Document

_IMPORT_KEYS = keys.of("an import")
_PART_KEYS = ("dialect", "stage", "stages")
_MASTER = {"model": "a `model:`", "imports": "imports", "connections": "connections"}
_MOST = 1_000


@dataclass(frozen=True)
class Mount:
    """A part of the whole that stands in a document: at `place` in the whole, at `inner` in the document.

    **Attributes:** `key`: where the part is imported, `None` where its own key is meant.
    """

    place: tuple
    document: Document
    inner: tuple
    key: Mark | None = None


class Join:
    """The master's data, to which other documents are added; mistakes are collected."""

    def __init__(self, document: Document):
        self.document, self.documents, self.collector = document, [document], Collector()
        raw = document.data if isinstance(document.data, Mapping) else {}
        self.data: dict[str, Any] = {k: v for k, v in raw.items() if k != "imports"}
        self.mounts = [Mount((), document, ())]
        self.has_imports = raw.get("imports") is not None
        stage, stages = raw.get("stage"), raw.get("stages")
        if isinstance(stage, Mapping) and stages is None and isinstance(stage.get("name"), str):
            name = stage["name"]  # A stage beside others is one of them.
            self.data["stages"] = {name: self.data.pop("stage")}
            self.mounts.append(Mount(("stages", name), document, ("stage",)))
        elif stages is None or isinstance(stages, Mapping):
            self.data["stages"] = dict(stages or {})

    def error(self, code: str, message: str, path: tuple, help: str | None = None, key: bool = False) -> None:
        """Record an error at a place of the master."""
        self.collector.error(code, message, self.document.mark(path, key=key), help)

    def at(self, path: tuple) -> Any:
        """What stands at a path of the master."""
        return at(self.document.data, path)

    def imports(self, suffixes: tuple[str, ...]) -> Iterator[tuple[tuple, str]]:
        """(path of the entry, name of the file) of every entry of `imports:` that makes sense."""
        entries = self.document.data.get("imports") if isinstance(self.document.data, Mapping) else None
        if entries is not None and not isinstance(entries, list):
            self.error("type", "`imports` must be a list", ("imports",), "- {file: owner.yml, alias: OWNC}")
        for i, entry in enumerate(entries if isinstance(entries, list) else ()):
            path = ("imports", i)
            entry = {"file": entry} if isinstance(entry, str) else entry
            place = (*path, "file") if isinstance(self.at(path), Mapping) else path
            if not isinstance(entry, Mapping) or not isinstance(entry.get("file"), str):
                self.error("import", "an import names its `file`", path, "- {file: owner.yml, alias: OWNC}")
            elif self._good(entry, path, place, suffixes):
                yield path, str(entry["file"])

    def _good(self, entry, path, place, suffixes) -> bool:
        before, name = self.collector.count, str(entry["file"])
        for key in entry:
            if key not in _IMPORT_KEYS:
                help = did_you_mean(key, _IMPORT_KEYS) or f"the keys are {', '.join(_IMPORT_KEYS)}"
                self.error("unknown-key", f"`{key}` is not a key of an import", (*path, key), help, key=True)
        absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
        if absolute or PurePosixPath(name).suffix not in suffixes:
            message = f"`{name}` is no relative path to a .yml file"
            self.error("import", message, place, "a file beside this one, e.g. owner.yml")
        for key in ("alias", "stage"):
            name = entry.get(key)
            if name is not None and (not isinstance(name, str) or not name.isidentifier()):
                self.error("name", f"`{name}` is not a name for a stage", (*path, key), "letters, digits and _")
        return self.collector.count == before

    def imported(self, part: Document, path: tuple) -> None:
        """The stages of a document that an entry of `imports:` names, under its alias if it has one."""
        entry = self.at(path)
        entry = {} if isinstance(entry, str) else entry
        alias, wanted, where = entry.get("alias"), entry.get("stage"), self.document.mark(path)
        found = self._stages(part)
        if found is None:
            return None
        if wanted is not None:
            found = {n: inner for n, inner in found.items() if n == wanted}
        if not found or (len(found) > 1 and alias is not None):
            what = f"no stage `{wanted}`" if wanted else f"{len(found)} stages" if found else "no stage"
            help = "name one of them: stage: ..." if found else "a stage file has `stage:` with `name` and `math:`"
            return self.collector.error("import", f"`{part.file}` holds {what}", where, help)
        for name, inner in found.items():
            self._mount(part, str(alias or name), inner, where)
        return None

    def beside(self, part: Document) -> None:
        """All stages of a document in the folder of the master."""
        found = self._stages(part)
        if found is None:
            return None
        if not found:
            help = "a stage file has `stage:` with `name` and `math:`"
            return self.collector.error("import", f"`{part.file}` holds no stage", part.mark(()), help)
        for name, inner in found.items():
            self._mount(part, name, inner, part.mark(inner, key=True))
        return None

    def idle(self, part: Document) -> None:
        """A file in the folder of a master that says itself which files it imports."""
        message = f"`{part.file}` stands in the folder, and is not imported"
        self.collector.warning("unused", message, part.mark(()), "import it, or move it away")

    def _mount(self, part, name, inner, key):
        stages = self.data.get("stages")
        if not isinstance(stages, dict):
            return  # Told when `stages:` is read.
        if name in stages:
            return self.collector.error("duplicate-key", f"the stage {name} is there twice", key, "give an `alias`")
        if len(stages) >= _MOST:
            return self.collector.error("too-big", f"more than {_MOST} stages", key, "a model may have fewer")
        self.documents += [] if part in self.documents else [part]
        # The file's own name gives way to the alias.
        block = at(part.data, inner)
        stages[name] = {k: v for k, v in block.items() if k not in ("name", "dialect")} if isinstance(block, Mapping) else block
        self.mounts.append(Mount(("stages", name), part, inner, key))

    def _stages(self, part) -> dict[str, tuple] | None:
        """(place by name) of every stage in a document; `None` where it is no stage file."""
        data = part.data
        if not isinstance(data, Mapping):
            return {}
        before, bare = self.collector.count, "math" in data and not {"stage", "stages"} & set(data)
        for key in data if not bare else [k for k in data if k in _MASTER]:
            if key not in _PART_KEYS:
                self._foreign(part, key)
                break  # One is enough to say that this is no stage file.
        dialect = data.get("dialect")
        if dialect is not None and (dialect != 1 or isinstance(dialect, bool)):
            self._wrong("dialect", "this dialect is not known", part.mark(("dialect",)), "this is dialect 1")
        if self.collector.count > before:
            return None
        if isinstance(data.get("stages"), Mapping):
            return {str(name): ("stages", name) for name in data["stages"]}
        inner = () if bare else ("stage",)
        stage = data if bare else data.get("stage")
        if not isinstance(stage, Mapping):
            return {}
        name = stage.get("name")
        if name is not None and (not isinstance(name, str) or not name.isidentifier()):
            return self._wrong("name", "this is not a name for a stage", part.mark((*inner, "name")), "letters, digits and _")
        return {str(name or part.file.rpartition(".")[0]): inner}

    def _foreign(self, part, key):
        """A key that a stage file has not."""
        mark = part.mark((key,), key=True)
        if key in _MASTER:
            help = "a stage file has `stage:` alone; the rest stands in the master file"
            return self._wrong("import", f"`{part.file}` has {_MASTER[key]} of its own", mark, help)
        help = did_you_mean(key, _PART_KEYS) or f"the keys are {', '.join(_PART_KEYS)}"
        return self._wrong("unknown-key", f"`{key}` is not a key of a stage file", mark, help)

    def _wrong(self, code, message, mark, help):
        self.collector.error(code, message, mark, help)

    def connections(self, part: Document) -> None:
        """`connections:` in a file of their own."""
        data = part.data
        inner = ("connections",) if isinstance(data, Mapping) and "connections" in data else ()
        for key in data if inner else ():
            if key not in ("connections", "dialect"):
                message = f"`{key}` is not a key of a file of connections"
                self._wrong("unknown-key", message, part.mark((key,), key=True), "it has `connections:` alone")
        model = self.data.get("model")
        if not isinstance(model, Mapping):
            return  # Told when `model:` is read.
        if model.get("connections") is not None:
            message = "connections are written in the master file and in a file of their own"
            return self.collector.error("duplicate-key", message, part.mark(inner, key=True), "write them in one of the two")
        self.data["model"] = {**model, "connections": at(data, inner)}
        self.documents.append(part)
        self.mounts.append(Mount(("model", "connections"), part, inner))


def at(data: Any, path: tuple) -> Any:
    """What stands at a path."""
    for step in path:
        data = data[step]
    return data
