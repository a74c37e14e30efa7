"""Expectations over quadrature nodes: the leading axis of the values is the axis of the nodes."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where


def expect(weights: Float[Array, "nodes ..."], values: Float[Array, "nodes ..."]) -> Float[Array, "..."]:
    r"""$\sum_k w_k f_k$, leaving out nodes of no weight, so that an infinite value there does no harm.

    **Arguments:** `weights`: of the nodes, or for each value where the law depends on a state; shapes broadcast. Where the law
    depends on what the values do not it is a product of matrices, and the values are not spread.
    """
    column = _beside(weights, values)
    if _spreads(column, values):
        return _product(column, values)
    return jnp.sum(column * where(column == 0, 0.0, values), axis=0)


def certain(weights: Float[Array, "nodes ..."], truth: Bool[Array, "nodes ..."]) -> Bool[Array, "..."]:
    """Whether something holds at every node of some weight."""
    column = _beside(weights, truth)
    if _spreads(column, truth):
        return _product((column != 0).astype(column.dtype), (~truth).astype(column.dtype)) == 0
    return jnp.all(truth | (column == 0), axis=0)


def _beside(weights, values):
    """The weights with as many axes as the values have."""
    return weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))


def _spreads(weights, values):
    """Whether the law depends on what the values do not."""
    return any(w > 1 and v == 1 for w, v in zip(weights.shape[1:], values.shape[1:], strict=True))


def _product(weights, values):
    """The same as a sum over the nodes that no larger array is made for; infinite values stand aside as very large ones."""
    most = jnp.finfo(values.dtype).max
    finite = jnp.nan_to_num(values, nan=0.5 * most, posinf=0.5 * most, neginf=-0.5 * most)
    wide = lambda x: [i for i in range(1, x.ndim) if x.shape[i] > 1]
    slim = lambda x: x.reshape(x.shape[0], *[x.shape[i] for i in wide(x)])
    axes = sorted({*wide(weights), *wide(finite)})
    mean = jnp.einsum(slim(weights), [0, *wide(weights)], slim(finite), [0, *wide(finite)], axes, precision="highest")
    mean = mean.reshape([max(w, v) for w, v in zip(weights.shape[1:], values.shape[1:], strict=True)])
    return where(mean > most**0.8, jnp.inf, where(mean < -(most**0.8), -jnp.inf, mean))
