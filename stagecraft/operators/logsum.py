"""The value of a choice among alternatives, smoothed by taste shocks or not; and of one that nature makes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where


def logsum(
    values: Float[Array, "alternatives ..."],
    feasible: Bool[Array, "alternatives ..."],
    scale: Float[Array, ""] | float,
) -> tuple[Float[Array, "..."], Float[Array, "alternatives ..."]]:
    r"""The expected maximum under extreme-value taste shocks of mean zero, and the choice probabilities.

    $V = \sigma \log \sum_d \exp(v_d/\sigma)$ and $p_d = \exp((v_d - V)/\sigma)$ over the feasible alternatives, without
    Euler's constant (McFadden 1978). At $\sigma = 0$ the maximum, and certainty of the first alternative that attains it.
    Derivatives: $\partial V/\partial v_d = p_d$, and $\partial V/\partial\sigma = -\sum_d p_d \log p_d$, zero at $\sigma = 0$.

    **Arguments:**

    - `values`: one per alternative along the first axis; where infeasible anything, NaN included.
    - `feasible`: the same shape.
    - `scale`: $\sigma \ge 0$, traced: one program serves both cases.

    **Returns:** the value, 0 where nothing is feasible, and the probabilities, 0 for what is infeasible.
    """
    scale = jnp.asarray(scale, values.dtype)
    values = where(feasible, values, 0.0)
    possible = jnp.any(feasible, axis=0)
    ranked = where(feasible, jax.lax.stop_gradient(values), -jnp.inf)
    first = jnp.arange(values.shape[0]).reshape((-1,) + (1,) * (values.ndim - 1)) == jnp.argmax(ranked, axis=0)
    best = first & possible
    top = jnp.sum(where(best, values, 0.0), axis=0)
    # A scale whose square underflows is none.
    soft = scale > jnp.finfo(values.dtype).tiny ** 0.5
    safe = where(soft, scale, 1.0)
    # The peak is common to all, so its derivative cancels; what is far below it is left out before the division.
    below = values - jax.lax.stop_gradient(top)
    near = feasible & (jax.lax.stop_gradient(below) > jnp.log(jnp.finfo(values.dtype).tiny) * safe)
    ratio = where(near, below, 0.0) / safe
    total = jnp.sum(where(near, jnp.exp(ratio), 0.0), axis=0)
    log_total = jnp.log(where(possible, total, 1.0))
    smooth = jax.lax.stop_gradient(top) + safe * log_total
    shares = where(near, jnp.exp(ratio - log_total), 0.0)
    certain = jax.lax.stop_gradient(best.astype(values.dtype))
    return where(soft & possible, smooth, top), where(soft, shares, certain)


def nature(
    values: Float[Array, "branches ..."],
    feasible: Bool[Array, "branches ..."],
    probabilities: Float[Array, "branches ..."],
) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    r"""The mean $\sum_b \pi_b v_b$ over branches that nature draws, and whether it exists.

    A branch that may happen and is infeasible makes the mean infeasible; one without probability does no harm.

    **Arguments:**

    - `values`, `feasible`: one per branch along the first axis; values where infeasible are anything, NaN included.
    - `probabilities`: of the same number of axes, or one number per branch.

    **Returns:** the mean over the feasible branches, finite always, and the mask.
    """
    spare = values.ndim - probabilities.ndim
    probabilities = probabilities.reshape(probabilities.shape + (1,) * spare)
    mean = jnp.sum(probabilities * where(feasible, values, 0.0), axis=0)
    return mean, jnp.all(feasible | (probabilities == 0), axis=0)
