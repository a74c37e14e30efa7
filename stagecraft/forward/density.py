"""Switches of what follows a stage between two knots of its policy, too small to make the policy jump.

Behind shocks a switch of a later choice stands at as many post-states as there are nodes. Where that makes the continuation's
slope rise by less than it falls across a cell, the stored policy passes the switch as if it were steep, and its derivative does
not see the switch move. What is missing is known from the values, which are continuous and whose derivatives are right: over a
cell of width $h$, with values $V_L, V_R$ and slopes $W_L, W_R$ at its ends,

$$ S = \\frac{d}{d\\theta}\\Bigl(V_R - V_L - \\tfrac{h}{2}(W_L + W_R)\\Bigr) $$

is the derivative of the slope's integral that the ends do not see. As a change of the control, spread over the cell, it gives
means of policies the derivative that they have when households are distributed with a density.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from stagecraft.arrays import where
from stagecraft.functionals.decision import Decision
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.movers.optimise import Optimise
from stagecraft.movers.switches import Line, switches_of

_still = jax.lax.stop_gradient


def with_density(mover: Optimise, decision: Decision, after: AbstractFunctional) -> Decision:
    """The decision with the same policies, whose derivatives see small switches of what follows move, on average over cells.

    **Arguments:** `mover`: that found the decision; `after`: what follows.
    """
    problem, rows = mover.problem.given(**mover.passive(1)), decision.rows
    p, sizes = problem.parameters, tuple(axis.values.shape[0] for axis in (*mover.axes, *mover.options))
    state, control = (_still(x).reshape(*sizes, -1) for x in (rows.state, rows.control))
    post = _still(problem.transition(p, state, control) * jnp.ones_like(state))
    points = mover.points | {mover.post: post}
    answer = (after if mover.inner is None else mover.inner.over(after, mover.post)).at(points)
    full = lambda x: jnp.broadcast_to(x, post.shape)
    value, slope, feasible = (full(x) for x in (answer.value, answer.marginal[mover.post], answer.feasible))

    def choice(slope):
        control = problem.control_inverse(p, slope, post)
        return control, problem.state_inverse(p, post, control, slope)

    _, (bent, moved) = jax.tree.map(full, _still(jax.jvp(choice, (_still(slope),), (jnp.ones_like(slope),))))
    sound = feasible & jnp.isfinite(value + slope + bent + moved)
    both = lambda flags: flags[..., 1:] & flags[..., :-1]
    mean = lambda x: 0.5 * (x[..., 1:] + x[..., :-1])
    gap, width = jnp.diff(post), jnp.diff(state)
    points |= {} if mover.inner is None else {mover.inner.post: full(answer.policy[mover.inner.control])}
    cells = both(sound) & (gap > 0) & (width > 0) & _any_switch(after, points, mover.post, (gap > 0) & (width > 0))
    clean = lambda x: where(cells, x, 0.0)
    value, slope = where(sound, value, 0.0), where(sound, slope, 0.0)
    rise = jnp.diff(value) - gap * mean(slope)
    share = clean((width * mean(bent) - jnp.diff(control) * mean(moved)) / where(gap > 0, gap, 1.0))
    room = _spread_over(jnp.maximum(width, 0.0))
    spread = _spread_over(clean(share * (rise - _still(rise)))) / where(room > 0, room, 1.0)
    seen = dataclasses.replace(rows, control=rows.control + spread.reshape(rows.control.shape))
    return dataclasses.replace(decision, rows=seen)


def _spread_over(x):
    """Half of what the cells on both sides of every knot hold."""
    side = [(0, 0)] * (x.ndim - 1)
    return 0.5 * (jnp.pad(x, [*side, (1, 0)]) + jnp.pad(x, [*side, (0, 1)]))


def _any_switch(after, points, post, cells) -> Bool[Array, "..."]:
    """Whether any cell of a row has a switch of what follows."""
    whole = points[post].shape
    after, points = jax.tree.map(_still, (after, points))
    at = {name: jnp.broadcast_to(x, whole).ravel() for name, x in points.items()}
    pairs = jnp.concatenate([cells, jnp.zeros_like(cells[..., :1])], axis=-1).ravel()[:-1]
    there = jnp.zeros(pairs.shape, bool)
    for found in switches_of(after, at, Line(pairs, jnp.ones(pairs.shape), 0, exact=False)):
        there = there.at[found.lower].max(found.there)
    return jnp.any(jnp.append(there, False).reshape(whole), axis=-1, keepdims=True)
