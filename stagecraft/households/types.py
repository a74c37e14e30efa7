"""Ex-ante types of household: one circuit for each, solved together."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagecraft.arrays import listed, shown


class HouseholdTypes(eqx.Module):
    """The parameters in which types differ.

    **Attributes:** `values`: an array (types,) by the path of a parameter, `main.beta`; `weights`: their shares, which sum to
    one.
    """

    values: dict[str, Float[Array, " types"]]
    weights: Float[Array, " types"]

    def __repr__(self) -> str:
        rows = [(path, shown(x)) for path, x in self.values.items()]
        return listed("HouseholdTypes", [("weights", shown(self.weights)), *rows])

    def __len__(self) -> int:
        """The number of types."""
        return self.weights.shape[0]

    def each(self, find: Callable[[int], Any]) -> Any:
        """What `find` gives for every type, stacked along a leading axis."""
        return jax.tree.map(lambda *xs: jnp.stack(xs), *[find(k) for k in range(len(self))])

    def parameters(self, parameters: dict, k: "int | Int[Array, '']") -> dict:
        """The parameters of type `k`: those of all, and in place of some its own."""
        own = {scope: dict(names) for scope, names in parameters.items()}
        for path, x in self.values.items():
            scope, _, name = path.rpartition(".")
            own[scope][name] = jnp.broadcast_to(x[k], own[scope][name].shape)
        return own
