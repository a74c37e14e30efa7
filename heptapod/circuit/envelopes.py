"""Where continuation values need not be concave: choices and kinks, and all that lies upstream of them."""

from collections.abc import Mapping
from dataclasses import replace

import sympy as sp

from heptapod.circuit.following import corner_follows, kinks_behind, kinks_follow
from heptapod.circuit.periods import Graph
from heptapod.formulas.builtins import operands
from heptapod.formulas.equation import key, perch_of
from heptapod.formulas.freeze import freeze, thaw
from heptapod.problem.solutions import AbstractConditions, AbstractSolution, Search

_KINKS = (sp.Max, sp.Min, sp.Piecewise, sp.Abs)


def envelopes(graph: Graph, stages: Mapping[str, tuple]) -> dict[str, AbstractSolution]:
    """The solution of every stage, now that is known what lies downstream: whether it takes the upper envelope, and the reason.

    **Arguments:** `stages`: (functional problem, stage reader) by name.
    """
    sources = {name: why for name, (problem, _) in stages.items() if (why := _bends(problem))}
    problems = {name: problem for name, (problem, _) in stages.items()}
    found = {name: problem.num.solution for name, problem in problems.items()}
    for name, (problem, _) in stages.items():
        num, asked = problem.num, problem.methods["upper_envelope"]
        # A condition that opens or shuts something may make a value jump.
        shut = any(b.conditions for n in graph.downstream(name) for b in stages[n][0].num.branches)
        steep = any(_steep(stages[n][0].equations) for n in (name, *graph.downstream(name)))
        if isinstance(num.solution, Search):
            # A search looks everywhere by itself; between its knots it must know where policies may jump.
            bent = any(n in sources for n in (name, *graph.downstream(name)))
            choices = [problems[n].num.choice for n in graph.downstream(name)]
            hard = any(choice is not None and choice.by == "agent" and choice.scale is None for choice in choices)
            found[name] = replace(num.solution, upper_envelope=bent, may_jump=shut, switches=hard)
            continue
        if not isinstance(num.solution, AbstractConditions):
            continue
        below = [n for n in sorted(graph.downstream(name)) if n in sources]
        reason, envelope = num.solution.reason, bool(below) or num.solution.upper_envelope
        if below:
            reason += (
                f"; {sources[below[0]]} downstream ({below[0]}), so V[>] need not be concave and the upper envelope is taken"
            )
        elif num.solution.upper_envelope:
            reason += "; the transition or the reward has a kink, so the upper envelope is taken"
        if asked != "auto":
            envelope = asked != "none"
            reason += f"; `upper_envelope: {asked}` was asked for"
        refined = asked == "refined"
        behind = kinks_behind(name, graph, problems)
        if behind:
            places = ", ".join(str(kink) for kink in behind)
            reason += f"; what follows has kinks where {num.solution.post} is {places}: two knots there"
        kinks = dict.fromkeys((*num.solution.kinks, *map(freeze, behind)))
        found[name] = replace(
            num.solution,
            upper_envelope=envelope,
            switch_knots=refined,
            reason=reason,
            may_jump=shut,
            flat=envelope and any(_flat(problems[n]) for n in (name, *graph.downstream(name))),
            kinks=tuple(kinks),
            open_end=num.solution.open_end or steep,
            corner_knot=not envelope and corner_follows(name, graph, problems),
            endless=graph.periods is None,
            # In a life that ends, knots between the first ones were seen to be read as ends of a floor's flat stretch.
            kink_ends=graph.periods is None and bool(behind) and kinks_follow(name, graph, problems),
        )
    return found


def _bends(problem) -> str | None:
    """What in a stage makes its value on arrival possibly not concave."""
    num, equations = problem.num, problem.equations
    if num.choice is not None and num.choice.by == "agent":
        return "a choice among branches lies" if num.branching else f"a choice of {', '.join(n for n, _ in num.discrete)} lies"
    if any(branch.recorded is not None for branch in equations.branches):
        return "a value that is not the maximum lies"
    parts = [*equations.g_av.values(), equations.arrival]
    parts += [e for branch in equations.branches for e in (*branch.g_ve.values(), branch.objective)]
    if any(_kinked(part) for part in parts):
        return "a kink lies"
    return None


def _flat(problem) -> bool:
    """Whether a kink or a choice of a stage, or the end of life behind it, may take away all of what little is brought."""
    num, equations = problem.num, problem.equations
    ending = equations.terminal
    parts = [*equations.g_av.values(), *([] if ending is None else [thaw(ending.formula)])]
    parts += [e for branch in equations.branches for e in (*branch.g_ve.values(), branch.objective)]
    if any(part.has(*_KINKS) for part in parts):
        return True
    if num.choice is None or num.choice.by != "agent":
        return False
    # A branch, or a value of a discrete control, that goes on without a state that others keep.
    drawn = {name for shock in num.shocks for name in shock.dimensions}
    sets = {name for _, space in num.spaces for name, grid in space.grids if grid.discrete}
    known = {key(name, "dcsn") for name in num.dimensions("dcsn") if name not in drawn | sets}
    kept = [{str(s) for g in b.g_ve.values() for s in g.free_symbols} & known for b in equations.branches]
    chosen = {key(name, "dcsn") for name, _ in num.discrete}
    slopes = [g.diff(s) for b in equations.branches for g in b.g_ve.values() for s in g.free_symbols if str(s) in known]
    return any(one != kept[0] for one in kept[1:]) or any(str(s) in chosen for g in slopes for s in g.free_symbols)


def _kinked(expression) -> bool:
    """Whether a minimum, maximum or condition involves anything that varies within a period."""
    return any(_varies(part) for kind in _KINKS for part in expression.atoms(kind) if _condition_varies(part))


def _condition_varies(part):
    if isinstance(part, sp.Piecewise):
        return any(_varies(condition) for _, condition in operands(part))
    return True


def _varies(expression) -> bool:
    return any(perch_of(str(s)) or str(s) == "V" for s in expression.free_symbols)


def _steep(equations) -> bool:
    """Whether a power or a logarithm of states stands in a stage, whose slope may be infinite where they begin."""
    parts = [*equations.g_av.values(), equations.arrival]
    parts += [e for branch in equations.branches for e in (*branch.g_ve.values(), branch.objective)]
    powers = [power for part in parts for power in part.atoms(sp.Pow, sp.log)]
    return any(_varies(p.args[0]) and not (p.is_Pow and p.exp.is_Integer and p.exp > 0) for p in powers)
