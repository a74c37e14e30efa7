"""The upper envelope of one raw EGM correspondence: where which of its rising runs is the highest, exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import where
from stagecraft.operators.envelope.crossings import OVER_HOLE, find_switches, no_switches
from stagecraft.operators.envelope.runs import cell, counted, difference, runs_of, table_of
from stagecraft.operators.interpolate import pairs, take


class Refined(eqx.Module):
    """The knots of an upper envelope; every cell between two of them lies on one run.

    Where the winning run changes two knots stand at one state, the left run's first. Unused places repeat the *second*
    knot, so that the first and the last cell are real and continue their runs beyond both ends. Where no segment rises
    nothing is `found`, and the knots are finite and mean nothing.

    **Attributes:**

    - `state`: nondecreasing knots. `segment`: the raw segment $i$, from knot $i$ to $i+1$, that each lies on (see `read`).
    - `switch`: the second knot of a pair from two runs: the policy jumps here.
    - `crossings`: how many such pairs. `gaps`: in how many of them the value jumps or a hole between runs was bridged.
    - `overflow`: more than `size` knots or more than `max(8, size - n)` changes of run: the knots are not the envelope.
    """

    state: Float[Array, " size"]
    segment: Int[Array, " size"]
    switch: Bool[Array, " size"]
    crossings: Int[Array, ""]
    gaps: Int[Array, ""]
    overflow: Bool[Array, ""]
    found: Bool[Array, ""]


def refine(
    state: Float[Array, " n"],
    value: Float[Array, " n"],
    slope: Float[Array, " n"] | None,
    valid: Bool[Array, " n"],
    *,
    size: int,
    extend: bool = True,
) -> Refined:
    r"""Knots of the upper envelope of a correspondence, with two at every point where runs cross.

    Runs are unbroken sequences of rising segments; falling ones are minima. A run that ends or starts at a fold reaches one
    cell further on its own slope; the first run reaches down, and the last one up, without end. A hole that no run
    reaches is bridged by its neighbours' continuations, from one to the other where these cross, else where the lower
    one's run ends. Searches carry no gradient; one Newton step gives the derivative of every crossing,
    $w^* = w - (v_L - v_R)(w; \theta)/(v_L' - v_R')$.

    With slopes, two crossings of the same runs between two adjacent knots of the correspondence are not seen.

    **Arguments:**

    - `state`, `value`: endogenous points in the order of the post-state, `n` at least 2.
    - `slope`: dV/dm for cubic Hermite cells, finite where valid; None makes the value piecewise linear.
    - `valid`: a segment with an invalid end does not exist.
    - `size`: length of the result, at least `n`; `n + n // 8 + 16` leaves room for `n // 8 + 16` changes of run.
    - `extend`: whether runs reach beyond folds.
    """
    valid = valid & jnp.isfinite(jax.lax.stop_gradient(state + value))
    clean = lambda x: None if x is None else where(valid, x, 0.0)
    raw = runs_of(clean(state), clean(value), clean(slope), valid, extend)
    frozen = jax.lax.stop_gradient(raw)
    n, live = raw.state.size, raw.start | raw.end | raw.rise
    first, last = (jnp.argmax(raw.start).astype(jnp.int32), n - 1 - jnp.argmax(raw.end[::-1]).astype(jnp.int32))
    # Without a fold every knot is kept, repeated ones included.
    folded = (raw.chain[first] != raw.chain[last]) | (jnp.sum(live) != last - first + 1)
    room, found = max(8, size - n), raw.run[-1] > 0
    search = lambda: find_switches(frozen, first, last, room)
    switches = jax.lax.cond(folded & found, search, lambda: no_switches(frozen, room))
    return _assemble(raw, switches, where(found, first, 0), where(found, last, -1), size)


def read(
    refined: Refined,
    state: Float[Array, " n"],
    values: Float[Array, " n"],
    slopes: Float[Array, " n"] | None = None,
) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
    """Another array of the correspondence, and its derivative in the state, at the refined knots.

    Linear on raw segments, or cubic Hermite with `slopes`; continued linearly where a run reaches beyond its ends. Zero
    where nothing was found.

    **Arguments:** `refined`: what `refine` returned; `state`: as it was given; `values`: of the other array at these points,
    and its `slopes`, where cells are cubic.

    **Returns:** values and derivatives at the knots, each of length `size`.
    """
    table = where(refined.found, table_of(state, values, slopes), 0.0)
    return cell(table, refined.segment, refined.state)


def read_lines(refined: Refined, state: Float[Array, " n"], *arrays: Float[Array, " n"]) -> list[Float[Array, " size"]]:
    """Several arrays of the correspondence at the refined knots, linear on raw segments; zero where none was found."""
    table = where(refined.found, jnp.stack([state, *arrays], axis=1), 0.0)
    (left, right), *ends = pairs(table, refined.segment)
    width = right - left
    share = (refined.state - left) / where(width == 0, 1.0, width)
    return [low + (high - low) * share for low, high in ends]


def _assemble(raw, s, first, last, size):
    """Write down, piece by piece, the raw knots of each run and the pair of knots at each change of run."""
    n, room, found = raw.state.size, s.left.size, last >= first
    state, used, k = jax.lax.stop_gradient(raw.state), jnp.minimum(s.count, room), jnp.arange(room + 1)
    first, last, outer = _pieces(state, s, first, last, used)
    length = where(k <= used, where(outer, 1, last - first + 1), 0)
    offset = counted(length + 2) - length - 2
    total = take(offset + length, used)
    slot, pad = jnp.arange(size, dtype=jnp.int32), jnp.maximum(size - total, 0)
    begins = where((k >= 1) & (k <= used), offset + pad, size)
    piece = counted(jnp.zeros(size, jnp.int32).at[begins].add(1, mode="drop"))
    within = where(slot == 0, 0, jnp.maximum(slot - pad, 1)) - take(offset, piece)
    own, second = within < take(length, piece), within > take(length, piece)
    knot = jnp.clip(take(first, piece) + within, 0, n - 1)
    change = jnp.minimum(piece, room - 1)
    anchor = where(s.how >= 0, n + s.how, 2 * n + jnp.arange(room))
    source = where(own, where(take(outer, piece), n + knot, knot), take(anchor, change))
    # The padding must not be the end of the only cell.
    source = where((total == 2) & (slot >= 1) & (slot <= pad), 2 * n + room, source)
    segment = where(second, take(s.right, change), take(s.left, change))
    segment = where(own, knot - ~take(raw.rise, knot), segment)
    plain = take(raw.chain, s.left + 1) == take(raw.chain, s.right)
    counts = (jnp.arange(room) < used) & ~plain
    middle = 0.5 * (take(raw.state, knot[:1]) + take(raw.state, knot[-1:]))
    places = jnp.concatenate([raw.state, raw.place, _moved(raw, s), middle])
    return Refined(
        take(places, source),
        jnp.clip(segment, 0, n - 2).astype(jnp.int32),
        second & ~take(plain, change) & found,
        jnp.sum(counts, dtype=jnp.int32),
        jnp.sum(counts & ((s.how >= 0) | (s.how == OVER_HOLE)), dtype=jnp.int32),
        (s.count > room) | (total > size),
        found,
    )


def _pieces(state, s, first, last, used):
    """The raw knots strictly between consecutive changes; an outer piece of no width gets the end of its run's reach."""
    k, at = jnp.arange(s.left.size + 1), lambda i: take(state, i)
    after = s.right + (s.low >= at(s.right)) + (s.low >= at(s.right + 1))
    before = s.left - 1 + (s.low > at(s.left)) + (s.low > at(s.left + 1))
    # A cell that is to be continued must be wide beside rounding, and what is cut off narrow beside its curvature.
    narrow = jnp.finfo(state.dtype).eps ** (1 / 3)
    low, high = s.low[0], take(s.low, jnp.maximum(used - 1, 0))
    short = (used > 0) & (low - at(first) < narrow * (at(first + 1) - at(first)))
    shut = (used > 0) & (at(last) - high < narrow * (at(last) - at(last - 1)))
    begin = jnp.append(first, after)
    end = where(k == used, last, jnp.append(before, last))
    begin = where(shut & (k == used), last, begin)
    return begin, jnp.maximum(end, begin - 1), (short & (k == 0)) | (shut & (k == used))


def _moved(raw, s):
    """Places of the crossings, each with the derivative of one Newton step."""
    d, rate, _ = difference(raw, s.left, s.right, s.low)
    d, rate = d - jax.lax.stop_gradient(d), jax.lax.stop_gradient(rate)
    flat = jnp.abs(rate) < jnp.finfo(rate.dtype).tiny ** 0.5
    return s.low - where(flat, 0.0, d / where(flat, 1.0, rate))
