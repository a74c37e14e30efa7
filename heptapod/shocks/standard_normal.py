"""Standard normal draws: uniform ones through the inverse of the distribution function."""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray


def standard_normal(key: PRNGKeyArray, count: int, dtype) -> Float[Array, " count"]:
    r"""Draws $\Phi^{-1}(u)$; $u$ and $1 - u$ give $z$ and $-z$."""
    # The middles of the cells that uniform draws begin: symmetric about one half, and never 0.
    return ndtri(jax.random.uniform(key, (count,), dtype) + 0.5 * jnp.finfo(dtype).eps)
