"""A choice between arrays, element by element, as one equation of a program."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def where(condition, x, y) -> Array:
    """`jnp.where(condition, x, y)`: element by element `x` where the condition holds and `y` elsewhere.

    JAX's own is a compiled program, so that a trace holds a call for each use, and a derivative looks into each by itself.
    A model has hundreds of them; this one is an equation, beside those that spread numbers over a shape.

    **Returns:** an array of the type and shape that `jnp.where` gives, weak types included. **Raises:** `ValueError` where
    the shapes do not fit each other.
    """
    condition = condition if hasattr(condition, "dtype") else jnp.asarray(condition)
    dtype, shape = jnp.result_type(x, y), jnp.broadcast_shapes(*map(jnp.shape, (condition, x, y)))
    strong = [z.dtype for z in (x, y) if hasattr(z, "dtype") and not getattr(z, "weak_type", False)]
    if dtype not in strong or condition.dtype != bool:  # What is weak stays so.
        return jnp.where(condition, x, y)
    taken = condition if condition.ndim == 0 else _spread(condition, bool, shape)
    return lax.select(taken, _spread(x, dtype, shape), _spread(y, dtype, shape))


def _spread(x, dtype, shape):
    """An array of this type and shape, by as few equations as can be."""
    if not hasattr(x, "dtype"):
        return lax.full(shape, x, dtype)
    return jnp.broadcast_to(x if x.dtype == dtype else lax.convert_element_type(x, dtype), shape)
