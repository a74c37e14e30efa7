"""Reading a model file."""

from collections.abc import Mapping
from pathlib import Path

from heptapod.circuit_spec import CircuitSpec
from heptapod.errors import Collector
from heptapod.parsing.reader import Reader
from heptapod.read_model import read_model
from heptapod.text.bundle import assemble
from heptapod.text.dictionary import document_of
from heptapod.text.yaml import read


def load(source: str | Path | Mapping) -> CircuitSpec:
    """Read a model and derive how its stages are solved.

    **Arguments:** `source`: the path of a YAML file or of a folder with a master file, the text itself if it has a line break,
    or the same tree as dictionaries, in which tuples, NumPy numbers and arrays may stand for lists and numbers.

    **Returns:** the model; `.stages[name]` is the `FunctionalProblem` of a stage.

    **Raises:** `ModelError` with every error found, each with file, line, column and what to do; in dictionaries with the path,
    `stages.CONS.math.functions.Q`, in place of file and line.
    """
    return read_model(reader_of(source))


def reader_of(source: str | Path | Mapping) -> Reader:
    """A reader on a file with its imports, a folder, text, or dictionaries; what cannot be read is a `ModelError`, too."""
    if isinstance(source, Mapping):
        return Reader(document_of(source))
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise TypeError(f"a model is read from a path, from text or from a dictionary, found {source!r}")
    if isinstance(source, str) and "\n" in source:
        return Reader(read(source))
    document = assemble(Path(source))
    collector = Collector()
    for found in getattr(document, "found", ()):
        collector.add(found)
    return Reader(document, collector)
