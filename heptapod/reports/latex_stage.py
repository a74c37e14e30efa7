r"""The equations of one stage in LaTeX, whatever its kind."""

import sympy as sp

from heptapod.derivation.euler_inputs import V
from heptapod.formulas.equation import key, real
from heptapod.formulas.freeze import thaw
from heptapod.problem.functional_problem import FunctionalProblem
from heptapod.problem.solutions import AbstractConditions
from heptapod.reports.latex import Names, escaped, listed, plain, roman
from heptapod.reports.latex_shocks import law
from heptapod.spaces.perch_space import continuation


def equations(problem: FunctionalProblem) -> str:
    """Bellman equation, transitions, bounds, constraints, shocks, terminal value, and what was derived."""
    stated = problem.equations
    names = Names(_told_apart(stated))
    blocks = [
        ("Bellman equation", _bellman(problem, stated, names)),
        ("transitions", _transitions(stated, names)),
        ("choices and constraints", [*_choices(stated, names), *_conditions(stated, names)]),
        ("value on arrival", _arrival(stated, names)),
        ("shocks", [row for _, shock in stated.shocks for row in law(shock, names)]),
        ("first-order condition, inverses, envelope", _derived(problem, names)),
    ]
    return "\n\n".join(aligned(f"stage {problem.name}: {title}", rows) for title, rows in blocks if rows)


def aligned(title: str, rows: list[str]) -> str:
    r"""One `align*` environment under a comment."""
    return "\n".join([f"% {title}", r"\begin{align*}", " \\\\\n".join(f"  {row}" for row in rows), r"\end{align*}"])


def _told_apart(stated) -> set[str]:
    """States whose name stands on two perches with two values."""
    found = {n for n, e in stated.g_av.items() if n in stated.spaces["arvl"].dimensions and e != _at(n, "arvl")}
    for branch in stated.branches:
        before = stated.spaces["dcsn"].dimensions
        found |= {n for n, e in branch.g_ve.items() if n in before and e != _at(n, "dcsn")}
    return found


def _at(name, perch):
    return real(key(name, perch))


def _value(perch, names, dimensions, branch=""):
    """The value on a perch as a function of its states."""
    sign = {"arvl": r"^{\prec}", "dcsn": "", "cntn": r"^{\succ}"}[perch]
    below = f"_{{{roman(branch)}}}" if branch else ""
    return f"V{sign}{below}({', '.join(names(key(n, perch)) for n in dimensions)})"


def _bellman(problem, stated, names):
    spaces, choice = stated.spaces, stated.choice
    after = {b.name: _value("cntn", names, spaces[continuation(b.name)].dimensions, b.name) for b in stated.branches}
    objectives = {b.name: _objective(b.objective, after[b.name], names) for b in stated.branches}
    head = _value("dcsn", names, spaces["dcsn"].dimensions)
    best = _maximum(stated)
    if not problem.num.branching:
        (inside,) = objectives.values()
        (branch,) = stated.branches
        if branch.recorded is not None:
            chosen = listed(map(plain, stated.controls))
            told = _objective(branch.recorded, after[""], names)
            return [rf"{chosen} &\in \arg\max_{{{chosen}}} \left\{{ {inside} \right\}}", f"{head} &= {told}"]
        return [f"{head} &= {_joined(choice, best, inside, [n for n, _ in stated.discrete], names)}"]
    sign = "d"
    if choice.by == "nature":
        terms = " + ".join(rf"p_{{{roman(b)}}}\, Q_{{{roman(b)}}}" for b in objectives)
        rows = [f"{head} &= {terms}"]
        rows += [rf"p_{{{roman(b)}}} &= {names.write(thaw(formula))}" for b, formula in choice.probs]
    else:
        over = rf"{sign} \in \{{{listed(map(roman, objectives))}\}}"
        best = rf"\max_{{{over}}}"
        rows = [f"{head} &= {_joined(choice, best, f'Q_{{{sign}}}', [over], names)}"]
    return rows + [rf"Q_{{{roman(b)}}} &= {text}" for b, text in objectives.items()]


def _objective(objective, after, names):
    """The reward first, then the weight of what follows; as it stands where it is not linear in that."""
    weight = sp.diff(objective, V)
    reward = objective.subs(V, 0)
    if weight.has(V) or weight == 0 or sp.expand(objective - reward - weight * V) != 0:
        return names.write(objective, {"V[>]": after})
    weight = "" if weight == 1 else rf"{_factor(weight, names)}\, "
    return f"{weight}{after}" if reward == 0 else f"{names.write(reward)} + {weight}{after}"


def _factor(expression, names):
    text = names.write(expression)
    return rf"\left({text}\right)" if expression.is_Add or expression.is_Piecewise else text


def _maximum(stated):
    """The maximum over the controls: continuous ones, and discrete ones where no taste shocks smooth it."""
    smoothed = stated.choice is not None and stated.choice.scale is not None
    chosen = [*stated.controls, *([] if smoothed else [n for n, _ in stated.discrete])]
    return rf"\max_{{{listed(map(plain, chosen))}}}" if chosen else ""


def _joined(choice, best, inside, over, names):
    r"""A maximum, or $\sigma\log\sum\exp(Q/\sigma)$ with Gumbel taste shocks."""
    wrapped = rf"{best} \left\{{ {inside} \right\}}" if best else inside
    if choice is None or choice.scale is None:
        return wrapped
    scale = thaw(choice.scale)
    branches = any(" " in n for n in over)
    below = listed(over) if branches else listed(map(plain, over))
    text = inside if branches else wrapped
    outer, inner = _factor(scale, names), _factor(1 / scale, names)
    return rf"{outer} \log \sum_{{{below}}} \exp\left( {inner}\, {text} \right)"


def _transitions(stated, names):
    carried = lambda n, e, perch: str(e) in (n, key(n, perch))
    rows = [rf"{names(key(n, 'dcsn'))} &= {names.write(e)}" for n, e in stated.g_av.items() if not carried(n, e, "arvl")]
    for branch in stated.branches:
        note = rf" && \text{{({escaped(branch.name)})}}" if branch.name else ""
        rows += [rf"{names(key(n, 'cntn'))} &= {names.write(e)}{note}" for n, e in branch.g_ve.items()
                 if not carried(n, e, "dcsn")]  # fmt: skip
    return rows


def _choices(stated, names):
    rows = []
    for control, bound in stated.bounds.items():
        below, above = ("<" if strict else r"\leq" for strict in (bound.lower_strict, bound.upper_strict))
        high = "" if bound.upper is None else f"{above} {names.write(bound.upper)}"
        if bound.lower is None:
            rows.append(f"{plain(control)} &{high}")
        else:
            rows.append(f"{names.write(bound.lower)} &{below} {plain(control)} {high}".rstrip())
    return rows + [rf"{plain(n)} &\in {_set(grid, names)}" for n, grid in stated.discrete]


def _set(grid, names):
    """A finite set: the name of its vector, or its values."""
    if grid.vector is not None:
        shock = grid.vector.split(".")
        return plain(grid.vector) if len(shock) < 3 else rf"\mathrm{{nodes}}({plain(shock[-1])})"
    values = [names.write(thaw(v)) for v in grid.values]
    shown = values if len(values) <= 8 else [*values[:2], r"\ldots", values[-1]]
    return rf"\{{{listed(shown)}\}}"


def _conditions(stated, names):
    rows, seen = [], set()
    for branch in stated.branches:
        for label, condition in branch.conditions:
            text = f"{label} of {branch.name}" if branch.name else label
            if (label, condition) not in seen:
                rows.append(rf"& {names.write(condition)} && \text{{({escaped(text)})}}")
            seen.add((label, condition))
    return rows


def _arrival(stated, names):
    dimensions = stated.spaces["arvl"].dimensions
    rows = [f"{_value('arvl', names, dimensions)} &= {names.write(stated.arrival)}"]
    if stated.terminal is not None:
        states = ", ".join(names(key(n, "arvl")) for n in dimensions)
        rows.append(rf"V^{{\prec}}_{{T}}({states}) &= {names.write(thaw(stated.terminal.formula))}")
    return rows


def _derived(problem, names):
    derived, num = problem.derived, problem.num
    if not isinstance(num.solution, AbstractConditions):
        return []
    slope = rf"\frac{{\partial V^{{\succ}}}}{{\partial {names(derived.post)}}}"
    rows = [rf"0 &= {names.write(derived.foc)}, \quad \lambda = {slope}"]
    pairs = ((num.solution.control, derived.control_inverse), (derived.state, derived.state_inverse))
    rows += [f"{names(n)} &= {names.write(e)}" for n, e in pairs if e is not None]
    rows += [rf"0 &= {names.write(thaw(c.condition.formula))} && \text{{({escaped(c.name)})}}" for c in num.solution.beside]
    rows.append(rf"\frac{{\partial V}}{{\partial {names(derived.state)}}} &= {names.write(derived.slope)}")
    if derived.lowest is not None:
        rows.append(rf"{names(derived.post)} &\geq {names.write(derived.lowest)}")
    return rows
