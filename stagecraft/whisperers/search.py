"""Tells the direct search about a stage with a few continuous controls: names become records, nothing is computed."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp

from stagecraft.functionals.axes import Axis
from stagecraft.horses.knots import reach
from stagecraft.horses.problems import MaximumProblem, Scale
from stagecraft.whisperers.choice import Move, Worth


@dataclass(frozen=True)
class Limits:
    """The bounds of all controls as functions of the decision states."""

    num: object

    def __call__(self, parameters, states):
        """(lower, upper) by control, infinite where a side is open."""
        scope = {**parameters, **{f"{name}[~]": x for name, x in states.items()}}
        side = lambda formula, none: jnp.asarray(none, jnp.asarray(scope["t"]).dtype) if formula is None else formula(scope)
        return {name: (side(low, -jnp.inf), side(high, jnp.inf)) for name, low, high in self.num.bounds}


@dataclass(frozen=True)
class Holds:
    """Whether the constraints hold that the choice decides over (`moving`), or those that the states alone do."""

    num: object
    moving: bool

    @property
    def formulas(self) -> tuple:
        """The conditions of that kind."""
        branch, controls = self.num.branches[0], set(self.num.controls)
        moved = {f"{name}[>]" for name, g in branch.to_continuation.equations if g.names & controls}
        return tuple(f for _, f in branch.conditions if bool(f.names & (controls | moved)) == self.moving)

    def __call__(self, parameters, states, controls=None, posts=None):
        """The conditions together."""
        tagged = {f"{name}[~]": x for name, x in states.items()}
        if posts is None:
            branch = self.num.branches[0]
            free = [(n, g) for n, g in branch.to_continuation.equations if not g.names & set(self.num.controls)]
            posts = {name: g({**parameters, **tagged}) for name, g in free}
        scope = {**parameters, **tagged, **(controls or {}), **{f"{name}[>]": x for name, x in posts.items()}}
        good = True
        for formula in self.formulas:
            good = good & formula(scope)
        return good


def maximum_problem(num, scope: Mapping) -> MaximumProblem:
    """The record of a stage in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    branch, allowed, admitted = num.branches[0], Holds(num, True), Holds(num, False)
    return MaximumProblem(
        parameters=scope,
        controls=num.controls,
        transition=Move(branch),
        objective=Worth(branch),
        recorded=None if branch.recorded is None else Worth(branch, "recorded"),
        limits=Limits(num),
        strict=num.solution.strict,
        allowed=allowed if allowed.formulas else None,
        admitted=admitted if admitted.formulas else None,
        jumps=num.solution.envelope,
    )


def scale_of(num, scope: Mapping) -> Scale:
    """How the values of a stage's continuation are read between knots."""
    return Scale(scope, num.solution.utility, num.solution.utility_inverse, num.interp)


def post_axes(num, scope: Mapping) -> tuple[Axis, ...]:
    """The axes of the post-states beside the active one, discrete ones first."""
    others = [(n, grid) for n, grid in num.solution.post_grids if n != num.solution.post]
    ordered = sorted(others, key=lambda pair: not pair[1].discrete)
    return tuple(Axis(name, f"{name}[>]", grid.build(scope), grid.discrete, grid.even) for name, grid in ordered)


def most_of(num, scope: Mapping):
    """The highest decision state that arrivals reach, where the grids on arrival say how far they go."""
    dtype = jnp.asarray(scope["t"]).dtype
    grids = {name: num.grid("arvl", name) for name in num.dimensions("arvl")}
    if None in grids.values() or num.solution.state_grid is not None:
        return jnp.asarray(-jnp.inf, dtype)
    nodes, _ = num.nodes(scope)
    ends = {name: grid.build(scope) for name, grid in grids.items()} | nodes
    return reach(lambda variables: num.to_decision(scope, variables), ends, num.solution.state).astype(dtype)
