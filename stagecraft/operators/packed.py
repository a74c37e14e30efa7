"""Many arrays of few shapes as few arrays: a loop that carries and stacks them has one piece of program for each."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


class Packing:
    """How the leaves of a pytree stand beside each other: those of one shape and type in one array, on its leading axis.

    **Arguments:** `example`: a pytree of the structure, shapes and types of those to be packed.
    """

    def __init__(self, example: Any):
        leaves, self.tree = jax.tree.flatten(example)
        self.groups: dict[tuple, list[int]] = {}
        for i, leaf in enumerate(leaves):
            self.groups.setdefault((leaf.shape, leaf.dtype), []).append(i)

    def pack(self, tree: Any) -> tuple[Array, ...]:
        """The arrays, one for each shape and type."""
        leaves = jax.tree.leaves(tree)
        return tuple(jnp.stack([leaves[i] for i in places]) for places in self.groups.values())

    def unpack(self, arrays: tuple[Array, ...], lead: int = 0) -> Any:
        """The pytree, its leaves with the `lead` axes that a loop has put in front of the packed ones."""
        leaves: dict[int, Array] = {}
        for array, places in zip(arrays, self.groups.values(), strict=True):
            for k, place in enumerate(places):
                leaves[place] = array[(slice(None),) * lead + (k,)]
        return jax.tree.unflatten(self.tree, [leaves[i] for i in range(len(leaves))])
