"""Formulas in numpy: what reading a model needs to know of its numbers, without starting a backend."""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtr

from heptapod.formulas import preferences
from heptapod.formulas.formula import Formula, Functions, bottom_up, evaluate, names
from heptapod.formulas.freeze import thaw


def _real(x: Any) -> np.ndarray:
    x = np.asarray(x)
    # A negative Python number to a broken power is complex, and no number here.
    return np.where(x.imag == 0, x.real, np.nan) if np.iscomplexobj(x) else x.astype(np.float64)


def _ces(x, y, share, sigma):
    x, y, share, sigma = map(_real, (x, y, share, sigma))
    r = (sigma - 1) / sigma
    safe = np.where(r == 0, 1.0, r)
    general = (share * x**safe + (1 - share) * y**safe) ** (1 / safe)
    return np.where(r == 0, x**share * y ** (1 - share), general)


def _power(base, exponent, guarded: bool, tame: bool):
    return np.power(_real(base), np.float64(exponent) if isinstance(exponent, Fraction) else exponent)


def _heaviside(x):
    return np.where(x > 0, 1.0, 0.0)


def _shielded(function):
    return lambda *args: _real(function(*args))


_PREFERENCES = ("crra", "cara", "crra_inverse", "cara_inverse")
_IN_NUMPY = Functions(
    heads={"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal}
    | {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "where": np.where}
    | {"add": np.add, "min": np.minimum, "max": np.maximum},
    tame={"abs": np.abs, "sign": np.sign, "tanh": np.tanh, "normcdf": ndtr, "heaviside": _heaviside},
    wild={"log": np.log, "exp": np.exp, "sqrt": np.sqrt, "ces": _ces}
    | {name: partial(getattr(preferences, f"{name}_value"), np) for name in _PREFERENCES},
    power=_power,
    times=np.multiply,
    shielded=_shielded,
    real=_real,
    array=np.asarray,
)


def number(formula: Formula | tuple, scope: Mapping) -> np.ndarray:
    """The plain mathematical value in double precision, infinities and NaN included.

    **Arguments:** `formula`; `scope`: a number or an array for every name in it.

    **Raises:** `KeyError` for a name that the scope lacks.
    """
    tree = formula.tree if isinstance(formula, Formula) else formula
    used = formula.names if isinstance(formula, Formula) else names(formula)
    with np.errstate(all="ignore"):
        return evaluate(tree, {name: _real(scope[name]) for name in used}, _IN_NUMPY)


def overflowing(trees: list[tuple], scope: Mapping) -> list[str]:
    """In words, powers and exponentials of finite numbers that are beyond double precision, with the values that make them so.

    **Arguments:** `scope`: a number, or an array over points, for the names; formulas of others are left out.
    """
    found, parts = {}, [part for tree in trees for part in bottom_up(tree)]
    for part in parts:
        power = part[0] == "pow" and part[1][0] not in ("num", "float")
        if not (power or part[:2] == ("call", "exp")) or not names(part) <= set(scope):
            continue
        inside = [number(x, scope) for x in (part[1:] if power else part[2:])]
        with np.errstate(all="ignore"):
            beyond = np.isinf(number(part, scope)) & np.all([np.isfinite(x) for x in np.broadcast_arrays(*inside)], axis=0)
        beyond &= inside[0] != 0 if power else True
        if np.any(beyond):
            at = lambda x, where=np.argmax(beyond), like=beyond: np.broadcast_to(x, like.shape).ravel()[where]
            values = ", ".join(f"{_bare(n)} = {at(scope[n]):g}" for n in sorted(names(part)))
            found[f"`{_bare(str(thaw(part)).replace('**', '^'))}` overflows at {values}"] = None
    return list(found)[:2]  # What follows from them overflows, too.


def _bare(text: str) -> str:
    """Without the tags of perches."""
    return re.sub(r"\[[<~>]\]", "", text)


def singular(trees: list[tuple], scope: Mapping) -> list[str]:
    """In words, the parts of formulas in parameters alone that are divided by and zero, or logarithms of nothing positive."""
    found, stack = {}, list(trees)
    while stack:
        f = stack.pop()
        stack += [x for x in f[1:] if isinstance(x, tuple)]
        inverted = f[0] == "pow" and f[2][0] == "num" and f[2][1] < 0
        logged = f[0] == "call" and f[1] == "log"
        if not (inverted or logged):
            continue
        base: Any = f[1] if inverted else f[2]
        symbols = sorted(names(base))
        if not symbols or any(n not in scope or np.ndim(scope[n]) for n in symbols):
            continue
        value = float(number(base, scope))
        if (inverted and abs(value) < 1e-12) or (logged and value <= 0):
            values = ", ".join(f"`{n}` = {float(scope[n]):g}" for n in symbols)
            found[f"{values} makes a {'denominator zero' if inverted else 'logarithm infinite'}"] = None
    return list(found)
