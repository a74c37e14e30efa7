"""The model circuit: all periods of a model, its parameters and, once solved, its solution."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from stagecraft.arrays import traced
from stagecraft.board import show
from stagecraft.board.circuit_board import CircuitBoard
from stagecraft.circuit.ages import StageByAge
from stagecraft.circuit.info import Info
from stagecraft.circuit.paths import replace
from stagecraft.circuit.period import Period, boards, folded
from stagecraft.circuit.plot import check_other, plot_circuit
from stagecraft.circuit.source import ModelSource
from stagecraft.circuit.stage import Stage, build_stage
from stagecraft.circuit.view import of_all_types, once, view
from stagecraft.forward.mass import Pushed
from stagecraft.functionals.closed import Closed
from stagecraft.horses.stored import AbstractStored
from stagecraft.households.types import HouseholdTypes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ModelCircuit(eqx.Module):
    """A model: parameters (dynamic), structure (static), and the solution that `solve` fills in.

    **Attributes:**

    - `parameters`: `{scope: {name: array}}`; scopes are `main` and the stages' names. By-age arrays lead with the periods.
    - `settings`: the real-valued ones, arrays too; sizes are static.
    - `stored`: for each kind of period what its stages store, a leading axis over its periods; `None` before a solve.
    - `info`: how the solve ended; `None` before.
    - `dists`: the mass on arrival that `push_forward` leaves, from which the `dist` of every perch is composed; `None` before.
    - `types`: ex-ante types of household, `None` where there are none; then `stored`, `info` and `dists` lead with their axis,
      and `circuit.of_type(k)` is the circuit of one.
    - `horses`: (name, class) of methods beside ours.
    """

    parameters: dict[str, dict[str, Array]]
    settings: dict[str, dict[str, Array]]
    structure: Any = eqx.field(static=True)
    source: ModelSource = eqx.field(static=True)
    stored: tuple[dict[str, AbstractStored], ...] | None = None
    info: Info | None = None
    types: HouseholdTypes | None = None
    dists: Pushed | None = None
    horses: tuple[tuple[str, type], ...] = eqx.field(static=True, default=())

    def __len__(self) -> int:
        """The number of periods: of an infinite horizon 1, since all are alike, and after a push those that were pushed."""
        return self.structure.horizon or (1 if self.dists is None else self.dists.periods)

    def __getitem__(self, t: int | slice) -> Any:
        """Period `t`, from 0; negative indices count from the end; `IndexError` beyond the horizon; of a slice a tuple of them.

        Where there are types it holds the households of all of them after a push, and the solution of none.
        """
        if isinstance(t, slice):
            return tuple(self[i] for i in range(*t.indices(len(self))))
        if not isinstance(t, int) and not hasattr(t, "__index__"):
            raise TypeError(f"a period is an integer or a slice, found {t!r}")
        t, last = int(t), len(self) - 1
        if not -len(self) <= t <= last:
            raise IndexError(f"period {t} of a circuit with {self._periods(last)}")
        if self.types is not None and self.dists is None:
            raise ValueError(f"households are of {len(self.types)} types; look at one of them: circuit.of_type(0)[{t}]")
        return self._look(t % len(self)) if traced(self) else once(self, t % len(self), self._look)

    def _look(self, t: int) -> Period:
        if self.types is not None:
            return of_all_types([self.of_type(k)[t] for k in range(len(self.types))])
        pushed = self.dists is not None
        period = view(self, t, *self.kind(t), pushed and t == 0, pushed and traced(self))
        # Outside the compiled view, which remembers the source that it was first traced with.
        order = self.structure.block(t).stages
        stages = {name: dataclasses.replace(period.stages[name], source=self.source) for name in order}
        return Period(stages, period.t, period.links)

    def within(self, like: int, t: Array) -> Period:
        """Period `t`, an array that a scan may trace, of the kind of period `like`; without households."""
        return view(self, t, *self.kind(like), False, False)

    def kind(self, t: int) -> tuple[int, bool]:
        """The position of the kind of period `t`, and whether it is the last of it."""
        block = self.structure.block(t)
        return self.structure.blocks.index(block), self.structure.horizon is not None and t == block.last

    def with_parameters(self, parameters: Mapping) -> "ModelCircuit":
        """The same circuit with other parameter values, and without a solution.

        **Arguments:** `parameters`: `{"main.beta": 0.97}`, or `{scope: {name: array}}`, whole or in part; one by age may be
          one number, the same at every age.

        **Raises:** `ValueError` for an unknown path (with a suggestion), a wrong shape, or a value outside its domain.
        """
        leaves = self.structure.calibration.leaves()
        new = replace("parameter", self.parameters, parameters, leaves, self.structure.calibration)
        return ModelCircuit(new, self.settings, self.structure, self.source, types=self.types, horses=self.horses)

    def with_settings(self, settings: Mapping) -> "ModelCircuit":
        """The same circuit with other real-valued `settings`, and without a solution; strict as `with_parameters` is."""
        new = replace("setting", self.settings, settings, {}, self.structure.calibration)
        return ModelCircuit(self.parameters, new, self.structure, self.source, types=self.types, horses=self.horses)

    def of_type(self, k: int) -> "ModelCircuit":
        """The circuit of type `k`, from 0, with its solution if there is one; `IndexError` beyond the last."""
        if self.types is None or not -len(self.types) <= k < len(self.types):
            raise IndexError(f"type {k} of a circuit with {0 if self.types is None else len(self.types)} types")
        stored, info, dists = jax.tree.map(lambda x: x[k], (self.stored, self.info, self.dists))
        parameters = self.types.parameters(self.parameters, k)
        return ModelCircuit(parameters, self.settings, self.structure, self.source, stored, info, None, dists, self.horses)

    def stage(self, name: str) -> StageByAge:
        """The stage `name` in all its periods: `solved.stage("CONS").policy["c"](m=2.0)` is an array over them.

        **Raises:** `KeyError` for a stage that is not there; `ValueError` before a solve, or where there are types.
        """
        names = [num.name for num in self.structure.stages]
        if name not in names:
            raise KeyError(f"no stage `{name}`; there are {', '.join(names)}")
        check_solved(self)
        if self.types is not None:
            raise ValueError(
                f'households are of {len(self.types)} types; look at one of them: circuit.of_type(0).stage("{name}")'
            )
        periods = range(self.structure.horizon or 1)
        return StageByAge(self, name, tuple(t for t in periods if name in self.structure.block(t).stages))

    def plot(
        self,
        what: str | None = None,
        x: str | Mapping[str, Any] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        kind: str | None = None,
        period: int | None = None,
        ax: "Axes | None" = None,
        label: str = "",
        **style: Any,
    ) -> "Axes":
        """A picture of what is solved, `"CONS.c"`, or of the households that were pushed, `"CONS.a_nxt"`.

        **Arguments:**

        - `what`: stage and function, `"CONS.c"`, `"CONS.value"`, `"CONS.marginal[m]"`; the last stage's policies if left out.
        - `x`: the state along the axis, with or without its points, as of `Stage.plot`.
        - `at`: states that are held still; where these are all, the axis is that of the periods (or ages).
        - `kind`: of a distribution, `"fan"` (quantiles over the periods), `"density"` or `"lorenz"`; given, it is households
          that are drawn. Left out, they are drawn where the circuit was pushed and `at` and `x` are not given.
        - `period`: of a density, a Lorenz curve or a policy; the last one, for policies the first, the middle and the last.
        - `ax`: axes to draw on, new ones if left out; `label`: for the legend; `style`: of `Axes.plot`.

        **Returns:** the matplotlib `Axes`. With types there is a curve for each of them.

        **Raises:** `ValueError` where nothing is solved, or pushed, yet, or for a name that is not there.
        """
        return plot_circuit(self, what, x, at=at, kind=kind, period=period, ax=ax, label=label, **style)

    def compare(
        self,
        other: "ModelCircuit",
        what: str | None = None,
        x: str | Mapping[str, Any] | None = None,
        *,
        labels: tuple[str, str] = ("this", "other"),
        ax: "Axes | None" = None,
        **how: Any,
    ) -> "Axes":
        """The picture of this circuit and of `other` on one `Axes`: `what`, `x`, `ax`, `how` as of `plot`, `labels` of each."""
        check_other(other)
        ax = self.plot(what, x, ax=ax, label=labels[0], **how)
        return other.plot(what, x, ax=ax, label=labels[1], **{"linestyle": "--", **how})

    @property
    def board(self) -> CircuitBoard:
        """The perches of all stages with every connection; those to the next period close cycles. Nothing is computed."""
        return boards(self.structure.stages, self.structure.links)

    @property
    def folded(self) -> CircuitBoard:
        """The board that `sc.draw` shows: of kinds of period that differ each with its stages and its ages, else `board`."""
        return folded(self.structure)

    def __repr__(self) -> str:
        return show.text(self._title(), show.parameters(self.parameters))

    def _repr_html_(self) -> str:
        return show.page(self._title(), show.parameters(self.parameters), self.folded)

    def _periods(self, last: int) -> str:
        """Those that there are, in words."""
        if self.structure.horizon is not None:
            return f"periods 0 to {last}"
        if self.dists is None or self.dists.error_bound is not None:
            return "an infinite horizon, whose periods are all alike; look at period 0"
        return f"an infinite horizon that was pushed for {last + 1} periods, 0 to {last}; push it for more"

    def _title(self) -> str:
        horizon = self.structure.horizon
        periods = "infinite horizon" if horizon is None else f"{horizon} periods"
        stages = ", ".join(num.name for num in self.structure.stages)
        return f"ModelCircuit {self.source.spec.name}: {periods}, {stages}, {self._status()}"

    def _status(self) -> str:
        if self.dists is None:
            return "not solved" if self.stored is None else "solved"
        return f"solved, with distributions of {self.dists.periods} period{'s' * (self.dists.periods != 1)}"

    def scope(self, stage: str, t) -> dict[str, Array]:
        """The values that the equations of `stage` see in period `t`, by name."""
        return self.structure.environment(stage, self.parameters, self.settings, t)

    def build(self, name: str, t) -> Stage:
        """The stage `name` in period `t`, its solution still empty."""
        return build_stage(self.structure.stage(name), self.scope(name, t), dict(self.horses))

    def terminal(self, name: str, t) -> Closed:
        """The value on arrival at the stage `name` after the last period, a functional object; `t` is the period after it."""
        num = self.structure.stage(name)
        return Closed(self.scope(name, t), num.terminal or worthless, num.dimensions("arvl"))


def check_solved(circuit) -> None:
    """Speak of a circuit that no solve has filled; `ValueError`."""
    if getattr(circuit, "stored", None) is None:
        raise ValueError("the circuit is not solved; call stagecraft.solve first")


def periods_of(circuit: ModelCircuit, periods: int | None) -> int | None:
    """For how many periods a stationary circuit is followed; `None` for a finite horizon, which has its own; `ValueError`."""
    horizon = circuit.structure.horizon
    if horizon is None and (not isinstance(periods, int) or isinstance(periods, bool) or periods < 1):
        raise ValueError(f"the horizon is infinite; say for how many periods, `periods=200`, found {periods!r}")
    if horizon is not None and periods not in (None, horizon):
        raise ValueError(f"`periods` is for an infinite horizon; this one has {horizon} periods")
    return None if horizon is not None else periods


def worthless(parameters: dict, *states: Array) -> Array:
    """The value of what nothing is known of: zero."""
    del parameters
    return jnp.zeros_like(states[0])
