"""How far a step may go, in which coordinates it goes straight, and the best damped step within that box."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_END = 30.0  # On the real line; beyond it numbers between bounds are these bounds, to rounding.


def _same(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x, np.ones_like(x)


@dataclass(frozen=True)
class Way:
    """The way from one point to the next. Moments bend less in parameters than in the logits that keep these between bounds:
    where `straight`, a step goes straight in the parameter itself, and its box is one of the real line nonetheless.

    **Attributes:** `straight`: which coordinates go so; `bounded`: which real numbers are told from bounds, so that one is
    their unit; others have their own size for that, and never move by more; `inside`: coordinates of real numbers, and their
    derivatives; `real`: and back.
    """

    straight: np.ndarray
    bounded: np.ndarray
    inside: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = _same
    real: Callable[[np.ndarray], np.ndarray] = np.asarray

    def unit(self, x: np.ndarray) -> np.ndarray:
        """What a step of one on the real line is in coordinates of steps, (coordinates,)."""
        return np.where(self.straight, self.inside(x)[1], 1.0)

    def box(self, x: np.ndarray, far: float) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest step that moves each real number by `far` units at most, in coordinates of steps."""
        width = np.where(self.bounded, far, min(far, 1.0) * np.maximum(1.0, np.abs(x)))
        ends = []
        for end, last in ((x - width, np.minimum(x, -_END)), (x + width, np.maximum(x, _END))):
            end = np.where(self.bounded, np.clip(end, np.minimum(x, last), np.maximum(x, last)), end)
            ends.append(np.where(self.straight, self.inside(end)[0] - self.inside(x)[0], end - x))
        return ends[0], ends[1]

    def at(self, x: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The real numbers to which a step leads."""
        with np.errstate(all="ignore"):
            there = np.where(self.straight, self.real(self.inside(x)[0] + step), x + step)
        return np.where(np.isfinite(there), there, x)


def step_of(told, more, slope, damping, scale, box, exact: bool) -> tuple[np.ndarray, float]:
    """A damped step within its box and what it promises; without the part of secants where that leaves no minimum.

    **Arguments:** `exact`: whether it is the best one in the box, as a sum of squares tells well; else the best of all, cut.
    """
    for curve in (told + more, told):
        whole = curve + damping * np.diag(scale)
        if np.diag(whole).min(initial=1.0) <= 0:
            continue
        size = np.sqrt(np.diag(whole))
        try:
            root = np.linalg.cholesky(whole / np.outer(size, size))
        except np.linalg.LinAlgError:
            continue
        step = _within(root, slope / size, (box[0] * size, box[1] * size), exact) / size
        gain = -(slope @ step + 0.5 * step @ curve @ step)
        if gain > 0 or not np.any(slope):
            return step, gain
    step = np.clip(-slope / scale.max(), *box)
    return step, -slope @ step


def _within(root, slope, box, exact) -> np.ndarray:
    r"""The $s$ at which $\tfrac12|R's|^2 + g's$ is least, in the box or cut off there."""
    from scipy.optimize import lsq_linear

    target = -np.linalg.solve(root, slope)
    step, low, high = np.linalg.solve(root.T, target), np.minimum(box[0], -1e-300), np.maximum(box[1], 1e-300)
    if exact and np.any((step < low) | (step > high)):
        return lsq_linear(root.T, target, (low, high), method="bvls").x
    return step * np.min(np.where(step < 0, low, high) / np.where(step == 0, np.inf, step), where=step != 0, initial=1.0)
