"""Numeric certificates: a closed form is kept if it solves its equation at random points, and dropped if it does not."""

from collections.abc import Mapping, Sequence

import numpy as np
import sympy as sp

from heptapod.derivation.euler_inputs import EulerInputs, real
from heptapod.derivation.steps import small
from heptapod.formulas.equation import SLOPE
from heptapod.formulas.freeze import freeze
from heptapod.formulas.in_numpy import number

POINTS, LEAST = 48, 3
_TOLERANCE = 1e-7


def value(expression: sp.Basic | None, scope: Mapping) -> np.ndarray | None:
    """An expression at every point of a scope; `None` where it has no number."""
    if expression is None or not small(expression):
        return None
    try:
        return np.broadcast_to(number(freeze(expression), scope), (POINTS,)).astype(float)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def near_calibration(stage: EulerInputs, post: str) -> dict[str, np.ndarray]:
    """Parameters within 2 percent of their values, states between the ends of their grids, controls between their bounds."""
    rng = np.random.default_rng(0)
    jitter = lambda: 1 + 0.02 * rng.uniform(-1, 1, POINTS)
    return _completed(stage, post, rng, {n: np.full(POINTS, v) * jitter() for n, v in stage.defaults})


def generic(stage: EulerInputs, post: str) -> dict[str, np.ndarray]:
    """Parameters anywhere between a half and two, so that a degenerate calibration decides nothing."""
    rng = np.random.default_rng(1)
    return _completed(stage.text, post, rng, {n: np.exp(rng.uniform(-0.7, 0.7, POINTS)) for n in stage.parameters})


def _completed(stage, post, rng, scope):
    ranges = dict(stage.ranges)
    for name in stage.states:
        scope[name] = rng.uniform(*ranges.get(name, (1.0, 3.0)), POINTS)
    if post in ranges:  # Half of the points are as large as the states of the model, whatever its unit.
        low, high = ranges[post]
        large = low + (high - low) * rng.uniform(0.05, 1.0, POINTS) ** 2
        half = np.arange(POINTS) % 2 == 0
        scope |= {n: np.where(half, scope[n], large) for n in stage.states if n not in ranges}
    scope |= {n: rng.uniform(*ends, POINTS) for n, ends in stage.ranges if n in stage.parameters}
    low, high = value(stage.lower, scope), value(stage.upper, scope)
    low = np.full(POINTS, 0.1) if low is None else low
    high = low + 2.0 if high is None else high
    inside = low + (high - low) * rng.uniform(0.1, 0.9, POINTS)
    scope[stage.control] = np.where(high > low, inside, np.nan)  # Where the set of choices is empty there is no point.
    scope[post] = value(dict(stage.transition)[post], scope)
    return scope


def consistent(scope: Mapping, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The points at which everything named has a finite number."""
    if any(v is None for v in scope.values()):
        return {}
    good = np.all([np.isfinite(scope[n]) for n in names], axis=0)
    return {name: np.broadcast_to(v, (POINTS,))[good] for name, v in scope.items()}


def optimal(scope: Mapping, condition: sp.Expr, control: sp.Symbol) -> dict[str, np.ndarray]:
    """The points at which some slope makes the control a maximum, with that slope.

    **Arguments:** `condition`: the first-order condition in state, control, post-state and slope, linear in the slope.
    """
    if any(v is None for v in scope.values()):
        return {}
    none, one = (value(condition, {**scope, SLOPE: v}) for v in (0.0, 1.0))
    if none is None or one is None:
        return {}
    with np.errstate(all="ignore"):
        slope = -none / (one - none)
        curvature = value(sp.diff(condition, control), {**scope, SLOPE: slope})
        # Past a maximum a closed form may be right on its other branch, which is of no use.
        slope = np.full(POINTS, np.nan) if curvature is None else np.where(curvature < 0, slope, np.nan)
    return consistent({**scope, SLOPE: slope}, (*scope, SLOPE))


def holds(inverse: sp.Expr, at: str, scopes: Sequence[Mapping], function: tuple[str, sp.Expr] | None = None) -> bool:
    """Whether a closed form gives the number that stands in a scope; the first scope with enough points decides.

    **Arguments:** `at`: the key that it should give; `function`: the name and the expression of what it inverts, where that
    is a function of `at` alone.
    """
    for scope in scopes:
        count = len(next(iter(scope.values()))) if scope else 0
        if count < LEAST:
            continue
        points = {name: np.resize(v, POINTS) for name, v in scope.items()}
        rounding = 0.0
        if function is not None:
            name, expression = function
            level, rise = value(expression, points), value(sp.diff(expression, real(at)), points)
            if level is None or rise is None:
                return False
            points[name] = level
            with np.errstate(all="ignore"):  # Where the function is flat, rounding moves its inverse far.
                rounding = 1e-13 * np.abs(level / rise)
        found, wanted = value(inverse, points), points[at]
        if found is None:
            return False
        with np.errstate(all="ignore"):
            tells = np.isfinite(wanted) & (rounding < 0.01 * _TOLERANCE * (1 + np.abs(wanted)))
            close = np.abs(found - wanted) <= _TOLERANCE * (1 + np.abs(wanted))
        if np.sum(tells) >= LEAST:
            return bool(np.all(close | ~tells))
    return False
