"""The equations of a stage with one continuous control, as the derivation takes them."""

from dataclasses import dataclass, replace

import sympy as sp

from heptapod.formulas.equation import SLOPE, VALUE, real

V, LAMBDA, UTIL = map(real, (VALUE, SLOPE, "u()"))


@dataclass(frozen=True)
class EulerInputs:
    """What a stage says, in sympy.

    **Attributes:** `objective`: $Q$; `transition`: (post-state key, expression) pairs; `control`, its `lower`, `upper`;
    `states`: the decision's keys; `defaults`: a number for every parameter and discrete control, from which certificates
    start; `ranges`: the ends of grids and sets, by key, between which certificates draw; `passive`: the states that have a grid
    or a set of their own, which are passive.
    """

    objective: sp.Expr
    transition: tuple[tuple[str, sp.Expr], ...]
    control: str
    lower: sp.Expr | None
    upper: sp.Expr | None
    states: tuple[str, ...]
    defaults: tuple[tuple[str, float], ...] = ()
    ranges: tuple[tuple[str, tuple[float, float]], ...] = ()
    passive: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names whose numbers are given."""
        return tuple(name for name, _ in self.defaults)

    @property
    def text(self) -> "EulerInputs":
        """The same equations without a number of the calibration."""
        return replace(self, defaults=tuple((name, 1.0) for name in self.parameters), ranges=())
