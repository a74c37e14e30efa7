"""The endogenous grid horse: one continuous control, one post-state, a first-order condition that can be inverted."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.horses.problems import ContinuousProblem
from stagecraft.operators.interpolate import Segment
from stagecraft.solution import Answer, Continuation, Rows


def room_above(bound: Float[Array, "..."]) -> Float[Array, "..."]:
    """The distance kept from an open bound: small beside any choice, large beside rounding."""
    tiny = 1e-14 if jnp.finfo(bound.dtype).bits == 64 else 1e-6
    return tiny * (1.0 + jnp.abs(jnp.where(jnp.isfinite(bound), bound, 0.0)))


def egm(problem: ContinuousProblem, continuation: Continuation) -> Rows:
    r"""Solve the first-order condition on the grid of the post-state, so that no maximum is sought.

    $c_i$ solves $Q_c + (Q_{x'} + Q_V \lambda_i)\,g_c = 0$ at every knot $x'_i$, and $m_i$ solves $x'_i = g(m_i, c_i)$
    (Carroll 2006, eq. 7, for any objective linear in $V$). Below the first knot the bound of the control takes over.

    **Arguments:** `problem`, and the `continuation` on its knots.

    **Returns:** `Rows`, increasing in the state wherever the problem is concave; the caller looks for folds.
    """
    p, post, slope = problem.parameters, problem.knots, continuation.marginal
    idle = _is_idle(problem, *jax.lax.stop_gradient((slope, post)))
    # A technology may be infinitely productive at the lowest post-state, and the condition have its limit there only.
    post = jnp.where(idle & (post <= problem.lowest), post + room_above(post), post)
    idle = _is_idle(problem, *jax.lax.stop_gradient((slope, post)))
    slope = jnp.where(idle, 1.0, slope)
    control, state, out = _inside(problem, post, slope)
    # At an open bound a knot is the edge of the feasible set; at a closed one a choice like any other.
    edge, held = ~continuation.feasible | (out & (not problem.floored)), out & problem.floored
    falls = _conditions(problem, idle, control, slope, post)
    chosen = _spend_where_idle(problem, continuation, idle, state, control, post)
    state, control, post, value, weight = chosen
    marginal = envelope(problem, state, control, post, value)
    if problem.floored:
        marginal = jnp.where(held, _at_closed_bound(problem, state, post, value, continuation.marginal), marginal)
    by_value = _discount(problem, state, control, post, value)
    weight = 1.0 + by_value * weight
    value = problem.objective(p, state, control, post, value) * jnp.ones_like(state)
    level, level_slope, smooth = _levels(problem, value, marginal, weight)
    level_slope = _secant_where(edge & ~idle, state, level, level_slope)
    low = (continuation.lowest_value, continuation.lowest_weight)
    return Rows(state, control, value, marginal, weight, level, level_slope, smooth, *low, jnp.all(idle), falls)


def evaluate(problem: ContinuousProblem, rows: Rows, state: Float[Array, "..."]) -> Answer:
    r"""The decision at any state: the one evaluator that solving, simulating and the user share.

    The policy is linear between knots and beyond the last; below the first it is the linear continuation or the bound,
    whichever leaves more to the future. The value is a cubic Hermite of $u^{-1}(V/B)$, or of $V$ in cells where that is
    straighter; the marginal value is the envelope condition $Q_m - Q_c\,g_m/g_c$ at $(m, c(m))$, which holds inside and on
    the corner.
    """
    p = problem.parameters
    segment = Segment(rows.state, state)
    line = segment.linear(rows.control)
    low, high = (bound(p, state) * jnp.ones_like(state) for bound in (problem.lower, problem.upper))
    bound = high if problem.corner == "upper" else low
    beyond = line >= bound if problem.corner == "upper" else line <= bound
    binds = jax.lax.stop_gradient(rows.idle | ((state < rows.state[0]) & beyond))
    line = jnp.where(rows.idle, bound, line)
    feasible = jax.lax.stop_gradient(high > low) | (problem.floored & (high >= low))
    control = jnp.maximum(jnp.minimum(line, high), low + room_above(low))
    post = jnp.where(binds, problem.lowest, problem.transition(p, state, control))
    corner = jnp.broadcast_to(rows.lowest_value, state.shape)
    constrained = problem.objective(p, state, control, post, corner) * jnp.ones_like(state)
    value = jnp.where(binds, constrained, _between(problem, rows, segment))
    by_value = _discount(problem, state, control, post, corner)
    weight = jnp.where(binds, 1.0 + by_value * rows.lowest_weight, segment.linear(rows.weight))
    behind = _behind(problem, state, control, post, value) if problem.discounted_by_state else corner
    marginal = envelope(problem, state, control, post, behind)
    if problem.floored:
        other = _other_bound(problem)(p, state) * jnp.ones_like(state)
        held = jax.lax.stop_gradient(_beyond(problem, line, other, 2 * room_above(other))) & ~binds
        marginal = jnp.where(held, segment.linear(rows.marginal), marginal)
    return Answer(value, {"state": marginal}, weight, feasible, {"control": control})


def envelope(problem: ContinuousProblem, state, control, post, value) -> Float[Array, "..."]:
    r"""$\partial V/\partial m = Q_m - Q_c\,g_m/g_c$ with the post-state held fixed (Milgrom and Segal 2002)."""
    total = lambda m, c: jnp.sum(problem.objective(problem.parameters, m, c, post, value) * jnp.ones_like(m))
    q_m, q_c = jax.grad(total, (0, 1))(state, control)
    return q_m - q_c * _trade_off(problem, state, control)


def _conditions(problem, idle, control, slope, post):
    """Whether a maximum was found: the condition falls in the control at every knot, and no idle knot lies below a busy one."""
    worth = ~jnp.any(idle[:-1] & ~idle[1:])
    if problem.foc is None:
        return worth
    control, slope = jax.lax.stop_gradient((control, slope))
    _, change = jax.jvp(
        lambda c: problem.foc(problem.parameters, c, slope, post) * jnp.ones_like(c), (control,), (slope * 0 + 1,)
    )
    return worth & jnp.all(idle | ~(change > 0))


def _trade_off(problem, state, control):
    """$g_m/g_c$: minus what the control gains from one more unit of the state at a held post-state."""
    if problem.trade_off is not None:
        return problem.trade_off(problem.parameters, state, control)
    total = lambda m, c: jnp.sum(problem.transition(problem.parameters, m, c) * jnp.ones_like(state))
    g_m, g_c = jax.grad(total, (0, 1))(state, control)
    return g_m / g_c


def _at_closed_bound(problem, state, post, value, slope):
    """The derivative of the value where the control follows its bound and the post-state follows both."""
    p, ones = problem.parameters, jnp.ones_like(state)
    bound = lambda m: _other_bound(problem)(p, m) * ones
    reached = lambda m: problem.transition(p, m, bound(m)) * ones
    _, moved = jax.jvp(reached, (state,), (ones,))
    along = lambda m, x, v: problem.objective(p, m, bound(m), x, v) * ones
    return jax.jvp(along, (state, post, value), (ones, moved, slope * moved))[1]


def _inside(problem, post, slope):
    """The first-order condition at the knots, held at the bound that does not lead to the corner, or just inside it."""
    p = problem.parameters
    control = problem.control_inverse(p, slope, post)
    state = problem.state_inverse(p, post, control, slope)
    bound = _other_bound(problem)(p, state) * jnp.ones_like(control)
    room = 0.0 if problem.floored else room_above(bound)
    limit = bound + room if problem.corner == "upper" else bound - room
    out = jax.lax.stop_gradient(_beyond(problem, control, limit))
    control = jnp.where(out, limit, control)
    if problem.state_at_bound is None:
        return control, jnp.where(out, problem.state_inverse(p, post, control, slope), state), out
    state = jnp.where(out, problem.state_at_bound(p, post, state), state)
    return jnp.where(out, _other_bound(problem)(p, state), control), state, out


def _discount(problem, state, control, post, value):
    """The derivative of the objective in the continuation value."""
    total = lambda v: jnp.sum(problem.objective(problem.parameters, state, control, post, v) * jnp.ones_like(state))
    return jax.grad(total)(value)


def _behind(problem, state, control, post, value):
    """The continuation value that the objective, linear in it, must have had to be worth `value`."""
    nothing = problem.objective(problem.parameters, state, control, post, jnp.zeros_like(value))
    by_value = _discount(problem, state, control, post, jnp.zeros_like(value))
    return (value - nothing) / jnp.where(by_value == 0, 1.0, by_value)


def _other_bound(problem):
    return problem.lower if problem.corner == "upper" else problem.upper


def _beyond(problem, control, bound, room=0.0):
    """Whether a control lies beyond the bound that does not lead to the corner, or within `room` of it."""
    return control < bound + room if problem.corner == "upper" else control > bound - room


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
    beyond = jnp.where(idle, problem.knots - problem.knots[last], 0.0)
    rise = -_trade_off(problem, state[last], control[last]) * beyond
    pick = lambda corner, array: jnp.where(jnp.all(idle), corner, array)
    state = pick(spent, stay(state) + beyond)
    control = pick(bound, stay(control) + rise)
    value = pick(continuation.lowest_value, stay(continuation.value))
    weight = pick(continuation.lowest_weight, stay(continuation.weight))
    return state, control, pick(problem.lowest, stay(post)), value, weight


def _levels(problem, value, marginal, weight):
    r"""$w = u^{-1}(V/B)$ and its slope $V_m/(B\,u'(w))$ at the knots, and where they exist."""
    if problem.utility is None or problem.interp == "linear":
        return value, marginal, jnp.zeros(value.shape, bool)
    p, mean = problem.parameters, value / weight
    level_of = lambda v: problem.utility_inverse(p, v) * jnp.ones_like(v)
    slope_of = lambda w: jax.grad(lambda x: jnp.sum(problem.utility(p, x)))(w)
    trial = jax.lax.stop_gradient(level_of(jax.lax.stop_gradient(mean)))
    steep = jax.lax.stop_gradient(slope_of(trial))
    smooth = jnp.isfinite(trial) & (trial > 0) & jnp.isfinite(steep) & (steep > 0) & jnp.isfinite(marginal / steep)
    # Any value that the inverse can take will do where the answer is not used.
    safe = jax.lax.stop_gradient(mean[jnp.argmax(smooth)])
    level = level_of(jnp.where(smooth, mean, safe))
    level = jnp.where(jnp.any(smooth), level, 1.0)
    slope = marginal / (weight * slope_of(level))
    return level, jnp.where(smooth, slope, 0.0), smooth


def _secant_where(edge, state, level, slope):
    """At the edge of the feasible set marginal values are infinite; the slope of the cell stands in for them."""
    width = jnp.diff(state)
    secant = jnp.diff(level) / jnp.where(width == 0, 1.0, width)
    return slope.at[:-1].set(jnp.where(edge[:-1], secant, slope[:-1]))


def _between(problem, rows, segment):
    """The value between knots, by the level of consumption that is worth as much, or by itself where there is none."""
    if problem.interp == "linear":
        return segment.linear(rows.value)
    plain = segment.hermite(rows.value, rows.marginal)
    if problem.utility is None:
        return plain
    left, right = segment.ends(rows.smooth)
    level = segment.hermite(rows.level, rows.level_slope)
    worth = problem.utility(problem.parameters, jax.lax.stop_gradient(level))
    straighter = _bend(segment, rows.level, rows.level_slope) <= _bend(segment, rows.value, rows.marginal)
    smooth = left & right & jax.lax.stop_gradient(straighter & (level > 0) & jnp.isfinite(worth))
    # A level whose utility overflows would poison the derivative of every parameter, although it is not taken.
    level = jnp.where(smooth, level, jnp.minimum(*segment.ends(rows.level)))
    weight = jnp.where(smooth, segment.linear(rows.weight), 1.0)
    return jnp.where(smooth, weight * problem.utility(problem.parameters, level), plain)


def _bend(segment, values, slopes):
    """How far a cell is from a parabola: the error of the trapezoid rule on its slopes, relative to its rise."""
    (y0, y1), (d0, d1) = segment.ends(values), segment.ends(slopes)
    rise = jnp.abs(y1 - y0)
    return jnp.abs(y1 - y0 - 0.5 * segment.width * (d0 + d1)) / jnp.where(rise == 0, 1.0, rise)
