"""The syntax of an equation: operators, functions known by NumPy's name, and what has no place in it."""

import ast

import sympy

OPERATORS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power"}
RELATIONS = {
    ast.Lt: sympy.StrictLessThan,
    ast.LtE: sympy.LessThan,
    ast.Gt: sympy.StrictGreaterThan,
    ast.GtE: sympy.GreaterThan,
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
}
MODULES = frozenset({"np", "jnp", "numpy"})
NUMPY = {"maximum": "max", "minimum": "min"} | {
    name: name for name in ("log", "exp", "sqrt", "abs", "sign", "where", "clip", "tanh")
}
NO_TIME = (
    "a stage has no time index: `x[<]` is x on arrival, `x[~]` at the decision, `x[>]` in the continuation; "
    "give next period's variable a name of its own, e.g. `m_nxt`"
)
WORDS = {
    "Attribute": "a dotted name",
    "Lambda": "a lambda",
    "NamedExpr": "`:=`",
    "JoinedStr": "an f-string",
    "Starred": "`*` before an argument",
    "ListComp": "a comprehension",
    "GeneratorExp": "a comprehension",
    "SetComp": "a comprehension",
    "DictComp": "a comprehension",
    "List": "a list",
    "Tuple": "a list with commas",
    "Dict": "a dictionary",
    "Set": "a set",
}
