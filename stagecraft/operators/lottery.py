"""Lotteries: mass at arbitrary positions put onto the knots of grids, so that its mean is kept."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
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
    knots: tuple[Float[Array, " _"], ...],
    discrete: tuple[bool, ...],
    open: Bool[Array, "..."] | None = None,
) -> Landed:
    r"""Split the mass of every point between the two knots around it, in proportion to its nearness (Young 2010).

    A point at $x = (1-s)k_i + s k_{i+1}$ leaves $(1-s)w$ on $k_i$ and $sw$ on $k_{i+1}$: the transpose of linear
    interpolation, so that $\langle f, \mu\rangle$ is exact for every $f$ that is linear between knots. On several axes the
    product of the lotteries is taken. Differentiable in weights, positions and knots, from the right where a point lies on a
    knot; a point beyond an end does not move what it leaves there.

    **Arguments:** `positions`: of the points, by axis; `knots`: increasing, by axis; `discrete`: axes matched exactly; `open`:
    knots at which one can live. The part of a shut knot goes to the other knots around the point, at the cost of the mean.
    """
    corners, above, below = [(jnp.zeros(weights.shape, jnp.int32), jnp.ones_like(weights))], [], []
    for x, grid, exact in zip(positions, knots, discrete, strict=True):
        size, room = grid.shape[0], 1e-9 * (1.0 + jnp.max(jnp.abs(grid)))
        if exact or size == 1:
            index = nearest(grid, x)
            corners = [(at * size + index, part) for at, part in corners]
            above.append(jnp.sum(where(jnp.abs(grid[index] - x) > 1e3 * room, weights, 0.0)))
            below.append(jnp.zeros((), weights.dtype))
            continue
        segment = Segment(grid, x)
        # Not a clip: a point on an end knot keeps its derivative.
        share = where(x > grid[-1], 1.0, where(x < grid[0], 0.0, segment.share))
        corners = [
            (at * size + segment.index + side, part * own)
            for at, part in corners
            for side, own in ((0, 1.0 - share), (1, share))
        ]
        above.append(jnp.sum(where(x > grid[-1] + room, weights, 0.0)))
        below.append(jnp.sum(where(x < grid[0] - room, weights, 0.0)))
    sizes = tuple(grid.shape[0] for grid in knots)
    mass = jnp.zeros(math.prod(sizes), weights.dtype)
    for at, part in corners if open is None else _inside(corners, open.ravel()):
        mass = mass.at[at].add(weights * part)
    return Landed(mass.reshape(sizes), jnp.stack(above), jnp.stack(below))


def _inside(corners, open):
    """Shares of the corners that are open, which sum to one where any is."""
    parts = [where(open[at], part, 0.0) for at, part in corners]
    total = sum(parts)
    lost = total <= 0
    total = where(lost, 1.0, total)
    return [(at, where(lost, old, new / total)) for (at, old), new in zip(corners, parts, strict=True)]
