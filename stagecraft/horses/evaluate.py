"""A decision at any state: the one evaluator that solving, simulating and the user share."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import room_above, where
from stagecraft.horses.intratemporal import along_curve, by_state
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.horses.solution import Answer, Rows
from stagecraft.operators.interpolate import Segment, hermite

Points = Float[Array, "..."]


def evaluate(
    problem: ContinuousProblem, rows: Rows, state: Float[Array, "..."], row: Int[Array, "..."] | None = None
) -> Answer:
    r"""The decision at any state of one row, or of a `row` each, whose passive states stand among the parameters.

    The policy is linear between knots and beyond the last; on the constrained branch, below the first interior knot, it is
    the linear continuation or the bound, whichever leaves more to the future. The value is a cubic Hermite of
    $u^{-1}(V/B)$, or of $V$ in cells where that is straighter; the marginal value is the envelope condition
    $Q_m - Q_c\,g_m/g_c$ at $(m, c(m))$, which holds inside and on the corner.

    **Arguments:** `problem`: with the passive states among its parameters; `rows`: what `egm` has stored; `state`: decision
    states of any shape; `row`: of that shape, where there are several rows.

    **Returns:** an `Answer` in the shape of `state`: value, policy, marginal value, and what lies beyond the last knot.
    """
    p = problem.parameters
    segment = Segment(rows.state, state, row)
    ones = jnp.ones_like(segment.share)
    ends = _ends(problem, rows, segment)
    line = segment.linear(rows.control)
    if problem.beside is not None:
        line, problem = _with_beside(problem, rows, segment, state, line)
        p = problem.parameters
    low, high = (bound(p, state) * ones for bound in (problem.lower, problem.upper))
    bound, corner = (high if problem.corner == "upper" else low), segment.own(rows.corner)
    beyond = line >= bound if problem.corner == "upper" else line <= bound
    # Up to a corner that the envelope found above its first knot the bound holds without asking the line.
    above = problem.envelope or problem.curved
    known = jnp.isinf(corner) | (corner > segment.own(rows.state[..., 0])) if above else jnp.isinf(corner)
    beyond = beyond | known
    binds = jax.lax.stop_gradient((state < corner) & beyond)
    line = where(binds, bound, line)
    feasible = jax.lax.stop_gradient((high > low) | (problem.floored & (high >= low)))
    feasible &= jax.lax.stop_gradient(state > segment.own(rows.least))
    if problem.allowed is not None:
        feasible &= problem.allowed(p, state)
    control = jnp.maximum(jnp.minimum(line, high), low + room_above(low))
    post = where(binds, problem.lowest(p), problem.transition(p, state, control))
    behind_corner = segment.own(rows.lowest.value) * ones
    constrained = problem.objective(p, state, control, post, behind_corner) * ones
    mean = segment.between(ends["weight"])
    value = where(binds, constrained, _between(problem, segment, segment.here(rows.straight), mean, ends))
    by_value = discount(problem, state, control, post, behind_corner)
    weight = where(binds, 1.0 + by_value * segment.own(rows.lowest.weight), mean)
    behind = _behind(problem, state, control, post, value) if problem.discounted_by_state else behind_corner
    marginal = envelope(problem, state, control, post, behind)
    if problem.floored:
        other = other_bound(problem)(p, state) * ones
        held = jax.lax.stop_gradient(beyond_bound(problem, line, other, 2 * room_above(other))) & ~binds
        if problem.cornerless:
            held |= jax.lax.stop_gradient(line <= low + 2 * room_above(low))
        own, moved = at_closed_bound(problem, state, line, post, behind, jnp.zeros_like(behind))
        # Where the post-state stays, what comes after does not count at the margin.
        marginal = where(held, where(moved == 0, own, segment.linear(rows.marginal)), marginal)
    if problem.cornerless and problem.interp != "linear":
        # What the control adds may bend much where the value does not: inside a cell its cubic has the better slope.
        inside = (segment.share >= 0) & (segment.share <= 1)
        marginal = where(inside, hermite(segment.share, segment.width, *ends["value"], *ends["marginal"])[1], marginal)
    marginals = {"state": marginal}
    lowest = {name: segment.own(x) for name, x in rows.lowest.others.items()}
    for name in problem.passive:
        at_corner = passive_marginal(problem, name, state, control, post, behind_corner, lowest)
        marginals[name] = where(binds, at_corner, segment.linear(rows.others[name]))
    outside = jax.lax.stop_gradient(where(~binds & (segment.share > 1), 1.0, 0.0))
    names = () if problem.beside is None else [c.name for c in problem.beside.controls]
    inner = {
        n: where(binds, segment.own(rows.lowest.inner[n]), segment.linear(x)) for n, x in rows.inner.items() if n not in names
    }
    policy = {"control": control, **inner, **{n: problem.parameters[n] * ones for n in names}}
    return Answer(value=value, marginal=marginals, weight=weight, feasible=feasible, outside=outside * ones, policy=policy)


def _with_beside(problem, rows, segment, state, line):
    """The control, along the constrained branch that of the curve, and the problem in which those beside it are chosen."""
    own, p = problem.beside, problem.parameters
    found = {c.name: segment.linear(rows.inner[c.name]) for c in own.controls}
    if not own.curved:
        bound = own.bound(p, state)
        line = jnp.maximum(line, bound) if problem.corner == "lower" else jnp.minimum(line, bound)
        return line, problem.given(**by_state(own, p, state, line, found))
    binds = jax.lax.stop_gradient(state < segment.own(rows.corner))
    line = where(binds, along_curve(own, p, state, line, found), line)
    return line, problem.given(**by_state(own, p, state, line, found))


def envelope(problem: ContinuousProblem, state, control, post, value) -> Float[Array, "..."]:
    r"""$\partial V/\partial m = Q_m - Q_c\,g_m/g_c$ with the post-state held fixed (Milgrom and Segal 2002).

    **Arguments:** `problem`; `state`, `control`, `post`, `value`: the decision state, what is chosen there, the post-state
    that it leads to and what that is worth, of shapes that broadcast.

    **Returns:** the marginal value of the state, in the shape of `state` and `control`.
    """
    state, control = jnp.broadcast_arrays(state, control)
    if problem.slope is not None:
        return problem.slope(problem.parameters, state, control, post, value) * jnp.ones_like(state)
    total = lambda m, c: jnp.sum(problem.objective(problem.parameters, m, c, post, value) * jnp.ones_like(m))
    q_m, q_c = jax.grad(total, (0, 1))(state, control)
    return q_m - q_c * trade_off(problem, state, control)


def at_closed_bound(problem: ContinuousProblem, state, control, post, value, slope) -> tuple[Points, Points]:
    """The derivative of the value where the control follows its bound and the post-state follows both, and that of the post.

    Where both bounds may hold it is the one that the control is at, neither of which moves with the state.
    """
    state, control, post, value = jnp.broadcast_arrays(state, control, post, value)
    p, ones = problem.parameters, jnp.ones_like(state)
    bound = lambda m: jax.lax.stop_gradient(control) if problem.cornerless else other_bound(problem)(p, m) * ones
    _, moved = jax.jvp(lambda m: problem.transition(p, m, bound(m)) * ones, (state,), (ones,))
    along = lambda m, x, v: problem.objective(p, m, bound(m), x, v) * ones
    return jax.jvp(along, (state, post, value), (ones, moved, slope * moved))[1], moved


def passive_marginal(problem: ContinuousProblem, name: str, state, control, post, value, others) -> Float[Array, "..."]:
    r"""$Q_s - Q_c\,g_s/g_c + Q_V \sum_j V_{y_j}\,\partial y_j/\partial s$: the envelope condition of a passive state $s$.

    **Arguments:** `name`: the key of the passive state; `others`: $V_{y_j}$ of the passive post-states.
    """
    p, ones = problem.parameters, jnp.ones_like(control)
    along = lambda f: jax.jvp(lambda s: f({**p, name: s}), (p[name] * ones,), (ones,))[1]
    q_s = along(lambda q: problem.objective(q, state, control, post, value) * ones)
    g_s = along(lambda q: problem.transition(q, state, control) * ones)
    total = lambda f: lambda c: jnp.sum(f(c) * ones)
    q_c = jax.grad(total(lambda c: problem.objective(p, state, c, post, value)))(control)
    g_c = jax.grad(total(lambda c: problem.transition(p, state, c)))(control)
    moved = jax.jvp(lambda s: _full(problem.other_posts({**p, name: s}), ones), (p[name] * ones,), (ones,))[1]
    carried = sum((others[y] * moved[y] for y in others), jnp.zeros(()))
    swap = where(g_s == 0, 0.0, g_s / where(g_c == 0, 1.0, g_c))
    return q_s - q_c * swap + discount(problem, state, control, post, value) * carried


def _full(values, ones):
    return {name: x * ones for name, x in values.items()}


def trade_off(problem: ContinuousProblem, state, control) -> Float[Array, "..."]:
    """$g_m/g_c$: minus what the control gains from one more unit of the state at a held post-state."""
    if problem.trade_off is not None:
        return problem.trade_off(problem.parameters, state, control)
    total = lambda m, c: jnp.sum(problem.transition(problem.parameters, m, c) * jnp.ones_like(state))
    g_m, g_c = jax.grad(total, (0, 1))(state, control)
    return g_m / g_c


def discount(problem: ContinuousProblem, state, control, post, value) -> Float[Array, "..."]:
    """The derivative of the objective in the continuation value."""
    ones = jnp.ones(jnp.broadcast_shapes(*[jnp.shape(x) for x in (state, control, post, value)]))
    if problem.by_value is not None:
        return problem.by_value(problem.parameters, state, post) * ones
    total = lambda v: jnp.sum(problem.objective(problem.parameters, state, control, post, v) * ones)
    return jax.grad(total)(value * ones)


def _behind(problem, state, control, post, value):
    """The continuation value that the objective, linear in it, must have had to be worth `value`."""
    nothing = problem.objective(problem.parameters, state, control, post, jnp.zeros_like(value))
    by_value = discount(problem, state, control, post, jnp.zeros_like(value))
    return (value - nothing) / where(by_value == 0, 1.0, by_value)


def other_bound(problem: ContinuousProblem):
    """The bound that does not lead to the corner."""
    return problem.lower if problem.corner == "upper" else problem.upper


def beyond_bound(problem: ContinuousProblem, control: Points, bound: Points, room: Points | float = 0.0) -> Bool[Array, "..."]:
    """Whether a control lies beyond the bound that does not lead to the corner, or within `room` of it."""
    return control < bound + room if problem.corner == "upper" else control > bound - room


def _ends(problem, rows, segment):
    """What values need at the ends of each query's cell, gathered together; policies, which do not need it, stand apart."""
    names = ["weight", "value", "marginal"]
    if problem.interp != "linear" and problem.utility is not None:
        names += ["level", "level_slope"]
    return dict(zip(names, segment.all_ends(*[getattr(rows, name) for name in names]), strict=True))


def _between(problem, segment, straight, weight, ends):
    """The value between knots, by the level of consumption that is worth as much, or by itself where there is none."""
    if problem.interp == "linear":
        return segment.between(ends["value"])
    if problem.utility is None:
        return segment.cubic(*ends["value"], *ends["marginal"])
    pick = lambda a, b: where(straight, a, b)
    levels = [pick(a, b) for a, b in zip(ends["level"], ends["value"], strict=True)]
    slopes = [pick(a, b) for a, b in zip(ends["level_slope"], ends["marginal"], strict=True)]
    found = segment.cubic(*levels, *slopes)
    worth = problem.utility(problem.parameters, jax.lax.stop_gradient(where(straight, found, 1.0)))
    smooth = straight & jax.lax.stop_gradient((found > 0) & jnp.isfinite(worth))
    # A level whose utility overflows would poison the derivative of every parameter, although it is not taken.
    level = where(smooth, found, jax.lax.stop_gradient(where(straight, jnp.minimum(*levels), 1.0)))
    return where(smooth, weight * problem.utility(problem.parameters, level), pick(segment.between(ends["value"]), found))
