"""Parameters and settings: who declares a number, who inherits it, and the values that a stage sees in a period."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np

from heptapod.formulas.formula import Formula
from heptapod.formulas.in_numpy import number

_DOMAIN = re.compile(r"^\s*([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([\])])\s*$")
MAIN = "main"


@dataclass(frozen=True)
class Domain:
    """An interval that a parameter must lie in."""

    lower: float
    upper: float
    closed_below: bool
    closed_above: bool

    @staticmethod
    def read(text: str) -> "Domain":
        """From `(0, inf)` or `[0, 1)`; `ValueError` otherwise."""
        match = _DOMAIN.match(text)
        if not match:
            raise ValueError(f"`{text}` is not an interval")
        left, lower, upper, right = match.groups()
        domain = Domain(float(lower), float(upper), left == "[", right == "]")
        if not domain.lower < domain.upper:
            raise ValueError(f"`{text}` is empty")
        return domain

    def holds(self, value, module=np):
        """Whether each value lies inside; `module` is numpy or `jax.numpy`."""
        above = value >= self.lower if self.closed_below else value > self.lower
        below = value <= self.upper if self.closed_above else value < self.upper
        return module.logical_and(above, below)

    def __str__(self) -> str:
        left, right = "[" if self.closed_below else "(", "]" if self.closed_above else ")"
        return f"{left}{self.lower:g}, {self.upper:g}{right}"


@dataclass(frozen=True)
class Entry:
    """One declared name; `kind` is leaf (an array), integer (static), reference (to the scope above) or definition.

    `sources` are the names that an expression with a value of its own was computed from, for messages only.
    """

    kind: str
    by_age: bool = False
    shape: tuple[int, ...] = ()
    domain: Domain | None = None
    formula: Formula | None = None
    target: str | None = None
    value: int | None = None
    sources: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class ScopeTable:
    """What one scope declares, in an order in which definitions can be evaluated.

    **Attributes:** `name`: `main`, a stage's name, or `STAGE.mover`; `inherits`: whether it sees all of the scope above.
    """

    name: str
    parameters: tuple[tuple[str, Entry], ...] = ()
    settings: tuple[tuple[str, Entry], ...] = ()
    inherits: bool = False

    @property
    def entries(self) -> dict[str, Entry]:
        """All names of the scope."""
        return dict(self.settings) | dict(self.parameters)


@dataclass(frozen=True)
class Calibration:
    """The static side of all parameters and settings: names, kinds and inheritance, but no default value.

    **Attributes:** `scopes`: the model's table first, then the stages' and the movers'; `age`: (start, step) or `None`;
    `horizon`: number of periods, `None` for an infinite horizon.
    """

    scopes: tuple[ScopeTable, ...]
    age: tuple[float, float] | None = None
    horizon: int | None = None
    _tables: dict = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self):
        self._tables.update({table.name: table for table in self.scopes})

    def table(self, scope: str) -> ScopeTable:
        """The declarations of one scope."""
        return self._tables[scope]

    def leaves(self) -> dict[str, Entry]:
        """Every traced parameter, by its path `scope.name`."""
        return {
            f"{table.name}.{name}": entry for table in self.scopes for name, entry in table.parameters if entry.kind == "leaf"
        }

    def environment(self, stage: str, parameters: Mapping, settings: Mapping, t) -> dict:
        """All values that the equations of a stage may read in period `t`, looked up by lexical scope.

        **Arguments:**

        - `parameters`, `settings`: `{scope: {name: array}}`; by-age arrays have a leading axis over the periods.
        - `t`: the period, an integer array. By-age data hold their last value after the last period.
        """
        held = t if self.horizon is None else jnp.clip(t, 0, self.horizon - 1)
        return self._seen(stage, parameters, settings, held, self._time(held, parameters)) | self._time(t, parameters)

    def numbers(self, stage: str, parameters: Mapping, settings: Mapping, t: int) -> dict:
        """The same of concrete values in NumPy, without a backend."""
        held = t if self.horizon is None else min(max(t, 0), self.horizon - 1)
        time = {"t": np.float64(t)} | ({} if self.age is None else {"age": np.float64(self.age[0] + self.age[1] * t)})
        return self._seen(stage, parameters, settings, held, time, number) | time

    def _seen(self, stage, parameters, settings, t, time, value=Formula.__call__) -> dict:
        """**Arguments:** `t`, `time`: the period whose data hold, and the clock; `value`: of a formula in a scope."""
        model = self._resolve(MAIN, parameters, settings, t, time, {}, value)
        own = model if stage == MAIN else self._resolve(stage, parameters, settings, t, time, model, value)
        return own | self._movers(stage, parameters, settings, t, time, own, value)

    def _movers(self, stage, parameters, settings, t, time, own, value) -> dict:
        """The names that movers of the stage declare themselves, as `mover.name`."""
        values = {}
        for table in self.scopes:
            if table.name.startswith(f"{stage}."):
                found = self._resolve(table.name, parameters, settings, t, time, own, value)
                mover = table.name.rpartition(".")[2]
                values |= {f"{mover}.{name}": found[name] for name in table.entries}
        return values

    def _time(self, t, parameters) -> dict:
        leaf = next((x for scope in parameters.values() for x in scope.values()), None)
        t = jnp.asarray(t, jnp.result_type(float) if leaf is None else leaf.dtype)
        if self.age is None:
            return {"t": t}
        start, step = self.age
        return {"t": t, "age": start + step * t}

    def _resolve(self, scope, parameters, settings, t, time, model, value) -> dict:
        """Leaves, references and definitions of one scope, on top of what it inherits."""
        table = self._tables[scope]
        values = dict(model) if table.inherits else {}
        for group, data in ((table.settings, settings), (table.parameters, parameters)):
            for name, entry in group:
                if entry.kind == "leaf":
                    leaf = np.asarray(data[scope][name]) if value is number else data[scope][name]
                    values[name] = leaf[t] if entry.by_age else leaf
                elif entry.kind == "integer":
                    like = next(iter(time.values())).dtype
                    values[name] = np.asarray(entry.value, like) if value is number else jnp.asarray(entry.value, like)
                elif entry.kind == "reference":
                    values[name] = model[entry.target]
                else:
                    values[name] = value(entry.formula, values | time)
        return values
