"""Atoms where a solve asked, carried on by the code that carries households, and what the stored functions say where they land.

Whatever a solve keeps or composes is, at the points at which it was asked, the reward there and what comes after. Whoever stands
at such a point is carried by the push's and the panel's own code to where the functions of what comes after are evaluated, all
nodes of shocks, branches and discrete controls of them, and nothing is rounded to cells:

    <V, mu> = <reward + sigma * entropy of the choice, mu> + <Q_V V', push mu>.

Every point is an atom of its own, so the identity holds for each mass on them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft.circuit.composer import period_at
from stagecraft.forward import agent, mass
from stagecraft.forward.walk import arrivals_of
from stagecraft.functionals.axes import along
from stagecraft.functionals.searched import SearchedDecision
from stagecraft.horses.solution import Rows, Table
from stagecraft.households.cells import cells, spread
from stagecraft.households.population import Population, together

SHARES = (0.1, 0.5, 0.9)  # Of the way up to the first knot: states on a constrained branch, whose value is not interpolated.
BESIDE = 1.1e-11  # How near a landing is to where the solve asked: an open end is asked just above itself.


class Balance(NamedTuple):
    """Both sides of the identity at the points of one perch.

    **Attributes:** `value`: what the functional object says; `pushed`: reward, entropy, and what those who left found where
    they landed; `asked`: whether the solve asked there, and somebody can live there; `met`: whether the panel's agents are
    where the push sends those who choose as they do.
    """

    value: np.ndarray
    pushed: np.ndarray
    asked: np.ndarray
    met: np.ndarray

    @property
    def gap(self) -> float:
        """The largest difference, relative to the value or to one."""
        gaps = np.abs(self.value - self.pushed) / (1 + np.abs(self.value))
        return float(np.max(np.where(self.asked, gaps, 0.0), initial=0.0))


def balances(solved, t: int) -> dict[tuple[str, str], Balance]:
    """The identity at every perch of a period where values are stored or composed, by stage and perch."""
    structure = solved.structure
    kind = 0 if structure.horizon is None else structure.blocks.index(structure.block(t))
    last = structure.horizon is not None and t == structure.blocks[kind].last
    found = _period(solved, jnp.asarray(t), kind=kind, last=last)
    return {place: Balance(*np.broadcast_arrays(*map(np.asarray, sides))) for place, sides in found.items()}


@functools.partial(jax.jit, static_argnames=("kind", "last"))
def _period(solved, t, kind, last):
    period, found, inside = period_at(solved, kind, t, last), {}, {}
    for name in period.block.stages:
        people = together(*inside[name]) if name in inside else _on_cells(period, name)
        found[name, "arvl"], at = _arrival(period, name, people)
        if isinstance(period.stored.get(name), Table) and solved.structure.horizon is not None:
            found[name, "kept on arvl"] = _kept_on_arrival(period, name)
        decision = _decision_of(period, name)
        if isinstance(decision, SearchedDecision):
            found[name, "kept on cntn"] = _kept_on_continuation(period, name, decision)
        own = None
        if hasattr(decision, "stored"):
            at, own = _knots(decision)
        found[name, "dcsn"], ends = _decision(period, name, decision, at, own)
        if own is not None:
            found[name, "choice"] = _choice(decision, at)
        for link, there in ends:
            if not link.crosses:
                inside.setdefault(link.target, []).append(there)
    return found


def _decision_of(period, name):
    """The decision; for ever what is stored is found once more, since a fixed point is one to its tolerance only."""
    stored = period.stored.get(name)
    if period.circuit.structure.horizon is not None or stored is None or isinstance(stored, Table):
        return period.decision(name)
    return period.stage(name).cntn_to_dcsn.operator(*period.continuations(name))


def _on_cells(period, name) -> Population:
    """One on every cell of the arrival."""
    axes = cells(period.circuit, name, period.t)
    return spread(axes, jnp.ones(tuple(axis.values.shape[0] for axis in axes)))


def _arrival(period, name, people):
    """The value on arrival against the decision's at all nodes of the shocks; and the states there."""
    stage, num, states = period.stage(name), period.circuit.structure.stage(name), people.states
    answer, scope = period.composed(name).at(states), period.circuit.scope(name, period.t)
    shocks, at, odds = mass.drawn(stage, states)
    worth, odds = period.decision(name).at(at), odds.reshape(-1, answer.value.shape[0])
    before = {n: jnp.tile(x, odds.shape[0]) for n, x in states.items()}
    mean = lambda x: jnp.sum(jnp.where(odds > 0, odds * (x * jnp.ones(odds.size)).reshape(odds.shape), 0.0), axis=0)
    arrive = lambda v: num.aggregator(scope, states, tuple(map(mean, num.integrands(scope, before, shocks, v))))
    reward, pushed = jax.jvp(arrive, (jnp.zeros_like(worth.value),), (worth.value,))
    good = answer.feasible & jnp.all(worth.feasible.reshape(odds.shape) | (odds == 0), axis=0)
    return (answer.value, reward + pushed, good, True), at


def _kept_on_arrival(period, name):
    """Values that are stored on the cells of an arrival against those that are composed there."""
    states = _on_cells(period, name).states
    kept, composed = period.arrival(name).at(states), period.composed(name).at(states)
    return kept.value, composed.value, kept.feasible & composed.feasible, True


def _kept_on_continuation(period, name, decision):
    """A continuation that is kept on its grid against what follows."""
    continuation = period.continuation(name, "")
    points, _ = period.stage(name).cntn_to_dcsn.operator.ask(continuation)
    kept, after = decision.after.at(_flat(points)), continuation.at(_flat(points))
    return kept.value, after.value, kept.feasible & after.feasible, True


def _flat(states):
    whole = jnp.broadcast_shapes(*[x.shape for x in states.values()])
    return {name: jnp.broadcast_to(x, whole).ravel() for name, x in states.items()}


def _knots(decision):
    """The knots of every row, and some below the first one; with the position of the discrete controls, if there are any."""
    axes = (*decision.axes, *decision.options)
    sizes = tuple(axis.values.shape[0] for axis in axes)
    line = decision.stored.state.reshape(*sizes, -1)
    if isinstance(decision.stored, Rows):
        line = jnp.concatenate([*[share * line[..., :1] for share in SHARES], line], axis=-1)
    passive = dict(zip([axis.name for axis in decision.axes], along(axes, 1), strict=False))
    if not decision.options:
        return _flat({decision.state: line, **passive}), None
    before, count = len(decision.axes), len(decision.labels)
    own = jnp.arange(count).reshape((1,) * before + sizes[before:] + (1,))
    return _flat({decision.state: line, **passive}), jnp.broadcast_to(own, line.shape).ravel()


def _decision(period, name, decision, at, own):
    """The value at the decision against the rewards there and the values where those who decided land; and who goes where."""
    stage, num = period.stage(name), period.circuit.structure.stage(name)
    count, answer, scope = next(iter(at.values())).shape[0], decision.at(at), period.circuit.scope(name, period.t)
    dcsn, cntn, _ = mass.from_decision(stage, decision, at, {}, jnp.ones(count))
    step = agent.from_decision(stage, decision, ({}, {}, at), jax.random.key(0))
    discrete = [n for n, _ in num.discrete]
    tagged = {f"{n}[~]": dcsn.states[n] for n in num.dimensions("dcsn")}
    tagged |= {n: dcsn.states[n] for n in (*num.controls, *discrete)}
    value, good, pushed = answer.value, answer.feasible, jnp.zeros(count)
    if own is not None:
        # A row has its knots at one value of the discrete controls; at others it is read between knots.
        stack, chosen = decision.stack(at), jax.nn.one_hot(own, len(decision.labels), axis=0)
        value, good = (jnp.sum(chosen * x, axis=0) for x in (stack.value, stack.feasible))
        good = good > 0
    elif num.choice is not None and num.choice.by != "nature" and len(answer.probability) > 1:
        pushed = _entropy(stage.cntn_to_dcsn.operator.problem.scale, answer.probability)
    met, ends, by_point = True, [], lambda x: (x * jnp.ones_like(dcsn.weights)).reshape(-1, count)
    for branch in num.branches:
        link, people = period.block.following(name, branch.name), cntn[branch.name]
        landed, near = _where_asked(period, name, decision, people.states)
        if isinstance(decision, SearchedDecision):
            after = decision.after.at(landed)
        else:
            target = period.onward(link.target) if link.crosses else period.arrival(link.target)
            after = target.at(arrivals_of(period.circuit, link, landed, period.t))
        keys, formula = scope | tagged | {f"{n}[>]": x for n, x in landed.items()}, branch.recorded or branch.objective
        objective = lambda v, keys=keys, formula=formula: formula({**keys, "V[>]": v}) * jnp.ones_like(v)
        reward, discounted = jax.jvp(objective, (jnp.zeros_like(after.value),), (after.value,))
        odds = by_point(people.weights) if own is None else chosen
        pushed += jnp.sum(jnp.where(odds > 0, odds * by_point(reward + discounted), 0.0), axis=0)
        good &= jnp.all(by_point(near & after.feasible) > 0, axis=0, where=odds > 0)
        same = functools.reduce(jnp.logical_and, [by_point(x) == step.posts[branch.name][n] for n, x in people.states.items()])
        alike = [by_point(dcsn.states[n]) == step.controls[n] for n in discrete]
        met &= jnp.all(same, axis=0, where=functools.reduce(jnp.logical_and, alike, by_point(people.weights) > 0))
        ends.append((link, Population(arrivals_of(period.circuit, link, people.states, period.t), people.weights)))
    return (value, pushed, good, met), ends


def _where_asked(period, name, decision, posts):
    """Who lands where the solve asked, put there to the digit: on knots of the post-state, a row each."""
    if not isinstance(getattr(decision, "stored", None), Rows):
        return posts, True
    operator = period.stage(name).cntn_to_dcsn.operator
    asked, _ = operator.ask(period.continuation(name, ""))
    asked = asked[operator.post]
    rows = tuple(axis.values.shape[0] for axis in (*decision.axes, *decision.options))
    asked = jnp.broadcast_to(asked, (*rows, asked.shape[-1])).reshape(-1, 1, asked.shape[-1])
    x = posts[operator.post].reshape(-1, asked.shape[0], decision.stored.state.shape[-1] + len(SHARES))
    place = jnp.argmin(jnp.abs(x[..., None] - asked), axis=-1)[..., None]
    nearest = jnp.take_along_axis(jnp.broadcast_to(asked, (*x.shape, asked.shape[-1])), place, axis=-1)[..., 0]
    near = jnp.abs(x - nearest) <= BESIDE * (1 + jnp.abs(nearest))
    return posts | {operator.post: jnp.where(near, nearest, x).ravel()}, near.ravel()


def _choice(decision, at):
    """The value of a choice of discrete controls against those of its alternatives and the entropy."""
    answer, stack = decision.at(at), decision.stack(at)
    odds = jnp.stack([answer.probability[label] for label in decision.labels])
    pushed = jnp.sum(jnp.where(odds > 0, odds * stack.value, 0.0), axis=0)
    return answer.value, pushed + _entropy(decision.choice.scale, answer.probability), answer.feasible, True


def _entropy(scale, probability):
    """What taste shocks add: their scale times the entropy of the choice."""
    odds = jnp.stack(list(probability.values()))
    return -scale * jnp.sum(jnp.where(odds > 0, odds * jnp.log(jnp.where(odds > 0, odds, 1.0)), 0.0), axis=0)
