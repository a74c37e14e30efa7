"""Grids: where the knots of a state lie, from bounds that may be parameters and so carry gradients."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import sympy as sp
from jaxtyping import Array, Float

from heptapod._formula import Formula
from heptapod._numeric import number
from heptapod._parse import Scope
from heptapod._tree import Path, Reader

MOST = 10_000_000
TYPES = ("linspace", "geomspace", "exp", "power", "chebyshev", "list")
_BOUNDED = ("type", "min", "max", "points")
KEYS = {"list": ("type", "values"), "exp": (*_BOUNDED, "nest"), "power": (*_BOUNDED, "p")}


@dataclass(frozen=True)
class Grid:
    r"""Knots between two bounds.

    With $x$ equidistant on $[0, 1]$: `linspace` $l + (h-l)x$; `geomspace` $l\,(h/l)^x$; `power` $l + (h-l)x^p$; `exp` nests
    $\log(1+\cdot)$ `nest` times, so that knots are dense near `min` (Carroll's multi-exponential grid); `chebyshev` takes
    the extrema of the Chebyshev polynomial, both bounds included; `list` takes `values` as they are.
    """

    type: str
    points: int
    minimum: Formula | None = None
    maximum: Formula | None = None
    values: tuple[Formula, ...] = ()
    curvature: float = 2.0

    def build(self, scope: Mapping) -> Float[Array, " points"]:
        """The knots at the values in `scope`, increasing if `min < max`."""
        # Bounds that name no parameter are weakly typed; the grid is of the model's own type.
        dtype = jnp.asarray(scope["t"]).dtype
        if self.type == "list":
            return jnp.stack([value(scope).astype(dtype) for value in self.values])
        low, high = self.minimum(scope).astype(dtype), self.maximum(scope).astype(dtype)
        return place(self.type, low, high, self.points, self.curvature)


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


def read_grid(reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int]) -> Grid | None:
    """One grid block; `None` after an error.

    **Arguments:** `scope`: the names a numeric slot may use; `integers`: the integer settings, the only names that may
    decide a number of points.
    """
    block = reader.mapping(path, None, "a grid")
    default = "list" if "values" in block else "linspace"
    kind = reader.word((*path, "type"), TYPES, "a grid's `type`", default)
    reader.mapping(path, KEYS.get(kind, _BOUNDED), f"a grid of type {kind}")
    if kind == "list":
        return _read_list(reader, path, scope)
    missing = [k for k in ("min", "max", "points") if k not in block]
    if missing:
        reader.error("grid", f"a {kind} grid needs {', '.join(f'`{k}`' for k in missing)}", path, key=True)
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


def _read_list(reader, path, scope):
    values = reader.get((*path, "values"))
    if not isinstance(values, list) or len(values) < 2:
        reader.error("grid", "`values` must be a list of at least two numbers", (*path, "values"))
        return None
    slots = tuple(reader.slot((*path, "values", i), scope) for i in range(len(values)))
    return None if None in slots else Grid("list", len(slots), values=slots)


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
    if grid.type == "list":
        values = np.stack(np.broadcast_arrays(*[number(v, scope) for v in grid.values]))
        if np.any(np.diff(values, axis=0) <= 0):
            reader.error("grid", "the listed values do not increase", (*path, "values"))
        return
    low, high = np.broadcast_arrays(number(grid.minimum, scope), number(grid.maximum, scope))
    if np.any(low >= high):
        worst = np.argmax(np.ravel(low - high))
        message = f"min = {np.ravel(low)[worst]:g} is not below max = {np.ravel(high)[worst]:g}"
        reader.error("grid-bounds", message, (*path, "min"), key=True)
    elif grid.type == "geomspace" and np.any(low <= 0):
        reader.error("grid-bounds", "a geomspace grid needs min > 0", (*path, "min"), "use `type: exp` or `power`", key=True)
