"""Which method solves a stage, as far as its own equations tell: what follows from them, and what was asked for."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import sympy as sp

from heptapod.derivation import certificate
from heptapod.derivation.concave import warn_not_concave
from heptapod.derivation.derive import Derived, derive
from heptapod.derivation.euler_inputs import EulerInputs, real
from heptapod.formulas.equation import key, name_of, perch_of
from heptapod.formulas.freeze import freeze
from heptapod.formulas.in_numpy import number
from heptapod.problem.chosen import ChosenMethod
from heptapod.problem.refusal import refusal
from heptapod.problem.search import read_direct
from heptapod.problem.several import may_hold, several
from heptapod.spaces.grids import ends
from heptapod.stage.equations import Equations, StageReader
from heptapod.stage.homes import decision_grid

METHODS: Mapping[str, tuple[str, ...]] = {
    "solution": ("auto", "egm", "vfi", "nested", "discrete"),
    "interp": ("auto", "linear"),
    "upper_envelope": ("auto", "none", "exact", "refined"),
}
_MEANS = {"discrete": ("choice", "identity")}


def choose(
    reader, reading: StageReader, equations: Equations, methods: Mapping[str, str], numbers: Mapping
) -> ChosenMethod | None:
    """The method that the derivation suggests; an override that cannot solve the stage is an error.

    **Arguments:** `numbers`: every parameter at the calibration.
    """
    asked, path = methods["solution"], (*reading.scope.path, "methods", "solution")
    found = _by_derivation(reading, equations, numbers, asked)
    if found is None:
        return None
    if reader.get(path) is None:
        path = (*reading.scope.path, "movers", "cntn_to_dcsn", "methods", "solution")
    if asked == "vfi" and equations.controls and found.method != "vfi":
        found = ChosenMethod("vfi", "it was asked for", found.derived)
    if asked == "auto" or found.method in _MEANS.get(asked, (asked,)):
        return found if found.method != "vfi" else _by_search(reading, equations, found, numbers)
    message, help = refusal(reading.name, asked, found, equations)
    return reader.error("method", message, path, help)


def _by_derivation(reading, equations: Equations, numbers, asked):
    if not equations.controls:
        if equations.choice is None:
            return ChosenMethod("identity", "nothing is chosen: the decision is the continuation")
        what = "one of its branches" if reading.branching else "values of a finite set"
        by = "nature draws" if equations.choice.by == "nature" else "the stage chooses"
        return ChosenMethod("choice", f"{by} {what}")
    if equations.branches[0].recorded is not None:
        why = "V records another value than the maximum of Q, and no envelope condition holds"
        return ChosenMethod("vfi", why, Derived(problem=why))
    if len(equations.controls) > 1:
        inputs = lambda branch, control, bounds: _euler_inputs(reading, equations, branch, control, bounds, numbers)
        single = lambda branch, control, bounds: _single(reading, equations, branch, control, bounds, numbers, asked)
        return several(equations, inputs, single)
    control, branch = next(iter(equations.controls)), equations.branches[0]
    return _single(reading, equations, branch, control, equations.bounds, numbers, asked)


def _single(reading, equations, branch, control, bounds, numbers, asked="auto") -> ChosenMethod | None:
    """The method for one continuous control, given those that have bounds beside it."""
    bound, inputs = bounds[control], _euler_inputs(reading, equations, branch, control, bounds, numbers)
    derived = derive(inputs)
    warn_not_concave(reading.reader, reading.scope.place("Q"), inputs, derived)
    _warn_left_out(reading, derived.left_out)
    problem = derived.problem or _moving_condition(branch, derived, control)
    if problem or asked == "vfi":
        return ChosenMethod("vfi", problem or "it was asked for", derived)
    if _bare(reading, control, bound, inputs, derived):
        return None
    if _check_corner(reading, equations, control, bound, derived, numbers) is None:
        return None
    rows = _rows(reading, equations, name_of(derived.state))
    if rows is None:
        return None
    reason = f"Q is linear in V[>], {control} moves {name_of(derived.post)} alone, and the first-order condition "
    closed = derived.control_inverse is not None and derived.state_inverse is not None
    reason += "has a closed inverse" if closed else "is solved by a bracketed Newton at every knot"
    held = derived.corner == "upper" and bound.lower_strict and may_hold(inputs, derived, bound)
    return ChosenMethod("egm", reason, derived, rows, control, bound, held=held)


def _by_search(reading, equations, found: ChosenMethod, numbers) -> ChosenMethod | None:
    """The same with what a direct search stands on; `None` after an error."""
    grids = {name: decision_grid(equations, reading.name, name) for name in equations.spaces["dcsn"].dimensions}
    direct = read_direct(reading, equations, found.derived, grids, numbers)
    if direct is None:
        return None
    more = tuple(words for words in direct.left_out if words not in found.derived.left_out)
    _warn_left_out(reading, more)
    derived = replace(found.derived, left_out=(*found.derived.left_out, *more))
    return replace(found, derived=derived, direct=direct, passive=direct.passive)


def _warn_left_out(reading, left_out):
    """A warning that names the steps of the derivation for which an expression is too large."""
    if left_out:
        help = "closed forms may be missing: write parts of the equations as states, or split the stage"
        reading.reader.warning("left-out", "; ".join(left_out), reading.scope.place("Q"), help, key=True)


def _moving_condition(branch, derived, control):
    """A constraint that the choice decides over, which no first-order condition knows of."""
    for label, condition in branch.conditions:
        if condition.has(real(control), real(derived.post)):
            return f"the constraint `{label}` moves with {control}; a bound of {control} is what EGM knows"
    return None


def _euler_inputs(reading, equations, branch, control, bounds, numbers) -> EulerInputs:
    """What the derivation reads: the one control, all others that have bounds among the parameters."""
    bound, others = bounds[control], [n for n in bounds if n != control]
    scalars = tuple((n, float(np.ravel(v)[0])) for n, v in numbers.items() if np.ndim(v) <= 1 and np.size(v))
    sets = {name: ends(grid, numbers) for name, grid in equations.discrete}
    scalars += tuple((name, 1.0 if span is None else span[1]) for name, span in sets.items())
    spans = {n: _between(bounds[n], numbers) for n in others}
    scalars += tuple((n, 0.5 * sum(span)) for n, span in spans.items())
    sets |= spans
    states = tuple(key(n, "dcsn") for n in equations.spaces["dcsn"].dimensions)
    transition = tuple((key(n, "cntn"), e) for n, e in branch.g_ve.items())
    own = equations.spaces["dcsn"]
    grids = {n: decision_grid(equations, reading.name, n) for n in own.dimensions}
    sets |= {key(n, "dcsn"): ends(grid, numbers) for n, grid in grids.items()}
    sets |= {key(n, "cntn"): ends(grid, numbers) for n, grid in equations.spaces["cntn"].grids}
    ranges = tuple((name, span) for name, span in sets.items() if span is not None)
    rows = tuple(key(n, "dcsn") for n, g in grids.items() if own.grid(n) is not None or (g is not None and g.discrete))
    return EulerInputs(branch.objective, transition, control, bound.lower, bound.upper, states, scalars, ranges, rows)


def _between(bound, numbers) -> tuple[float, float]:
    """Numbers between which a control may be, well inside its bounds at the calibration."""
    known = lambda side: side is not None and {str(s) for s in side.free_symbols} <= numbers.keys()
    at = lambda side: float(np.ravel(number(freeze(side), numbers))[0])
    low = at(bound.lower) if known(bound.lower) else 0.0
    high = at(bound.upper) if known(bound.upper) else max(low, 0.0) + 1.0
    return low + 0.1 * (high - low), high - 0.1 * (high - low)


def _rows(reading, equations, endogenous):
    """The passive decision states with their grids; one without a grid is an error."""
    rows = []
    for name in equations.spaces["dcsn"].dimensions:
        if name == endogenous:
            continue
        grid = decision_grid(equations, reading.name, name)
        if grid is None:
            message = f"the passive state `{name}` has no grid at the decision, where EGM keeps a row for each of its values"
            reading.reader.error("grid", message, (*reading.math, "state_space", "dcsn"),
                                 f"dcsn: {{dimensions: [...], grid: {{{name}: {{values: [...]}}}}}}", key=True)  # fmt: skip
            return None
        rows.append((name, grid))
    # Discrete axes lead, the continuous passive ones follow.
    return tuple(sorted(rows, key=lambda row: not row[1].discrete))


def _bare(reading, control, bound, inputs, derived) -> bool:
    """Whether a control may fall to 0, where the reward is infinitely steep and below which it has no value: an error."""
    if bound.lower is not None or bound.upper is None:
        return False
    scope = {**certificate.near_calibration(inputs, derived.post), control: 0.0}
    slope = certificate.value(sp.diff(derived.reward, real(control)), scope)
    if slope is None or not np.all(np.isinf(slope)):
        return False
    message = f"`{control}` has no lower bound, and where it is 0 the reward is infinitely steep: below, it has no value"
    reading.reader.error("bounds", message, (*reading.math, "controls", control), f"write `{control}: 0 < {control} <= ...`")
    return True


def _check_corner(reading, equations: Equations, control: str, bound, derived: Derived, numbers):
    """The bound must imply the lowest post-state, and the grid must not begin below it; `None` after an error."""
    reader = reading.reader
    state, post = name_of(derived.state), name_of(derived.post)
    place = (*reading.math, "controls", control)
    if derived.lowest is None:
        message = f"`{control}` has no {derived.corner} bound, so that nothing says where {post} ends"
        return reader.error("bounds", message, place, f"e.g. {control}: 0 < {control} <= {state}")
    loose = [name_of(str(s)) for s in derived.lowest.free_symbols if perch_of(str(s))]
    sides = [e for e in (bound.lower, bound.upper) if e is not None]
    held = derived.corner == "lower" and not any(perch_of(str(s)) for e in sides for s in e.free_symbols)
    if state in loose and not held:
        message = f"at the bound of `{control}` {post} still depends on `{state}`, so that the bound implies no lowest {post}"
        help = "EGM needs a bound that exhausts the state; `methods: {solution: vfi}` searches between any bounds"
        return reader.error("bounds", message, place, help)
    grid = equations.spaces["cntn"].grid(post)
    if grid is None or grid.discrete:
        what = "no grid" if grid is None else "a discrete set"
        message = f"the post-state {post} has {what}; the endogenous grid method stands on a continuous grid of it"
        return reader.error("grid", message, (*reading.math, "state_space", "cntn"),
                            f"cntn: {{grid: {{{post}: {{type: exp, min: 0, max: 50, points: 100}}}}}}", key=True)  # fmt: skip
    if state in loose:
        return True  # What is added to the state may be held at either bound, and neither leads to a corner.
    if loose:
        message = f"the lowest {post} depends on the passive state `{loose[0]}`; a bound that is the same in every row is exact"
        reader.warning("bounds", message, place, f"put `{loose[0]}` into {state} before the choice (g_av)")
        return True
    first = grid.values[0] if grid.values else grid.minimum
    if first is None or not derived.lowest.free_symbols <= {real(n) for n in numbers}:
        return True
    low, least = number(freeze(derived.lowest), numbers), number(first, {**reading.scope.own.numbers, **numbers})
    if np.any(least < low - 1e-9 * (1 + np.abs(low))):
        found = f"begins at {np.ravel(least)[0]:g}, below the lowest {np.ravel(low)[0]:g}"
        message = f"the grid of {post} {found} that the bound of `{control}` allows"
        return reader.error("grid-bounds", message, (*reading.math, "state_space", "cntn", "grid", post), key=True)
    return True
