"""Several continuous controls in one stage: one that the continuation alone sees, those that enter reward and budget only."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import sympy as sp

from heptapod.derivation import certificate
from heptapod.derivation.budget import without_redundant
from heptapod.derivation.derive import Derived, derive, separate
from heptapod.derivation.euler_inputs import EulerInputs, real
from heptapod.derivation.intratemporal import Intratemporal, described, intratemporal
from heptapod.formulas.equation import key, name_of, perch_of
from heptapod.problem.chosen import ChosenMethod, InnerControl

_MOST = 4  # Controls beside the dynamic one.
_STEEP = 1e10  # What is steeper than this is infinitely so, but for rounding.


def several(equations, inputs: Callable[..., EulerInputs], single: Callable[..., ChosenMethod | None]) -> ChosenMethod | None:
    """The one that the continuation alone sees first, given the post-state; then one by its Euler equation, and all others.

    **Arguments:** `inputs`, `single`: of a branch, a control and the bounds of all controls that are left, what the derivation
    reads and the method for the one control.
    """
    (branch,), names = equations.branches, " and ".join(equations.controls)
    inner, bounds, reduced, first = _alone(equations, branch), dict(equations.bounds), branch, ""
    if inner is not None:
        del bounds[inner.control]
        reduced = replace(branch, g_ve={n: e for n, e in branch.g_ve.items() if n != inner.post})
        others = " and ".join(bounds)
        first = (
            f"given the post-states the condition of {inner.control} does not involve {others}: {inner.control} first; then "
        )
    if len(bounds) > 1:
        found = _beside(reduced, bounds, inputs, single)
        if isinstance(found, str):
            if separate(branch.objective, branch.g_ve, equations.controls) is None:
                found = f"the first-order conditions of {names} do not separate given the post-states; {found}"
            return ChosenMethod("vfi", found, Derived(problem=found))
    elif separate(branch.objective, branch.g_ve, equations.controls) is None:
        return ChosenMethod("vfi", f"the first-order conditions of {names} do not separate given the post-states")
    else:
        found = single(reduced, next(iter(bounds)), bounds)
    if inner is None or found is None or found.method != "egm":
        return found
    return replace(found, method="nested", reason=first + found.reason, inner=inner)


def _alone(equations, branch) -> InnerControl | None:
    """A control that is a post-state of its own and stands nowhere else, between bounds that no state moves."""
    for control in equations.controls:
        symbol, bound = real(control), equations.bounds[control]
        posts = [name for name, e in branch.g_ve.items() if e.has(symbol)]
        others = [e for name, e in branch.g_ve.items() if name not in posts]
        others += [branch.objective, *[condition for _, condition in branch.conditions]]
        others += [e for n, b in equations.bounds.items() if n != control for e in (b.lower, b.upper) if e is not None]
        if len(posts) != 1 or branch.g_ve[posts[0]] != symbol or None in (bound.lower, bound.upper):
            continue
        seen = any(e.has(symbol) or e.has(real(key(posts[0], "cntn"))) for e in others)
        loose = {str(s) for side in (bound.lower, bound.upper) for s in side.free_symbols}
        moves = any(perch_of(n) == "dcsn" or n in equations.controls for n in loose)
        if not seen and not moves:
            return InnerControl(control, posts[0], bound.lower, bound.upper)
    return None


def _beside(branch, bounds, inputs, single) -> ChosenMethod | None | str:
    """The method with one control by its Euler equation and the others beside it, or why no control can be that one."""
    if len(bounds) > _MOST + 1:
        return f"there are {len(bounds)} of them"
    reasons, found = [], []
    for control in bounds:
        own = without_redundant(bounds, control)
        others = {n: b for n, b in own.items() if n != control}
        stage = inputs(branch, control, own)
        derived, problem = derive(stage), _objection(branch, own, control)
        problem = problem or derived.problem or _bottomless(stage, derived, own, control)
        told = Intratemporal(problem=problem) if problem else intratemporal(stage, derived, others)
        if told.problem:
            reasons.append(f"with {control} by its Euler equation {told.problem}")
            continue
        closed = (
            derived.control_inverse is not None and not told.joint and all(c.knot_inverse is not None for c in told.controls)
        )
        found.append((not closed, control, own, stage, told))
    if not found:
        return "; ".join(dict.fromkeys(reasons))
    _, control, own, stage, told = min(found, key=lambda one: one[0])
    chosen = single(branch, control, {**own, control: _opened(own[control], derive(stage).corner)})
    if chosen is None or chosen.method != "egm":
        return chosen
    names = " and ".join(c.name for c in told.controls) + (" enters" if len(told.controls) == 1 else " enter")
    utility = chosen.derived.utility
    if utility is not None and {str(s) for s in utility.free_symbols} & own.keys() - {control}:
        chosen = replace(chosen, derived=replace(chosen.derived, utility=None, utility_inverse=None))
    reason = f"{chosen.reason}; {names} reward and budget only; solved in turn: "
    return replace(chosen, reason=reason + described(told, control), beside=told)


def _objection(branch, bounds, control) -> str | None:
    """Why the others cannot be solved beside a control, whatever is derived for it."""
    moved = [post for post, g in branch.g_ve.items() if g.has(real(control))]
    for name, bound in bounds.items():
        n, sides = real(name), [e for e in (bound.lower, bound.upper) if e is not None]
        if name == control:
            continue
        other = next((post for post, g in branch.g_ve.items() if post not in moved and g.has(n)), None)
        if other is not None:
            return f"{name} moves another post-state, {other}"
        if any(condition.has(n) for _, condition in branch.conditions):
            return f"a constraint moves with {name}"
        if any(perch_of(str(s)) == "cntn" for e in sides for s in e.free_symbols):
            return f"the bound of {name} names a post-state"
    return None


def _bottomless(stage, derived, bounds, control) -> str | None:
    """Why the bounds of a control and of those beside it do not suit the conditions."""
    others, (bound, post) = [n for n in bounds if n != control], (bounds[control], name_of(derived.post))
    if any(derived.discount.has(real(n)) for n in others):
        return "the weight of V[>] depends on another control"
    loose = set() if derived.lowest is None else {str(s) for s in derived.lowest.free_symbols}
    if derived.lowest is None or loose & {derived.state, *others}:
        return f"its bound does not say what the lowest {post} is"
    for name in others:
        sides = {str(s) for e in (bounds[name].lower, bounds[name].upper) if e is not None for s in e.free_symbols}
        moving = [n for n in sides if n == derived.state or (perch_of(n) == "dcsn" and n not in stage.passive)]
        if moving:
            return f"the bound of {name} moves with the state {name_of(moving[0])}"
    if may_hold(stage, derived, bound):
        other = bound.lower if derived.corner == "upper" else bound.upper
        return f"{control} may be held at its bound {other}, where those beside it would solve other conditions"
    return None


def may_hold(stage, derived, bound) -> bool:
    """Whether the reward is not infinitely steep at the bound that leads to no corner; an open one holds just inside it."""
    upper = derived.corner == "upper"
    other, strict = (bound.lower, bound.lower_strict) if upper else (bound.upper, bound.upper_strict)
    if other is None:
        return False
    scope = certificate.near_calibration(stage, derived.post)
    at = certificate.value(other, scope)
    slope = (
        None if at is None else certificate.value(sp.diff(derived.reward, real(stage.control)), {**scope, stage.control: at})
    )
    # Rounding may take the control beyond the bound, where the slope of a power is no number.
    return not strict if slope is None else bool(np.any(np.abs(slope) <= _STEEP))


def _opened(bound, corner):
    """The bound with an end that is never reached left open."""
    return replace(bound, lower_strict=True) if corner == "upper" else replace(bound, upper_strict=True)
