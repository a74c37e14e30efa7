"""A value in closed form: what the terminal value is, and what a user gives for a continuation."""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from stagecraft.arrays import room_above, where
from stagecraft.functionals.functional import AbstractFunctional, States
from stagecraft.horses.solution import Answer


class Closed(AbstractFunctional):
    """A value given in closed form, as the terminal value is; its derivatives come from JAX.

    Where it is not finite (no wealth left, say) it is not feasible, and the number beside is the one just above.

    **Attributes:** `parameters`: first argument of `function`; `function`: elementwise in the states after it.
    """

    parameters: dict[str, Array]
    function: Callable = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return self.names

    def answer(self, states: States) -> Answer:
        """Value and marginal values at states of one shape."""
        given = tuple(jnp.broadcast_arrays(*[states[name] for name in self.names]))
        total = lambda *xs: self.function(self.parameters, *xs) * jnp.ones_like(xs[0])
        slopes = jax.grad(lambda *xs: jnp.sum(total(*xs)), tuple(range(len(given))))
        still = jax.lax.stop_gradient(given)
        good = jnp.isfinite(total(*still) + sum(slopes(*still)))
        near = tuple(where(good, x, x + room_above(x)) for x in given)
        marginal = dict(zip(self.names, slopes(*near), strict=True))
        value = total(*near)
        none = jnp.zeros_like(value)
        return Answer(value=value, marginal=marginal, weight=none, feasible=good, outside=none)


@dataclass(frozen=True)
class ByName:
    """A user's function of named states, as `Closed` calls one; two of the same function are equal."""

    function: Callable
    names: tuple[str, ...]

    def __call__(self, parameters, *states):
        """The function at states in the order of `names`; it has no parameters."""
        del parameters
        return self.function(**dict(zip(self.names, states, strict=True)))
