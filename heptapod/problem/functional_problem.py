"""A stage as it is written, with what was derived from it: math, parameters, settings, methods, and their numeric side."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from heptapod.derivation.derive import Derived
from heptapod.dialect.keys import MOVERS
from heptapod.formulas.equation import Transition, key
from heptapod.formulas.freeze import freeze
from heptapod.parameters.declared import Declared
from heptapod.parsing.reader import Path, Reader
from heptapod.problem.method import METHODS, choose
from heptapod.problem.numeric_problem import Branch, NumericProblem
from heptapod.problem.records import record_of, side
from heptapod.problem.solutions import AbstractSolution
from heptapod.stage.equations import BranchEquations, Equations, StageReader

OLDER_MOVER_KEYS = {"inherit_parameters": "inherit", "inherit_settings": "inherit"}


@dataclass(frozen=True)
class FunctionalProblem:
    """One stage of a model: what was written and what follows from it.

    **Attributes:**

    - `name`; `math`: the written equations, controls, shocks and state space.
    - `parameters`, `settings`: the values that the stage sees at the calibration; by-age ones hold one value a period.
    - `methods`: what was asked for; `num`: the numeric side, compared by value; `derived`: the derivation, in sympy.
    - `equations`: the equations as read, in sympy; `provenance`: where every name that the stage sees comes from, in words.
    """

    name: str
    math: Mapping
    parameters: Mapping[str, np.ndarray]
    settings: Mapping[str, np.ndarray]
    methods: Mapping[str, str]
    num: NumericProblem = field(repr=False)
    derived: Derived = field(repr=False, compare=False)
    equations: Equations = field(repr=False, compare=False)
    provenance: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        first, *perches = repr(self.num).split("\n")
        numbers = ", ".join(f"{n} = {v:.6g}" for n, v in self.parameters.items() if np.ndim(v) == 0)
        lines = [f"reason: {self.num.solution.reason}", *perches, f"parameters: {numbers or 'none'}"]
        return "\n".join(
            [first.replace("NumericProblem", "FunctionalProblem", 1), *[f"  {line.strip()}"[:118] for line in lines]]
        )


def read_movers(reader: Reader, path: Path) -> dict[str, bool]:
    """The explicit movers of a stage, and whether each inherits what its stage sees."""
    found = {}
    for name in reader.mapping((*path, "movers"), MOVERS, "`movers`"):
        place = (*path, "movers", name)
        block = reader.block(place, "a mover", f"the mover {name}", OLDER_MOVER_KEYS)
        for older, new in OLDER_MOVER_KEYS.items():
            if older in block:
                reader.note("older", f"`{older}` is read as `{new}`", (*place, older))
        spelled = next((k for k in ("inherit", *OLDER_MOVER_KEYS) if k in block), "inherit")
        # After an error it inherits, since then most is said.
        found[name] = reader.flag((*place, spelled), f"`{spelled}`", place in reader.poison)
    return {name: inherits for name, inherits in found.items() if name in MOVERS}


def read_methods(reader: Reader, path: Path) -> dict[str, str]:
    """`methods:` of the stage, and of its mover `cntn_to_dcsn`, which has the last word."""
    methods = {k: "auto" for k in METHODS}
    for place in ((*path, "methods"), (*path, "movers", "cntn_to_dcsn", "methods")):
        given = reader.mapping(place, METHODS, "`methods`")
        choices = {**METHODS, "solution": (*METHODS["solution"], *reader.parts.horses)}
        methods |= {k: reader.word((*place, k), choices[k], f"`methods.{k}`", "auto") for k in given if k in METHODS}
    for mover in MOVERS:
        place = (*path, "movers", mover, "methods")
        if mover != "cntn_to_dcsn" and reader.get(place) is not None:
            reader.error(
                "structure", f"the mover {mover} has no method to choose", place, "methods belong to cntn_to_dcsn", key=True
            )
    return methods


def build_problem(
    reading: StageReader, equations: Equations, own: Declared, methods: Mapping[str, str]
) -> FunctionalProblem | None:
    """What follows from the equations of a stage; errors are collected, and any of them makes the result `None`."""
    reader, scope = reading.reader, reading.scope
    before = reader.collector.count
    calibrated = _calibrated(scope, own)
    common = NumericProblem(**_common(scope.name, equations, methods["interp"]))
    if methods["solution"] in reader.parts.horses:
        derived, solution = Derived(), _by_user(reading, methods["solution"], common)
    else:
        chosen = choose(reader, reading, equations, methods, calibrated)
        derived, solution = (Derived(), None) if chosen is None else (chosen.derived, record_of(chosen))
    if solution is None or reader.collector.count > before:
        return None
    num = replace(common, solution=solution)
    time = scope.time.numbers
    values = {n: v for n, v in calibrated.items() if n not in time}
    settings = {n: v for n, v in own.numbers.items() if n in scope.settings}
    math = reader.get((*scope.path, "math"))
    return FunctionalProblem(scope.name, math, values, settings, methods, num, derived, equations)


def _by_user(reading, name, num) -> AbstractSolution | None:
    """The record of a method of the user's own; `None` after an error."""
    try:
        record = reading.reader.parts.horses[name].of(num)
    except ValueError as error:
        path = (*reading.scope.path, "methods", "solution")
        return reading.reader.error("method", f"stage {num.name} cannot be solved by `{name}`: {error}", path)
    return replace(record, name=name, reason=record.reason or "it was asked for")


def _calibrated(scope, own):
    """The numbers of every parameter that the equations may name, those of movers under their keys."""
    numbers = {n: v for n, v in own.numbers.items() if n in scope.parameters}
    for mover, declared in scope.movers.items():
        numbers |= {f"{mover}.{n}": declared.numbers[n] for n in declared.parameter_names}
    return numbers


def _common(name, equations: Equations, interp) -> dict[str, Any]:
    """The numeric side of what is written, before anything is derived."""
    drawn = tuple((d, d) for _, s in equations.shocks for d in s.dimensions)
    tagged = tuple((key(n, "arvl"), n) for n in equations.spaces["arvl"].dimensions)
    return dict(
        name=name,
        spaces=tuple(equations.spaces.items()),
        controls=equations.controls,
        discrete=equations.discrete,
        shocks=tuple(shock for _, shock in equations.shocks),
        to_decision=Transition(_frozen(equations.g_av), tagged + drawn),
        branches=tuple(_branch(equations, branch) for branch in equations.branches),
        choice=equations.choice,
        integrands=equations.integrands,
        aggregator=equations.aggregator,
        terminal=equations.terminal,
        bounds=tuple((name, side(bound.lower), side(bound.upper)) for name, bound in equations.bounds.items()),
        interp=interp,
    )


def _frozen(transition):
    return tuple((n, freeze(e)) for n, e in transition.items())


def _branch(equations: Equations, branch: BranchEquations) -> Branch:
    controls = (*equations.controls, *[n for n, _ in equations.discrete])
    sources = tuple((key(n, "dcsn"), n) for n in equations.spaces["dcsn"].dimensions) + tuple((c, c) for c in controls)
    conditions = tuple((label, freeze(condition)) for label, condition in branch.conditions)
    recorded = None if branch.recorded is None else freeze(branch.recorded)
    return Branch(branch.name, Transition(_frozen(branch.g_ve), sources), freeze(branch.objective), conditions, recorded)
