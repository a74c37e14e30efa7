"""Whether derivatives are those of the criterion: automatic ones beside central differences, parameter by parameter."""

from typing import Any

import numpy as np

TOLERANCE = 1e-5


def gradient_check(task, z: np.ndarray, where: str) -> Any:
    """A row for each free coordinate.

    **Returns:** a frame with `parameter`, `automatic`, `differences`, `gap` (relative to the size that the gradient has in that
    direction), `agrees`, `reason`, and `at`.
    """
    import pandas as pd

    exact = task.slope(z)
    low, high = task.free.bounds()
    rows, here = [], task.value(z)
    for i, name in enumerate(task.free.names):
        size = max(abs(z[i]), 1e-2 * (high[i] - low[i]) if np.isfinite(high[i] - low[i]) else 1e-2)
        room = 0.25 * min(z[i] - low[i], high[i] - z[i])
        step = min(1e-4 * size, room)
        coarse, fine = (_difference(task, z, i, h) for h in (step, 0.5 * step))
        best = (4 * fine - coarse) / 3
        # What rounding of the criterion leaves of a difference, and what the two steps disagree by.
        noise = 1e3 * np.finfo(float).eps * abs(here) / step
        unsure = abs(fine - coarse)
        floor = max(abs(exact[i]), abs(best), noise / TOLERANCE, 1e-8 * max(1.0, abs(here)) / size)
        gap = abs(exact[i] - best) / floor
        agrees = bool(gap <= TOLERANCE)
        rows.append((name, exact[i], best, gap, agrees, "" if agrees else _reason(exact[i], best, unsure), where))
    return pd.DataFrame(rows, columns=["parameter", "automatic", "differences", "gap", "agrees", "reason", "at"])


def _difference(task, z, i, step):
    move = np.zeros_like(z)
    move[i] = step
    return (task.value(z + move) - task.value(z - move)) / (2 * step)


def _reason(exact, best, unsure):
    if not np.isfinite(exact):
        return "the automatic derivative is not finite"
    if not np.isfinite(best):
        return "the criterion is not finite nearby"
    if unsure > 0.1 * abs(exact - best):
        return "differences at two steps disagree: the criterion is not smooth here (a hard choice that switches, or a moment)"
    return "differences agree with each other and not with the automatic derivative: a jump that it does not see"
