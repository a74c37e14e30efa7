"""A period to look at: its stages with the solutions and the households on their perches."""

import dataclasses
import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from stagecraft.arrays import traced
from stagecraft.circuit.composer import period_at
from stagecraft.circuit.period import Period
from stagecraft.forward.mass import advance, clock
from stagecraft.households.population import Population, together

# A look copies what it shows, so only the latest of each circuit are kept.
_LATEST = 16
_looks: dict[int, OrderedDict[int, Period]] = {}


def once(circuit, t: int, look: Callable[[int], Period]) -> Period:
    """Period `t` as it was looked at before, or `look(t)`: a concrete circuit never changes, so its stages are built once.

    What is looked at inside a transformation belongs to that, and is not kept.
    """
    if id(circuit) not in _looks:
        _looks[id(circuit)] = OrderedDict()
        weakref.finalize(circuit, _looks.pop, id(circuit), None)
    seen = _looks[id(circuit)]
    if t not in seen:
        found = look(t)
        if traced(found):
            return found
        seen[t] = found
    seen.move_to_end(t)
    if len(seen) > _LATEST:
        seen.popitem(last=False)
    return seen[t]


@functools.partial(jax.jit, static_argnames=("kind", "last", "first", "jumps"))
def view(circuit, t: Int[Array, ""], kind: int, last: bool, first: bool, jumps: bool) -> Period:
    """A period with the solutions and the populations of its stages, if there are any.

    **Arguments:** `kind`: the position of its block; `last`: whether it is the last of that; `first`: for pushed period 0.
    """
    block, now = circuit.structure.blocks[kind], clock(circuit, t)
    if circuit.stored is None:
        return Period({name: circuit.build(name, now) for name in block.stages}, t, block.links)
    period = period_at(circuit, kind, now, last)
    stages = {name: period.stage(name) for name in block.stages}
    if circuit.dists is not None:
        passed, _ = advance(period, circuit.dists.entering(circuit, kind, t, first), circuit.dists.refine, jumps)
        stages |= {name: stage for name, (stage, *_) in passed.items()}
    for name, stage in stages.items():
        ends = dict(zip(stage.ends, period.continuations(name), strict=True))
        stages[name] = stage.holding("sol", period.arrival(name), period.decision(name), ends)
    return Period(stages, t, block.links)


def of_all_types(periods: list[Period]) -> Period:
    """The households of all types on one period's perches, `type` among their states; a solution is each type's own."""

    def everybody(*perches):
        dists = [_of_kind(p.dist, k) for k, p in enumerate(perches) if p.dist]
        return together(*dists) if dists else None

    def stage(*same):
        ends = {n: everybody(*[s.ends[n] for s in same]) for n in same[0].ends}
        bare = same[0].holding("sol", None, None, dict.fromkeys(ends))
        return bare.holding("dist", everybody(*[s.arvl for s in same]), everybody(*[s.dcsn for s in same]), ends)

    stages = {name: stage(*[period.stages[name] for period in periods]) for name in periods[0].stages}
    return dataclasses.replace(periods[0], stages=stages)


def _of_kind(people: Population, kind: int) -> Population:
    """Households who know of what type they are, unless a state has that name."""
    return Population({"type": jnp.full_like(people.weights, kind), **people.states}, people.weights, people.sizes)
