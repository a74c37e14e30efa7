"""Where a decision switches between points along a line: its stored policy jumps, or another alternative is taken.

A switch of what follows a stage makes the continuation's slope jump, so that the stage's own policy jumps, too.
"""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import where
from stagecraft.functionals.axes import combinations
from stagecraft.functionals.composed import Arrival, Either, Linked
from stagecraft.functionals.decision import ChosenAlternative, Decision, Optimum, place_of
from stagecraft.horses.arrival import weights_of
from stagecraft.horses.problems import ChoiceProblem
from stagecraft.movers.ties import ASIDE, between, crossing
from stagecraft.operators.interpolate import lookup, take

_still = jax.lax.stop_gradient


class Line(NamedTuple):
    """Points in a row: which consecutive ones are neighbours, the mass between them; the room for switches; whether it matters
    where exactly they are."""

    pairs: Bool[Array, " pairs"]
    mass: Float[Array, " pairs"]
    room: int
    exact: bool = True


class Switches(NamedTuple):
    """Switches between points.

    **Attributes:** `lower`: the point before; `there`: whether there is any; `share`: of the way to the next point, as a
    number; `moved`: zero with the derivative of the share; `height`: by how much the slope of the value rises there; `unseen`:
    the mass between points where one was not found; `steep`: where a choice under taste shocks turns.
    """

    lower: Int[Array, " switches"]
    there: Bool[Array, " switches"]
    share: Float[Array, " switches"]
    moved: Float[Array, " switches"]
    height: Float[Array, " switches"]
    unseen: Float[Array, ""]
    steep: Float[Array, ""]


def own_switches(decision, at: dict, line: Line) -> list[Switches]:
    """Those of a decision itself, along points at the decision."""
    return [find(decision, at, line) for find in finders(decision)]


def finders(decision) -> list:
    """How the switches of a decision are found: those of its stored policy, those of a choice among alternatives."""
    found = [_in_rows] if isinstance(decision, Decision) and decision.problem.envelope else []
    choice = _choice(decision)
    return found + ([_in_choice] if choice is not None and choice.scale is not None and len(decision.labels) > 1 else [])


def switches_of(functional, at: dict, line: Line) -> list[Switches]:
    """Those of whatever follows: of the decision after every node of the shocks, of what an alternative leads to."""
    if isinstance(functional, Linked):
        one = next(iter(at.values()))
        there = {name: jnp.broadcast_to(x, one.shape) for name, x in functional.constants.items()}
        return switches_of(functional.target, there | {name: at[here] for here, name in functional.pairs}, line)
    if isinstance(functional, Either):
        first, second = (switches_of(x, at, line) for x in (functional.first, functional.second))
        only = lambda found, flag: [x._replace(there=x.there & flag) for x in found]
        return only(first, functional.flag) + only(second, ~functional.flag)
    if isinstance(functional, Arrival):
        return _after_shocks(functional, at, line)
    found = own_switches(functional, at, line)
    if isinstance(functional, ChosenAlternative):
        found += _in_alternatives(functional, at, line)
    return found


def _after_shocks(arrival, at, line):
    """One line for every node."""
    problem = arrival.problem
    law = weights_of(problem, at)
    count, points = law.shape[0], next(iter(at.values())).shape[0]
    full = lambda x: jnp.broadcast_to(x, (count, points)).ravel()
    nodes = {name: full(node[:, None]) for name, node in problem.nodes.items()}
    states = problem.to_state(problem.parameters, {name: full(x) for name, x in at.items()}, nodes)
    states = {name: x * jnp.ones(count * points) for name, x in states.items()}
    tile = lambda x: jnp.tile(jnp.append(x, jnp.zeros(1, x.dtype)), count)[:-1]
    likely = _still(full(law))
    many = line._replace(pairs=tile(line.pairs) & (likely[:-1] > 0), mass=tile(line.mass))
    found = switches_of(arrival.decision, states, many)
    return [x._replace(lower=x.lower % points, height=x.height * take(likely, x.lower)) for x in found]


def _in_alternatives(chosen, at, line):
    """Along what each alternative leads to, where it is taken."""
    odds = [_still(x) for x in chosen.at(at).probability.values()]
    found, place = [], 0
    for alternative, continuation in zip(chosen.problem.alternatives, chosen.continuations, strict=True):
        for k in range(next((x.shape[0] for x in alternative.controls.values()), 1)):
            controls = {name: x[k] for name, x in alternative.controls.items()}
            posts = alternative.transition(chosen.problem.parameters, at, controls)
            posts = {name: x * jnp.ones_like(odds[place]) for name, x in posts.items()}
            # At the end of its part of the line an alternative's own switch may still count.
            taken = odds[place] > 0.5
            found += switches_of(continuation, posts, line._replace(pairs=line.pairs & (taken[1:] | taken[:-1])))
            place += 1
    return found


def _choice(decision):
    """The problem of a choice among alternatives, if there is one."""
    if isinstance(decision, ChosenAlternative):
        return decision.problem
    return decision.choice if isinstance(decision, Optimum) and decision.options else None


def _in_rows(decision, at, line) -> Switches:
    """Jumps of a stored policy: two equal knots with different controls, which carry the derivative of their place."""
    rows, x = decision.rows, at[decision.state]
    state = jnp.atleast_2d(rows.state)
    size, count = state.shape[1], line.pairs.shape[0]
    jumps, before, knots = _jumps_of(rows)
    near = _rows_near(decision, at)[:, :-1]
    first = _jumps_below(rows, before, x[:-1], near)
    inside = where(line.pairs & _taken(decision, at), _jumps_below(rows, before, x[1:], near) - first, 0).ravel()
    if not line.exact:
        return _somewhere(inside > 0, count)
    ends = jnp.cumsum(inside)
    which = jnp.repeat(jnp.arange(inside.size), inside, total_repeat_length=line.room)
    slot = jnp.arange(line.room)
    there, lower, row = slot < ends[-1], which % count, take(near.ravel(), which)
    ordinal = take(first.ravel(), which) + slot - take(ends - inside, which)
    knot = take(knots.ravel(), row * (size - 1) + jnp.clip(ordinal, 0, size - 2))
    place = take(state.ravel(), row * size + knot)
    low, high = take(x, lower), take(x, lower + 1)
    width = _still(where(high > low, high - low, 1.0))
    share = _still((place - low) / width)
    # Without neighbours along the state in which the policy jumps nobody is seen to change sides.
    lost = jnp.sum(where((ends > line.room) & (inside > 0), jnp.tile(line.mass, near.shape[0]), 0.0))
    blind = jnp.any(jumps) & (jnp.sum(where(x[1:] > x[:-1], line.mass, 0.0)) == 0)
    unseen = lost + where(blind & (x.shape[0] > 2), _still(jnp.sum(line.mass)), 0.0)
    moved = (place - (low + (high - low) * share)) / width
    slope = jnp.atleast_2d(rows.marginal).ravel()
    height = _still(take(slope, row * size + knot + 1) - take(slope, row * size + knot))
    return Switches(lower, there, share, moved, height, unseen, jnp.zeros_like(unseen))


def _somewhere(flags, count) -> Switches:
    """That there is a switch between points, not where."""
    zero = jnp.zeros((), jnp.result_type(float))
    none = jnp.zeros(flags.shape, zero.dtype)
    return Switches(jnp.arange(flags.size) % count, flags.ravel(), none, none, none, zero, zero)


def _jumps_of(rows):
    """Where the policy of every row jumps: at which knots, how many before each knot, and the knots in order."""
    state, control = (jnp.atleast_2d(y) for y in (rows.state, rows.control))
    gap = jnp.abs(control[:, 1:] - control[:, :-1])
    jumps = _still((state[:, 1:] == state[:, :-1]) & (gap > 1e-7 * (1.0 + jnp.abs(control[:, 1:]))))
    before = jnp.pad(jnp.cumsum(jumps, axis=1), ((0, 0), (1, 0)))
    return jumps, before, jnp.sort(where(jumps, jnp.arange(jumps.shape[1]), jumps.shape[1]), axis=1)


def _jumps_below(rows, before, x, row):
    """How many jumps of its row begin before the first knot above each point."""
    state = _still(jnp.atleast_2d(rows.state))
    above = lookup(state, x, row) + (_still(x) >= state[row, 0])
    return take(before.ravel(), row * state.shape[1] + above)


def _taken(decision, at):
    """Whether each of the rows near a point is that of the discrete controls chosen on one of its sides."""
    if not decision.options:
        return jnp.asarray(True)
    odds = _still(jnp.stack(list(decision.at(at).probability.values()))) > 0.5
    corners = 2 ** sum(not axis.discrete for axis in decision.axes)
    return jnp.tile(odds[:, 1:] | odds[:, :-1], (corners, 1))


def _rows_near(decision, at) -> Int[Array, "rows points"]:
    """The rows of which the answer at every point is made, on a leading axis."""
    lead = {name: x[None] for name, x in at.items()}
    _, _, row = place_of(decision, lead, combinations(decision.options, 1))
    points = at[decision.state].shape[0]
    row = jnp.asarray(row, jnp.int32)
    return jnp.broadcast_to(row, (*row.shape[:-1], points)).reshape(-1, points)


def _in_choice(decision, at, line) -> Switches:
    """Switches between alternatives under a hard choice, and where a choice under taste shocks turns."""
    frozen, still = jax.tree.map(_still, decision), {name: _still(x) for name, x in at.items()}
    hard, stack = _still(cast(ChoiceProblem, _choice(decision)).scale) == 0, frozen.stack(still)
    best, odds = _best(stack), jnp.stack(list(frozen.at(still).probability.values()))
    flags = line.pairs & (best[1:] != best[:-1]) & hard
    if not line.exact:
        return _somewhere(flags, flags.shape[0])
    lower = jnp.nonzero(flags, size=line.room, fill_value=-1)[0]
    lower, there = jnp.maximum(lower, 0), lower >= 0
    turns = line.pairs & ~hard & (jnp.max(jnp.abs(odds[:, 1:] - odds[:, :-1]), axis=0) > 0.5)
    turning = jnp.sum(where(turns, line.mass, 0.0))
    left, right = take(best, lower), take(best, lower + 1)
    ends = {name: (take(x, lower), take(x, lower + 1)) for name, x in at.items()}
    place, moved, height = crossing(decision, frozen, ends, left, right)
    # Where a third alternative lies between the two, or an edge of what is feasible, this is no switch.
    sides = [_best(frozen.stack(jax.tree.map(_still, between(ends, place + s * ASIDE)))) for s in (-1, 1)]
    seen = there & (height > 0) & (sides[0] == left) & (sides[1] == right)
    unseen = jnp.sum(where(flags, line.mass, 0.0)) - jnp.sum(where(seen, take(line.mass, lower), 0.0))
    return Switches(lower, seen, place, moved, height, unseen, turning)


def _best(stack):
    """The position of the best feasible alternative."""
    return jnp.argmax(where(stack.feasible, stack.value, -jnp.inf), axis=0)
