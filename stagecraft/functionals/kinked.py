"""Cells of a grid in which a value kinks, since a choice between alternatives switches there.

Between two knots on different sides of a switch no polynomial is near: its error is of the first order. There the functions of
both sides are continued into the cell, and the value is the larger one, as that of the choice is (the subcell resolution of
Harten 1989): the switch stands where they cross and moves with them, and the error is of the third order.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.functionals.axes import Axis
from stagecraft.horses.solution import Answer
from stagecraft.operators.interpolate import Segment

# By so much of the usual curvature the slope of a cell rises more than in those around it where it may, and surely does, kink.
_MAYBE, _SURELY = 0.15, 0.4

Pair = tuple[Float[Array, "..."], Float[Array, "..."]]
Ends = tuple[Pair, dict[str, Pair], Pair]


class Kinks(eqx.Module):
    """What is known of the cells along one axis, each at the place of its left knot.

    **Attributes:** `sure`: the weight of the kink, between zero and one; `before`, `after`: the second derivatives with which
    the functions of the left and of the right side go on into the cell.
    """

    sure: Float[Array, "*table"]
    before: Float[Array, "*table"]
    after: Float[Array, "*table"]


def kinks_of(
    knots: Float[Array, "..."], value: Float[Array, "*table n"], slope: Float[Array, "*table n"], good: Bool[Array, "*table n"]
) -> Kinks:
    """Those along the last axis, from values and slopes at its knots; `good`: where they are to be trusted.

    Second derivatives are those of slopes, not of values, so that what is read between knots is no more than a mean of the
    values there and what slopes add: where slopes are held, values contract.
    """
    width, d0, d1 = jnp.diff(knots), slope[..., :-1], slope[..., 1:]
    good = good & jnp.isfinite(slope)
    good = good[..., 1:] & good[..., :-1] & (width > 0)
    width = where(good, width, 1.0)
    rate = where(good, (d1 - d0) / width, 0.0)
    usual = _usual(rate)
    excess = (rate - usual) / (jnp.abs(usual) + 1e-6 * jnp.abs(rate) + jnp.finfo(rate.dtype).tiny ** 0.5)
    sure = where(good, jnp.clip((excess - _MAYBE) / (_SURELY - _MAYBE), 0.0, 1.0), 0.0)
    sure = jax.lax.stop_gradient(sure)
    own = where(good, rate + sure * (usual - rate), usual)
    before = jnp.concatenate([usual[..., :1], own[..., :-1]], axis=-1)
    after = jnp.concatenate([own[..., 1:], usual[..., -1:]], axis=-1)
    # Neither side is above the value at the other end.
    secant = jnp.diff(value) / width
    before = where(good, jnp.minimum(before, 2 * (secant - d0) / width), 0.0)
    after = where(good, jnp.minimum(after, 2 * (d1 - secant) / width), 0.0)
    whole = lambda x: jnp.concatenate([x, x[..., -1:]], axis=-1)
    return Kinks(whole(sure), whole(before), whole(after))


def table_kinks(axes: tuple[Axis, ...], answer: Answer) -> Kinks | None:
    """Those of a table along its continuous axis; none where there are several, across which switches run aslant."""
    continuous = [(i, axis) for i, axis in enumerate(axes) if not axis.discrete]
    if len(continuous) != 1 or continuous[0][1].values.shape[0] <= 3:
        return None
    ((i, axis),) = continuous
    last = lambda x: jnp.moveaxis(x, i, -1)
    found = kinks_of(axis.values, last(answer.value), last(answer.marginal[axis.name]), last(answer.feasible))
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, i), found)


def _usual(rate):
    """The median of every cell and the two on both sides of it; at an end what those beside it lead to, if they rise there."""
    n = rate.shape[-1]
    padded = jnp.concatenate([rate[..., 2:0:-1], rate, rate[..., -2:-4:-1]], axis=-1)
    a, b, own, c, d = (padded[..., k : k + n] for k in range(5))
    low = jnp.maximum(jnp.minimum(a, b), jnp.minimum(c, d))
    high = jnp.minimum(jnp.maximum(a, b), jnp.maximum(c, d))
    middle = jnp.maximum(jnp.minimum(low, high), jnp.minimum(jnp.maximum(low, high), own))
    on = lambda near, far: near + jnp.maximum(near - far, 0.0)
    first, last = on(rate[..., 1:2], rate[..., 2:3]), on(rate[..., -2:-1], rate[..., -3:-2])
    return jnp.concatenate([first, middle[..., 1:-1], last], axis=-1)


def at_kink(ends: Ends, kinks: Kinks, smooth: Answer, segment: Segment, name: str) -> Answer:
    """Between two knots along an axis: the larger of what both sides go on to where there is a kink, else `smooth`.

    **Arguments:** `ends`: value, marginal values and weight, each at the left and the right knot; `kinks`: of the cell of each
    query; `segment`: the cells; `name`: of the axis.
    """
    (low, high), slopes, weights = ends
    inside = (segment.share >= 0) & (segment.share <= 1) & (kinks.sure > 0)
    d0, d1 = (where(inside, x, 0.0) for x in slopes[name])
    up, down = segment.share * segment.width, (1 - segment.share) * segment.width
    left, right = low + up * (d0 + 0.5 * kinks.before * up), high - down * (d1 - 0.5 * kinks.after * down)
    side = jax.lax.stop_gradient(left >= right)
    mix = lambda x, a, b: where(inside, x + kinks.sure * (where(side, a, b) - x), x)
    marginal = {n: mix(x, *slopes[n]) for n, x in smooth.marginal.items() if n != name}
    marginal[name] = mix(smooth.marginal[name], d0 + kinks.before * up, d1 - kinks.after * down)
    value, weight = mix(smooth.value, left, right), mix(smooth.weight, *weights)
    return dataclasses.replace(smooth, value=value, weight=weight, marginal=marginal)
