"""Knots on both sides of every switch of what follows a stage, one from each branch.

Between two knots of the post-state that lie on different sides of a switch, the continuation's slope jumps somewhere; without
knots there the policy passes the jump as if it were steep, and derivatives do not see the place of the jump move.
"""

import math

import jax
import jax.numpy as jnp

from stagecraft.arrays import where
from stagecraft.movers.switches import Line, switches_of
from stagecraft.movers.ties import ASIDE
from stagecraft.operators.interpolate import take


def with_switch_knots(continuation, post: str, points: dict, room: int) -> dict:
    """The points with `room` pairs of knots more in every row, where the continuation's slope jumps most.

    The first point of a row is the lowest post-state and stays where it is. Pairs that are not needed lie on the last knot.

    **Arguments:** `continuation`: a functional object of the post-states; `points`: by name, the knots of `post` on the last
    axis, of shapes that broadcast.
    """
    whole = jnp.broadcast_shapes(*[x.shape for x in points.values()])
    at = {name: jnp.broadcast_to(x, whole).ravel() for name, x in points.items()}
    x, length, rows = at[post], whole[-1], int(math.prod(whole[:-1]))
    inside = (jnp.arange(1, x.shape[0]) % length > 0) & (x[1:] > x[:-1])
    found = switches_of(continuation, at, Line(inside, jnp.ones_like(x[1:]), rows * room))
    knots = x.reshape(rows, length)
    more = [jnp.broadcast_to(knots[:, -1:], (rows, room))] * 2
    if found:
        lower, there, share, moved, height = (jnp.concatenate(parts) for parts in zip(*[s[:5] for s in found], strict=True))
        low, high = take(x, lower), take(x, lower + 1)
        place = _largest(where(there & (height > 0), height, 0.0), lower // length, rows, room)
        sides = [low + (high - low) * (share + moved - jax.lax.stop_gradient(moved) + s * ASIDE) for s in (-1, 1)]
        more = [where(place >= 0, take(side, jnp.maximum(place, 0)), knots[:, -1:]) for side in sides]
    rest = jnp.concatenate([knots[:, 1:], *more], axis=1)
    rest = jnp.take_along_axis(rest, jnp.argsort(jax.lax.stop_gradient(rest), axis=1), axis=1)
    return points | {post: jnp.concatenate([knots[:, :1], rest], axis=1).reshape(*whole[:-1], length + 2 * room)}


def _largest(height, row, rows, room):
    """The positions of the `room` largest heights of every row, -1 where there are fewer: `(rows, room)`."""
    height = jax.lax.stop_gradient(height)
    row = where(height > 0, row, rows)
    order = jnp.lexsort((-height, row))
    ordered = row[order]
    rank = jnp.arange(row.shape[0]) - jnp.searchsorted(ordered, ordered)
    slot = where((rank < room) & (ordered < rows), ordered * room + rank, rows * room)
    return jnp.full(rows * room + 1, -1).at[slot].set(order)[:-1].reshape(rows, room)
