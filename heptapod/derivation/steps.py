"""Steps of algebra, each tried on expressions under a fixed size only: what is derived depends on the text alone."""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import sympy as sp
from sympy.polys.polyerrors import BasePolynomialError

# Parts of an expression written out as a tree; terms of one multiplied out; sides of its conditions, folded together.
PARTS, TERMS, SIDES = 3_000, 400, 64
# A fraction in lowest terms: its parts, terms of numerator and denominator, and products that the powers of its variables
# can form, by which common divisors are sought.
_FRACTION, _SPREAD, _PRODUCTS = 300, 60, 4_000
KINKS = (sp.Max, sp.Min, sp.Piecewise, sp.Abs, sp.sign, sp.Heaviside)
_ENDLESS = 10**9
_FAILURES = (NotImplementedError, ValueError, TypeError, ArithmeticError, AttributeError, BasePolynomialError)
_LEFT: contextvars.ContextVar[dict[str, None] | None] = contextvars.ContextVar("left", default=None)


@contextlib.contextmanager
def noting() -> Iterator[dict[str, None]]:
    """Collects, as its keys, in words, the steps that are left out inside since an expression is too large for them."""
    left: dict[str, None] = {}
    token = _LEFT.set(left)
    try:
        yield left
    finally:
        _LEFT.reset(token)


def step(name: str, change: Callable[[sp.Basic], Any], expression: sp.Basic, *, parts=PARTS, terms=TERMS, sides=SIDES) -> Any:
    """What `change` makes of an expression; `None` where the expression is too large, which is noted, or sympy cannot do it.

    **Arguments:** `name`: the step as `explain` and `check` call it, e.g. "cancelling"; `parts`, `terms`, `sides`: the most
    that the expression may have.
    """
    reason = _too_large(expression, parts, terms, sides)
    if reason is None:
        try:
            return change(expression)
        except _FAILURES:  # sympy says in many ways that it cannot.
            return None
    _note(name, reason)
    return None


def lowest_terms(expression: sp.Expr) -> sp.Expr:
    """A fraction without common divisors; the expression itself where it is too large for that."""
    large = _fraction_too_large(expression) if small(expression, _FRACTION) else None
    if large is not None:
        _note("cancelling", large)
        return expression
    found = step("cancelling", sp.cancel, expression, parts=_FRACTION, terms=_SPREAD)
    return expression if found is None else found


def small(expression: sp.Basic, most: int = PARTS) -> bool:
    """Whether an expression has few enough parts, written out as a tree, to be worked on."""
    return sum(1 for _ in islice(sp.preorder_traversal(expression), most + 1)) <= most


def multiplied_out(expression: sp.Expr) -> int:
    """How many terms the largest part of an expression has once everything in it is multiplied out."""
    return _terms(expression, {})[1]


def folded(expression: sp.Basic) -> int:
    """How many sides an expression has once its conditions, minima and maxima stand outside."""
    sides = 1
    for part in {part for kind in KINKS for part in expression.atoms(kind)}:
        sides = min(sides * max(2, len(part.args)), _ENDLESS)
    return sides


def _note(name, reason):
    left = _LEFT.get()
    if left is not None:
        left[f"{name} was left out, since an expression has more than {reason}"] = None


def _fraction_too_large(expression) -> str | None:
    if multiplied_out(expression) > _SPREAD:
        return f"{_SPREAD} terms when multiplied out"
    fraction = sp.fraction(sp.together(expression))
    if max(map(multiplied_out, fraction)) > _SPREAD:
        return f"{_SPREAD} terms over one denominator"
    try:
        polynomials, _ = sp.parallel_poly_from_expr(fraction)
    except _FAILURES:
        return None
    degrees = zip(*[polynomial.degree_list() for polynomial in polynomials], strict=True)
    products = math.prod(1 + max(0, *pair) for pair in degrees)
    return f"{_PRODUCTS} products of powers over one denominator" if products > _PRODUCTS else None


def _too_large(expression, parts, terms, sides) -> str | None:
    if not small(expression, parts):
        return f"{parts} parts"
    if folded(expression) > sides:
        return f"{sides} sides of conditions"
    return f"{terms} terms when multiplied out" if multiplied_out(expression) > terms else None


def _terms(expression, known) -> tuple[int, int]:
    """The terms of an expression that is multiplied out, and the most that any part of it has."""
    if expression in known:
        return known[expression]
    inside = [_terms(part, known) for part in expression.args]
    own = 1
    if expression.is_Add:
        own = sum(count for count, _ in inside)
    elif expression.is_Mul:
        own = math.prod(count for count, _ in inside)
    elif expression.is_Pow and expression.exp.is_Integer and inside[0][0] > 1:
        power = min(abs(int(expression.exp)), _ENDLESS)
        own = math.comb(inside[0][0] + power - 1, power) if power < TERMS * TERMS else _ENDLESS
    own = min(own, _ENDLESS)
    known[expression] = own, max([own, *[most for _, most in inside]])
    return known[expression]
