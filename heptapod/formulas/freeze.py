"""Sympy to frozen formulas and back, by walking the tree; `lambdify` prints source and executes it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from heptapod.formulas import builtins
from heptapod.formulas.builtins import operands
from heptapod.formulas.foreign import Foreign, Opaque, applied
from heptapod.formulas.formula import Formula

_CALLS: dict[type, str] = {
    sympy.log: "log",
    sympy.exp: "exp",
    sympy.Abs: "abs",
    sympy.sign: "sign",
    sympy.tanh: "tanh",
    builtins.normcdf: "normcdf",
    builtins.crra: "crra",
    builtins.cara: "cara",
    builtins.crra_inverse: "crra_inverse",
    builtins.cara_inverse: "cara_inverse",
    builtins.ces: "ces",
    builtins.EXPECT: "E_",
}
# Order means nothing to these, so sympy's canonical order is imposed: one expression, one formula.
_FOLDS: dict[type, str] = {
    sympy.Add: "add",
    sympy.Mul: "mul",
    sympy.Min: "min",
    sympy.Max: "max",
    sympy.And: "and",
    sympy.Or: "or",
}
_ORDERED: dict[type, str] = {
    sympy.StrictLessThan: "lt",
    sympy.LessThan: "le",
    sympy.StrictGreaterThan: "gt",
    sympy.GreaterThan: "ge",
    sympy.Eq: "eq",
    sympy.Ne: "ne",
    sympy.Not: "not",
}
_BACK: dict[str, Callable] = {head: build for build, head in (_FOLDS | _ORDERED).items()}
_BACK_CALLS: dict[str, Callable] = {name: build for build, name in _CALLS.items()} | {
    "heaviside": sympy.Heaviside,
}


def freeze(expr: sympy.Basic) -> Formula:
    """The formula of an expression: the same expression gives the same tuple, in every process.

    **Arguments:**

    - `expr`: a sympy expression or condition; a part without a formula, e.g. a `Derivative`, is a `ValueError`.
    """
    return Formula(_frozen(expr, {}))


def thaw(formula: Formula | tuple, symbols: Mapping[str, sympy.Symbol] | None = None) -> Any:
    """The expression of a formula, a number or a condition.

    **Arguments:**

    - `formula`: what `freeze` gave.
    - `symbols`: the symbols to use; any other name becomes a real one.
    """
    return _thawed(formula.tree if isinstance(formula, Formula) else formula, symbols or {}, {})


def _frozen(expr: sympy.Basic, known: dict[sympy.Basic, tuple]) -> tuple:
    # One tuple for equal parts, so that evaluation recognises them.
    if expr not in known:
        known[expr] = _freeze(expr, known)
    return known[expr]


def _freeze(expr: sympy.Basic, known: dict[sympy.Basic, tuple]) -> tuple:
    kind = type(expr)
    if isinstance(expr, sympy.Symbol):
        return ("sym", expr.name)
    if expr in (sympy.true, sympy.false):
        return ("true",) if expr == sympy.true else ("false",)
    if isinstance(expr, sympy.core.numbers.Number | sympy.NumberSymbol):
        return _number(expr)
    if kind in _FOLDS:
        return (_FOLDS[kind], *(_frozen(arg, known) for arg in sorted(expr.args, key=sympy.default_sort_key)))
    if kind in _ORDERED:
        return (_ORDERED[kind], *(_frozen(arg, known) for arg in expr.args))
    if kind in _CALLS:
        return ("call", _CALLS[kind], *(_frozen(arg, known) for arg in expr.args))
    if kind is Opaque:
        handle, *args = operands(expr)
        return ("call", handle.foreign, *(_frozen(arg, known) for arg in args))
    if isinstance(expr, sympy.Pow):
        return ("pow", _frozen(expr.base, known), _frozen(expr.exp, known))
    if isinstance(expr, sympy.Piecewise):
        return _branches(expr, known)
    if kind is sympy.ITE:
        test, taken, other = (_frozen(arg, known) for arg in expr.args)
        return ("or", ("and", test, taken), ("and", ("not", test), other))
    if kind is sympy.Heaviside:
        return ("call", "heaviside", _frozen(expr.args[0], known))
    if kind is sympy.DiracDelta:
        return ("num", 0, 1)  # The kink itself has no width.
    name = f"the undeclared function {expr.func}" if isinstance(expr, AppliedUndef) else kind.__name__
    raise ValueError(f"{name} has no formula: `{str(expr)[:80]}`")


def _number(expr: sympy.Expr) -> tuple:
    if isinstance(expr, sympy.Rational):
        number = ("num", int(expr.p), int(expr.q))
        if abs(expr) > sympy.Float(1.7e308):
            raise ValueError("a number beyond double precision has no formula")
        return number
    if expr is sympy.E:
        return ("call", "exp", ("num", 1, 1))
    if expr is sympy.nan:
        return ("float", "nan")  # As text: nan differs from itself, and formulas are compared by value.
    return ("float", float(expr))


def _branches(expr: sympy.Piecewise, known: dict[sympy.Basic, tuple]) -> tuple:
    formula = ("float", "nan")
    for value, condition in reversed(operands(expr)):
        if condition == sympy.true:
            formula = _frozen(value, known)
        else:
            formula = ("where", _frozen(condition, known), _frozen(value, known), formula)
    return formula


def _thawed(formula: tuple, symbols: Mapping[str, sympy.Symbol], known: dict[int, sympy.Basic]):
    if id(formula) not in known:
        known[id(formula)] = _thaw(formula, symbols, known)
    return known[id(formula)]


def _thaw(formula: tuple, symbols: Mapping[str, sympy.Symbol], known: dict[int, sympy.Basic]):
    head = formula[0]
    if head == "num":
        return sympy.Rational(formula[1], formula[2])
    if head == "float":
        value = float(formula[1])
        if value == math.pi:
            return sympy.pi
        return sympy.nan if value != value else sympy.Float(value) if abs(value) < float("inf") else sympy.oo * value
    if head == "sym":
        return symbols[formula[1]] if formula[1] in symbols else sympy.Symbol(formula[1], real=True)
    if head in ("true", "false"):
        return sympy.true if head == "true" else sympy.false
    args: list[Any] = [_thawed(part, symbols, known) for part in formula[2 if head == "call" else 1 :]]
    if head == "call" and isinstance(formula[1], Foreign):
        return applied(formula[1], *args)
    if head == "call":
        if formula[1] not in _BACK_CALLS:
            raise ValueError(f"`{formula[1]}` is not a function that formulas know")
        return _BACK_CALLS[formula[1]](*args)
    if head == "pow":
        return sympy.Pow(*args)
    if head == "where":
        return builtins.where(*args)
    if head not in _BACK:
        raise ValueError(f"`{head}` is not the head of a formula")
    # A condition stays as it was written: sympy would fold `0 < c` of a positive c into True.
    return _BACK[head](*args, evaluate=False) if head in ("lt", "le", "gt", "ge", "eq", "ne") else _BACK[head](*args)
