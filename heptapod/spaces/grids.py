"""Grids: where the knots of a state lie, from bounds that may be parameters and so carry gradients."""

import abc
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from heptapod.formulas.formula import Formula
from heptapod.formulas.in_numpy import number

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


class AbstractGrid(abc.ABC):
    """A grid of a user's own: the fields of the class are the keys of its block, `points` a size and any other a numeric slot.

    **Attributes:** `points`: the number of knots; `discrete`: whether the knots are all the values that there are.
    """

    points: int
    discrete = False
    even = False  # Whether the knots are equidistant.
    values: tuple[Formula, ...] = ()
    vector: str | None = None
    minimum: Formula | None = None
    maximum: Formula | None = None
    interface: ClassVar[Mapping[str, str]] = {
        "build": "build(self, scope) -> the knots, an increasing array of shape (points,); scope holds a number for every name",
    }

    @abc.abstractmethod
    def build(self, scope: Mapping) -> Float[Array, " points"]:
        """The knots at the values in `scope`, increasing; a field that is a formula has the value `self.name(scope)`."""

    @property
    def refined(self) -> "AbstractGrid":
        """The grid of twice as many cells."""
        return dataclasses.replace(cast(Any, self), points=2 * self.points - 1)


@dataclass(frozen=True)
class Grid(AbstractGrid):
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
        if self.minimum is None or self.maximum is None:
            listed = [value(scope).astype(dtype) for value in self.values]
            return self._between(jnp.asarray(scope[self.vector], dtype) if self.vector is not None else jnp.stack(listed))
        low, high = self.minimum(scope).astype(dtype), self.maximum(scope).astype(dtype)
        return place(self.type, low, high, self.points, self.curvature)

    @property
    def even(self) -> bool:
        """Whether the knots are equidistant."""
        return self.type == "linspace"

    @property
    def refined(self) -> "Grid":
        """The grid with every cell cut in two: its knots are knots again; a discrete set is as it was."""
        return self if self.discrete or self.points < 2 else dataclasses.replace(self, points=2 * self.points - 1)

    def _between(self, listed):
        """Listed knots, with those halfway between them where there are to be more of them."""
        while 1 < listed.shape[0] < self.points:
            middle = 0.5 * (listed[:-1] + listed[1:])
            listed = jnp.append(jnp.stack([listed[:-1], middle], axis=1).ravel(), listed[-1])
        return listed


# Name -> class of every grid type; `heptapod.GRIDS | {"mine": Mine}` adds one.
GRIDS: Mapping[str, type[AbstractGrid]] = MappingProxyType(dict.fromkeys(TYPES, Grid))


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


def calibrated(grid: AbstractGrid, scope: Mapping) -> np.ndarray | None:
    """The listed values at the calibration, knots first; `None` for any other grid, and for nodes."""
    if grid.vector is not None:
        value = scope.get(grid.vector)
        return None if value is None else np.moveaxis(np.asarray(value, float), -1, 0)
    if grid.values:
        return np.stack(np.broadcast_arrays(*[number(v, scope) for v in grid.values]))
    return None


def ends(grid: AbstractGrid | None, scope: Mapping) -> tuple[float, float] | None:
    """The least and the largest value at the calibration; `None` for nodes, and where a bound is not known yet."""
    values = None if grid is None else calibrated(grid, scope)
    if values is not None:
        return float(np.min(values)), float(np.max(values))
    if grid is None or grid.minimum is None or grid.maximum is None:
        return None
    if not (grid.minimum.names | grid.maximum.names) <= set(scope):
        return None
    low, high = (float(np.ravel(number(f, scope))[0]) for f in (grid.minimum, grid.maximum))
    return low, high
