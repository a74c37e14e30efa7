"""Tells the direct search about a stage with a few continuous controls: names become records, nothing is computed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.functionals.axes import Axis
from stagecraft.horses.knots import reach
from stagecraft.horses.problems import MaximumProblem, Scale
from stagecraft.whisperers.bound import Bound, all_hold, scope_of
from stagecraft.whisperers.choice import move, worth_of

if TYPE_CHECKING:
    from heptapod import Formula, NumericProblem, Search


def _limits(num, parameters, states):
    """(lower, upper) by control at decision states, infinite where a side is open."""
    scope = scope_of(parameters, states)
    side = lambda formula, none: jnp.asarray(none, jnp.asarray(scope["t"]).dtype) if formula is None else formula(scope)
    return {name: (side(low, -jnp.inf), side(high, jnp.inf)) for name, low, high in num.bounds}


def _constraints(num, moving: bool) -> tuple["Formula", ...]:
    """The constraints that the choice decides over, or those that the states alone do."""
    branch, controls = num.branches[0], set(num.controls)
    moved = {f"{name}[>]" for name, g in branch.to_continuation.equations if g.names & controls}
    return tuple(f for _, f in branch.conditions if bool(f.names & (controls | moved)) == moving)


def _choice_allowed(num, parameters, states, controls, posts):
    """Whether a choice keeps the constraints that it decides over."""
    return all_hold(_constraints(num, True), scope_of(parameters, states, controls, posts))


def _admitted(num, parameters, states):
    """Whether the constraints hold that the states alone decide."""
    free = [(n, g) for n, g in num.branches[0].to_continuation.equations if not g.names & set(num.controls)]
    scope = scope_of(parameters, states)
    return all_hold(_constraints(num, False), scope_of(parameters, states, None, {name: g(scope) for name, g in free}))


def maximum_problem(num: "NumericProblem", scope: Mapping[str, Array]) -> MaximumProblem:
    """The record of a stage in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    own, branch = cast("Search", num.solution), num.branches[0]
    return MaximumProblem(
        parameters=scope,
        controls=num.controls,
        transition=Bound(move, (branch,)),
        objective=Bound(worth_of, (branch, "objective")),
        recorded=None if branch.recorded is None else Bound(worth_of, (branch, "recorded")),
        limits=Bound(_limits, (num,)),
        strict=own.strict,
        allowed=Bound(_choice_allowed, (num,)) if _constraints(num, True) else None,
        admitted=Bound(_admitted, (num,)) if _constraints(num, False) else None,
        jumps=own.upper_envelope,
        switches=own.switches,
    )


def scale_of(num: "NumericProblem", scope: Mapping[str, Array]) -> Scale:
    """How the values of a stage's continuation are read between knots."""
    own = cast("Search", num.solution)
    return Scale(scope, own.utility, own.utility_inverse, num.interp)


def post_axes(num: "NumericProblem", scope: Mapping[str, Array]) -> tuple[Axis, ...]:
    """The axes of the post-states beside the active one, discrete ones first."""
    own = cast("Search", num.solution)
    others = [(n, grid) for n, grid in own.post_grids if n != own.post]
    ordered = sorted(others, key=lambda pair: not pair[1].discrete)
    return tuple(Axis(name, f"{name}[>]", grid.build(scope), grid.discrete, grid.even) for name, grid in ordered)


def most_of(num: "NumericProblem", scope: Mapping[str, Array]) -> Float[Array, ""]:
    """The highest decision state that arrivals reach, where the grids on arrival say how far they go."""
    own, dtype = cast("Search", num.solution), jnp.asarray(scope["t"]).dtype
    names = num.dimensions("arvl")
    grids = {name: grid for name in names if (grid := num.grid("arvl", name)) is not None}
    if len(grids) < len(names) or own.state_grid is not None:
        return jnp.asarray(-jnp.inf, dtype)
    nodes, _ = num.nodes(scope)
    ends = {name: grid.build(scope) for name, grid in grids.items()} | nodes
    return reach(lambda variables: num.to_decision(scope, variables), ends, own.state).astype(dtype)
