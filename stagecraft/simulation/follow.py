"""Agents through all periods of a solved circuit, as one compiled program."""

import functools
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import where
from stagecraft.circuit.composer import period_at
from stagecraft.forward.agent import log_chance, log_odds, pass_through, record
from stagecraft.forward.walk import arrivals_of, survival_of, walk


@dataclass(frozen=True)
class Request:
    """What a simulation is asked for, static.

    **Attributes:** `start`: the stage where agents begin; `periods`: of an infinite horizon; `keep`: names of what is kept,
    `None` for everything; `values`: whether those are wanted.
    """

    start: str
    periods: int | None = None
    keep: tuple[str, ...] | None = None
    values: bool = False

    def of(self, stage: str, found: dict) -> dict:
        """What is kept of all that is written down in a stage."""
        if self.keep is None or stage in self.keep:
            return found
        return {name: x for name, x in found.items() if name in self.keep or f"{stage}.{name}" in self.keep}


class History(eqx.Module):
    """What became of agents.

    **Attributes:** `data`: `{stage: {variable: (periods, agents)}}`; `weights`: where they are wanted; `infeasible`: by stage
    and period how many agents had no choice, how many passed, and the first that had none; `names`: (stage, variables) in the
    order of what happens, which a dictionary loses in a transformation.
    """

    data: dict[str, dict[str, Float[Array, "periods agents"]]]
    weights: Float[Array, "periods agents"] | None
    infeasible: dict[str, tuple[Int[Array, " periods"], Int[Array, " periods"], Int[Array, " periods"]]]
    names: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)

    @property
    def ordered(self) -> dict[str, dict[str, Float[Array, "periods agents"]]]:
        """`data` in the order of what happens."""
        found = {stage: [n for n in names if n in self.data.get(stage, {})] for stage, names in self.names}
        return {stage: {n: self.data[stage][n] for n in names} for stage, names in found.items() if names}

    def meet(self, other: "History", active: Bool[Array, " agents"]) -> "History":
        """Agents of another type, `active`, among those of this one."""
        pick = lambda x, y: where(active, y, x)
        data, weights = jax.tree.map(pick, (self.data, self.weights), (other.data, other.weights))
        both = {name: _both(x, other.infeasible[name]) for name, x in self.infeasible.items()}
        return History(data, weights, both, self.names)


@functools.partial(jax.jit, static_argnames="request")
def follow(solved, truth, states, active, log_prob, key, *, request: Request) -> History:
    """Agents from the first period to the last.

    **Arguments:** `truth`: `None` where `solved` is true; `states`: on arrival of the first stage; `active`: who begins there;
    `log_prob`: of what was drawn of each before, `None` where no weights are wanted; `key`: of these agents.
    """
    structure, known = solved.structure, {}
    count = next(iter(states.values())).shape[0]
    entering, parts = {request.start: (states, active)}, []
    for kind, block in enumerate(structure.blocks):
        # Whoever comes from another kind of period, or begins here, may enter where nobody of this kind does.
        names = dict.fromkeys((*block.entries, *entering))
        entering = {n: entering.get(n) or _nobody(solved, n, count, states) for n in names}
        body = _scanned(solved, truth, key, request, kind, known)
        if request.periods is not None:
            _, found = jax.lax.scan(_over_and_over(body), (entering, log_prob), jnp.arange(request.periods))
        elif block.first == block.last:
            (entering, log_prob), found = body((entering, log_prob), jnp.asarray(block.first), last=True)
            found = jax.tree.map(lambda x: x[None], found)
        else:
            middle = jnp.arange(block.first, block.last)
            carry, found = jax.lax.scan(body, (entering, log_prob), middle)
            (entering, log_prob), last = body(carry, jnp.asarray(block.last), last=True)
            found = jax.tree.map(lambda x, y: jnp.concatenate([x, y[None]]), found, last)
        parts.append(found)
    _check_names(request.keep, known)
    spans = [request.periods or block.last - block.first + 1 for block in structure.blocks]
    names = [num.name for num in structure.stages]
    data, infeasible = ({n: _over_blocks([part[k] for part in parts], n, spans) for n in names} for k in range(2))
    weights = None if log_prob is None else jnp.concatenate([part[2] for part in parts])
    return History(data, weights, infeasible, tuple(known.items()))


def _check_names(keep, known):
    """Speak of a name that is nowhere."""
    names = {*known, *[n for found in known.values() for n in found], *[f"{s}.{n}" for s, ns in known.items() for n in ns]}
    for name in keep or ():
        if name not in names:
            there = "; ".join(f"{stage}: {', '.join(found)}" for stage, found in known.items())
            hint = "; for values give `values=True`" if name.rpartition(".")[2] == "value" else ""
            raise ValueError(f"`keep` names {name!r}, which no stage has{hint}. There are {there}")


def _scanned(solved, truth, key, request, kind, known):
    """A period as a plain function: JAX writes the text of what it scans, and that of a partial holds the whole circuit.

    It takes who is on arrival of each entry, with the log-probability of what each met so far, to where they stand at the next.

    **Arguments:** `kind`: of period; `known`: filled with the names of all that is written down.
    """
    world = solved if truth is None else truth

    def period(carry, t, last=False, clock=None):
        """**Arguments:** `clock`: the period by which draws are told apart, where it is not `t`."""
        (entering, log_prob), now = carry, period_at(solved, kind, t, last)
        own = jax.random.fold_in(key, t if clock is None else clock)

        def visit(name, people):
            (states, active), drawn = people, own
            if len(now.block.stages) > 1:
                drawn = jax.random.fold_in(own, now.block.stages.index(name))
            stage = now.stage(name) if truth is None else truth.build(name, t)
            step = pass_through(stage, now.decision(name), states, drawn)
            found = record(step, active, request.values)
            known[name] = tuple(found)
            bad = active & ~step.feasible
            counts = jnp.sum(bad), jnp.sum(active), jnp.argmax(bad)
            odds = None if log_prob is None else where(active, log_odds(stage, step), 0.0)
            links = [world.structure.blocks[kind].following(name, branch) for branch in step.posts]
            ends = [(link, *_depart(world, link, step, t, active, drawn, odds is not None)) for link in links]
            lived = sum(chance for _, _, chance in ends)
            return (request.of(name, found), counts, odds, lived), [(link, people) for link, people, _ in ends]

        kept, leaving = walk(now.block, entering, visit, _meet)
        data, infeasible, odds, lived = ({n: x[i] for n, x in kept.items()} for i in range(4))
        states, active = next(iter(entering.values()))
        reached = {n: leaving.get(n) or _nobody(solved, n, active.shape[0], states) for n in (leaving if last else entering)}
        if log_prob is None:
            return (reached, None), (data, infeasible, None)
        log_prob = sum(odds.values(), start=log_prob)
        weights = jnp.exp(log_prob - jax.lax.stop_gradient(log_prob))
        # Whether one lives on is drawn after everything that this period tells of.
        return (reached, log_prob + sum(lived.values())), (data, infeasible, weights)

    return period


def _over_and_over(period):
    """The only period of an infinite horizon, over and over; the clock tells draws apart."""
    return lambda carry, clock: period(carry, jnp.asarray(0), clock=clock)


def _depart(world, link, step, t, active, key, weighted) -> tuple[tuple, Any]:
    """Agents along a connection: their states, and who goes; where it is wanted the log-probability of who lives on."""
    posts = step.posts[link.branch]
    arriving, survival = arrivals_of(world, link, posts, t), survival_of(world, link, {**step.controls, **step.dcsn}, posts, t)
    goes = active & step.taken[link.branch]
    if survival is None:
        return (arriving, goes), 0.0
    lives = jax.random.uniform(jax.random.fold_in(key, 2_000_003), goes.shape, survival.dtype) < survival
    chance = log_chance(where(lives, survival, 1.0 - survival)) if weighted else 0.0
    return (arriving, goes & lives), where(goes, chance, 0.0) if weighted else 0.0


def _both(mine, others):
    """How many of either had no choice, how many passed, and the first of them."""
    (bad, inside, first), (more, passed, other) = mine, others
    earliest = where(bad == 0, other, where(more == 0, first, jnp.minimum(first, other)))
    return bad + more, inside + passed, earliest


def _nobody(solved, name, count, states):
    """An entry at which no agent is: any state of it, and a mask."""
    zeros = jnp.zeros(count, next(iter(states.values())).dtype)
    return dict.fromkeys(solved.structure.stage(name).dimensions("arvl"), zeros), jnp.zeros(count, bool)


def _meet(*parts):
    """Agents that come together on arrival of a stage from several branches: no agent is in two of them."""
    (states, active), *others = parts
    for arriving, goes in others:
        states = {name: where(goes, arriving[name], x) for name, x in states.items()}
        active = active | goes
    return states, active


def _over_blocks(parts, name, spans):
    """The records of a stage over all blocks: NaN, or zero agents, in periods without it."""
    some = next((part[name] for part in parts if name in part), {})

    def blank(x, span):
        fill = jnp.nan if jnp.issubdtype(x.dtype, jnp.floating) else 0
        return jnp.full((span, *x.shape[1:]), fill, x.dtype)

    pieces = [
        part[name] if name in part else jax.tree.map(lambda x, s=s: blank(x, s), some)
        for part, s in zip(parts, spans, strict=True)
    ]
    return jax.tree.map(lambda *xs: jnp.concatenate(xs), *pieces)
