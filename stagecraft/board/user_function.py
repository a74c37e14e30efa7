"""Functions that a user hands over, as pytrees: what of them is a number with a derivative, and what decides a compilation."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp


class UserFunction(eqx.Module):
    """A user's callable as a pytree: its arrays are leaves, all else is static and decides the compilation."""

    arrays: tuple
    rest: Any = eqx.field(static=True)

    def __init__(self, function: Callable, place: str):
        if not callable(function):
            raise ValueError(f"{place}: expected a callable, found {function!r}.")
        if isinstance(function, functools.partial):
            function = jax.tree_util.Partial(function.func, *function.args, **function.keywords)
        leaves, structure = jax.tree.flatten(function)
        # Whole numbers are sizes and stay static; reals are parameters.
        moving = [eqx.is_array_like(leaf) and not isinstance(leaf, bool | int) for leaf in leaves]
        self.arrays = tuple(as_array(leaf) for leaf, moves in zip(leaves, moving, strict=True) if moves)
        self.rest = structure, tuple(None if moves else (leaf,) for leaf, moves in zip(leaves, moving, strict=True))
        try:
            hash(self.rest)
        except TypeError as error:
            raise ValueError(f"{place}: {error}; whatever is not an array must be hashable.") from error

    @property
    def function(self) -> Callable:
        structure, fixed = self.rest
        arrays = iter(self.arrays)
        return jax.tree.unflatten(structure, [next(arrays) if leaf is None else leaf[0] for leaf in fixed])


def as_array(leaf: Any) -> jax.Array:
    """A number as an array, and an array as it is."""
    # A Python number makes a weakly typed array, which would be traced once more than a strong one.
    return jnp.asarray(leaf, jnp.result_type(leaf)) if getattr(leaf, "weak_type", True) else leaf
