"""Knots where those who come next begin or cease to stay at a kink: there the slope of the continuation's slope jumps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import where
from stagecraft.functionals.composed import Arrival, Either, Linked
from stagecraft.functionals.decision import Decision, place_of
from stagecraft.functionals.functional import AbstractFunctional, States
from stagecraft.horses.arrival import weights_of
from stagecraft.horses.problems import KINK_ENDS


def with_kink_ends(continuation: AbstractFunctional, post: str, points: States) -> States:
    """The points with `KINK_ENDS` more in every row, where the next decision's flat pieces begin and end after likely draws.

    Without them a policy passes such a place, a kink of its own, as a line from one side to the other. Points that are not
    needed lie midway between the first knots, where policies bend most.

    **Arguments:** `continuation`: a functional object of the post-states; `points`: by name, the knots of `post` on the last
    axis after the lowest post-state, of shapes that broadcast.
    """
    whole = jnp.broadcast_shapes(*[x.shape for x in points.values()])
    knots = jnp.broadcast_to(points[post], whole)
    own = knots[..., 1:]
    cell = jnp.arange(KINK_ENDS) % (own.shape[-1] - 1)
    more = 0.5 * (own[..., cell] + own[..., cell + 1])
    at = {name: jnp.broadcast_to(x, whole)[..., 1:] for name, x in points.items()}
    found = _places(continuation, at, own)
    if found is not None:
        place, there = found
        more = jnp.concatenate([where(there, place, more[..., : place.shape[-1]]), more[..., place.shape[-1] :]], axis=-1)
    rest = jnp.sort(jnp.concatenate([own, more], axis=-1), axis=-1)
    return points | {post: jnp.concatenate([knots[..., :1], rest], axis=-1)}


def _places(functional, at, own) -> tuple | None:
    """Post-states that lead to an end of a flat piece, and whether they are some; `None` where no such decision follows."""
    if isinstance(functional, Linked):
        one = next(iter(at.values()))
        there = {name: jnp.broadcast_to(x, one.shape) for name, x in functional.constants.items()}
        return _places(functional.target, there | {name: at[here] for here, name in functional.pairs}, own)
    if isinstance(functional, Either):
        # At the end of life nobody stays at a kink of a decision that follows.
        found = _places(functional.second, at, own)
        return None if found is None else (found[0], found[1] & ~functional.flag)
    decision = functional.decision if isinstance(functional, Arrival) else None
    if not isinstance(decision, Decision) or not decision.problem.kinks or decision.options:
        return None
    flat = {name: x.ravel() for name, x in at.items()}
    law = jax.lax.stop_gradient(weights_of(functional.problem, flat))
    count, points = law.shape[0], own.size
    full = lambda x: jnp.broadcast_to(x, (count, points)).ravel()
    nodes = {name: full(node[:, None]) for name, node in functional.problem.nodes.items()}
    states = functional.problem.to_state(functional.problem.parameters, {n: full(x) for n, x in flat.items()}, nodes)
    states = {name: x * jnp.ones(count * points) for name, x in states.items()}
    row = jnp.asarray(place_of(decision, states, {})[2], jnp.int32)
    row = jnp.broadcast_to(row, (*row.shape[:-1], count * points)).reshape(-1, count * points)[0]
    by_node = lambda x: jnp.broadcast_to(x, (count, points) if x.ndim > 1 else (count * points,)).reshape(count, *own.shape)
    ends = _ends(decision)[by_node(row)[..., 0]]
    reached = by_node(states[decision.state])
    lower = jnp.sum(jax.lax.stop_gradient(reached[..., None, :] <= ends[..., None]), axis=-1) - 1
    lower = jnp.clip(lower, 0, own.shape[-1] - 2)
    near = lambda x, i: jnp.take_along_axis(jnp.broadcast_to(x, reached.shape), i, axis=-1)
    width = near(reached, lower + 1) - near(reached, lower)
    share = (ends - near(reached, lower)) / where(width == 0, 1.0, width)
    place = near(own, lower) + share * (near(own, lower + 1) - near(own, lower))
    likely = by_node(law)[..., :1]
    there = jax.lax.stop_gradient((share > 0) & (share < 1)) & (likely > 0)
    # Of many draws the most likely ones are looked at.
    order = jnp.argsort(-likely, axis=0)[: KINK_ENDS // ends.shape[-1]]
    pick = lambda x: jnp.moveaxis(jnp.take_along_axis(x, order, axis=0), 0, -2).reshape(*own.shape[:-1], -1)
    return pick(place), pick(there)


def _ends(decision) -> Float[Array, "rows ends"]:
    """The states between which each row of a decision stays at a kink."""
    axes, two = decision.axes, jnp.atleast_2d
    columns = jnp.meshgrid(*[axis.values for axis in axes], indexing="ij") if axes else []
    rows = {axis.key: column.reshape(-1, 1) for axis, column in zip(axes, columns, strict=True)}
    problem = decision.problem.given(**rows).chosen({n: two(x) for n, x in decision.rows.inner.items()})
    state, control = two(decision.rows.state), two(decision.rows.control)
    post, found = problem.transition(problem.parameters, state, control), []
    for kink in problem.kinks:
        upper = jnp.sum(jax.lax.stop_gradient(post <= kink(problem.parameters)), axis=-1, keepdims=True)
        upper = jnp.clip(upper, 1, state.shape[-1] - 1)
        found += [jnp.take_along_axis(state, upper - 1, axis=-1), jnp.take_along_axis(state, upper, axis=-1)]
    return jnp.concatenate(found, axis=-1)
