"""Discrete shocks: listed values with listed probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod._formula import Formula
from heptapod.shocks.base import AbstractShock


@dataclass(frozen=True)
class Vector:
    """A vector of numeric slots, or one vector parameter by name."""

    slots: tuple[Formula, ...] = ()
    name: str | None = None

    def __call__(self, scope: Mapping) -> Float[Array, " n"]:
        """The vector at the values in `scope`."""
        if self.name is not None:
            return jnp.asarray(scope[self.name])
        dtype = jnp.asarray(scope["t"]).dtype
        return jnp.stack([jnp.asarray(slot(scope), dtype) for slot in self.slots])


@dataclass(frozen=True)
class Discrete(AbstractShock):
    """A list of values per dimension, and one list of probabilities for all.

    The nodes are the values themselves. Draws invert the distribution function, so they are differentiable in the values
    but not in the probabilities, which expectations are.
    """

    values: tuple[Vector, ...]
    probs: Vector

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"]]:
        """Values and probabilities as listed."""
        return {name: v(scope) for name, v in zip(self.dimensions, self.values, strict=True)}, self.probs(scope)

    def draws(self, scope: Mapping, key: PRNGKeyArray, count: int) -> dict[str, Float[Array, " count"]]:
        """One uniform draw decides the node of every dimension."""
        values, probs = self.nodes(scope)
        steps = jnp.cumsum(probs)[:-1]
        uniform = jax.random.uniform(key, (count,), probs.dtype)
        index = jnp.sum(uniform[:, None] >= steps[None, :], axis=1)
        return {name: v[index] for name, v in values.items()}
