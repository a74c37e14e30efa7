"""Simulating a solved circuit: shocks, choices and transitions, agent by agent, through the movers of every stage."""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from stagecraft._compose import Composer
from stagecraft._initial import check_sets, initial_states, start_of
from stagecraft._pass import ends_of, merged, pass_through
from stagecraft.model_circuit import ModelCircuit, check_solved, onward
from stagecraft.panel import Panel
from stagecraft.population import equal
from stagecraft.stage import Stage


def simulate(
    solved: ModelCircuit | Stage,
    initial: Mapping,
    *,
    agents: int | None = None,
    periods: int | None = None,
    key: PRNGKeyArray,
) -> Panel | Stage:
    """Follow agents from period 0 to the last; through one stage alone if a solved stage is given.

    Shocks are continuous draws through the same map as the quadrature nodes, so the panel is differentiable in every
    parameter of a normal or lognormal shock; the probabilities of a discrete one get no gradient from draws, nor do choices,
    which are drawn by inverting their distribution function. What agent `i` meets depends on `(key, i)` alone. Where a
    connection has `survival:`, who does not live on is nowhere from then on, with NaN in the panel.

    **Arguments:**

    - `initial`: for every state on arrival of the stage where households begin a number, or an array with one entry per
      agent; or `{STAGE: {...}}`.
    - `agents`: how many; the length of the arrays in `initial` if left out, or 10,000.
    - `periods`: how many periods of an infinite horizon; a finite one is followed to its end.
    - `key`: from `jax.random.key(seed)`.

    **Returns:** a `Panel`; for a stage, the stage with a `Population` as `dist` of every perch.

    **Raises:** `ValueError` for an unsolved circuit, wrong names or shapes, and for states at which no choice is feasible.
    """
    if not (isinstance(key, jax.Array) and (jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == jnp.uint32)):
        raise ValueError(f"`key` must be a random key such as jax.random.key(0), found {key!r}")
    if isinstance(solved, Stage):
        return _through(solved, initial, agents, key)
    check_solved(solved)
    start, initial = start_of(solved, initial)
    wanted = solved.structure.stage(start).dimensions("arvl")
    dtype = next(x.dtype for x in jax.tree.leaves(solved.rows) if jnp.issubdtype(x.dtype, jnp.floating))
    states = initial_states(wanted, dtype, initial, agents)
    check_sets(solved, start, states)
    periods = _periods(solved, periods)
    panel, feasible = (_simulate if solved.types is None else _by_type)(solved, states, key, start, periods)
    _check_feasible(panel, feasible, solved.structure.blocks)
    return panel


def _periods(solved, periods) -> int | None:
    """The number of periods of a stationary circuit."""
    horizon = solved.structure.horizon
    if horizon is None and (not isinstance(periods, int) or isinstance(periods, bool) or periods < 1):
        raise ValueError(f"the horizon is infinite; say for how many periods, `periods=200`, found {periods!r}")
    if horizon is not None and periods not in (None, horizon):
        raise ValueError(f"`periods` is for an infinite horizon; this one has {horizon} periods")
    return None if horizon is not None else periods


def _check_feasible(panel, feasible, blocks):
    """Speak of the stage where somebody was first left without a choice."""
    if any(isinstance(x, jax.core.Tracer) for x in feasible.values()):
        return
    found = []
    for name, good in feasible.items():
        inside = np.asarray(panel.inside(name))
        bad = inside & ~np.asarray(good)
        if bad.any():
            t, i = np.argwhere(bad)[0]
            rank = next(b.stages.index(name) for b in blocks if len(blocks) == 1 or b.first <= t <= b.last)
            found.append((t, rank, name, i, bad.sum() / inside.sum()))
    if found:
        t, _, name, i, share = min(found)
        raise ValueError(
            f"stage {name}: no feasible choice for {share:.1%} of the agent-periods, first for agent {i} in period {t}; "
            "give initial states from which bounds, constraints and `when:` leave room"
        )


def _through(stage: Stage, initial, agents, key) -> Stage:
    """Agents on arrival, at the decision and in the continuations of one solved stage."""
    if not stage.solved:
        raise ValueError(f"stage {stage.name} is not solved; call stagecraft.solve first")
    dtype = next(x.dtype for x in jax.tree.leaves(stage.dcsn.sol) if jnp.issubdtype(x.dtype, jnp.floating))
    states = initial_states(stage.arvl.dimensions, dtype, initial, agents)
    record, taken, posts, _ = pass_through(stage, stage.dcsn.sol, states, key)
    sample = lambda perch, x: dataclasses.replace(perch, dist=equal(x))
    if stage.branching:
        cntn = type(stage.cntn)({n: sample(p, posts[n] | {"taken": taken[n]}) for n, p in stage.cntn.items()})
    else:
        cntn = sample(stage.cntn, posts[""])
    arvl, dcsn = sample(stage.arvl, states | record["shocks"]), sample(stage.dcsn, record["dcsn"] | record["controls"])
    return dataclasses.replace(stage, arvl=arvl, dcsn=dcsn, cntn=cntn)


def _by_type(solved: ModelCircuit, states, key, start, periods):
    """Every agent is of one type, drawn by the weights; the same draws for all, so that a type changes nothing else."""
    count = next(iter(states.values())).shape[0]
    steps = jnp.cumsum(solved.types.weights)
    uniform = jax.random.uniform(jax.random.fold_in(key, 7_000_003), (count,), steps.dtype) * steps[-1]
    kind = jnp.sum(uniform[:, None] >= steps[:-1], axis=1)
    found = [_simulate(solved.of_type(k), states, key, start, periods) for k in range(len(solved.types))]
    pick = lambda *xs: jnp.take_along_axis(jnp.stack(xs), kind.reshape(1, 1, -1), axis=0)[0]
    data = jax.tree.map(pick, *[panel.data for panel, _ in found])
    feasible = jax.tree.map(pick, *[good for _, good in found])
    return Panel(data, solved.structure.calibration.age, kind), feasible


@functools.partial(jax.jit, static_argnames=("start", "periods"))
def _simulate(solved: ModelCircuit, states, key, start, periods):
    structure = solved.structure
    count = next(iter(states.values())).shape[0]
    entering = {start: (states, jnp.ones(count, bool))}
    records, feasible = [], []
    for i, block in enumerate(structure.blocks):
        # Whoever comes from another kind of period, or begins here, may enter where nobody of this kind does.
        names = dict.fromkeys((*block.entries, *entering))
        entering = {n: entering.get(n) or _nobody(solved, n, count, states) for n in names}
        body = functools.partial(_period, solved, block, i, key)
        if periods is not None:
            always = lambda entering, clock, body=body: body(entering, jnp.asarray(0), False, clock)
            _, found = jax.lax.scan(always, entering, jnp.arange(periods))
        elif block.first == block.last:
            entering, found = body(entering, jnp.asarray(block.first), True)
            found = jax.tree.map(lambda x: x[None], found)
        else:
            middle = jnp.arange(block.first, block.last)
            entering, found = jax.lax.scan(functools.partial(body, last=False), entering, middle)
            entering, last = body(entering, jnp.asarray(block.last), True)
            found = jax.tree.map(lambda x, y: jnp.concatenate([x, y[None]]), found, last)
        records.append(found[0])
        feasible.append(found[1])
    spans = [periods or block.last - block.first + 1 for block in structure.blocks]
    join = lambda parts, n: _joined(parts, n, spans)
    data = {num.name: join(records, num.name) for num in structure.stages}
    good = {num.name: join(feasible, num.name) for num in structure.stages}
    return Panel(data, structure.calibration.age), good


def _period(solved, block, position, key, entering, t, last, clock=None):
    """One period forward: who is on arrival of each entry, and where they stand at the next.

    **Arguments:** `clock`: the period by which draws are told apart, where it is not `t`.
    """
    following = onward(solved, t, _following(solved, position, last))
    rows = jax.tree.map(lambda x: x[t - block.first], solved.rows[position])
    period = Composer(solved, block, t, rows, following)
    inside, leaving, record, good = dict(entering), {}, {}, {}
    for number, name in enumerate(block.stages):
        states, here = inside[name]
        own = jax.random.fold_in(key, t if clock is None else clock)
        own = own if len(block.stages) == 1 else jax.random.fold_in(own, number)
        found, taken, posts, feasible = pass_through(period.stage(name), period.decision(name), states, own)
        record[name] = merged(here, arvl=states, **found, **ends_of(posts, taken))
        good[name] = feasible | ~here
        for branch, goes in taken.items():
            link = block.following(name, branch)
            box = leaving if link.crosses else inside
            arriving = {there: posts[branch][mine] for mine, there in link.mapping}
            scope = solved.scope(name, t) if link.constants or link.survival is not None else {}
            if link.survival is not None:
                goes = goes & _lives(jax.random.fold_in(own, 2_000_003), here.shape[0], link.survival(scope))
            arriving |= {n: jnp.full(here.shape, 1.0, here_dtype(states)) * f(scope) for n, f in link.constants}
            box[link.target] = _meet(box.get(link.target), arriving, here & goes)
    keep = entering if not last else leaving
    nobody = lambda n: _nobody(solved, n, here.shape[0], states)
    return {n: leaving.get(n) or nobody(n) for n in keep}, (record, good)


def _lives(key, count, survival):
    """Who lives on; the dead are nowhere from then on."""
    survival = jnp.asarray(survival)
    return jax.random.uniform(key, (count,), survival.dtype) < survival


def here_dtype(states):
    """The float type of agents' states."""
    return next(iter(states.values())).dtype


def _following(solved, position, last):
    if not last:
        return position
    return position + 1 if position + 1 < len(solved.structure.blocks) else -1


def _nobody(solved, name, count, states):
    """An entry at which no agent is: any state of it, and a mask."""
    zeros = jnp.zeros(count, here_dtype(states))
    return dict.fromkeys(solved.structure.stage(name).dimensions("arvl"), zeros), jnp.zeros(count, bool)


def _meet(before, arriving, here):
    """Agents that come together at a stage from several branches."""
    if before is None:
        return arriving, here
    states, there = before
    return {name: jnp.where(here, arriving[name], x) for name, x in states.items()}, here | there


def _joined(parts, name, spans):
    """The records of a stage over all blocks, NaN (or true) in periods without it."""
    some = next(part[name] for part in parts if name in part)

    def blank(x, span):
        fill = jnp.nan if jnp.issubdtype(x.dtype, jnp.floating) else True
        return jnp.full((span, *x.shape[1:]), fill, x.dtype)

    pieces = [
        part[name] if name in part else jax.tree.map(lambda x, s=s: blank(x, s), some)
        for part, s in zip(parts, spans, strict=True)
    ]
    return jax.tree.map(lambda *xs: jnp.concatenate(xs), *pieces)
