"""Formulas in numpy: what reading a model needs to know of its numbers, without starting a backend."""

from collections.abc import Mapping
from functools import reduce

import numpy as np
from scipy.special import ndtr

from heptapod.formulas.formula import Formula, names

_COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
_FOLD = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
_LOGIC = {"and": np.logical_and, "or": np.logical_or}


def _crra(c, gamma):
    x = (1 - gamma) * np.log(c)
    return np.log(c) * np.where(x == 0, 1.0, np.expm1(x) / np.where(x == 0, 1.0, x))


def _cara(c, a):
    return np.where(a == 0, c, -np.expm1(-a * c) / np.where(a == 0, 1.0, a))


def _crra_inverse(u, gamma):
    r = 1 - gamma
    return np.where(r == 0, np.exp(u), np.power(1 + r * u, 1 / np.where(r == 0, 1.0, r)))


def _cara_inverse(u, a):
    return np.where(a == 0, u, -np.log1p(-a * u) / np.where(a == 0, 1.0, a))


def _ces(x, y, share, sigma):
    r = (sigma - 1) / sigma
    safe = np.where(r == 0, 1.0, r)
    general = (share * x**safe + (1 - share) * y**safe) ** (1 / safe)
    return np.where(r == 0, x**share * y ** (1 - share), general)


def _ghh(c, l, gamma, phi, psi):
    return _crra(c - psi * l ** (1 + phi) / (1 + phi), gamma)


_CALL = {
    "log": np.log,
    "exp": np.exp,
    "abs": np.abs,
    "sign": np.sign,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "normcdf": ndtr,
    "heaviside": lambda x: np.where(x > 0, 1.0, 0.0),
    "crra": _crra,
    "cara": _cara,
    "crra_inverse": _crra_inverse,
    "cara_inverse": _cara_inverse,
    "ces": _ces,
    "ghh": _ghh,
}


def number(formula: Formula | tuple, scope: Mapping) -> np.ndarray:
    """The plain mathematical value in double precision, infinities and NaN included.

    **Arguments:** `formula`; `scope`: a number or an array for every name in it.

    **Raises:** `KeyError` for a name that the scope lacks.
    """
    tree = getattr(formula, "tree", formula)
    with np.errstate(all="ignore"):
        return np.asarray(_walk(tree, scope))


def _walk(f, scope):
    head = f[0]
    if head == "num":
        return np.float64(f[1]) / f[2]
    if head == "float":
        return np.float64(f[1])
    if head == "sym":
        return np.asarray(scope[f[1]], dtype=np.float64)
    if head in ("true", "false"):
        return np.bool_(head == "true")
    if head == "call":
        arguments = [_walk(x, scope) for x in f[2:]]
        # A user's own function knows JAX only.
        return np.asarray(f[1](*arguments), np.float64) if callable(f[1]) else _CALL[f[1]](*arguments)
    arguments = [_walk(x, scope) for x in f[1:]]
    if head in _FOLD:
        return reduce(_FOLD[head], [np.asarray(x, np.float64) for x in arguments])
    if head == "pow":
        return np.power(np.asarray(arguments[0], np.float64), np.asarray(arguments[1], np.float64))
    if head == "where":
        return np.where(*arguments)
    if head in _LOGIC:
        return reduce(_LOGIC[head], arguments)
    if head == "not":
        return np.logical_not(arguments[0])
    return _COMPARE[head](*arguments)


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
        base = f[1] if inverted else f[2]
        symbols = sorted(names(base))
        if not symbols or any(n not in scope or np.ndim(scope[n]) for n in symbols):
            continue
        value = float(number(base, scope))
        if (inverted and abs(value) < 1e-12) or (logged and value <= 0):
            values = ", ".join(f"`{n}` = {float(scope[n]):g}" for n in symbols)
            found[f"{values} makes a {'denominator zero' if inverted else 'logarithm infinite'}"] = None
    return list(found)
