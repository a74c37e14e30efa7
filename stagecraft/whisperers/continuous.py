"""Tells the EGM horse about a stage with one continuous control: names become a record, nothing is computed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from jaxtyping import Array

from stagecraft.functionals.axes import Axis
from stagecraft.horses.inverses import control_by_newton, state_at_bound, state_by_newton
from stagecraft.horses.knots import thinned
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.whisperers.bound import Bound, all_hold
from stagecraft.whisperers.intratemporal import with_beside

if TYPE_CHECKING:
    from heptapod import AbstractGrid, Egm, Formula, NumericProblem


def _post(num, parameters, state, control):
    """The active post-state alone at each state and control; passive states stand among the parameters."""
    own = num.solution
    formula = dict(num.to_continuation.equations)[own.post]
    return formula({**parameters, f"{own.state}[~]": state, own.control: control})


def _other_posts(num) -> tuple[tuple[str, "Formula"], ...]:
    """The post-states that neither the control nor the endogenous state moves, formulas of the passive states."""
    own = num.solution
    chosen = (own.post, None if own.inner is None else own.inner[1])
    return tuple((name, formula) for name, formula in num.to_continuation.equations if name not in chosen)


def _any_choice(num, parameters, state):
    """Whether every constraint of a stage holds, which the decision's states and discrete controls alone decide."""
    scope = {**parameters, f"{num.solution.state}[~]": state}
    scope |= {f"{name}[>]": formula(scope) for name, formula in _other_posts(num)}
    return all_hold([formula for _, formula in num.branches[0].conditions], scope)


def _first_knot(grid, parameters):
    """The lowest post-state of a stage whose bounds lead to no corner."""
    return grid.build(parameters)[0]


def continuous_problem(num: "NumericProblem", scope: Mapping[str, Array]) -> ContinuousProblem:
    """The record of a stage in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    own, post = cast("Egm", num.solution), Bound(_post, (num,))
    other = own.lower if own.corner == "upper" else own.upper
    knots = cast("AbstractGrid", num.grid("cntn", own.post)).build(scope)
    knots = thinned(knots) if own.bare else knots
    problem = ContinuousProblem(
        parameters=scope,
        knots=knots,
        post=own.post,
        lowest=own.lowest or Bound(_first_knot, (num.grid("cntn", own.post),)),
        objective=own.objective,
        transition=post,
        control_inverse=own.control_inverse or Bound(control_by_newton, (own.foc, own.lower)),
        state_inverse=own.state_inverse or Bound(state_by_newton, (post,)),
        lower=own.lower,
        upper=own.upper,
        utility=own.utility,
        utility_inverse=own.utility_inverse,
        foc=own.foc if own.foc_in_control else None,
        state_at_bound=Bound(state_at_bound, (post, other)) if own.bound_moves else None,
        trade_off=own.trade_off,
        slope=own.slope,
        by_value=own.by_value,
        kinks=own.kinks,
        corner=own.corner,
        floored=own.floored,
        cornerless=own.cornerless,
        discounted_by_state=own.discounted_by_state,
        turns=own.turns,
        open_end=own.open_end,
        interp=num.interp,
        envelope=own.upper_envelope,
        switch_knots=min(64, max(16, knots.shape[0] // 8)) if own.switch_knots else 0,
        corner_knot=own.corner_knot,
        flat=own.flat,
        domain=own.domain,
        endless=own.endless,
        kink_ends=own.kink_ends,
        allowed=Bound(_any_choice, (num,)) if num.branches[0].conditions else None,
        passive=tuple(f"{name}[~]" for name, grid in own.passive if not grid.discrete),
        others=_other_posts(num) if own.passive else None,
    )
    return with_beside(problem, own) if own.beside else problem


def axes_of(num: "NumericProblem", scope: Mapping[str, Array]) -> tuple[Axis, ...]:
    """The axes of the rows of a stage: its passive states."""
    passive: tuple = num.solution.passive
    return tuple(Axis(name, f"{name}[~]", grid.build(scope), grid.discrete, grid.even) for name, grid in passive)


def discrete_axes(num: "NumericProblem", scope: Mapping[str, Array]) -> tuple[Axis, ...]:
    """The sets of a stage's discrete controls."""
    return tuple(Axis(name, name, grid.build(scope), True) for name, grid in num.discrete)
