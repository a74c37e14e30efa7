"""Checking model files without solving them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from heptapod.errors import Diagnostic, ModelError
from heptapod.load import reader_of
from heptapod.read_model import read_model


def check(source: str | Path | Mapping) -> tuple[Diagnostic, ...]:
    """Everything there is to say about a model file: errors, warnings and notes, in the order of the file.

    **Arguments:** `source`: a path, text, or dictionaries, as `load` takes them.

    **Returns:** the diagnostics; none for a file in order. Nothing is raised for a wrong model.
    """
    try:
        reader = reader_of(source)
    except ModelError as error:
        return error.diagnostics
    try:
        read_model(reader)
    except ModelError:
        pass  # The collector has them all, with the warnings beside the errors.
    return reader.collector.diagnostics


def run(arguments: Sequence[str]) -> tuple[str, int]:
    """What `python -m heptapod check FILE...` prints, and its exit status: 1 if any file has an error.

    **Arguments:** `arguments`: of the command line, `check` first.
    """
    if len(arguments) < 2 or arguments[0] != "check":
        return "usage: python -m heptapod check FILE... | python -m heptapod schema", 2
    lines, status = [], 0
    for file in arguments[1:]:
        found = check(Path(file))
        errors = sum(d.severity == "error" for d in found)
        status = max(status, int(errors > 0))
        lines += [str(d) for d in found]
        lines.append(f"{file}: {errors} error{'s' * (errors != 1)}, {len(found) - errors} other")
    return "\n".join(lines), status
