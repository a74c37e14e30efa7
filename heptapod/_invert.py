"""Solving one equation for one symbol: patterns first, sympy in a time box second, and never a guess."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import sympy as sp

SECONDS = 1.5


def invert(expression: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """The one `symbol` at which `expression` is zero, or `None` where no unique closed form was found.

    Patterns $A s^p + k$, $A\\log s + k$, $A e^{ps} + k$ and straight lines answer at once and take the branch that is
    right for a positive base; the result is a conjecture that a numeric certificate must confirm.
    """
    if not expression.has(symbol):
        return None
    if expression.has(sp.Piecewise):
        return _by_branch(expression, symbol)
    found = _by_pattern(expression, symbol)
    if found is None:
        found = time_boxed(lambda: _by_solve(expression, symbol))
    return found


def time_boxed(work: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """The result of `work`, or `None` if it raised or took longer; works in any thread."""
    box = []

    def run():
        try:
            box.append(work())
        except (Exception, _TimeUp):  # sympy raises nearly everything.
            box.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        # The search is abandoned: an exception raised inside it at its next bytecode ends the thread.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TimeUp))
        return None
    return box[0] if box else None


class _TimeUp(BaseException):
    pass


def _by_branch(expression, symbol):
    """Invert a conditional branch by branch, when no condition depends on the symbol."""
    folded = time_boxed(lambda: sp.piecewise_fold(expression))
    if not isinstance(folded, sp.Piecewise):
        return None
    if any(condition.has(symbol) for _, condition in folded.args if condition is not sp.true):
        return None
    parts = [(invert(branch, symbol), condition) for branch, condition in folded.args]
    return None if any(part is None for part, _ in parts) else sp.Piecewise(*parts, evaluate=False)


def _by_pattern(expression, s):
    """Collect the terms in `s`; one kind of term in one straight line of `s` has an inverse that is known."""
    terms = sp.Add.make_args(sp.expand_mul(sp.expand_log(expression, force=True), deep=False))
    constant = sp.Add(*[t for t in terms if not t.has(s)])
    kinds = [_split(t, s) for t in terms if t.has(s)]
    if not kinds or any(kind is None for kind in kinds):
        return None
    if len({kind[:3] for kind in kinds}) != 1:
        return None
    head, line, power, _ = kinds[0]
    target = -constant / sp.Add(*[a for *_, a in kinds])
    if head == "power":
        reached = target if power == 1 else sp.powsimp(target ** (1 / power))
    else:
        reached = sp.exp(target) if head == "log" else sp.log(target)
    slope = line.coeff(s)
    return (reached - line.subs(s, 0)) / slope


def _split(term, s):
    """(kind, line $L(s)$, exponent, coefficient) of a term $A L^p$, $A\\log L$ or $A e^L$ with $L$ linear in `s`."""
    coefficient, found = sp.Integer(1), None
    for factor in sp.Mul.make_args(sp.powsimp(sp.powdenest(term, force=True), force=True)):
        if not factor.has(s):
            coefficient *= factor
            continue
        base, exponent = factor.as_base_exp()
        if isinstance(factor, sp.exp):
            kind, line, power = "exp", factor.args[0], sp.Integer(1)
        elif isinstance(factor, sp.log):
            kind, line, power = "log", factor.args[0], sp.Integer(1)
        else:
            kind, line, power = "power", base, exponent
        line = sp.expand_mul(line)
        if power.has(s) or not line.is_polynomial(s) or sp.degree(line, s) != 1:
            return None
        if found is None:
            found = (kind, line, power)
        elif kind == found[0] == "power" and line == found[1]:
            found = (kind, line, found[2] + power)
        elif kind == found[0] == "exp":
            found = (kind, found[1] + line, power)
        else:
            return None
    if found is None or found[2] == 0 or found[1].coeff(s) == 0:
        return None
    kind, line, power = found
    if kind == "exp":  # What does not move with s belongs to the coefficient, so that terms of one rate can be collected.
        rest = line.subs(s, 0)
        return kind, line - rest, power, coefficient * sp.exp(rest)
    return kind, line, power, coefficient


def _by_solve(expression, symbol):
    solutions = [sp.powdenest(x) for x in sp.solve(sp.Eq(expression, 0), symbol)]
    real = [x for x in solutions if x.is_real is not False and x.is_negative is not True and not x.has(sp.I)]
    return real[0] if len(real) == 1 else None
