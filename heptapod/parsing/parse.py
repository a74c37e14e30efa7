"""Equations to sympy: only declared names, only arithmetic, and nothing is ever executed.

`sympify`, `parse_expr` and `lambdify` run what they read. Here the text becomes a syntax tree that is never compiled.
"""

import ast
from dataclasses import dataclass

import sympy

from heptapod.errors import Diagnostic, Mark, ModelError
from heptapod.parsing.arithmetic import Arithmetic, Refusal, number
from heptapod.parsing.scope import Helper as Helper
from heptapod.parsing.scope import Scope as Scope
from heptapod.parsing.source import EquationText
from heptapod.parsing.walk import Walker


@dataclass(frozen=True)
class Statement:
    """One line: `target = expression`, or a bare expression, whose target is `None`."""

    target: str | None
    expression: sympy.Basic
    mark: Mark


@dataclass(frozen=True)
class Bounds:
    """The two sides of `lower <= control <= upper`, `None` where a side is open, and whether each is strict."""

    lower: sympy.Expr | None = None
    lower_strict: bool = False
    upper: sympy.Expr | None = None
    upper_strict: bool = False


def parse(text, scope: Scope, mark: Mark | None = None) -> list[Statement]:
    """The statements of a text, separated by `;` or by lines.

    **Arguments:**

    - `text`: a string, or a number of the YAML file.
    - `scope`: the names it may use.
    - `mark`: where it stands, unless it is a `Text`, which knows.
    """
    if not isinstance(text, str):
        return [Statement(None, _constant(text, mark), mark or Mark())]
    source = _source(text, mark)
    reader = Walker(source, scope)
    return [Statement(*reader.statement(node), source.mark(node)) for node in source.tree.body]


def parse_expression(text, scope: Scope, mark: Mark | None = None) -> sympy.Basic:
    """The one expression of a text; anything else is `error[statement]`."""
    if not isinstance(text, str):
        return _constant(text, mark)
    source = _source(text, mark)
    return Walker(source, scope).only_expression()


def _source(text: str, mark: Mark | None) -> EquationText:
    source = EquationText(text, mark)
    if not source.tree.body:
        raise ModelError(Diagnostic("empty", "an expression is missing here", source.text.mark))
    return source


def _constant(value, mark: Mark | None) -> sympy.Basic:
    mark = mark or Mark(text=str(value)[:80])
    if value is None:
        raise ModelError(Diagnostic("empty", "an expression is missing here", mark))
    if isinstance(value, bool):
        return sympy.true if value else sympy.false
    if not isinstance(value, int | float):
        message = f"an expression is expected here, not a {type(value).__name__}"
        raise ModelError(Diagnostic("statement", message, mark))
    try:
        return Arithmetic().literal(value)
    except Refusal as refusal:
        raise refusal.at(mark) from None


_ASCENDING, _DESCENDING = (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)


def parse_bounds(text, control: str, scope: Scope, mark: Mark | None = None) -> Bounds:
    """The bounds of a control, read side by side: as one relation sympy could fold `0 < c` away.

    **Arguments:**

    - `text`: `0 < c <= m`, `c <= m`, `m >= c > 0` and the like.
    - `control`: the name in the middle.
    - `scope`, `mark`: as in `parse`.
    """
    help = f"write `lower < {control} <= upper`, or one side of it"
    if not isinstance(text, str):
        raise ModelError(Diagnostic("bounds", f"`{text}` does not bound `{control}`", mark or Mark(), help))
    source = _source(text, mark)
    first, *more = source.tree.body
    node = first.value if isinstance(first, ast.Expr) else first
    if more or not isinstance(node, ast.Compare):
        source.fail("bounds", f"this does not bound `{control}`", more[0] if more else node, help)
    sides = [node.left, *node.comparators]
    strict = [isinstance(operation, ast.Lt | ast.Gt) for operation in node.ops]
    if all(isinstance(operation, _DESCENDING) for operation in node.ops):
        sides, strict = sides[::-1], strict[::-1]
    elif not all(isinstance(operation, _ASCENDING) for operation in node.ops):
        source.fail("bounds", "the comparisons of a bound point the same way, < and <=, or > and >=", node, help)
    place = [isinstance(side, ast.Name) and side.id == control for side in sides]
    if len(sides) > 3 or place.count(True) != 1 or (len(sides) == 3 and not place[1]):
        source.fail("bounds", f"`{control}` must stand alone, once, between its bounds", node, help)
    middle = place.index(True)
    reader = Walker(source, scope)
    lower, upper = (_side(reader, control, side, help) for side in (sides[middle - 1 : middle], sides[middle + 1 :]))
    return Bounds(lower, lower is not None and strict[middle - 1], upper, upper is not None and strict[middle])


def _side(reader: Walker, control: str, side: list[ast.expr], help: str) -> sympy.Expr | None:
    if not side:
        return None
    for part in ast.walk(side[0]):
        if isinstance(part, ast.Name) and part.id == control:
            reader.source.fail("bounds", f"the bound of `{control}` may not contain `{control}`", part, help)
    value = reader.read(side[0])
    return None if value in (sympy.oo, -sympy.oo) else number(value)
