"""A law of income: a triangle around a centre."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import heptapod


@dataclass(frozen=True)
class Triangular(heptapod.AbstractShock):
    """Density falling linearly to zero on both sides of `centre`, `width` away; the fields are the keys of the block."""

    centre: heptapod.Formula
    width: heptapod.Formula
    n_points: int

    @property
    def count(self):
        return self.n_points

    def nodes(self, scope):
        # Equally likely nodes, each at the median of its share of the law.
        return {self.dimensions[0]: self._quantile(scope, (jnp.arange(self.count) + 0.5) / self.count)}, jnp.full(
            self.count, 1.0 / self.count
        )

    def draws(self, scope, key, count, given=None):
        return {self.dimensions[0]: self._quantile(scope, jax.random.uniform(key, (count,), jnp.asarray(scope["t"]).dtype))}

    def moments(self, scope):
        return heptapod.Moments(jnp.stack([self.centre(scope)]), jnp.stack([self.width(scope) / jnp.sqrt(6.0)]))

    def _quantile(self, scope, u):
        below, above = jnp.sqrt(2 * u) - 1, 1 - jnp.sqrt(2 * jnp.maximum(1 - u, 1e-300))
        return self.centre(scope) + self.width(scope) * jnp.where(u < 0.5, below, above)
