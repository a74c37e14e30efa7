"""The households of period 0: numbers, samples, frames or distributions, checked and brought to weighted points."""

import jax
import jax.numpy as jnp

from stagecraft._cells import cells, settle, spread
from stagecraft._initial import beyond, check_sets, read, start_of
from stagecraft.population import Population


def population_of(solved, initial, refine: int) -> dict[str, Population]:
    """Weighted points on arrival of the stage where households begin.

    Numbers stay what they are; arrays are put on the grids of their states by lottery.
    """
    start, initial = start_of(solved, initial)
    wanted = solved.structure.stage(start).dimensions("arvl")
    dtype = next(x.dtype for x in jax.tree.leaves(solved.rows) if jnp.issubdtype(x.dtype, jnp.floating))
    arrays, weights, _ = read(initial, wanted, dtype)
    if hasattr(initial, "columns") and weights is not None:
        weights = weights / jnp.sum(weights)
    one = solved if solved.types is None else solved.of_type(0)
    check_sets(one, start, arrays, weights)
    count = max((x.shape[0] for x in arrays.values() if x.ndim), default=1)
    weights = jnp.full(count, 1.0 / count, dtype) if weights is None else weights
    many = tuple(name for name, x in arrays.items() if x.ndim)
    for wrong in beyond(one, start, arrays, weights):
        raise ValueError(wrong)
    if not many:
        return {start: Population({name: x[None] for name, x in arrays.items()}, weights)}
    axes = tuple(axis for axis in cells(one, start, jnp.asarray(0), refine) if axis.name in many)
    mass = settle(axes, Population({name: arrays[name] for name in many}, weights)).mass
    people = spread(axes, mass)
    states = people.states | {name: jnp.broadcast_to(x, mass.size) for name, x in arrays.items() if not x.ndim}
    return {start: Population({name: states[name] for name in wanted}, people.weights)}
