"""First-order condition, inverse, envelope and inverse budget of a stage, each with a numeric certificate."""

import functools
from dataclasses import dataclass

import numpy as np
import sympy as sp

from heptapod._invert import invert, time_boxed
from heptapod._lower import freeze
from heptapod._numeric import number
from heptapod.equation import SLOPE, VALUE


@dataclass(frozen=True)
class Stated:
    """The equations of a stage as they are written, in sympy.

    **Attributes:** `objective`: $Q$; `transition`: (post-state key, expression) pairs; `control`, its `bounds`; `states`: the
    decision's keys; `defaults`: a number for every parameter, from which certificates start.
    """

    objective: sp.Expr
    transition: tuple[tuple[str, sp.Expr], ...]
    control: str
    lower: sp.Expr | None
    upper: sp.Expr | None
    states: tuple[str, ...]
    defaults: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Derived:
    """What follows from the equations of a stage with one continuous control.

    **Attributes:** expressions in the keys of the stage, `None` where there is no closed form: `foc` (zero at the optimum),
    `control_inverse`, `state_inverse`, `envelope` $dV/dm$, `discount` $Q_V$, `reward`, `utility` (the part of the reward in
    the control alone), `utility_inverse` (of `u`), `trade_off` $g_m/g_c$, `lowest` (the least post-state);
    `post`, `state`: keys; `corner`: the bound that leads there; `problem`: why EGM cannot solve the stage; `notes`.
    """

    post: str | None = None
    state: str | None = None
    foc: sp.Expr | None = None
    control_inverse: sp.Expr | None = None
    state_inverse: sp.Expr | None = None
    envelope: sp.Expr | None = None
    discount: sp.Expr | None = None
    reward: sp.Expr | None = None
    utility: sp.Expr | None = None
    utility_inverse: sp.Expr | None = None
    trade_off: sp.Expr | None = None
    lowest: sp.Expr | None = None
    corner: str = "upper"
    problem: str | None = None
    notes: tuple[str, ...] = ()


V, SLOPE_SYMBOL, UTIL = (sp.Symbol(n, real=True) for n in (VALUE, SLOPE, "u()"))


@functools.lru_cache(maxsize=256)
def derive(stage: Stated) -> Derived:
    r"""Derive what EGM needs from $Q(m, c, x', V)$ and $x' = g(m, c)$.

    The first-order condition at a held post-state is $Q_c + (Q_{x'} + Q_V\lambda)\,g_c = 0$; the envelope is
    $Q_m - Q_c\,g_m/g_c$ (LANGUAGE, "Deriving the solver").
    """
    c = sp.Symbol(stage.control, real=True)
    discount = sp.diff(stage.objective, V)
    if discount.has(V):
        return Derived(problem="the objective is not linear in V[>]")
    if discount == 0:
        return Derived(problem="the objective has no continuation value V[>]")
    moved = [post for post, g in stage.transition if g.has(c)]
    if len(moved) != 1:
        what = f"{len(moved)} post-states move" if moved else "no post-state moves"
        return Derived(problem=f"{what} with the control {stage.control}")
    post = moved[0]
    g, x = dict(stage.transition)[post], sp.Symbol(post, real=True)
    state = _endogenous(stage, post)
    if state is None:
        return Derived(problem="the endogenous state is not unique")
    m = sp.Symbol(state, real=True)
    if discount.has(c):
        return Derived(problem=f"the weight of V[>] depends on the control {stage.control}")
    reward = sp.expand_mul(stage.objective).subs(V, 0)
    parts = _conditions(stage, reward, discount, g, c, m, x)
    return Derived(post=post, state=state, discount=discount, reward=reward, **parts)


def _endogenous(stage, post):
    """The decision state in the active transition and in no other; where the control alone moves it, the one in Q."""
    has = lambda e, s: e.has(sp.Symbol(s, real=True))
    inside = [s for s in stage.states if has(dict(stage.transition)[post], s)]
    others = [g for k, g in stage.transition if k != post]
    own = [s for s in inside if not any(has(g, s) for g in others)]
    if not inside:
        own = [s for s in stage.states if has(stage.objective, s) and not any(has(g, s) for g in others)]
    return own[0] if len(own) == 1 else None


def _conditions(stage, reward, discount, g, c, m, x):
    g_c, g_m = sp.diff(g, c), sp.diff(g, m)
    foc = sp.diff(reward, c) + (sp.diff(reward, x) + discount * SLOPE_SYMBOL) * g_c
    trade_off = _tidy(g_m / g_c)
    envelope = _tidy(sp.diff(reward, m) - sp.diff(reward, c) * trade_off)
    positive = _Positive(stage, c)
    notes = []
    if g.has(m):
        state_inverse = positive.invert(x - g, m)
        by_state = foc.subs(m, state_inverse) if state_inverse is not None else foc
        control_inverse = None if by_state.has(m) else positive.invert(by_state, c)
        problem = "the first-order condition depends on a state that has no closed form" if by_state.has(m) else None
        foc = by_state
    else:
        control_inverse, problem = positive.invert(x - g, c), None
        by_post = foc if control_inverse is None else foc.subs(c, control_inverse)
        state_inverse = positive.invert(by_post, m)
        if control_inverse is None or state_inverse is None:
            problem = f"no closed form for {m} from the first-order condition"
        foc = by_post
    if g.has(sp.Max, sp.Min, sp.Piecewise, sp.Abs):
        problem = problem or "the transition has a kink"
    utility, utility_inverse = _utility(reward, c, positive)
    corner, lowest = _corner(stage, g, g_c, c, positive)
    parts = dict(foc=foc, envelope=envelope, trade_off=trade_off, corner=corner, lowest=lowest, problem=problem)
    parts |= dict(utility=utility, utility_inverse=utility_inverse)
    parts |= _certify(stage, c, m, x, g, foc, control_inverse, state_inverse, reward, notes)
    kink = [p for e in (reward, g) for p in e.atoms(sp.Eq) if not any(str(q).endswith("]") for q in p.free_symbols)]
    if kink:
        notes.append(f"`{kink[0].lhs} == {kink[0].rhs}` gives no derivative in it at equality; crra(c, gamma) and the like do")
    if control_inverse is None or parts["control_inverse"] is None:
        notes.append("no closed form for the control: bracketed Newton on the first-order condition")
    if state_inverse is None or parts["state_inverse"] is None:
        notes.append("no closed form for the state: bracketed Newton on the transition")
    return parts | {"notes": tuple(notes)}


class _Positive:
    """Inversion with parameters and control taken as positive, so that powers simplify; unsound, hence certified."""

    def __init__(self, stage, c):
        # Every parameter, whatever its default: other defaults must lead to the same formulas.
        names = [n for n, _ in stage.defaults]
        if stage.lower is not None and stage.lower.is_nonnegative:
            names.append(c.name)
        self.there = {sp.Symbol(n, real=True): sp.Symbol(n, positive=True) for n in names}
        self.back = {positive: real for real, positive in self.there.items()}

    def invert(self, expression, symbol):
        found = invert(expression.subs(self.there), self.there.get(symbol, symbol))
        return None if found is None else found.subs(self.back)


def _utility(reward, c, positive):
    """The additive part of the reward that depends on the control, if on nothing else that varies within a period."""
    if reward.has(sp.Piecewise):
        part = reward if _only_in(reward, c) else None
        part = part or next((t for t in sp.Add.make_args(reward) if t.has(c)), None)
    else:
        part = sp.Add(*[t for t in sp.Add.make_args(reward) if t.has(c)])
    if part is None or not part.has(c) or not _only_in(part, c):
        return None, None
    inverse = positive.invert(part - UTIL, c)
    return (part, inverse) if inverse is not None else (None, None)


def _only_in(expression, c):
    return not any(s != c and str(s).endswith("]") for s in expression.free_symbols)


def _corner(stage, g, g_c, c, positive):
    """The bound that leads to the lowest post-state, by the sign of $g_c$ at the calibration, and that post-state."""
    sign = _sample(g_c, {c.name: 0.7, **{s: 2.0 for s in stage.states}, **dict(stage.defaults)})
    corner = "upper" if sign is None or sign < 0 else "lower"
    bound = stage.upper if corner == "upper" else stage.lower
    if bound is None:
        return corner, None
    return corner, _tidy(g.subs(c, bound).subs(positive.there)).subs(positive.back)


def _sample(expression, scope):
    try:
        return float(np.ravel(number(freeze(expression), scope))[0])
    except (KeyError, ValueError, TypeError):
        return None


def _tidy(expression):
    """A shorter form when sympy finds one quickly."""
    if expression.has(sp.Piecewise):
        return expression
    simple = time_boxed(lambda: sp.simplify(expression), 0.7)
    return expression if simple is None else simple


def _certify(stage, c, m, x, g, foc, control_inverse, state_inverse, reward, notes):
    """Keep an inverse only if it solves its equation at random points near the calibration."""
    rng = np.random.default_rng(0)
    out = {"control_inverse": control_inverse, "state_inverse": state_inverse}
    points = [_point(stage, rng, c, m, x, g, foc) for _ in range(8)]
    points = [p for p in points if p is not None]
    for name, symbol in (("control_inverse", c), ("state_inverse", m)):
        inverse = out[name]
        if inverse is None:
            continue
        got = [(_sample(inverse, p), p[symbol.name]) for p in points]
        good = [a is not None and np.isfinite(a) and abs(a - b) <= 1e-8 * (1 + abs(b)) for a, b in got]
        if not points or not all(good):
            notes.append(f"the closed form for {symbol.name} failed its numeric certificate and is not used")
            out[name] = None
    return out


def _point(stage, rng, c, m, x, g, foc):
    """A consistent point: control and state at random, the post-state they lead to, the slope at which they are optimal."""
    scope = {n: np.asarray(v, float) * (1 + 0.02 * rng.uniform(-1, 1)) for n, v in stage.defaults}
    scope |= {s: rng.uniform(1.0, 3.0) for s in stage.states}
    low = _sample(stage.lower, scope) if stage.lower is not None else None
    high = _sample(stage.upper, scope) if stage.upper is not None else None
    low, high = (0.1 if low is None else low), (low or 0.0) + 2.0 if high is None else high
    scope[c.name] = low + (high - low) * rng.uniform(0.2, 0.8)
    scope[x.name] = _sample(g, scope)
    if scope[x.name] is None:
        return None
    zero, one = (_sample(foc, {**scope, SLOPE: v}) for v in (0.0, 1.0))
    if None in (zero, one) or one == zero or not np.isfinite(zero + one):
        return None
    scope[SLOPE] = -zero / (one - zero)
    return scope if scope[SLOPE] > 0 else None
