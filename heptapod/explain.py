"""What was derived from a model, and why, as text."""

from pathlib import Path

import sympy as sp

from heptapod.circuit_spec import CircuitSpec
from heptapod.functional_problem import FunctionalProblem
from heptapod.load import load

_TAGS = ("[<]", "[~]", "[>]")


def explain(source: str | Path | CircuitSpec | FunctionalProblem) -> str:
    """How each stage is solved, why, and every derived formula.

    **Arguments:** `source`: a path, a model, or one stage.
    """
    if isinstance(source, FunctionalProblem):
        return _stage(source)
    spec = source if isinstance(source, CircuitSpec) else load(source)
    horizon = spec.structure.horizon
    head = f"{spec.name}: {'infinite horizon' if horizon is None else f'{horizon} periods'}"
    return "\n\n".join([head, *[_stage(problem) for problem in spec.stages.values()]])


def _stage(problem: FunctionalProblem) -> str:
    num, derived = problem.num, problem.derived
    if num.method is None:
        return f"stage {problem.name}\n  method: none\n  because: {num.reason}"
    show = lambda e: "(none in closed form)" if e is None else written(e)
    control, state, post = num.control, num.state, num.post
    lines = [
        ("method", "endogenous grid (egm)"),
        ("because", f"Q is linear in V[>], {control} moves {post} alone, and the first-order condition {_inverted(num)}"),
        ("condition", f"0 = {show(derived.foc)}"),
        (control, show(derived.control_inverse)),
        (state, show(derived.state_inverse)),
        (f"dV/d{state}", show(derived.envelope)),
        ("weight of V[>]", show(derived.discount)),
        (f"lowest {post}", f"{show(derived.lowest)}, where {control} meets its {derived.corner} bound"),
        ("between knots", _between(problem)),
        *[("note", note) for note in derived.notes],
    ]
    width = max(len(label) for label, _ in lines)
    return "\n".join([f"stage {problem.name}", *[f"  {label:<{width}}  {text}" for label, text in lines]])


def _inverted(num) -> str:
    closed = num.control_inverse is not None and num.state_inverse is not None
    return "has a closed inverse" if closed else "is solved by a bracketed Newton at every knot"


def _inverted(num) -> str:
    closed = num.control_inverse is not None and num.state_inverse is not None
    return "has a closed inverse" if closed else "is solved by a bracketed Newton at every knot"


def _between(problem) -> str:
    if problem.num.interp == "linear":
        return "value and policy linear"
    if problem.derived.utility_inverse is None:
        return "policy linear; value by cubic Hermite"
    return f"policy linear; value by cubic Hermite of u^-1(V/B), u = {written(problem.derived.utility)}"


def written(expression: sp.Expr) -> str:
    """An expression as the model would write it: perch tags dropped where a name stands on one perch only."""
    names = {str(s): s for s in expression.free_symbols}
    bare = [n[:-3] for n in names if n.endswith(_TAGS)]
    plain = {}
    for name, symbol in names.items():
        if name == "dV[>]":
            plain[symbol] = sp.Symbol("lambda_")
        elif name.endswith(_TAGS) and bare.count(name[:-3]) == 1 and name != "V[>]":
            plain[symbol] = sp.Symbol(name[:-3], real=True)
    return sp.sstr(expression.subs(plain)).replace("**", "^").replace("lambda_", "lambda")
