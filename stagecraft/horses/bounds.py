"""Where the bound of a control that does not lead to the corner holds people back: what they reach along it, and its worth."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import room_above, where
from stagecraft.horses.evaluate import other_bound
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.horses.solution import Answer
from stagecraft.operators.interpolate import Segment

# Knots along a bound that holds people back, beyond the last post-state that it lets them reach.
HELD = 8
_FAR = (1.0, 30.0)  # How far states are looked at, in spans of the grid of the post-state.


def reached(problem: ContinuousProblem, state: Float[Array, "..."]) -> Float[Array, "..."]:
    """The post-state of those who are held at the bound."""
    p = problem.parameters
    return problem.transition(p, state, other_bound(problem)(p, state))


def top(problem: ContinuousProblem) -> Float[Array, "..."]:
    """The highest post-state that the bound lets anyone reach, or the last knot where it is on the grid.

    A cap on savings is one: a knot there has the last choice that is free.
    """
    first, last = problem.knots[0], problem.knots[-1]
    found = [reached(problem, last + far * (last - first)) for far in _FAR]
    highest = jnp.maximum(*found)
    return jnp.clip(where(jnp.isfinite(highest), highest, last), first, last)


def inserted(problem: ContinuousProblem) -> list[Float[Array, "..."]]:
    """Knots of the post-state beside its grid: one on either side of every kink, and the highest that a bound lets reach."""
    first, last = problem.knots[0], problem.knots[-1]
    found = [top(problem)] if problem.holds else []
    for kink in problem.kinks:
        at = jnp.asarray(kink(problem.parameters), first.dtype)
        found += [jnp.clip(at + side * room_above(at), first, last) for side in (-1, 1)]
    return found


def lengthened(problem: ContinuousProblem, continuation: Answer, count: int) -> tuple[ContinuousProblem, Answer]:
    """Both with the last knot `count` times more."""
    more = lambda x: jnp.concatenate([x, jnp.broadcast_to(x[-1], (count,))])
    return dataclasses.replace(problem, knots=more(problem.knots)), jax.tree.map(more, continuation)


def along_bound(
    problem: ContinuousProblem, continuation: Answer, count: int, chosen: tuple, out: Bool[Array, " n"]
) -> tuple[Bool[Array, ""], Bool[Array, " n"], Answer, tuple]:
    """Give post-states that nobody can reach along the bound, and the last `count`, to those who are held by it.

    Beyond the last state whose choice is free, or leads to a knot along the bound, states go on as far as the grid is wide;
    their post-states follow from the bound, and what they are worth is read from the continuation.

    **Arguments:** `chosen`: (control, state, post) at the knots; `out`: whether the control is at its bound.

    **Returns:** whether the last knots are of use, which knots were given away, the continuation, and (control, state, post).
    """
    p, (control, state, post) = problem.parameters, chosen
    n = post.shape[0] - count
    index, last = jnp.arange(n + count), post[n - 1]
    fixed_state, fixed_post = jax.lax.stop_gradient((state, post))
    there = reached(problem, fixed_state)
    met = ~out | (jnp.abs(there - fixed_post) <= 1e-8 * (1.0 + jnp.abs(fixed_post)))
    free = jnp.max(where(met & (index < n), index, 0))
    begin = fixed_state[free]
    wanted = jax.lax.stop_gradient(problem.state_inverse(p, last, control[free], jnp.ones_like(last)))
    width = jnp.maximum(begin - fixed_state[0], where(jnp.isfinite(wanted), wanted - begin, 0.0))
    held = (free < n - 1) | (reached(problem, begin + 2 * width) <= last + 1e3 * room_above(last))
    lost = held & (index > free)
    share = (index - free) / (n + count - 1 - free)
    state = where(lost, begin + 2 * width * share**2, state)
    control = where(lost, other_bound(problem)(p, state) * jnp.ones_like(state), control)
    ends = jnp.minimum(reached(problem, state) * jnp.ones_like(state), last)
    cell = Segment(post[:n], ends)
    base = lambda x: x[:n]
    read = lambda x: where(lost, cell.linear(base(x)), x)
    value = cell.hermite(base(continuation.value), base(continuation.marginal[problem.post]))
    parts = {name: jax.tree.map(read, getattr(continuation, name)) for name in ("marginal", "weight", "policy")}
    parts["value"] = where(lost, value, continuation.value)
    return held, lost, dataclasses.replace(continuation, **parts), (control, state, where(lost, ends, post))
