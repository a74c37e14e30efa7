"""Whose grid a state has: its own, or that of the state, control or shock whose value it hands on as it is."""

import functools
from collections.abc import Iterator

import sympy as sp

from heptapod.formulas.equation import Transition, key, name_of, perch_of
from heptapod.formulas.formula import Formula
from heptapod.spaces.grids import AbstractGrid, Grid, nodes_key
from heptapod.spaces.perch_space import continuation
from heptapod.stage.equations import Equations

Place = tuple[str, str, str]


def copied(equation: sp.Basic | Formula) -> str:
    """The key of the variable whose value an equation hands on as it is, `""` where it computes something."""
    if isinstance(equation, Formula):
        return equation.tree[1] if equation.tree[0] == "sym" else ""
    return equation.name if isinstance(equation, sp.Symbol) else ""


def decision_grid(equations: Equations, stage: str, name: str) -> AbstractGrid | None:
    """The grid of a decision state: its own, that on arrival, its shock's nodes, or its namesake's in the continuation."""
    spaces, source = equations.spaces, copied(equations.g_av[name])
    before = spaces["arvl"].grid(name_of(source)) if perch_of(source) == "arvl" else None
    drawn = (
        Grid("nodes", shock.count, vector=nodes_key(stage, shock_name, source), discrete=True)
        for shock_name, shock in equations.shocks
        if source in shock.dimensions and shock.given is not None
    )
    ends = (space.grid(name) for perch, space in spaces.items() if perch.startswith("cntn"))
    found = (spaces["dcsn"].grid(name), before, *drawn, *ends)
    return next((grid for grid in found if grid is not None), None)


def post_grid(equations: Equations, stage: str, branch: str, name: str) -> AbstractGrid | None:
    """The grid of a post-state: its own, or that of the discrete control or of the decision state whose value it has."""
    own = equations.spaces[continuation(branch)].grid(name)
    source = copied(next(b.g_ve for b in equations.branches if b.name == branch)[name])
    if own is not None or perch_of(source) != "dcsn":
        return own if own is not None else dict(equations.discrete).get(source)
    return decision_grid(equations, stage, name_of(source))


def arrival_grid(equations: Equations, name: str) -> AbstractGrid | None:
    """The grid of an arrival state: its own, or that of the decision state that has its value."""
    own, at_decision = equations.spaces["arvl"].grid(name), equations.spaces["dcsn"]
    carried = (at_decision.grid(n) for n, e in equations.g_av.items() if copied(e) == key(name, "arvl"))
    return own if own is not None else next(carried, None)


def homes(structure) -> dict[str, dict[str, tuple[str, str, AbstractGrid] | None]]:
    """For every stage and arrival state of a `Structure` the (owner, perch, grid) on which mass lives, if there is one.

    A state keeps its grid where it keeps its value: through transitions that copy it, and along connections. Its own grid
    on arrival comes first, then a continuous one (it holds whatever the state may be), the one with the most knots.
    """
    parent: dict[Place, Place] = {}

    def root(x: Place) -> Place:
        while parent.setdefault(x, x) != x:
            x = parent[x]
        return x

    for a, b in _copies(structure):
        parent[root(a)] = root(b)
    gridded: dict[Place, list] = {}
    for place, grid in _grids(structure):
        gridded.setdefault(root(place), []).append((*place[:2], grid))
    found = {}
    for num in structure.stages:
        options = {name: gridded.get(root((num.name, "arvl", name)), ()) for name in num.dimensions("arvl")}
        best = functools.partial(_preference, num.name)
        found[num.name] = {name: max(each, key=best, default=None) for name, each in options.items()}
    return found


def _preference(stage, home):
    """The order of grids that a state may live on: the stage's own on arrival, a continuous one, one with more knots."""
    owner, perch, grid = home
    return (owner, perch) == (stage, "arvl"), not grid.discrete, grid.points


def _copies(structure) -> Iterator[tuple[Place, Place]]:
    """Pairs of (stage, perch, name) that always hold the same value."""
    for num in structure.stages:
        yield from _equal(num.name, num.to_decision, "dcsn")
        for branch in num.branches:
            yield from _equal(num.name, branch.to_continuation, continuation(branch.name))
    for link in structure.links:
        end = continuation(link.branch)
        yield from (((link.source, end, here), (link.target, "arvl", there)) for here, there in link.mapping)


def _equal(stage: str, transition: Transition, after: str) -> Iterator[tuple[Place, Place]]:
    """What is neither on arrival nor at the decision is drawn or chosen."""
    names = dict(transition.sources)
    for name, formula in transition.equations:
        source = copied(formula)
        if source in names:
            yield (stage, perch_of(source) or "drawn", names[source]), (stage, after, name)


def _grids(structure) -> Iterator[tuple[Place, AbstractGrid]]:
    for num in structure.stages:
        yield from (((num.name, perch, name), grid) for perch, space in num.spaces for name, grid in space.grids)
        yield from (((num.name, "dcsn", name), grid) for name, grid in num.solution.passive)
        yield from (((num.name, "drawn", name), grid) for name, grid in num.discrete)
    # What is drawn from a finite law has one of its values.
    for name, stage, position, dimension in structure.borrowed:
        shock = next(num for num in structure.stages if num.name == stage).shocks[position]
        yield (stage, "drawn", dimension), Grid("nodes", shock.count, vector=name, discrete=True)
