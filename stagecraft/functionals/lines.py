"""A decision on knots of one state, linear between them: what a method of one's own may leave."""

import equinox as eqx
import jax
import jax.numpy as jnp

from stagecraft.arrays import where
from stagecraft.functionals.functional import AbstractFunctional, States
from stagecraft.horses.solution import Answer, Lines


class AlongLines(AbstractFunctional):
    """Policies and values at any state: linear between knots, constant beyond both ends; the marginal value is the slope.

    **Attributes:** `lines`; `state`: the name of the state.
    """

    lines: Lines
    state: str = eqx.field(static=True)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The name of the state."""
        return (self.state,)

    @property
    def decided(self) -> tuple[str, ...]:
        """The names of the controls."""
        return tuple(self.lines.controls)

    def answer(self, states: States) -> Answer:
        """Value, marginal value and policies."""
        x, knots = states[self.state], self.lines.knots
        read = lambda values: lambda y: jnp.interp(y, knots, values)
        value, slope = jax.jvp(read(self.lines.value), (x,), (jnp.ones_like(x),))
        controls = {name: read(values)(x) for name, values in self.lines.controls.items()}
        beyond = where(x > knots[-1], jnp.ones_like(x), 0.0)
        return Answer(value=value, marginal={self.state: slope}, weight=jnp.ones_like(x), feasible=jnp.isfinite(value),
                      outside=beyond, policy=controls)  # fmt: skip
