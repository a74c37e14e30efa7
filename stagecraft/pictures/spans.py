"""Where a functional object was solved: of every state the knots, from which a picture takes the ends of its axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagecraft.functionals.axes import Axis
from stagecraft.functionals.composed import Arrival, Either, Linked
from stagecraft.functionals.decision import ChosenAlternative, Optimum
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.functionals.lines import AlongLines


@dataclass(frozen=True)
class Span:
    """The knots of a state, increasing; `discrete`: whether they are all the values that there are."""

    knots: np.ndarray
    discrete: bool = False

    def points(self, count: int = 200) -> np.ndarray:
        """Where a curve is drawn: a discrete state's values; else the knots, so that kinks are seen, and more."""
        if self.discrete:
            return self.knots
        return np.unique(np.concatenate([np.linspace(self.knots[0], self.knots[-1], count), self.knots]))

    def some(self, most: int = 5) -> np.ndarray:
        """A few values, the ends among them, for a curve each."""
        at = np.unique(np.linspace(0, len(self.knots) - 1, most if self.discrete else min(most, 3)).round().astype(int))
        return self.knots[at]


def spans(sol: AbstractFunctional) -> dict[str, Span]:
    """The knots of the states of a functional object, as far as it has any: none for one in closed form."""
    if isinstance(sol, Optimum):
        own = np.asarray(sol.stored.state, float)
        return {sol.state: _span(own[np.isfinite(own)])} | _of_axes(sol.axes)
    if isinstance(sol, AlongLines):
        return {sol.state: _span(np.asarray(sol.lines.knots, float))}
    if isinstance(sol, Linked):
        there = spans(sol.target)
        return {name: there[other] for name, other in sol.pairs if other in there}
    if isinstance(sol, Either):
        return spans(sol.second) | spans(sol.first)
    if isinstance(sol, ChosenAlternative):
        return {name: span for part in reversed(sol.continuations) for name, span in spans(part).items()}
    if isinstance(sol, Arrival):
        return _of_arrival(sol)
    return _of_axes(getattr(sol, "axes", ()))


def declared(num: Any, scope: Mapping[str, Any]) -> dict[str, Span]:
    """The knots that a file declares for states of arrival and decision; those of a discrete one are all its values."""
    grids = {name: num.grid(perch, name) for perch in ("arvl", "dcsn") for name in num.dimensions(perch)}
    return {name: _span(np.asarray(g.build(scope), float), g.discrete) for name, g in grids.items() if g is not None}


def _of_axes(axes: tuple[Axis, ...]) -> dict[str, Span]:
    return {axis.name: _span(np.asarray(axis.values, float), axis.discrete) for axis in axes}


def _span(knots: np.ndarray, discrete: bool = False) -> Span:
    return Span(np.unique(knots), discrete)


def _of_arrival(sol: Arrival) -> dict[str, Span]:
    """Those that the decision has under the same name; of any other state those that lead to where the decision was solved."""
    known = spans(sol.decision)
    found = {name: span for name, span in known.items() if name in sol.names}
    rest = [name for name in sol.names if name not in found]
    ways = [(name, other) for name in rest for other in known if other not in found and not known[other].discrete]
    return found | {name: known[other] for name, other in ways[:1]} if len(rest) == 1 else found
