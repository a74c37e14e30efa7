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
    """Collect the terms in `s`; one kind of term has an inverse that is known."""
    terms = sp.Add.make_args(sp.expand_mul(sp.expand_log(expression, force=True)))
    constant = sp.Add(*[t for t in terms if not t.has(s)])
    moving = [t for t in terms if t.has(s)]
    kinds = [_split(t, s) for t in moving]
    if not kinds or any(kind is None for kind in kinds):
        return None
    if len({(head, power) for head, power, _ in kinds}) != 1:
        return None
    head, power, _ = kinds[0]
    target = -constant / sp.Add(*[a for _, _, a in kinds])
    if head == "power":
        return target if power == 1 else sp.powsimp(target ** (1 / power))
    if head == "log":
        return sp.exp(target)
    return sp.log(target) / power


def _split(term, s):
    """(kind, exponent or rate, coefficient) of a term $A s^p$, $A\\log s$ or $A e^{ps}$."""
    coefficient, power = sp.Integer(1), sp.Integer(0)
    kind = None
    for factor in sp.Mul.make_args(sp.powsimp(sp.powdenest(term, force=True), force=True)):
        if not factor.has(s):
            coefficient *= factor
            continue
        base, exponent = factor.as_base_exp()
        if base == s and not exponent.has(s) and kind in (None, "power"):
            kind, power = "power", power + exponent
        elif isinstance(factor, sp.log) and factor.args[0] == s and kind is None:
            kind, power = "log", sp.Integer(1)
        elif isinstance(factor, sp.exp) and kind is None:
            rate, rest = sp.Poly(factor.args[0], s).all_coeffs() if factor.args[0].is_polynomial(s) else (None, None)
            if rate is None or sp.degree(factor.args[0], s) != 1:
                return None
            kind, power, coefficient = "exp", rate, coefficient * sp.exp(rest)
        elif base.is_polynomial(s) and sp.degree(base, s) == 1:
            return None
        else:
            return None
    return None if kind is None or power == 0 else (kind, power, coefficient)


def _by_solve(expression, symbol):
    solutions = [sp.powdenest(x) for x in sp.solve(sp.Eq(expression, 0), symbol)]
    real = [x for x in solutions if x.is_real is not False and x.is_negative is not True and not x.has(sp.I)]
    return real[0] if len(real) == 1 else None
