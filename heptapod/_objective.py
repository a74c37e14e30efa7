"""Reading what a decision is worth, given the continuation value: what is maximised, and what is recorded."""

import sympy as sp

from heptapod._express import split_linear
from heptapod._parse import Scope
from heptapod._tree import Path, Reader
from heptapod.equation import VALUE

_V = sp.Symbol(VALUE, real=True)
_HELP = "e.g. Q: u(c) + beta*V[>]"


def read_value(reader: Reader, path: Path, seen: Scope, what: str) -> sp.Expr | None:
    """An expression with `V[>]` in it; `None` after an error.

    **Arguments:** `seen`: the names that it may use; `what` it is, for messages.
    """
    seen.symbols["V@cntn"] = _V
    value = reader.expression(path, seen)
    if value is None:
        return None
    if not isinstance(value, sp.Expr):
        return reader.error("type", "the objective is a condition, and no number", path, _HELP)
    value = split_linear(value, (_V,))
    if not value.has(_V):
        return reader.error("objective", f"{what} has no continuation value `V[>]`", path, _HELP, key=True)
    return value
