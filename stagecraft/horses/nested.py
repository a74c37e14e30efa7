"""The horse for a control that the continuation alone sees: its condition is solved at every post-state of the other."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import where
from stagecraft.operators.pruned import pruned

_STEPS = 80
_CANDIDATES = 9  # Looked at first, in case the continuation has several peaks.


def inner_control(
    condition: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    worth: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    low: Float[Array, ""],
    high: Float[Array, ""],
    shape: tuple[int, ...],
) -> Float[Array, "..."]:
    r"""The $s \in [l, h]$ at which $\partial V/\partial s$ falls through zero, or the bound to which it leads.

    The peak is bracketed between the neighbours of the best of a few candidates, then found by regula falsi with the weights of
    Illinois (Dowell and Jarratt 1971) and bisection in turns. The search carries no gradient; one step at the root,
    $s - f(s; \theta)/f'(s)$, has that of the implicit function theorem. Where the condition is flat the control takes its lower
    bound.

    **Arguments:** `condition`, `worth`: the marginal value of the control and the value, elementwise; `shape`: of the answer.
    """
    like = jax.ShapeDtypeStruct(shape, low.dtype)
    frozen, value = (pruned(lambda s, f=f: jax.lax.stop_gradient(f(s)), like) for f in (condition, worth))
    low, high = jax.lax.stop_gradient((low, high))
    left, right = _bracket(value, low, high, shape)
    at_left, at_right = frozen(left), frozen(right)
    peak = (at_left > 0) & (at_right < 0)

    def body(state):
        a, b, fa, fb, step = state
        secant = b - fb * (b - a) / where(fb == fa, 1.0, fb - fa)
        middle = 0.5 * (a + b)
        inside = (secant > a) & (secant < b) & (step % 3 < 2)
        x = where(inside, secant, middle)
        fx = frozen(x)
        up = fx > 0
        # The end that stays is given half its weight.
        return where(up, x, a), where(up, b, x), where(up, fx, 0.5 * fa), where(up, 0.5 * fb, fx), step + 1

    narrow = 4 * jnp.finfo(low.dtype).eps * (jnp.abs(low) + jnp.abs(high))
    go = lambda s: jnp.any(peak & (s[1] - s[0] > narrow)) & (s[4] < _STEPS)
    a, b, *_ = jax.lax.while_loop(go, body, (left, right, at_left, at_right, 0))
    root = 0.5 * (a + b)
    bound = where(at_right >= 0, right, left)
    bound = where((at_left == 0) & (at_right == 0), low, bound)
    step = 1e-5 * (high - low)
    slope = (frozen(jnp.minimum(root + step, high)) - frozen(jnp.maximum(root - step, low))) / (2 * step)
    change = condition(root)
    moved = root - (change - jax.lax.stop_gradient(change)) / where(slope < 0, slope, 1.0)
    return where(peak, where(slope < 0, moved, root), bound)


def _bracket(value, low, high, shape):
    """The neighbours of the best candidate."""
    shares = jnp.linspace(0.0, 1.0, _CANDIDATES, dtype=low.dtype)

    def look(carry, share):
        best, at = carry
        s = jnp.broadcast_to(low + share * (high - low), shape)
        v = value(s)
        better = v > best
        return (where(better, v, best), where(better, share, at)), None

    start = (jnp.full(shape, -jnp.inf, low.dtype), jnp.zeros(shape, low.dtype))
    (_, at), _ = jax.lax.scan(look, start, shares)
    gap = 1.0 / (_CANDIDATES - 1)
    place = lambda share: low + jnp.clip(share, 0.0, 1.0) * (high - low)
    return place(at - gap), place(at + gap)
