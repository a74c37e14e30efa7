"""What all Markov chains share: the long run, and a step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.shocks.base import Moments, listed_moments


def stationary(transition: Float[Array, "n n"]) -> Float[Array, " n"]:
    r"""The distribution with $\pi = \pi P$, by a linear solve; NaN or arbitrary if there are several.

    One of the balance equations follows from the others and gives way to $\sum_i \pi_i = 1$.
    """
    n = len(transition)
    apart = jnp.where(jnp.eye(n, dtype=bool), 0.0, transition)
    # Who leaves is summed and not taken as 1 - P_ii, which has no digits left where leaving is rare.
    balance = jnp.diag(apart.sum(axis=1)) - apart.T
    return jnp.linalg.solve(balance.at[-1].set(1.0), jnp.zeros(n, transition.dtype).at[-1].set(1.0))


def long_run(values: Float[Array, " n"], transition: Float[Array, "n n"], weights: Float[Array, " n"]) -> Moments:
    """Moments of a chain in the long run; a constant has persistence zero."""
    law = listed_moments(values[None], weights)
    deviation = values - law.mean
    variance, covariance = weights @ deviation**2, (weights * deviation) @ transition @ deviation
    varies = variance > 0
    persistence = jnp.where(varies, covariance / jnp.where(varies, variance, 1.0), 0.0)
    return Moments(law.mean, law.std, None, persistence)


def step(
    name: str,
    values: Float[Array, " n"],
    transition: Float[Array, "n n"],
    key: PRNGKeyArray,
    count: int,
    given: Float[Array, " count"] | None,
) -> dict[str, Float[Array, " count"]]:
    """New values from old ones: the row of the nearest node, its distribution function inverted at one uniform draw."""
    if given is None:
        raise ValueError(f"`{name}` is a Markov shock; its draws need `given`, last period's values")
    row = jnp.argmin(jnp.abs(values[None, :] - jnp.asarray(given)[:, None]), axis=1)
    steps = jnp.cumsum(transition, axis=1)[:, :-1]
    uniform = jax.random.uniform(key, (count,), transition.dtype)
    index = jnp.sum(uniform[:, None] >= steps[row], axis=1)
    return {name: values[index]}
