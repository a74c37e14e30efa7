"""The static side of a model: its stages, connections, kinds of period and names, without a number."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from heptapod.circuit.connections import Link
from heptapod.circuit.nothing import bare_starts
from heptapod.circuit.periods import Block
from heptapod.parameters.calibration import Calibration
from heptapod.problem.numeric_problem import NumericProblem
from heptapod.shocks import in_numpy
from heptapod.stage.homes import homes


@dataclass(frozen=True)
class Structure:
    """The static side of a model, compared by value: no default value, text or place decides a compilation.

    **Attributes:** `horizon`: number of periods, `None` if infinite; `calibration`; `stages`: in the order of the file;
    `links`: all connections; `blocks`: the kinds of period in order; `starts`: where households may begin; `borrowed`: the
    (key, stage, shock position, dimension) of all nodes that grids name.
    """

    horizon: int | None
    calibration: Calibration
    stages: tuple[NumericProblem, ...]
    links: tuple[Link, ...]
    blocks: tuple[Block, ...]
    starts: tuple[str, ...]
    borrowed: tuple[tuple[str, str, int, str], ...] = ()

    def __repr__(self) -> str:
        when = "infinite horizon" if self.horizon is None else f"{self.horizon} periods"
        kinds = [f"  {b.first}..{b.last}: {', '.join(b.stages)}" for b in self.blocks[:8]]
        more = [f"  ... and {len(self.blocks) - 8} more kinds"] if len(self.blocks) > 8 else []
        stages = ", ".join(f"{num.name} ({num.method})" for num in self.stages)
        return "\n".join([f"Structure: {when}", f"  stages: {stages}"[:118], *[kind[:118] for kind in kinds], *more])

    def stage(self, name: str) -> NumericProblem:
        """A stage by name."""
        return next(s for s in self.stages if s.name == name)

    def block(self, t: int) -> Block:
        """The kind of a period."""
        return next(b for b in self.blocks if self.horizon is None or b.first <= t <= b.last)

    @functools.cached_property
    def homes(self) -> dict:
        """For every stage and arrival state the (owner, perch, grid) on which mass lives, `None` where there is none."""
        return homes(self)

    def bare_starts(self, parameters: Mapping, settings: Mapping) -> tuple[str, ...]:
        """The stages whose first knot of the post-state may leave nothing, at these `{scope: {name: array}}`."""
        return bare_starts(self, parameters, settings)

    def numbers(self, stage: str, parameters: Mapping, settings: Mapping, t: int) -> dict:
        """The same in NumPy, without a backend; nodes of laws that have none there are left out."""
        values = self.calibration.numbers(stage, parameters, settings, t)
        for key, owner, position, dimension in self.borrowed:
            scope = values if owner == stage else self.calibration.numbers(owner, parameters, settings, t)
            found = in_numpy.nodes(self.stage(owner).shocks[position : position + 1], scope)
            values |= {} if found is None else {key: found[0][dimension]}
        return values

    def environment(self, stage: str, parameters: Mapping, settings: Mapping, t) -> dict:
        """All values that a stage sees in period `t`, the nodes of shocks among them."""
        values = self.calibration.environment(stage, parameters, settings, t)
        for key, owner, position, dimension in self.borrowed:
            scope = values if owner == stage else self.calibration.environment(owner, parameters, settings, t)
            values[key] = self.stage(owner).shocks[position].nodes(scope)[0][dimension]
        return values
