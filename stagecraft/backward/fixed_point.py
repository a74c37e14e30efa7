r"""The infinite horizon: a period that leads to itself, solved to a bound and differentiated by the implicit function theorem.

The unknown $x$ is what the stages of the period store, and $T$ one period backward. Plain steps come first, on no more than
policies depend on; then Newton steps $x + (I - J)^{-1}(T(x) - x)$, $J = T'(x)$ never formed: on policies alone and then on
values where policies do not depend on these, else on everything. The last Newton step taken is the error bound, since the
error that it leaves is of the second order; that of values under given policies is what their last difference may still add
up to.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.arrays import dtype_of, floating, where
from stagecraft.backward.newton import floats_of, newton, scales
from stagecraft.backward.recursion import Recursion
from stagecraft.backward.stall import Stall
from stagecraft.backward.watch import Watch, gap_of, policies_of, relative, typical, values_of, watched, weights_of, worth_of
from stagecraft.circuit.composer import chooses_hard
from stagecraft.circuit.info import Ending, Health
from stagecraft.operators.linear_solve import solve_near_identity
from stagecraft.results import TOLERANCE

_NEAR = 1e-2  # Close enough for Newton steps.
_MOST = 20_000
_FEW = 200  # Enough for Newton steps on values alone: they improve the policy (Howard 1960), from wherever they begin.
_STRIDE = 4  # Plain steps between two looks at their difference.
_SETTLE = 3  # Plain steps after which weights and values are near enough to a mean of rewards.
_BEGIN = 20  # Full plain steps before the first Newton step.
_NEWTON = 30


def fixed_point(circuit) -> tuple[dict, dict[str, Health], Ending]:
    """What the stages of a stationary circuit store, what went wrong, and how far it may be from the fixed point."""
    rows, health, ending = _stationary(circuit)
    return rows, health, ending._replace(converged=ending.converged & (future_weight(rows) < 1))


def future_weight(rows) -> Float[Array, ""]:
    r"""How much next period's value counts in this period's, at most: $\kappa = 1 - 1/B$, where the constant reward 1 is worth
    $B = 1 + \kappa B$ through the same movers; one or more where Newton's steps found a $B$ that no sum of rewards has.
    """
    most = jnp.stack([jnp.max(1 - 1 / where(x == 0, 1.0, x)) for x in weights_of(rows)])
    return jax.lax.stop_gradient(jnp.max(most))


def _may_jump(circuit) -> bool:
    """Whether a policy may jump, so that knots change places from step to step while values converge."""
    stages = [circuit.structure.stage(name) for name in circuit.structure.blocks[0].stages]
    return any(num.solution.upper_envelope and num.stored for num in stages)


@jax.custom_jvp
def _stationary(circuit):
    """The fixed point, the health of the step that found it, and how it ended."""
    tolerance, recursion = _tolerance(circuit), Recursion(circuit)
    if _may_jump(circuit):
        return _by_values(recursion, tolerance)
    parts = recursion.parts()
    rows, watch, count = _plain(recursion, parts[0], tolerance)
    if parts[-1].whole:
        ended = newton(lambda x: recursion.step(x)[:2], rows, watched, tolerance, plain=_BEGIN, most=_NEWTON)
        found = ended.kept, ended.told, _ending([ended], count, tolerance)
    else:
        found = _policies_first(recursion, parts, rows, watch, count, tolerance)
    if not chooses_hard(circuit):
        return found
    # Newton steps improve a policy, and between knots two policies may each improve on the other for ever; values do not cycle.
    return jax.lax.cond(found[2].converged, lambda: found, lambda: _by_values(recursion, tolerance, found[0]))


@_stationary.defjvp
def _stationary_jvp(primals, tangents):
    r"""$\dot x = (I - J)^{-1}\,\partial_\theta T\,\dot\theta$: at the fixed point, whatever the way to it."""
    (circuit,), (moved,) = primals, tangents
    rows, health, ending = _stationary(circuit)
    floats, merge = floats_of(rows)
    apply = lambda c, x: floats_of(Recursion(c).step(merge(x))[0])[0]
    _, push = jax.jvp(lambda c: apply(c, floats), (circuit,), (moved,))
    _, linear = jax.linearize(lambda x: apply(circuit, x), floats)
    solution = solve_near_identity(linear, push, scales(floats))
    if _may_jump(circuit):
        # Where knots still change places there is nothing to differentiate; NaN says so, in both modes since it multiplies.
        gap = gap_of(Recursion(circuit).step(rows)[0], rows, watched)
        still_there = ending.held | (gap < jnp.finfo(ending.bound.dtype).eps ** 0.25)
        solution = tuple(x * where(still_there, 1.0, jnp.nan).astype(x.dtype) for x in solution)
    solution = iter(solution)
    still = lambda x: jnp.zeros_like(x) if floating(x) else np.zeros(x.shape, jax.dtypes.float0)
    tangent = jax.tree.map(lambda x: next(solution) if floating(x) else still(x), rows)
    return (rows, health, ending), (tangent, *jax.tree.map(still, (health, ending)))


def _tolerance(circuit):
    """The smallest setting of the name `tolerance` in any scope, or the default; never below rounding."""
    found = [names["tolerance"] for names in circuit.settings.values() if "tolerance" in names]
    dtype = dtype_of(circuit.parameters)
    smallest = jnp.min(jnp.stack(found)) if found else jnp.asarray(TOLERANCE, dtype)
    return jnp.maximum(smallest, 1e4 * jnp.finfo(dtype).eps)


def _plain(recursion, part, tolerance):
    """Steps from the terminal value on the leaves that policies depend on, until Newton steps are near enough; then all.

    Their difference is looked at every few steps, since that costs as much as a step.
    """
    start = recursion.start
    judged, most = (policies_of, _MOST) if policies_of(start) else (values_of, _FEW)
    image = part.image(start, jnp.asarray(True))
    gap = lambda new, old: gap_of(part.within(start, new), part.within(start, old), judged)

    def body(state):
        kept, watch, k = state
        new, old = jax.lax.fori_loop(0, _STRIDE, lambda i, s: (image(s[0], k + i == 0)[0], s[0]), (kept, kept))
        return new, watch.seen(gap(new, old), steps=_STRIDE), k + _STRIDE

    def go(state):
        _, watch, k = state
        return (watch.bound > jnp.maximum(tolerance, _NEAR)) & (k < most) & jnp.isfinite(watch.change)

    kept, watch, count = jax.lax.while_loop(go, body, (part.of(start), Watch.begin(tolerance.dtype), 0))
    # Values begin at zero, with a weight of zero, as they do at the end of a life; everything is feasible until it is shown not
    # to be, since what never is would say so of itself for ever.
    return part.within(jax.tree.map(lambda x: jnp.zeros_like(x) if floating(x) else x, start), kept), watch, count


def _policies_first(recursion, parts, rows, watch, count, tolerance):
    """The policies, which do not depend on values; what they and a reward of 1 are worth, in one nearly linear system."""
    policies, worth = parts
    judged = lambda part, of: lambda kept: of(part.within(rows, kept))
    image, start = policies.image(rows), policies.of(rows)
    chosen = newton(image, start, judged(policies, policies_of), tolerance, plain=0, most=_NEWTON, tail=watch.tail())
    held = policies.within(rows, chosen.kept, chosen.told)

    def certified(new, old):
        new, old = (worth.within(held, kept) for kept in (new, old))
        return _contracted(future_weight(new), worth_of(new), worth_of(old))

    image, start = worth.full(held), worth.of(held)
    found = newton(image, start, judged(worth, worth_of), tolerance, plain=_SETTLE, most=_NEWTON, certified=certified)
    return *found.told, _ending([chosen, found], count, tolerance)


def _contracted(kappa, new, old):
    r"""A bound on the relative error of values under given policies: $10\kappa/(1-\kappa)$ times their last difference.

    That is the bound of a contraction, and ten times for safety: beyond the last knot a line is read on, and differences are
    larger there than on the knots (by up to nine times, in 180 solves of a buffer stock).
    """
    pairs = jax.lax.stop_gradient(list(zip(new, old, strict=True)))
    floor = lambda x: 1e-3 * typical(x) + jnp.finfo(x.dtype).tiny ** 0.5
    change = jnp.max(jnp.stack([jnp.max(jnp.abs(a - b)) for a, b in pairs]))
    least = jnp.min(jnp.stack([jnp.min(jnp.abs(a) + floor(a)) for a, _ in pairs]))
    return where(kappa < 1, 10 * kappa / jnp.maximum(1 - kappa, 1e-12) * change / least, jnp.inf)


def _ending(attempts, count, tolerance):
    """How Newton's method ended on every part, after so many steps before it."""
    bounds = jnp.stack([attempt.bound for attempt in attempts])
    bound = jnp.maximum(jnp.max(bounds), 1e4 * jnp.finfo(tolerance.dtype).eps)
    steps = count + sum(attempt.count for attempt in attempts)
    done = jnp.all(jnp.stack([attempt.done for attempt in attempts]))
    return Ending(jnp.asarray(steps, jnp.int32), bound, done, jnp.asarray(False))


def _by_values(recursion, tolerance, found=None):
    """Plain steps until the values of continuations, on their grids, are near: of contractions these are the measure.

    Where a hard choice at a knot changes from step to step, so does the slope there, and values between knots with it. Once
    changes become no smaller, slopes are the mean of those that come and are then held: between knots values are now means of
    those at the knots plus what does not move, and contract as they do.

    **Arguments:** `found`: what to begin with, in place of the terminal value.
    """
    start = recursion.start if found is None else found
    shapes = jax.eval_shape(lambda rows: recursion.step(rows, jnp.asarray(True))[1:], start)
    nothing_told, nothing_asked = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def body(state):
        rows, _, before, watch, stall, k = state
        new, health, asked = recursion.step(rows, k == 0, stall.hold(before))
        pairs = [(asked[perch][0], before[perch][0]) for perch in asked]
        change = jnp.max(jnp.stack([relative(*pair) for pair in pairs]))
        # What is relative to a value that passes zero rises and falls; the largest difference of a contraction falls.
        stall = stall.seen(jnp.max(jnp.stack([jnp.max(jnp.abs(a - b)) for a, b in pairs])))
        return new, health, asked, watch.seen(change, future_weight(new)), stall, k + 1

    go = lambda s: (s[3].bound > tolerance) & (s[5] < _MOST) & jnp.isfinite(s[3].change)
    begin = (start, nothing_told, nothing_asked, Watch.begin(tolerance.dtype), Stall.begin(tolerance.dtype))
    rows, health, _, watch, stall, count = jax.lax.while_loop(go, body, (*begin, int(found is not None)))
    bound = jnp.maximum(watch.bound, 1e4 * jnp.finfo(tolerance.dtype).eps)
    return rows, health, Ending(jnp.asarray(count, jnp.int32), bound, watch.bound <= tolerance, stall.averaged > 0)
