"""How a stage is solved, as the choice of a method says it."""

from dataclasses import dataclass

import sympy as sp

from heptapod.derivation.derive import Derived
from heptapod.derivation.intratemporal import Intratemporal
from heptapod.parsing.parse import Bounds
from heptapod.problem.search import Direct
from heptapod.spaces.grids import AbstractGrid


@dataclass(frozen=True)
class InnerControl:
    """A control that the continuation alone sees, so that its condition is solved at every post-state of the other.

    **Attributes:** `control`, its `lower` and `upper` bound, and the `post`-state that it is.
    """

    control: str
    post: str
    lower: sp.Expr
    upper: sp.Expr


@dataclass(frozen=True)
class ChosenMethod:
    """How a stage is solved.

    **Attributes:** `method`, `reason`; `derived`; `passive`: (passive decision state, grid) pairs; `control`, `bound`: of the
    continuous control that EGM chooses; `direct`: what a direct search stands on; `inner`: the control that is chosen first,
    given the post-state of the other; `held`: whether people may be held at an open bound, where the reward is not infinitely
    steep; `beside`: the controls that enter reward and budget only.
    """

    method: str
    reason: str
    derived: Derived = Derived()
    passive: tuple[tuple[str, AbstractGrid], ...] = ()
    control: str | None = None
    bound: Bounds = Bounds()
    direct: Direct | None = None
    inner: InnerControl | None = None
    held: bool = False
    beside: Intratemporal = Intratemporal()
