"""How a criterion is minimised over real numbers: damped steps with a curvature, quasi-Newton, stochastic, or none of these."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np

from dynx_runner.estimation.steps import Way, step_of

METHODS = ("damped", "bfgs", "l-bfgs-b", "trf", "adam", "nelder-mead")
_TINY = np.finfo(float).eps
_HESSIANS = 4  # At most, from one start.
_NEARER = 0.5  # A gain below which the exact curvature is worth what it costs.
# How many units of the real line the first step may go in each coordinate, and its damping. Scores far from the optimum tell of
# odds that change by a factor of e, and no more: steps of a likelihood go no farther later on.
_FAR = 1.0
_DAMPING = {"likelihood": 0.1, "squares": 0.01}
_NEAR = 10.0  # A gain of the log-likelihood below which secants tell of the optimum, and not of the way to it.
_NEAR_SQUARES = 1e-2  # The same as a share of a sum of squares: moments that do not fit have a curvature of their own.


class Point(NamedTuple):
    """A criterion at a point: its value, its gradient, and an approximation of its second derivative, or `None`."""

    value: float
    slope: np.ndarray
    curve: np.ndarray | None = None


@dataclass
class Trace:
    """How a minimisation went.

    **Attributes:** `x`: where it ended; `point`: the criterion there; `values`: of all steps taken; `evaluations`: of the
    gradient; `hessians`: of exact second derivatives; `outcome`: in words, `"converged"` where its own rule of stopping held.
    """

    x: np.ndarray
    point: Point
    values: list[float] = field(default_factory=list)
    evaluations: int = 0
    outcome: str = ""
    hessians: int = 0


@dataclass(frozen=True)
class Criterion:
    """What an engine may ask.

    **Attributes:** `point`: value, gradient and curvature; `value`: alone; `residual`: (residuals, Jacobian) of a sum of
    squares, or `None` of a likelihood; `hessian`: the exact second derivative of a likelihood, or `None`; `way`: in which
    coordinates its steps are straight, the real numbers themselves where it is `None`.
    """

    point: Callable[[np.ndarray], Point]
    value: Callable[[np.ndarray], float]
    residual: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    hessian: Callable[[np.ndarray], np.ndarray] | None = None
    way: Way | None = None

    def small(self, here: float, first: float) -> float:
        """A gain that is not worth a step: of a likelihood a ten-thousandth of a standard error, of squares a share of them."""
        if self.residual is None:
            return 0.5e-8 + 10 * _TINY * abs(here)
        return 1e-10 * here + 1e-20 * first


def minimise(criterion: Criterion, start: np.ndarray, method: str, steps: int, told: Callable[[float], None]) -> Trace:
    """From one start to a minimum.

    **Arguments:** `method`: one of `METHODS`; `steps`: at most; `told`: is called with the value at each step.
    """
    if method not in METHODS:
        raise ValueError(f"method: {method!r} is none of {', '.join(METHODS)}")
    engine = {"damped": _damped, "trf": _trf, "adam": _adam}.get(method, _scipy)
    return engine(criterion, np.asarray(start, float), method, steps, told)


def _damped(criterion, x, method, steps, told):
    r"""Steps $(B + \lambda D)s = -g$ within a box, $B$ the curvature that squares of first derivatives tell, and near the
    optimum what secants add to it, or of a likelihood the exact one.

    Levenberg and Marquardt's damping by Nielsen's rule; the second part by symmetric updates of rank one, as of Dennis, Gay
    and Welsch (1981). The box of a sum of squares grows where a step to its edge kept its promise, and shrinks where
    one did not.
    """
    del method
    none = np.zeros(x.size, bool)
    way, squares = criterion.way or Way(none, none), criterion.residual is not None
    here, more, unit = criterion.point(x), np.zeros((x.size, x.size)), way.unit(x)
    trace = Trace(x, here, [here.value], 1)
    here, far, damping = _in(here, unit), _FAR, _DAMPING["squares" if squares else "likelihood"]
    factor, loose, stale, scale = 2.0, 1.0, True, np.zeros(x.size)
    for _ in range(steps):
        scale = np.maximum(scale, np.maximum(np.diag(here.curve), _TINY * np.max(np.diag(here.curve), initial=1e-300)))
        box = way.box(x, far)
        step, gain = step_of(here.curve / loose, more, here.slope, damping, scale, box, squares)
        if criterion.hessian is not None and stale and gain < _NEARER and trace.hessians < _HESSIANS:
            more, loose, stale = criterion.hessian(x) / np.outer(unit, unit) - here.curve, 1.0, False
            trace.hessians, damping = trace.hessians + 1, min(damping, 1e-3)
            step, gain = step_of(here.curve, more, here.slope, damping, scale, box, squares)
        if gain <= criterion.small(here.value, trace.values[0]) and damping <= 1e-2:
            trace.outcome = "converged"
            break
        moved = way.at(x, step)
        if not np.all(np.isfinite(step)) or np.max(np.abs(moved - x)) <= 1e-14 * (1 + np.max(np.abs(x))):
            trace.outcome = "no step that lowers the criterion was found"
            break
        found, trace.evaluations = criterion.point(moved), trace.evaluations + 1
        unit = way.unit(moved)
        there = _in(found, unit)
        ratio = (here.value - there.value) / gain if np.isfinite(there.value) and np.all(np.isfinite(there.slope)) else -1.0
        if ratio <= 1e-4:
            small = np.isfinite(there.value) and gain < 1e3 * _TINY * max(1.0, abs(here.value))
            if small:
                trace.outcome = "converged"
                break
            damping, factor, loose, stale, unit = damping * factor, 2 * factor, max(loose / 4, 1.0), True, way.unit(x)
            far = max(far / 2, _FAR / 16) if squares else far
            continue
        if gain < (_NEAR_SQUARES * here.value if squares else _NEAR):
            more, loose, stale = _secant(more, there.curve, step, there.slope - here.slope), 1.0, abs(ratio - 1) > 0.25
        elif not squares and (ratio > 1.25 or ratio < 0.75):  # The curvature is less than was told, or more.
            loose = float(np.clip(loose * (3.0 if ratio > 1 else 1 / 3), 1.0, 81.0))
        if squares and ratio > 0.75 and np.any((step <= 0.999 * box[0]) | (step >= 0.999 * box[1])):
            far *= 2
        x, here, factor, trace.point = moved, there, 2.0, found
        damping = max(damping * max(1 / 3, 1 - (2 * min(ratio, 1.5) - 1) ** 3), 1e-12)
        trace.values.append(here.value)
        told(here.value)
    else:
        trace.outcome = f"stopped after {steps} steps"
    trace.x = x
    return trace


def _in(point: Point, unit: np.ndarray) -> Any:
    """A point's derivatives in coordinates of steps."""
    assert point.curve is not None
    return Point(point.value, point.slope / unit, point.curve / np.outer(unit, unit))


def _secant(more, curve, step, bend):
    """The second part with the secant condition of the last step, where that says something."""
    gap = bend - curve @ step - more @ step
    along = gap @ step
    if abs(along) < 1e-8 * np.linalg.norm(gap) * np.linalg.norm(step) or not np.all(np.isfinite(gap)):
        return more
    return more + np.outer(gap, gap) / along


def _scipy(criterion, x, method, steps, told):
    """BFGS and L-BFGS-B with exact gradients, and Nelder and Mead's simplex without any, as scipy has them."""
    from scipy.optimize import minimize

    trace = Trace(x, criterion.point(x))
    trace.values.append(trace.point.value)
    big = 1e10 * (1 + abs(trace.point.value))

    def value_and_slope(at):
        trace.evaluations += 1
        point = criterion.point(at)
        good = np.isfinite(point.value) and np.all(np.isfinite(point.slope))
        return (point.value, point.slope) if good else (big, np.zeros_like(at))

    def value(at):
        found = criterion.value(at)
        return found if np.isfinite(found) else big

    def step(at):
        trace.values.append(criterion.value(at))
        told(trace.values[-1])

    free = method == "nelder-mead"
    options = {"maxiter": steps, **({"xatol": 1e-8, "fatol": 1e-10, "maxfev": 100 * steps, "adaptive": True} if free else {})}
    options |= {"ftol": 1e-15, "gtol": 1e-8} if method == "l-bfgs-b" else {}
    found = minimize(value if free else value_and_slope, x, method=method.upper() if not free else "Nelder-Mead",
                     jac=None if free else True, callback=step, options=options)  # fmt: skip
    trace.x, trace.point = found.x, criterion.point(found.x)
    # scipy speaks of lost precision where no digit is left to gain; whether that is a minimum is judged afterwards.
    trace.outcome = "converged" if found.success or found.status == 2 else str(found.message)
    return trace


def _trf(criterion, x, method, steps, told):
    """Trust regions on residuals with their exact Jacobian, as scipy has them."""
    from scipy.optimize import least_squares

    del method
    if criterion.residual is None:
        raise ValueError("method: 'trf' takes a sum of squares, and a likelihood is none; use 'damped'")
    trace, seen = Trace(x, criterion.point(x)), {}

    def residual(at):
        seen["at"], seen["r"], seen["j"] = at.copy(), *criterion.residual(at)
        trace.evaluations += 1
        told(float(seen["r"] @ seen["r"]))
        trace.values.append(float(seen["r"] @ seen["r"]))
        return seen["r"]

    slopes = lambda at: seen["j"] if np.array_equal(at, seen["at"]) else criterion.residual(at)[1]
    found = least_squares(residual, x, jac=cast(Any, slopes), max_nfev=steps, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    trace.x, trace.point = found.x, criterion.point(found.x)
    trace.outcome = "converged" if found.status > 0 else str(found.message)
    return trace


def _adam(criterion, x, method, steps, told):
    """Adam on a cosine schedule, for criteria that are noisy or have very many parameters."""
    try:
        import optax
    except ImportError:
        raise ImportError("method 'adam' needs optax: pip install \"dynx[estimate]\"") from None
    del method
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1, steps))
    here, state = criterion.point(x), optimiser.init(x)
    trace = Trace(x, here, [here.value], 1)
    for _ in range(steps):
        moves, state = optimiser.update(np.nan_to_num(here.slope), state)
        x = x + np.asarray(moves)
        here, trace.evaluations = criterion.point(x), trace.evaluations + 1
        trace.values.append(here.value)
        told(here.value)
    trace.x, trace.point, trace.outcome = x, here, "converged"
    return trace
