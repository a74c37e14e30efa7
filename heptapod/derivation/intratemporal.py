r"""Controls that enter reward and budget only, beside the one that is solved by its Euler equation: hours, effort, spending.

With the post-state held, a control $n$ beside $c$ meets $g_n - g_c\,Q_n/Q_c = 0$, and, given what the post-state is worth at
the margin, $Q_n + (Q_{x'} + Q_V\lambda)\,g_n = 0$: the first tells it from state and control, the second from the continuation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from heptapod.derivation import certificate
from heptapod.derivation.conditions import tidy, writable
from heptapod.derivation.derive import Derived
from heptapod.derivation.euler_inputs import LAMBDA, EulerInputs, real
from heptapod.derivation.invert import invert
from heptapod.formulas.equation import name_of
from heptapod.parsing.parse import Bounds

_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Beside:
    """One control beside the dynamic one, in sympy.

    **Attributes:** `name`, `bound`; `condition`: zero at the best, in state and control; `at_knot`: the same in the slope of
    the continuation, post-state and control; `inverse`, `knot_inverse`: their solutions, `None` without closed form; `needs`,
    `knot_needs`: other such controls that are unknown when its turn comes, which are solved inside.
    """

    name: str
    bound: Bounds
    condition: sp.Expr
    at_knot: sp.Expr
    inverse: sp.Expr | None = None
    knot_inverse: sp.Expr | None = None
    needs: tuple[str, ...] = ()
    knot_needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intratemporal:
    """All of them.

    **Attributes:** `controls`: in the order in which state and control tell them; `knot_order`: their names in the order in
    which the continuation tells them; `before`: those of them that are known before the dynamic control; `joint`: whether the
    dynamic control's own condition waits for the others, so that all are solved together; `problem`: why this cannot be done.
    """

    controls: tuple[Beside, ...] = ()
    knot_order: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    joint: bool = False
    problem: str | None = None


def intratemporal(stage: EulerInputs, derived: Derived, bounds: Mapping[str, Bounds]) -> Intratemporal:
    """The conditions of the controls beside that of `stage`, and the order in which they are solved.

    **Arguments:** `stage`: the equations, the other controls among its parameters; `derived`: what follows for its own control;
    `bounds`: of the others by name.
    """
    c, m, x = real(stage.control), real(derived.state), real(derived.post)
    g, reward = dict(stage.transition)[derived.post], derived.reward
    held, told = {}, {}
    for name in bounds:
        n = real(name)
        worth = sp.diff(reward, x) + derived.discount * LAMBDA
        # Divided by what a unit of the budget is worth, so that what both margins share drops out.
        ratio = tidy(sp.diff(reward, n) / sp.diff(reward, c))
        by_state = (sp.diff(g, n) - sp.diff(g, c) * ratio).subs(x, g)
        by_slope = sp.diff(reward, n) + worth * sp.diff(g, n)
        if by_slope == 0 or not by_state.has(n):
            return Intratemporal(problem=f"the first-order condition of {name} does not involve it")
        held[name], told[name] = by_state, [_at_knot(e, derived, m) for e in (by_slope, by_state)]
        if not all(map(writable, [by_state, *[e for e in told[name] if e is not None]])):
            return Intratemporal(problem=f"the first-order condition of {name} has no formula")
    found = _ordered(stage, derived, bounds, held, told)
    return found if found.problem else _certified(found, stage, derived)


def _at_knot(condition, derived, m):
    """A condition without the state, which follows from post-state and control; `None` where that has no closed form."""
    if not condition.has(m):
        return condition
    return None if derived.state_inverse is None else condition.subs(m, derived.state_inverse)


def _names(expression) -> set[str]:
    return set() if expression is None else {str(s) for s in expression.free_symbols}


def _sides(bound):
    return _names(bound.lower) | _names(bound.upper)


def _ordered(stage, derived, bounds, held, told):
    """Each control in its turn, by a condition in which all else is known; what is left is solved together."""
    by_state = _by_state(bounds, held)
    waiting, known, before, joint = dict(bounds), False, (), False
    plan: dict[str, tuple[sp.Expr, tuple[str, ...]]] = {}
    first = derived.foc if derived.control_inverse is None else derived.control_inverse
    while waiting or not known:
        if not known and not _names(first) & waiting.keys():
            known, before = True, tuple(plan)
            continue
        ready = _ready(stage.control, waiting, bounds, told, known)
        if ready is not None:
            plan[ready[0]] = ready[1], ()
            del waiting[ready[0]]
        elif not known:
            known, before, joint = True, tuple(plan), True
        else:
            for name in list(waiting):
                del waiting[name]
                condition = next((e for e in told[name] if e is not None), None)
                if condition is None:
                    return Intratemporal(problem=f"the condition of {name} depends on a state that has no closed form")
                plan[name] = condition, tuple(waiting)
    controls = tuple(Beside(n, bounds[n], held[n], plan[n][0], needs=needs, knot_needs=plan[n][1]) for n, needs in by_state)
    return Intratemporal(controls, tuple(plan), before, joint)


def _by_state(bounds, held):
    """(name, controls that it waits for) in the order in which state and control tell them."""
    waiting, order = list(bounds), []
    while waiting:
        alone = lambda n: not (_names(held[n]) | _sides(bounds[n])) & (set(waiting) - {n})
        name = next(filter(alone, waiting), waiting[0])
        waiting.remove(name)
        needs = (_names(held[name]) | _sides(bounds[name])) & set(waiting)
        order.append((name, tuple(n for n in waiting if n in needs)))
    return order


def _ready(control, waiting, bounds, told, known):
    """A control whose condition at a knot, and whose bounds, involve nothing that is not known yet."""
    for i in range(2):
        for name in waiting:
            condition, unknown = told[name][i], waiting.keys() - {name} | (set() if known else {control})
            if condition is not None and not (_names(condition) | _sides(bounds[name])) & unknown:
                return name, condition
    return None


def _certified(found: Intratemporal, stage: EulerInputs, derived: Derived) -> Intratemporal:
    """The same with closed forms that a certificate confirms, or the reason why a condition tells no maximum."""
    points = [make(stage, derived.post) for make in (certificate.near_calibration, certificate.generic)]
    controls = []
    for control in found.controls:
        n, closed = real(control.name), {}
        for key, condition, needs in (("inverse", control.condition, control.needs),
                                      ("knot_inverse", control.at_knot, control.knot_needs)):  # fmt: skip
            inverse = None if needs else _inverse(condition, n)
            if inverse is not None and any(_solves(inverse, condition, control.name, scope) for scope in points):
                closed[key] = inverse
        controls.append(replace(control, **closed))
        if "inverse" in closed and not _falls(control.condition, closed["inverse"], control.name, points[0]):
            return Intratemporal(problem=f"the first-order condition of {control.name} tells no maximum")
    return replace(found, controls=tuple(controls))


def _inverse(condition, n):
    """A conjecture that takes everything as positive; a certificate confirms it."""
    there: dict[Any, sp.Symbol] = {s: sp.Symbol(s.name, positive=True) for s in condition.free_symbols}
    back: dict[Any, Any] = {positive: plain for plain, positive in there.items()}
    positive = condition.subs(there)
    for form in (positive, sp.expand_power_base(positive), _numerator(positive, there[n])):
        inverse = invert(form, there[n])
        if inverse is not None and writable(inverse.subs(back)):
            return inverse.subs(back)
    return None


def _numerator(condition, n):
    """The sum of its terms, the factors that all of them share left out."""
    terms = sp.Add.make_args(sp.expand(sp.expand_power_base(condition)))
    shared = sp.gcd_terms(sp.Add(*terms))
    factors = [f for f in sp.Mul.make_args(sp.powsimp(shared)) if f.has(n) and f.is_Add]
    return factors[0] if len(factors) == 1 else condition


def _at(inverse, name, scope):
    """A scope with the closed form in the place of a control, at the points where that is a number; `None` for none."""
    if any(v is None for v in scope.values()):
        return None
    scope = {**scope, str(LAMBDA): np.exp(np.random.default_rng(2).uniform(-1, 1, certificate.POINTS))}
    solution = certificate.value(inverse, scope)
    return None if solution is None else {**scope, name: solution}


def _solves(inverse, condition, name, scope) -> bool:
    """Whether a condition is zero at the closed form, against the size of its parts."""
    at = _at(inverse, name, scope)
    if at is None:
        return False
    parts = [certificate.value(term, at) for term in sp.Add.make_args(sp.expand_mul(condition, deep=False))]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return False
    with np.errstate(all="ignore"):
        total, size = np.abs(np.sum(known, axis=0)), np.sum(np.abs(known), axis=0)
        tells = np.isfinite(total) & np.isfinite(at[name]) & (size > 0)
        return bool(np.sum(tells) >= certificate.LEAST and np.all(total[tells] <= _TOLERANCE * size[tells]))


def _falls(condition, inverse, name, scope) -> bool:
    """Whether a condition falls in its control at the closed form, near the calibration, as far as numbers tell."""
    at = _at(inverse, name, scope)
    slope = None if at is None else certificate.value(sp.diff(condition, real(name)), at)
    if at is None or slope is None:
        return True
    with np.errstate(all="ignore"):
        tells = np.isfinite(slope) & np.isfinite(at[name])
    return not np.any(tells) or bool(np.mean(slope[tells] < 0) > 0.5)


def described(found: Intratemporal, control: str) -> str:
    """The order of the conditions in words."""
    names = [n for n in found.knot_order if n in found.before]
    after = [n for n in found.knot_order if n not in found.before]
    if found.joint:
        together = " and ".join([control, *after])
        return ", then ".join([*names, f"{together} together"])
    return ", then ".join([*names, name_of(control), *after])
