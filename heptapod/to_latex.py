r"""A model as it would stand in a paper: Bellman equation, constraints, what was derived, and the calibration."""

from pathlib import Path

import numpy as np
import sympy as sp

from heptapod._lower import thaw
from heptapod.circuit_spec import CircuitSpec
from heptapod.equation import VALUE, mean_key
from heptapod.functional_problem import FunctionalProblem
from heptapod.load import load

_TAGS = ("[<]", "[~]", "[>]")
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega".split()


def to_latex(source: str | Path | CircuitSpec | FunctionalProblem) -> str:
    r"""LaTeX of every stage: `align*` environments for equations and a `tabular` for the calibration.

    **Arguments:** `source`: a path, a model, or one stage.
    """
    if isinstance(source, FunctionalProblem):
        return _stage(source)
    spec = source if isinstance(source, CircuitSpec) else load(source)
    return "\n\n".join(_stage(problem) for problem in spec.stages.values())


def _stage(problem: FunctionalProblem) -> str:
    num, derived = problem.num, problem.derived
    lines = [f"% stage {problem.name}"]
    rows = []
    if num.objective is not None:
        rows.append(rf"V({_name(num.state)}) &= \max_{{{_name(num.control)}}} {_write(num.objective.formula)}")
    rows += [rf"{_name(n)} &= {_write(f)}" for n, f in (*num.to_decision.equations, *num.to_continuation.equations)]
    if num.lower is not None:
        low, high = _write(num.lower.formula), _write(num.upper.formula)
        below = r"\le" if num.floored or num.corner == "lower" else "<"
        rows.append(rf"{low} &{below} {_name(num.control)} \le {high}")
    rows.append(rf"V({', '.join(map(_name, num.dimensions('arvl')))}) &= {_arrival(num)}")
    lines += _aligned("Bellman equation, transitions, bounds, arrival", rows)
    if derived.foc is not None:
        found = [rf"0 &= {_latex(derived.foc)}"]
        found += [rf"{_name(n)} &= {_latex(e)}" for n, e in _inverses(num, derived) if e is not None]
        found.append(rf"\frac{{\partial V}}{{\partial {_name(num.state)}}} &= {_latex(derived.envelope)}")
        lines += _aligned("first-order condition, inverses, envelope", found)
    return "\n".join([*lines, *_calibration(problem)])


def _inverses(num, derived):
    return ((num.control, derived.control_inverse), (num.state, derived.state_inverse))


def _arrival(num) -> str:
    inside = [_write(f) for f in num.integrands.formulas]
    expression = thaw(num.aggregator.formula)
    names = {sp.Symbol(mean_key(i), real=True): rf"\mathrm{{E}}\left[{text}\right]" for i, text in enumerate(inside)}
    return _latex(expression, names)


def _aligned(title: str, rows: list[str]) -> list[str]:
    return [f"% {title}", r"\begin{align*}", " \\\\\n".join(f"  {row}" for row in rows), r"\end{align*}"]


def _calibration(problem) -> list[str]:
    rows = []
    for name, value in problem.parameters.items():
        array = np.asarray(value)
        shown = f"{array:.6g}" if array.ndim == 0 else rf"{array.flat[0]:.6g}, \dots, {array.flat[-1]:.6g}"
        rows.append(rf"  ${_name(name)}$ & {shown} \\")
    return ["% calibration", r"\begin{tabular}{ll}", *rows, r"\end{tabular}"]


def _write(formula) -> str:
    return _latex(thaw(formula))


def _latex(expression: sp.Expr, names: dict | None = None) -> str:
    given = {s: _name(str(s)) for s in expression.free_symbols}
    return sp.latex(expression, symbol_names=given | (names or {}))


def _name(name: str) -> str:
    r"""A name in mathematics: `sigma_y` is $\sigma_{y}$, `a_nxt` is $a_{nxt}$, the continuation's value $V'$."""
    if name == VALUE:
        return "V'"
    if name == "dV[>]":
        return r"\lambda"
    if name.endswith(_TAGS):  # Perches are told apart by the names of their states.
        return _name(name[:-3])
    head, _, tail = name.partition("_")
    head = "\\" + head if head in _GREEK else (head if len(head) == 1 else rf"\mathit{{{head}}}")
    return head + (rf"_{{\mathrm{{{tail.replace('_', ' ')}}}}}" if tail else "")
