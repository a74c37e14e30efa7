"""The bounds of several controls that spend one budget, so that the bound of one of them exhausts it."""

from collections.abc import Mapping
from dataclasses import replace

import sympy as sp

from heptapod.derivation.euler_inputs import real
from heptapod.derivation.invert import invert
from heptapod.parsing.parse import Bounds


def without_redundant(bounds: Mapping[str, Bounds], control: str) -> dict[str, Bounds]:
    """The bounds in the form in which that of `control` alone exhausts the budget.

    A bound $x \\le m - c$ says of `control` $c$ that $c \\le m - x$; a bound $x \\le m$ beside $c \\le m - x$ says no more than
    that $c$ is not negative, and neither does $c \\le m$ beside it.
    """
    found, c = dict(bounds), real(control)
    for name, bound in bounds.items():
        own = found[control]
        if name == control:
            continue
        n = real(name)
        if bound.upper is not None and bound.upper.has(c) and (own.upper is None or not own.upper.has(n)):
            most = invert(bound.upper - n, c)
            if most is not None and (own.upper is None or _same(most.subs(n, _or(bound.lower, n)), own.upper)):
                found[control] = replace(own, upper=most, upper_strict=bound.upper_strict)
                found[name] = replace(bound, upper=None, upper_strict=False)
        elif bound.upper is not None and own.upper is not None and own.upper.has(n) and own.lower is not None:
            most = invert(own.upper - own.lower, n)
            if most is not None and _same(most, bound.upper):
                found[name] = replace(bound, upper=None, upper_strict=False)
    return found


def _or(expression, other):
    return other if expression is None else expression


def _same(one, other) -> bool:
    return sp.simplify(one - other) == 0
