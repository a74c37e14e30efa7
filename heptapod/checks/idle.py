"""Variables of a stage that none of its equations uses: draws, states, controls."""

from collections.abc import Iterable

import sympy as sp

from heptapod.formulas import builtins
from heptapod.formulas.equation import key, real
from heptapod.stage.equations import BranchEquations, Equations, StageReader


def warn_idle(reading: StageReader, equations: Equations) -> None:
    """A warning for every dimension of a shock, every state and every control that nothing in the stage names."""
    reader, math, scope = reading.reader, reading.math, reading.scope
    arriving = _names([*equations.g_av.values(), equations.arrival])
    given = {shock.given for _, shock in equations.shocks}
    for name, shock in equations.shocks:
        for dimension in shock.dimensions:
            if dimension not in arriving:
                message = f"`{dimension}` is drawn and used nowhere"
                place = (*math, "shocks", name, "dimensions")
                reader.warning("unused", message, place, "use it in g_av or A, or drop the shock")
    deciding = _names(part for branch in equations.branches for part in _parts(branch))
    deciding |= _names(side for b in equations.bounds.values() for side in (b.lower, b.upper) if side is not None)
    if equations.choice is not None:
        deciding |= {name for _, formula in equations.choice.probs for name in formula.names}
    # The terminal value may use what nothing else does.
    used = {"arvl": arriving | (_formula(equations.terminal)), "dcsn": deciding}
    for perch, found in used.items():
        for name in scope.spaces[perch].dimensions:
            if key(name, perch) not in found and not (perch == "arvl" and name in given):
                message = f"the state `{name}` on {perch} is used nowhere in stage {reading.name}"
                reader.warning("unused", message, (*math, "state_space", perch), "drop it, or use it", key=True)
    for name, bound in equations.bounds.items():
        if bound.lower is None and any(_needs_positive(b.objective, real(name)) for b in equations.branches):
            message = f"`{name}` has no lower bound, and Q has no value where it is negative"
            reader.warning("bounds", message, (*math, "controls", name), f"write `{name}: 0 < {name} ...`")
    for name in (*equations.controls, *[n for n, _ in equations.discrete]):
        if name not in deciding:
            message = f"the control `{name}` is used nowhere in stage {reading.name}"
            reader.warning("unused", message, (*math, "controls", name), "use it in g_ve or Q, or drop it", key=True)


def _needs_positive(objective: sp.Expr, control: sp.Symbol) -> bool:
    """Whether the objective takes a logarithm, a root or a broken or parametric power of a control, or a utility of it."""
    for part in objective.atoms(sp.Pow, sp.log, builtins.crra, builtins.ces):
        whole = isinstance(part, sp.Pow) and part.exp.is_Integer and part.exp >= 0
        if part.args[0] == control and not whole:
            return True
    return False


def _parts(branch: BranchEquations) -> list:
    recorded = [] if branch.recorded is None else [branch.recorded]
    return [*branch.g_ve.values(), branch.objective, *recorded, *[condition for _, condition in branch.conditions]]


def _names(expressions: Iterable) -> set[str]:
    return {str(symbol) for expression in expressions for symbol in expression.free_symbols}


def _formula(equation) -> set[str]:
    return set() if equation is None else set(equation.formula.names)
