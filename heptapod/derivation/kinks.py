"""Transitions and rewards with kinks: what holds on each side, and where in the post-state the sides meet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import sympy as sp

from heptapod.derivation.invert import invert
from heptapod.derivation.steps import KINKS, lowest_terms, step
from heptapod.formulas.builtins import operands

_MOST = 12
_LOST = "the side of a kink in the transition cannot be told from the post-state"


@dataclass(frozen=True)
class Joined:
    """A kinked transition solved side by side.

    **Attributes:** `foc`, `control_inverse`, `state_inverse`: conditionals on the post-state; `trade_off`: one on state and
    control; `kinks`: the post-states at which sides meet; `problem`: why it cannot be solved, or `None`.
    """

    foc: sp.Expr | None = None
    control_inverse: sp.Expr | None = None
    state_inverse: sp.Expr | None = None
    trade_off: sp.Expr | None = None
    kinks: tuple[sp.Expr, ...] = ()
    problem: str | None = None


def sides(g: sp.Expr, c: sp.Symbol, m: sp.Symbol) -> tuple[tuple[sp.Expr, sp.Basic], ...] | None:
    """(transition, condition) pairs in the order in which they are asked, one pair where nothing that moves has a kink.

    `None` where the sides could not be told apart.
    """
    if not any(part.has(c, m) for kind in KINKS for part in g.atoms(kind)):
        return ((g, sp.true),)
    folded = _folded(g)
    if not isinstance(folded, sp.Piecewise):
        return None if folded is None else ((folded, sp.true),)
    pairs = operands(folded)
    if not any(q.has(c, m) for _, q in pairs):
        return ((g, sp.true),)
    return pairs if len(pairs) <= _MOST and pairs[-1][1] == sp.true else None


def join(branches: tuple, solve: Callable, c: sp.Symbol, m: sp.Symbol, x: sp.Symbol) -> Joined:
    """Each side solved by itself; the post-state says on which side it lies.

    **Arguments:** `solve`: of a transition without kinks, gives (condition, control's inverse, state's inverse, problem).
    """
    solved, tests, kinks = [], [], []
    for i, (branch, _) in enumerate(branches):
        foc, control_inverse, state_inverse, problem = solve(branch)
        if problem or control_inverse is None or state_inverse is None:
            return Joined(problem=_LOST)
        # A side is where its own condition holds and none of those before it, all asked at its own inverse.
        asked = [_side(q, control_inverse, state_inverse, branch, c, m) for _, q in branches[: i + 1]]
        side = _and([asked[i], *[sp.Not(q) for q in asked[:i]]]) if i + 1 < len(branches) else sp.true
        if any(q.has(c, m) for q in asked):
            return Joined(problem=_LOST)
        solved.append((foc, control_inverse, state_inverse))
        tests.append(side)
        kinks += [edge for q in asked for edge in edges(q, x)]
    if None in kinks:
        return Joined(problem="the place of a kink in the transition has no closed form")
    together = lambda values, tests: sp.Piecewise(*zip(values, tests, strict=True), evaluate=False)
    foc, control_inverse, state_inverse = (together([each[i] for each in solved], tests) for i in range(3))
    trade = [lowest_terms(sp.diff(b, m) / sp.diff(b, c)) for b, _ in branches]
    trade_off = trade[0] if len(set(trade)) == 1 else together(trade, [q for _, q in branches])
    kinks = tuple(dict.fromkeys(kinks))
    return Joined(foc=foc, control_inverse=control_inverse, state_inverse=state_inverse, trade_off=trade_off, kinks=kinks)


def edges(condition: sp.Basic, x: sp.Symbol) -> list[sp.Expr | None]:
    """The post-states at which a condition on the post-state may change; `None` for one without closed form."""
    relations = [r for r in condition.atoms(sp.core.relational.Relational) if r.has(x)]
    found = [invert(left - right, x) for left, right in map(operands, sorted(relations, key=sp.default_sort_key))]
    return [None if e is None else lowest_terms(e) for e in found]


def bends(reward: sp.Expr, c: sp.Symbol, m: sp.Symbol, x: sp.Symbol) -> tuple[tuple[sp.Expr, ...], bool]:
    """Post-states at which the reward has a kink, and whether it has any that moves with the post-state."""
    parts = sorted({p for kind in KINKS for p in reward.atoms(kind) if _turns(p, x)}, key=sp.default_sort_key)
    found = []
    for part in parts:
        whole = _folded(part)
        conditions = [q for _, q in operands(whole)] if isinstance(whole, sp.Piecewise) else []
        found += [edge for q in conditions for edge in edges(q, x)]
    alone = [e for e in found if e is not None and not e.has(c, m)]
    return tuple(dict.fromkeys(alone)), bool(parts)


def _folded(expression):
    """An expression with its conditions outside, or `None`."""
    return step(
        "telling the sides of kinks apart", lambda e: sp.piecewise_fold(e.rewrite(sp.Piecewise)), expression, parts=1_000
    )


def _turns(part, x):
    """Whether the post-state decides between the sides of a part."""
    if isinstance(part, sp.Piecewise):
        return any(q.has(x) for _, q in operands(part))
    return part.has(x)


def _and(conditions):
    """A conjunction; sympy is kept from solving its parts."""
    parts = [q for q in conditions if q is not sp.true]
    return parts[0] if len(parts) == 1 else cast(Callable, sp.And)(*parts, evaluate=False)


def _side(condition, control_inverse, state_inverse, branch, c, m):
    """A condition of the transition as one on the post-state, simplified so that state and control drop out."""
    if condition in (sp.true, sp.false):
        return condition
    # Where the control alone moves the post-state, its inverse takes the place of the state's.
    at = condition.subs(m, state_inverse) if branch.has(m) else condition.subs(c, control_inverse)
    plain = lambda r: r.func(_without(r.lhs - r.rhs, c, m), 0, evaluate=False)
    return at.replace(lambda e: isinstance(e, sp.core.relational.Relational), plain)


def _without(expression, c, m):
    """An expression in a form in which state and control drop out, if they do."""
    plain = step("multiplying out", sp.expand, expression, parts=1_000)
    if plain is None:
        return expression
    return lowest_terms(plain) if plain.has(c, m) else plain
