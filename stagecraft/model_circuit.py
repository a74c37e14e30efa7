"""The model circuit: all periods of a model, its parameters and, once solved, its solution."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int

from stagecraft import _show
from stagecraft._paths import replace
from stagecraft.circuit_board import CircuitBoard
from stagecraft.functional import AbstractFunctional, Arrival, Closed, Decision, Linked
from stagecraft.period import Period, boards
from stagecraft.solution import Rows
from stagecraft.stage import Stage, build_stage


class Info(eqx.Module):
    """How a solve ended.

    **Attributes:** `outcome`: an `Outcome` as an integer; `period`, `place`: where it went wrong first, going backward
    (-1 for nowhere; place 0 is the continuation, 1 the decision); `iterations`; `error_bound`: zero for a finite horizon.
    """

    outcome: Int[Array, ""]
    period: Int[Array, ""]
    place: Int[Array, ""]
    iterations: Int[Array, ""]
    error_bound: Float[Array, ""]


class Source:
    """What was read, carried for messages; equal to every other source, so that it never decides a compilation.

    **Attributes:** `spec`: the model as heptapod read it.
    """

    def __init__(self, spec):
        self.spec = spec

    def __eq__(self, other) -> bool:
        return isinstance(other, Source)

    def __hash__(self) -> int:
        return hash(Source)


class ModelCircuit(eqx.Module):
    """A model: parameters (dynamic), structure (static), and the solution that `solve` fills in.

    **Attributes:**

    - `parameters`: `{scope: {name: array}}`; scopes are `main` and the stages' names. By-age arrays lead with the periods.
    - `settings`: the real-valued ones, arrays too; sizes are static.
    - `rows`: the decisions of every stage on their knots, a leading axis over the periods; `None` before a solve.
    - `info`: how the solve ended; `None` before.
    """

    parameters: dict[str, dict[str, Array]]
    settings: dict[str, dict[str, Array]]
    structure: Any = eqx.field(static=True)
    source: Source = eqx.field(static=True)
    rows: dict[str, Rows] | None = None
    info: Info | None = None

    def __len__(self) -> int:
        """The number of periods."""
        return self.structure.horizon or 1

    def __getitem__(self, t: int) -> Period:
        """Period `t`, from 0; negative indices count from the end; `IndexError` beyond the horizon."""
        if not isinstance(t, int) and not hasattr(t, "__index__"):
            raise TypeError(f"a period is an integer, found {t!r}")
        t, last = int(t), len(self) - 1
        if not -len(self) <= t <= last:
            raise IndexError(f"period {t} of a circuit with periods 0 to {last}")
        period = _view(self, t % len(self), last=t % len(self) == last)
        # Outside the compiled view, which remembers the source that it was first traced with.
        stages = {name: dataclasses.replace(stage, source=self.source) for name, stage in period.stages.items()}
        return Period(stages, period.t)

    def with_parameters(self, parameters: Mapping) -> "ModelCircuit":
        """The same circuit with other parameter values, and without a solution.

        **Arguments:** `parameters`: `{"main.beta": 0.97}`, or `{scope: {name: array}}`, whole or in part.

        **Raises:** `ValueError` for an unknown path (with a suggestion), a wrong shape, or a value outside its domain.
        """
        leaves = self.structure.calibration.leaves()
        new = replace("parameter", self.parameters, parameters, leaves, self.structure.calibration)
        return ModelCircuit(new, self.settings, self.structure, self.source)

    def with_settings(self, settings: Mapping) -> "ModelCircuit":
        """The same circuit with other real-valued settings, and without a solution; strict as `with_parameters` is."""
        new = replace("setting", self.settings, settings, {}, self.structure.calibration)
        return ModelCircuit(self.parameters, new, self.structure, self.source)

    @property
    def board(self) -> CircuitBoard:
        """The perches of one period and the connection to the next, which closes a cycle; nothing is computed."""
        return boards([num.name for num in self.structure.stages], self.structure.inter_period)

    def __repr__(self) -> str:
        return _show.text(self._title(), _show.parameters(self.parameters))

    def _repr_html_(self) -> str:
        return _show.page(self._title(), _show.parameters(self.parameters), self.board)

    def _title(self) -> str:
        horizon = self.structure.horizon
        periods = "infinite horizon" if horizon is None else f"{horizon} periods"
        stages = ", ".join(num.name for num in self.structure.stages)
        return f"ModelCircuit {self.source.spec.name}: {periods}, {stages}, {'not solved' if self.rows is None else 'solved'}"

    def scope(self, stage: str, t) -> dict[str, Array]:
        """The values that the equations of a stage see in period `t`."""
        return self.structure.calibration.environment(stage, self.parameters, self.settings, t)

    def build(self, name: str, t) -> Stage:
        """A stage in period `t`, its solution still empty."""
        return build_stage(self.structure.stage(name), self.scope(name, t))

    def decision(self, name: str, t) -> Decision:
        """The solution of a stage at the decision of period `t`."""
        optimise = self.build(name, t).cntn_to_dcsn.operator
        rows = jax.tree.map(lambda leaf: leaf[t], self.rows[name])
        return Decision(optimise.problem, rows, optimise.state, optimise.control)

    def arrival(self, name: str, t) -> Arrival:
        """The solution of a stage on arrival in period `t`."""
        return self.build(name, t).dcsn_to_arvl(self.decision(name, t))

    def continuation(self, name: str, t, last: bool) -> AbstractFunctional:
        """What a stage of period `t` leads to: the next arrival, or the terminal value after the last period."""
        link = next(link for link in self.structure.inter_period if link.source == name)
        after = self.terminal(link.target, t + 1) if last else self.arrival(link.target, t + 1)
        return Linked(after, link.mapping)

    def terminal(self, name: str, t) -> Closed:
        """The value on arrival after the last period."""
        num = self.structure.stage(name)
        return Closed(self.scope(name, t), num.terminal, num.dimensions("arvl"))


@functools.partial(jax.jit, static_argnames="last")
def _view(circuit: ModelCircuit, t: Array, last: bool) -> Period:
    stages = {num.name: circuit.build(num.name, t) for num in circuit.structure.stages}
    if circuit.rows is not None:
        for name, stage in stages.items():
            sols = (circuit.arrival(name, t), circuit.decision(name, t), circuit.continuation(name, t, last))
            where = lambda s: (s.arvl.sol, s.dcsn.sol, s.cntn.sol)
            stages[name] = eqx.tree_at(where, stage, sols, is_leaf=lambda x: x is None)
    return Period(stages, t)
