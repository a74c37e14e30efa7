"""The stage: arrival, decision and continuation, tied by two movers backward and two forward."""

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import equinox as eqx

from stagecraft.board import show
from stagecraft.board.circuit_board import CircuitBoard
from stagecraft.circuit.perch import Perch
from stagecraft.functionals.axes import continuation_of
from stagecraft.functionals.closed import ByName, Closed
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.movers.maximise import Maximise
from stagecraft.movers.mover import Choose, Expect, Mover, Transit
from stagecraft.movers.optimise import Optimise
from stagecraft.pictures.curves import plot_functions
from stagecraft.whisperers.expectation import expectation_problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Branches(eqx.Module):
    """Something for each branch of a stage: `stage.cntn["work"]`, `stage.dcsn_to_cntn["work"]`."""

    items_by_name: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """That of one branch; `KeyError` says which there are."""
        if name not in self.items_by_name:
            raise KeyError(f"no branch `{name}`; there are {', '.join(self.items_by_name)}")
        return self.items_by_name[name]

    def __iter__(self):
        return iter(self.items_by_name)

    def __len__(self) -> int:
        return len(self.items_by_name)

    def keys(self):
        """The names of the branches."""
        return self.items_by_name.keys()

    def values(self):
        """Those of all branches."""
        return self.items_by_name.values()

    def items(self):
        """(name, thing) pairs."""
        return self.items_by_name.items()

    def __repr__(self) -> str:
        return show.text("of each branch", [(name, repr(x).split("\n")[0]) for name, x in self.items()])


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
    cntn: "Perch | Branches"
    cntn_to_dcsn: Mover
    dcsn_to_arvl: Mover
    arvl_to_dcsn: Mover
    dcsn_to_cntn: "Mover | Branches"
    source: Any = eqx.field(static=True, default=None)

    @property
    def branching(self) -> bool:
        """Whether the stage has several continuations, `stage.cntn["work"]`."""
        return isinstance(self.cntn, Branches)

    @property
    def ends(self) -> dict[str, Perch]:
        """The continuation of every branch; that of a sequential stage under `""`."""
        return dict(self.cntn.items()) if isinstance(self.cntn, Branches) else {"": self.cntn}

    @property
    def perches(self) -> tuple[Perch, ...]:
        """Arrival, decision, and every continuation."""
        return self.arvl, self.dcsn, *self.ends.values()

    def holding(self, what: str, arvl, dcsn, cntn: Mapping[str, Any]) -> "Stage":
        """The same stage with other things on all its perches.

        **Arguments:** `what`: `"sol"` or `"dist"`; `arvl`, `dcsn`; `cntn`: by branch, as in `ends`.
        """

        ends = {branch: perch.holding(what, cntn[branch]) for branch, perch in self.ends.items()}
        after = Branches(ends) if self.branching else ends[""]
        return dataclasses.replace(self, arvl=self.arvl.holding(what, arvl), dcsn=self.dcsn.holding(what, dcsn), cntn=after)

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
        return self.compiled and all(perch.sol for perch in self.perches[2:])

    @property
    def solved(self) -> bool:
        """Whether decision and arrival hold their solution."""
        return bool(self.dcsn.sol and self.arvl.sol)

    @property
    def simulated(self) -> bool:
        """Whether every perch holds a population."""
        return all(perch.dist for perch in self.perches)

    def with_continuation(self, continuation) -> "Stage":
        """The same stage, unsolved, with something to come after it.

        **Arguments:** `continuation`: a functional object of the post-states, or a JAX function of them by name, elementwise,
        `lambda a_nxt: jnp.log(a_nxt + 1)`; its derivative is taken by JAX. For a branching stage a dictionary by branch.

        **Returns:** a stage that `stagecraft.solve` solves.

        **Raises:** `ValueError` for branches that are not those of the stage, and for what is no function.
        """
        if self.branching and (not isinstance(continuation, Mapping) or set(continuation) != set(self.ends)):
            raise ValueError(f"the continuations of stage {self.name} are a dictionary of {', '.join(self.ends)}")
        given = continuation if self.branching else {"": continuation}
        ends = {branch: _functional(perch, given[branch]) for branch, perch in self.ends.items()}
        return self.holding("sol", None, None, ends)

    @property
    def board(self) -> CircuitBoard:
        """The stage as a bare circuit: its perches, a mover forward and one backward between each two, Eulerian.

        The backward movers of a sequential stage carry their operators, so that `pull(stage.board, {"cntn": sol})` solves it.
        """
        if isinstance(self.dcsn_to_cntn, Mover):
            movers = (self.cntn_to_dcsn, self.dcsn_to_arvl)
            backward = [(m.source, m.target, m.operator, m.name) for m in movers]
            forward = [(m.source, m.target, None, m.name) for m in (self.arvl_to_dcsn, self.dcsn_to_cntn)]
            return CircuitBoard(list(self.perches), forward=forward, backward=backward)
        forward = [("arvl", "dcsn"), *[("dcsn", perch.name) for perch in self.ends.values()]]
        return CircuitBoard([p.name for p in self.perches], forward=forward, backward=[(b, a) for a, b in forward])

    def plot(
        self,
        what: str | Iterable[str] | None = None,
        x: str | Mapping[str, Any] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        perch: str = "dcsn",
        ax: "Axes | None" = None,
        label: str = "",
        **style: Any,
    ) -> "Axes":
        """Curves of what is solved along one state: policies, `"value"`, `"marginal[m]"`, the probability of a branch.

        **Arguments:**

        - `what`: one name or several; the policies if left out, else the probabilities, else the value.
        - `x`: the state along the axis, or with its points, `{"m": jnp.linspace(0, 10, 100)}`; the first that `at` leaves open.
        - `at`: values of other states, `{"z": 1.0}`; of one that is left out there is a curve for a few of its values.
        - `perch`; `ax`: axes to draw on, new ones if left out; `label`: for the legend; `style`: of `Axes.plot`.

        **Returns:** the matplotlib `Axes`.

        **Raises:** `ValueError` where nothing is solved yet, or for a name that is not there.
        """
        sols = {each.name: each.sol for each in self.perches}
        if perch not in sols:
            raise ValueError(f"stage {self.name} has no perch `{perch}`; there are {', '.join(sols)}")
        spaces = (self.num, getattr(self.arvl_to_dcsn.operator, "parameters", {}))
        units = {} if self.source is None else self.source.units
        return plot_functions(sols[perch], what, x, at, ax, f"stage {self.name}", label, spaces, units, **style)

    def _lines(self) -> list[tuple[str, str]]:
        states = [(perch.name, ", ".join(perch.dimensions)) for perch in self.perches]
        status = [word for word in ("initialised", "compiled", "solvable", "solved", "simulated") if getattr(self, word)]
        return [*states, ("method", self.cntn_to_dcsn.method), ("status", ", ".join(status))]

    def __repr__(self) -> str:
        return show.text(f"Stage {self.name}", self._lines())

    def _repr_html_(self) -> str:
        return show.page(f"Stage {self.name}", self._lines(), self.board)


def _functional(perch, continuation) -> AbstractFunctional:
    """What stands on a continuation, given it or a function of the post-states."""
    if not isinstance(continuation, AbstractFunctional):
        if not callable(continuation):
            raise ValueError(f"a continuation is a function of {', '.join(perch.dimensions)}, found {continuation!r}")
        return Closed({}, ByName(continuation, perch.dimensions), perch.dimensions)
    return continuation


def build_stage(num, scope: Mapping, horses: Mapping[str, type] | None = None) -> Stage:
    """A stage in one period, its solution still empty.

    **Arguments:**

    - `num`: pointwise functions and spaces, as `heptapod.FunctionalProblem.num` offers them.
    - `scope`: the values that its equations see, by name; `t` among them.
    - `horses`: of methods beside ours, by name.
    """
    scope = dict(scope)
    arvl, dcsn = Perch("arvl", num.dimensions("arvl")), Perch("dcsn", num.dimensions("dcsn"))
    ends = {b.name: Perch(continuation_of(b.name), num.dimensions(continuation_of(b.name))) for b in num.branches}
    pushes = {
        b.name: Mover("dcsn", continuation_of(b.name), Transit(scope, b.to_continuation), "transition") for b in num.branches
    }
    expect = Expect(expectation_problem(num, scope), num.dimensions("arvl"))
    return Stage(
        num.name,
        num,
        arvl,
        dcsn,
        Branches(ends) if num.branching else ends[""],
        Mover("cntn", "dcsn", {**HORSES, **(horses or {})}[num.method].of(num, scope), num.method),
        Mover("dcsn", "arvl", expect, "expectation"),
        Mover("arvl", "dcsn", Transit(scope, num.to_decision), "transition"),
        Branches(pushes) if num.branching else pushes[""],
    )


# Name -> horse of every method; `stagecraft.HORSES | {"mine": Mine}` adds one.
HORSES: Mapping[str, type] = MappingProxyType(
    {"egm": Optimise, "nested": Optimise, "vfi": Maximise, "choice": Choose, "identity": Choose}
)
