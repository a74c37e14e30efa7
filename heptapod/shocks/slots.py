"""The parts that blocks of shocks share: slots for each dimension, sizes, vectors, matrices, and where they stand."""

from collections.abc import Mapping

import numpy as np

from heptapod.formulas.formula import Formula
from heptapod.formulas.in_numpy import number
from heptapod.parsing.fields import read_size
from heptapod.parsing.kinds import bracketed
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader, complete
from heptapod.shocks.vector import Matrix, Vector


def per_dimension(reader: Reader, path: Path, scope: Scope, d: int, default: float | None = None) -> tuple[Formula, ...] | None:
    """One slot per dimension; a single slot serves one dimension only. Without `default` the key is needed."""
    node = reader.get(path)
    if node is None and default is not None:
        return (Formula(("float", default)),) * d
    if node is None:
        return reader.missing("shock", f"`{path[-2]}` has no `{path[-1]}`", path[:-1])
    paths = [entry(reader, path, i) for i in range(len(node))] if isinstance(node, list) and not bracketed(node) else [path]
    slots = complete(reader.slot(p, scope) for p in paths)
    if slots is None:
        return None
    if len(slots) != d:
        reader.error("shape", f"`{path[-1]}` has {len(slots)} entries for {d} dimensions", path, "one for each dimension")
        return None
    return slots


def entry(reader: Reader, path: Path, i: int) -> Path:
    """Where the `i`-th entry stands: in the list at `path`, or at `path` itself."""
    node = reader.get(path)
    return (*path, i) if isinstance(node, list) and not bracketed(node) else path


def read_points(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], d: int, most: int
) -> tuple[int, ...] | None:
    """The number of nodes of each dimension; one number serves all. Their product is at most `most`."""
    node = reader.get(path)
    if node is None:
        return reader.missing("shock", f"`{path[-2]}` has no `n_points`", path[:-1], "the number of quadrature nodes")
    several = isinstance(node, list) and not bracketed(node)
    sizes = [read_size(reader, p, scope, integers) for p in ([(*path, i) for i in range(len(node))] if several else [path])]
    sizes = sizes if several else sizes * d
    if len(sizes) != d:
        reader.error("shape", f"`n_points` has {len(sizes)} entries for {d} dimensions", path)
        return None
    points = complete(sizes)
    total = 0 if points is None else int(np.prod(np.array(points, dtype=float)))
    if total > most:
        reader.error("shock", f"{total} quadrature nodes; at most {most} are computed", path)
        return None
    return points


def read_vector(reader: Reader, path: Path, scope: Scope, shapes: Mapping[str, tuple[int, ...]]) -> Vector | None:
    """A list of slots, or the name of a vector parameter."""
    node, key = reader.get(path), [step for step in path if isinstance(step, str)][-1]
    name = node[0] if bracketed(node) else node
    if reader.poisoned(path) or (isinstance(name, str) and scope.poisoned(name, shapes)):
        return reader.collector.poison()
    shape = shapes.get(name) if isinstance(name, str) else None
    if shape is not None and len(shape) == 1:
        return Vector(name=str(name), length=shape[0])
    if shape is not None and len(shape) > 1:
        reader.error("shape", f"`{name}` is {_times(shape)}; `{key}` takes a vector", path)
        return None
    if not isinstance(node, list) or not node:
        reader.error("shock", f"`{key}` must be a list, or the name of a vector parameter", path,
                     about=name if isinstance(name, str) else None)  # fmt: skip
        return None
    slots = complete(reader.slot((*path, i), scope) for i in range(len(node)))
    return None if slots is None else Vector(slots)


def read_matrix(reader: Reader, path: Path, scope: Scope, shapes: Mapping[str, tuple[int, ...]]) -> Matrix | None:
    """A list of rows, each a vector, or the name of a matrix parameter; square."""
    node = reader.get(path)
    name = node[0] if bracketed(node) else node
    if reader.poisoned(path) or (isinstance(name, str) and scope.poisoned(name, shapes)):
        return reader.collector.poison()
    shape = shapes.get(name, ()) if isinstance(name, str) else ()
    if isinstance(name, str) and len(shape) == 2 and shape[0] == shape[1]:
        return Matrix(name=str(name), length=shape[0])
    if shape:
        reader.error("shape", f"`{name}` is {_times(shape)}; `{path[-1]}` takes a square matrix", path)
        return None
    if not isinstance(node, list) or not node or bracketed(node):
        reader.error("shock", f"`{path[-1]}` must be a list of rows, or the name of a matrix parameter", path)
        return None
    rows = complete(read_vector(reader, (*path, i), scope, shapes) for i in range(len(node)))
    if rows is None:
        return None
    for i, row in enumerate(rows):
        if row.size != len(rows):
            message = f"`{path[-1]}` is not square: row {i + 1} has {row.size} entries, and there are {len(rows)} rows"
            reader.error("shape", message, (*path, i))
            return None
    return Matrix(rows)


def _times(shape):
    return "x".join(map(str, shape)) if len(shape) > 1 else f"a vector of {shape[0]}"


def refuse(reader: Reader, code: str, path: Path, formula: Formula, scope: Mapping, wrong, message: str) -> None:
    """An error where `wrong` holds of a formula's number in some period; the message may show it as `{value}`."""
    value = np.ravel(number(formula, scope))
    bad = wrong(value)
    if np.any(bad):
        reader.error(code, message.format(value=f"{value[np.argmax(bad)]:g}"), path)


def check_stochastic(reader: Reader, path: Path, probs: np.ndarray, of: str) -> None:
    """An error unless the numbers, in every period, are probabilities that sum to one over the last axis."""
    total, least = np.ravel(probs.sum(axis=-1)), np.ravel(probs.min(axis=-1))
    off = np.abs(total - 1) > 1e-8
    if np.any(least < 0):
        worst = int(np.argmin(least))
        message = f"a probability of {of} is negative: {least[worst]:g}"
    elif np.any(off):
        worst = int(np.argmax(off))
        message = f"the probabilities of {of} sum to {total[worst]:.6g}, not 1"
    else:
        return
    reader.error("stochastic", message + (f" in period {worst}" if total.size > 1 else ""), path)
