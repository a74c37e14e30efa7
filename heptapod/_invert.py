"""Solving one equation for one symbol: patterns first, sympy in a time box second, and never a guess."""

import contextlib
import contextvars
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import sympy as sp

from heptapod.builtins import cara, cara_inverse, crra, crra_inverse

SECONDS = 0.6
LARGEST = 3_000
# Whoever waits gives up after this many times the seconds of work, on a machine that has other things to do.
_PATIENCE = 5
_LEFT: contextvars.ContextVar[list[float]] = contextvars.ContextVar("left")


@contextlib.contextmanager
def budget(seconds: float) -> Iterator[None]:
    """All time boxes inside share this many seconds of work."""
    token = _LEFT.set([seconds])
    try:
        yield
    finally:
        _LEFT.reset(token)


def small(expression: sp.Basic, most: int = LARGEST) -> bool:
    """Whether an expression has few enough parts, written out as a tree, to be worked on."""
    return sum(1 for _ in islice(sp.preorder_traversal(expression), most + 1)) <= most


def invert(expression: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """The one `symbol` at which `expression` is zero, or `None` where no unique closed form was found.

    Patterns $A s^p + k$, $A\\log s + k$, $A e^{ps} + k$, those of `crra` and `cara`, and straight lines answer at once and
    take the branch that is right for a positive base; the result is a conjecture that a numeric certificate must confirm.
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
    """The result of `work`, or `None` if it raised or took longer than this, or than the budget; works in any thread.

    Seconds are those of the processor, so that the formulas of a model do not depend on what else the machine does.
    """
    left = _LEFT.get([seconds])
    seconds = min(seconds, left[0])
    if seconds <= 0:
        return None
    box, context = [], contextvars.copy_context()

    def run():
        sys.settrace(_clock(seconds))
        try:
            box.append(context.run(work))
        except (Exception, _TimeUp):  # sympy raises nearly everything.
            box.append(None)
        finally:
            sys.settrace(None)
            left[0] -= time.thread_time()

    # A thread of its own, since one long step inside sympy's C parts would hold up whoever waits for it.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_PATIENCE * seconds)
    return box[0] if box else None


def _clock(seconds: float) -> Callable:
    """A trace that ends a search at one of sympy's next calls after so much work; nothing else is interrupted."""
    calls = 0

    def trace(frame, event, arg):
        del event, arg  # Calls alone are traced.
        nonlocal calls
        calls += 1
        late = calls % 32 == 0 and time.thread_time() > seconds
        # A generator may be called to be closed, where nobody would catch anything.
        mine = late and not frame.f_code.co_flags & inspect.CO_GENERATOR
        if mine and frame.f_globals.get("__name__", "").startswith("sympy."):
            raise _TimeUp
        calls -= late  # The next call is asked, too, until one of sympy's comes.

    return trace


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
    elif head in _BUILT_IN:
        reached = _BUILT_IN[head](target, power)
    else:
        reached = sp.exp(target) if head == "log" else sp.log(target)
    if not (line.is_polynomial(s) and sp.degree(line, s) == 1):
        # One function of another: the outer one is undone first, if there is one.
        return None if (head, power) == ("power", 1) else _by_pattern(line - reached, s)
    return (reached - line.subs(s, 0)) / line.coeff(s)


# Utilities that are built in are inverted by functions of their own, right at their limits.
_BUILT_IN = {"crra": crra_inverse, "cara": cara_inverse}


def _split(term, s):
    """(kind, inner function $L(s)$, exponent, coefficient) of a term $A L^p$, $A\\log L$ or $A e^L$.

    The exponent of a term $A\\,crra(L, \\gamma)$ or $A\\,cara(L, a)$ is its second argument.
    """
    coefficient, found = sp.Integer(1), None
    for factor in sp.Mul.make_args(_powers(term)):
        if not factor.has(s):
            coefficient *= factor
            continue
        base, exponent = factor.as_base_exp()
        if isinstance(factor, sp.exp):
            kind, line, power = "exp", factor.args[0], sp.Integer(1)
        elif isinstance(factor, sp.log):
            kind, line, power = "log", factor.args[0], sp.Integer(1)
        elif isinstance(factor, (crra, cara)):
            kind, line, power = type(factor).__name__, *factor.args
        else:
            kind, line, power = "power", base, exponent
        line = sp.expand_mul(line)
        if power.has(s):
            return None
        if found is None:
            found = (kind, line, power)
        elif kind == found[0] == "power" and line == found[1]:
            found = (kind, line, found[2] + power)
        elif kind == found[0] == "exp":
            found = (kind, found[1] + line, power)
        else:
            return None
    if found is None or (found[2] == 0 and found[0] not in _BUILT_IN):
        return None
    kind, line, power = found
    if kind == "exp":  # What does not move with s belongs to the coefficient, so that terms of one rate can be collected.
        rest = line.subs(s, 0)
        return kind, line - rest, power, coefficient * sp.exp(rest)
    return kind, line, power, coefficient


def _powers(term):
    """A product with every base standing once: (c^a d^b)^g/c is c^(a*g - 1) d^(b*g)."""
    apart = sp.expand_power_base(sp.powdenest(term, force=True), force=True)
    return sp.powsimp(sp.powdenest(apart, force=True), combine="exp", force=True)


def _by_solve(expression, symbol):
    solutions = [sp.powdenest(x) for x in sp.solve(sp.Eq(expression, 0), symbol)]
    real = [x for x in solutions if x.is_real is not False and x.is_negative is not True and not x.has(sp.I)]
    return real[0] if len(real) == 1 else None
