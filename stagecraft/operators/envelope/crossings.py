"""Where the highest run of a correspondence changes: crossings, ends of runs, and holes between them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from stagecraft.arrays import where
from stagecraft.operators.envelope.runs import cell, counted, difference, running_max, running_min
from stagecraft.operators.interpolate import take
from stagecraft.operators.rootfind import newton_within

_MANY = 4096  # From here on the contested knots are worth a table of their own.
AT_KNOT, INSIDE, OVER_HOLE = -1, -2, -3


class RunChanges(NamedTuple):
    """Changes of run from left to right, padded: from segment `left` to `right` at `place`."""

    left: Array
    right: Array
    low: Array  # The bracket of the crossing.
    high: Array
    interval: Array
    how: Array  # The end of a run's reach at which it happens, or what kind of crossing it is.
    count: Array


def no_switches(raw, room):
    """No change of run."""
    i, f = jnp.zeros(room, jnp.int32), jnp.zeros(room, raw.state.dtype)
    return RunChanges(i, i, f, f, i, i, jnp.int32(0))


def find_switches(raw, first, last, room):
    """Changes of run of a folded correspondence; only knots that another run may contest are looked at when they are few."""
    n, live = raw.state.size, raw.rise | raw.end
    if n <= _MANY:
        return _sweep(raw, live, n, room)
    far = jnp.inf * jnp.ones(1, raw.place.dtype)
    before = jnp.concatenate([-far, running_max(where(live, raw.place, -jnp.inf))[:-1]])
    after = jnp.concatenate([running_min(where(live, raw.place, jnp.inf))[1:], far])
    contested = live & ((raw.place <= before) | (raw.place >= after) | raw.start | raw.end)
    no = jnp.zeros(1, bool)
    contested |= live & (jnp.concatenate([contested[1:], no]) | jnp.concatenate([no, contested[:-1]]))
    few = n // 4
    return jax.lax.cond(
        jnp.sum(contested) <= few, lambda: _sweep(raw, contested, few, room), lambda: _sweep(raw, live, n, room)
    )


def _sweep(raw, chosen, many, room):
    """Sort the chosen knots; on each interval between two of them every run that reaches over it is one segment."""
    n, index, active = raw.state.size, jnp.arange(raw.state.size, dtype=jnp.int32), chosen
    if many < n:
        number = counted(chosen)
        slot = where(chosen, number - 1, many)
        index = jnp.zeros(many, jnp.int32).at[slot].set(index, mode="drop")
        active = jnp.arange(many) < number[-1]
    colours = _colours(raw, index, active)
    places = where(active, take(raw.place, index), jnp.inf)
    if raw.table.shape[1] == 3:
        places, index = (jnp.concatenate(pair) for pair in zip((places, index), _bends(raw, room), strict=True))
    key, order = jax.lax.sort((places, index), num_keys=1, is_stable=True)
    active = key < jnp.inf
    place = where(active, key, jnp.max(where(active, key, -jnp.inf)))
    ahead = jnp.append(place[1:], place[-1])
    real = ahead > place
    colour = take(raw.run, order) % colours

    def segments(c):
        """The segment of the runs of one colour over each interval, and whether they reach over it."""
        last = running_max(where(active & (colour == c), order, -1))
        segment = jnp.maximum(last, 0)
        return segment, (last >= 0) & take(raw.rise, segment) & real

    left, right = _winners(raw, segments, colours, place, ahead)
    switches = _listed(raw, left, right, place, ahead, real, room)
    return _put_between(raw, switches, segments, colours)


def _bends(raw, room):
    """Where a cubic goes over into its continuation, and on which segment; what does not fit is left out."""
    n = raw.state.size
    bends = (raw.start | raw.end) & (raw.place != raw.state)
    number = counted(bends)
    slot = where(bends, number - 1, room)
    knot = jnp.zeros(room, jnp.int32).at[slot].set(jnp.arange(n, dtype=jnp.int32), mode="drop")
    place = where(jnp.arange(room) < number[-1], take(raw.state, knot), jnp.inf)
    return place, jnp.maximum(knot - take(raw.end, knot), 0)


def _colours(raw, index, active):
    """The least number of colours, given to the runs in turn, with which no two runs of a colour overlap."""
    start, end, many = take(raw.start, index) & active, take(raw.end, index) & active, index.size
    ordinal, runs = take(raw.run, index) - 1, raw.run[-1]
    table = lambda flags: jnp.zeros(many, raw.place.dtype).at[where(flags, ordinal, many)].set(place, mode="drop")
    place, run = take(raw.place, index), jnp.arange(many)
    low, high = table(start), table(end)
    apart = lambda c: jnp.all((run + c >= runs) | (high <= take(low, jnp.minimum(run + c, many - 1))))
    return jax.lax.while_loop(lambda c: ~apart(c), lambda c: c + 1 + c // 4, jnp.int32(1))


def _winners(raw, segments, colours, place, ahead):
    """The highest segment just right of the start of each interval and just left of its end; -1 where none reaches."""

    both = jnp.stack([place, ahead])

    def body(state):
        c, ahead_of, behind_of, left, right = state
        segment, covers = segments(c)
        at, to = cell(raw.table, jnp.broadcast_to(segment, both.shape), both)[0]
        # Of equals at one end the better one is the higher at the other.
        wins = lambda one, two, best: covers & ((one > best[0]) | ((one == best[0]) & (two > best[1])))
        first, second = wins(at, to, ahead_of), wins(to, at, behind_of)
        put = lambda flag, new, old: tuple(where(flag, x, y) for x, y in zip(new, old, strict=True))
        ahead_of, behind_of = put(first, (at, to), ahead_of), put(second, (to, at), behind_of)
        return c + 1, ahead_of, behind_of, where(first, segment, left), where(second, segment, right)

    low, none = jnp.full(place.shape, -jnp.inf, place.dtype), jnp.full(place.shape, -1, jnp.int32)
    state = (jnp.int32(0), (low, low), (low, low), none, none)
    return jax.lax.while_loop(lambda s: s[0] < colours, body, state)[3:]


def _listed(raw, left, right, place, ahead, real, room):
    """Compress intervals and points at which the run changes into a list from left to right."""
    many = place.size
    here = jnp.arange(many, dtype=jnp.int32)
    back = jnp.append(jnp.int32(-1), running_max(where(real, here, -1))[:-1])
    forth = jnp.append(running_min(where(real, here, many))[1:], jnp.int32(many))
    hole = real & (left < 0)
    past = lambda winners: take(winners, jnp.maximum(back, 0))
    next_ = take(left, jnp.minimum(forth, many - 1))
    left, right = where(hole, past(right), left), where(hole, next_, right)
    before = past(right)
    run = lambda segment: take(raw.run, jnp.maximum(segment, 0))
    at_point = real & (back >= 0) & (run(before) != run(left))
    inside = real & (run(left) != run(right))
    number = counted(at_point.astype(jnp.int32) + inside)
    code = jnp.full(room, -1, jnp.int32)
    code = code.at[where(at_point, number - 1 - inside, room)].set(2 * here, mode="drop")
    code = code.at[where(inside, number - 1, room)].set(2 * here + 1, mode="drop")
    j, inner, used = jnp.maximum(code, 0) >> 1, (code & 1) == 1, code >= 0
    pick = lambda inside, point: where(used, where(inner, take(inside, j), take(point, j)), 0)
    from_, to, low, high = pick(left, before), pick(right, left), take(place, j), pick(ahead, place)
    how = _how(raw, from_, to, low, high, where(inner, where(take(hole, j), OVER_HOLE, INSIDE), AT_KNOT))
    low = where(how >= 0, take(raw.place, jnp.maximum(how, 0)), low)
    return RunChanges(from_, to, low, where(how >= 0, low, high), j, how, number[-1])


def _how(raw, left, right, low, high, kind):
    """Whether a change of run happens because one ends or starts there rather than because two cross."""
    ends = take(raw.end, left + 1) & (take(raw.place, left + 1) == low)
    starts = take(raw.start, right) & (take(raw.place, right) == high)
    at_low, at_high = difference(raw, left, right, jnp.stack([low, high]))[0]
    stop = (kind == AT_KNOT) & ends & ((at_low >= 0) | ~starts)
    begin = (kind == AT_KNOT) & starts & ~stop
    apart = (kind == OVER_HOLE) & ~(at_low * at_high < 0)
    return where(stop | (apart & (at_low < 0)), left + 1, where(begin | apart, right, kind)).astype(jnp.int32)


def _roots(raw, s):
    """The crossing in each bracket by Newton steps kept inside it, from the secant."""
    d0, d1 = difference(raw, s.left, s.right, jnp.stack([s.low, s.high]))[0]
    sign, drop = where(d0 < 0, -1.0, 1.0), d0 - d1
    share = jnp.clip(where(drop == 0, 0.5, d0 / where(drop == 0, 1.0, drop)), 0.0, 1.0)
    secant = s.low + share * (s.high - s.low)
    if raw.table.shape[1] == 2:
        return secant
    tolerance = 2 * jnp.finfo(d0.dtype).eps * (jnp.abs(s.low) + jnp.abs(s.high))
    return newton_within(lambda w: difference(raw, s.left, s.right, w), s.low, s.high, secant, sign, tolerance)


def _put_between(raw, switches, segments, colours):
    """While a third run is higher than a crossing, put it between the two; every bracket then holds its crossing."""
    room = switches.left.size
    slot = jnp.arange(room, dtype=jnp.int32)
    eps = 16 * jnp.finfo(raw.state.dtype).eps

    def body(state):
        s, *_ = state
        w = _roots(raw, s)
        level, rate = cell(raw.table, s.left, w)

        def higher(c, best):
            segment, covers = (take(x, s.interval) for x in segments(c))
            v = cell(raw.table, segment, w)[0]
            wins = covers & (v > best[0]) & (segment != s.left) & (segment != s.right)
            return where(wins, v, best[0]), where(wins, segment, best[1])

        bar = level + eps * (jnp.abs(level) + jnp.abs(rate * w))
        _, third = jax.lax.fori_loop(0, colours, higher, (bar, jnp.full(room, -1, jnp.int32)))
        split = (s.how == INSIDE) & (third >= 0) & (slot < s.count)
        at = where(slot < s.count, slot + counted(split) - split, room)
        # Twice the old place, plus one for the second half of what was split.
        origin = jnp.zeros(room, jnp.int32).at[at].set(2 * slot, mode="drop")
        origin = origin.at[where(split, at + 1, room)].set(2 * slot + 1, mode="drop")
        old, second = origin >> 1, (origin & 1) == 1
        first = take(split, old) & ~second
        same, cut = lambda x: take(x, old), lambda flag, new, x: where(flag, take(new, old), take(x, old))
        left, right = cut(second, third, s.left), cut(first, third, s.right)
        low, high = cut(second, w, s.low), cut(first, w, s.high)
        count = s.count + jnp.sum(split, dtype=jnp.int32)
        s = RunChanges(left, right, low, high, same(s.interval), same(s.how), count)
        return s, w, jnp.any(split) & (count <= room)

    s, w, _ = jax.lax.while_loop(lambda state: state[2], body, (switches, switches.low, jnp.array(True)))
    return s._replace(low=w, high=w)
