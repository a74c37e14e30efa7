"""Steps that come to no rest because hard choices at knots change from one to the next, and what is held still then."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagecraft.arrays import where
from stagecraft.horses.solution import Answer

# So many steps without a smaller change are no convergence, however slow; over so many more slopes are averaged.
_PATIENCE, _AVERAGED = 200, 64


class Stall(NamedTuple):
    """The smallest change that was seen, how many steps ago, and how many steps slopes have been averaged."""

    least: Float[Array, ""]
    since: Int[Array, ""]
    averaged: Int[Array, ""]

    @classmethod
    def begin(cls, dtype):
        """Nothing seen yet."""
        return cls(jnp.full((), jnp.inf, dtype), jnp.int32(0), jnp.int32(0))

    def seen(self, change):
        """With one more change; none at all is the end, or the first step from a terminal value of nothing."""
        smaller = (change < 0.99 * self.least) & (change > 0)
        since = where(smaller | (change == 0), 0, self.since + 1)
        stalled = (self.averaged > 0) | (since > _PATIENCE)
        return Stall(where(smaller, change, self.least), since, self.averaged + stalled)

    def hold(self, before: dict[str, tuple]):
        """What is kept of an answer by the name of its perch: its slopes are averaged with those `before`, or these held."""
        share = where(self.averaged < _AVERAGED, 1 / (1 + self.averaged), 0.0)

        def of(perch: str, answer: Answer) -> Answer:
            slopes = {name: (x, before[perch][1][name]) for name, x in answer.marginal.items()}
            # What is infinite is no number to be averaged.
            mix = lambda new, old: where(jnp.isfinite(new - old), old + share.astype(new.dtype) * (new - old), new)
            return dataclasses.replace(answer, marginal={name: mix(*pair) for name, pair in slopes.items()})

        return of
