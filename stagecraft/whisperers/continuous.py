"""Tells the EGM horse about a stage with one continuous control: names become a record, nothing is computed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from stagecraft.arrays import room_above
from stagecraft.functionals.axes import Axis
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.operators.rootfind import bracketed_newton


@dataclass(frozen=True)
class ControlByNewton:
    """The first-order condition solved for the control where it has no closed form; a function compared by value.

    **Attributes:** `foc`: $(p, c, \\lambda, x')$, zero at the optimum; `lower`: bound that the control stays above.
    """

    foc: Callable
    lower: Callable

    def __call__(self, parameters, slope, post):
        """The control at each marginal value and post-state."""
        low = jnp.broadcast_to(self.lower(parameters, post), post.shape)
        low = jnp.where(jnp.isfinite(low), low, 0.0)
        condition = lambda c: self.foc(parameters, c, slope, post)
        return bracketed_newton(condition, low, low + 1.0)


@dataclass(frozen=True)
class StateByNewton:
    """The transition solved for the state where it has no closed form, by a root above the lowest that was tried."""

    transition: Callable

    def __call__(self, parameters, post, control, slope):
        """The state that leads to each post-state under each control."""
        del slope  # The transition alone decides.
        gap = lambda m: self.transition(parameters, m, control) - post
        reach = 1e6 * (1.0 + jnp.abs(post))
        return bracketed_newton(lambda y: gap(y - reach), jnp.zeros_like(post), reach + jnp.maximum(post, 1.0))


@dataclass(frozen=True)
class StateAtBound:
    """The state that leads to a post-state when the control is at a bound that moves with the state."""

    transition: Callable
    bound: Callable

    def __call__(self, parameters, post, guess):
        """The state, searched within a thousand times the guess's own size."""
        gap = lambda m: self.transition(parameters, m, self.bound(parameters, m)) - post
        low = jax.lax.stop_gradient(guess - 1e3 * (1.0 + jnp.abs(guess)))
        return bracketed_newton(gap, low, guess)


@dataclass(frozen=True)
class PostOf:
    """The active post-state alone, out of the transition of all of them."""

    num: object

    def __call__(self, parameters, state, control):
        """The post-state at each state and control; passive states stand among the parameters."""
        num = self.num
        formula = dict(num.to_continuation.equations)[num.solution.post]
        return formula({**parameters, f"{num.solution.state}[~]": state, num.solution.control: control})


@dataclass(frozen=True)
class PassivePosts:
    """The post-states that neither the control nor the endogenous state moves."""

    num: object

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(name for name, _ in self._equations)

    def __call__(self, parameters):
        """By name, from the passive states among the parameters."""
        return {name: formula(parameters) for name, formula in self._equations}

    @property
    def _equations(self):
        num = self.num
        chosen = (num.solution.post, None if num.solution.inner is None else num.solution.inner[1])
        return tuple((name, formula) for name, formula in num.to_continuation.equations if name not in chosen)


@dataclass(frozen=True)
class AllowedAt:
    """Whether every constraint of a stage holds, which the decision's states and discrete controls alone decide."""

    num: object

    def __call__(self, parameters, state):
        """At each endogenous state; passive states and discrete controls stand among the parameters."""
        num = self.num
        scope = {**parameters, f"{num.solution.state}[~]": state}
        scope |= {f"{name}[>]": x for name, x in PassivePosts(num)(scope).items()}
        good = True
        for _, formula in num.branches[0].conditions:
            good = good & formula(scope)
        return good


def continuous_problem(num, scope: Mapping) -> ContinuousProblem:
    """The record of a stage in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    own, post = num.solution, PostOf(num)
    other = own.lower if own.corner == "upper" else own.upper
    knots = _knots(num, scope)
    return ContinuousProblem(
        parameters=scope,
        knots=knots,
        lowest=own.lowest,
        objective=own.objective,
        transition=post,
        control_inverse=own.control_inverse or ControlByNewton(own.foc, own.lower),
        state_inverse=own.state_inverse or StateByNewton(post),
        lower=own.lower,
        upper=own.upper,
        utility=own.utility,
        utility_inverse=own.utility_inverse,
        foc=own.foc if own.foc_in_control else None,
        state_at_bound=StateAtBound(post, other) if own.bound_moves else None,
        trade_off=own.trade_off,
        slope=own.slope,
        by_value=own.by_value,
        corner=own.corner,
        floored=own.floored,
        discounted_by_state=own.discounted_by_state,
        interp=num.interp,
        envelope=own.envelope,
        switch_knots=min(64, max(16, knots.shape[0] // 8)) if own.switch_knots else 0,
        allowed=AllowedAt(num) if num.branches[0].conditions else None,
        passive=tuple(f"{name}[~]" for name, grid in own.rows if not grid.discrete),
        others=PassivePosts(num) if own.rows else None,
    )


def _knots(num, scope):
    """The grid of the active post-state, with a knot on either side of every kink of the transition."""
    knots = num.grid("cntn", num.solution.post).build(scope)
    sides = []
    for kink in num.solution.kinks:
        at = kink(scope).astype(knots.dtype)
        room = room_above(at)
        sides += [at - room, at + room]
    return jnp.sort(jnp.concatenate([knots, jnp.stack(sides)])) if sides else knots


def axes_of(num, scope: Mapping) -> tuple[Axis, ...]:
    """The axes of the rows of a stage: its passive states."""
    return tuple(Axis(name, f"{name}[~]", grid.build(scope), grid.discrete, grid.even) for name, grid in num.solution.rows)


def discrete_axes(num, scope: Mapping) -> tuple[Axis, ...]:
    """The sets of a stage's discrete controls."""
    return tuple(Axis(name, name, grid.build(scope), True) for name, grid in num.discrete)
