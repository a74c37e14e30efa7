"""How far an iteration may be from its end, as the differences of its iterates tell."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagecraft.arrays import floating, where

_WINDOW = 5  # Ratios of consecutive differences, the largest of which counts.


class Watch(NamedTuple):
    """Differences of consecutive iterates, and what they say of the distance that is left."""

    ratios: Float[Array, " window"]
    change: Float[Array, ""]
    bound: Float[Array, ""]
    count: Int[Array, ""]

    @classmethod
    def begin(cls, dtype):
        """Nothing seen yet."""
        one = jnp.ones((), dtype)
        return cls(jnp.ones(_WINDOW, dtype), one, jnp.inf * one, jnp.int32(0))

    def seen(self, change, modulus=1.0, steps=1):
        """With one more difference: the geometric tail at the largest of the last ratios, twice for safety.

        **Arguments:** `modulus`: that of a contraction, where one is known; no ratio counts for more; `steps`: how many were
        taken since the last difference that was seen.
        """
        ratio = (change / where(self.change == 0, 1.0, self.change)) ** (1 / steps)
        watch = self._replace(ratios=jnp.roll(self.ratios, 1).at[0].set(ratio), change=change, count=self.count + 1)
        bound = where(self.count < _WINDOW, jnp.inf, where(change == 0, 0.0, change * watch.tail(modulus)))
        return watch._replace(bound=bound)

    def tail(self, modulus=1.0):
        """How many times the last difference all that are to come may be, twice for safety."""
        rate = jnp.clip(jnp.minimum(jnp.max(self.ratios), modulus), 0.05, 1.0)
        return 2 * rate / jnp.maximum(1 - rate, 1e-9)


def typical(x: Float[Array, "..."]) -> Float[Array, ""]:
    """A size that stands for all of some numbers: their geometric mean, which one absurd number among them does not own."""
    size = where(jnp.isfinite(x), jnp.abs(x), 0.0)
    return jnp.exp(jnp.mean(jnp.log(size + 1e-12)))


def relative(new, old):
    """The largest change relative to the number itself, or to a small share of a typical one."""
    new, old = jax.lax.stop_gradient((new, old))
    floor = 1e-3 * typical(old) + jnp.finfo(new.dtype).tiny ** 0.5
    return jnp.max(jnp.abs(new - old) / (jnp.abs(old) + floor))


def same_rules(new, old):
    """Whether all that is not a floating-point number is the same."""
    pairs = zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
    return jnp.all(jnp.stack([jnp.asarray(True), *[jnp.all(a == b) for a, b in pairs if not floating(a)]]))


def policies_of(rows) -> list:
    """The policies of all that is stored, in an order of names: JAX sorts a dictionary that it is given."""
    return [x for _, stored in sorted(rows.items()) for x in stored.policies]


def values_of(rows) -> list:
    """The values of all that is stored."""
    return [x for _, stored in sorted(rows.items()) for x in stored.values]


def weights_of(rows) -> list:
    """What the constant reward 1 is worth, of all that is stored."""
    return [x for _, stored in sorted(rows.items()) for x in stored.weights]


def worth_of(rows) -> list:
    """Values and weights."""
    return values_of(rows) + weights_of(rows)


def watched(rows) -> list:
    """Policies and values."""
    return policies_of(rows) + values_of(rows)


def gap_of(new, old, judged):
    """The largest relative change of what is judged."""
    return jnp.max(jnp.stack([relative(a, b) for a, b in zip(judged(new), judged(old), strict=True)]))
