"""The stage: arrival, decision and continuation, tied by two movers backward and two forward."""

import dataclasses
from collections.abc import Mapping

import equinox as eqx

from stagecraft import _show
from stagecraft.circuit_board import CircuitBoard
from stagecraft.functional import AbstractFunctional, ByName, Closed
from stagecraft.mover import Expect, Mover, Optimise, Push
from stagecraft.perch import Perch
from stagecraft.whisperers.continuous import continuous_problem
from stagecraft.whisperers.expectation import expectation_problem


class Stage(eqx.Module):
    r"""The smallest independent piece of a recursive problem, $V(x_v) = \max_c Q(x_v, c, E(x_e))$.

    **Attributes:**

    - `name`; `num`: its pointwise functions, static and compared by value.
    - `arvl`, `dcsn`, `cntn`: its perches.
    - `cntn_to_dcsn`, `dcsn_to_arvl`: backward movers; `arvl_to_dcsn`, `dcsn_to_cntn`: forward movers.
    - `source`: what was read, for `explain`; `None` for a stage that was built from functions.
    """

    name: str = eqx.field(static=True)
    num: object = eqx.field(static=True)
    arvl: Perch
    dcsn: Perch
    cntn: Perch
    cntn_to_dcsn: Mover
    dcsn_to_arvl: Mover
    arvl_to_dcsn: Mover
    dcsn_to_cntn: Mover
    source: object = eqx.field(static=True, default=None)

    @property
    def perches(self) -> tuple[Perch, Perch, Perch]:
        """Arrival, decision, continuation."""
        return self.arvl, self.dcsn, self.cntn

    @property
    def initialised(self) -> bool:
        """Whether perches and their dimensions are declared."""
        return all(perch.dimensions for perch in self.perches)

    @property
    def compiled(self) -> bool:
        """Whether the movers are bound to numbers, so that each can be applied."""
        return all(mover.operator is not None for mover in (self.cntn_to_dcsn, self.dcsn_to_arvl))

    @property
    def solvable(self) -> bool:
        """Whether a continuation is there to solve from."""
        return self.compiled and self.cntn.sol is not None

    @property
    def solved(self) -> bool:
        """Whether decision and arrival hold their solution."""
        return self.dcsn.sol is not None and self.arvl.sol is not None

    @property
    def simulated(self) -> bool:
        """Whether every perch holds a population."""
        return all(perch.dist is not None for perch in self.perches)

    def with_continuation(self, continuation) -> "Stage":
        """The same stage, unsolved, with something to come after it.

        **Arguments:** `continuation`: a functional object of the post-states, or a JAX function of them by name, elementwise,
        `lambda a_nxt: jnp.log(a_nxt + 1)`; its derivative is taken by JAX.
        """
        if not isinstance(continuation, AbstractFunctional):
            if not callable(continuation):
                raise ValueError(f"a continuation is a function of {', '.join(self.cntn.dimensions)}, found {continuation!r}")
            continuation = Closed({}, ByName(continuation, self.cntn.dimensions), self.cntn.dimensions)
        empty = dataclasses.replace(self.arvl, sol=None), dataclasses.replace(self.dcsn, sol=None)
        return dataclasses.replace(self, arvl=empty[0], dcsn=empty[1], cntn=dataclasses.replace(self.cntn, sol=continuation))

    @property
    def board(self) -> CircuitBoard:
        """The stage as a bare circuit: three perches, two movers forward and two backward, Eulerian.

        The backward movers carry their operators, so that `pull(stage.board, {"cntn": sol})` solves the stage.
        """
        movers = (self.cntn_to_dcsn, self.dcsn_to_arvl)
        backward = [(m.source, m.target, m.operator, m.name) for m in movers]
        forward = [(m.source, m.target, None, m.name) for m in (self.arvl_to_dcsn, self.dcsn_to_cntn)]
        return CircuitBoard(list(self.perches), forward=forward, backward=backward)

    def _rows(self) -> list[tuple[str, str]]:
        states = [(perch.name, ", ".join(perch.dimensions)) for perch in self.perches]
        status = [word for word in ("initialised", "compiled", "solvable", "solved", "simulated") if getattr(self, word)]
        return [*states, ("method", self.cntn_to_dcsn.method), ("status", ", ".join(status))]

    def __repr__(self) -> str:
        return _show.text(f"Stage {self.name}", self._rows())

    def _repr_html_(self) -> str:
        return _show.page(f"Stage {self.name}", self._rows(), self.board)


def build_stage(num, scope: Mapping) -> Stage:
    """A stage in one period, its solution still empty.

    **Arguments:**

    - `num`: pointwise functions and spaces, as `heptapod.FunctionalProblem.num` offers them.
    - `scope`: the values that its equations see, by name; `t` among them.

    **Raises:** `ValueError` where no method can solve the stage, with the reason.
    """
    scope = dict(scope)
    arvl, dcsn, cntn = (Perch(p, num.dimensions(p)) for p in ("arvl", "dcsn", "cntn"))
    optimise = Optimise(continuous_problem(num, scope), num.state, num.control, num.post)
    expect = Expect(expectation_problem(num, scope), num.dimensions("arvl"))
    return Stage(
        num.name,
        num,
        arvl,
        dcsn,
        cntn,
        Mover("cntn", "dcsn", optimise, num.method),
        Mover("dcsn", "arvl", expect, "expectation"),
        Mover("arvl", "dcsn", Push(scope, num.to_decision), "transition"),
        Mover("dcsn", "cntn", Push(scope, num.to_continuation), "transition"),
    )
