"""Reading what a stage is worth: the objective given the continuation value, and the value on arrival."""

from dataclasses import replace

import sympy as sp

from heptapod.formulas.builtins import EXPECT
from heptapod.formulas.equation import VALUE, Aggregator, Integrands, mean_key, real
from heptapod.formulas.freeze import freeze
from heptapod.parsing.parse import Scope
from heptapod.parsing.python import split_linear
from heptapod.parsing.reader import Path, Reader
from heptapod.stage.draws import Draws
from heptapod.stage.scope import StageScope


def read_arrival(scope: StageScope, draws: Draws) -> tuple[Aggregator, Integrands, sp.Expr] | None:
    """`A` as an aggregator of expectations and the integrands inside them; `E[V]` when it is not given."""
    value, path = real("V"), scope.place("A")
    expression = EXPECT(value)
    if path is not None:
        seen = scope.perches(("arvl",), draws.dimensions, path, "A", expect=True, poisoned=draws.poisoned)
        expression = scope.reader.expression(path, replace(seen, symbols={**seen.symbols, "V": value}))
        if expression is None:
            return None
        if not isinstance(expression, sp.Expr):
            return scope.reader.error("type", "the value on arrival is a condition, and no number", path, "e.g. A: E[V]")
        inner = [e.args[0] for e in expression.atoms(EXPECT)]
        outside = expression.subs({e: 0 for e in expression.atoms(EXPECT)}, simultaneous=True)
        loose = [str(s) for s in outside.free_symbols if s == value or str(s) in draws.dimensions]
        if loose or not any(e.has(value) for e in inner):
            what = f"`{loose[0]}` stands outside `E[...]`" if loose else "no `E[...]` holds the value `V`"
            scope.reader.error("objective", f"A of stage {scope.name}: {what}", path, "e.g. A: E[V]", key=True)
            return None
    inside = sorted(expression.atoms(EXPECT), key=str)
    means = {e: real(mean_key(i)) for i, e in enumerate(inside)}
    aggregator = Aggregator(freeze(expression.xreplace(means)))
    return aggregator, Integrands(tuple(freeze(e.args[0]) for e in inside)), expression


_V = real(VALUE)
_HELP = "e.g. Q: u(c) + beta*V[>]"


def read_value(reader: Reader, path: Path, seen: Scope, what: str) -> sp.Expr | None:
    """An expression with `V[>]` in it; `None` after an error.

    **Arguments:** `seen`: the names that it may use; `what` it is, for messages.
    """
    value = reader.expression(path, replace(seen, symbols={**seen.symbols, "V@cntn": _V}))
    if value is None:
        return None
    if not isinstance(value, sp.Expr):
        return reader.error("type", "the objective is a condition, and no number", path, _HELP)
    split = split_linear(value, (_V,))
    if not split.has(_V):
        return reader.error("objective", f"{what} has no continuation value `V[>]`", path, _HELP, key=True)
    return split
