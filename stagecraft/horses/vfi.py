"""The direct search horse: a few continuous controls, any objective, the maximum sought where it is."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.horses.policy import After, States, has_range, objective_at, sides, worth
from stagecraft.horses.problems import MaximumProblem
from stagecraft.operators.rootfind import golden_section

# Looks over the whole range of a control, by the number of controls: for objectives of one peak, and of several.
_LOOKS = {1: (24, 80), 2: (13, 25), 3: (9, 13)}
# Each zoom halves the distance between looks; golden section narrows a bracket by .618 a step.
_ZOOMS, _GOLDEN, _LONG_GOLDEN, _NEWTON = 7, 20, 44, 4


class Found(NamedTuple):
    """The best choice at every state.

    **Attributes:** `controls`; `held`: which of them are at a bound; `feasible`: whether there is any choice; `bounded`:
    whether the best is not beyond all looks at a side that is open.
    """

    controls: States
    held: dict[str, Bool[Array, "..."]]
    feasible: Bool[Array, "..."]
    bounded: Bool[Array, "..."]


def vfi(problem: MaximumProblem, continuation: After, states: States) -> Found:
    r"""The best of all choices at every state, over a continuation that was computed before.

    A look over the whole range brackets the highest peak, since the objective may have several; zooms (with more than one
    control) and golden section narrow the bracket, the bounds themselves being candidates; Newton's method on the first-order
    condition ends it. None of this carries a gradient: with $F = dQ/dc$ the optimum has the derivative of the implicit
    function theorem, $-F_c^{-1}F_\theta$, and those of every order that follow from it; a control at a bound follows the bound.

    **Arguments:** `continuation`: answers at post-states; `states`: decision states of one shape, or of shapes that broadcast.
    """
    shape = jnp.broadcast_shapes(
        *[x.shape for x in (*states.values(), *jax.tree.leaves(problem.limits(problem.parameters, states)))]
    )
    states = {name: jnp.broadcast_to(x, shape) for name, x in states.items()}
    low, high = sides(problem, states)
    frozen = jax.lax.stop_gradient((low, high, states))
    share, value = _search(problem, continuation, *frozen)
    share, value = _at_bounds(problem, continuation, *frozen, share, value)
    held = {n: (s <= 0) | (s >= 1) for n, s in share.items()}
    start = {n: _place(s, frozen[0][n], frozen[1][n]) for n, s in share.items()}
    controls, still = _newton(problem, continuation, *frozen, start, value, held)
    controls = _with_gradient(problem, continuation, low, high, states, controls, share, still)
    feasible = value > -jnp.inf
    at_bound = {n: held[n] & feasible & (high[n] > low[n]) for n in held}
    open_end = {n: (share[n] >= 1) & jnp.isinf(frozen[1][n]) | (share[n] <= 0) & jnp.isinf(frozen[0][n]) for n in share}
    bounded = ~jnp.any(jnp.stack([jnp.broadcast_to(x, shape) for x in open_end.values()]), axis=0)
    return Found(controls=controls, held=at_bound, feasible=feasible, bounded=bounded | ~feasible)


def _place(share, low, high):
    """The control at a share of its range; an open side is reached as the share goes to its end."""
    below, above = jnp.isinf(low), jnp.isinf(high)
    inner = jnp.clip(share, 1e-9, 1 - 1e-9)
    width = where(below | above, 1.0, high - low)
    up, down = where(below, 0.0, low), where(above, 0.0, high)
    from_low = up + (1.0 + jnp.abs(up)) * inner / (1 - inner)
    from_high = down - (1.0 + jnp.abs(down)) * (1 - inner) / inner
    both = 0.5 * (inner / (1 - inner) - (1 - inner) / inner)
    plain = where(share >= 1, down, up + width * share)
    return where(below & above, both, where(above, from_low, where(below, from_high, plain)))


def _search(problem, continuation, low, high, states):
    """Shares of the range at the highest peak, and the objective there."""
    names, count = problem.controls, len(problem.controls)
    shape = next(iter(states.values())).shape
    lead = {n: x[None] for n, x in states.items()}
    good = has_range(problem, low, high)

    def look(shares):
        controls = {n: _place(s, low[n], high[n]) for n, s in shares.items()}
        seen = lead if shares[names[0]].ndim > len(shape) else states
        return where(good, worth(problem, continuation, seen, controls), -jnp.inf)

    looks = _LOOKS[count][problem.jumps or problem.allowed is not None]
    best = _first_look(look, names, looks, shape, low[names[0]].dtype)
    width = 1.0 / (looks - 1)
    if count > 1:
        best, width = _zoom(look, names, best, width)
    steps = _LONG_GOLDEN if problem.allowed is not None else _GOLDEN
    for name in names * (2 if count > 1 else 1):
        best = _golden(look, name, best, width, steps)
    return best


def _first_look(look, names, looks, shape, dtype):
    """The best of an even lattice; a first control's looks one after the other where there are several controls."""
    even = jnp.linspace(0.0, 1.0, looks, dtype=dtype)
    rest = [np.linspace(0.0, 1.0, looks)] * (len(names) - 1)
    column = lambda x: jnp.broadcast_to(x.reshape((-1,) + (1,) * len(shape)), (x.shape[0], *shape))
    if not rest:
        return _best_of(look, {names[0]: column(even)})
    lattice = jnp.asarray(np.array(list(itertools.product(*rest))), dtype)
    inner = {n: column(lattice[:, i]) for i, n in enumerate(names[1:])}

    def body(i, best):
        first = jnp.broadcast_to(even[i], (lattice.shape[0], *shape))
        return _better(best, _best_of(look, {names[0]: first, **inner}))

    none = ({n: jnp.zeros(shape, dtype) for n in names}, jnp.full(shape, -jnp.inf, dtype))
    return jax.lax.fori_loop(0, looks, body, none)


def _best_of(look, shares):
    """The best along the leading axis."""
    value = look(shares)
    top = jnp.argmax(value, axis=0)[None]
    pick = lambda x: jnp.take_along_axis(x, top, axis=0)[0]
    return {n: pick(s) for n, s in shares.items()}, pick(value)


def _better(one, other):
    """The better of two choices at every state, the first where they are worth the same."""
    swap = other[1] > one[1]
    return {n: where(swap, other[0][n], s) for n, s in one[0].items()}, where(swap, other[1], one[1])


def _zoom(look, names, best, width):
    """Looks around the best one, closer and closer."""
    offsets = np.array(list(itertools.product((-1.0, -0.5, 0.0, 0.5, 1.0), repeat=len(names))))

    def body(k, best):
        reach = width * 0.5**k
        away = {n: reach * offsets[:, i].reshape((-1,) + (1,) * best[1].ndim) for i, n in enumerate(names)}
        around = {n: jnp.clip(best[0][n] + away[n], 0.0, 1.0) for n in names}
        return _better(best, _best_of(look, around))

    return jax.lax.fori_loop(0, _ZOOMS, body, best), width * 0.5 ** (_ZOOMS - 1)


def _golden(look, name, best, width, steps):
    """Golden section in one control within `width` of the best share, the others held."""
    centre = best[0][name]
    at = lambda s: look({n: jnp.broadcast_to(x, s.shape) for n, x in best[0].items()} | {name: s})
    for share, value in golden_section(at, jnp.clip(centre - width, 0.0, 1.0), jnp.clip(centre + width, 0.0, 1.0), steps):
        best = _better(best, ({**best[0], name: share}, value))
    return best


def _at_bounds(problem, continuation, low, high, states, share, value):
    """The same with every control at one of its bounds where that is worth as much."""
    lead, good = {n: x[None] for n, x in states.items()}, has_range(problem, low, high)
    for name in problem.controls:
        ends = jnp.stack([jnp.zeros_like(value), jnp.ones_like(value)])
        shares = {**{n: jnp.stack([x, x]) for n, x in share.items()}, name: ends}
        found = worth(problem, continuation, lead, {n: _place(s, low[n], high[n]) for n, s in shares.items()})
        # The lower bound last: it is what a control takes that changes nothing.
        for end in (1, 0):
            takes = (found[end] >= value) & jnp.isfinite(found[end]) & good
            share = {**share, name: where(takes, float(end), share[name])}
            value = where(takes, found[end], value)
    return share, value


def slopes(problem: MaximumProblem, continuation: After, states: States, controls: States) -> Float[Array, "controls ..."]:
    """The derivative of the objective in each control, the post-states moving along."""
    total = lambda c: objective_at(problem, continuation, states, c)[0]
    still = {n: jnp.zeros_like(x) for n, x in controls.items()}
    along = lambda n: jax.jvp(total, (controls,), ({**still, n: jnp.ones_like(controls[n])},))[1]
    return jnp.stack([along(n) for n in problem.controls])


def _curvature(problem, continuation, states, controls):
    """The slopes, and their derivatives in each control on a second axis."""
    total = lambda c: slopes(problem, continuation, states, c)
    still = {n: jnp.zeros_like(x) for n, x in controls.items()}
    along = lambda n: jax.jvp(total, (controls,), ({**still, n: jnp.ones_like(controls[n])},))
    found = [along(n) for n in problem.controls]
    return found[0][0], jnp.stack([x for _, x in found], axis=1)


def _solved(matrix, vector, free):
    """Newton's step in the free controls, zero in the others and where the matrix is no maximum's."""
    count = vector.shape[0]
    free = jnp.stack(free)
    eye = jnp.eye(count, dtype=vector.dtype).reshape((count, count) + (1,) * (vector.ndim - 1))
    both = free[:, None] & free[None, :]
    matrix = where(both & jnp.isfinite(matrix), matrix, -eye)
    vector = where(free & jnp.isfinite(vector), vector, 0.0)
    if count == 1:
        return where(matrix[0] < 0, -vector / where(matrix[0] < 0, matrix[0], -1.0), 0.0), matrix[0, 0] < 0
    square, column = jnp.moveaxis(matrix, (0, 1), (-2, -1)), jnp.moveaxis(vector, 0, -1)[..., None]
    maximal = jnp.linalg.eigvalsh(0.5 * (square + jnp.swapaxes(square, -1, -2)))[..., -1] < 0
    safe = where(maximal[..., None, None], square, -jnp.eye(count, dtype=vector.dtype))
    step = jnp.moveaxis(-jnp.linalg.solve(safe, column)[..., 0], -1, 0)
    return where(maximal, step, 0.0), maximal


def _newton(problem, continuation, low, high, states, start, value, held):
    """Newton's method from the choice found, each step kept if it loses nothing.

    **Returns:** the choice; where it stands still, and which controls are free.
    """
    names, free = problem.controls, [~held[n] for n in problem.controls]
    tiny = 64 * jnp.finfo(value.dtype).eps

    def body(_, state):
        controls, value, *_ = state
        slope, curve = jax.lax.stop_gradient(_curvature(problem, continuation, states, controls))
        step, maximal = _solved(curve, slope, free)
        moved = {n: jnp.clip(controls[n] + step[i], low[n], high[n]) for i, n in enumerate(names)}
        found = worth(problem, continuation, states, moved)
        keep = found >= value - tiny * jnp.abs(value)
        controls = {n: where(keep, moved[n], controls[n]) for n in names}
        return controls, where(keep, found, value), slope, step, maximal

    blank = jnp.zeros((len(names), *value.shape), value.dtype)
    state = (start, value, blank, blank, value < value)
    controls, _, slope, step, maximal = jax.lax.fori_loop(0, _NEWTON, body, state)
    near = 1e-5 if value.dtype == jnp.float64 else 1e-2
    still = [jnp.abs(step[i]) <= near * (near + jnp.abs(controls[n])) for i, n in enumerate(names)]
    inside = jnp.any(jnp.stack(free), axis=0) & jnp.all(jnp.isfinite(slope) | ~jnp.stack(free), axis=0)
    steady = maximal & jnp.all(jnp.stack(still), axis=0) & (value > -jnp.inf) & inside
    return controls, (steady, free)


def _with_gradient(problem, continuation, low, high, states, controls, share, found):
    """The choice as a function of all that decides it: of its bounds where it is at one, of the condition where it is not."""
    names, (steady, free) = problem.controls, found
    controls = jax.lax.stop_gradient(controls)
    at_low = {n: (share[n] <= 0) & jnp.isfinite(low[n]) for n in names}
    at_high = {n: (share[n] >= 1) & jnp.isfinite(high[n]) for n in names}
    bound = {n: where(at_high[n], high[n], where(at_low[n], low[n], controls[n])) for n in names}
    # Where the condition does not hold it is asked at another point, lest an infinity meet a zero in a derivative.
    place = jnp.argmax(steady)
    sound = lambda x: where(steady, x, jax.lax.stop_gradient(jnp.broadcast_to(x, steady.shape).ravel()[place]))
    elsewhere = problem.given(**{n: sound(problem.parameters[n]) for n in problem.varying})
    ends, live = jnp.stack([bound[n] for n in names]), jnp.stack([steady & x for x in free])

    def condition(x):
        asked = jax.tree.map(sound, (states, dict(zip(names, x, strict=True))))
        return where(live, slopes(elsewhere, continuation, *asked), ends - x)

    found = jax.lax.custom_root(condition, jax.lax.stop_gradient(ends), lambda _, x: x, _along)
    return dict(zip(names, found, strict=True))


def _along(linear, y):
    """What the controls move by where their conditions move by `y`, from the derivative of these."""
    count = y.shape[0]
    eye = jnp.eye(count, dtype=y.dtype).reshape((count, count) + (1,) * (y.ndim - 1)) * jnp.ones_like(y)
    matrix = jnp.stack([linear(row) for row in eye], axis=1)
    matrix = where(jnp.isfinite(matrix), matrix, -eye)
    if count == 1:
        return y / where(matrix[0] == 0, 1.0, matrix[0])
    square, column = jnp.moveaxis(matrix, (0, 1), (-2, -1)), jnp.moveaxis(y, 0, -1)[..., None]
    return jnp.moveaxis(jnp.linalg.solve(square, column)[..., 0], -1, 0)
