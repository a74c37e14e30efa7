"""What was derived from a model, and why, as text."""

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from heptapod.circuit_spec import CircuitSpec
from heptapod.formulas.freeze import thaw
from heptapod.load import load
from heptapod.problem.functional_problem import FunctionalProblem
from heptapod.problem.solutions import AbstractConditions, Search
from heptapod.reports.plain import written

_PLACE = re.compile(r"^(.*) \((\S+):(\d+)\)$")
_WORDS = {
    "egm": "endogenous grid (egm)",
    "choice": "maximum over a finite set (choice)",
    "identity": "none needed (identity)",
    "nested": "one condition after the other (nested)",
    "vfi": "value function iteration (vfi)",
}


def explain(source: str | Path | Mapping | CircuitSpec | FunctionalProblem, *, width: int | None = 96) -> str:
    """How each stage is solved, why, and every derived formula.

    **Arguments:** `source`: what `load` takes, a model, or one stage. `width`: the most columns that a line has, what is
    too long goes on below; `None` leaves every line whole.

    **Returns:** text, a paragraph for each stage.
    """
    if isinstance(source, FunctionalProblem):
        return _stage(source, width)
    spec = source if isinstance(source, CircuitSpec) else load(source)
    horizon = spec.structure.horizon
    head = f"{spec.name}: {'infinite horizon' if horizon is None else f'{horizon} periods'}"
    return "\n\n".join([head, *[_stage(problem, width) for problem in spec.stages.values()]])


def _stage(problem: FunctionalProblem, columns: int | None) -> str:
    num = problem.num
    own, method = num.solution, _WORDS.get(num.method, f"a user's own ({num.method})")
    method += " with upper envelope" if own.upper_envelope and isinstance(own, AbstractConditions) else ""
    lines = [("method", method), ("because", own.reason)]
    lines += _choice(problem) + (_derived(problem) if isinstance(own, AbstractConditions) else _written(problem))
    lines += _searched(problem) if isinstance(own, Search) else []
    lines += [("note", note) for note in problem.derived.notes]
    lines += [("left out", words) for words in problem.derived.left_out]
    lines += _origins(problem.provenance)
    width = max(len(label) for label, _ in lines)
    told = [_told(f"  {label:<{width}}  ", text, columns) for label, text in lines]
    return "\n".join([f"stage {problem.name}", *told])


def _told(label: str, text: str, columns: int | None) -> str:
    """One line, and what is too long for it below, under the text."""
    if columns is None:
        return label + text
    # A formula without a blank stays whole, since it may be copied from here.
    wrapper = textwrap.TextWrapper(columns, label, " " * len(label), break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(text)


def _origins(provenance: Mapping[str, str]) -> list[tuple[str, str]]:
    """Where the names of the stage come from: those of one origin on one line, with the line of each."""
    groups, rows = {}, []
    for name, origin in provenance.items():
        match = _PLACE.match(origin)
        if match and "(" not in match[1]:
            groups.setdefault((match[1], match[2]), []).append(f"{name} {match[3]}")
        else:
            rows.append((name, origin))
    return [("names", f"{what}, {file}: {', '.join(places)}") for (what, file), places in groups.items()] + rows


def _choice(problem):
    choice, rows = problem.num.choice, []
    if choice is None:
        return rows
    if choice.by == "nature":
        return [(f"P({name})", written(thaw(formula))) for name, formula in choice.probs]
    smoothed = (
        "the maximum"
        if choice.scale is None
        else f"s log(sum exp(Q/s)), s = {written(thaw(choice.scale))}; s = 0 is the maximum"
    )
    rows.append(("joined by", smoothed))
    return rows + [(name, f"one of {grid.points} values") for name, grid in problem.num.discrete]


def _written(problem):
    """What the stage says, where nothing is derived."""
    rows = []
    for branch in problem.equations.branches:
        label = f"Q of {branch.name}" if branch.name else "Q"
        rows.append((label, written(branch.objective)))
        rows += [] if branch.recorded is None else [("V", written(branch.recorded))]
        rows += [(f"{label} if", written(condition)) for _, condition in branch.conditions]
    return rows


def _searched(problem):
    """Where a direct search keeps its policies and the continuation, and how it reads them."""
    own = problem.num.solution
    last = [] if own.state_grid is None else [(own.state, own.state_grid)]
    policies = _sizes([*own.passive, *last])
    if not last:
        policies += (", " if policies else "") + f"{own.state} (from the knots of {own.post})"
    return [
        ("policies on", policies),
        ("V[>] on", _sizes(own.post_grids)),
        ("between knots", _between(problem)),
        *([("peaks", "V[>] need not be concave, so that the search looks for several")] if own.upper_envelope else []),
    ]


def _sizes(grids) -> str:
    """Names with the number of their knots or values."""
    return ", ".join(f"{n} ({g.points}{' values' if g.discrete else ' knots'})" for n, g in grids)


def _derived(problem):
    own, derived = problem.num.solution, problem.derived
    show = lambda e: "(none in closed form)" if e is None else written(e)
    lowest = f"{show(derived.lowest)}, where {own.control} meets its {derived.corner} bound"
    if own.cornerless:
        lowest = f"that of its grid; {own.control} may be held at its bounds, which are knots like any other"
    return [
        *([("rows", _sizes(own.passive))] if own.passive else []),
        ("condition", f"0 = {show(derived.foc)}"),
        (own.control, show(derived.control_inverse)),
        *_beside(own, show),
        (own.state, show(derived.state_inverse)),
        (f"dV/d{own.state}", show(derived.slope)),
        ("weight of V[>]", show(derived.discount)),
        (f"lowest {own.post}", lowest),
        ("between knots", _between(problem)),
    ]


def _beside(own, show):
    """The controls that enter reward and budget only: given the slope of the continuation, and given state and control."""
    thawed = lambda equation: None if equation is None else thaw(equation.formula)
    rows = []
    for control in own.beside:
        by_slope, by_state = (show(thawed(e)) for e in (control.knot_inverse, control.inverse))
        rows.append((control.name, by_slope if by_slope == by_state else f"{by_slope}, given {own.control} {by_state}"))
        if control.inverse is None:
            rows.append((f"condition of {control.name}", f"0 = {show(thawed(control.condition))}"))
    return rows


def _between(problem) -> str:
    if problem.num.interp == "linear":
        return "value and policy linear"
    if problem.num.solution.utility_inverse is None:
        return "policy linear; value by cubic Hermite"
    return f"policy linear; value by cubic Hermite of u^-1(V/B), u = {written(thaw(problem.num.solution.utility.formula))}"
