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
from stagecraft.circuit.composer import Composer, onward
from stagecraft.circuit.period import Period
from stagecraft.circuit.stage import Branches, Stage
from stagecraft.forward.mass import advance, clock
from stagecraft.households.population import Population, together


def kinds(structure, t: int) -> tuple[int, int]:
    """The positions of the blocks of a period and of the next; -1 after the last."""
    blocks = structure.blocks
    here = blocks.index(structure.block(t))
    if structure.horizon is not None and t == structure.horizon - 1:
        return here, -1
    return here, here if structure.horizon is None or t < blocks[here].last else here + 1


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


@functools.partial(jax.jit, static_argnames=("here", "there", "first", "jumps"))
def view(circuit, t: Int[Array, ""], here: int, there: int, first: bool, jumps: bool) -> Period:
    """A period with the solutions and the populations of its stages, if there are any; `first` for pushed period 0."""
    block, now = circuit.structure.blocks[here], clock(circuit, t)
    rows = jax.tree.map(lambda x: x[now - block.first], circuit.rows[here]) if circuit.rows is not None else {}
    period = Composer(circuit, block, now, rows, onward(circuit, now, there) if rows else None)
    stages = {name: period.stage(name) for name in period.block.stages}
    if circuit.rows is not None:
        for name, stage in stages.items():
            ends = dict(zip([b.name for b in stage.num.branches], period.continuations(name), strict=True))
            put = lambda perch, sol: dataclasses.replace(perch, sol=sol)
            cntn = (
                Branches({n: put(p, ends[n]) for n, p in stage.cntn.items()}) if stage.branching else put(stage.cntn, ends[""])
            )
            arvl, dcsn = put(stage.arvl, period.arrival(name)), put(stage.dcsn, period.decision(name))
            stages[name] = dataclasses.replace(stage, arvl=arvl, dcsn=dcsn, cntn=cntn)
    if circuit.dists is not None:
        passed, _ = advance(period, circuit.dists.entering(circuit, here, t, first), circuit.dists.refine, jumps)
        stages |= {name: _populated(stages[name], people) for name, people in passed.items()}
    return Period(stages, t, block.links)


def of_all_types(periods: list[Period]) -> Period:
    """The households of all types on one period's perches, `type` among their states; a solution is each type's own."""

    def perch(*same):
        dists = [p.dist if p.dist is None else _of_kind(p.dist, k) for k, p in enumerate(same)]
        return dataclasses.replace(same[0], sol=None, dist=None if dists[0] is None else together(*dists))

    def stage(*same):
        ends = (Branches({n: perch(*[s.cntn[n] for s in same]) for n in same[0].cntn}) if same[0].branching
                else perch(*[s.cntn for s in same]))  # fmt: skip
        arvl, dcsn = perch(*[s.arvl for s in same]), perch(*[s.dcsn for s in same])
        return dataclasses.replace(same[0], arvl=arvl, dcsn=dcsn, cntn=ends)

    stages = {name: stage(*[period.stages[name] for period in periods]) for name in periods[0].stages}
    return dataclasses.replace(periods[0], stages=stages)


def _of_kind(people: Population, kind: int) -> Population:
    """Households who know of what type they are, unless a state has that name."""
    return Population({"type": jnp.full_like(people.weights, kind), **people.states}, people.weights, people.sizes)


def _populated(stage: Stage, people) -> Stage:
    """A stage with the households on its perches."""
    put = lambda perch, dist: dataclasses.replace(perch, dist=dist)
    cntn = people.cntn
    ends = Branches({n: put(p, cntn[n]) for n, p in stage.cntn.items()}) if stage.branching else put(stage.cntn, cntn[""])
    return dataclasses.replace(stage, arvl=put(stage.arvl, people.arvl), dcsn=put(stage.dcsn, people.dcsn), cntn=ends)
