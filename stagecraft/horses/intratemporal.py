r"""Controls beside the one of the Euler equation that enter reward and budget only: each solves its own condition in turn.

Where the continuation's slope is known, $Q_n + (Q_{x'} + Q_V\lambda)\,g_n = 0$ tells a control $n$, in closed form or by
Newton's method between its bounds; where state and control are known, $g_n - g_c\,Q_n/Q_c = 0$ does. On the constrained branch
the second condition and the budget hold together, and so the bound of $c$ is a curve.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import room_above, where
from stagecraft.horses.inverses import state_by_newton
from stagecraft.operators.rootfind import bracketed_newton, implicit, newton_within

Points = Float[Array, "..."]
_ASIDE = 1e-9  # How far inside its bounds a condition is asked, in widths of their interval.
_FAR = 1e8


@dataclass(frozen=True)
class Beside:
    r"""One control $n$, as static functions of parameters that hold the other controls under their names.

    **Attributes:** `name`; `condition`: $(p, m, c) \mapsto g_n - g_c\,Q_n/Q_c$, falling in $n$, and `inverse`, the $n$ at
    which it is zero; `at_knot`: $(p, \lambda, x', c)$, what the continuation says of it, and `knot_inverse`; `lower`, `upper`:
    $(p, m, c)$ or `None`; `needs`, `knot_needs`: controls that are solved inside, not known when its turn comes.
    """

    name: str
    condition: Callable
    at_knot: Callable
    inverse: Callable | None = None
    knot_inverse: Callable | None = None
    lower: Callable | None = None
    upper: Callable | None = None
    needs: tuple[str, ...] = ()
    knot_needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intratemporal:
    """All controls beside, and the functions of the dynamic one that they enter.

    **Attributes:** `controls`, `knot_order`: the order in which state and control, or the continuation, tell them; `before`:
    those that are known before the dynamic control; `joint`: whether that one waits for the others; `foc`, `control_inverse`,
    `state_inverse`, `lower`, `bound`: as of a `ContinuousProblem`, `bound` the one that leads to the corner; `curved`: whether
    it names any of them; `asks_state`: whether a condition, given state and control, names the state; `lower_reads`: whether
    `lower` names controls beside.
    """

    controls: tuple[Beside, ...]
    knot_order: tuple[str, ...]
    before: tuple[str, ...]
    joint: bool
    foc: Callable
    control_inverse: Callable | None
    state_inverse: Callable
    lower: Callable
    bound: Callable
    curved: bool
    asks_state: bool
    lower_reads: bool

    def known(self, parameters: Mapping) -> bool:
        """Whether all of them stand among the parameters."""
        return all(control.name in parameters for control in self.controls)

    def one(self, name: str) -> Beside:
        """A control by its name."""
        return next(control for control in self.controls if control.name == name)


def given(own: Intratemporal, function: Callable, p: Mapping, state: Points, control: Points, *others) -> Points:
    """A function of state and control that reads the controls beside among the parameters; they are solved for if not there."""
    if not own.known(p):
        p = {**p, **by_state(own, p, state, control)}
    return function(p, state, control, *others)


def open_bound(own: Intratemporal, function: Callable, none: float, p: Mapping, state: Points) -> Points:
    """An open bound that never binds and names controls beside, which is none where they are not known."""
    return function(p, state) if own.known(p) else none + jnp.zeros_like(state)


def by_state(own: Intratemporal, p: Mapping, state: Points, control: Points, found: Mapping | None = None) -> dict[str, Any]:
    """All controls beside, given the state and the dynamic control, in the parameters' place of them.

    **Arguments:** `found`: guesses, near which their conditions are solved.
    """
    names, guess = tuple(c.name for c in own.controls), found or {}
    return _solved(own, names, p, lambda c: c.needs, lambda c: (c.condition, c.inverse, (state, control)), guess)


def by_slope(own: Intratemporal, p: Mapping, slope: Points, post: Points, control: Points, names=None) -> dict[str, Any]:
    """The same given the slope of the continuation, the post-state and the dynamic control."""
    names = own.knot_order if names is None else names
    at = (slope, post, control)
    return _solved(own, names, p, lambda c: c.knot_needs, lambda c: (c.at_knot, c.knot_inverse, at), {})


def control_by_slope(own: Intratemporal, p: Mapping, slope: Points, post: Points) -> Points:
    """The dynamic control at each slope of the continuation, by its own condition or by all conditions together."""
    p = {**p, **by_slope(own, p, slope, post, jnp.ones_like(post), own.before)}
    if own.control_inverse is not None and not own.joint:
        return own.control_inverse(p, slope, post)
    after = tuple(n for n in own.knot_order if n not in own.before) if own.joint else ()
    low = jnp.zeros_like(post) if own.lower_reads and own.joint else jnp.broadcast_to(own.lower(p, post), post.shape)
    low = where(jnp.isfinite(low), low, 0.0)
    return bracketed_newton(lambda c: own.foc({**p, **by_slope(own, p, slope, post, c, after)}, c, slope, post), low, low + 1.0)


def state_by_slope(own: Intratemporal, p: Mapping, post: Points, control: Points, slope: Points) -> Points:
    """The state that leads to a post-state under a dynamic control and those beside it that go with both."""
    return own.state_inverse({**p, **by_slope(own, p, slope, post, control)}, post, control, slope)


def condition_by_slope(own: Intratemporal, p: Mapping, control: Points, slope: Points, post: Points) -> Points:
    """The condition of the dynamic control, those beside it moving along."""
    return own.foc({**p, **by_slope(own, p, slope, post, control)}, control, slope, post)


def bound_by_state(own: Intratemporal, p: Mapping, state: Points) -> Points:
    """The bound of the dynamic control that leads to the corner, where those beside it are the best that go with it."""
    if not own.curved or own.known(p):
        return own.bound(p, state)
    low = lowest_control(own, p, state, jnp.ones_like(state))
    gap = lambda c: c - own.bound({**p, **by_state(own, p, state, c)}, state)
    return bracketed_newton(gap, low, low + 1.0)


def along_curve(own: Intratemporal, p: Mapping, state: Points, guess: Points, found: Mapping) -> Points:
    """The dynamic control on its bound, where those beside it are the best that go with it, near a guess of all of them."""
    low = jax.lax.stop_gradient(lowest_control(own, p, state, guess, found))
    guess = jax.lax.stop_gradient(jnp.maximum(guess, low + room_above(low)))
    gap = lambda c: c - own.bound({**p, **by_state(own, p, state, c, found)}, state)
    both = lambda c: jax.jvp(gap, (c,), (jnp.ones_like(c),))
    near = 1e2 * jnp.finfo(guess.dtype).eps * (1.0 + jnp.abs(guess))
    far = low + _FAR * (1.0 + jnp.abs(guess))
    root = newton_within(lambda c: (*both(c), 0.0), low, far, guess, -1.0, near)
    return implicit(gap, root, jax.lax.stop_gradient(both(root)[1] > 0))


def lowest_control(own: Intratemporal, p: Mapping, state: Points, guess: Points, found: Mapping | None = None) -> Points:
    """The lower bound of the dynamic control; where it names those beside, with what goes with a guess of it."""
    known = p if own.known(p) else {**p, **by_state(own, p, state, guess, found)} if own.lower_reads else p
    low = own.lower(known, state) * jnp.ones_like(guess)
    return where(jnp.isfinite(low), low, jnp.minimum(guess, 0.0))


def state_on_curve(own: Intratemporal, transition: Callable, p: Mapping, post: Points, control: Points) -> Points:
    """The state at which the dynamic control, and the best of those beside it, lead to a post-state."""
    ones = jnp.ones_like(control)
    if own.asks_state:
        return state_by_newton(transition, p, post * ones, control, ones)
    return own.state_inverse({**p, **by_state(own, p, control, control)}, post, control, ones) * ones


def _solved(own, names, p, needs, asked, guesses) -> dict[str, Any]:
    """Each control by its own condition, those that it needs inside of it."""
    solved: dict[str, Any] = {}
    for name in names:
        if name in p or name in solved:
            continue
        control, q = own.one(name), {**p, **solved}
        inside = tuple(n for n in needs(control) if n not in q)
        condition, inverse, at = asked(control)
        rest = lambda n, name=name, q=q, inside=inside: (
            {**q, name: n, **_solved(own, inside, {**q, name: n}, needs, asked, guesses)} if inside else {**q, name: n}
        )
        residual = lambda n, condition=condition, at=at, rest=rest: condition(rest(n), *at)
        like = sum(jnp.zeros_like(x) for x in at)
        side = lambda bound, none, q=q, like=like, at=at: none + like if bound is None else bound(q, *at[-2:]) + like
        low, high = side(control.lower, -jnp.inf), side(control.upper, jnp.inf)
        if inverse is not None and not inside:
            solved[name] = _clipped(inverse(q, *at) + like, low, high)
        else:
            solved[name] = _root(residual, low, high, guesses.get(name))
        solved |= _solved(own, inside, {**q, name: solved[name]}, needs, asked, guesses)
    return {name: solved[name] for name in names if name in solved}


def _clipped(root, low, high):
    """A closed form between its bounds; where it is no number nothing is gained by the control."""
    good = jnp.isfinite(root)
    none = where(jnp.isfinite(low), low, 0.0)
    return where(good, jnp.clip(where(good, root, none), low, high), none)


def _inside(low, high, share):
    """A place between two bounds, either of which may be infinite."""
    low = where(jnp.isfinite(low), low, -_FAR)
    high = where(jnp.isfinite(high), high, jnp.maximum(low, 0.0) + _FAR)
    return low + share * (high - low)


def _root(residual, low, high, guess):
    """Where a condition falls through zero between two bounds, or the bound to which it leads."""
    frozen = lambda n: jax.lax.stop_gradient(residual(n))
    ends = jax.lax.stop_gradient((_inside(low, high, _ASIDE), _inside(low, high, 1 - _ASIDE)))
    at_low, at_high = frozen(ends[0]), frozen(ends[1])
    middle = where(jnp.isfinite(high), 0.5 * (ends[0] + ends[1]), jnp.maximum(ends[0], 0.0) + 1.0)
    start = middle if guess is None else jnp.clip(where(jnp.isfinite(guess), guess, middle), *ends)
    free = (at_low > 0) & (at_high < 0)
    both = lambda n: jax.jvp(residual, (n,), (jnp.ones_like(n),))
    # Where a bound holds any place counts for a root.
    look = lambda n: (*both(n), where(free, 0.0, jnp.inf))
    near = 1e2 * jnp.finfo(start.dtype).eps * (1.0 + jnp.abs(start))
    root = newton_within(look, *ends, jax.lax.stop_gradient(start), 1.0, near)
    value, slope = jax.lax.stop_gradient(both(root))
    # At a kink, of a tax bracket say, the condition jumps through zero, and the control stays.
    settled = free & (slope < 0) & (jnp.abs(value) <= -1e-6 * (1.0 + jnp.abs(root)) * slope)
    moved = implicit(residual, root, settled)
    return where(free, moved, where(at_high >= 0, high, low))
