"""First-order condition, inverse, envelope and inverse budget of a stage, each with a numeric certificate."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from heptapod.derivation import certificate
from heptapod.derivation.conditions import Derivation, writable
from heptapod.derivation.euler_inputs import UTIL, EulerInputs, V, real
from heptapod.derivation.kept import kept
from heptapod.derivation.steps import noting, step
from heptapod.formulas.equation import key, name_of, perch_of


@dataclass(frozen=True)
class Derived:
    """What follows from the equations of a stage with one continuous control.

    **Attributes:** expressions in the keys of the stage, `None` where there is no closed form: `foc` (zero at the optimum),
    `control_inverse`, `state_inverse`, `slope` $dV/dm$, `discount` $Q_V$, `reward`, `utility` (the part of the reward in
    the control alone), `utility_inverse` (of `u`), `trade_off` $g_m/g_c$, `lowest` (the least post-state);
    `objective`: $Q$ with passive post-states written out; `post`, `state`: keys, empty where EGM cannot solve the stage;
    `corner`: the bound that leads there;
    `kinks`: values of the active post-state at which transition or reward change their branch; `has_kinks`: whether there
    is any, there or elsewhere in the reward; `problem`: why EGM cannot solve the stage; `notes`; `left_out`: steps of the
    derivation for which an expression is too large, in words.
    """

    post: str = ""
    state: str = ""
    foc: sp.Expr | None = None
    control_inverse: sp.Expr | None = None
    state_inverse: sp.Expr | None = None
    slope: sp.Expr | None = None
    discount: sp.Expr = sp.S.Zero
    reward: sp.Expr = sp.S.Zero
    utility: sp.Expr | None = None
    utility_inverse: sp.Expr | None = None
    trade_off: sp.Expr | None = None
    lowest: sp.Expr | None = None
    objective: sp.Expr = sp.S.Zero
    kinks: tuple[sp.Expr, ...] = ()
    has_kinks: bool = False
    corner: str = "upper"
    problem: str | None = None
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        told = {
            n: getattr(self, n) for n in ("problem", "foc", "control_inverse", "state_inverse", "slope", "utility", "lowest")
        }
        lines = [f"  {name}: {x}"[:118] for name, x in told.items() if x is not None]
        return "\n".join([f"Derived: from {self.state or 'no state'} to {self.post or 'no post-state'}", *lines])


@functools.lru_cache(maxsize=256)
def derive(stage: EulerInputs) -> Derived:
    r"""Derive what EGM needs from $Q(m, c, x', V)$ and $x' = g(m, c)$.

    The first-order condition at a held post-state is $Q_c + (Q_{x'} + Q_V\lambda)\,g_c = 0$; the envelope is
    $Q_m - Q_c\,g_m/g_c$ (LANGUAGE, "Deriving the solver"). Formulas come from the text alone; numbers of the calibration
    only confirm them.
    """
    found = _from_text(stage.text)
    return found if found.problem else _certified(found, stage)


@functools.lru_cache(maxsize=256)
def _from_text(stage: EulerInputs) -> Derived:
    return kept(stage, _derived, Derived)


def _derived(stage: EulerInputs) -> Derived:
    with noting() as left:
        found = _formulas(stage)
    return replace(found, left_out=tuple(left))


def _formulas(stage):
    c, transition = real(stage.control), dict(stage.transition)
    moved = [post for post, g in stage.transition if g.has(c)]
    if len(moved) != 1:
        what = f"{len(moved)} post-states move" if moved else "no post-state moves"
        which = f": {' and '.join(map(name_of, moved))}" if moved else ""
        return Derived(problem=f"{what} with the control {stage.control}{which}")
    post = moved[0]
    objective = stage.objective.subs({real(k): e for k, e in transition.items() if k != post}, simultaneous=True)
    discount, state = sp.diff(objective, V), _endogenous(stage, objective, post)
    problem = _objection(stage, discount, state, post)
    if problem or state is None:
        return Derived(problem=problem)
    reward = without_continuation(objective)
    derivation = Derivation(stage, reward, discount, transition[post], c, real(state), real(post))
    parts = derivation.parts()
    needed = [parts[n] for n in ("foc", "slope", "trade_off", "lowest") if parts.get(n) is not None]
    if not all(map(writable, needed)):
        return Derived(problem="a derivative that it needs has no formula")
    return Derived(post=post, state=state, discount=discount, reward=reward, objective=objective, **parts)


def without_continuation(objective: sp.Expr) -> sp.Expr:
    """What an objective that is linear in V[>] gives at once, as a sum of terms."""
    spread = step("multiplying the objective out", sp.expand_mul, objective)
    return (objective if spread is None else spread).subs(V, 0)


def _objection(stage, discount, state, post):
    """Why the endogenous grid method cannot solve a stage, whatever its first-order condition."""
    if discount.has(V):
        return "the objective is not linear in V[>]"
    if discount == 0:
        return "the objective has no continuation value V[>]"
    if state is None:
        return "the endogenous state is not unique"
    if discount.has(real(stage.control)):
        return f"the weight of V[>] depends on the control {stage.control}"
    return f"the weight of V[>] depends on the post-state {name_of(post)}" if discount.has(real(post)) else None


def separate(objective: sp.Expr, transition: Mapping[str, sp.Expr], controls: tuple[str, ...]) -> str | None:
    """The control whose first-order condition, given the post-states, involves no other; `None` if there is no such one.

    $Q_s + \\sum_j (Q_{x_j} + Q_V \\lambda_j)\\,\\partial x_j/\\partial s = 0$ must be free of the other controls and of the
    decision states, as for a portfolio share that only the continuation sees.
    """
    discount = sp.diff(objective, V)
    if discount.has(V) or discount == 0 or any(discount.has(real(c)) for c in controls):
        return None
    for name in controls:
        s, others = real(name), [c for c in controls if c != name]
        condition = sp.diff(objective, s)
        for i, (post, g) in enumerate(transition.items()):
            condition += (sp.diff(objective, real(key(post, "cntn"))) + discount * real(f"lambda_{i}")) * sp.diff(g, s)
        loose = [v for v in condition.free_symbols if perch_of(str(v)) == "dcsn" or str(v) in others]
        if not loose and condition != 0:
            return name
    return None


def _endogenous(stage, objective, post):
    """The decision state in the active transition and in no other; where the control alone moves it, the one in Q.

    Of several the one without a grid is meant.
    """
    inside = [s for s in stage.states if dict(stage.transition)[post].has(real(s))]
    others = [g for k, g in stage.transition if k != post]
    own = [s for s in inside if not any(g.has(real(s)) for g in others)]
    if not inside:
        own = [s for s in stage.states if objective.has(real(s)) and not any(g.has(real(s)) for g in others)]
    own = [s for s in own if s not in stage.passive] if len(own) > 1 else own
    return own[0] if len(own) == 1 else None


def _certified(found: Derived, stage: EulerInputs) -> Derived:
    """The same without what no certificate confirms, and with the corner that the calibration decides."""
    derivation = Derivation(stage, found.reward, found.discount, dict(stage.transition)[found.post], real(stage.control),
                            real(found.state), real(found.post))  # fmt: skip
    condition = derivation.condition(derivation.g)
    points = [make(stage, found.post) for make in (certificate.near_calibration, certificate.generic)]
    optimal = [certificate.optimal(p, condition, derivation.c) for p in points]
    reached = [certificate.consistent(p, (stage.control, found.state, found.post)) for p in points]
    parts: dict[str, Any] = {}
    notes, by_transition = [], reached if derivation.g.has(derivation.m) else optimal
    for name, at, scopes in (("control_inverse", stage.control, optimal), ("state_inverse", found.state, by_transition)):
        if getattr(found, name) is not None and not certificate.holds(getattr(found, name), at, scopes):
            notes.append(f"the closed form for {name_of(at)} failed its numeric certificate and is not used")
            parts[name] = None
    if found.utility is not None and found.utility_inverse is not None:
        utility = (UTIL.name, found.utility)
        if not certificate.holds(found.utility_inverse, stage.control, reached, utility):
            parts |= dict(utility=None, utility_inverse=None)
    if found.corner is None:
        sign = certificate.value(sp.diff(derivation.g, derivation.c), points[0])
        corner = "lower" if sign is not None and np.nanmedian(sign) > 0 else "upper"
        parts |= dict(corner=corner, lowest=derivation.at_bound(corner))
    found = replace(found, **parts)
    problem = _refusal(found, derivation, points)
    if problem:
        return Derived(problem=problem, left_out=found.left_out)
    if derivation.kinked:  # Conditions of a side that is never reached have their edges, too.
        lasting = derivation.bends[0]
        found = replace(found, kinks=tuple(k for k in found.kinks if k in lasting or _turns(found, k, points)))
    return replace(found, notes=(*notes, *_notes(found, derivation)))


def _refusal(found, derivation, points):
    """Why EGM cannot do without a closed form that was not found, or with a transition that jumps."""
    lacks = None in (found.control_inverse, found.state_inverse)
    if lacks and not derivation.g.has(derivation.m):
        return f"no closed form for {name_of(found.state)} from the first-order condition"
    if not derivation.kinked:
        return None
    if lacks:
        return "the inverses of a kinked transition failed their numeric certificate"
    for kink in found.kinks:
        below, above = _beside(found, kink, points[0], 0.0)
        if below is None or above is None or np.nanmax(np.abs(above - below)) > 1e-4:
            return f"the transition jumps where {name_of(found.post)} passes {kink}"
    return None


def _beside(found, kink, scope, change):
    """The inverse transition just below and just above a post-state, or, with `change`, how it changes on either side."""
    at, h = certificate.value(kink, scope), 1e-7 if change == 0 else change
    if at is None:
        return None, None
    seen = [certificate.value(found.state_inverse, {**scope, found.post: at + k * h}) for k in (-2, -1, 1, 2)]
    known = [v for v in seen if v is not None]
    if len(known) < len(seen):
        return None, None
    return (known[1], known[2]) if change == 0 else (known[1] - known[0], known[3] - known[2])


def _turns(found, kink, points):
    """Whether the transition changes its slope there, for any parameters tried."""
    for scope in points:
        below, above = _beside(found, kink, scope, 1e-4)
        if below is None or above is None or np.any(np.abs(above - below) > 1e-8):
            return True
    return False


def _notes(found, derivation):
    reward, g, notes = derivation.reward, derivation.g, []
    if found.kinks:
        places = ", ".join(str(k) for k in found.kinks)
        notes.append(f"kinks where {name_of(found.post)} is {places}: two knots there")
    equal = [p for e in (reward, g) for p in sorted(e.atoms(sp.Eq), key=sp.default_sort_key)]
    equal = [p for p in equal if not any(perch_of(str(q)) for q in p.free_symbols)]
    if equal:
        shown = f"{equal[0].lhs} == {equal[0].rhs}"
        notes.append(f"`{shown}` gives no derivative in it at equality; crra(c, gamma) and the like do")
    if found.control_inverse is None:
        notes.append("no closed form for the control: bracketed Newton on the first-order condition")
    if found.state_inverse is None:
        notes.append("no closed form for the state: bracketed Newton on the transition")
    return notes
