"""Where a policy jumps: points without mass whose weights carry the derivative of the jump's place.

An aggregate of a function that jumps by $f_L - f_R$ at $x^*(\\theta)$ has in its derivative the term
$\\rho(x^*)\\,(f_L - f_R)\\,dx^*/d\\theta$, which no derivative taken at points beside the jump sees. Two points at $x^*$, one
on either side, with the weights $\\pm\\rho\\,(x^* - \\bar x^*)$ (a bar stops the derivative) leave every value as it is and add
exactly this.
"""

import jax
import jax.numpy as jnp

from stagecraft.decision import Chosen, Decision
from stagecraft.operators.interpolate import lookup, nearest, take

_ASIDE = 1e-6  # How far from a jump its two sides are looked at, in widths of a cell.
_STEPS = 8
_still = jax.lax.stop_gradient


def jump_points(decision, at: dict, shocks: dict, weights):
    """The points to add: decision states, shocks and weights of the same form; `None` where nothing can jump.

    Neighbours on a grid are consecutive points that differ in one state alone.
    """
    smooth = isinstance(decision, Decision) and (decision.options or not decision.problem.envelope)
    smooth |= isinstance(decision, Chosen) and (decision.problem.scale is None or len(decision.labels) == 1)
    if smooth or weights.shape[0] < 3 or not isinstance(decision, (Decision, Chosen)):
        return None
    if isinstance(decision, Decision) and not all(axis.discrete for axis in decision.axes):
        return None
    pairs, mass = _neighbours({**shocks, **at}, weights)
    room = min(weights.shape[0] - 1, max(32, weights.shape[0] // 8))
    find = _in_rows if isinstance(decision, Decision) else _in_choice
    lower, there, place, moved = find(decision, at, pairs, room)
    carried = _still(jnp.where(there, take(mass, lower), 0.0)) * jnp.where(there, moved - _still(moved), 0.0)
    ends = lambda group: {name: (take(x, lower), take(x, lower + 1)) for name, x in group.items()}
    sides = [{n: _still(a + (b - a) * (place + s * _ASIDE)) for n, (a, b) in ends(at).items()} for s in (-1, 1)]
    states = {name: jnp.concatenate([side[name] for side in sides]) for name in at}
    drawn = {name: jnp.tile(_still(take(x, lower)), 2) for name, x in shocks.items()}
    return states, drawn, jnp.concatenate([carried, -carried])


def _neighbours(variables: dict, weights):
    """Which consecutive points are neighbours, and the mass that their density puts between them.

    A point at the end of its row may be an atom, and says nothing of the density.
    """
    changes = sum((jnp.abs(x[1:] - x[:-1]) > 0).astype(jnp.int32) for x in variables.values())
    rises = sum(jnp.where(jnp.abs(x[1:] - x[:-1]) > 0, x[1:] - x[:-1], 0.0) for x in variables.values())
    # A shock may be carried into a state of the same name, so that one change is counted once a name.
    pairs = _still((changes == 1) & (rises > 0))
    gap = _still(jnp.where(pairs, rises, 0.0))
    none = jnp.zeros(1, bool)
    inner = jnp.concatenate([none, pairs]) & jnp.concatenate([pairs, none])
    width = 0.5 * (jnp.append(0.0, gap) + jnp.append(gap, 0.0))
    density = jnp.where(inner, _still(weights) / jnp.where(inner, width, 1.0), 0.0)
    known = inner.astype(weights.dtype)
    count = known[1:] + known[:-1]
    return pairs, gap * (density[1:] + density[:-1]) / jnp.maximum(count, 1.0)


def _chosen(flags, room):
    """The positions of the first `room` flags, and which of them are any."""
    lower = jnp.nonzero(flags, size=room, fill_value=-1)[0]
    return jnp.maximum(lower, 0), lower >= 0


def _in_rows(decision, at, pairs, room):
    """Jumps of a stored policy: two equal knots with different controls, which carry the derivative of their place."""
    rows, x, row = decision.rows, at[decision.state], 0
    for axis in decision.axes:
        row = row * axis.values.shape[0] + nearest(axis.values, at[axis.name])
    state, control = (jnp.atleast_2d(y) for y in (rows.state, rows.control))
    size = state.shape[1]
    gap = jnp.abs(control[:, 1:] - control[:, :-1])
    jumps = _still((state[:, 1:] == state[:, :-1]) & (gap > 1e-7 * (1.0 + jnp.abs(control[:, 1:]))))
    knots = jnp.where(jumps, jnp.arange(size - 1), size)
    ahead = jax.lax.cummin(jnp.concatenate([knots, jnp.full((state.shape[0], 1), size)], axis=1), axis=1, reverse=True)
    # The first jump above a point begins at or after the first knot above it.
    row = jnp.broadcast_to(jnp.asarray(row, jnp.int32), x.shape)
    above = lookup(state, x, row) + (_still(x) >= _still(state[row, 0]))
    which = ahead[row, above]
    place = take(state.ravel(), row * size + jnp.minimum(which, size - 1))
    lower, there = _chosen(pairs & (which < size)[:-1] & _still(place[:-1] < x[1:]), room)
    low, high = take(x, lower), take(x, lower + 1)
    width = _still(jnp.where(high > low, high - low, 1.0))
    share = _still((take(place, lower) - low) / width)
    return lower, there, share, (take(place, lower) - (low + (high - low) * share)) / width


def _in_choice(decision, at, pairs, room):
    """Switches between alternatives under a hard choice: a root of the difference of two values, and one Newton step."""
    frozen, still = jax.tree.map(_still, decision), {name: _still(x) for name, x in at.items()}
    best = _best(frozen.stack(still))
    hard = _still(decision.problem.scale) == 0
    lower, there = _chosen(pairs & (best[1:] != best[:-1]) & hard, room)
    left, right = take(best, lower), take(best, lower + 1)
    ends = {name: (take(x, lower), take(x, lower + 1)) for name, x in at.items()}
    pick = lambda x, k: jnp.take_along_axis(x, k[None], axis=0)[0]

    def along(s):
        return {name: a + (b - a) * s for name, (a, b) in ends.items()}

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        stack = frozen.stack(jax.tree.map(_still, along(middle)))
        up = pick(stack.value, left) > pick(stack.value, right)
        return jnp.where(up, middle, low), jnp.where(up, high, middle)

    none = jnp.zeros(lower.shape, next(iter(at.values())).dtype)
    low, high = jax.lax.fori_loop(0, _STEPS, halve, (none, none + 1.0))
    share = _still(0.5 * (low + high))
    stack = decision.stack(along(share))
    gap = pick(stack.value, left) - pick(stack.value, right)
    slope = sum((pick(m, left) - pick(m, right)) * (ends[n][1] - ends[n][0]) for n, m in stack.marginal.items() if n in ends)
    both = pick(stack.feasible, left) & pick(stack.feasible, right)
    steep = _still(jnp.where(both & (slope < 0), slope, -1.0))
    place = jnp.clip(share - _still(gap) / steep, 2 * _ASIDE, 1 - 2 * _ASIDE)
    return lower, there & _still(both & (slope < 0)), _still(place), -gap / steep


def _best(stack):
    """The position of the best feasible alternative."""
    return jnp.argmax(jnp.where(stack.feasible, stack.value, -jnp.inf), axis=0)
