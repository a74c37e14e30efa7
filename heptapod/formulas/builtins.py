"""The functions that every equation may use: how many arguments they take, and what sympy makes of them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import sympy
from sympy.core.function import ArgumentIndexError

# The expectation over a stage's shocks, written `E[...]` and in no other way.
EXPECT = sympy.Function("E_", real=True)


class normcdf(sympy.Function):
    """The distribution function of the standard normal."""

    nargs = (1,)

    def fdiff(self, argindex=1):
        return sympy.exp(-(operands(self)[0] ** 2) / 2) / sympy.sqrt(2 * sympy.pi)

    def _eval_is_extended_real(self):
        return self.args[0].is_extended_real

    def _eval_is_positive(self):
        return self.args[0].is_extended_real

    def _eval_evalf(self, prec):
        return _numerically(sympy.erfc(-operands(self)[0] / sympy.sqrt(2)) / 2, prec)


class crra(sympy.Function):
    r"""Constant relative risk aversion, $(c^{1-\gamma} - 1)/(1 - \gamma)$, log at $\gamma = 1$.

    The derivative in $c$ is $c^{-\gamma}$; in $\gamma$ it is left to automatic differentiation.
    """

    nargs = (2,)

    def fdiff(self, argindex=1):
        c, gamma = operands(self)
        if argindex == 1:
            return c ** (-gamma)
        raise ArgumentIndexError(self, argindex)

    def _eval_is_extended_real(self):
        return self.args[0].is_positive and self.args[1].is_extended_real

    def _eval_evalf(self, prec):
        c, gamma = operands(self)
        return _numerically(sympy.log(c) if gamma == 1 else (c ** (1 - gamma) - 1) / (1 - gamma), prec)


class cara(sympy.Function):
    r"""Constant absolute risk aversion, $(1 - e^{-ac})/a$, which is $c$ at $a = 0$."""

    nargs = (2,)

    def fdiff(self, argindex=1):
        c, a = operands(self)
        if argindex == 1:
            return sympy.exp(-a * c)
        raise ArgumentIndexError(self, argindex)

    def _eval_is_extended_real(self):
        return self.args[0].is_extended_real and self.args[1].is_extended_real

    def _eval_evalf(self, prec):
        c, a = operands(self)
        return _numerically(c if a == 0 else (1 - sympy.exp(-a * c)) / a, prec)


class crra_inverse(sympy.Function):
    r"""The $c$ whose `crra` is $u$: $(1 + (1-\gamma)u)^{1/(1-\gamma)}$, $e^u$ at $\gamma = 1$; no model can spell it."""

    nargs = (2,)

    def fdiff(self, argindex=1):
        u, gamma = operands(self)
        if argindex == 1:
            return self**gamma
        raise ArgumentIndexError(self, argindex)

    def _eval_is_extended_real(self):
        return self.args[0].is_extended_real and self.args[1].is_extended_real


class cara_inverse(sympy.Function):
    r"""The $c$ whose `cara` is $u$: $-\log(1 - au)/a$, $u$ at $a = 0$; no model can spell it."""

    nargs = (2,)

    def fdiff(self, argindex=1):
        u, a = operands(self)
        if argindex == 1:
            return 1 / (1 - a * u)
        raise ArgumentIndexError(self, argindex)

    def _eval_is_extended_real(self):
        return self.args[0].is_extended_real and self.args[1].is_extended_real


class ces(sympy.Function):
    r"""Constant elasticity of substitution, $(s x^\rho + (1-s) y^\rho)^{1/\rho}$ with $\rho = (\sigma-1)/\sigma$.

    It is $x^s y^{1-s}$ at $\sigma = 1$, and the derivative in $x$ is $s (ces/x)^{1/\sigma}$ for every $\sigma$.
    """

    nargs = (4,)

    def fdiff(self, argindex=1):
        x, y, share, sigma = operands(self)
        if argindex == 1:
            return share * (self / x) ** (1 / sigma)
        if argindex == 2:
            return (1 - share) * (self / y) ** (1 / sigma)
        raise ArgumentIndexError(self, argindex)

    def _eval_is_positive(self):
        return self.args[0].is_positive and self.args[1].is_positive

    def _eval_evalf(self, prec):
        x, y, share, sigma = operands(self)
        rho = 1 - 1 / sigma
        mean = (share * x**rho + (1 - share) * y**rho) ** (1 / rho) if rho != 0 else x**share * y ** (1 - share)
        return _numerically(mean, prec)


def operands(expression: sympy.Basic) -> tuple[Any, ...]:
    """What a part is made of: numbers, or (value, condition) pairs of a `Piecewise`, which sympy types as neither."""
    return expression.args


def _numerically(expression: sympy.Expr, prec: int):
    value = expression._eval_evalf(prec)
    return value if value is not None and value.is_number else None


def ghh(c, l, gamma, phi, psi):
    r"""Greenwood-Hercowitz-Huffman preferences: crra of $c - \psi l^{1+\varphi}/(1+\varphi)$."""
    return crra(c - psi * l ** (1 + phi) / (1 + phi), gamma)


def where(condition, taken, other):
    """`taken` where the condition holds; sympy is kept from solving the condition for a variable."""
    if condition in (sympy.true, sympy.false):
        return taken if condition is sympy.true else other
    return sympy.Piecewise((taken, condition), (other, True), evaluate=False)


def minimum(*args):
    # With many arguments sympy compares every pair, at length.
    return sympy.Min(*args, evaluate=len(args) <= 6)


def maximum(*args):
    return sympy.Max(*args, evaluate=len(args) <= 6)


def clip(x, low, high):
    return sympy.Min(sympy.Max(x, low), high)


# name: (number of arguments, None for one or more; builder).
BUILTINS: Mapping[str, tuple[int | None, Callable]] = MappingProxyType(
    {
        "log": (1, sympy.log),
        "exp": (1, sympy.exp),
        "sqrt": (1, sympy.sqrt),
        "abs": (1, sympy.Abs),
        "sign": (1, sympy.sign),
        "tanh": (1, sympy.tanh),
        "min": (None, minimum),
        "max": (None, maximum),
        "where": (3, where),
        "clip": (3, clip),
        "normcdf": (1, normcdf),
        "crra": (2, crra),
        "cara": (2, cara),
        "ces": (4, ces),
        "ghh": (5, ghh),
    }
)
