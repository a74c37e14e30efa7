"""Models of several files as one document: data with the marks of the file that each part was written in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as File

import yaml

from heptapod.errors import Diagnostic, Mark, ModelError
from heptapod.text.dictionary import bare
from heptapod.text.join import Join, Mount
from heptapod.text.yaml import Document, read

SUFFIXES = (".yml", ".yaml")
MASTERS = ("master.yml", "model.yml", "main.yml", "master.yaml", "model.yaml", "main.yaml")


@dataclass(frozen=True)
class Bundle:
    """Several documents as one.

    **Attributes:** `data`; `file`: of the master; `text`: the same data as one file; `mounts`: which part stands in which
    document, the innermost first; `found`: warnings.
    """

    data: dict
    file: str
    text: str
    mounts: tuple[Mount, ...] = field(repr=False)
    found: tuple[Diagnostic, ...] = ()

    def mark(self, path: tuple, key: bool = False) -> Mark:
        """The place of the value at `path`, or of its key; the key of an imported stage stands where it is imported."""
        path = tuple(path)
        for mount in self.mounts:
            if path[: len(mount.place)] == mount.place:
                if key and path == mount.place and mount.key is not None:
                    return mount.key
                return mount.document.mark((*mount.inner, *path[len(mount.place) :]), key=key)
        raise LookupError(path)  # The master itself is mounted at the root.


def assemble(file: File) -> Document | Bundle:
    """The document of a model file with its imports, or of a folder; `ModelError` where a part cannot be read."""
    if file.is_dir():
        return _folder(file)
    document = read_file(file)
    if not isinstance(document.data, Mapping) or "imports" not in document.data:
        return document
    return _joined(file, document, ())


def read_file(file: File, mark: Mark | None = None) -> Document:
    """One YAML file; a file that is not there is a `ModelError`, at the place that names it."""
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # A name with a NUL is a ValueError.
        where, why = mark or Mark(file=str(file)), getattr(error, "strerror", None) or error
        raise ModelError(Diagnostic("file", f"cannot read `{file.name}` ({why})", where)) from None
    return read(content, file.name)


def _folder(folder: File):
    """A master file, and the stages and connections beside it and under `stages/`."""
    masters = [folder / name for name in MASTERS if (folder / name).is_file()]
    if not masters:
        place = Mark(file=str(folder))
        raise ModelError(Diagnostic("file", "the folder has no master.yml", place, f"one of {', '.join(MASTERS[:3])}"))
    others = sorted(f for f in (*folder.glob("*"), *folder.glob("stages/*")) if f.suffix in SUFFIXES and f.name[0] != ".")
    return _joined(masters[0], read_file(masters[0]), tuple(f for f in others if f not in masters[:1]))


def _joined(file, document, others):
    """The master's data with every imported stage under `stages`, and connections under `model`."""
    join, taken = Join(document), set()
    for path, name in join.imports(SUFFIXES):
        mark = document.mark((*path, "file") if isinstance(join.at(path), Mapping) else path)
        taken.add((file.parent / name).resolve())
        part = _part(join, file.parent / name, mark)
        if part is not None:
            join.imported(part, path)
    for other in others:
        if other.resolve() in taken:
            continue
        part = _part(join, other, None)
        if part is None:
            continue
        if other.stem == "connections" or (isinstance(part.data, Mapping) and "connections" in part.data):
            join.connections(part)
        else:
            (join.idle if join.has_imports else join.beside)(part)
    join.collector.raise_if_any()
    text = yaml.safe_dump(bare({key: x for key, x in join.data.items() if key != "imports"}), sort_keys=False)
    return Bundle(join.data, document.file, text, tuple(join.mounts[::-1]), join.collector.diagnostics)


def _part(join, file, mark):
    """A further document; an error of its own is collected."""
    try:
        return read_file(file, mark)
    except ModelError as error:
        join.collector.extend(error)
        return None
