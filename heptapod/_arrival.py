"""Reading the value on arrival: expectations of the decision's value, and what is made of them."""

import sympy as sp

from heptapod._draws import Draws
from heptapod._lower import freeze
from heptapod._stage_scope import StageScope
from heptapod.builtins import EXPECT
from heptapod.equation import Aggregator, Integrands, mean_key


def read_arrival(scope: StageScope, draws: Draws) -> tuple[Aggregator, Integrands, sp.Expr] | None:
    """`A` as an aggregator of expectations and the integrands inside them; `E[V]` when it is not given."""
    value, path = sp.Symbol("V", real=True), scope.place("A")
    expression = EXPECT(value)
    if path is not None:
        seen = scope.perches(("arvl",), draws.dimensions, path, "A", expect=True, excused=draws.excused)
        seen.symbols["V"] = value
        expression = scope.reader.expression(path, seen)
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
    means = {e: sp.Symbol(mean_key(i), real=True) for i, e in enumerate(inside)}
    aggregator = Aggregator(freeze(expression.subs(means)))
    return aggregator, Integrands(tuple(freeze(e.args[0]) for e in inside)), expression
