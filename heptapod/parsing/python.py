"""Python functions as equations: arithmetic becomes formulas, anything else stays a function that JAX differentiates."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
import sympy

from heptapod.dialect.parts import named_arguments
from heptapod.errors import Diagnostic, Mark, ModelError
from heptapod.formulas.builtins import operands
from heptapod.formulas.equation import TAGS
from heptapod.formulas.foreign import Foreign, Opaque, applied
from heptapod.parsing.arithmetic import Arithmetic, Refusal
from heptapod.parsing.scope import Scope, lookup


def express(function: Callable, scope: Scope, mark: Mark, given: Mapping[str, sympy.Basic] | None = None) -> dict | sympy.Basic:
    """What a function says of the names in sight, which its arguments are: one expression, or one for each target.

    An argument `w__cntn` is `w[>]`, `w__arvl` is `w[<]`, `w__dcsn` is `w[~]`; `V` is `V[>]` where the continuation is seen.

    **Arguments:** `given`: arguments that stand for expressions of their own, those of a helper.

    **Raises:** `ModelError` at `mark` for an argument that is not declared, or a result that is neither.
    """
    names = named_arguments(function)
    if names is None:
        help = "def Q(c, V, beta): ..., every argument a name of the model"
        raise ModelError(Diagnostic("function", "the arguments of this function cannot be told by name", mark, help))
    values = [_argument(name, scope, mark, given or {}) for name in names]
    found = _symbolic(function, values)
    if found is None:
        return _opaque(function, names, values, mark)
    return found


def _argument(name, scope, mark, given):
    if name in given:
        return given[name]
    base, _, perch = name.rpartition("__")
    try:
        if base and perch in TAGS:
            return lookup(scope, base, perch)
        if name == "V" and "V@cntn" in scope.symbols:
            return lookup(scope, "V", "cntn")
        return lookup(scope, name)
    except Refusal as refusal:
        raise refusal.at(mark) from None


def _symbolic(function, values):
    """The result of the function on symbols, `None` where it is more than arithmetic."""
    try:
        found = function(*values)
        each = found.values() if isinstance(found, Mapping) else (found,)
        if not all(isinstance(x, (int, float, sympy.Basic)) and not isinstance(x, bool) for x in each):
            return None
        return {str(k): _exact(x) for k, x in found.items()} if isinstance(found, Mapping) else _exact(found)
    except Exception:
        # Whatever a function of arrays does on symbols: it is not arithmetic, and JAX will differentiate it.
        return None


def _exact(value):
    """Numbers as exact rationals, so that equations can be solved."""
    arithmetic = Arithmetic()
    expression = sympy.sympify(value) if isinstance(value, (int, float)) else value  # A number, never a text.
    floats = {x: arithmetic.literal(float(x)) for x in expression.atoms(sympy.Float)}
    return arithmetic.checked(expression.xreplace(floats))


def _opaque(function, names, values, mark):
    """The function as it is; what it returns is found out without computing anything."""
    shapes = [jax.ShapeDtypeStruct((), jax.numpy.result_type(float))] * len(names)
    try:
        result = jax.eval_shape(function, *shapes)
    except Exception as error:
        first = str(error).strip().splitlines()
        message = f"this function cannot be traced by JAX: {first[0] if first else type(error).__name__}"
        raise ModelError(Diagnostic("function", message, mark, "an elementwise function of arrays, with jax.numpy")) from None
    make = lambda entry: applied(Foreign(function, entry, (0,) * len(names)), *values)
    if isinstance(result, Mapping):
        return {str(entry): make(entry) for entry in result}
    if getattr(result, "shape", None) != ():
        message = "this function does not return one number for numbers"
        raise ModelError(Diagnostic("function", message, mark, "one value, or a dictionary"))
    return sympy.Ne(make(None), 0) if result.dtype == bool else make(None)


def split_linear(expression: Any, symbols: Iterable[sympy.Basic]) -> Any:
    """An opaque expression that is linear in some of its arguments, as a constant plus a weight for each of them.

    Linearity, and which arguments a weight does not depend on, are found by differentiating at random points; an expression
    that is not linear in all of `symbols` stays as it is.
    """
    if not isinstance(expression, Opaque):
        return expression
    handle, *arguments = operands(expression)
    places = [arguments.index(s) for s in symbols if arguments.count(s) == 1]
    foreign, points = handle.foreign, np.random.default_rng(0).uniform(0.3, 3.0, (8, len(arguments)))
    bends = lambda i, j: not _vanishes(foreign.derivative(i).derivative(j), points)
    if not places or any(bends(i, j) for i in places for j in places):
        return expression

    def weight(i):
        # An argument on which the weight does not depend is held at one of the points, where the function is known to exist.
        held = [x if bends(i, j) else sympy.Float(points[0, j]) for j, x in enumerate(arguments)]
        return _number_or(applied(foreign.derivative(i), *held))

    still = [sympy.Integer(0) if i in places else x for i, x in enumerate(arguments)]
    return _number_or(applied(foreign, *still)) + sum(arguments[i] * weight(i) for i in places)


def _number_or(opaque: sympy.Expr) -> sympy.Expr:
    """The number that a function of numbers is, to twelve digits, so that equations can be solved."""
    handle, *arguments = operands(opaque)
    if not all(x.is_number for x in arguments):
        return opaque
    value = float(handle.foreign(*map(float, arguments)))
    return Arithmetic().literal(float(f"{value:.12g}")) if np.isfinite(value) else opaque


def _vanishes(derivative, points) -> bool:
    values = np.array([float(derivative(*point)) for point in points])
    there = np.isfinite(values)
    return bool(there.any() and np.all(np.abs(values[there]) < 1e-9))
