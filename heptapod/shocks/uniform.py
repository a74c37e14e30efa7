"""Uniform shocks, independent in each dimension."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.formulas.formula import Formula
from heptapod.shocks.base import AbstractShock, Moments, dtype_of
from heptapod.shocks.normal import product_nodes
from heptapod.shocks.point_mass import PointMass

RULES = ("legendre", "equiprobable")


def unit_nodes(rule: str, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]: Gauss-Legendre, or the midpoints of equal cells."""
    if rule == "legendre":
        x, weights = np.polynomial.legendre.leggauss(points)
        return 0.5 * (x + 1), 0.5 * weights
    return (np.arange(points) + 0.5) / points, np.full(points, 1.0 / points)


@dataclass(frozen=True)
class Uniform(AbstractShock):
    r"""$l + (h - l)u$ with $u$ uniform on $[0, 1]$, or with $\mu$ and $\sigma$ given, $\mu + \sqrt{12}\,\sigma(u - 1/2)$.

    **Attributes:** `first`, `second`: a formula per dimension, $l$ and $h$, or $\mu$ and $\sigma$ if `by_moments`;
    `points`, `rule`, `point_mass` as for `Normal`.
    """

    first: tuple[Formula, ...]
    second: tuple[Formula, ...]
    points: tuple[int, ...]
    by_moments: bool = False
    rule: str = "legendre"
    point_mass: PointMass | None = None

    @property
    def count(self) -> int:
        """Of the tensor product, and one for the point mass."""
        return math.prod(self.points) + (self.point_mass is not None)

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"]]:
        """The tensor product of the one-dimensional rules, scaled."""
        u, weights = product_nodes([unit_nodes(self.rule, n) for n in self.points])
        values, weights = self._map(scope, jnp.asarray(u, dtype_of(scope))), jnp.asarray(weights, dtype_of(scope))
        return (values, weights) if self.point_mass is None else self.point_mass.with_node(scope, values, weights)

    def draws(
        self, scope: Mapping, key: PRNGKeyArray, count: int, given: Float[Array, " count"] | None = None
    ) -> dict[str, Float[Array, " count"]]:
        """Uniform draws through the same map; one key per dimension, so that `i` fixes the draw."""
        del given  # Independent of the past.
        d = len(self.dimensions)
        keys = [jax.random.fold_in(key, i) for i in range(d)]
        drawn = self._map(scope, jnp.stack([jax.random.uniform(k, (count,), dtype_of(scope)) for k in keys]))
        return drawn if self.point_mass is None else self.point_mass.mixed(scope, jax.random.fold_in(key, d), drawn)

    def moments(self, scope: Mapping) -> Moments:
        """Closed forms."""
        low, width = self._low_width(scope)
        corr = jnp.eye(len(low), dtype=low.dtype) if len(low) > 1 else None
        law = Moments(low + 0.5 * width, width / math.sqrt(12), corr)
        return law if self.point_mass is None else self.point_mass.moments(scope, law)

    def _map(self, scope, u):
        low, width = self._low_width(scope)
        return dict(zip(self.dimensions, low[:, None] + width[:, None] * u, strict=True))

    def _low_width(self, scope):
        dtype = dtype_of(scope)
        a, b = (jnp.stack([jnp.asarray(f(scope), dtype) for f in formulas]) for formulas in (self.first, self.second))
        return (a - math.sqrt(3) * b, math.sqrt(12) * b) if self.by_moments else (a, b - a)
