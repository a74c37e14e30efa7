"""The constrained branch: knots where the control is at the bound that leads to the corner, below the first interior one."""

import jax
import jax.numpy as jnp

from stagecraft.horses.bounds import HELD
from stagecraft.horses.evaluate import other_bound
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
    lowest = jnp.where(solid, problem.lowest(p), problem.knots[0]) * ones
    if problem.floored:
        below = jax.tree.map(lambda x, y: jnp.where(solid, x, y[0]), below, continuation)
    below = jax.tree.map(lambda x: x * ones, below)
    bottom = problem.lower(p, chosen.state[0])
    bottom = jnp.where(jnp.isfinite(bottom), bottom, jnp.minimum(chosen.control[0], 0.0))
    if problem.floored:
        bottom = jnp.where(solid, bottom, other_bound(problem)(p, _at_edge(problem, chosen, lowest[:1])[0]))
    control = bottom + (chosen.control[0] - bottom) * _shares(problem, chosen, valid, lowest, bottom, solid)
    state = problem.state_inverse(p, lowest, control, ones) * ones
    # Where a branch cannot be, any numbers will do that are finite.
    good = jnp.isfinite(state)
    state, control = jnp.where(good, state, chosen.state[0]), jnp.where(good, control, chosen.control[0])
    others = {name: below.marginal[name] for name in chosen.others}
    return Row(state=state, control=control, value=below.value, marginal=ones, weight=below.weight, others=others,
               inner=below.policy, edge=jnp.zeros(BRANCH, bool)), lowest  # fmt: skip


def _at_edge(problem, chosen, post):
    """The state that leads to the lowest feasible post-state when the control is at its closed bound."""
    p, first = problem.parameters, chosen.state[:1]
    if problem.state_at_bound is not None:
        return problem.state_at_bound(p, post, first)
    return problem.state_inverse(p, post, other_bound(problem)(p, first) * jnp.ones_like(first), jnp.ones_like(first))


def _shares(problem, chosen, valid, lowest, bottom, solid):
    """Where on the branch its knots stand, as shares of its end: dense where another run lies above the branch."""
    base = problem.state_inverse(problem.parameters, lowest[0], bottom, jnp.ones_like(bottom))
    least = jnp.min(jnp.where(valid, chosen.state, jnp.inf))
    reach = (least - base) / jnp.where(chosen.state[0] == base, 1.0, chosen.state[0] - base)
    # A run that starts there reaches one cell further down on its own slope.
    start = jax.lax.stop_gradient(jnp.clip(0.9 * jnp.where(jnp.isfinite(reach), reach, 1.0), 1e-3, 0.9))
    step = jnp.arange(BRANCH, dtype=chosen.state.dtype) / BRANCH
    return jnp.where(solid, start ** (1.0 - step), step)


def places(problem, raw: Row, valid, feasible, solid, used):
    """Which entries of the raw solutions stand where: those for which there is no use repeat others, in cells of no width.

    An outer cell keeps its width, as lines beyond the knots are its line.
    """
    if not problem.branched:
        return None
    index, n = jnp.arange(raw.state.shape[0]), raw.state.shape[0]
    first, on = index[BRANCH], index < BRANCH
    fine = jnp.isfinite(raw.state) & (raw.state <= raw.state[BRANCH])
    fine &= jnp.where(solid, feasible & valid[BRANCH], problem.floored & jnp.isfinite(raw.value + raw.marginal))
    if problem.envelope:
        place = jnp.where(on & ~fine, first, index)
    else:
        place = jnp.where(on & ~(fine & ~solid), first, index)
        place = jnp.where(solid & (index > 0) & (index <= BRANCH), first + 1, place)
    last = n - 1 - HELD * problem.holds
    aside = jnp.where(index == n - 1, last, jnp.where(index >= last, last - 1, place))
    return jnp.where(used, place, aside) if problem.holds else place
