"""Populations on a perch."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Sample(eqx.Module):
    """Simulated agents of equal weight on one perch.

    **Attributes:** `states`: one array per state (and shock or control decided there).
    """

    states: dict[str, Float[Array, " agents"]]

    @property
    def mass(self) -> Float[Array, ""]:
        """One."""
        return jnp.ones(())

    def mean(self, name: str) -> Float[Array, ""]:
        """The mean of a state."""
        return jnp.mean(self._of(name))

    def variance(self, name: str) -> Float[Array, ""]:
        """The variance of a state."""
        return jnp.var(self._of(name))

    def quantile(self, name: str, q) -> Float[Array, "..."]:
        """The `q`-quantile of a state, `q` in [0, 1]."""
        return jnp.quantile(self._of(name), jnp.asarray(q))

    def _of(self, name):
        if name not in self.states:
            raise KeyError(f"no `{name}` here; there are {', '.join(self.states)}")
        return self.states[name]
