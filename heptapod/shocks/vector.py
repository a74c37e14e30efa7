"""Listed numbers: vectors and square matrices of numeric slots, or parameters that hold them."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from heptapod.formulas.formula import Formula
from heptapod.formulas.in_numpy import number
from heptapod.shocks.base import dtype_of


@dataclass(frozen=True)
class Vector:
    """A vector of numeric slots, or one vector parameter by name.

    **Attributes:** `slots`; or `name`, and `length`, which is static.
    """

    slots: tuple[Formula, ...] = ()
    name: str | None = None
    length: int = 0

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.slots) if self.name is None else self.length

    def __call__(self, scope: Mapping) -> Float[Array, " n"]:
        """The vector at the values in `scope`."""
        if self.name is not None:
            return jnp.asarray(scope[self.name])
        return jnp.stack([jnp.asarray(slot(scope), dtype_of(scope)) for slot in self.slots])

    def numbers(self, scope: Mapping) -> np.ndarray:
        """At the calibration, without a backend: shape `(n,)`, or `(periods, n)` where it goes by age."""
        if self.name is not None:
            return np.asarray(scope[self.name])
        return np.stack(np.broadcast_arrays(*[number(slot, scope) for slot in self.slots]), axis=-1)


@dataclass(frozen=True)
class Matrix:
    """A square matrix by its rows, or one matrix parameter by name.

    **Attributes:** `rows`; or `name`, and `length`, which is static.
    """

    rows: tuple[Vector, ...] = ()
    name: str | None = None
    length: int = 0

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.rows) if self.name is None else self.length

    def __call__(self, scope: Mapping) -> Float[Array, "n n"]:
        """The matrix at the values in `scope`."""
        return jnp.asarray(scope[self.name]) if self.name is not None else jnp.stack([row(scope) for row in self.rows])

    def numbers(self, scope: Mapping) -> np.ndarray:
        """At the calibration, without a backend: shape `(n, n)`, or `(periods, n, n)` where it goes by age."""
        if self.name is not None:
            return np.asarray(scope[self.name])
        return np.stack(np.broadcast_arrays(*[row.numbers(scope) for row in self.rows]), axis=-2)
