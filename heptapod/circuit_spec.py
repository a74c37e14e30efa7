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

    def __getattr__(self, name: str):
        if name in ("math", "methods", "num", "derived"):
            if len(self.stages) == 1:
                return getattr(next(iter(self.stages.values())), name)
            raise AttributeError(f"`{name}` belongs to a stage; this model has {', '.join(self.stages)}: use .stages[...]")
        raise AttributeError(f"a CircuitSpec has no attribute `{name}`")
