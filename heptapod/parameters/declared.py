"""One scope as read, of the model, a stage or a mover, and the clock of the model."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heptapod.parameters.calibration import MAIN, ScopeTable

GROUPS = ("parameters", "settings", "definitions")


@dataclass
class Declared:
    """One scope as read, of the model, a stage or a mover.

    **Attributes:** `table`: its static side; `defaults`, `setting_defaults`: arrays of the leaves; `numbers`, scalars of NumPy
    and arrays: of every name in
    sight at the calibration, by-age ones an array over the periods; `integers`: the integer settings in sight; `inherits`:
    whether all names of the scope above are in sight; `poison`: names in error, `ANY` where a whole block is;
    `shapes`: of every name in sight, in one period.
    """

    table: ScopeTable
    defaults: dict[str, np.ndarray] = field(default_factory=dict)
    setting_defaults: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    integers: dict[str, int] = field(default_factory=dict)
    inherits: bool = False
    poison: set[str] = field(default_factory=set)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def above(self) -> str:
        """The scope in words, as those below it are told."""
        return "the model" if self.table.name == MAIN else f"stage {self.table.name}"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names that the equations of the scope may use, besides those it inherits wholesale."""
        return tuple(n for n, _ in self.table.parameters)


@dataclass(frozen=True)
class Time:
    """The periods of the model and the names that count them.

    **Attributes:** `periods`: their number (1 stands for an infinite horizon); `age`: (start, step) or `None`; `poison`:
    whether the horizon or the age is in error; `settings`: those that the horizon is computed from.
    """

    periods: int
    age: tuple[float, float] | None
    poison: bool = False
    settings: frozenset[str] = frozenset()

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """`t`, and `age` where it is defined, over the periods."""
        t = np.arange(self.periods, dtype=float)
        return {"t": t} if self.age is None else {"t": t, "age": self.age[0] + self.age[1] * t}
