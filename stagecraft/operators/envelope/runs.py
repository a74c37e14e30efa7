"""The rising runs of a raw EGM correspondence, and the cubic or straight cells of which they are made."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from stagecraft.arrays import where
from stagecraft.operators.interpolate import hermite, pairs


class Raw(NamedTuple):
    """The correspondence: points in the order of the post-state, and what is known of its runs."""

    state: Array
    table: Array
    place: Array  # The state, but at the ends of a run the end of the run's reach.
    rise: Array  # Whether the segment that starts here rises; runs are unbroken sequences of such.
    start: Array
    end: Array
    chain: Array  # Number of the sequence of segments that do not fall.
    run: Array


def table_of(state, values, slopes):
    """The columns that a cell is made of, beside each other: they are gathered together."""
    return jnp.stack([state, values] if slopes is None else [state, values, slopes], axis=1)


def cell(table, segment, query):
    """Value and derivative on a raw segment and its linear continuations."""
    (left, right), (y0, y1), *slopes = pairs(table, segment)
    h = right - left
    h = where(h == 0, 1.0, h)
    t = (query - left) / h
    if not slopes:
        return y0 + (y1 - y0) * t, (y1 - y0) / h
    return hermite(t, h, y0, y1, *slopes[0])


def runs_of(state, value, slope, valid, extend):
    """Find the rising runs, and how far each reaches."""
    width, both = jnp.diff(state), valid[1:] & valid[:-1]
    no = jnp.zeros(1, bool)
    after = lambda segments: jnp.concatenate([segments, no])
    before = lambda segments: jnp.concatenate([no, segments])
    rise, fall = both & (width > 0), both & (width < 0)
    start, end = after(rise) & ~before(rise), before(rise) & ~after(rise)
    chain, runs = counted(jnp.stack([~before(both & (width >= 0)), start], axis=1)).T
    place = state
    if extend:
        wide = jnp.concatenate([width, jnp.zeros(1, width.dtype)])
        back = jnp.concatenate([jnp.zeros(1, width.dtype), width])
        place = state - where(start & before(fall), wide, 0.0) + where(end & after(fall), back, 0.0)
    live, wide = after(rise) | before(rise), jnp.max(where(rise, width, 0.0), initial=0.0)
    reach = where(live, place, state[jnp.argmax(live)])
    # Any finite end beyond all others will do: the outer cells are continued.
    lowest, highest = jnp.min(reach) - wide, jnp.max(reach) + wide
    place = where(start & (runs == 1), lowest, where(end & (runs == runs[-1]), highest, place))
    return Raw(state, table_of(state, value, slope), place, after(rise), start, end, chain, runs)


def _walk(combine, whole, start, x, reverse=False):
    """A running sum or maximum: on a CPU a plain loop is several times faster than a tree, to run and to compile.

    The primitive of JAX is one line of a trace, and becomes a tree where a program of another platform is written.
    """
    step = lambda carry, y: (combine(carry, y),) * 2
    loop = lambda z: jax.lax.scan(step, start, z, reverse=reverse)[1]
    return jax.lax.platform_dependent(x, cpu=loop, default=lambda z: whole(z, reverse=reverse))


def counted(x):
    return _walk(jnp.add, jax.lax.cumsum, jnp.zeros_like(x[0], jnp.int32), x.astype(jnp.int32))


def running_max(x):
    return _walk(jnp.maximum, jax.lax.cummax, x[0], x)


def running_min(x):
    return _walk(jnp.minimum, jax.lax.cummin, x[-1], x, True)


def difference(raw, left, right, place):
    """How much higher the left segment is, the derivative of that, and the rounding in it; at places with leading axes, too."""
    both = jnp.stack([left, right]).reshape((2,) + (1,) * (place.ndim - 1) + left.shape)
    value, rate = cell(raw.table, jnp.broadcast_to(both, (2, *place.shape)), place)
    noise = 4 * jnp.finfo(place.dtype).eps * (jnp.abs(value[0]) + jnp.abs(value[1]) + jnp.abs(rate[0] * place))
    return value[0] - value[1], rate[0] - rate[1], noise
