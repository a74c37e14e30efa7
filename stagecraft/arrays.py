"""Arrays of a circuit: their float type, whether JAX traces them, and the room kept from an open bound."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float


def floating(x) -> bool:
    """Whether an array holds floating-point numbers."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def dtype_of(*trees: Any) -> jnp.dtype:
    """The type of the first floating-point leaf: all of a circuit, and of what is solved of it, have the same."""
    # A circuit without a parameter has what it would be given.
    return next((x.dtype for x in jax.tree.leaves(trees) if floating(x)), jnp.result_type(float))


def traced(*trees) -> bool:
    """Whether anything in these is inside a transformation, and may be asked for a derivative."""
    return any(isinstance(x, Tracer) for x in jax.tree.leaves(trees))


def room_above(bound: Float[Array, "..."]) -> Float[Array, "..."]:
    """The distance kept from an open bound: small beside any choice, large beside rounding."""
    tiny = 1e-14 if jnp.finfo(bound.dtype).bits == 64 else 1e-6
    return tiny * (1.0 + jnp.abs(jnp.where(jnp.isfinite(bound), bound, 0.0)))
