r"""A model as it would stand in a paper: Bellman equations, constraints, shocks, what was derived, and the calibration."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import sympy as sp

from heptapod.circuit_spec import CircuitSpec
from heptapod.formulas.freeze import thaw
from heptapod.load import load
from heptapod.parameters.calibration import MAIN
from heptapod.problem.functional_problem import FunctionalProblem
from heptapod.reports.latex import Names, escaped, listed, plain, roman
from heptapod.reports.latex_stage import aligned, equations

_SHORT = 6


def to_latex(source: str | Path | Mapping | CircuitSpec | FunctionalProblem) -> str:
    r"""LaTeX of every stage: `align*` environments for equations and a `tabular` for the calibration of every scope.

    **Arguments:** `source`: what `load` takes, a model, or one stage.

    **Returns:** text that needs the package amsmath and nothing else.
    """
    if isinstance(source, FunctionalProblem):
        names = {n: v for n, v in source.parameters.items() if n in source.provenance}
        return "\n\n".join([equations(source), _table(source.name, names)])
    spec = source if isinstance(source, CircuitSpec) else load(source)
    parts = [*_economy(spec), *[equations(problem) for problem in spec.stages.values()]]
    parts += [_table(scope, {**names, **spec.settings[scope]}) for scope, names in spec.parameters.items()
              if names or spec.settings[scope]]  # fmt: skip
    return "\n\n".join(parts)


def _economy(spec) -> list[str]:
    """Definitions, connections, aggregates and markets: what belongs to no stage."""
    parts, write = [], lambda formula: Names().write(thaw(formula))
    for table in spec.structure.calibration.scopes:
        rows = [f"{plain(n)} &= {write(e.formula)}" for n, e in table.entries.items() if e.kind == "definition"]
        if rows:
            parts.append(aligned(f"definitions of {'the model' if table.name == MAIN else table.name}", rows))
    if spec.structure.links:
        parts.append(aligned("connections", [_link(link) for link in spec.structure.links]))
    rows = [f"{plain(n)} &= {write(formula)}" for n, formula in spec.aggregates.items()]
    if spec.equilibrium is not None:
        rows += [rf"0 &= {write(formula)} && \text{{{escaped(n)}}}" for n, formula in spec.equilibrium.clear.items()]
    return parts + ([aligned("aggregates and markets", rows)] if rows else [])


def _link(link) -> str:
    """One connection: where it leads, what it renames, what it sets, when it holds and whom it carries."""
    following = r"_{t+1}" if link.crosses else ""
    names = [rf"{plain(n)} \mapsto {plain(to)}" for n, to in link.mapping if n != to]
    names += [rf"{plain(to)} = {Names().write(thaw(formula))}" for to, formula in link.constants]
    if link.survival is not None:
        names.append(rf"\Pr = {Names().write(thaw(link.survival))}")
    if link.periods is not None:
        names.append(", ".join(rf"{first} \leq t \leq {last}" for first, last in link.periods))
    return rf"{roman(link.end)} &\to {roman(link.target)}{following}" + (f" && {listed(names)}" if names else "")


def _table(scope: str, values) -> str:
    """Names and values; long vectors and by-age parameters are shortened."""
    rows = [rf"  ${plain(name)}$ & {_shown(value)} \\" for name, value in values.items()]
    title = "the model" if scope == MAIN else scope
    return "\n".join([f"% calibration of {title}", r"\begin{tabular}{ll}", *rows, r"\end{tabular}"])


def _shown(value) -> str:
    array = np.asarray(value, dtype=float)
    if array.ndim == 0:
        return f"${_number(array)}$"
    if array.ndim == 2 and array.size <= _SHORT**2:
        inside = r" \\ ".join(" & ".join(_number(x) for x in row) for row in array)
        return rf"$\begin{{pmatrix}} {inside} \end{{pmatrix}}$"
    flat = np.ravel(array)
    if flat.size <= _SHORT:
        return f"${listed(_number(x) for x in flat)}$"
    return rf"${_number(flat[0])},\; \ldots,\; {_number(flat[-1])}$ ({' by '.join(map(str, array.shape))})"


def _number(x) -> str:
    return sp.latex(sp.Float(f"{float(x):.6g}")) if "e" in f"{float(x):.6g}" else f"{float(x):.6g}"
