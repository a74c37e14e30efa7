"""The households of period 0: numbers, samples, frames or distributions, checked and brought to weighted points."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft._cells import cells, homes, settle, spread
from stagecraft._initial import check_sets, start_of
from stagecraft.population import Population


def population_of(solved, initial, refine: int) -> dict[str, Population]:
    """Weighted points on arrival of the stage where households begin.

    Numbers stay what they are; arrays are put on the grids of their states by lottery.
    """
    start, initial = start_of(solved, initial)
    wanted = solved.structure.stage(start).dimensions("arvl")
    dtype = next(x.dtype for x in jax.tree.leaves(solved.rows) if jnp.issubdtype(x.dtype, jnp.floating))
    arrays, weights = _read(initial, wanted, dtype)
    for name, x in arrays.items():
        if not _traced(x) and not np.all(np.isfinite(x)):
            raise ValueError(f"`initial` gives values of {name} that are not finite")
    one = solved if solved.types is None else solved.of_type(0)
    check_sets(one, start, {name: jnp.atleast_1d(x) for name, x in arrays.items()})
    count = max((x.shape[0] for x in arrays.values() if x.ndim), default=1)
    weights = jnp.full(count, 1.0 / count, dtype) if weights is None else weights
    many = tuple(name for name, x in arrays.items() if x.ndim)
    _check_inside(one, start, arrays, weights)
    if not many:
        return {start: Population({name: x[None] for name, x in arrays.items()}, weights)}
    axes = tuple(axis for axis in cells(one, start, jnp.asarray(0), refine) if axis.name in many)
    mass = settle(axes, Population({name: arrays[name] for name in many}, weights)).mass
    people = spread(axes, mass)
    states = people.states | {name: jnp.broadcast_to(x, mass.size) for name, x in arrays.items() if not x.ndim}
    return {start: Population({name: states[name] for name in wanted}, people.weights)}


def _traced(x) -> bool:
    return isinstance(x, jax.core.Tracer)


def _read(initial, wanted, dtype):
    """Arrays by name, and weights where some are given."""
    weights = None
    if isinstance(initial, Population):
        initial, weights = initial.states, jnp.asarray(initial.weights, dtype)
    elif hasattr(initial, "columns"):
        frame, initial = initial, {name: np.asarray(initial[name]) for name in initial.columns}
        initial = {name: x for name, x in initial.items() if name in wanted or name == "weight" or x.dtype.kind in "fiub"}
        if "weight" in initial and "weight" not in wanted:
            weights = jnp.asarray(initial.pop("weight"), dtype)
            weights = weights / jnp.sum(weights)
        initial = {name: x for name, x in initial.items() if name in wanted}
        missing = [name for name in wanted if name not in initial]
        if missing:
            raise ValueError(f"`initial` has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    if not isinstance(initial, Mapping) or not set(wanted) <= set(initial) or (weights is None and set(initial) != set(wanted)):
        given = ", ".join(initial) if isinstance(initial, Mapping) and initial else "nothing"
        hint = "; rename it: dist.rename({...})" if weights is not None else ""
        raise ValueError(f"`initial` must give {', '.join(wanted)}; it gives {given}{hint}")
    arrays = {name: jnp.asarray(initial[name], dtype) for name in wanted}
    lengths = {x.shape[0] for x in arrays.values() if x.ndim == 1}
    if any(x.ndim > 1 for x in arrays.values()) or len(lengths) > 1 or lengths == {0}:
        raise ValueError("`initial` takes numbers, or arrays of one axis and one length, at least one entry long")
    return arrays, weights


def _check_inside(solved, start, arrays, weights):
    """Nobody begins beyond the grid on which the distribution lives."""
    found = homes(solved.structure)[start]
    for name, x in arrays.items():
        if found[name] is None or found[name][2].discrete or _traced(x) or _traced(weights):
            continue
        owner, perch, grid = found[name]
        knots = grid.build(solved.scope(owner, 0))
        if _traced(knots):
            continue
        x, low, high = np.atleast_1d(x), float(knots[0]), float(knots[-1])
        room = 1e-9 * (1.0 + max(abs(low), abs(high)))
        off = (x < low - room) | (x > high + room)
        if np.any(off & (np.broadcast_to(weights, x.shape) > 0)):
            raise ValueError(
                f"`initial` gives {name} = {x[np.argmax(off)]:g}, off the grid of stage {start}'s arrival, which runs from "
                f"{low:g} to {high:g} (declared at {owner}.{perch}); {np.mean(off):.1%} of the values are off it"
            )
