"""Solving one equation for one symbol by a fixed list of patterns, and never a guess."""

from typing import Any

import sympy as sp
from sympy.polys.polyroots import roots_cubic

from heptapod.derivation.steps import lowest_terms, step
from heptapod.formulas.builtins import cara, cara_inverse, crra, crra_inverse, operands

# What an inverse is sought for is smaller than what is merely differentiated.
_PARTS, _TERMS = 1_000, 200
# Powers of a fraction that are multiplied out; roots of polynomials of a higher degree have no formula that anybody reads.
_DEGREE = 3


def invert(expression: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """The one `symbol` at which `expression` is zero, or `None` where no unique closed form was found.

    Tried in this order, each once: the patterns $A s^p + k$, $A\\log s + k$, $A e^{ps} + k$, those of `crra` and `cara`, and
    straight lines; two powers or exponentials of which one is divided by the other; a product of powers of which one root
    makes a fraction; a sum of logarithms of which the exponential is one; a fraction in the symbol, or in one power or
    exponential of it, whose numerator has degree three at most.
    The branch is taken that is right for a positive base; the result is a conjecture that a numeric certificate must confirm.
    """
    if not expression.has(symbol):
        return None
    return step("solving for a variable", lambda e: _inverted(e, symbol), expression, parts=_PARTS, terms=_TERMS)


def _inverted(expression, symbol):
    if expression.has(sp.Piecewise):
        return _by_branch(expression, symbol)
    for attempt in (_by_pattern, _by_root, _by_logarithms, _by_fraction):
        found = attempt(expression, symbol)
        if found is not None:
            return found
    return None


def _by_branch(expression, symbol):
    """Invert a conditional branch by branch, when no condition depends on the symbol."""
    folded = sp.piecewise_fold(expression)
    if not isinstance(folded, sp.Piecewise):
        return None
    if any(condition.has(symbol) for _, condition in operands(folded) if condition is not sp.true):
        return None
    parts = [(invert(branch, symbol), condition) for branch, condition in operands(folded)]
    return None if any(part is None for part, _ in parts) else sp.Piecewise(*parts, evaluate=False)


def _by_pattern(expression, s):
    """Collect the terms in `s`; one kind of term in one straight line of `s` has an inverse that is known."""
    terms = sp.Add.make_args(sp.expand_mul(sp.expand_log(expression, force=True), deep=False))
    constant = sp.Add(*[t for t in terms if not t.has(s)])
    split = [_split(t, s) for t in terms if t.has(s)]
    kinds = [kind for kind in split if kind is not None]
    if not kinds or len(kinds) < len(split):
        return None
    if len({kind[:3] for kind in kinds}) == 2 and constant == 0:
        kinds, constant = _divided(kinds)
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


def _split(term, s) -> tuple[str, Any, Any, Any] | None:
    """(kind, inner function $L(s)$, exponent, coefficient) of a term $A L^p$, $A\\log L$ or $A e^L$.

    The exponent of a term $A\\,crra(L, \\gamma)$ or $A\\,cara(L, a)$ is its second argument.
    """
    coefficient: Any = sp.Integer(1)
    found: tuple[str, Any, Any] | None = None
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


def _divided(kinds):
    """$A L^p + B L^q = 0$ as $L^{p-q} + B/A = 0$, and $A e^L + B e^M = 0$ as $e^{L-M} + B/A = 0$; (kinds, constant)."""
    (head, line, power), other = dict.fromkeys(kind[:3] for kind in kinds)
    ours = sp.Add(*[a for *kind, a in kinds if tuple(kind) == (head, line, power)])
    theirs = sp.Add(*[a for *kind, a in kinds if tuple(kind) == other])
    if head == other[0] == "power" and line == other[1]:
        return [("power", line, lowest_terms(power - other[2]), sp.Integer(1))], theirs / ours
    if head == other[0] == "exp":
        return [("exp", sp.expand_mul(line - other[1]), power, sp.Integer(1))], theirs / ours
    return kinds, sp.Integer(0)


def _by_root(expression, s):
    """$A\\,N^p/D^p + k$, as of $\\sqrt{(s + x)/s}$: the $p$-th root of $-k/A$ leaves a fraction in $s$."""
    terms = sp.Add.make_args(sp.expand_mul(expression, deep=False))
    moving = [t for t in terms if t.has(s)]
    if len(moving) != 1:
        return None
    factors = [f.as_base_exp() for f in sp.Mul.make_args(_powers(moving[0]))]
    inside = [(base, power) for base, power in factors if base.has(s)]
    if len(inside) < 2 or any(power.has(s) for _, power in factors):
        return None
    root = inside[0][1]
    powers = [lowest_terms(power / root) for _, power in inside]
    if root == 1 or not all(power.is_Integer and abs(power) <= _DEGREE for power in powers):
        return None
    rest = sp.Mul(*[base**power for base, power in factors if not base.has(s)])
    target = -sp.Add(*[t for t in terms if not t.has(s)]) / rest
    product = sp.Mul(*[base**power for (base, _), power in zip(inside, powers, strict=True)])
    return _by_fraction(product - target ** (1 / root), s)


def _by_logarithms(expression, s):
    """$A\\,(\\log N - \\log D) + k$: the exponential of $-k/A$ is a fraction in $s$."""
    terms = sp.Add.make_args(sp.expand_mul(sp.expand_log(expression, force=True), deep=False))
    moving = [t.as_independent(s, as_Add=False) for t in terms if t.has(s)]
    if len(moving) < 2 or not all(isinstance(logarithm, sp.log) for _, logarithm in moving):
        return None
    first = moving[0][0]
    powers = [lowest_terms(factor / first) for factor, _ in moving]
    if not all(power.is_Integer and abs(power) <= _DEGREE for power in powers):
        return None
    target = -sp.Add(*[t for t in terms if not t.has(s)]) / first
    product = sp.Mul(*[logarithm.args[0] ** power for (_, logarithm), power in zip(moving, powers, strict=True)])
    return _by_fraction(product - sp.exp(target), s)


def _by_fraction(expression, s):
    """The root of the numerator, a polynomial in `s` or in one power or exponential of `s`."""
    inner = _kernel(expression, s)
    if inner is None:
        return _root(expression, s)
    kernel, reduced, y = inner
    reached = None if reduced is None or reduced.has(s) else _root(reduced, y)
    return None if reached is None else _by_pattern(kernel - reached, s)


def _kernel(expression, s):
    """(kernel, expression in `y`, `y`) where `s` stands in powers and exponentials of one kernel; `None` where in none."""
    own = sorted({e for e in expression.atoms(sp.exp) | expression.atoms(sp.Pow) if e.has(s)}, key=sp.default_sort_key)
    own = [e for e in own if isinstance(e, sp.exp) or not e.exp.is_Integer]
    if not own:
        return None
    first, y = own[0], sp.Dummy("y", positive=True)
    base = first.as_base_exp()[0]
    ratios: list[Any] = [lowest_terms(e.as_base_exp()[1] / first.as_base_exp()[1]) for e in own]
    if any(e.as_base_exp()[0] != base for e in own) or not all(ratio.is_Rational for ratio in ratios):
        return first, None, y
    # The kernel of which all are whole powers, e.g. sqrt(s) of sqrt(s) and s^(3/2).
    common = sp.Rational(1, sp.ilcm(1, *[ratio.q for ratio in ratios]))
    powers = {e: y ** (ratio / common) for e, ratio in zip(own, ratios, strict=True)}
    return base ** (first.as_base_exp()[1] * common), expression.xreplace(powers), y


def _root(expression, s):
    """The one root that may be real and positive of a fraction whose numerator is a polynomial of low degree."""
    numerator = sp.fraction(lowest_terms(sp.together(expression)))[0]
    if not numerator.is_polynomial(s):
        return None
    polynomial = sp.Poly(numerator, s)
    if polynomial.degree() == 1:
        a, b = polynomial.all_coeffs()
        return lowest_terms(-b / a)
    roots = [root for root in _roots(polynomial) if root.is_real is not False and root.is_negative is not True]
    roots = [root for root in roots if not root.has(sp.I)]
    return roots[0] if len(roots) == 1 else None


def _roots(polynomial):
    """The roots of a polynomial of degree two or three, each once; none of another."""
    if polynomial.degree() == 3:
        return roots_cubic(polynomial)
    if polynomial.degree() != 2:
        return ()
    a, b, c = polynomial.all_coeffs()
    spread = sp.sqrt(b**2 - 4 * a * c)
    return dict.fromkeys(sp.expand((-b + sign * spread) / (2 * a)) for sign in (1, -1))
