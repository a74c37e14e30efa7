"""The endogenous grid horse: one continuous control, one post-state, a first-order condition that can be inverted."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import room_above
from stagecraft.horses.evaluate import beyond_bound, discount, envelope, other_bound, passive_marginal, trade_off
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.horses.solution import Continuation, Rows
from stagecraft.operators.envelope.envelope import read, read_lines, refine

# Knots on the constrained branch, where another branch that starts below its end may cross it.
_BRANCH = 16


class _Raw(NamedTuple):
    """The correspondence in the order of the post-state."""

    state: Float[Array, " n"]
    control: Float[Array, " n"]
    value: Float[Array, " n"]
    marginal: Float[Array, " n"]
    weight: Float[Array, " n"]
    others: dict[str, Float[Array, " n"]]
    inner: dict[str, Float[Array, " n"]]
    edge: Bool[Array, " n"]
    valid: Bool[Array, " n"]


def egm(problem: ContinuousProblem, continuation: Continuation) -> Rows:
    r"""Solve the first-order condition on the grid of the post-state, so that no maximum is sought.

    $c_i$ solves $Q_c + (Q_{x'} + Q_V \lambda_i)\,g_c = 0$ at every knot $x'_i$, and $m_i$ solves $x'_i = g(m_i, c_i)$
    (Carroll 2006, eq. 7, for any objective linear in $V$). Below the first knot the bound of the control takes over. Where
    the continuation is not concave, knots of inferior solutions are removed by the upper envelope of the correspondence
    (Iskhakov, Jørgensen, Rust and Schjerning 2017), the constrained branch among its branches.

    **Arguments:** `problem`, and the `continuation` on its knots.

    **Returns:** `Rows`, increasing in the state; without `problem.envelope` only where the problem is concave, and the caller
    looks for folds.
    """
    raw, idle, maximal = _correspondence(problem, continuation)
    low = continuation.lowest
    # A lowest post-state that is not feasible bounds the states from below, instead of a constrained branch.
    solid = continuation.feasible[0] | (problem.knots[0] <= problem.lowest(problem.parameters) + room_above(problem.knots[0]))
    first = raw.state[0]
    least = jnp.where(solid, -jnp.inf, jax.lax.stop_gradient(first))
    reachable = jnp.any(continuation.feasible)
    least = jnp.where(reachable, least, jnp.finfo(first.dtype).max)
    if not problem.envelope:
        rows = _rows(problem, raw, low, idle, maximal, reachable, jnp.zeros((), jnp.int32), jnp.asarray(False), first, least)
        return rows
    return _enveloped(problem, continuation, raw, low, idle, maximal, reachable, least)


def _correspondence(problem, continuation):
    """The raw solutions at all knots, whether all are idle, and whether the conditions of the second order hold."""
    p, post, slope = problem.parameters, problem.knots, continuation.marginal
    idle = _is_idle(problem, *jax.lax.stop_gradient((slope, post)))
    # A technology may be infinitely productive at the lowest post-state, and the condition have its limit there only.
    post = jnp.where(idle & (post <= problem.lowest(p)), post + room_above(post), post)
    idle = _is_idle(problem, *jax.lax.stop_gradient((slope, post)))
    slope = jnp.where(idle, 1.0, slope)
    control, state, out = _within_bounds(problem, post, slope)
    # At an open bound a knot is the edge of the feasible set; at a closed one a choice like any other.
    edge, held = ~continuation.feasible | (out & (not problem.floored)), out & problem.floored
    falls = _second_order(problem, idle, control, slope, post)
    chosen = _spend_where_idle(problem, continuation, idle, state, control, post)
    state, control, post, value, weight = chosen
    marginal = envelope(problem, state, control, post, value)
    if problem.floored:
        marginal = jnp.where(held, _at_closed_bound(problem, state, post, value, continuation.marginal), marginal)
    others = {n: passive_marginal(problem, n, state, control, post, value, continuation.others) for n in problem.passive}
    by_value = discount(problem, state, control, post, value)
    weight = 1.0 + by_value * weight
    value = problem.objective(p, state, control, post, value) * jnp.ones_like(state)
    # Posts that are worth nothing at the margin, below others that are worth something, are chosen by nobody.
    busy_above = jnp.flip(jnp.cumsum(jnp.flip(~idle))) > 0
    valid = _valid(continuation.feasible) & ~(idle & busy_above)
    raw = _Raw(state=state, control=control, value=value, marginal=marginal, weight=weight, others=others,
               inner=continuation.inner, edge=edge & ~idle, valid=valid)  # fmt: skip
    return raw, jnp.all(idle), falls


def _valid(feasible):
    """Feasible knots, and the last infeasible one below each of them: the edge of the feasible set."""
    return feasible | jnp.concatenate([feasible[1:], jnp.zeros(1, bool)])


def _enveloped(problem, continuation, raw, low, idle, maximal, reachable, least):
    """The rows on the upper envelope of the correspondence, the constrained branch among its runs."""
    branch = _constrained(problem, continuation, raw)
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), branch, raw)
    n = joined.state.shape[0]
    slope = None if problem.interp == "linear" else joined.marginal
    found = refine(
        joined.state, joined.value, slope, joined.valid | jnp.all(~joined.valid), size=room_for(n) + 4 * problem.switch_knots
    )
    value, marginal = read(found, joined.state, joined.value, slope)
    leaves, tree = jax.tree.flatten((joined.control, joined.weight, joined.others, joined.inner, joined.marginal))
    control, weight, others, inner, line = jax.tree.unflatten(tree, read_lines(found, joined.state, *leaves))
    marginal = line if slope is None else marginal
    edge = joined.edge[found.segment] & (found.state == joined.state[found.segment])
    raw = _Raw(state=found.state, control=control, value=value, marginal=marginal, weight=weight, others=others, inner=inner,
               edge=edge, valid=edge)  # fmt: skip
    # A cell of the branch ends at the next knot, the first interior one where no other run crosses before.
    ends = jnp.append(found.state[1:], found.state[-1])
    corner = jnp.max(jnp.where(found.segment < _BRANCH, ends, -jnp.inf))
    corner = jax.lax.stop_gradient(jnp.maximum(corner, found.state[0]))
    return _rows(problem, raw, low, idle, maximal, reachable, found.crossings, found.overflow, corner, least)


def room_for(knots: int) -> int:
    """How many knots the envelope of a correspondence is given."""
    return knots + knots // 8 + 16


def stored_knots(problem: ContinuousProblem) -> int:
    """The length of the rows that `egm` returns."""
    n, pairs = problem.knots.shape[0], problem.switch_knots
    return room_for(n + 2 * pairs + _BRANCH) + 4 * pairs if problem.envelope else n


def _constrained(problem, continuation, raw):
    """Knots on the branch where the control is at its bound, up to the first interior one, from its bottom."""
    p = problem.parameters
    ones = jnp.ones(_BRANCH, raw.state.dtype)
    lowest = problem.lowest(p) * ones
    bottom = problem.lower(p, raw.state[0])
    bottom = jnp.where(jnp.isfinite(bottom), bottom, jnp.minimum(raw.control[0], 0.0))
    control = bottom + (raw.control[0] - bottom) * _shares(problem, raw, lowest, bottom)
    state = problem.state_inverse(p, lowest, control, ones) * ones
    good = jnp.isfinite(state) & (state <= raw.state[0]) & (continuation.feasible[0] & raw.valid[0])
    # Where there is no such branch its knots fall on the first interior one, and make cells of no width.
    state, control = jnp.where(good, state, raw.state[0]), jnp.where(good, control, raw.control[0])
    behind = continuation.lowest.value * ones
    value = problem.objective(p, state, control, lowest, behind) * ones
    marginal = envelope(problem, state, control, lowest, behind)
    weight = 1.0 + discount(problem, state, control, lowest, behind) * continuation.lowest.weight
    lowest_others = {n: x * ones for n, x in continuation.lowest.others.items()}
    others = {n: passive_marginal(problem, n, state, control, lowest, behind, lowest_others) for n in problem.passive}
    at_first = lambda x, y: jnp.where(good, x, y[0])
    others = {n: at_first(x, raw.others[n]) for n, x in others.items()}
    value, marginal, weight = at_first(value, raw.value), at_first(marginal, raw.marginal), at_first(weight, raw.weight)
    no = jnp.zeros(ones.shape, bool)
    inner = {n: at_first(x * ones, raw.inner[n]) for n, x in continuation.lowest.inner.items()}
    return _Raw(state=state, control=control, value=value, marginal=marginal, weight=weight, others=others, inner=inner,
                edge=no, valid=no | raw.valid[0])  # fmt: skip


def _shares(problem, raw, lowest, bottom):
    """Where on the branch its knots stand, as shares of its end: dense where another run lies above the branch."""
    base = problem.state_inverse(problem.parameters, lowest[0], bottom, jnp.ones_like(bottom))
    least = jnp.min(jnp.where(raw.valid, raw.state, jnp.inf))
    reach = (least - base) / jnp.where(raw.state[0] == base, 1.0, raw.state[0] - base)
    # A run that starts there reaches one cell further down on its own slope.
    start = jax.lax.stop_gradient(jnp.clip(0.9 * jnp.where(jnp.isfinite(reach), reach, 1.0), 1e-3, 0.9))
    return start ** (1.0 - jnp.arange(_BRANCH, dtype=raw.state.dtype) / _BRANCH)


def _rows(problem, raw, low, idle, maximal, reachable, switches, overflow, corner, least):
    """The solution with all that its evaluation needs."""
    level, level_slope, smooth = levels(problem, raw.value, raw.marginal, raw.weight)
    level_slope = secant_where(raw.edge, raw.state, level, level_slope)
    width = jnp.diff(raw.state)
    straighter = bend(width, level, level_slope) <= bend(width, raw.value, raw.marginal)
    straight = jnp.append(jax.lax.stop_gradient(straighter) & smooth[:-1] & smooth[1:], False)
    corner = jnp.where(jnp.isfinite(least), -jnp.inf, jnp.where(idle, jnp.inf, corner))
    return Rows(
        state=raw.state,
        control=raw.control,
        value=raw.value,
        marginal=raw.marginal,
        weight=raw.weight,
        others=raw.others,
        level=level,
        level_slope=level_slope,
        straight=straight,
        lowest=low,
        corner=corner,
        least=least,
        maximal=maximal,
        reachable=reachable,
        switches=switches,
        overflow=overflow,
        inner=raw.inner,
    )


def bend(width, values, slopes):
    """How far a cell is from a parabola: the error of the trapezoid rule on its slopes, relative to its rise."""
    rise = jnp.diff(values)
    return jnp.abs(rise - 0.5 * width * (slopes[1:] + slopes[:-1])) / jnp.where(rise == 0, 1.0, jnp.abs(rise))


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


def _at_closed_bound(problem, state, post, value, slope):
    """The derivative of the value where the control follows its bound and the post-state follows both."""
    p, ones = problem.parameters, jnp.ones_like(state)
    bound = lambda m: other_bound(problem)(p, m) * ones
    reached = lambda m: problem.transition(p, m, bound(m)) * ones
    _, moved = jax.jvp(reached, (state,), (ones,))
    along = lambda m, x, v: problem.objective(p, m, bound(m), x, v) * ones
    return jax.jvp(along, (state, post, value), (ones, moved, slope * moved))[1]


def _within_bounds(problem, post, slope):
    """The first-order condition at the knots, held at the bound that does not lead to the corner, or just inside it."""
    p = problem.parameters
    control = problem.control_inverse(p, slope, post)
    state = problem.state_inverse(p, post, control, slope)
    bound = other_bound(problem)(p, state) * jnp.ones_like(control)
    room = 0.0 if problem.floored else room_above(bound)
    limit = bound + room if problem.corner == "upper" else bound - room
    out = jax.lax.stop_gradient(beyond_bound(problem, control, limit))
    control = jnp.where(out, limit, control)
    if problem.state_at_bound is None:
        return control, jnp.where(out, problem.state_inverse(p, post, control, slope), state), out
    state = jnp.where(out, problem.state_at_bound(p, post, state), state)
    return jnp.where(out, other_bound(problem)(p, state), control), state, out


def _is_idle(problem, slope, post):
    """Where saving is worth nothing the first-order condition has no finite solution: then the bound holds."""
    control = problem.control_inverse(problem.parameters, slope, post)
    state = problem.state_inverse(problem.parameters, post, control, slope)
    return jnp.isfinite(slope) & ~jnp.isfinite(control + state)


def _spend_where_idle(problem, continuation, idle, state, control, post):
    """Give idle knots a choice: the corner's when all are idle, else to stay at the last post-state worth reaching.

    Above the last busy knot the post-state stays where it is, and all that the state adds goes to the control.
    """
    p, ones = problem.parameters, jnp.ones_like(post)
    spent = problem.state_inverse(p, problem.knots, problem.lower(p, state) * ones + 1.0, ones)
    bound = (problem.upper if problem.corner == "upper" else problem.lower)(p, spent) * ones
    last = post.shape[0] - 1 - jnp.argmin(idle[::-1])
    stay = lambda array: jnp.where(idle, array[last], array)
    # An idle knot below is chosen by nobody; it is given the numbers of one that is, which are finite.
    beyond = jnp.where(idle, jnp.maximum(problem.knots - problem.knots[last], 0.0), 0.0)
    rise = -trade_off(problem, state[last], control[last]) * beyond
    pick = lambda corner, array: jnp.where(jnp.all(idle), corner, array)
    state = pick(spent, stay(state) + beyond)
    control = pick(bound, stay(control) + rise)
    value = pick(continuation.lowest.value, stay(continuation.value))
    weight = pick(continuation.lowest.weight, stay(continuation.weight))
    return state, control, pick(problem.lowest(p), stay(post)), value, weight


def levels(problem, value, marginal, weight):
    r"""$w = u^{-1}(V/B)$ and its slope $V_m/(B\,u'(w))$ at the knots, and where they exist."""
    if problem.utility is None or problem.interp == "linear":
        return value, marginal, jnp.zeros(value.shape, bool)
    p, mean = problem.parameters, value / weight
    level_of = lambda v: problem.utility_inverse(p, v) * jnp.ones_like(v)
    trial = jax.lax.stop_gradient(level_of(jax.lax.stop_gradient(mean)))
    steep = jax.lax.stop_gradient(marginal_utility(problem, trial))
    smooth = jnp.isfinite(trial) & (trial > 0) & jnp.isfinite(steep) & (steep > 0) & jnp.isfinite(marginal / steep)
    # Any value that the inverse can take will do where the answer is not used.
    safe = jax.lax.stop_gradient(mean[jnp.argmax(smooth)])
    level = level_of(jnp.where(smooth, mean, safe))
    level = jnp.where(jnp.any(smooth), level, 1.0)
    slope = marginal / (weight * marginal_utility(problem, level))
    return level, jnp.where(smooth, slope, 0.0), smooth


def marginal_utility(scale, level: Float[Array, "..."]) -> Float[Array, "..."]:
    """$u'$ at each level of consumption, of a problem or a scale that has a `utility`."""
    return jax.grad(lambda w: jnp.sum(scale.utility(scale.parameters, w)))(level)


def secant_where(edge, state, level, slope):
    """At the edge of the feasible set marginal values are infinite; the slope of the cell stands in for them."""
    width = jnp.diff(state)
    secant = jnp.diff(level) / jnp.where(width == 0, 1.0, width)
    return slope.at[:-1].set(jnp.where(edge[:-1], secant, slope[:-1]))
