"""The households of period 0: numbers, samples, frames or distributions, checked and brought to weighted points."""

import jax.numpy as jnp

from stagecraft._cells import cells, settle, spread
from stagecraft._initial import Beginning, beginnings, beyond, check_sets
from stagecraft.population import Population


def population_of(solved, initial, refine: int, kind: int | None = None) -> dict[str, Population]:
    """Weighted points on arrival of the stages where households begin.

    Numbers stay what they are; arrays are put on the grids of their states by lottery.

    **Arguments:** `kind`: a type, if there are any; it has those who are said to be of it, or its weight's part of all.
    """
    one = solved if kind is None else solved.of_type(kind)
    share = 1.0 if kind is None else solved.types.weights[kind]
    return {start: _placed(one, start, x, _weights(x, kind, share), refine) for start, x in beginnings(solved, initial).items()}


def _weights(beginning: Beginning, kind, share):
    """Of every entry; of a sample one in all."""
    count, some = beginning.count or 1, next(iter(beginning.states.values()))
    weights = jnp.full(count, 1.0 / count, some.dtype) if beginning.weights is None else beginning.weights
    return weights * share if beginning.kinds is None else jnp.where(beginning.kinds == kind, weights, 0.0)


def _placed(solved, start, beginning: Beginning, weights, refine) -> Population:
    """Numbers as they are, arrays on the grids of their states."""
    arrays = beginning.states
    check_sets(solved, start, arrays, weights)
    for wrong in beyond(solved, start, arrays, weights):
        raise ValueError(wrong)
    many = tuple(name for name, x in arrays.items() if x.ndim)
    if not many:
        return Population({name: x[None] for name, x in arrays.items()}, jnp.sum(weights)[None])
    axes = tuple(axis for axis in cells(solved, start, jnp.asarray(0), refine) if axis.name in many)
    mass = settle(axes, Population({name: arrays[name] for name in many}, weights)).mass
    people = spread(axes, mass)
    states = people.states | {name: jnp.broadcast_to(x, mass.size) for name, x in arrays.items() if not x.ndim}
    return Population({name: states[name] for name in arrays}, people.weights)
