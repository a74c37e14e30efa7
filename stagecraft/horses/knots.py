"""Where knots stand, and how many: of a decision whose maximum is sought, of a post-state that may leave nothing."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import room_above, where
from stagecraft.horses.bounds import HELD
from stagecraft.horses.branch import BRANCH
from stagecraft.horses.problems import KINK_ENDS, ContinuousProblem

States = dict[str, Float[Array, "..."]]

# Knots beyond those of the post-state, up to the highest state that arrivals reach.
MORE = 4
# Knots between the first two of a post-state, where nothing may be left at the first.
NEAR = 16
# So many times what is kept from an open bound is the first of them away from the first knot, which leaves that.
AWAY = 1e5


def reach(move: Callable[[States], States], ends: States, state: str) -> Float[Array, ""]:
    """The highest decision state that is reached from the ends of what may be on arrival and be drawn.

    **Arguments:** `move`: arrival states and shocks to decision states; `ends`: the least and the largest value of each.
    """
    corners = jnp.meshgrid(*[jnp.stack([jnp.min(x), jnp.max(x)]) for x in ends.values()], indexing="ij")
    reached = move(dict(zip(ends, corners, strict=True)))[state]
    return jax.lax.stop_gradient(jnp.max(where(jnp.isfinite(reached), reached, -jnp.inf)))


def decision_knots(
    base: Float[Array, "rows cntn"], knots: Float[Array, " cntn"], most: Float[Array, ""]
) -> Float[Array, "rows dcsn"]:
    """Knots of a decision state that has no grid of its own, dense where those of the post-state are.

    They are the states that lead to the knots of the post-state while the controls take as little as they may (or those knots
    themselves where that has no increasing closed form), so that the lowest is where nothing is left to take; a few more
    lead to the highest state that arrivals reach.
    """
    sound = jnp.all(jnp.isfinite(base), axis=-1, keepdims=True) & jnp.all(jnp.diff(base) > 0, axis=-1, keepdims=True)
    own = where(sound, base, knots)
    first, last = own[..., :1], own[..., -1:]
    top = jnp.maximum(most, last + 0.1 * (last - first))
    return jnp.concatenate([own, last + (top - last) * jnp.arange(1, MORE + 1) / MORE], axis=-1)


def thinned(knots: Float[Array, " cntn"]) -> Float[Array, " more"]:
    r"""The knots with `NEAR` more in their first cell, at about $(k/(n+1))^6$ of its width, which thin out towards the first.

    Next to a state without anything values go like a logarithm or a power that no polynomial of a whole cell follows.
    """
    width, shares = knots[1] - knots[0], (jnp.arange(1, NEAR + 1, dtype=knots.dtype) / (NEAR + 1)) ** 6
    least = jnp.minimum(AWAY * room_above(knots[-1] - knots[0]), 0.5 * width)
    return jnp.concatenate([knots[:1], knots[0] + least + (width - least) * shares, knots[1:]])


def filled(
    knots: Float[Array, "rows dcsn"], control: Float[Array, "rows dcsn"], feasible: Bool[Array, "rows dcsn"], empty
) -> Float[Array, "rows dcsn"]:
    """A policy with the first feasible knots' line in place of what stands below them, where there was no choice.

    **Arguments:** `empty`: knots at which bounds meet, which keep that one choice.
    """
    first = jnp.clip(jnp.argmax(feasible, axis=-1), 0, knots.shape[-1] - 2)[..., None]
    at = lambda x, i: jnp.take_along_axis(x, i, axis=-1)
    width = at(knots, first + 1) - at(knots, first)
    slope = (at(control, first + 1) - at(control, first)) / where(width == 0, 1.0, width)
    line = at(control, first) + slope * (knots - at(knots, first))
    below = (jnp.arange(knots.shape[-1]) < first) & ~empty
    return where(below, line, control)


def room_for(knots: int) -> int:
    """How many knots the envelope of a correspondence is given."""
    return knots + knots // 8 + 16


def stored_knots(problem: ContinuousProblem) -> int:
    """The length of the rows that `egm` returns."""
    n, pairs = problem.knots.shape[0], problem.switch_knots
    n += 2 * len(problem.kinks) + KINK_ENDS * problem.kink_ends + problem.corner_knot + problem.cornerless
    n += (1 + HELD) * problem.holds + BRANCH * problem.branched
    return room_for(n + 2 * pairs) + 4 * pairs if problem.envelope else n
