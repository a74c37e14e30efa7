"""A given policy of a few continuous controls: what it is worth, and what its own first-order conditions say of it."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import room_above, where
from stagecraft.horses.problems import MaximumProblem
from stagecraft.horses.solution import Answer

States = dict[str, Float[Array, "..."]]
After = Callable[[States], Answer]

_STEPS = 12  # Of Newton's method in the logarithm of a control.


def worth(problem: MaximumProblem, continuation: After, states: States, controls: States) -> Float[Array, "..."]:
    """The objective where a choice is admissible, minus infinity where it is not; without a gradient."""
    value, good = objective_at(problem, continuation, states, controls)
    return jax.lax.stop_gradient(where(good & jnp.isfinite(value), value, -jnp.inf))


def objective_at(problem: MaximumProblem, continuation: After, states: States, controls: States):
    """The objective, and whether the choice is admissible."""
    p = problem.parameters
    ones = jnp.ones(jnp.broadcast_shapes(*[x.shape for x in (*states.values(), *controls.values())]))
    posts = {name: x * ones for name, x in problem.transition(p, states, controls).items()}
    answer = continuation(posts)
    value = problem.objective(p, states, controls, posts, answer.value) * ones
    good = answer.feasible
    if problem.allowed is not None:
        good &= problem.allowed(p, states, controls, posts)
    if problem.admitted is not None:
        good &= problem.admitted(p, states)
    return value, good


def sides(problem: MaximumProblem, states: States) -> tuple[States, States]:
    """The lower and the upper bound of every control, in the shape of the states."""
    full = lambda x: x * jnp.ones_like(next(iter(states.values())))
    found = {n: (full(low), full(high)) for n, (low, high) in problem.limits(problem.parameters, states).items()}
    return {n: side[0] for n, side in found.items()}, {n: side[1] for n, side in found.items()}


def has_range(problem: MaximumProblem, low: States, high: States) -> Bool[Array, "..."]:
    """Whether every control has a value between its bounds; they may meet only where none of the two is strict."""
    wide = [high[n] > low[n] if n in problem.strict else high[n] >= low[n] for n in problem.controls]
    return functools.reduce(jnp.logical_and, wide)


def within_bounds(problem: MaximumProblem, states: States, controls: States) -> States:
    """The controls kept between their bounds, and off the lower one."""
    low, high = sides(problem, states)
    return {n: jnp.maximum(jnp.minimum(x, high[n]), low[n] + room_above(low[n])) for n, x in controls.items()}


def follow_policy(
    problem: MaximumProblem, continuation: After, states: States, policy: Callable[[States], States], smooth: tuple[str, ...]
) -> Answer:
    r"""What a given policy is worth at any state, kept within its bounds: second-order accurate in the policy's error.

    The derivative in a continuous state is that of the whole, $Q_x + Q_c\,c_x + (Q_{x_e} + Q_V V_{x_e})(g_x + g_c\,c_x)$: at
    the optimum it is the envelope condition, near it the error of the policy enters at second order, and a control at a bound
    brings what it gains from the bound's movement. Where the value that is recorded is another than the objective, no envelope
    condition holds, and all of it counts at first order.

    **Arguments:** `policy`: decision states to controls; `smooth`: the continuous states, which get a marginal value.
    """
    p = problem.parameters
    shape = jnp.broadcast_shapes(*[x.shape for x in states.values()])
    states = {n: jnp.broadcast_to(x, shape) for n, x in states.items()}
    low, high = jax.lax.stop_gradient(sides(problem, states))
    room = has_range(problem, low, high)

    within = lambda states: within_bounds(problem, states, policy(states))
    posts = lambda s, c: {n: x * jnp.ones(shape) for n, x in problem.transition(p, s, c).items()}
    chosen = within(states)
    ends = posts(states, chosen)
    answer = continuation(ends)
    recorded = problem.recorded or problem.objective
    total = lambda s, c, v: recorded(p, s, c, posts(s, c), v) * jnp.ones(shape)
    value, derivative = jax.linearize(total, states, chosen, jnp.broadcast_to(answer.value, shape))
    still, none = jax.tree.map(jnp.zeros_like, (states, chosen)), jnp.zeros_like(value)
    marginal = {}
    for name in smooth:
        along = {**still[0], name: jnp.ones_like(states[name])}
        _, turned = jax.jvp(within, (states,), (along,))
        _, moved = jax.jvp(posts, (states, chosen), (along, turned))
        carried = sum((answer.marginal[k] * moved[k] for k in answer.marginal), none)
        marginal[name] = derivative(along, turned, carried)
    weight = 1.0 + derivative(*still, jnp.broadcast_to(answer.weight, shape))
    feasible = room & jnp.broadcast_to(answer.feasible, shape)
    if problem.admitted is not None:
        feasible &= problem.admitted(p, states)
    outside = jnp.broadcast_to(answer.outside, shape)
    return Answer(value=value, marginal=marginal, weight=weight, feasible=feasible, outside=outside, policy=chosen)


def implied(problem: MaximumProblem, states: States, controls: States, answer: Answer) -> States:
    r"""Every control that solves its own first-order condition, what comes after and the other controls held fixed.

    $Q_c + \sum_j (Q_{x_j} + Q_V V_{x_j})\,\partial x_j/\partial c = 0$ by Newton's method in $\log c$; NaN where the condition
    does not fall in the control.

    **Arguments:** `answer`: of the continuation at the post-states of `controls`.
    """
    p, found = problem.parameters, {}
    ends = problem.transition(p, states, controls)
    for name in problem.controls:
        at = lambda c, name=name: {**controls, name: c}
        posts = lambda c, at=at: {n: x * jnp.ones_like(c) for n, x in problem.transition(p, states, at(c)).items()}

        def condition(c, at=at, posts=posts):
            one = jnp.ones_like(c)
            _, moved = jax.jvp(posts, (c,), (one,))
            carried = sum((answer.marginal[k] * moved[k] for k in answer.marginal), jnp.zeros_like(c))
            total = lambda c, x, v: problem.objective(p, states, at(c), x, v) * one
            held = {n: x * one for n, x in ends.items()}
            return jax.jvp(total, (c, held, answer.value * one), (one, moved, carried))[1]

        def body(_, c, condition=condition):
            value, slope = jax.jvp(condition, (c,), (jnp.ones_like(c),))
            step = where(slope < 0, -value / (where(slope < 0, slope, 1.0) * c), jnp.nan)
            return c * jnp.exp(jnp.clip(step, -1.0, 1.0))

        found[name] = jax.lax.fori_loop(0, _STEPS, body, controls[name])
    return found
