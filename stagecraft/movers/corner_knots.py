"""A knot where the constraint of the stage that follows at once begins to bind: there the continuation's slope has a kink."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import where
from stagecraft.functionals.composed import Arrival, Linked
from stagecraft.functionals.decision import Decision, place_of
from stagecraft.functionals.functional import AbstractFunctional, States
from stagecraft.operators.interpolate import take


def with_corner_knot(continuation: AbstractFunctional, post: str, points: States) -> States:
    """The points with one more in every row, where the constraint of the stage that follows begins to bind.

    Without it a policy passes the kink as a line from one side to the other. Where that lies outside the grid, or the
    constraint binds nowhere or everywhere, the point repeats the last.

    **Arguments:** `continuation`: a functional object of the post-states, a decision under other names; `points`: by name, the
    knots of `post` on the last axis after the lowest post-state, of shapes that broadcast.
    """
    whole = jnp.broadcast_shapes(*[x.shape for x in points.values()])
    knots = jnp.broadcast_to(points[post], whole)
    at = {name: jnp.broadcast_to(x, whole)[..., :1] for name, x in points.items()}
    corner = _corner(continuation, at)
    inside = jnp.isfinite(corner) & (corner > knots[..., 1:2]) & (corner < knots[..., -1:])
    more = where(inside, corner, knots[..., -1:])
    rest = jnp.sort(jnp.concatenate([knots[..., 1:], more], axis=-1), axis=-1)
    return points | {post: jnp.concatenate([knots[..., :1], rest], axis=-1)}


def _corner(functional, at) -> Float[Array, "..."]:
    """The state up to which the constraint of a decision may hold."""
    if isinstance(functional, Linked):
        there = {name: x + 0 * next(iter(at.values())) for name, x in functional.constants.items()}
        return _corner(functional.target, there | {name: at[here] for here, name in functional.pairs})
    if isinstance(functional, Arrival):
        problem = functional.problem
        nodes = {name: x[0] for name, x in problem.nodes.items()}
        states = problem.to_state(problem.parameters, at, nodes)
        return _corner(functional.decision, {name: x + 0 * next(iter(at.values())) for name, x in states.items()})
    if not isinstance(functional, Decision):
        raise TypeError(f"a decision on its own knots is expected here, found {type(functional).__name__}")
    if not functional.axes:
        return functional.rows.corner + 0 * at[functional.state]
    return take(functional.rows.corner, place_of(functional, at, {})[2])
