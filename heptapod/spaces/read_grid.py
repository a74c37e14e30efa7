"""Reading a grid or a set: what its block says, checked at the calibration."""

from collections.abc import Mapping

import numpy as np

from heptapod.errors import did_you_mean
from heptapod.formulas.formula import Formula
from heptapod.formulas.in_numpy import number
from heptapod.parsing.fields import MOST, read_fields, read_size
from heptapod.parsing.kinds import bracketed
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader, complete
from heptapod.spaces.grids import GRID_KEYS, GRID_TYPES, TYPES, AbstractGrid, Grid, calibrated


def read_grid(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], shapes: Mapping, nodes: Mapping
) -> AbstractGrid | None:
    """One grid block; `None` after an error.

    **Arguments:**

    - `scope`: the names a numeric slot may use.
    - `integers`: the integer settings, the only names that may decide a number of points.
    - `shapes`: the shape in one period of every parameter in sight.
    - `nodes`: (key in the scope, number of nodes) by the spelling of a shock, `income` or `TENU.income`; a text says why not,
      `None` that the shock is in error; under `*`, that any may be.
    """
    block = reader.mapping(path, None, "a grid")
    if not block:
        reader.missing("grid", f"the grid of `{path[-1]}` is empty", path, "e.g. {type: exp, min: 0, max: 50, points: 100}")
        return None
    if "nodes_of" in block:
        return _read_nodes(reader, path, nodes)
    default = "list" if "values" in block else "linspace"
    users = reader.parts.grids
    kind = reader.word((*path, "type"), (*TYPES, *users), "a grid's `type`", "")
    if kind == "" and block.get("type") is not None:
        return None
    kind = kind or default
    if kind in users:
        values = read_fields(reader, path, f"a grid of type {kind}", users[kind], {"type"}, scope, integers)
        return None if values is None else users[kind](**values)
    _check_keys(reader, path, kind, block)
    if kind == "list":
        return _read_list(reader, (*path, "values"), scope, shapes, discrete=block.get("type") is None)
    if kind == "int_range":
        return _read_range(reader, path, scope, integers)
    return _read_bounded(reader, path, kind, block, scope, integers)


def _check_keys(reader, path, kind, block):
    """An error for every key that the type does not take, with the types that do."""
    keys = GRID_TYPES[kind][1]
    for key in (k for k in block if k not in keys):
        others = [t for t, (_, taken) in GRID_TYPES.items() if key in taken]
        help = f"it is a key of {', '.join(others)}" if others else did_you_mean(str(key), GRID_KEYS)
        reader.poison.add(path)
        reader.error("unknown-key", f"`{key}` is not a key of a grid of type {kind}", (*path, key),
                     help or f"the keys are {', '.join(keys)}", key=True)  # fmt: skip


def _read_bounded(reader, path, kind, block, scope, integers):
    missing = [k for k in ("min", "max", "points") if block.get(k) is None]
    if missing:
        reader.missing("grid", f"a grid of type {kind} needs {', '.join(f'`{k}`' for k in missing)}", path)
        return None
    low, high = (reader.slot((*path, k), scope) for k in ("min", "max"))
    points = read_size(reader, (*path, "points"), scope, integers, least=2)
    shape_key = "nest" if kind == "exp" else "p"
    curvature = block.get(shape_key, 2)
    if not isinstance(curvature, (int, float)) or isinstance(curvature, bool) or not 0 < curvature <= 20:
        reader.error("grid", f"`{shape_key}` must be a number in (0, 20]", (*path, shape_key))
        return None
    if kind == "exp" and curvature != int(curvature):
        reader.error("grid", "`nest` counts logarithms: an integer", (*path, shape_key))
        return None
    if low is None or high is None or points is None:
        return None
    return Grid(kind, points, low, high, (), float(curvature))


def _read_nodes(reader, path, nodes):
    reader.mapping(path, ("nodes_of",), "a grid of nodes")
    place = (*path, "nodes_of")
    node = reader.get(place)
    name = node[0] if isinstance(node, list) and len(node) == 1 else node
    found = nodes.get(str(name), "")
    if isinstance(found, str):
        message = found or f"no shock `{name}` whose nodes could be taken"
        if found or "*" not in nodes:
            return reader.error("reference", message, place, did_you_mean(str(name), nodes), about=f"shock {name}")
    if found is None or isinstance(found, str):
        return reader.collector.poison()
    return Grid("nodes", found[1], vector=found[0], discrete=True)


def _read_list(reader, path, scope, shapes, discrete):
    """Listed values: numeric slots, or the name of a vector parameter."""
    if reader.get(path) is None:
        reader.missing("grid", "a grid of type list needs `values`", path[:-1])
        return None
    values, least = reader.get(path), 1 if discrete else 2
    name = values[0] if bracketed(values) else values
    if isinstance(name, str) and scope.poisoned(name, shapes):
        return reader.collector.poison()
    if isinstance(name, str):
        shape = shapes.get(name)
        if shape is None or len(shape) != 1 or shape[0] < least:
            help = did_you_mean(name, [n for n, s in shapes.items() if len(s) == 1]) or "a list of numbers"
            what = "no parameter" if shape is None else f"no vector of at least {least}"
            reader.error("grid", f"`{name}` is {what} whose values could be taken", path, help, about=name)
            return None
        scope.used.add(str(name))
        return Grid("list", shape[0], vector=str(name), discrete=discrete)
    if not isinstance(values, list) or len(values) < least:
        reader.error("grid", f"the values must be a list of at least {least} numbers, or a vector parameter", path)
        return None
    slots = complete(reader.slot((*path, i), scope) for i in range(len(values)))
    return None if slots is None else Grid("list", len(slots), values=slots, discrete=discrete)


def read_set(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], shapes: Mapping, nodes: Mapping
) -> AbstractGrid | None:
    """The set of a discrete control or state: a grid block of a discrete kind, a list, or the name of a vector parameter."""
    if isinstance(reader.get(path), Mapping):
        grid = read_grid(reader, path, scope, integers, shapes, nodes)
        if grid is not None and not grid.discrete:
            reader.error("grid", "a discrete set is needed here", path, "`values: [...]`, `int_range` or `nodes_of`")
            return None
        return grid
    return _read_list(reader, path, scope, shapes, discrete=True)


def _read_range(reader, path, scope, integers):
    missing = [k for k in ("min", "max") if reader.get((*path, k)) is None]
    if missing:
        reader.missing("grid", f"a grid of type int_range needs {', '.join(f'`{k}`' for k in missing)}", path)
        return None
    low, high = (read_size(reader, (*path, k), scope, integers, least=-MOST) for k in ("min", "max"))
    if low is None or high is None:
        return None
    if not low <= high or high - low >= 100_000:
        reader.error("grid-bounds", f"the integers from {low} to {high} are no set of 1 to 100000", (*path, "min"), key=True)
        return None
    values = tuple(Formula(("num", i, 1)) for i in range(low, high + 1))
    return Grid("int_range", len(values), values=values, discrete=True)


def check_grid(reader: Reader, path: Path, grid: AbstractGrid, scope: Mapping) -> None:
    """At the calibration: bounds in order, positive where a logarithm is taken, listed values increasing."""
    values = calibrated(grid, scope)
    if values is not None:
        if np.any(np.diff(values, axis=0) <= 0):
            reader.error("grid", "the listed values do not increase", (*path, "values"), about=grid.vector)
        return
    if grid.minimum is None or grid.maximum is None:
        return
    low, high = np.broadcast_arrays(number(grid.minimum, scope), number(grid.maximum, scope))
    if np.any(low >= high):
        worst = np.argmax(np.ravel(low - high))
        message = f"min = {np.ravel(low)[worst]:g} is not below max = {np.ravel(high)[worst]:g}"
        reader.error("grid-bounds", message, (*path, "min"), key=True)
    elif isinstance(grid, Grid) and grid.type == "geomspace" and np.any(low <= 0):
        reader.error("grid-bounds", "a geomspace grid needs min > 0", (*path, "min"), "use `type: exp` or `power`", key=True)
