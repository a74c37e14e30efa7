"""Accuracy: what a solution tells on finer grids, period by period, in place of an error that nobody knows."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft.analysis.comparative_statics import labelled
from stagecraft.arrays import where
from stagecraft.backward.solve import solve
from stagecraft.circuit.model_circuit import ModelCircuit, check_solved
from stagecraft.forward.mass import drawn, through
from stagecraft.forward.walk import arrivals_of
from stagecraft.households.cells import cells, spread
from stagecraft.households.population import Population
from stagecraft.programs.counts import compiling

# No more points than these are compared in a stage and period, nodes of shocks included.
_MOST = 100_000
# A change is relative to the number itself, or to this share of the largest in its period where that is more.
_SMALL = 1e-3
_SHORT = "{:.3g}".format


@dataclass(frozen=True)
class Accuracy:
    """By how much a solution and what is made of it change when every cell of the grids is cut in two.

    **Attributes:** `refined`: the circuit solved on the finer grids; `changes`: a row of numbers for each stage, quantity
    and period; `moments`: by name, (before, after).
    """

    refined: ModelCircuit = field(repr=False)
    changes: tuple[Mapping[str, Any], ...] = field(repr=False)
    moments: Mapping[str, tuple[float, float]]

    def to_pandas(self):
        """By stage, quantity and period: `mean` and `max` of the change, and at how many `points`."""
        import pandas as pd

        index = [name for name in ("type", "stage", "quantity", "period") if name in self.changes[0]]
        return pd.DataFrame(self.changes).set_index(index)

    def summary(self):
        """By stage and quantity: the mean over all points, and the largest change with its period."""
        frame = self.to_pandas().reset_index()
        frame["sum"] = (frame["mean"] * frame["points"]).fillna(0.0)
        found = frame.groupby(["stage", "quantity"], sort=False).agg(sum=("sum", "sum"), points=("points", "sum"))
        found.insert(0, "mean", found.pop("sum") / found["points"].where(found["points"] > 0))
        worst = frame.loc[frame["max"].fillna(-1.0).groupby([frame["stage"], frame["quantity"]], sort=False).idxmax()]
        worst = worst.set_index(["stage", "quantity"])
        found.insert(1, "max", worst["max"])
        return found.assign(**{"in period": worst["period"]})

    def moments_to_pandas(self):
        """By moment: `value` as it was, `refined`, and its `change`, absolute and `relative`."""
        import pandas as pd

        frame = pd.DataFrame(self.moments, index=["value", "refined"], dtype=float).T.rename_axis("moment")
        frame["change"] = frame["refined"] - frame["value"]
        frame["relative"] = frame["change"] / frame["refined"].abs().where(frame["refined"] != 0)
        return frame

    def __repr__(self) -> str:
        tables = [self.summary()] + ([self.moments_to_pandas()] if self.moments else [])
        return "\n\n".join(table.to_string(float_format=_SHORT) for table in tables)

    def _repr_html_(self) -> str:
        tables = [self.summary()] + ([self.moments_to_pandas()] if self.moments else [])
        return "".join(table.to_html(float_format=_SHORT) for table in tables)


def accuracy(
    solved: ModelCircuit,
    moments: Callable[[ModelCircuit], Any] | None = None,
    *,
    points: int | Mapping[str, Mapping[str, Any]] = 100,
) -> Accuracy:
    r"""Solve again with every cell of every continuous grid cut in two, and tell what changes.

    Where the error falls with the square of the cells, as linear policies let it, the solution at hand is off by $4/3$ of the
    mean change, and the refined one by $1/3$. Near the jump of a hard choice the largest change is the height of the jump, and
    does not fall; the mean does. Shocks keep their nodes, and discrete sets their values.

    On arrival `value` is compared; at the decisions that the shocks lead to, every continuous control, and the probability of
    every alternative. Values and controls change relative to themselves, or to a thousandth of the largest of their period
    where that is more; probabilities absolutely. Points without a choice, and those beyond the grids, are left out.

    **Arguments:**

    - `solved`: a solved circuit.
    - `moments`: from a solved circuit to numbers, arrays or a pytree of them; it may push or simulate.
    - `points`: how many values of each continuous arrival state are looked at, knots of the grid and points halfway between
      them; or `{STAGE: {state: values}}`, arrays of one shape, for some stages. A stage without a grid on arrival is looked
      at where the stages before it lead.

    **Returns:** an `Accuracy`: a table when printed, `to_pandas()` with a row for every stage, quantity and period, and
    `refined`, the circuit on the finer grids.

    **Raises:** `ValueError` for an unsolved circuit, for unknown stages or states, and where a period begins with a state
    that has neither a grid nor `points`; `SolveError` where the refined circuit cannot be solved.
    """
    check_solved(solved)
    _check_points(solved, points)
    structure = _halved(solved.structure)
    if structure == solved.structure:
        raise ValueError("this circuit has no continuous grid that could be refined")
    finer = solve(dataclasses.replace(solved, structure=structure, stored=None, info=None, dists=None))
    changes = []
    for k in range(len(solved.types)) if solved.types is not None else (None,):
        one, two = (dataclasses.replace(c if k is None else c.of_type(k), dists=None) for c in (solved, finer))
        with compiling("accuracy", solved):
            changes += [row if k is None else {"type": k, **row} for row in _changes(one, two, points)]
    before, after = ({} if moments is None else labelled(moments(c), "moment") for c in (solved, finer))
    return Accuracy(finer, tuple(changes), {name: (before[name], after[name]) for name in before})


def _halved(thing):
    """A structure with every continuous grid in it refined."""
    if hasattr(thing, "refined"):
        return thing.refined
    if isinstance(thing, tuple):
        return tuple(_halved(x) for x in thing)
    if not dataclasses.is_dataclass(thing) or isinstance(thing, type):
        return thing
    old = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing) if f.init}
    new = {name: _halved(x) for name, x in old.items()}
    changed = {name: x for name, x in new.items() if x is not old[name] and x != old[name]}
    return dataclasses.replace(thing, **changed) if changed else thing


def _changes(solved, finer, points):
    """A row for each stage, quantity and period."""
    rows, age = [], solved.structure.calibration.age
    for t in range(len(solved)):
        before, after = solved[t], finer[t]
        places = _places(solved, before, t, points)
        for name, states in places.items():
            clock = {} if age is None else {"age": age[0] + age[1] * t}
            for quantity, found in jax.device_get(_compare(before[name], after[name], states)).items():
                numbers = {"mean": float(found[0]), "max": float(found[1]), "points": int(found[2])}
                rows.append({"stage": name, "quantity": quantity, "period": t, **clock, **numbers})
    order = list(dict.fromkeys((row["stage"], row["quantity"]) for row in rows))
    return sorted(rows, key=lambda row: order.index((row["stage"], row["quantity"])))


def _places(solved, period, t, points):
    """Arrival states at which each stage of a period is looked at, flat: on its grid, or where stages before it lead."""
    found, reached = {}, {}
    bare = {name for name in period.stages if None in solved.structure.homes[name].values()}
    for name, stage in period.stages.items():
        nodes = stage.dcsn_to_arvl.operator.problem.weights.shape[-1]
        if isinstance(points, Mapping) and name in points:
            values = jnp.broadcast_arrays(*[jnp.asarray(x, jnp.result_type(float)) for x in points[name].values()])
            found[name] = {state: x.ravel() for state, x in zip(points[name], values, strict=True)}
        elif name in bare and name in reached:
            parts = {state: jnp.concatenate([part[state] for part in reached[name]]) for state in reached[name][0]}
            keep = _evenly(next(iter(parts.values())).shape[0], _MOST // nodes)
            found[name] = {state: x[keep] for state, x in parts.items()}
        else:
            count = 100 if isinstance(points, Mapping) else points
            found[name] = _on_grid(cells(solved, name, jnp.asarray(t), 2), count, nodes)
        links = [x for x in period.links if x.source == name and not x.crosses and x.target in bare]
        ends = _posts_of(stage, found[name]) if links else {}
        for link in links:
            states = arrivals_of(solved, link, ends[link.branch], t)
            reached.setdefault(link.target, []).append(states)
    return found


def _on_grid(axes, points, nodes):
    """The product of some values of each continuous state and all of each discrete one."""
    free = sum(not axis.discrete for axis in axes)
    others = nodes * int(np.prod([axis.values.shape[0] for axis in axes if axis.discrete]))
    most = max(2, min(points, int((_MOST / others) ** (1 / max(free, 1)))))
    thin = lambda x: x[_evenly(x.shape[0], most)]
    axes = tuple(axis if axis.discrete else dataclasses.replace(axis, values=thin(axis.values)) for axis in axes)
    return spread(axes, jnp.zeros([axis.values.shape[0] for axis in axes])).states


def _evenly(count, most):
    """At most so many of a number of positions, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(max(most, 2), count)).round().astype(int))


@jax.jit
def _posts_of(stage, states):
    """Post-states by branch of those who arrive at `states`."""
    people = Population(states, jnp.ones_like(next(iter(states.values()))))
    passed, *_ = through(stage, stage.dcsn.sol, people)
    return {branch: perch.dist.states for branch, perch in passed.ends.items()}


@jax.jit
def _compare(before, after, states):
    """Mean and maximum of the change, and the number of points, by quantity."""
    _, at, odds = drawn(before, states)
    old, new = (stage.arvl.sol.at(states) for stage in (before, after))
    found = {"value": _change(old.value, new.value, _compared(old) & _compared(new))}
    old, new = (stage.dcsn.sol.at(at) for stage in (before, after))
    keep = _compared(old) & _compared(new) & (odds > 0)
    sets = {name for name, _ in before.num.discrete}
    for name in old.policy:
        if name not in sets:
            found[name] = _change(old.policy[name], new.policy[name], keep)
    if len(old.probability) > 1:
        for name in old.probability:
            found[f"probability of {name}"] = _change(old.probability[name], new.probability[name], keep, absolute=True)
    return found


def _compared(answer):
    """Where there is a choice, within the grids."""
    return answer.feasible & (answer.outside == 0)


def _change(before, after, keep, absolute=False):
    before, after, keep = jnp.broadcast_arrays(before, after, keep)
    keep = keep & jnp.isfinite(before) & jnp.isfinite(after)
    size = jnp.abs(after)
    floor = jnp.maximum(_SMALL * jnp.max(where(keep, size, 0.0)), jnp.finfo(size.dtype).tiny)
    gap = where(keep, jnp.abs(after - before) / (1.0 if absolute else jnp.maximum(size, floor)), 0.0)
    count = jnp.sum(keep)
    blank = lambda x: where(count > 0, x, jnp.nan)
    return blank(jnp.sum(gap) / jnp.maximum(count, 1)), blank(jnp.max(gap)), count


def _check_points(solved, points):
    """Names of stages and states, and numbers of points."""
    if not isinstance(points, Mapping):
        if isinstance(points, bool) or not isinstance(points, int) or points < 2:
            raise ValueError(f"`points` is a number of at least two, or states by stage, found {points!r}")
        return
    names = [num.name for num in solved.structure.stages]
    for name, states in points.items():
        if name not in names:
            raise ValueError(f"no stage `{name}`; there are {', '.join(names)}")
        wanted = solved.structure.stage(name).dimensions("arvl")
        if set(states) != set(wanted):
            raise ValueError(f"stage {name} is entered with {', '.join(wanted)}; {', '.join(states) or 'nothing'} given")
