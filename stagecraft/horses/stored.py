"""What is stored of any method: arrays of which some are policies, some values, some weights."""

import abc
import dataclasses

import equinox as eqx
from jaxtyping import Array

from stagecraft.arrays import listed, shown


class AbstractStored(eqx.Module):
    """What a solve keeps of a stage in one period; the names of what an infinite horizon watches, and the bound counts."""

    def __repr__(self) -> str:
        arrays = [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)]
        return listed(type(self).__name__, [(name, shown(x)) for name, x in arrays if hasattr(x, "shape")])

    @property
    @abc.abstractmethod
    def policies(self) -> tuple[Array, ...]:
        """The controls, wherever they are kept."""

    @property
    @abc.abstractmethod
    def values(self) -> tuple[Array, ...]:
        """What the solution is worth."""

    @property
    @abc.abstractmethod
    def weights(self) -> tuple[Array, ...]:
        r"""What the constant reward 1 is worth, $B = 1 + \kappa B$."""
