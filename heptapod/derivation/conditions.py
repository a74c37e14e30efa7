"""The formulas of a stage that has one post-state, one endogenous state and one control that move together."""

import sys
from typing import Any

import sympy as sp

from heptapod.derivation.euler_inputs import LAMBDA, UTIL, V, real
from heptapod.derivation.invert import invert
from heptapod.derivation.kinks import bends, join, sides
from heptapod.derivation.steps import lowest_terms, small, step
from heptapod.formulas.equation import name_of
from heptapod.formulas.freeze import freeze


class Derivation:
    """The formulas of one stage that has a unique post-state, state and control."""

    def __init__(self, stage, reward, discount, g, c, m, x):
        self.stage, self.reward, self.discount, self.g = stage, reward, discount, g
        self.c, self.m, self.x = c, m, x
        # Powers simplify when parameters and control are positive: unsound, hence certified. Every parameter, whatever its
        # default: other defaults must lead to the same formulas.
        names = [*stage.parameters, *([c.name] if stage.lower is not None and stage.lower.is_nonnegative else [])]
        self.there: dict[Any, sp.Symbol] = {real(n): sp.Symbol(n, positive=True) for n in names}
        self.back: dict[Any, sp.Symbol] = {positive: plain for plain, positive in self.there.items()}

    @property
    def kinked(self) -> bool:
        """Whether the transition has several sides."""
        return len(sides(self.g, self.c, self.m) or ()) > 1

    @property
    def bends(self) -> tuple[tuple[sp.Expr, ...], bool]:
        """Kinks of the reward in the post-state, and whether there is any."""
        return bends(self.reward, self.c, self.m, self.x)

    def parts(self) -> dict[str, Any]:
        """The formulas by their names in `Derived`, or the `problem` alone."""
        c, m, x, g, reward = self.c, self.m, self.x, self.g, self.reward
        branches = sides(g, c, m)
        if branches is None:
            return dict(problem="the sides of a kink in the transition cannot be told apart")
        kinks, bent = self.bends
        if len(branches) > 1:
            joined = join(branches, self.solve, c, m, x)
            if joined.problem:
                return dict(problem=joined.problem)
            foc, control_inverse, state_inverse, trade_off = (
                joined.foc, joined.control_inverse, joined.state_inverse, joined.trade_off)  # fmt: skip
            kinks, bent = (*joined.kinks, *[k for k in kinks if k not in joined.kinks]), True
        else:
            g = next(g for g, _ in branches)
            foc, control_inverse, state_inverse, problem = self.solve(g)
            if problem:
                return dict(problem=problem)
            trade_off = _merged(tidy(sp.diff(g, m) / sp.diff(g, c)))
        envelope = sp.diff(reward, m) + sp.diff(self.discount, m) * V - sp.diff(reward, c) * trade_off
        utility, utility_inverse = self.utility()
        corner, lowest = self.corner()
        found = dict(foc=foc, control_inverse=control_inverse, state_inverse=state_inverse, trade_off=trade_off)
        found |= dict(kinks=kinks, has_kinks=bent, slope=_merged(tidy(envelope)), corner=corner, lowest=lowest)
        return found | dict(utility=utility, utility_inverse=utility_inverse)

    def condition(self, g):
        """The first-order condition in state, control, post-state and slope."""
        slope = sp.diff(self.reward, self.x) + self.discount * LAMBDA
        return _merged(sp.diff(self.reward, self.c) + slope * sp.diff(g, self.c))

    def solve(self, g):
        """The first-order condition at a held post-state, its solution for the control, the transition's for the state."""
        c, m, x, foc = self.c, self.m, self.x, self.condition(g)
        if not foc.has(c):
            return None, None, None, f"the first-order condition does not involve the control {c}: it is at one of its bounds"
        if g.has(m):
            state_inverse = self.invert(x - g, m)
            by_state = foc.subs(m, state_inverse) if state_inverse is not None else foc
            if by_state.has(m):
                return foc, None, None, "the first-order condition depends on a state that has no closed form"
            return by_state, self.invert(by_state, c), state_inverse, None
        control_inverse = self.invert(x - g, c)
        by_post = foc if control_inverse is None else foc.subs(c, control_inverse)
        state_inverse = self.invert(by_post, m)
        problem = None
        if control_inverse is None or state_inverse is None:
            problem = f"no closed form for {name_of(str(m))} from the first-order condition"
        return by_post, control_inverse, state_inverse, problem

    def invert(self, expression, symbol: sp.Symbol):
        """A conjecture that takes parameters and control as positive."""
        found = invert(expression.subs(self.there), self.there.get(symbol, symbol))
        found = None if found is None else _merged(found.subs(self.back))
        return found if found is not None and writable(found) else None

    def utility(self):
        """The additive part of the reward that depends on the control, if on nothing else that varies within a row."""
        part = sp.Add(*[t for t in sp.Add.make_args(self.reward) if t.has(self.c)])
        if not part.has(self.c) or part.has(self.m, self.x):
            return None, None
        inverse = self.invert(part - UTIL, self.c)
        return (part, inverse) if inverse is not None else (None, None)

    def corner(self):
        """The bound that leads to the lowest post-state, and that post-state, as far as signs of parameters tell."""
        sign = sp.diff(self.g, self.c).subs(self.there)
        if sign.is_positive is None and sign.is_negative is None:
            return None, None
        corner = "lower" if sign.is_positive else "upper"
        return corner, self.at_bound(corner)

    def at_bound(self, corner):
        """The post-state where the control meets a bound."""
        bound = self.stage.upper if corner == "upper" else self.stage.lower
        if bound is None:
            return None
        reached = self.g.subs(self.c, bound)
        plain = _without(reached, self.m)
        # Where the state seems to stay, positive parameters may cancel it, as in sqrt(p^2).
        return _without(reached.subs(self.there), self.m).subs(self.back) if plain.has(self.m) else plain


def writable(expression: sp.Basic) -> bool:
    """Whether every part of an expression has a formula; a derivative that sympy left standing, or LambertW, has none."""
    try:
        return small(expression) and freeze(expression) is not None
    except ValueError:
        return False


def _merged(expression):
    """Powers of one base in a product as one power, c^(1-gamma)/c as c^(-gamma), which has no 0/0."""
    merged = step("merging powers", lambda e: e.replace(lambda part: part.is_Mul, sp.powsimp), expression, terms=_ANY)
    return expression if merged is None else merged


# Forms of an expression, with the most terms, multiplied out, of one that is brought into it.
_ANY = sys.maxsize
_FORMS = (
    ("multiplying out", sp.expand, 300),
    ("merging powers", sp.powsimp, _ANY),
    ("factoring out", sp.factor_terms, _ANY),
    ("cancelling", lowest_terms, _ANY),
    ("cancelling", lambda e: lowest_terms(sp.powsimp(sp.expand(e))), 300),
)
_STRONGER = (
    ("merging roots", lambda e: sp.powdenest(sp.expand(e), force=True), 300),
    ("cancelling", lambda e: lowest_terms(sp.expand_log(sp.expand(e), force=True)), 300),
)


def tidy(expression):
    """The shortest of a few plain forms."""
    if expression.has(sp.Piecewise):
        return expression
    forms = [expression, *_forms(expression, _FORMS)]
    return min((form for form in forms if writable(form)), key=sp.count_ops, default=expression)


def _forms(expression, forms):
    """An expression in every form for which it is small enough."""
    found = [step(name, change, expression, parts=300, terms=terms) for name, change, terms in forms]
    return [form for form in found if form is not None]


def _without(expression, symbol):
    """The same in a form in which a symbol drops out, if there is one."""
    plain = tidy(expression)
    if not plain.has(symbol) or plain.has(sp.Piecewise):
        return plain
    return next((form for form in _forms(plain, _STRONGER) if not form.has(symbol) and writable(form)), plain)
