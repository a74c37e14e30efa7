"""A continuation in which one control is already chosen, for the best: what is left depends on the post-state of the other."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import where
from stagecraft.functionals.functional import AbstractFunctional, States
from stagecraft.horses.nested import inner_control
from stagecraft.horses.solution import Answer


class InnerControl(eqx.Module):
    """A control that the continuation alone sees, as a post-state of its own.

    **Attributes:** `control`, `post`: their names; `low`, `high`: $p \\mapsto$ bounds; `parameters`: their argument.
    """

    parameters: dict[str, Array]
    control: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    low: Callable = eqx.field(static=True)
    high: Callable = eqx.field(static=True)

    def over(self, continuation: AbstractFunctional, active: str) -> "WithInnerChosen":
        """The continuation with the control chosen, as a function of the other post-states; `active` is the last of them."""
        return WithInnerChosen(self, continuation, active)


class WithInnerChosen(AbstractFunctional):
    """A continuation whose inner control is the best at every state; the answer's policy holds it."""

    inner: InnerControl
    continuation: AbstractFunctional
    active: str = eqx.field(static=True)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the post-states that are left."""
        return tuple(name for name in self.continuation.dimensions if name != self.inner.post)

    def answer(self, states: States) -> Answer:
        """The best answer; where the control changes nothing it is that of the next post-state where it does."""
        inner, shape = self.inner, jnp.broadcast_shapes(*[x.shape for x in states.values()])
        whole = {name: jnp.broadcast_to(x, shape) for name, x in states.items()}
        ask = lambda s: self.continuation.at({**whole, inner.post: s})
        dtype = whole[self.active].dtype
        low, high = (jnp.asarray(bound(inner.parameters), dtype) for bound in (inner.low, inner.high))
        slope = lambda s: jnp.broadcast_to(ask(s).marginal[inner.post], shape)
        found = inner_control(slope, lambda s: jnp.broadcast_to(ask(s).value, shape), low, high, shape)
        found = _filled(found, slope, low, high)
        answer = ask(found)
        marginal = {name: x for name, x in answer.marginal.items() if name != inner.post}
        return dataclasses.replace(answer.plain(), marginal=marginal, policy={inner.control: found})


def _filled(found, slope, low, high) -> Float[Array, "..."]:
    """Where the condition is flat from bound to bound, the choice at the next post-state where it is not."""
    shape = found.shape
    flat = (slope(jnp.broadcast_to(low, shape)) == 0) & (slope(jnp.broadcast_to(high, shape)) == 0)
    place = where(flat, shape[-1], jnp.arange(shape[-1]))
    after = jnp.flip(jnp.minimum.accumulate(jnp.flip(place, -1), axis=-1), -1)
    return where(after < shape[-1], jnp.take_along_axis(found, jnp.minimum(after, shape[-1] - 1), axis=-1), low)
