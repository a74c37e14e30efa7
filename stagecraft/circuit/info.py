"""How a solve ended: what every stage says of itself in every period, and what follows from it, judged where it is asked for.

A solve returns flags; that the gravest of them, its period and its stage are found is the work of the host, so that no program
has to hold it. Where the flags are traced the same is said by traced operations.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import dtype_of, listed, page, shown, traced
from stagecraft.results import Outcome

# What may be said of a stage in a period, in the order of `Health.well`.
FLAGS = ("grid", "found", "maximal", "continuation", "decision", "unfolded", "room")
# What each outcome is told by, the gravest first.
CHECKS = (
    (Outcome.grid, ("grid",)),
    (Outcome.infeasible, ("found",)),
    (Outcome.convex, ("maximal",)),
    (Outcome.nonfinite, ("continuation", "decision")),
    (Outcome.folded, ("unfolded",)),
    (Outcome.crowded, ("room",)),
)


class Health(eqx.Module):
    """What a stage says of itself, with a leading axis over periods.

    **Attributes:** `well`: whether each of `FLAGS` is; `outside`: the share of questions beyond the last knot of what follows;
    `jumps`: in how many cells the value of what follows jumps, `None` where it cannot.
    """

    well: Bool[Array, "*periods flags"]
    outside: Float[Array, "*periods"]
    jumps: Int[Array, "*periods"] | None = None


class Ending(NamedTuple):
    """How a fixed point ended: steps taken, the bound on the relative error of policies and values, whether it holds, and
    whether slopes were held in the end."""

    iterations: Int[Array, ""]
    bound: Float[Array, ""]
    converged: Bool[Array, ""]
    held: Bool[Array, ""]


class Info(eqx.Module):
    """How a solve ended.

    **Attributes:** `outcome`: an `Outcome` as an integer; `period`, `stage`, `place`: where it went wrong first, going
    backward (-1 for nowhere; the stage by its position; place 0 is the continuation, 1 the decision); `iterations`;
    `error_bound`: zero for a finite horizon; `outside`: for each stage and period the share of questions that were asked
    beyond the last knot of what follows, and extrapolated; `jumps`: in how many cells of its post-state's grid the value of
    what follows jumps. All are arrays, inside transformations too, computed where they are asked for; those of a solve under
    `vmap` lead with its axis.
    """

    structure: Any = eqx.field(static=True)
    health: tuple[dict[str, Health], ...]
    parameters: dict[str, Array]  # Those that have a domain.
    ending: Ending | None = None

    def __repr__(self) -> str:
        if traced(self):
            return "Info of a solve that is being traced"
        outcome, period, stage, _ = (np.asarray(x) for x in _judge(jax.tree.map(np.asarray, self), np))
        kinds = [Outcome(int(i)) for i in np.unique(outcome)]
        rows = [("outcome", "; ".join(f"{kind.name}: {kind.message}" for kind in kinds))]
        if np.any(stage >= 0):
            rows.append(("first at", f"period {shown(period)}, stage {self.structure.stages[int(np.max(stage))].name}"))
        steps, bound = (self._periods, 0.0) if self.ending is None else self.ending[:2]
        still = ", of values, slopes held" * bool(self.ending is not None and np.any(np.asarray(self.ending.held)))
        rows += [("iterations", shown(np.asarray(steps))), ("error bound", shown(np.asarray(bound)) + still)]
        told = lambda health: np.asarray(health.outside)
        asked = [(name, np.max(self._over_time(name, told, 0.0, np))) for name in self._stored]
        return listed("Info of a solve", [*rows, *[("beyond grids", f"{x:.2%} of the questions of {n}") for n, x in asked]])

    def _repr_html_(self) -> str:
        return page(repr(self))

    @property
    def outcome(self) -> Int[Array, "..."]:
        """An `Outcome` as an integer, 0 for success: `sc.Outcome(int(info.outcome)).message` says what happened."""
        return self._judged(0)

    @property
    def period(self) -> Int[Array, "..."]:
        """The period in which it went wrong first, going backward; -1 for nowhere."""
        return self._judged(1)

    @property
    def stage(self) -> Int[Array, "..."]:
        """The position of the stage at which it did, in the order of the file; -1 for none."""
        return self._judged(2)

    @property
    def place(self) -> Int[Array, "..."]:
        """Where in the stage: 0 at the continuation, 1 at the decision, -1 for nowhere."""
        return self._judged(3)

    @property
    def iterations(self) -> Int[Array, "..."]:
        """The periods of a finite horizon; of an infinite one the steps of the fixed point, of Newton and plain."""
        if self.ending is not None:
            return self.ending.iterations
        return jnp.full(self._lead, self._periods, jnp.int32)

    @property
    def error_bound(self) -> Float[Array, "..."]:
        """What the relative error of policies and values at the knots is at most, as against the fixed point on the same grid;
        0 for a finite horizon."""
        return jnp.zeros(self._lead, dtype_of(self.health)) if self.ending is None else self.ending.bound

    @property
    def outside(self) -> dict[str, Float[Array, "... periods"]]:
        """By stage, in each period, the share of questions that were asked beyond the last knot of what follows."""
        return {name: self._over_time(name, lambda health: health.outside, 0.0, jnp) for name in self._stored}

    @property
    def jumps(self) -> dict[str, Int[Array, "... periods"]]:
        """By stage, in each period, in how many cells of the grid of its post-state the value of what follows jumps."""

        def told(health):
            return jnp.zeros(health.outside.shape, jnp.int32) if health.jumps is None else health.jumps

        return {name: self._over_time(name, told, 0, jnp) for name in self._stored}

    @property
    def _periods(self) -> int:
        return self.structure.horizon or 1

    @property
    def _lead(self) -> tuple[int, ...]:
        """The axes that transformations have put in front."""
        return next(health.outside.shape[:-1] for stages in self.health for health in stages.values())

    @property
    def _stored(self) -> list[str]:
        """The stages that say something, in their order."""
        names = (num.name for num in self.structure.stages)
        return [name for name in names if any(name in stages for stages in self.health)]

    def _over_time(self, name, told, blank, xp):
        """What a stage says over all periods, and `blank` in those that it is not in."""
        lead, found = self._lead, []
        axis = len(lead)
        example = next(told(stages[name]) for stages in self.health if name in stages)
        for block, stages in zip(self.structure.blocks, self.health, strict=True):
            missing = (*lead, block.last - block.first + 1, *example.shape[axis + 1 :])
            found.append(told(stages[name]) if name in stages else xp.full(missing, blank, example.dtype))
        return xp.concatenate(found, axis=axis)

    def _judged(self, which: int) -> Int[Array, "..."]:
        """One of outcome, period, stage and place."""
        if traced(self):
            return _judge(self, jnp)[which]
        return jnp.asarray(_judge(jax.tree.map(np.asarray, self), np)[which], jnp.int32)


def _judge(info: Info, xp):
    """The gravest thing that happened, and where the sweep met it first: in the last period, at the last stage."""
    # The sweep meets the last stage of a period first.
    names = sorted(info._stored, key=lambda name: -_rank(info.structure, name))
    bad = xp.flip(~xp.stack([info._over_time(name, lambda health: health.well, True, xp) for name in names], axis=-2), axis=-3)
    bad = bad.reshape((*bad.shape[:-3], -1, len(FLAGS)))
    columns = [[FLAGS.index(flag) for flag in flags] for _, flags in CHECKS]
    kinds = xp.stack([xp.any(bad[..., np.array(column)], axis=-1) for column in columns], axis=-2)
    kind = xp.argmax(xp.any(kinds, axis=-1), axis=-1)
    places = xp.take_along_axis(kinds, kind[..., None, None], axis=-2)[..., 0, :]
    wrong, first = xp.any(places, axis=-1), xp.argmax(places, axis=-1)
    order = [num.name for num in info.structure.stages]
    before = xp.take_along_axis(bad[..., FLAGS.index("continuation")], first[..., None], axis=-1)[..., 0]
    before = before & (kind == [outcome for outcome, _ in CHECKS].index(Outcome.nonfinite))
    well = True if info.ending is None else info.ending.converged
    ended = xp.where(well, int(Outcome.success), int(Outcome.not_converged))
    outcome = xp.where(wrong, xp.asarray([int(outcome) for outcome, _ in CHECKS])[kind], ended)
    period = xp.where(wrong, info._periods - 1 - first // len(names), -1)
    stage = xp.where(wrong, xp.asarray([order.index(name) for name in names])[first % len(names)], -1)
    place = xp.where(wrong, xp.where(before, 0, 1), -1)
    beyond = ~_in_domain(info, xp)
    latest = info._periods - 1 - xp.argmax(xp.flip(beyond, axis=-1), axis=-1)
    beyond = xp.any(beyond, axis=-1)
    return xp.where(beyond, int(Outcome.domain), outcome), xp.where(beyond, latest, period), stage, place


def _rank(structure, name) -> int:
    """How late a stage comes in its period."""
    return max(block.stages.index(name) for block in structure.blocks if name in block.stages)


def _in_domain(info, xp):
    """Per period, whether every parameter lies in its domain."""
    lead, good = info._lead, xp.ones((*info._lead, info._periods), bool)
    entries = info.structure.calibration.leaves()
    for path, value in info.parameters.items():
        holds = entries[path].domain.holds(value, xp)
        rows = info._periods if entries[path].by_age else 1
        good = good & xp.all(holds.reshape((*lead, rows, -1)), axis=-1)
    return good


def bounded(circuit) -> dict[str, Array]:
    """The parameters that have a domain, by path."""
    leaves = circuit.structure.calibration.leaves()
    values = {path: circuit.parameters[path.rpartition(".")[0]][path.rpartition(".")[2]] for path in leaves}
    return {path: value for path, value in values.items() if leaves[path].domain is not None}
