"""A stage as it is written, with what was derived from it: math, parameters, settings, methods, and their numeric side."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy as sp

from heptapod._declare import Declared, Time
from heptapod._equations import Equations, StageReader
from heptapod._lower import freeze
from heptapod._numeric import number
from heptapod._parse import Bounds
from heptapod._tree import Path, Reader
from heptapod.derive import UTIL, Derived, Stated, derive
from heptapod.equation import SLOPE, VALUE, Equation, Transition, key
from heptapod.numeric_problem import NumericProblem

STAGE_KEYS = ("name", "description", "kind", "parameters", "settings", "definitions", "methods", "math")
METHODS = {"solution": ("auto", "egm"), "interp": ("auto", "linear"), "upper_envelope": ("auto", "none")}


@dataclass(frozen=True)
class FunctionalProblem:
    """One stage of a model: what was written and what follows from it.

    **Attributes:**

    - `name`; `math`: the written equations, controls, shocks and state space.
    - `parameters`, `settings`: the values that the stage sees at the calibration; by-age ones hold one value a period.
    - `methods`: what was asked for; `num`: the numeric side, compared by value; `derived`: the derivation, in sympy.
    """

    name: str
    math: Mapping
    parameters: Mapping[str, np.ndarray]
    settings: Mapping[str, np.ndarray]
    methods: Mapping[str, str]
    num: NumericProblem = field(repr=False)
    derived: Derived = field(repr=False, compare=False)


def read_stage(
    reader: Reader,
    path: Path,
    name: str,
    time: Time,
    model: Declared,
    own: Declared,
    terminal: Path | None,
    inherit: bool,
) -> FunctionalProblem | None:
    """Read one stage; errors are collected in `reader`, and any of them makes the result `None`."""
    before = len(reader.collector.errors)
    reader.mapping(path, STAGE_KEYS, "a stage")
    reader.word((*path, "kind"), ("sequential",), "`kind`", "sequential")
    methods = _methods(reader, (*path, "methods"))
    reading = StageReader(reader, path, name, time, model, own, inherit)
    equations = reading.read(terminal)
    if equations is None or len(reader.collector.errors) > before:
        return None
    calibrated = {n: v for n, v in own.numbers.items() if n in reading.parameters}
    derived, solved = _derive(reader, (*path, "math"), equations, own, calibrated)
    num = NumericProblem(**_common(name, equations, methods["interp"]), **solved)
    settings = {n: v for n, v in own.numbers.items() if n not in reading.parameters}
    values = {n: v for n, v in calibrated.items() if n not in time.numbers}
    problem = FunctionalProblem(name, reader.get((*path, "math")), values, settings, methods, num, derived)
    return problem if len(reader.collector.errors) == before else None


def _methods(reader, path):
    reader.mapping(path, METHODS, "`methods`")
    return {k: reader.word((*path, k), words, f"`methods.{k}`", "auto") for k, words in METHODS.items()}


def _common(name, equations: Equations, interp):
    """The numeric side of what is written, before anything is derived."""
    drawn = tuple((d, d) for s in equations.shocks for d in s.dimensions)
    tagged = lambda perch: tuple((key(n, perch), n) for n in equations.spaces[perch].dimensions)
    frozen = lambda g: tuple((n, freeze(e)) for n, e in g.items())
    return dict(
        name=name,
        spaces=tuple(equations.spaces.items()),
        controls=equations.controls,
        shocks=equations.shocks,
        to_decision=Transition(frozen(equations.g_av), tagged("arvl") + drawn),
        to_continuation=Transition(frozen(equations.g_ve), tagged("dcsn") + tuple((c, c) for c in equations.controls)),
        integrands=equations.integrands,
        aggregator=equations.aggregator,
        terminal=equations.terminal,
        interp=interp,
    )


def _derive(reader, path, equations: Equations, own, calibrated):
    """What EGM needs, or the reason why it cannot solve the stage."""
    reason = _out_of_reach(equations)
    if reason:
        return Derived(problem=reason), {"reason": reason}
    (control,) = equations.controls
    bound = equations.bounds[control]
    scalars = tuple((n, float(np.ravel(v)[0])) for n, v in calibrated.items() if np.ndim(v) <= 1)
    transition = tuple((key(n, "cntn"), e) for n, e in equations.g_ve.items())
    states = tuple(key(n, "dcsn") for n in equations.spaces["dcsn"].dimensions)
    derived = derive(Stated(equations.objective, transition, control, bound.lower, bound.upper, states, scalars))
    if derived.problem:
        return derived, {"reason": derived.problem}
    _check_corner(reader, path, equations, derived, own.numbers)
    return derived, _solved(equations.objective, derived, bound, control)


def _solved(objective, derived: Derived, bound: Bounds, control):
    """The numeric side of what was derived."""
    state, post = derived.state, derived.post
    equation = lambda e, *arguments: None if e is None else Equation(freeze(e), arguments)
    other, strict = (bound.lower, bound.lower_strict) if derived.corner == "upper" else (bound.upper, bound.upper_strict)
    # In the form where the control is saved, consumption is what the open upper bound leaves, and it never binds.
    moves = other is not None and other.has(sp.Symbol(state, real=True)) and not (strict and derived.corner == "lower")
    return dict(
        method="egm",
        state=state[:-3],
        post=post[:-3],
        control=control,
        objective=equation(objective, state, control, post, VALUE),
        lower=equation(-sp.oo if bound.lower is None else bound.lower, state),
        upper=equation(sp.oo if bound.upper is None else bound.upper, state),
        foc=equation(derived.foc, control, SLOPE, post),
        control_inverse=equation(derived.control_inverse, SLOPE, post),
        state_inverse=equation(derived.state_inverse, post, control, SLOPE),
        utility=equation(derived.utility, control),
        utility_inverse=equation(derived.utility_inverse, UTIL.name),
        trade_off=equation(derived.trade_off, state, control),
        lowest=None if derived.lowest is None else freeze(derived.lowest),
        corner=derived.corner,
        floored=other is not None and (not strict or moves),
        bound_moves=moves,
        discounted_by_state=derived.discount.has(sp.Symbol(state, real=True)),
    )


def _out_of_reach(equations: Equations):
    """Why no horse of today solves the stage, or `None`."""
    if len(equations.controls) != 1:
        return f"{len(equations.controls)} controls: only stages with one continuous control are solved so far"
    if any(len(equations.spaces[p].dimensions) != 1 for p in ("dcsn", "cntn")):
        return "more than one state at the decision or in the continuation: only one is solved so far"
    (post,) = equations.spaces["cntn"].dimensions
    if equations.spaces["cntn"].grid(post) is None:
        return f"the post-state {post} has no grid, on which EGM stands"
    return None


def _check_corner(reader, path, equations: Equations, derived: Derived, numbers):
    """The bound must imply the lowest post-state, and the grid must not begin below it."""
    (control,), state, post = equations.controls, derived.state[:-3], derived.post[:-3]
    place = (*path, "controls", control)
    if derived.lowest is None:
        message = f"`{control}` has no {derived.corner} bound, so that nothing says where {post} ends"
        reader.error("bounds", message, place, f"e.g. {control}: 0 < {control} <= {state}")
        return
    loose = [str(s)[:-3] for s in derived.lowest.free_symbols if str(s).endswith("]")]
    if loose:
        message = (
            f"at the bound of `{control}` {post} still depends on `{loose[0]}`, so that the bound implies no lowest {post}"
        )
        reader.error("bounds", message, place, "EGM needs a bound that exhausts the state")
        return
    grid = equations.spaces["cntn"].grid(post)
    first = grid.values[0] if grid.type == "list" else grid.minimum
    low, least = number(freeze(derived.lowest), numbers), number(first, numbers)
    if np.any(least < low - 1e-9 * (1 + np.abs(low))):
        found = f"begins at {np.ravel(least)[0]:g}, below the lowest {np.ravel(low)[0]:g}"
        message = f"the grid of {post} {found} that the bound of `{control}` allows"
        reader.error("grid-bounds", message, (*path, "state_space", "cntn", "grid", post), key=True)
