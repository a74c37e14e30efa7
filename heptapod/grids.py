"""Grids: where the knots of a state lie, from bounds that may be parameters and so carry gradients."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
import sympy as sp
from jaxtyping import Array, Float

from heptapod._formula import Formula
from heptapod._numeric import number
from heptapod._parse import Scope
from heptapod._tree import Path, Reader
from heptapod.errors import did_you_mean

MOST = 10_000_000
_BOUNDED = ("type", "min", "max", "points")
# The one table of grids: what each type is, and the keys that it takes.
GRID_TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "linspace": ("equidistant knots", _BOUNDED),
        "geomspace": ("equidistant in logarithms; `min` above 0", _BOUNDED),
        "exp": ("equidistant after `nest` logarithms (2 if left out): dense near `min`", (*_BOUNDED, "nest")),
        "power": ("min + (max - min) x^p with x equidistant, `p: 2` if left out", (*_BOUNDED, "p")),
        "chebyshev": ("extrema of the Chebyshev polynomial, both bounds included", _BOUNDED),
        "list": ("`values`, a list or the name of a vector parameter, as a continuous grid", ("type", "values")),
        "int_range": ("the integers from `min` to `max`, a discrete set", ("type", "min", "max")),
    }
)
TYPES = tuple(GRID_TYPES)
GRID_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "type": "one of the types below; `list` where `values` are given, else `linspace`",
        "min": "first knot, a numeric slot; it gets a gradient if it names a parameter",
        "max": "last knot, likewise",
        "points": "the number of knots, an integer from `settings:`",
        "nest": "the number of logarithms of an `exp` grid",
        "p": "the exponent of a `power` grid",
        "values": "without a `type`: a discrete set, matched exactly",
        "nodes_of": "the nodes of a shock of this stage, or of `STAGE.shock`: a discrete set",
    }
)


@dataclass(frozen=True)
class Grid:
    r"""Knots between two bounds, or a discrete set.

    With $x$ equidistant on $[0, 1]$: `linspace` $l + (h-l)x$; `geomspace` $l\,(h/l)^x$; `power` $l + (h-l)x^p$; `exp` nests
    $\log(1+\cdot)$ `nest` times, so that knots are dense near `min` (Carroll's multi-exponential grid); `chebyshev` takes
    the extrema of the Chebyshev polynomial, both bounds included; `list` takes `values` (or the vector parameter `vector`)
    as they are; `nodes` the nodes of a shock, which the stage finds in its scope under the name `vector`.

    **Attributes:** `discrete`: whether the knots are all the values that there are, matched exactly.
    """

    type: str
    points: int
    minimum: Formula | None = None
    maximum: Formula | None = None
    values: tuple[Formula, ...] = ()
    curvature: float = 2.0
    vector: str | None = None
    discrete: bool = False

    def build(self, scope: Mapping) -> Float[Array, " points"]:
        """The knots at the values in `scope`, increasing if `min < max`."""
        # Bounds that name no parameter are weakly typed; the grid is of the model's own type.
        dtype = jnp.asarray(scope["t"]).dtype
        if self.vector is not None:
            return jnp.asarray(scope[self.vector], dtype)
        if self.values:
            return jnp.stack([value(scope).astype(dtype) for value in self.values])
        low, high = self.minimum(scope).astype(dtype), self.maximum(scope).astype(dtype)
        return place(self.type, low, high, self.points, self.curvature)


def nodes_key(stage: str, shock: str, dimension: str) -> str:
    """The name under which the nodes of a shock stand in the scope of a stage; no model can spell it."""
    return f"{stage}.{shock}.{dimension}"


def place(type: str, low, high, points: int, curvature: float = 2.0) -> Float[Array, " points"]:
    """Knots of a grid type between two bounds; the last knot is exactly `high`, the first exactly `low`."""
    dtype = jnp.result_type(float) if isinstance(low, (int, float)) else low.dtype
    low, high = jnp.asarray(low, dtype), jnp.asarray(high, dtype)
    x = jnp.asarray(np.linspace(0.0, 1.0, points), dtype)
    if type == "geomspace":
        inner = low * jnp.exp(x * jnp.log(high / low))
    elif type == "exp":
        length = high - low
        for _ in range(int(curvature)):
            length = jnp.log1p(length)
        inner = x * length
        for _ in range(int(curvature)):
            inner = jnp.expm1(inner)
        inner = low + inner
    else:
        shape = {"linspace": x, "power": x**curvature, "chebyshev": 0.5 * (1 - jnp.cos(jnp.pi * x))}[type]
        inner = low + (high - low) * shape
    return inner.at[0].set(low).at[-1].set(high)


def read_grid(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], shapes: Mapping, nodes: Mapping
) -> Grid | None:
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
    kind = reader.word((*path, "type"), TYPES, "a grid's `type`", "")
    if kind == "" and block.get("type") is not None:
        return None
    kind = kind or default
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
        reader.strange.add(path)
        reader.error("unknown-key", f"`{key}` is not a key of a grid of type {kind}", (*path, key),
                     help or f"the keys are {', '.join(keys)}", key=True)  # fmt: skip


def mentions(node, names: Set[str]) -> bool:
    """Whether some text in a block of the file contains one of the names."""
    if isinstance(node, str):
        return bool(names) and not names.isdisjoint(re.findall(r"\w+", node))
    parts = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    return any(mentions(part, names) for part in parts)


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
    if None in (low, high, points):
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
            return reader.error("reference", message, place, did_you_mean(str(name), nodes))
    if found is None or isinstance(found, str):
        return reader.collector.excuse()
    return Grid("nodes", found[1], vector=found[0], discrete=True)


def _read_list(reader, path, scope, shapes, discrete):
    """Listed values: numeric slots, or the name of a vector parameter."""
    if reader.get(path) is None:
        reader.missing("grid", "a grid of type list needs `values`", path[:-1])
        return None
    values, least = reader.get(path), 1 if discrete else 2
    name = values[0] if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str) else values
    if isinstance(name, str):
        shape = shapes.get(name)
        if shape is None or len(shape) != 1 or shape[0] < least:
            help = did_you_mean(name, [n for n, s in shapes.items() if len(s) == 1]) or "a list of numbers"
            what = "no parameter" if shape is None else f"no vector of at least {least}"
            reader.error("grid", f"`{name}` is {what} whose values could be taken", path, help)
            return None
        scope.used.add(str(name))
        return Grid("list", shape[0], vector=str(name), discrete=discrete)
    if not isinstance(values, list) or len(values) < least:
        reader.error("grid", f"the values must be a list of at least {least} numbers, or a vector parameter", path)
        return None
    slots = tuple(reader.slot((*path, i), scope) for i in range(len(values)))
    return None if None in slots else Grid("list", len(slots), values=slots, discrete=discrete)


def read_set(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], shapes: Mapping, nodes: Mapping
) -> Grid | None:
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


def read_size(reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], least: int = 1) -> int | None:
    """A size: an integer, or arithmetic over integer settings; it is static, so nothing traced may decide it."""
    expression = reader.expression(path, scope)
    if expression is None:
        return None
    traced = sorted(str(s) for s in expression.free_symbols if str(s) not in integers)
    if traced:
        reader.error("type", f"a size must not depend on `{traced[0]}`, which may change between solves", path,
                     "sizes are integers from `settings:`")  # fmt: skip
        return None
    value = expression.subs({s: integers[str(s)] for s in expression.free_symbols})
    if not value.is_Integer or not least <= value <= MOST:
        reader.error("type", f"a size must be an integer from {least} to {MOST}, found {sp.sstr(value)}", path)
        return None
    return int(value)


def check_grid(reader: Reader, path: Path, grid: Grid, scope: Mapping) -> None:
    """At the calibration: bounds in order, positive where a logarithm is taken, listed values increasing."""
    values = calibrated(grid, scope)
    if values is not None:
        if np.any(np.diff(values, axis=0) <= 0) and reader.once("values", grid.vector or path):
            reader.error("grid", "the listed values do not increase", (*path, "values"))
        return
    if grid.minimum is None:
        return
    low, high = np.broadcast_arrays(number(grid.minimum, scope), number(grid.maximum, scope))
    if np.any(low >= high):
        worst = np.argmax(np.ravel(low - high))
        message = f"min = {np.ravel(low)[worst]:g} is not below max = {np.ravel(high)[worst]:g}"
        reader.error("grid-bounds", message, (*path, "min"), key=True)
    elif grid.type == "geomspace" and np.any(low <= 0):
        reader.error("grid-bounds", "a geomspace grid needs min > 0", (*path, "min"), "use `type: exp` or `power`", key=True)


def calibrated(grid: Grid, scope: Mapping) -> np.ndarray | None:
    """The listed values at the calibration, knots first; `None` for any other grid, and for nodes."""
    if grid.vector is not None:
        value = scope.get(grid.vector)
        return None if value is None else np.moveaxis(np.asarray(value, float), -1, 0)
    if grid.values:
        return np.stack(np.broadcast_arrays(*[number(v, scope) for v in grid.values]))
    return None
