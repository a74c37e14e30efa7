"""Saying where a solve failed and which parameter may be to blame."""

from typing import cast

import jax
import numpy as np

from stagecraft.backward.fixed_point import future_weight
from stagecraft.circuit.info import Info
from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.horses.solution import Rows
from stagecraft.results import Outcome

_MANY = 41  # Values of every variable at which formulas are looked at.
_PERCHES = {0: "continuation (cntn)", 1: "decision (dcsn)"}


def describe(solved: ModelCircuit) -> str:
    """One sentence: stage, perch, period, what happened, what to do, and the suspects among the parameters."""
    info, structure = cast(Info, solved.info), solved.structure
    outcome, t = Outcome(int(info.outcome)), int(info.period)
    num = structure.stages[max(int(info.stage), 0)]
    name = num.name
    place = _PERCHES.get(int(info.place), "") if outcome != Outcome.domain else "every perch"
    where = f"stage {name}, {place}, period {t}{_age(structure, t)}"
    if outcome == Outcome.grid:
        where = f"stage {name}, grid of {num.solution.post} on cntn, period {t}{_age(structure, t)}"
    lead, parameters = _suspects(solved, name, max(t, 0), outcome)
    if outcome == Outcome.not_converged:
        kappa = float(future_weight(cast(tuple, solved.stored)[0]))
        where = f"stage {name}, the fixed point, after {int(info.iterations)} steps"
        bound = float(info.error_bound)
        told = f"the error bound is {bound:.3g}" if np.isfinite(bound) else _infinite(solved)
        return (
            f"{lead}{where}: {outcome.message}. Next period's value counts {kappa:.6g} times in this period's, less than 1 is "
            f"asked; {told}. {parameters}"
        )
    return f"{lead}{where}: {outcome.message}.{_bad_shares(solved, name, t, outcome)} {parameters}".rstrip()


def _infinite(solved) -> str:
    """What grew without end in a stationary solve, and where: a stored number, or the value of a continuation on its grid."""
    for name, stored in cast(tuple, solved.stored)[0].items():
        for what in ("value", "control", "marginal", "weight"):
            x = np.asarray(getattr(stored, what, 0.0))
            if not np.all(np.isfinite(x)):
                at = "" if not isinstance(stored, Rows) else f" at the knot {np.asarray(stored.state)[~np.isfinite(x)][0]:g}"
                return f"the {what} of stage {name} is {x[~np.isfinite(x)][0]:g}{at}"
    for num in solved.structure.stages:
        for branch, perch in solved[0][num.name].ends.items() if num.stored else ():
            states = _points(solved, num.name, 0, dict.fromkeys(perch.dimensions))
            answer = perch.sol.at(states)
            bad = ~np.isfinite(np.asarray(answer.value)) | np.any([~np.isfinite(x) for x in answer.marginal.values()], axis=0)
            if np.any(bad):
                place = ", ".join(f"{n} = {np.asarray(x)[bad][0]:g}" for n, x in states.items())
                of = f" of branch {branch}" if branch else ""
                return f"the continuation{of} of stage {name} is worth {np.asarray(answer.value)[bad][0]:g} at {place}"
    return "the steps grow without end: no bound holds of their differences"


def _points(solved, name, t, wanted=None) -> dict:
    """Values of everything that the formulas of a stage name beside parameters, low ones first: of grids, knots and nodes.

    **Arguments:** `wanted`: names of post-states alone, without their tags, if these are asked for.
    """
    num, scope = solved.structure.stage(name), solved.scope(name, t)
    along = lambda x: np.interp(np.linspace(0.0, 1.0, _MANY), np.linspace(0.0, 1.0, len(x)), np.sort(np.asarray(x, float)))
    grids = {n: along(np.ravel(grid.build(scope))) for _, space in num.spaces for n, grid in space.grids}
    grids |= {n: along(np.ravel(grid.build(scope))) for n, grid in (*num.solution.passive, *num.discrete)}
    widest = max(grids.values(), key=lambda x: x[-1] - x[0], default=np.linspace(0.0, 1.0, _MANY))
    if wanted is not None:
        return {n: grids.get(n, widest) for n in wanted}
    found = {d: along(np.ravel(x)) for d, x in num.nodes(scope)[0].items()}
    for perch, space in num.spaces:
        tag = {"arvl": "[<]", "dcsn": "[~]"}.get(perch, "[>]")
        found |= {n + tag: grids.get(n, widest) for n in space.dimensions}
    return found | {n: grids.get(n, np.abs(widest) + 1e-3) for n in num.controls}


def _bad_shares(solved, name, t, outcome) -> str:
    """Which share of the stored knots is bad, over all and by the values of every passive state."""
    position = solved.structure.blocks.index(solved.structure.block(t))
    rows = solved.stored[position].get(name)
    if not isinstance(rows, Rows) or outcome not in (Outcome.nonfinite, Outcome.infeasible, Outcome.folded, Outcome.convex):
        return ""
    rows = jax.tree.map(lambda x: np.asarray(x)[t - solved.structure.blocks[position].first], rows)
    bad = _bad(rows, outcome)
    num, scope = solved.structure.stage(name), solved.scope(name, t)
    axes = [(n, np.asarray(grid.build(scope))) for n, grid in (*num.solution.passive, *num.discrete)]
    bad = bad.reshape(*[len(values) for _, values in axes], -1)
    found = [f" {bad.mean():.0%} of its knots are bad"]
    for i, (n, values) in enumerate(axes):
        share = bad.mean(axis=tuple(j for j in range(bad.ndim) if j != i))
        worst = sorted(range(len(values)), key=lambda k, share=share: -share[k])[:4]
        found.append(f"by {n}: " + ", ".join(f"{share[k]:.0%} at {values[k]:g}" for k in worst if share[k] > 0))
    return "; ".join(part for part in found if not part.endswith(": ")) + "."


def _bad(rows, outcome):
    """Where what is spoken of happens; of a whole row where only that is known."""
    if outcome == Outcome.nonfinite:
        return ~(np.isfinite(rows.value) & np.isfinite(rows.control) & np.isfinite(rows.marginal))
    if outcome == Outcome.folded:
        falls = np.diff(rows.state, axis=-1) < 0
        return np.concatenate([falls, falls[..., -1:]], axis=-1)
    whole = ~rows.reachable if outcome == Outcome.infeasible else ~rows.maximal & rows.reachable
    return np.broadcast_to(np.asarray(whole)[..., None], rows.state.shape)


def _age(structure, t) -> str:
    age = structure.calibration.age
    return "" if age is None or t < 0 else f" (age {age[0] + age[1] * t:g})"


def _suspects(solved, name, t, outcome) -> tuple[str, str]:
    """What stands first: parameters outside their domain or not finite, formulas without a value; else the values there."""
    found = []
    for path, entry in solved.structure.calibration.leaves().items():
        scope, _, leaf = path.rpartition(".")
        value = np.asarray(solved.parameters[scope][leaf])
        value = value[t] if entry.by_age else value
        if not np.all(np.isfinite(value)):
            found.append(f"`{path}` is {np.ravel(value)[0]:g}")
        elif entry.domain is not None and not np.all(entry.domain.holds(value)):
            found.append(f"`{path}` = {np.ravel(value)[0]:g} lies outside its domain {entry.domain}")
    scope = {k: np.asarray(v) for k, v in solved.scope(name, t).items()}
    # A terminal value that is finite nowhere is feasible nowhere.
    if outcome in (Outcome.nonfinite, Outcome.infeasible, Outcome.not_converged):
        found += solved.structure.stage(name).suspects(scope, _points(solved, name, t))
    if found:
        return "; ".join(dict.fromkeys(found)) + ": ", ""
    used = sorted(k for k, v in scope.items() if v.ndim == 0)
    return "", "Parameters there: " + ", ".join(f"{k} = {scope[k]:.6g}" for k in used)
