"""Markov shocks with listed values and a transition matrix."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.shocks.base import AbstractShock, Moments
from heptapod.shocks.chain import long_run, stationary, step
from heptapod.shocks.vector import Matrix, Vector


@dataclass(frozen=True)
class Markov(AbstractShock):
    """A chain: row `i` of the matrix is the distribution of the new value after the `i`-th.

    Draws are differentiable in the values but not in the transition matrix, which expectations are. Moments are those of
    the long run, which is unique if some value can be reached from all.
    """

    finite = True

    values: Vector
    transition: Matrix

    @property
    def count(self) -> int:
        """The number of values."""
        return self.values.size

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, "nodes nodes"]]:
        """Values and transition matrix as listed."""
        return {self.dimensions[0]: self.values(scope)}, self.transition(scope)

    def draws(
        self, scope: Mapping, key: PRNGKeyArray, count: int, given: Float[Array, " count"] | None = None
    ) -> dict[str, Float[Array, " count"]]:
        """One step of the chain from the values nearest to `given`."""
        return step(self.dimensions[0], self.values(scope), self.transition(scope), key, count, given)

    def moments(self, scope: Mapping) -> Moments:
        """Of the nodes, in the long run."""
        transition = self.transition(scope)
        return long_run(self.values(scope), transition, stationary(transition))
