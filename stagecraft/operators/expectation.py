"""Expectations over quadrature nodes: the leading axis of the values is the axis of the nodes."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def expect(weights: Float[Array, "nodes ..."], values: Float[Array, "nodes ..."]) -> Float[Array, "..."]:
    r"""$\sum_k w_k f_k$, leaving out nodes of no weight, so that an infinite value there does no harm.

    **Arguments:** `weights`: of the nodes, or for each value where the law depends on a state; shapes broadcast.
    """
    column = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
    return jnp.sum(column * jnp.where(column == 0, 0.0, values), axis=0)
