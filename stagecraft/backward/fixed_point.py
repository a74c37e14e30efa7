r"""The infinite horizon: a period that leads to itself, solved to a bound and differentiated by the implicit function theorem.

The unknown $x$ is what the stages of the period store, and $T$ one period backward. Plain steps come first, on no more than
policies depend on; then Newton steps $x + (I - J)^{-1}(T(x) - x)$ on everything, $J = T'(x)$ never formed. The last Newton
step taken is the error bound: the error that it leaves is of the second order. Where a Newton step does not bring the
residual down, plain steps go on, and the largest ratio of their differences bounds what is left.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import dtype_of, floating
from stagecraft.backward.sweep import nothing, placeholders, step
from stagecraft.backward.watch import Watch, gap_of, policies_of, relative, same_rules, typical, values_of
from stagecraft.circuit.composer import Composer
from stagecraft.circuit.info import Ending, Health
from stagecraft.functionals.composed import Either
from stagecraft.operators.linear_solve import solve_near_identity
from stagecraft.operators.pruned import dependencies
from stagecraft.results import TOLERANCE

_NEAR = 1e-3  # Close enough for Newton steps.
_MOST = 20_000
_FEW = 200  # Enough for Newton steps on values alone: they improve the policy (Howard 1960), from wherever they begin.
_BEGIN = 20  # Full plain steps before the first Newton step.
_BATCH = 40  # Plain steps after a Newton step that failed.
_NEWTON = 30


def fixed_point(circuit) -> tuple[dict, dict[str, Health], Ending]:
    """What the stages of a stationary circuit store, what went wrong, and how far it may be from the fixed point."""
    rows, health, ending = _stationary(circuit)
    return rows, health, ending._replace(converged=ending.converged & (future_weight(rows) < 1))


def future_weight(rows) -> Float[Array, ""]:
    r"""How much next period's value counts in this period's, at most: $\kappa = 1 - 1/B$, where the constant reward 1 is worth
    $B = 1 + \kappa B$ through the same movers; one or more where Newton's steps found a $B$ that no sum of rewards has.
    """
    weights = (x for stored in rows.values() for x in stored.weights)
    most = jnp.stack([jnp.max(1 - 1 / jnp.where(x == 0, 1.0, x)) for x in weights])
    return jax.lax.stop_gradient(jnp.max(most))


def _backward(circuit, rows, first=None):
    """One period backward, from what the next one stores to what this one does, its health, and what continuations were worth.

    **Arguments:** `first`: whether the terminal value stands in for the next period, zero where none is given.
    """
    block, t = circuit.structure.blocks[0], jnp.asarray(0)
    own = Composer(circuit, block, t, rows, nothing)
    onward = own.arrival if first is None else lambda name: Either(first, circuit.terminal(name, t), own.arrival(name))
    return step(circuit, block, t, onward)


def _may_jump(circuit) -> bool:
    """Whether a policy may jump, so that knots change places from step to step while values converge."""
    stages = [circuit.structure.stage(name) for name in circuit.structure.blocks[0].stages]
    return any(num.solution.upper_envelope and num.stored for num in stages)


def _chooses_hard(circuit) -> bool:
    """Whether a stage takes the best of finitely many alternatives without taste shocks."""
    choices = [circuit.structure.stage(name).choice for name in circuit.structure.blocks[0].stages]
    return any(choice is not None and choice.by == "agent" and choice.scale is None for choice in choices)


@jax.custom_jvp
def _stationary(circuit):
    """The fixed point, the health of the step that found it, and how it ended."""
    tolerance = _tolerance(circuit)
    if _may_jump(circuit):
        return _by_values(circuit, tolerance)
    rows, count = _plain(circuit, tolerance)
    found = _newton_steps(circuit, rows, tolerance, count)
    if not _chooses_hard(circuit):
        return found
    # Newton steps improve a policy, and between knots two policies may each improve on the other for ever; values do not cycle.
    return jax.lax.cond(found[2].converged, lambda: found, lambda: _by_values(circuit, tolerance, found[0]))


@_stationary.defjvp
def _stationary_jvp(primals, tangents):
    r"""$\dot x = (I - J)^{-1}\,\partial_\theta T\,\dot\theta$: at the fixed point, whatever the way to it."""
    (circuit,), (moved,) = primals, tangents
    rows, health, ending = _stationary(circuit)
    floats, merge = _floats_of(rows)
    apply = lambda c, x: _floats_of(_backward(c, merge(x))[0])[0]
    _, push = jax.jvp(lambda c: apply(c, floats), (circuit,), (moved,))
    _, linear = jax.linearize(lambda x: apply(circuit, x), floats)
    solution = solve_near_identity(linear, push, _scales(floats))
    if _may_jump(circuit):
        # Where knots still change places there is nothing to differentiate; that is said by NaN.
        still_there = gap_of(_backward(circuit, rows)[0], rows) < jnp.finfo(ending.bound.dtype).eps ** 0.25
        solution = tuple(jnp.where(still_there, x, jnp.nan) for x in solution)
    solution = iter(solution)
    still = lambda x: jnp.zeros_like(x) if floating(x) else np.zeros(x.shape, jax.dtypes.float0)
    tangent = jax.tree.map(lambda x: next(solution) if floating(x) else still(x), rows)
    return (rows, health, ending), (tangent, *jax.tree.map(still, (health, ending)))


def _floats_of(rows):
    """The floating-point leaves, and a function that puts others of their kind in their place."""

    def merge(floats):
        given = iter(floats)
        return jax.tree.map(lambda x: next(given) if floating(x) else x, rows)

    return tuple(x for x in jax.tree.leaves(rows) if floating(x)), merge


def _scales(floats):
    """A size for every number, so that large and small ones count alike."""
    size = lambda x: jnp.abs(x) + 1e-2 * typical(x) + 1e-12
    return tuple(jnp.where(jnp.isfinite(x), size(x), 1.0) for x in floats)


def _tolerance(circuit):
    """The smallest setting of the name `tolerance` in any scope, or the default; never below rounding."""
    found = [names["tolerance"] for names in circuit.settings.values() if "tolerance" in names]
    dtype = dtype_of(circuit.parameters)
    smallest = jnp.min(jnp.stack(found)) if found else jnp.asarray(TOLERANCE, dtype)
    return jnp.maximum(smallest, 1e4 * jnp.finfo(dtype).eps)


def _plain(circuit, tolerance):
    """Steps from the terminal value on the leaves that policies depend on, until Newton steps are near enough; then all."""
    start = placeholders(circuit, circuit.structure.blocks[0])
    leaves, tree = jax.tree.flatten(start)
    apply = lambda rows: _backward(circuit, rows)[0]
    judged, most = (policies_of, _MOST) if policies_of(start) else (values_of, _FEW)
    places = judged(jax.tree.unflatten(tree, range(len(leaves))))
    needed = dependencies(apply, start, [i in places for i in range(len(leaves))])

    def fill(kept):
        given = iter(kept)
        return jax.tree.unflatten(tree, [next(given) if n else x for x, n in zip(leaves, needed, strict=True)])

    def body(state):
        kept, watch, k = state
        old = fill(kept)
        new, *_ = _backward(circuit, old, k == 0)
        return [x for x, n in zip(jax.tree.leaves(new), needed, strict=True) if n], watch.seen(gap_of(new, old, judged)), k + 1

    kept = [x for x, n in zip(leaves, needed, strict=True) if n]
    near = jnp.maximum(tolerance, _NEAR)
    go = lambda s: (s[1].bound > near) & (s[2] < most) & jnp.isfinite(s[1].change)
    kept, _, count = jax.lax.while_loop(go, body, (kept, Watch.begin(tolerance.dtype), 0))
    # Values begin at zero, with a weight of zero, as they do at the end of a life; everything is feasible until it is shown not
    # to be, since what never is would say so of itself for ever.
    leaves = [jnp.zeros_like(x) if floating(x) else x for x in leaves]
    return fill(kept), count


def _by_values(circuit, tolerance, found=None):
    """Plain steps until the values of continuations, on their grids, are near: of contractions these are the measure.

    **Arguments:** `found`: what to begin with, in place of the terminal value.
    """
    start = placeholders(circuit, circuit.structure.blocks[0]) if found is None else found
    nothing_told, nothing_asked = _blank(lambda rows: _backward(circuit, rows)[1:], start)

    def body(state):
        rows, _, before, watch, k = state
        new, health, asked = _backward(circuit, rows, k == 0)
        pairs = zip(jax.tree.leaves(asked), jax.tree.leaves(before), strict=True)
        change = jnp.max(jnp.stack([relative(a, b) for a, b in pairs]))
        return new, health, asked, watch.seen(change, future_weight(new)), k + 1

    go = lambda s: (s[3].bound > tolerance) & (s[4] < _MOST) & jnp.isfinite(s[3].change)
    state = (start, nothing_told, nothing_asked, Watch.begin(tolerance.dtype), int(found is not None))
    rows, health, _, watch, count = jax.lax.while_loop(go, body, state)
    bound = jnp.maximum(watch.bound, 1e4 * jnp.finfo(tolerance.dtype).eps)
    return rows, health, Ending(jnp.asarray(count, jnp.int32), bound, watch.bound <= tolerance)


def _blank(function, *examples):
    """Zeros of the structure of what a function returns."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, *examples))


class _Attempt(NamedTuple):
    rows: dict
    health: dict[str, Health]  # Of the last step taken to look.
    safe: dict  # One plain step beyond the last iterate that was better than the one before.
    gap: Float[Array, ""]  # Of that iterate.
    bound: Float[Array, ""]
    count: Int[Array, ""]
    looks: Int[Array, ""]
    done: Bool[Array, ""]  # The bound is small enough, and the residual no larger.


def _newton_steps(circuit, rows, tolerance, count):
    """Newton steps where they bring the residual down, batches of plain ones where they do not."""
    noise = 1e4 * jnp.finfo(tolerance.dtype).eps

    def body(state):
        floats, merge = _floats_of(state.rows)

        def image_of(xs):
            new, health, _ = _backward(circuit, merge(xs))
            return _floats_of(new)[0], (new, health)

        image, linear, (new, health) = jax.linearize(image_of, floats, has_aux=True)
        gap = gap_of(new, state.rows)
        small = state.bound <= tolerance
        # What is read between knots may change by more than what stands on them, where another rule reads it.
        settled = same_rules(new, state.rows) | (state.looks > _NEWTON // 2)
        sound = gap <= jnp.maximum(state.bound, noise)
        done = small & sound & settled
        # A small step that leaves a larger residual met a kink.
        better = jnp.isfinite(gap) & (gap <= jnp.maximum(2 * state.gap, noise)) & ~(small & ~sound)

        def leap():
            # Ends that are infinite stay where they are.
            residual = tuple(jnp.where(jnp.isfinite(a + b), b - a, 0.0) for a, b in zip(floats, image, strict=True))
            # Far from the end a step need not be exact; near it, what is slow must not hide in what the solver leaves.
            sharp = jnp.where(state.bound > 1e-2, 1e-4, 1e-8)
            move = solve_near_identity(linear, residual, _scales(floats), sharp)
            there = _floats_of(new)[1](tuple(a + d for a, d in zip(floats, move, strict=True)))
            return _Attempt(there, health, new, gap, 2 * gap_of(there, state.rows), state.count + 1, state.looks + 1, done)

        def walk():
            most = jnp.where(state.looks == 0, _BEGIN, _BATCH)
            go = lambda s: (s[1].bound > tolerance) & (s[1].count < most)
            on = lambda s: (lambda x: (x, s[1].seen(gap_of(x, s[0]))))(_backward(circuit, s[0])[0])
            found, watch = jax.lax.while_loop(go, on, (state.safe, Watch.begin(tolerance.dtype)))
            return _Attempt(found, health, found, jnp.inf * gap, watch.bound, state.count + watch.count, state.looks + 1, done)

        return jax.lax.cond(
            done, lambda: state._replace(rows=new, health=health, done=done), lambda: jax.lax.cond(better, leap, walk)
        )

    infinite = jnp.asarray(jnp.inf, tolerance.dtype)
    told = _blank(lambda rows: _backward(circuit, rows)[1], rows)
    start = _Attempt(rows, told, rows, -infinite, infinite, jnp.asarray(count, jnp.int32), jnp.int32(0), jnp.asarray(False))
    go = lambda s: ~s.done & (s.looks < _NEWTON)
    ended = jax.lax.while_loop(go, body, start)
    return ended.rows, ended.health, Ending(ended.count, jnp.maximum(ended.bound, noise), ended.done)
