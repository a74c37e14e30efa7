"""Where two alternatives are worth the same, between two points of a line."""

import jax
import jax.numpy as jnp

from stagecraft.arrays import where
from stagecraft.operators.rootfind import newton_within

ASIDE = 1e-6  # How far from a switch its two sides are looked at, in widths of a cell.
_STEPS = 12
_still = jax.lax.stop_gradient


def crossing(decision, frozen, ends, left, right):
    """Where two alternatives are worth the same: Newton steps, and one step more that carries the derivative.

    **Returns:** the share of the way; zero with its derivative; by how much the right one's slope is larger, zero for none.
    """
    pick = lambda x, k: jnp.take_along_axis(x, k[None], axis=0)[0]
    step = {name: high - low for name, (low, high) in ends.items()}
    still = jax.tree.map(_still, ends)

    def gap_at(decision, ends, share):
        stack = decision.stack(between(ends, share))
        difference = lambda x: pick(x, left) - pick(x, right)
        slope = _still(sum(difference(x) * step[n] for n, x in stack.marginal.items() if n in step))
        sound = pick(stack.feasible, left) & pick(stack.feasible, right) & (slope < 0)
        return difference(stack.value), where(sound, -slope, 0.0)

    def look(share):
        gap, steep = gap_at(frozen, still, share)
        return gap, -steep, 0.0

    none = jnp.zeros(left.shape, next(iter(step.values())).dtype)
    near = 4 * float(jnp.finfo(none.dtype).eps)
    share = newton_within(look, none, none + 1.0, none + 0.5, 1.0, near, steps=_STEPS)
    gap, steep = gap_at(decision, ends, share)
    moved = gap / where(steep > 0, steep, 1.0)
    return _still(jnp.clip(share + moved, 2 * ASIDE, 1 - 2 * ASIDE)), moved, steep


def between(ends, share):
    """States a share of the way between two points."""
    return {name: low + (high - low) * share for name, (low, high) in ends.items()}
