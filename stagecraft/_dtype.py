"""The floating-point type of a circuit, fixed when it is loaded."""

from typing import Any

import jax
import jax.numpy as jnp


def floating(x) -> bool:
    """Whether an array holds floating-point numbers."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def dtype_of(*trees: Any) -> jnp.dtype:
    """The type of the first floating-point leaf: all of a circuit, and of what is solved of it, have the same."""
    return next(x.dtype for x in jax.tree.leaves(trees) if floating(x))
