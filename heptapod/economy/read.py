"""What a model says of all households together."""

from collections.abc import Mapping
from dataclasses import dataclass

from heptapod.economy.equilibrium import Equilibrium, read_aggregates, read_equilibrium
from heptapod.economy.types import HouseholdTypes, read_types
from heptapod.parameters.calibration import MAIN
from heptapod.parameters.declared import Declared
from heptapod.parsing.reader import Reader
from heptapod.stage.equations import Equations


@dataclass(frozen=True)
class Economy:
    """Types of households, aggregates, markets; `used`: names of the model's own scope that these use."""

    types: HouseholdTypes | None
    aggregates: Mapping
    equilibrium: Equilibrium | None
    used: frozenset[str]


def read_economy(
    reader: Reader, scopes: Mapping[str, Declared], equations: Mapping[str, Equations | None], poisoned: bool
) -> Economy:
    """The blocks `types`, `aggregates` and `equilibrium`.

    **Arguments:** `poisoned`: whether some stage is in error, so that not all of its variables are known.
    """
    known = [e for e in equations.values() if e is not None]
    variables = {n for e in known for space in e.spaces.values() for n in space.dimensions}
    variables |= {n for e in known for n in (*e.controls, *[d for d, _ in e.discrete])}
    used: set[str] = set()
    aggregates = read_aggregates(reader, scopes[MAIN], frozenset(variables), used, poisoned)
    types = read_types(reader, scopes)
    equilibrium = read_equilibrium(reader, scopes[MAIN], aggregates, used)
    return Economy(types, {n: a for n, a in aggregates.items() if a is not None}, equilibrium, frozenset(used))
