"""The constrained branch: knots where the control is at the bound that leads to the corner, below the first interior one."""

import dataclasses

import jax
import jax.numpy as jnp

from stagecraft.arrays import room_above, where
from stagecraft.horses.bounds import HELD
from stagecraft.horses.evaluate import other_bound
from stagecraft.horses.intratemporal import by_state, lowest_control, state_on_curve
from stagecraft.horses.solution import Answer, Row

# Knots on the constrained branch, where another branch that starts below its end may cross it.
BRANCH = 16


def constrained(problem, continuation: Answer, below: Answer, chosen: Row, valid, solid):
    """Knots on the branch where the control is at its bound, up to the first interior one, from its bottom; their post-state.

    The branch keeps the lowest post-state, or the lowest feasible one where that is above it: then it begins where the other,
    closed bound of the control is met, and has no length where that is open.
    """
    p = problem.parameters
    ones = jnp.ones(BRANCH, chosen.state.dtype)
    lowest = where(solid, problem.lowest(p), problem.knots[0]) * ones
    if problem.floored:
        below = jax.tree.map(lambda x, y: where(solid, x, y[0]), below, continuation)
    below = jax.tree.map(lambda x: x * ones, below)
    bottom = problem.lower(p, chosen.state[0])
    if problem.curved:
        bottom = lowest_control(problem.beside, p, chosen.state[0], chosen.control[0])
    bottom = where(jnp.isfinite(bottom), bottom, jnp.minimum(chosen.control[0], 0.0))
    if problem.floored:
        bottom = where(solid, bottom, other_bound(problem)(p, _at_edge(problem, chosen, lowest[:1])[0]))
    control = bottom + (chosen.control[0] - bottom) * _shares(problem, chosen, valid, lowest, bottom, solid)
    if problem.curved:
        state = state_on_curve(problem.beside, problem.transition, p, lowest, control)
    else:
        state = problem.state_inverse(p, lowest, control, ones) * ones
    # Where a branch cannot be, any numbers will do that are finite.
    good = jnp.isfinite(state)
    state, control = where(good, state, chosen.state[0]), where(good, control, chosen.control[0])
    others = {name: below.marginal[name] for name in chosen.others}
    return Row(state=state, control=control, value=below.value, marginal=ones, weight=below.weight, others=others,
               inner=below.policy | beside_at(problem, state, control), edge=jnp.zeros(BRANCH, bool)), lowest  # fmt: skip


def with_edge_knot(problem, row: Row, post, flags: tuple, solid) -> tuple:
    """The same with a knot more: the state from which the bound that leads to no corner still reaches the lowest feasible post.

    Where a control that adds to the state must bring what comes next a floor needs, those below the first choice that is free
    stay at the edge of the feasible post-states and add what is missing, up to that bound. Where the row begins at a feasible
    post-state the second knot stands twice.

    **Arguments:** `row`, `post`, `flags`: choices, where they lead, and what else is known of them.
    """
    p, first = problem.parameters, jax.tree.map(lambda x: x[:1], row)
    bound = other_bound(problem)(p, first.state) * jnp.ones_like(first.state)
    bound = where(jnp.isfinite(bound), bound, first.control)
    state = problem.state_inverse(p, post[:1], bound, jnp.ones_like(bound))
    if problem.state_at_bound is not None:
        state = problem.state_at_bound(p, post[:1], first.state)
        bound = other_bound(problem)(p, state) * jnp.ones_like(state)
    there = jax.lax.stop_gradient(jnp.isfinite(state) & (state < first.state) & ~solid)
    state, bound = where(there, state, first.state), where(there, bound, first.control)
    row = dataclasses.replace(row, edge=row.edge.at[0].set(row.edge[0] & ~there[0]))
    first = dataclasses.replace(first, state=state, control=bound, edge=first.edge & ~there)
    begin = lambda new, x: jnp.concatenate([where(solid, x[:1], new), where(solid, x[1:2], x[:1]), x[1:]])
    return jax.tree.map(begin, (first, post[:1], jax.tree.map(lambda x: x[:1], flags)), (row, post, flags))


def beside_at(problem, state, control):
    """The controls beside, at given states and controls."""
    return {} if problem.beside is None else by_state(problem.beside, problem.parameters, state, control)


def _at_edge(problem, chosen, post):
    """The state that leads to the lowest feasible post-state when the control is at its closed bound."""
    p, first = problem.parameters, chosen.state[:1]
    if problem.state_at_bound is not None:
        return problem.state_at_bound(p, post, first)
    return problem.state_inverse(p, post, other_bound(problem)(p, first) * jnp.ones_like(first), jnp.ones_like(first))


def _shares(problem, chosen, valid, lowest, bottom, solid):
    """Where on the branch its knots stand, as shares of its end: dense where another run lies above the branch."""
    step = jnp.arange(BRANCH, dtype=chosen.state.dtype) / BRANCH
    if problem.curved:
        return 1e-3 ** (1.0 - step)
    base = problem.state_inverse(problem.parameters, lowest[0], bottom, jnp.ones_like(bottom))
    least = jnp.min(where(valid, chosen.state, jnp.inf))
    reach = (least - base) / where(chosen.state[0] == base, 1.0, chosen.state[0] - base)
    # A run that starts there reaches one cell further down on its own slope.
    start = jax.lax.stop_gradient(jnp.clip(0.9 * where(jnp.isfinite(reach), reach, 1.0), 1e-3, 0.9))
    return where(solid, start ** (1.0 - step), step)


def places(problem, raw: Row, valid, feasible, solid, used):
    """Which entries of the raw solutions stand where: those for which there is no use repeat others, in cells of no width.

    An outer cell keeps its width, as lines beyond the knots are its line.
    """
    if not problem.branched:
        return None
    index, n = jnp.arange(raw.state.shape[0]), raw.state.shape[0]
    first, on = index[BRANCH], index < BRANCH
    fine = jnp.isfinite(raw.state) & (raw.state <= raw.state[BRANCH])
    # A branch without length has no marginal value of its own: its first state saves what it gets, along the other bound.
    begins = problem.floored & (raw.state[0] < raw.state[BRANCH] - 1e3 * room_above(raw.state[BRANCH]))
    fine &= where(solid, feasible & valid[BRANCH], begins & jnp.isfinite(raw.value + raw.marginal))
    if problem.envelope or problem.curved:
        place = where(on & ~fine, first, index)
    else:
        place = where(on & ~(fine & ~solid), first, index)
        place = where(solid & (index > 0) & (index <= BRANCH), first + 1, place)
    last = n - 1 - HELD * problem.holds
    aside = where(index == n - 1, last, where(index >= last, last - 1, place))
    return where(used, place, aside) if problem.holds else place
