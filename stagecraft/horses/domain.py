"""Solutions that stand where nobody can be: below the states at which the reward has a value."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.horses.evaluate import envelope
from stagecraft.horses.problems import ContinuousProblem
from stagecraft.horses.solution import Row
from stagecraft.operators.interpolate import take


def within_domain(
    problem: ContinuousProblem, row: Row, post: Float[Array, " n"], flags: tuple[Bool[Array, " n"], ...]
) -> tuple[Row, Float[Array, " n"], tuple[Bool[Array, " n"], ...]]:
    """The same with every solution outside the domain in the place of the next one above that is inside.

    A firm whose marginal value is large where it is small invests more than it has: the states that lead to the lowest
    post-states would be negative, where a technology has no value.

    **Arguments:** `row`: choices with what is behind them; `post`: where they lead; `flags`: of every knot.
    """
    still, n = jax.lax.stop_gradient, post.shape[0]
    at = still((row.state, row.control, post, row.value))
    frozen = problem.chosen(still(row.inner))
    worth = frozen.objective(still(frozen.parameters), *at) + envelope(frozen, *at)
    good = jnp.isfinite(still(worth) + at[0] + at[1])
    index = jnp.arange(n)
    place = where(good, index, jax.lax.cummin(where(good, index, n), reverse=True))
    place = where(place < n, place, index)
    row, post, flags = jax.tree.map(lambda x: take(x, place), (row, post, flags))
    return row, post, flags
