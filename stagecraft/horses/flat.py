"""Stretches of post-states that are worth nothing at the margin, below others that are worth something.

A floor on consumption, a means test or a default takes away what little is saved: the continuation is flat there, and whoever
saves less than what leads beyond the stretch saves nothing more than its lower end. From which state on it pays to save more is
a matter of values, and may lie far above the first state whose first-order condition leads there.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.horses.evaluate import trade_off
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.horses.solution import Answer, Row
from stagecraft.operators.interpolate import take


def held_below(
    problem: ContinuousProblem,
    lowest: Answer,
    row: Row,
    post: Float[Array, " n"],
    valid: Bool[Array, " n"],
    resting: Bool[Array, " n"],
    solid: Bool[Array, ""],
) -> tuple[Row, Float[Array, " n"], Bool[Array, " n"]]:
    """Give the knots of flat stretches to those who stay at the lower end of theirs, up to where it pays to save beyond it.

    The lower end is the last knot below that is worth something at the margin; of a stretch from the lowest post-state on it is
    the corner, whose last knot the first of the stretch becomes. Where a stretch is worth next to nothing, states fall in the
    post-state from very far away; it counts as flat where staying pays for less than half of that way.

    **Arguments:** `lowest`: the continuation at the corner; `row`: choices with what is behind them; `post`: where they lead;
    `valid`: which of them count; `resting`: which knots are worth nothing, below others that are worth something; `solid`:
    whether the corner is feasible.

    **Returns:** the same row, post-states, and knots that count.
    """
    n, still = post.shape[0], jax.lax.stop_gradient
    index, at = jnp.arange(n), still(row.state)
    last = lambda at, none: jax.lax.cummax(where(at, index, none))
    next_ = lambda at, none: jax.lax.cummin(where(at, index, none), reverse=True)
    falling = jnp.append((at[1:] < at[:-1]) & valid[1:] & valid[:-1], False)
    flat = resting | falling
    # Before every knot: the last flat one, and the knot (-1 for the corner) at which whoever stays below that stretch stays.
    passed, holder = last(flat, -1), last(valid & ~flat, -1)
    end = where(passed >= 0, take(holder, jnp.maximum(passed, 0)), -1)
    stay, there = _staying(problem, lowest, row, post, row.state, end)
    pairs = [(row.control, stay.control), (post, there), (row.value, stay.value)]
    worth = problem.objective(problem.parameters, at, *[still(jnp.stack(pair)) for pair in pairs])
    pays = valid & ~flat & ~((passed >= 0) & (worth[1] >= worth[0]))
    # Equal steps from the last free choice to where it pays; of the corner there are knots enough below.
    start, stop = last(~flat, -1), next_(~flat, n)
    goal = next_(pays, n - 1)
    begin, far = take(row.state, jnp.maximum(end, 0)), take(row.state, goal)
    state = where(end < 0, far, begin + (far - begin) * (index - start) / jnp.maximum(stop - 1 - start, 1))
    stay, there = _staying(problem, lowest, row, post, state, end)
    first = jnp.minimum(start + 1, n - 1)
    wide = take(resting, first) | ((far > begin) & (take(at, first) - begin > 2 * (far - begin)))
    good = flat & jnp.isfinite(state + stay.control) & where(end < 0, (index == 0) & solid, wide)
    if problem.interp == "linear":
        # Between two knots a line says too little of what is above the stretch for the two to be compared there.
        good &= goal > stop + 1
    row = jax.tree.map(lambda x, y: where(good, y, x), row, stay)
    return row, where(good, there, post), valid | good


def _staying(problem, lowest: Answer, row: Row, post, state, end):
    """The choices at some states that lead to the post-state of the knot `end`, or to the corner where that is -1."""
    p, ones, corner = problem.parameters, jnp.ones_like(state), end < 0
    at = jnp.maximum(end, 0)
    held = jax.tree.map(lambda x: take(x, at), row)
    spent = (problem.upper if problem.corner == "upper" else problem.lower)(p, state) * ones
    control = held.control - trade_off(problem, held.state, held.control) * (state - held.state)
    others = {name: lowest.marginal[name] * ones for name in row.others}
    low = Row(state=state, control=spent, value=lowest.value * ones, marginal=ones, weight=lowest.weight * ones, others=others,
              inner={name: lowest.policy[name] * ones for name in row.inner}, edge=jnp.zeros_like(corner))  # fmt: skip
    held = dataclasses.replace(held, state=state, control=control, edge=jnp.zeros_like(corner))
    row = jax.tree.map(lambda x, y: where(corner, x, y), low, held)
    return row, where(corner, problem.lowest(p), take(post, at))
