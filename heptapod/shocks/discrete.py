"""Discrete shocks: listed values with listed probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.shocks.base import AbstractShock, Moments, listed_moments
from heptapod.shocks.vector import Vector


@dataclass(frozen=True)
class Discrete(AbstractShock):
    """A list of values per dimension, and one list of probabilities for all.

    The nodes are the values themselves. Draws invert the distribution function, so they are differentiable in the values
    but not in the probabilities, which expectations are.
    """

    finite = True

    values: tuple[Vector, ...]
    probs: Vector

    @property
    def count(self) -> int:
        """The number of probabilities."""
        return self.probs.size

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"]]:
        """Values and probabilities as listed."""
        return {name: v(scope) for name, v in zip(self.dimensions, self.values, strict=True)}, self.probs(scope)

    def draws(
        self, scope: Mapping, key: PRNGKeyArray, count: int, given: Float[Array, " count"] | None = None
    ) -> dict[str, Float[Array, " count"]]:
        """One uniform draw decides the node of every dimension."""
        del given  # Independent of the past.
        values, probs = self.nodes(scope)
        steps = jnp.cumsum(probs)[:-1]
        uniform = jax.random.uniform(key, (count,), probs.dtype)
        index = jnp.sum(uniform[:, None] >= steps[None, :], axis=1)
        return {name: v[index] for name, v in values.items()}

    def moments(self, scope: Mapping) -> Moments:
        """Of the nodes."""
        values, probs = self.nodes(scope)
        return listed_moments(jnp.stack(list(values.values())), probs)
