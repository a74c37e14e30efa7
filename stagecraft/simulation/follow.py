"""Agents through all periods of a solved circuit, as one compiled program."""

import functools
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from stagecraft.circuit.composer import Composer, onward
from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.forward.agent import log_chance, log_odds, pass_through, record


@dataclass(frozen=True)
class Wish:
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


class Followed(eqx.Module):
    """What became of agents.

    **Attributes:** `data`: `{stage: {variable: (periods, agents)}}`; `weights`: where they are wanted; `stranded`: by stage and
    period how many agents had no choice, how many passed, and the first that had none; `names`: (stage, variables) in the order
    of what happens, which a dictionary loses in a transformation.
    """

    data: dict[str, dict[str, Float[Array, "periods agents"]]]
    weights: Float[Array, "periods agents"] | None
    stranded: dict[str, tuple[Int[Array, " periods"], Int[Array, " periods"], Int[Array, " periods"]]]
    names: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)

    @property
    def ordered(self) -> dict[str, dict[str, Float[Array, "periods agents"]]]:
        """`data` in the order of what happens."""
        found = {stage: [n for n in names if n in self.data.get(stage, {})] for stage, names in self.names}
        return {stage: {n: self.data[stage][n] for n in names} for stage, names in found.items() if names}

    def meet(self, other: "Followed", here: Bool[Array, " agents"]) -> "Followed":
        """Agents of another type, `here`, among those of this one."""
        pick = lambda x, y: jnp.where(here, y, x)
        data, weights = jax.tree.map(pick, (self.data, self.weights), (other.data, other.weights))
        both = {name: _both(x, other.stranded[name]) for name, x in self.stranded.items()}
        return Followed(data, weights, both, self.names)


class Run(eqx.Module):
    """A solved circuit, the circuit of the truth if it is another one, the key of the agents, and what is asked for."""

    solved: ModelCircuit
    truth: ModelCircuit | None
    key: PRNGKeyArray
    wish: Wish = eqx.field(static=True)

    @property
    def world(self) -> ModelCircuit:
        """The circuit whose shocks, transitions and survival agents meet."""
        return self.solved if self.truth is None else self.truth


@functools.partial(jax.jit, static_argnames="wish")
def follow(solved, truth, states, here, told, key, *, wish: Wish) -> Followed:
    """Agents from the first period to the last.

    **Arguments:** `truth`: `None` where `solved` is true; `states`: on arrival of the first stage; `here`: who begins there;
    `told`: the logarithm of the probability of what was drawn of each before, `None` where no weights are wanted; `key`: of
    these agents.
    """
    run = Run(solved, truth, key, wish)
    structure, known = solved.structure, {}
    count = next(iter(states.values())).shape[0]
    entering = {wish.start: (states, here)}
    parts = []
    for i, block in enumerate(structure.blocks):
        # Whoever comes from another kind of period, or begins here, may enter where nobody of this kind does.
        names = dict.fromkeys((*block.entries, *entering))
        entering = {n: entering.get(n) or _nobody(solved, n, count, states) for n in names}
        body = _scanned(run, i, known)
        if wish.periods is not None:
            always = lambda carry, clock, body=body: body(carry, jnp.asarray(0), clock=clock)
            _, found = jax.lax.scan(always, (entering, told), jnp.arange(wish.periods))
        elif block.first == block.last:
            (entering, told), found = body((entering, told), jnp.asarray(block.first), last=True)
            found = jax.tree.map(lambda x: x[None], found)
        else:
            middle = jnp.arange(block.first, block.last)
            carry, found = jax.lax.scan(body, (entering, told), middle)
            (entering, told), last = body(carry, jnp.asarray(block.last), last=True)
            found = jax.tree.map(lambda x, y: jnp.concatenate([x, y[None]]), found, last)
        parts.append(found)
    _check_kept(wish.keep, known)
    spans = [wish.periods or block.last - block.first + 1 for block in structure.blocks]
    whole = lambda place, name: _joined([part[place] for part in parts], name, spans)
    data, stranded = ({num.name: whole(k, num.name) for num in structure.stages} for k in range(2))
    weights = None if told is None else jnp.concatenate([part[2] for part in parts])
    return Followed(data, weights, stranded, tuple(known.items()))


def _check_kept(keep, known):
    """Speak of a name that is nowhere."""
    names = {*known, *[n for found in known.values() for n in found], *[f"{s}.{n}" for s, ns in known.items() for n in ns]}
    for name in keep or ():
        if name not in names:
            there = "; ".join(f"{stage}: {', '.join(found)}" for stage, found in known.items())
            hint = "; for values give `values=True`" if name.rpartition(".")[2] == "value" else ""
            raise ValueError(f"`keep` names {name!r}, which no stage has{hint}. There are {there}")


def _scanned(run, position, known):
    """A period as a plain function: JAX writes the text of what it scans, and that of a partial holds the whole circuit."""

    def period(carry, t, last=False, clock=None):
        return _period(run, position, known, carry, t, last, clock)

    return period


def _period(run, position, known, carry, t, last, clock=None):
    """One period forward: who is on arrival of each entry, and where they stand at the next.

    **Arguments:** `known`: filled with the names of all that is written down; `carry`: by entry who is there, and how likely
    what they met so far was; `clock`: the period by which draws are told apart, where it is not `t`.
    """
    solved, block, (entering, told) = run.solved, run.solved.structure.blocks[position], carry
    following = onward(solved, t, _following(solved, position, last))
    rows = jax.tree.map(lambda x: x[t - block.first], solved.rows[position])
    period = Composer(solved, block, t, rows, following)
    inside, leaving, data, stranded, lived = dict(entering), {}, {}, {}, 0.0
    for number, name in enumerate(block.stages):
        states, here = inside[name]
        own = jax.random.fold_in(run.key, t if clock is None else clock)
        own = own if len(block.stages) == 1 else jax.random.fold_in(own, number)
        stage = period.stage(name) if run.truth is None else run.truth.build(name, t)
        passage = pass_through(stage, period.decision(name), states, own)
        found = record(passage, here, run.wish.values)
        known[name], data[name] = tuple(found), run.wish.of(name, found)
        if told is not None:
            told = told + jnp.where(here, log_odds(stage, passage), 0.0)
        bad = here & ~passage.feasible
        stranded[name] = jnp.sum(bad), jnp.sum(here), jnp.argmax(bad)
        for branch in passage.posts:
            link, arriving, goes, survival = _onward(run, position, t, name, branch, passage, own)
            if told is not None and survival is not None:
                chance = log_chance(jnp.where(goes, survival, 1.0 - survival))
                lived = lived + jnp.where(here & passage.taken[branch], chance, 0.0)
            box = leaving if link.crosses else inside
            box[link.target] = _meet(box.get(link.target), arriving, here & goes)
    keep = entering if not last else leaving
    nobody = lambda n: _nobody(solved, n, here.shape[0], states)
    weights = None if told is None else jnp.exp(told - jax.lax.stop_gradient(told))
    # Whether one lives on is drawn after everything that this period tells of.
    told = None if told is None else told + lived
    return ({n: leaving.get(n) or nobody(n) for n in keep}, told), (data, stranded, weights)


def _onward(run, position, t, name, branch, passage, key):
    """Along a connection: states under their new names, who goes on, and the share that does if not all do."""
    link = run.world.structure.blocks[position].following(name, branch)
    arriving, goes, survival = {there: passage.posts[branch][mine] for mine, there in link.mapping}, passage.taken[branch], None
    scope = run.world.scope(name, t) if link.constants or link.survival is not None else {}
    if link.survival is not None:
        survival = jnp.asarray(link.survival(scope))
        goes = goes & (jax.random.uniform(jax.random.fold_in(key, 2_000_003), goes.shape, survival.dtype) < survival)
    one = jnp.ones(goes.shape, _float(passage.arvl))
    return link, arriving | {n: one * formula(scope) for n, formula in link.constants}, goes, survival


def _both(mine, others):
    """How many of either were stranded, how many passed, and the first of them."""
    (bad, inside, first), (more, passed, other) = mine, others
    earliest = jnp.where(bad == 0, other, jnp.where(more == 0, first, jnp.minimum(first, other)))
    return bad + more, inside + passed, earliest


def _float(states):
    """The float type of agents' states."""
    return next(iter(states.values())).dtype


def _following(solved, position, last):
    if not last:
        return position
    return position + 1 if position + 1 < len(solved.structure.blocks) else -1


def _nobody(solved, name, count, states):
    """An entry at which no agent is: any state of it, and a mask."""
    zeros = jnp.zeros(count, _float(states))
    return dict.fromkeys(solved.structure.stage(name).dimensions("arvl"), zeros), jnp.zeros(count, bool)


def _meet(before, arriving, here):
    """Agents that come together at a stage from several branches."""
    if before is None:
        return arriving, here
    states, there = before
    return {name: jnp.where(here, arriving[name], x) for name, x in states.items()}, here | there


def _joined(parts, name, spans):
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
