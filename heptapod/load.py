"""Reading a model file."""

from pathlib import Path

from heptapod._tree import Reader
from heptapod._yaml import read
from heptapod.circuit_spec import CircuitSpec, read_model
from heptapod.errors import Collector, Diagnostic, Mark, ModelError


def load(source: str | Path) -> CircuitSpec:
    """Read a model and derive how its stages are solved.

    **Arguments:** `source`: the path of a YAML file, or the text itself if it has a line break.

    **Returns:** the model; `.stages[name]` is the `FunctionalProblem` of a stage.

    **Raises:** `ModelError` with every error found, each with file, line, column and what to do.
    """
    return read_model(reader_of(source))


def reader_of(source: str | Path) -> Reader:
    """A reader on a file or on text; a file that cannot be read is a `ModelError`, too."""
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise TypeError(f"a model is read from a path or from text, found {source!r}")
    if isinstance(source, str) and "\n" in source:
        return Reader(read(source))
    path = Path(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        place = Mark(file=str(source))
        raise ModelError(Diagnostic("file", f"cannot read the file ({error.strerror})", place)) from None
    return Reader(read(content, path.name), Collector())
