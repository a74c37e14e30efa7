"""Newton's method for a fixed point: steps $x + (I - J)^{-1}(T(x) - x)$ where they bring the residual down, else plain ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import floating, where
from stagecraft.backward.watch import Watch, gap_of, same_rules, typical
from stagecraft.operators.linear_solve import solve_near_identity

_BATCH = 40  # Plain steps after a Newton step that failed.


class Attempt(NamedTuple):
    """Where the method stands."""

    kept: Any
    told: Any  # Of the last look.
    safe: Any  # One plain step beyond the last iterate that was better than the one before.
    gap: Float[Array, ""]  # Of that iterate.
    watch: Watch  # Over plain steps.
    bound: Float[Array, ""]
    count: Int[Array, ""]
    looks: Int[Array, ""]
    plain: Int[Array, ""]  # Plain steps that are still to be taken.
    done: Bool[Array, ""]  # The bound is small enough, and the residual no larger.


def newton(
    image: Callable,
    start: Any,
    judged: Callable[[Any], list],
    tolerance: Float[Array, ""],
    *,
    plain: int,
    most: int,
    tail: Float[Array, ""] | None = None,
    certified: Callable[[Any, Any], Float[Array, ""]] | None = None,
) -> Attempt:
    """The fixed point of a map.

    The last Newton step taken is the error bound where none is certain: the error that it leaves is of the second order,
    but for kinks and what its linear system is not solved for. After a step that does not bring the residual down plain
    steps are taken, and the largest ratio of their differences bounds what is left.

    **Arguments:**

    - `image`: the map, from a pytree to one of the same structure, and what else is told of the step.
    - `judged`: the arrays of the pytree whose relative change counts.
    - `plain`: steps that are taken before the first Newton step; `most`: Newton steps.
    - `tail`: how many times the last difference what is left may be, as plain steps have shown; the more, the sharper a step
      is solved for, so that nothing slow hides in what the solver leaves.
    - `certified`: of an image and its argument, a bound on the error of the image, where one is known.
    """
    noise = 1e4 * jnp.finfo(tolerance.dtype).eps
    infinite, none = jnp.asarray(jnp.inf, tolerance.dtype), jnp.int32(0)

    def sharpness(bound, known):
        # Far from the end a step need not be exact; near it, what is slow must not hide in what the solver leaves.
        if tail is not None:
            return jnp.clip(0.1 * tolerance / known, jnp.clip(1e-2 / tail, 1e-8, 1e-4), 1e-2)
        if certified is None:
            return where(bound > 1e-2, 1e-4, 1e-8)
        return jnp.clip(0.1 * tolerance / known, where(bound > 1e3 * tolerance, 1e-2, 1e-8), 1e-2)

    def body(state):
        floats, merge = floats_of(state.kept)

        def image_of(xs):
            new, told = image(merge(xs))
            return floats_of(new)[0], (new, told)

        values, linear, (new, told) = jax.linearize(image_of, floats, has_aux=True)
        gap, walks = gap_of(new, state.kept, judged), state.plain > 0
        known = infinite if certified is None else certified(new, state.kept)
        # What is certain counts; only where rounding is all that is left may the step say more.
        step = state.bound if certified is None else where(gap > noise, infinite, state.bound)
        bound = where(walks, state.bound, jnp.minimum(step, known))
        known = known if tail is None else tail * gap
        small = bound <= tolerance
        # What is read between knots may change by more than what stands on them, where another rule reads it.
        settled = same_rules(new, state.kept) | (state.looks > most // 2)
        sound = gap <= jnp.maximum(bound, noise)
        done = ~walks & small & sound & settled
        # A small step that leaves a larger residual met a kink.
        better = ~walks & jnp.isfinite(gap) & (gap <= jnp.maximum(2 * state.gap, noise)) & ~(small & ~sound)
        state = state._replace(told=told, count=state.count + 1, looks=state.looks + ~walks, done=done)

        def leap():
            # Ends that are infinite stay where they are.
            residual = tuple(where(jnp.isfinite(a + b), b - a, 0.0) for a, b in zip(floats, values, strict=True))
            sharp = sharpness(bound, known)
            move = solve_near_identity(linear, residual, scales(floats), sharp)
            there = floats_of(new)[1](tuple(a + d for a, d in zip(floats, move, strict=True)))
            hidden = where(jnp.isfinite(known), sharp * known, 0.0)
            return state._replace(kept=there, safe=new, gap=gap, bound=2 * gap_of(there, state.kept, judged) + hidden)

        def walk():
            # After a failure back to what is safe, and on from there.
            pick = lambda a, b: jax.tree.map(lambda x, y: where(walks, x, y), a, b)
            kept, watch = pick((new, state.watch.seen(gap)), (state.safe, Watch.begin(tolerance.dtype)))
            left = where(watch.bound <= tolerance, 0, where(walks, state.plain - 1, _BATCH))
            return state._replace(kept=kept, safe=kept, gap=infinite, watch=watch, bound=watch.bound, plain=left)

        end = lambda: state._replace(kept=new, bound=bound)
        return jax.lax.cond(done, end, lambda: jax.lax.cond(better, leap, walk))

    told = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(lambda x: image(x)[1], start))
    begin = Attempt(kept=start, told=told, safe=start, gap=infinite, watch=Watch.begin(tolerance.dtype), bound=infinite,
                    count=none, looks=none, plain=jnp.int32(plain), done=jnp.asarray(False))  # fmt: skip
    return jax.lax.while_loop(lambda s: ~s.done & (s.looks < most), body, begin)


def floats_of(tree):
    """The floating-point leaves, and a function that puts others of their kind in their place."""

    def merge(floats):
        given = iter(floats)
        return jax.tree.map(lambda x: next(given) if floating(x) else x, tree)

    return tuple(x for x in jax.tree.leaves(tree) if floating(x)), merge


def scales(floats):
    """A size for every number, so that large and small ones count alike."""
    size = lambda x: jnp.abs(x) + 1e-2 * typical(x) + 1e-12
    return tuple(where(jnp.isfinite(x), size(x), 1.0) for x in floats)
