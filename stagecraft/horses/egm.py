"""The endogenous grid horse: one continuous control, one post-state, a first-order condition that can be inverted."""

import dataclasses

import jax
import jax.numpy as jnp

from stagecraft.arrays import room_above, where
from stagecraft.horses.bounds import HELD, along_bound, lengthened
from stagecraft.horses.branch import BRANCH, beside_at, constrained, places, with_edge_knot
from stagecraft.horses.domain import within_domain
from stagecraft.horses.evaluate import (
    at_closed_bound,
    beyond_bound,
    discount,
    envelope,
    other_bound,
    passive_marginal,
    trade_off,
)
from stagecraft.horses.flat import held_below
from stagecraft.horses.intratemporal import lowest_control, state_on_curve
from stagecraft.horses.knots import room_for
from stagecraft.horses.levels import bend, first_tamed, levels, secant_where
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.horses.solution import Answer, Lowest, Row, Rows
from stagecraft.operators.envelope.envelope import read, read_lines, refine


def egm(problem: ContinuousProblem, continuation: Answer, lowest: Answer) -> Rows:
    r"""Solve the first-order condition on the grid of the post-state, so that no maximum is sought.

    $c_i$ solves $Q_c + (Q_{x'} + Q_V \lambda_i)\,g_c = 0$ at every knot $x'_i$, and $m_i$ solves $x'_i = g(m_i, c_i)$
    (Carroll 2006, eq. 7, for any objective linear in $V$). Below the first knot the bound of the control takes over. Where
    the continuation is not concave, knots of inferior solutions are removed by the upper envelope of the correspondence
    (Iskhakov, Jørgensen, Rust and Schjerning 2017), the constrained branch among its branches.

    **Arguments:** `problem`; what the `continuation` answers on its knots, and at the `lowest` post-state that the control's
    bound allows: marginal values of $x'$ under `problem.post`, of passive post-states under their names, and as policy the
    controls that were chosen first, given the post-state.

    **Returns:** `Rows`, increasing in the state; without `problem.envelope` only where the problem is concave, and the caller
    looks for folds.
    """
    # A lowest post-state that is not feasible bounds the states from below, instead of a constrained branch from the corner.
    solid = continuation.feasible[0] | (problem.knots[0] <= problem.lowest(problem.parameters) + room_above(problem.knots[0]))
    row, valid, idle, maximal = _correspondence(problem, continuation, lowest, solid)
    first, reachable = row.state[BRANCH if problem.curved else 0], jnp.any(continuation.feasible)
    least = where(solid, -jnp.inf, jax.lax.stop_gradient(first - room_above(first) * problem.floored))
    least = where(reachable, least, jnp.finfo(first.dtype).max)
    corner, switches, overflow = first, jnp.zeros((), jnp.int32), jnp.asarray(False)
    if problem.envelope:
        row, corner, switches, overflow = _enveloped(problem, row, valid)
    corner = where(jnp.isfinite(least) | problem.cornerless, -jnp.inf, where(idle, jnp.inf, corner))
    return _rows(problem, row, lowest, corner=corner, least=least, maximal=maximal, reachable=reachable, switches=switches,
                 overflow=overflow)  # fmt: skip


def _correspondence(problem, continuation: Answer, lowest: Answer, solid):
    """The solutions at all knots, which of them count, whether all are idle, and whether the second-order conditions hold."""
    if problem.holds:
        problem, continuation = lengthened(problem, continuation, HELD)
    p, post, slope = problem.parameters, problem.knots, continuation.marginal[problem.post]
    idle = _is_idle(problem, *jax.lax.stop_gradient((slope, post)))
    # A technology may be infinitely productive at the lowest post-state, and the condition have its limit there only.
    post = where(idle & (post <= problem.lowest(p)), post + room_above(post), post)
    idle = resting = _is_idle(problem, *jax.lax.stop_gradient((slope, post)))
    slope = where(idle, 1.0, slope)
    control, state, out = _within_bounds(problem, post, slope)
    falls = _second_order(problem, idle, control, slope, post)
    used = jnp.asarray(True)
    if problem.holds:
        used, lost, continuation, (control, state, post) = along_bound(problem, continuation, HELD, (control, state, post), out)
        idle, out = idle & (~lost | jnp.all(idle)), out | lost
    # At an open bound a knot is the edge of the feasible set; at a closed one a choice like any other.
    edge, held = (~continuation.feasible | (out & (not problem.floored))) & ~idle, out & problem.floored
    # Posts that are worth nothing at the margin, below others that are worth something, are chosen by nobody.
    busy_above = jnp.flip(jnp.cumsum(jnp.flip(~resting))) > 0
    valid = _valid(continuation.feasible) & ~(resting & busy_above)
    found = _spend_where_idle(problem, continuation, lowest, idle, state, control, post)
    state, control, post, value, weight = found
    others = {name: x for name, x in continuation.marginal.items() if name != problem.post}
    row = Row(state=state, control=control, value=value, marginal=continuation.marginal[problem.post], weight=weight,
              others=others, inner=continuation.policy, edge=edge)  # fmt: skip
    if problem.flat:
        rests = resting & busy_above & continuation.feasible
        row, post, valid = held_below(problem, lowest, row, post, valid, rests, solid)
    row = dataclasses.replace(row, inner=row.inner | beside_at(problem, row.state, row.control))
    if problem.domain:
        row, post, (valid, held) = within_domain(problem, row, post, (valid, held))
    if problem.cornerless:
        row, post, (valid, held) = with_edge_knot(problem, row, post, (valid, held), solid)
    if problem.branched:
        branch, below = constrained(problem, continuation, lowest, row, valid, solid)
        row, post = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), (branch, below), (row, post))
        held, valid = (jnp.concatenate([more, x]) for more, x in ((branch.edge, held), (branch.edge | valid[0], valid)))
    row = _worth(problem, row, post, held)
    kept = places(problem, row, valid, continuation.feasible[0], solid, used)
    row, valid = (row, valid) if kept is None else jax.tree.map(lambda x: x[kept], (row, valid))
    return row, valid, jnp.all(idle), falls


def _worth(problem, row: Row, post, held) -> Row:
    """The same with what the choices are worth, and at the margin, in place of what is behind them."""
    state, control, behind, problem = row.state, row.control, row.value, problem.chosen(row.inner)
    marginal = envelope(problem, state, control, post, behind)
    if problem.floored:
        marginal = where(held, at_closed_bound(problem, state, control, post, behind, row.marginal)[0], marginal)
    others = {n: passive_marginal(problem, n, state, control, post, behind, row.others) for n in problem.passive}
    weight = 1.0 + discount(problem, state, control, post, behind) * row.weight
    value = problem.objective(problem.parameters, state, control, post, behind) * jnp.ones_like(state)
    return dataclasses.replace(row, value=value, marginal=marginal, weight=weight, others=others)


def _valid(feasible):
    """Feasible knots, and the last infeasible one below each of them: the edge of the feasible set."""
    return feasible | jnp.concatenate([feasible[1:], jnp.zeros(1, bool)])


def _enveloped(problem, joined: Row, valid):
    """The upper envelope of the correspondence, the constrained branch among its runs; where that ends, and its switches."""
    n = joined.state.shape[0]
    slope = None if problem.interp == "linear" else joined.marginal
    found = refine(joined.state, joined.value, slope, valid | jnp.all(~valid), size=room_for(n) + 4 * problem.switch_knots)
    value, marginal = read(found, joined.state, joined.value, slope)
    leaves, tree = jax.tree.flatten((joined.control, joined.weight, joined.others, joined.inner, joined.marginal))
    control, weight, others, inner, line = jax.tree.unflatten(tree, read_lines(found, joined.state, *leaves))
    marginal = line if slope is None else marginal
    edge = joined.edge[found.segment] & (found.state == joined.state[found.segment])
    row = Row(state=found.state, control=control, value=value, marginal=marginal, weight=weight, others=others, inner=inner,
              edge=edge)  # fmt: skip
    # A cell of the branch ends at the next knot, the first interior one where no other run crosses before.
    ends = jnp.append(found.state[1:], found.state[-1])
    corner = jnp.max(where(found.segment < BRANCH, ends, -jnp.inf))
    corner = jax.lax.stop_gradient(jnp.maximum(corner, found.state[0]))
    return row, corner, found.crossings, found.overflow


def _rows(problem, row: Row, lowest: Answer, **told) -> Rows:
    """The solution with all that its evaluation needs, and what is `told` of it as a whole."""
    level, level_slope, smooth = levels(problem, row.value, row.marginal, row.weight)
    # Knots that were moved to one edge stand there together, and the last of them begins the first cell.
    moved = jnp.append(jnp.zeros(1, bool), row.edge[0] & (row.state[1:] == row.state[0]))
    level_slope, marginal = secant_where(row.edge | moved, row.state, level, level_slope), row.marginal
    if problem.open_end:
        level_slope = first_tamed(row.state, level, level_slope)
        marginal = first_tamed(row.state, row.value, marginal)
    width = jnp.diff(row.state)
    straighter = (bend(width, level, level_slope) <= bend(width, row.value, marginal)) | moved[:-1]
    if problem.open_end:
        straighter = straighter.at[0].set(True)  # Values may begin at minus infinity.
    elif problem.endless:
        # Where no level is known yet, a first slope of 1e14 would make a cubic, and all values after it, as large.
        marginal = first_tamed(row.state, row.value, marginal)
    straight = jnp.append(jax.lax.stop_gradient(straighter) & smooth[:-1] & smooth[1:], False)
    others = {name: x for name, x in lowest.marginal.items() if name != problem.post}
    low = Lowest(value=lowest.value, weight=lowest.weight, others=others, inner=lowest.policy)
    return Rows(state=row.state, control=row.control, value=row.value, marginal=marginal, weight=row.weight,
                others=row.others, inner=row.inner, level=level, level_slope=level_slope, straight=straight, lowest=low,
                **told)  # fmt: skip


def _second_order(problem, idle, control, slope, post):
    """Whether a maximum was found: the condition falls in the control at every knot, and no idle knot lies below a busy one."""
    worth = problem.envelope | ~jnp.any(idle[:-1] & ~idle[1:])
    if problem.foc is None:
        return jnp.asarray(worth)
    control, slope = jax.lax.stop_gradient((control, slope))
    _, change = jax.jvp(
        lambda c: problem.foc(problem.parameters, c, slope, post) * jnp.ones_like(c), (control,), (slope * 0 + 1,)
    )
    return worth & jnp.all(idle | ~(change > 0))


def _within_bounds(problem, post, slope):
    """The first-order condition at the knots, held at the bound that does not lead to the corner, or just inside it."""
    p = problem.parameters
    control = problem.control_inverse(p, slope, post)
    state = problem.state_inverse(p, post, control, slope)
    bound = other_bound(problem)(p, state) * jnp.ones_like(control)
    room = 0.0 if problem.floored else room_above(bound)
    limit = bound + room if problem.corner == "upper" else bound - room
    # A choice that rounding takes beyond a closed bound is an interior one.
    out = jax.lax.stop_gradient(beyond_bound(problem, control, limit, -1e3 * room_above(bound) if problem.floored else 0.0))
    control = where(out, limit, control)
    if problem.cornerless:
        least = problem.lower(p, state)
        low = jax.lax.stop_gradient(~(control > least))
        control, out = where(low, least, control), out | low
    if problem.state_at_bound is None:
        return control, where(out, problem.state_inverse(p, post, control, slope), state), out
    state = where(out, problem.state_at_bound(p, post, state), state)
    return where(out, other_bound(problem)(p, state), control), state, out


def _is_idle(problem, slope, post):
    """Where saving is worth nothing the first-order condition has no finite solution: then the bound holds."""
    p = problem.parameters
    if problem.cornerless:
        return jnp.zeros(slope.shape, bool)

    def solved(post):
        control = problem.control_inverse(p, slope, post)
        return control, problem.state_inverse(p, post, control, slope)

    control, state = solved(post)
    idle = ~jnp.isfinite(control + state)
    if problem.turns:
        # Beyond a pole of the inverse the condition holds for states that nobody has: they fall in the post-state.
        _, (_, rise) = jax.jvp(solved, (post,), (jnp.ones_like(post),))
        idle |= ~(rise > 0)
    return jnp.isfinite(slope) & idle


def _spend_where_idle(problem, continuation: Answer, lowest: Answer, idle, state, control, post):
    """Give idle knots a choice: the corner's when all are idle, else to stay at the last post-state worth reaching.

    Above the last busy knot the post-state stays where it is, and all that the state adds goes to the control.
    """
    p, ones = problem.parameters, jnp.ones_like(post)
    # Of a control without a lower bound any value does that its utility may have: some that people have.
    least = problem.lower(p, state) * ones
    spent = problem.state_inverse(p, problem.knots, where(jnp.isfinite(least), least, 0.0) + 1.0, ones)
    if problem.turns:
        # Any states do, where the bound holds at all of them; those of the post-states are some that people have.
        spent = problem.knots + room_above(problem.knots)
    if problem.curved:
        bound = lowest_control(problem.beside, p, state, ones) + 1.0 + problem.knots - problem.knots[0]
        spent = state_on_curve(problem.beside, problem.transition, p, problem.lowest(p), bound)
    else:
        bound = (problem.upper if problem.corner == "upper" else problem.lower)(p, spent) * ones
    last = post.shape[0] - 1 - jnp.argmin(idle[::-1])
    stay = lambda array: where(idle, array[last], array)
    # An idle knot below is chosen by nobody; it is given the numbers of one that is, which are finite.
    beyond = where(idle, jnp.maximum(problem.knots - problem.knots[last], 0.0), 0.0)
    rise = -trade_off(problem, state[last], control[last]) * beyond
    pick = lambda corner, array: where(jnp.all(idle), corner, array)
    state = pick(spent, stay(state) + beyond)
    control = pick(bound, stay(control) + rise)
    value = pick(lowest.value, stay(continuation.value))
    weight = pick(lowest.weight, stay(continuation.weight))
    return state, control, pick(problem.lowest(p), stay(post)), value, weight
