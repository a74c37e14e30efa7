"""What can be said of numbers that were found, whoever found them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import floating


def finite(tree) -> Bool[Array, ""]:
    """Whether all floating-point numbers are."""
    floats = [x for x in jax.tree.leaves(tree) if floating(x)]
    return jnp.all(jnp.isfinite(jnp.concatenate([jnp.ravel(x) for x in floats])))


def unfolded(knots: Float[Array, "*rows n"]) -> Bool[Array, ""]:
    """Whether the endogenous knots of every row increase, up to rounding."""
    span = jnp.abs(knots[..., -1:] - knots[..., :1])
    return jnp.all(jnp.diff(knots) >= -1e2 * jnp.finfo(span.dtype).eps * (1.0 + span))
