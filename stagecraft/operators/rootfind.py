"""One root per lane: a bracket that grows until it holds a sign change, Newton inside it, and the exact derivative."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_EXPANSIONS = 200
_STEPS = 100


def bracketed_newton(
    function: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    lower: Float[Array, "..."],
    start: Float[Array, "..."],
) -> Float[Array, "..."]:
    r"""The root above `lower` of a function that changes sign once, elementwise.

    The distance from `lower` is doubled or halved from `start` until the root is between two trials; Newton steps that
    leave the bracket are replaced by bisection. The search carries no gradient: one differentiable Newton step at the
    root, $x^* = x - f(x; \theta)/f'(x)$, gives the derivative of the implicit function theorem.

    **Arguments:**

    - `function`: elementwise in its argument; may close over traced parameters.
    - `lower`: an end that is never evaluated, a finite number per lane.
    - `start`: first trial, above `lower`.

    **Returns:** the roots; NaN in lanes where no sign change was found within a factor $2^{200}$ of the start.
    """
    lower, start = jax.lax.stop_gradient((lower, start))
    frozen = lambda x: jax.lax.stop_gradient(function(x))
    sign = jnp.where(frozen(start) < 0, -1, 1)
    low, high, found = _bracket(frozen, lower, start, sign)

    def body(state):
        low, high, x, _, step = state
        value, slope = jax.jvp(function, (x,), (jnp.ones_like(x),))
        value, slope = jax.lax.stop_gradient((value, slope))
        on_low = jnp.sign(value) != sign_high
        low, high = jnp.where(on_low, x, low), jnp.where(on_low, high, x)
        newton = x - value / jnp.where(slope == 0, 1.0, slope)
        inside = (newton > low) & (newton < high) & (slope != 0)
        new = jnp.where(inside, newton, 0.5 * (low + high))
        new = jnp.where(value == 0, x, new)
        moved = jnp.max(jnp.where(found, jnp.abs(new - x) / (jnp.abs(new - lower) + 1e-300), 0.0), initial=0.0)
        return low, high, new, moved, step + 1

    sign_high = jnp.sign(frozen(high))
    tolerance = 4 * jnp.finfo(low.dtype).eps
    state = (low, high, 0.5 * (low + high), jnp.asarray(jnp.inf, low.dtype), 0)
    *_, root, _, _ = jax.lax.while_loop(lambda s: (s[3] > tolerance) & (s[4] < _STEPS), body, state)
    root = jax.lax.stop_gradient(root)
    value, slope = jax.jvp(function, (root,), (jnp.ones_like(root),))
    slope = jax.lax.stop_gradient(jnp.where(slope == 0, 1.0, slope))
    return jnp.where(found, root - value / slope, jnp.nan)


def _bracket(function, lower, start, sign):
    """Walk away from the first trial, up in lanes where the sign changes above it and down in the others."""

    def body(state):
        up, down, done_up, done_down, step = state
        up = jnp.where(done_up, up, lower + 2 * (up - lower))
        down = jnp.where(done_down, down, lower + 0.5 * (down - lower))
        done_up |= function(up) * sign < 0
        done_down |= function(down) * sign < 0
        either = done_up | done_down
        return up, down, either, either, step + 1

    none = jnp.zeros(start.shape, bool)
    go = lambda s: jnp.any(~(s[2] | s[3])) & (s[4] < _EXPANSIONS)
    up, down, done, _, _ = jax.lax.while_loop(go, body, (start, start, none, none, 0))
    crossed_up = function(up) * sign < 0
    low = jnp.where(crossed_up, lower + 0.5 * (up - lower), down)
    high = jnp.where(crossed_up, up, lower + 2 * (down - lower))
    return low, high, done
