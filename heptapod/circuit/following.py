"""Where the slope of what follows a stage jumps: kinks of the next arrival, as values of the post-state that leads to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import sympy as sp

from heptapod.circuit.periods import Graph
from heptapod.derivation.kinks import bends
from heptapod.derivation.steps import step
from heptapod.formulas.equation import key, real
from heptapod.formulas.freeze import thaw
from heptapod.problem.functional_problem import FunctionalProblem
from heptapod.problem.solutions import AbstractConditions

_DEEP = 3  # Stages without a continuous control that are looked through.


def _put(formulas, values):
    """Formulas at given values of their states, without those that are no real numbers there, as `log(a)` after `a = 0`."""
    put = {name: step("looking ahead", lambda g: g.xreplace(values), g) for name, g in formulas.items()}
    return {name: g for name, g in put.items() if g is not None}


@dataclass(frozen=True)
class _Look:
    """What is looked for: kinks in the post-state `x` of the stage `own`."""

    graph: Graph
    problems: Mapping[str, FunctionalProblem]
    own: FunctionalProblem
    x: sp.Symbol

    def after(self, name: str, at: Mapping[str, sp.Basic], branch: str, deep: int) -> list[sp.Expr]:
        """Behind the connections of one continuation.

        **Arguments:** `at`: its post-states as expressions of `x` and of passive states.
        """
        found = []
        for link in self.graph.links:
            if link.source == name and link.branch == branch and link.target in self.problems:
                found += self._inside(link.target, {b: at[a] for a, b in link.mapping if a in at}, deep)
        return found

    def _inside(self, name, at, deep):
        """In the transition of an arrival, and behind its stage where nothing continuous is chosen there."""
        equations, num = self.problems[name].equations, self.problems[name].num
        here = {real(key(state, "arvl")): e for state, e in at.items()}
        states = _put(equations.g_av, here)
        ending = {} if equations.terminal is None else _put({"terminal": thaw(equations.terminal.formula)}, here)
        found = [kink for g in (*states.values(), *ending.values()) for kink in self._kinks(g)]
        if num.controls or deep == 0:
            return found
        there = {real(key(state, "dcsn")): e for state, e in states.items()}
        for branch in equations.branches:
            posts = _put(branch.g_ve, there)
            found += [kink for g in posts.values() for kink in self._kinks(g)]
            found += self.after(name, posts, branch.name, deep - 1)
        return found

    def _kinks(self, g):
        """The places of the kinks of an expression that the stage can name when it chooses, by its own parameters."""
        if not g.has(self.x):
            return []
        places = bends(g, sp.Dummy(), sp.Dummy(), self.x)[0]
        return [place for place in places if self._known(place)]

    def _known(self, place: sp.Expr) -> bool:
        passive = {key(state, "dcsn") for state, _ in cast(AbstractConditions, self.own.num.solution).passive}
        seen = {name: x for name, x in {**self.own.settings, **self.own.parameters}.items() if np.ndim(x) == 0}
        return {str(s) for s in place.free_symbols} <= passive | set(seen)


def kinks_behind(name: str, graph: Graph, problems: Mapping[str, FunctionalProblem]) -> tuple[sp.Expr, ...]:
    """The values of a stage's active post-state at which the next arrivals' transitions change their slope.

    A rate that is higher on debt than on savings (`where(a < 0, Rb, Rs)*a`) makes the marginal value of the post-state fall at
    0, and there people stay. Kinks whose place depends on what is drawn, or on a parameter by age, are left out.
    """
    own = problems[name]
    if not isinstance(own.num.solution, AbstractConditions):
        return ()
    active = own.num.solution.post
    x = real(key(active, "cntn"))
    branch = own.equations.branches[0]
    posts = {post: x if post == active else g for post, g in branch.g_ve.items()}
    found = _Look(graph, problems, own, x).after(name, posts, branch.name, _DEEP)
    return tuple(dict.fromkeys(found))


def corner_follows(name: str, graph: Graph, problems: Mapping[str, FunctionalProblem]) -> bool:
    """Whether a stage leads, within the period and whatever is drawn, to the state of one whose constraint begins to bind.

    There the marginal value has a kink: those who chose hours before consumption, say, see the borrowing limit.
    """
    links = [link for link in graph.links if link.source == name]
    if not links or any(link.crosses or link.target != links[0].target for link in links):
        return False
    after, own = problems[links[0].target], problems[name].num.solution
    there = after.num.solution
    if not isinstance(own, AbstractConditions) or not isinstance(there, AbstractConditions):
        return False
    plain = not (after.num.shocks or after.num.discrete or there.cornerless or there.upper_envelope)
    plain = plain and not problems[name].num.discrete and all(grid.discrete for _, grid in there.passive)
    arrives = [dict(link.mapping).get(own.post) for link in links]
    return plain and all(b is not None and after.equations.g_av[there.state] == real(key(b, "arvl")) for b in arrives)


def kinks_follow(name: str, graph: Graph, problems: Mapping[str, FunctionalProblem]) -> bool:
    """Whether a stage leads straight on to others that choose by a first-order condition, and so may stay at a kink.

    Where they begin to, given what is drawn, the marginal value has a kink of its own.
    """
    after = [problems[link.target] for link in graph.links if link.source == name]
    plain = lambda num: (
        num.solution.name == "egm" and not num.discrete and all(grid.discrete for _, grid in num.solution.passive)
    )
    egm = all(isinstance(p.num.solution, AbstractConditions) and plain(p.num) for p in after)
    return bool(after) and egm and not problems[name].num.discrete
