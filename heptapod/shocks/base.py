"""What every shock offers: nodes for the expectation and draws for the simulation, through one map."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.formulas import smooth


class Moments(NamedTuple):
    """What is known of a shock at some values of its parameters; entries follow the order of the dimensions.

    **Attributes:** `mean`, `std`: of each dimension; `corr`: the correlation matrix of a joint shock, else `None`;
    `persistence`: the first autocorrelation of a Markov shock, else `None`.
    """

    mean: Float[Array, " dimensions"]
    std: Float[Array, " dimensions"]
    corr: Float[Array, "dimensions dimensions"] | None = None
    persistence: Float[Array, ""] | None = None


@dataclass(frozen=True)
class AbstractShock(abc.ABC):
    """A random vector; formulas are static, the numbers in them come with each call, so gradients flow through both readers.

    Of a law of a user's own the fields of the class are the keys of its block: an `int` is a size, any other a numeric slot,
    whose value is `self.name(scope)`.

    **Attributes:** `dimensions`: names; `given`: the state that holds last period's value, `None` for an independent shock;
    `finite`: whether the nodes are all the values that there are.
    """

    dimensions: tuple[str, ...]
    given: str | None = field(default=None, kw_only=True)
    finite: ClassVar[bool] = False
    interface: ClassVar[Mapping[str, str]] = {
        "count": "count, a property: the number of nodes, an integer",
        "nodes": "nodes(self, scope) -> ({dimension: array (count,)}, probabilities (count,), or (count, count) if `given`)",
        "draws": "draws(self, scope, key, count, given=None) -> {dimension: array (count,)}, draw i of (key, i) alone",
        "moments": "moments(self, scope) -> heptapod.Moments(mean, std), arrays of shape (dimensions,)",
    }

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """The number of nodes, known without any number in `scope`."""

    @abc.abstractmethod
    def nodes(
        self, scope: Mapping
    ) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"] | Float[Array, "nodes nodes"]]:
        """Quadrature nodes of every dimension and their probabilities; Markov: a row for each node of the given state."""

    @abc.abstractmethod
    def draws(
        self, scope: Mapping, key: PRNGKeyArray, count: int, given: Float[Array, " count"] | None = None
    ) -> dict[str, Float[Array, " count"]]:
        """Draws; number `i` depends on `(key, i)` alone, and on `given[i]`, last period's value, if the shock is Markov."""

    @abc.abstractmethod
    def moments(self, scope: Mapping) -> Moments:
        """Moments of the law: in closed form where the law is continuous, else of the nodes; of a chain in the long run."""


def dtype_of(scope: Mapping):
    """The model's own type; a formula without parameters is weakly typed."""
    return jnp.asarray(scope["t"]).dtype


def normalised(covariance: Float[Array, "d d"]) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Standard deviations and correlations; what does not vary is correlated with itself only, and has no gradient."""
    std = smooth.sqrt(jnp.diagonal(covariance))
    safe = jnp.where(std > 0, std, 1.0)
    one = jnp.eye(len(std), dtype=bool)
    return std, jnp.where(one, 1.0, covariance / (safe[:, None] * safe[None, :]))


def listed_moments(values: Float[Array, "d nodes"], weights: Float[Array, " nodes"]) -> Moments:
    """Moments of listed values with listed probabilities."""
    mean = values @ weights
    deviation = values - mean[:, None]
    std, corr = normalised((deviation * weights) @ deviation.T)
    return Moments(mean, std, corr if len(values) > 1 else None)
