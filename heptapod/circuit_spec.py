"""A whole model: its stages, what connects them, and its calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from heptapod.circuit.structure import Structure
from heptapod.economy.equilibrium import Equilibrium
from heptapod.economy.types import HouseholdTypes
from heptapod.errors import Diagnostic
from heptapod.problem.functional_problem import FunctionalProblem


@dataclass(frozen=True)
class CircuitSpec:
    """A model as read.

    **Attributes:**

    - `name`, `text`, `file`; `stages`: a `FunctionalProblem` by name; `structure`: the static side.
    - `parameters`, `settings`: default values, `{scope: {name: array}}`; scopes are `main`, the stages' names, and
      `STAGE.mover`.
    - `types`, `aggregates`, `equilibrium`: what is said of the whole economy, `None` or empty where nothing is.
    - `diagnostics`: warnings and notes; `units`: of variables, by name, and of parameters, by path.
    - `math`, `methods`, `num`, `derived`: those of the stage, for a model of one stage.
    """

    name: str
    text: str = field(repr=False)
    file: str
    stages: Mapping[str, FunctionalProblem]
    structure: Structure = field(repr=False)
    parameters: Mapping[str, Mapping[str, np.ndarray]] = field(repr=False)
    settings: Mapping[str, Mapping[str, np.ndarray]] = field(repr=False)
    types: HouseholdTypes | None = None
    aggregates: Mapping = field(default_factory=dict, repr=False)
    equilibrium: Equilibrium | None = field(default=None, repr=False)
    diagnostics: tuple[Diagnostic, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        horizon = self.structure.horizon
        when = "infinite horizon" if horizon is None else f"{horizon} periods"
        stages = ", ".join(f"{num.name} ({num.method})" for num in self.structure.stages)
        rows = [f"{scope}.{name}  {_shown(x)}" for scope, names in self.parameters.items() for name, x in names.items()]
        kinds = [d.severity for d in self.diagnostics]
        told = [f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}" for kind in dict.fromkeys(kinds)]
        more = [f"... and {len(rows) - 8} more parameters"] if len(rows) > 8 else []
        lines = [f"stages: {stages}", *rows[:8], *more, *([f"diagnostics: {', '.join(told)}"] if told else [])]
        return "\n".join([f"CircuitSpec {self.name}: {when}, {self.file}"[:118], *[f"  {line}"[:118] for line in lines]])

    def __getattr__(self, name: str):
        if name in ("math", "methods", "num", "derived"):
            if len(self.stages) == 1:
                return getattr(next(iter(self.stages.values())), name)
            raise AttributeError(f"`{name}` belongs to a stage; this model has {', '.join(self.stages)}: use .stages[...]")
        raise AttributeError(f"a CircuitSpec has no attribute `{name}`")


def _shown(x) -> str:
    """A number, or the shape and the range of an array."""
    x = np.asarray(x)
    return f"{x:.6g}" if x.ndim == 0 else f"{'x'.join(map(str, x.shape))} in [{x.min():.6g}, {x.max():.6g}]"
