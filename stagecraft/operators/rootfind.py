"""One root or one peak per lane: Newton's method in a bracket, which may have to grow first, and golden section."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.operators.pruned import pruned

_EXPANSIONS = 200
_STEPS = 100
_RATIO = 0.6180339887498949


def bracketed_newton(
    function: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    lower: Float[Array, "..."],
    start: Float[Array, "..."],
) -> Float[Array, "..."]:
    r"""The root above `lower` of a function that changes sign once, elementwise.

    The distance from `lower` is doubled or halved from `start` until the root is between two trials; Newton steps that
    leave the bracket are replaced by bisection. The search carries no gradient; the root has those of `implicit`.

    **Arguments:**

    - `function`: elementwise in its argument; may close over traced parameters.
    - `lower`: an end that is never evaluated, a finite number per lane.
    - `start`: first trial, above `lower`.

    **Returns:** the roots; NaN in lanes where no sign change was found within a factor $2^{200}$ of the start.
    """
    lower, start = jax.lax.stop_gradient((lower, start))
    frozen = lambda x: jax.lax.stop_gradient(function(x))
    both = lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))
    sign = where(frozen(start) < 0, -1, 1)
    low, high, found = _grown_bracket(frozen, lower, start, sign)
    near = where(found, 4 * jnp.finfo(low.dtype).eps * (low - lower), jnp.inf)
    root = newton_within(lambda x: (*both(x), 0.0), low, high, 0.5 * (low + high), -jnp.sign(frozen(high)), near)
    return where(found, implicit(function, root, found), jnp.nan)


def implicit(
    function: Callable[[Float[Array, "..."]], Float[Array, "..."]], root: Float[Array, "..."], rooted: Bool[Array, "..."]
) -> Float[Array, "..."]:
    r"""A root that was found, as a function of all that `function` closes over, elementwise.

    Its derivative is that of the implicit function theorem, $x' = -f_\theta/f_x$, taken at the root as a function again, so
    that those of every order are right. Nothing is computed that no derivative asks for.

    **Arguments:** `rooted`: elements that are roots; others stay as they are, without a derivative.
    """
    root = jax.lax.stop_gradient(root)

    def solved(linear, y):
        slope = linear(jnp.ones_like(y))
        return y / where(slope == 0, 1.0, slope)

    return jax.lax.custom_root(lambda x: where(rooted, function(x), x - root), root, lambda _, x: x, solved)


def newton_within(
    look: Callable[[Float[Array, "..."]], tuple],
    low: Float[Array, "..."],
    high: Float[Array, "..."],
    start: Float[Array, "..."],
    sign: Float[Array, "..."] | float,
    near: Float[Array, "..."] | float,
    steps: int = _STEPS,
) -> Float[Array, "..."]:
    r"""A root in every bracket by Newton's method, without a gradient; steps that leave it are replaced by its middle.

    **Arguments:** `look`: at a place the value, its slope, and so large a value as counts for zero; `low`, `high`: the bracket;
    `start`: in it; `sign`: of the value at `low`; `near`: no step is larger than this when all are done, or
    `steps` have been taken.

    **Returns:** the roots, in the shape of `start`.
    """
    seen = pruned(lambda x: jax.lax.stop_gradient(look(x)), start)

    def body(state):
        low, high, x, _, step = state
        value, slope, noise = seen(x)
        on_low = sign * value >= 0
        low, high = where(on_low, x, low), where(on_low, high, x)
        newton = x - value / where(slope == 0, 1.0, slope)
        new = where((newton >= low) & (newton <= high) & (slope != 0), newton, 0.5 * (low + high))
        new = where(jnp.abs(value) <= noise, x, new)
        return low, high, new, jnp.any(jnp.abs(new - x) > near), step + 1

    state = (*jax.lax.stop_gradient((low, high, start)), jnp.array(True), 0)
    return jax.lax.while_loop(lambda s: s[3] & (s[4] < steps), body, state)[2]


def golden_section(
    value: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    low: Float[Array, "..."],
    high: Float[Array, "..."],
    steps: int,
) -> tuple[tuple[Float[Array, "..."], Float[Array, "..."]], ...]:
    """The highest value in every bracket by golden section, if it has one peak there (Kiefer 1953).

    **Arguments:** `value`: elementwise, at places with another axis in front, too; `low`, `high`: the brackets; `steps`: each
    takes a bracket to .618 of its length.

    **Returns:** the last two places, each with its value.
    """
    left, right = high - _RATIO * (high - low), low + _RATIO * (high - low)

    def body(_, state):
        low, high, left, right, f_left, f_right = state
        up = f_right > f_left
        low, high = where(up, left, low), where(up, high, right)
        new = where(up, low + _RATIO * (high - low), high - _RATIO * (high - low))
        f_new = value(new)
        return (low, high, where(up, right, new), where(up, new, left),
                where(up, f_right, f_new), where(up, f_new, f_left))  # fmt: skip

    f_left, f_right = value(jnp.stack([left, right]))
    _, _, left, right, f_left, f_right = jax.lax.fori_loop(0, steps, body, (low, high, left, right, f_left, f_right))
    return (left, f_left), (right, f_right)


def _grown_bracket(function, lower, start, sign):
    """Walk away from the first trial, up in lanes where the sign changes above it and down in the others."""

    def body(state):
        up, down, done_up, done_down, step = state
        up = where(done_up, up, lower + 2 * (up - lower))
        down = where(done_down, down, lower + 0.5 * (down - lower))
        done_up |= function(up) * sign < 0
        done_down |= function(down) * sign < 0
        either = done_up | done_down
        return up, down, either, either, step + 1

    none = jnp.zeros(start.shape, bool)
    go = lambda s: jnp.any(~(s[2] | s[3])) & (s[4] < _EXPANSIONS)
    up, down, done, _, _ = jax.lax.while_loop(go, body, (start, start, none, none, 0))
    crossed_up = function(up) * sign < 0
    low = where(crossed_up, lower + 0.5 * (up - lower), down)
    high = where(crossed_up, up, lower + 2 * (down - lower))
    return low, high, done
