"""Whether derivatives are those of the criterion: automatic ones beside central differences, parameter by parameter."""

from typing import Any

import numpy as np

TOLERANCE = 1e-5


def gradient_check(task, z: np.ndarray, where: str) -> Any:
    """A row for each free coordinate, told of all terms of the criterion: of units of a likelihood, or moments.

    **Returns:** a frame with `parameter`; `automatic`, `differences`: the derivative of the criterion by both; `gap`: of the
    derivatives of all terms, relative to their size; `agrees`; `reason`; and `at`.
    """
    import pandas as pd

    terms, exact = task.vector(z), task.jacobian(z)
    weight = 2 * terms if task.weights is None else -np.asarray(task.weights)
    live = np.ones(len(terms)) if task.weights is None else np.sqrt(np.asarray(task.weights))
    low, high = task.free.bounds()
    rows = []
    for i, name in enumerate(task.free.names):
        size = max(abs(z[i]), 1e-2 * (high[i] - low[i]) if np.isfinite(high[i] - low[i]) else 1e-2)
        room = 0.25 * min(z[i] - low[i], high[i] - z[i])
        length = lambda x: float(np.linalg.norm(live * x))
        # A large step passes kinks, a small one meets rounding.
        for share in (1e-4, 1e-5, 1e-6):
            coarse, fine = (_difference(task, z, i, h * min(share * size, room)) for h in (1.0, 0.5))
            best = (4 * fine - coarse) / 3
            gap = length(exact[:, i] - best) / max(length(exact[:, i]), length(best), 1e-300)
            if gap <= TOLERANCE:
                break
        agrees = bool(gap <= TOLERANCE)
        why = "" if agrees else _reason(exact[:, i], best, length(fine - coarse) / max(length(exact[:, i] - best), 1e-300))
        both = (float(np.sum(np.where(live > 0, weight * x, 0.0))) for x in (exact[:, i], best))
        rows.append((name, *both, gap, agrees, why, where))
    return pd.DataFrame(rows, columns=["parameter", "automatic", "differences", "gap", "agrees", "reason", "at"])


def _difference(task, z, i, step):
    """The central difference of all terms."""
    move = np.zeros_like(z)
    move[i] = step
    return (task.vector(z + move) - task.vector(z - move)) / (2 * step)


def _reason(exact, best, unsure):
    if not np.all(np.isfinite(exact)):
        return "the automatic derivative is not finite"
    if not np.all(np.isfinite(best)):
        return "the criterion is not finite nearby"
    worst = int(np.argmax(np.abs(exact - best)))
    if unsure > 0.1:
        return f"differences at two steps disagree, most in term {worst}: a switch, or a moment that is not smooth"
    return f"differences agree with each other and not with it, most in term {worst}: a jump that it does not see"
