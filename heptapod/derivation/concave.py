"""A warning where the reward is not concave in the control at the calibration: then no condition of first order is enough."""

import numpy as np
import sympy as sp

from heptapod.derivation import certificate
from heptapod.derivation.derive import Derived
from heptapod.derivation.euler_inputs import EulerInputs, real
from heptapod.formulas.equation import name_of
from heptapod.parsing.reader import Path, Reader

_TOLERANCE = 1e-6


def warn_not_concave(reader: Reader, path: Path, stage: EulerInputs, found: Derived) -> None:
    """Sample the second derivative of the reward, the post-state moving along, at the points of the certificate.

    **Arguments:** `path`: of the objective.
    """
    if not found.post:
        return
    c = real(stage.control)
    scope = certificate.near_calibration(stage, found.post)
    along = found.reward.subs(real(found.post), dict(stage.transition)[found.post])
    slope, curvature = (certificate.value(sp.diff(along, c, order), scope) for order in (1, 2))
    if slope is None or curvature is None:
        return
    with np.errstate(all="ignore"):
        # Measured against the slope, so that the unit of the reward does not matter.
        relative = curvature * (np.abs(scope[stage.control]) + 1e-3) / np.abs(slope)
        convex = np.isfinite(relative) & (relative > _TOLERANCE)
    if not np.any(convex):
        return
    worst = int(np.argmax(np.where(convex, relative, -np.inf)))
    place = ", ".join(f"{name_of(n)} = {scope[n][worst]:.3g}" for n in (found.state, stage.control))
    message = f"the reward is not concave in `{stage.control}` at the calibration, e.g. where {place}"
    reader.warning("not-concave", message, path, "check its sign and its exponents; a first-order condition may be a minimum",
                   key=True)  # fmt: skip
