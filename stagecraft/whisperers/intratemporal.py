"""Tells the EGM horse about controls that enter reward and budget only: names become a record, nothing is computed."""

import dataclasses
from typing import TYPE_CHECKING, cast

import jax.numpy as jnp

from stagecraft.horses.intratemporal import (
    Beside,
    Intratemporal,
    bound_by_state,
    condition_by_slope,
    control_by_slope,
    given,
    open_bound,
    state_by_slope,
)
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.whisperers.bound import Bound

if TYPE_CHECKING:
    from heptapod import Egm


def with_beside(problem: ContinuousProblem, own: "Egm") -> ContinuousProblem:
    """The record of a stage whose other controls each solve a condition of their own.

    **Arguments:** `problem`: the record, its functions reading the other controls among the parameters; `own`: of heptapod.
    """
    fields = [field.name for field in dataclasses.fields(Beside)]
    controls = tuple(Beside(**{name: getattr(control, name) for name in fields}) for control in own.beside)
    upper = own.corner == "upper"
    names = {control.name for control in own.beside}
    reads = lambda equation: equation is None or bool(names & set(equation.formula.names))
    told = Intratemporal(
        controls=controls,
        knot_order=own.knot_order,
        before=own.before,
        joint=own.joint,
        foc=cast("Bound", own.foc),
        control_inverse=own.control_inverse,
        state_inverse=problem.state_inverse,
        lower=own.lower,
        bound=own.upper if upper else own.lower,
        curved=own.curved,
        asks_state=f"{own.state}[~]" in {n for c in own.beside for n in c.condition.formula.names},
        lower_reads=reads(own.lower),
    )
    corner, other = Bound(bound_by_state, (told,)), own.lower if upper else own.upper
    other = Bound(open_bound, (told, other, -jnp.inf if upper else jnp.inf)) if reads(other) else other
    lower, upper_bound = (other, corner) if upper else (corner, other)
    fill = lambda function: None if function is None else Bound(given, (told, function))
    return dataclasses.replace(
        problem,
        beside=told,
        objective=cast("Bound", fill(problem.objective)),
        transition=cast("Bound", fill(problem.transition)),
        trade_off=fill(problem.trade_off) if reads(own.trade_off) else problem.trade_off,
        slope=fill(problem.slope) if reads(own.slope) else problem.slope,
        control_inverse=Bound(control_by_slope, (told,)) if reads(own.control_inverse) else problem.control_inverse,
        state_inverse=Bound(state_by_slope, (told,)) if reads(own.state_inverse) else problem.state_inverse,
        foc=Bound(condition_by_slope, (told,)) if reads(own.foc) and problem.foc is not None else problem.foc,
        lower=lower,
        upper=upper_bound,
    )
