"""How a stage is solved: one record for each method, with what its horse needs to know."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from heptapod.formulas.equation import SLOPE, Equation
from heptapod.formulas.formula import Formula
from heptapod.spaces.grids import AbstractGrid


@dataclass(frozen=True)
class AbstractSolution(abc.ABC):
    """What the horse of a method is told of a stage: static, hashable, compared by value, the reason apart.

    A method of a user's own is a frozen dataclass with a class method `of(num)`, whose fields are formulas, names and sizes.

    **Attributes:** `reason`: why the stage is solved so; `name`: the name of the method; `stored`: whether a solve keeps
    something of the stage; `upper_envelope`: whether the continuation need not be concave; `may_jump`: whether a condition
    downstream may make its value jump; `passive`: (passive decision state, its grid) pairs.
    """

    reason: str = field(default="", compare=False, kw_only=True)
    name: str = field(default="", kw_only=True)
    stored: ClassVar[bool] = True
    upper_envelope = False
    may_jump = False
    passive = ()
    interface: ClassVar[Mapping[str, str]] = {
        "of": "of(cls, num), a class method -> the record of a stage, from its formulas and spaces, heptapod.NumericProblem; "
        "a ValueError says why the method cannot solve it",
    }

    @classmethod
    @abc.abstractmethod
    def of(cls, num) -> "AbstractSolution":
        """The record of a stage; `ValueError` says why the method cannot solve it.

        **Arguments:** `num`: the `NumericProblem` of the stage, whose own `solution` is not known yet.
        """


def _derived(cls, num) -> AbstractSolution:
    """Ours are chosen from what can be derived, in `problem.method`."""
    raise ValueError(f"{cls.__name__} follows from the derivation alone")


@dataclass(frozen=True)
class Identity(AbstractSolution):
    """Nothing is chosen: the decision is the continuation."""

    of: ClassVar[Any] = classmethod(_derived)
    stored: ClassVar[bool] = False
    name: str = field(default="identity", kw_only=True)


@dataclass(frozen=True)
class Choice(AbstractSolution):
    """One of finitely many alternatives, composed where it is asked."""

    of: ClassVar[Any] = classmethod(_derived)
    stored: ClassVar[bool] = False
    name: str = field(default="choice", kw_only=True)


@dataclass(frozen=True)
class AbstractOptimum(AbstractSolution):
    """A continuous control.

    **Attributes:** `state`, `post`, `control`: the names of the endogenous state, the active post-state and the control;
    `passive`; `utility`, `utility_inverse`: the part of the reward that depends on the control alone, `None` without closed
    form; `upper_envelope`, `may_jump`.
    """

    state: str
    post: str
    control: str | None
    passive: tuple[tuple[str, AbstractGrid], ...] = ()
    utility: Equation | None = None
    utility_inverse: Equation | None = None
    upper_envelope: bool = False
    may_jump: bool = False


@dataclass(frozen=True)
class BesideControl:
    """A control that enters reward and budget only, beside the one of the Euler equation.

    **Attributes:** `condition`, `inverse` $(p, m, c)$, `at_knot`, `knot_inverse` $(p, \\lambda, x', c)$: its condition given
    state and control, or the slope of the continuation, and its solution, `None` without closed form; `lower`, `upper`
    $(p, m, c)$; `needs`, `knot_needs`: controls that are unknown when its turn comes.
    """

    name: str
    condition: Equation
    at_knot: Equation
    inverse: Equation | None = None
    knot_inverse: Equation | None = None
    lower: Equation | None = None
    upper: Equation | None = None
    needs: tuple[str, ...] = ()
    knot_needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class AbstractConditions(AbstractOptimum):
    """A first-order condition that is inverted at every knot of the post-state, and what was derived with it.

    **Attributes:** `objective` $(p, m, c, x', V)$, `lower`, `upper` $(p, m)$; `foc`, `control_inverse`, `state_inverse`,
    `trade_off`, `slope` (the envelope condition), `by_value` ($Q_V$): derived, `None` without closed form; `lowest`, `None`
    where `cornerless`; `corner`, `floored`, `cornerless`, `bound_moves`, `discounted_by_state`, `turns`, `open_end`: as of a
    `ContinuousProblem`; `kinks`: values of the active post-state at which the problem changes its branch; `switch_knots`:
    whether the continuation is asked on both sides of its own switches; `corner_knot`: whether it is asked where the constraint
    of what follows begins to bind; `beside`: the controls that enter reward and budget only; `knot_order`, `before`, `joint`,
    `curved`: as of an `Intratemporal` of stagecraft; `flat`: whether the continuation may be worth nothing at the margin below
    post-states that are worth something; `domain`: whether the reward has no value at some states;
    `endless`: whether the horizon is infinite; `kink_ends`: whether the continuation is asked where those who come next begin
    to stay at a kink; `bare`: whether nothing may be left to those who come from the first knot.
    """

    inner = None
    objective: Equation = field(kw_only=True)
    lower: Equation = field(kw_only=True)
    upper: Equation = field(kw_only=True)
    lowest: Formula | None = field(kw_only=True)
    foc: Equation | None = None
    control_inverse: Equation | None = None
    state_inverse: Equation | None = None
    trade_off: Equation | None = None
    slope: Equation | None = None
    by_value: Equation | None = None
    corner: str = "upper"
    floored: bool = False
    cornerless: bool = False
    bound_moves: bool = False
    discounted_by_state: bool = False
    turns: bool = False
    open_end: bool = False
    kinks: tuple[Formula, ...] = ()
    switch_knots: bool = False
    corner_knot: bool = False
    beside: tuple[BesideControl, ...] = ()
    knot_order: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    joint: bool = False
    curved: bool = False
    flat: bool = False
    domain: bool = False
    endless: bool = False
    kink_ends: bool = False
    bare: bool = False

    @property
    def foc_in_control(self) -> bool:
        """Whether the first-order condition gives the control; otherwise the post-state does, and it gives the state."""
        return self.control_inverse is None or SLOPE in self.control_inverse.formula.names


@dataclass(frozen=True)
class Egm(AbstractConditions):
    """The endogenous grid method."""

    of: ClassVar[Any] = classmethod(_derived)
    name: str = field(default="egm", kw_only=True)


@dataclass(frozen=True)
class Nested(AbstractConditions):
    """The same after another control, chosen first given the post-state: `inner` is (control, post-state, lower, upper)."""

    of: ClassVar[Any] = classmethod(_derived)
    name: str = field(default="nested", kw_only=True)
    inner: tuple[str, str, Formula, Formula] | None = None


@dataclass(frozen=True)
class Search(AbstractOptimum):
    """A direct search for the maximum.

    **Attributes:** `strict`: the controls with a strict bound; `state_grid`: of the endogenous state, where it has one;
    `post_grids`: (post-state, grid) pairs; `base`: the state that leads to a post-state while the controls take as little as
    they may; `switches`: whether a choice without taste shocks lies downstream, so that the continuation kinks.
    """

    of: ClassVar[Any] = classmethod(_derived)
    name: str = field(default="vfi", kw_only=True)
    strict: tuple[str, ...] = ()
    state_grid: AbstractGrid | None = None
    post_grids: tuple[tuple[str, AbstractGrid], ...] = ()
    base: Equation | None = None
    switches: bool = False


# Name -> record of every method; `heptapod.HORSES | {"mine": Mine}` adds one.
HORSES: Mapping[str, type[AbstractSolution]] = MappingProxyType(
    {"egm": Egm, "nested": Nested, "vfi": Search, "choice": Choice, "identity": Identity}
)
