"""Sympy arithmetic that refuses what is not a real number, and what would take forever."""

from collections.abc import Callable

import sympy
from sympy.logic.boolalg import BooleanAtom

from heptapod.errors import Diagnostic, Mark, ModelError

MAX_SIZE, MAX_LEVELS, MAX_EXPONENT, MAX_INNER_EXPONENT, MAX_BITS = 5_000, 150, 1_000, 10_000, 20_000
LARGEST = sympy.Integer(10) ** 100


class Refusal(Exception):
    """A code, a message, a help line, and the name that is not known, if one is not; the parser adds the place."""

    def __init__(self, code: str, message: str, help: str | None = None, about: str | None = None):
        self.code, self.message, self.help, self.about = code, message, help, about

    def at(self, mark: Mark) -> ModelError:
        """The error at its place."""
        return ModelError(Diagnostic(self.code, self.message, mark, self.help, about=self.about))


class Arithmetic:
    """Builds expressions one operation at a time, and checks each of them.

    Sympy folds constants eagerly, so `9**9**9` must be refused before it is built; and an expression is a shared graph
    that grows exponentially when it is walked as a tree, so its size is counted here.
    """

    def __init__(self):
        self._measured: dict[sympy.Basic, tuple[int, int]] = {}

    def literal(self, value: int | float) -> sympy.Expr:
        """A number as an exact rational, so that equations can be solved: 0.96 is 24/25."""
        if value != value:
            raise Refusal("literal", "`nan` is not a real number")
        if isinstance(value, int) and abs(value) > 10**15:
            raise Refusal("literal", "an integer beyond 1e15 is not exact in double precision")
        if value in (float("inf"), float("-inf")):
            return sympy.oo if value > 0 else -sympy.oo
        if value and not 1e-100 < abs(value) < 1e100:
            raise Refusal("literal", "a number must lie between 1e-100 and 1e100")
        return sympy.Integer(value) if isinstance(value, int) else sympy.Rational(repr(float(value)))

    def add(self, a, b):
        return self.checked(number(a) + number(b))

    def subtract(self, a, b):
        return self.checked(number(a) - number(b))

    def multiply(self, a, b):
        return self.checked(number(a) * number(b))

    def divide(self, a, b):
        a, b = number(a), number(b)
        if b == 0:
            raise Refusal("div0", "division by zero is not a real number")
        return self.checked(a / b)

    def power(self, a, b):
        a, b = number(a), number(b)
        self._check_power(a, b)
        return self.checked(a**b)

    def negate(self, a):
        a = number(a)
        return -a if a in (sympy.oo, -sympy.oo) else self.checked(-a)

    def call(self, builder: Callable, *args):
        try:
            return self.checked(builder(*args))
        except (ValueError, TypeError) as error:
            # Sympy's Max and Min raise on complex arguments.
            raise Refusal("literal", f"this is not a real number ({error})") from None

    def compare(self, relation: type, a, b):
        a, b = number(a), number(b)
        # Sympy would turn `0 < c` of a positive c into True, and the constraint would vanish.
        try:
            return self.checked(relation(a, b, evaluate=bool(a.is_number and b.is_number)))
        except TypeError as error:
            raise Refusal("literal", f"numbers that are not real cannot be compared ({error})") from None

    def all(self, parts: list):
        return self._junction(sympy.And, parts, sympy.true, sympy.false)

    def any(self, parts: list):
        return self._junction(sympy.Or, parts, sympy.false, sympy.true)

    def _junction(self, build: type, parts: list, neutral, absorbing):
        parts = [part for part in dict.fromkeys(map(truth, parts)) if part != neutral]
        if absorbing in parts:
            return absorbing
        if len(parts) < 2:
            return parts[0] if parts else neutral
        return self.checked(build(*parts, evaluate=False))

    def negation(self, part):
        part = truth(part)
        return sympy.false if part == sympy.true else sympy.true if part == sympy.false else sympy.Not(part)

    def checked(self, expression):
        """The expression itself, if it is real, finite and of a decent size."""
        self._measure(expression)
        if not isinstance(expression, sympy.Expr) or not expression.is_number:
            return expression
        if expression.is_extended_real is False:
            raise Refusal("literal", f"`{_short(expression)}` is not a real number")
        if isinstance(expression, sympy.Rational):
            if abs(expression) > LARGEST or expression.p.bit_length() + expression.q.bit_length() > 2 * MAX_BITS:
                raise Refusal("literal", "a constant beyond 1e100")
            return expression
        # Safe to evaluate: every part of it has passed here, so there is no tower of exponentials.
        try:
            value = complex(expression.evalf(15, maxn=60))
        except (TypeError, ValueError, OverflowError):
            raise Refusal("literal", "a constant that is not a real number, or beyond 1e100") from None
        if value.imag != 0:
            raise Refusal("literal", f"`{_short(expression)}` is not a real number")
        if not abs(value.real) < 1e100:
            raise Refusal("literal", "a constant beyond 1e100")
        return expression

    def _check_power(self, base: sympy.Expr, exponent: sympy.Expr) -> None:
        powers = [part for part in sympy.Mul.make_args(base) if isinstance(part, sympy.Pow)]
        inner = _largest(exponent) * max([_largest(part.exp) for part in powers] or [1])
        if inner > MAX_INNER_EXPONENT or (exponent.is_number and inner > MAX_EXPONENT):
            raise Refusal("literal", f"a constant beyond {MAX_EXPONENT} in an exponent (9^9^9 and the like)")
        coefficient = base.as_coeff_Mul()[0]
        if not exponent.is_Rational or not isinstance(coefficient, sympy.Rational) or coefficient in (0, 1, -1):
            return
        bits = (coefficient.p.bit_length() + coefficient.q.bit_length()) * abs(exponent)
        if bits > MAX_BITS or abs(sympy.log(abs(coefficient)).evalf(15)) * abs(exponent) > 230:
            raise Refusal("literal", "a constant power beyond 1e100 (9^9^9 and the like)")

    def _measure(self, expression: sympy.Basic) -> tuple[int, int]:
        if expression in self._measured:
            return self._measured[expression]
        if expression in (sympy.zoo, sympy.nan, sympy.I, sympy.oo, -sympy.oo):
            raise Refusal("literal", f"`{_short(expression)}` is not a real number", "log(0), sqrt(-1), 0^(-1) and the like")
        sizes = [self._measure(part) for part in _parts(expression)]
        size = 1 + sum(size for size, _ in sizes), 1 + max((level for _, level in sizes), default=0)
        if size[0] > MAX_SIZE or size[1] > MAX_LEVELS:
            raise Refusal("too-big", f"more than {MAX_SIZE} terms once helpers are written out")
        self._measured[expression] = size
        return size


def number(value) -> sympy.Expr:
    """A value for arithmetic: a truth value becomes 0 or 1."""
    if isinstance(value, sympy.Expr):
        return value
    if isinstance(value, BooleanAtom):
        return sympy.Integer(1 if value else 0)
    return sympy.Piecewise((sympy.Integer(1), value), (sympy.Integer(0), True), evaluate=False)


def truth(value):
    """A value for logic: a number is true where it is not zero."""
    if not isinstance(value, sympy.Expr):
        return value
    return sympy.Ne(value, 0, evaluate=bool(value.is_number))


def _parts(expression: sympy.Basic) -> tuple:
    # An infinite bound may be compared with, `c < inf`, and nothing else.
    infinite = (sympy.oo, -sympy.oo)
    return tuple(p for p in expression.args if not (isinstance(expression, sympy.core.relational.Relational) and p in infinite))


def _largest(exponent: sympy.Expr):
    return max([abs(part) for part in exponent.atoms(sympy.Rational)] or [sympy.Integer(1)])


def _short(expression) -> str:
    return str(expression)[:60]
