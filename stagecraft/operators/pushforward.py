"""Lotteries: mass at arbitrary positions put onto the knots of grids, so that its mean is kept."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.operators.interpolate import Segment, nearest


class Landed(eqx.Module):
    """Mass on a grid, and the mass that came from beyond it.

    **Attributes:** `mass`: one axis for each grid; `above`, `below`: by axis, how much of it lay beyond the last or the first
    knot and was put there; on a discrete axis `above` is what lay on no value, and was put on the nearest.
    """

    mass: Float[Array, "..."]
    above: Float[Array, " axes"]
    below: Float[Array, " axes"]


def lottery(
    positions: tuple[Float[Array, " points"], ...],
    weights: Float[Array, " points"],
    knots: tuple[Float[Array, "_"], ...],
    discrete: tuple[bool, ...],
) -> Landed:
    r"""Split the mass of every point between the two knots around it, in proportion to its nearness (Young 2010).

    A point at $x = (1-s)k_i + s k_{i+1}$ leaves $(1-s)w$ on $k_i$ and $sw$ on $k_{i+1}$: the transpose of linear
    interpolation, so that $\langle f, \mu\rangle$ is exact for every $f$ that is linear between knots. On several axes the
    product of the lotteries is taken. Differentiable in weights, positions and knots, from the right where a point lies on a
    knot; a point beyond an end does not move what it leaves there.

    **Arguments:** `positions`: of the points, by axis; `knots`: increasing, by axis; `discrete`: axes matched exactly.
    """
    corners, above, below = [(jnp.zeros(weights.shape, jnp.int32), weights)], [], []
    for x, grid, exact in zip(positions, knots, discrete, strict=True):
        size, room = grid.shape[0], 1e-9 * (1.0 + jnp.max(jnp.abs(grid)))
        if exact or size == 1:
            index = nearest(grid, x)
            corners = [(at * size + index, w) for at, w in corners]
            above.append(jnp.sum(jnp.where(jnp.abs(grid[index] - x) > 1e3 * room, weights, 0.0)))
            below.append(jnp.zeros((), weights.dtype))
            continue
        segment = Segment(grid, x)
        # Not a clip: a point on an end knot keeps its derivative.
        share = jnp.where(x > grid[-1], 1.0, jnp.where(x < grid[0], 0.0, segment.share))
        corners = [
            (at * size + segment.index + side, w * part) for at, w in corners for side, part in ((0, 1.0 - share), (1, share))
        ]
        above.append(jnp.sum(jnp.where(x > grid[-1] + room, weights, 0.0)))
        below.append(jnp.sum(jnp.where(x < grid[0] - room, weights, 0.0)))
    sizes = tuple(grid.shape[0] for grid in knots)
    mass = jnp.zeros(math.prod(sizes), weights.dtype)
    for at, w in corners:
        mass = mass.at[at].add(w)
    return Landed(mass.reshape(sizes), jnp.stack(above), jnp.stack(below))
