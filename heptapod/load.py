"""Reading a model file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from heptapod.circuit_spec import CircuitSpec
from heptapod.dialect.parts import Parts, added, check_functions
from heptapod.errors import Collector
from heptapod.formulas.builtins import BUILTINS
from heptapod.parsing.reader import Reader
from heptapod.problem.solutions import HORSES, AbstractSolution
from heptapod.read_model import read_model
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.read import SHOCKS
from heptapod.spaces.grids import GRIDS, AbstractGrid
from heptapod.text.bundle import assemble
from heptapod.text.dictionary import document_of
from heptapod.text.shared import share
from heptapod.text.yaml import read


def load(
    source: str | Path | Mapping,
    *,
    horses: Mapping[str, type] | None = None,
    shocks: Mapping[str, type] | None = None,
    grids: Mapping[str, type] | None = None,
    functions: Mapping[str, Callable] | None = None,
) -> CircuitSpec:
    """Read a model and derive how its stages are solved.

    **Arguments:**

    - `source`: the path of a YAML file or of a folder with a master file, the text itself if it has a line break, or the same
      tree as dictionaries, in which tuples, NumPy numbers and arrays may stand for lists and numbers.
    - `horses`, `shocks`, `grids`: `HORSES | {"mine": Mine}` and so on: records of methods, laws and grids by the names that
      the file says, `solution: mine`, `shock_method: mine`, `type: mine`.
    - `functions`: elementwise JAX functions that equations may call by name.

    **Returns:** the model; `.stages[name]` is the `FunctionalProblem` of a stage.

    **Raises:** `ModelError` with every error found, each with file, line, column and what to do; in dictionaries with the path,
    `stages.CONS.math.functions.Q`, in place of file and line. `TypeError` for a part that lacks a method.
    """
    return read_model(reader_of(source, parts_of(horses, shocks, grids, functions)))


def parts_of(horses=None, shocks=None, grids=None, functions=None) -> Parts:
    """A user's parts, checked: what `load` takes."""
    return Parts(
        added("horses", horses, HORSES, AbstractSolution),
        added("shocks", shocks, SHOCKS, AbstractShock),
        added("grids", grids, GRIDS, AbstractGrid),
        check_functions(functions, BUILTINS),
    )


def reader_of(source: str | Path | Mapping, parts: Parts = Parts()) -> Reader:
    """A reader on a file with its imports, a folder, text, or dictionaries; what cannot be read is a `ModelError`, too."""
    if isinstance(source, Mapping):
        return Reader(share(document_of(source)), parts=parts)
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise TypeError(f"a model is read from a path, from text or from a dictionary, found {source!r}")
    if isinstance(source, str) and "\n" in source:
        return Reader(share(read(source)), parts=parts)
    document = share(assemble(Path(source)))
    collector = Collector()
    for found in getattr(document, "found", ()):
        collector.add(found)
    return Reader(document, collector, parts)
