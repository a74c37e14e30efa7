"""A grid: knots whose distances grow linearly from the lowest."""

from dataclasses import dataclass

import jax.numpy as jnp

import heptapod


@dataclass(frozen=True)
class Quadratic(heptapod.AbstractGrid):
    """low + (high - low) x^2 with x equidistant; the fields are the keys of the block."""

    points: int
    low: heptapod.Formula
    high: heptapod.Formula

    def build(self, scope):
        low, high = self.low(scope), self.high(scope)
        return low + (high - low) * jnp.linspace(0.0, 1.0, self.points, dtype=jnp.asarray(scope["t"]).dtype) ** 2
