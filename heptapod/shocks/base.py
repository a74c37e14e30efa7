"""What every shock offers: nodes for the expectation and draws for the simulation, through one map."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Array, Float, PRNGKeyArray


@dataclass(frozen=True)
class AbstractShock(abc.ABC):
    """A random vector; formulas are static, the numbers in them come with each call, so gradients flow through both readers."""

    dimensions: tuple[str, ...]

    @abc.abstractmethod
    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"]]:
        """Quadrature nodes of every dimension and their probabilities."""

    @abc.abstractmethod
    def draws(self, scope: Mapping, key: PRNGKeyArray, count: int) -> dict[str, Float[Array, " count"]]:
        """Independent draws; draw `i` depends on `(key, i)` alone."""
