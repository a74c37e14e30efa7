"""Normal and lognormal shocks, jointly in any number of dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtr, ndtri

from heptapod._formula import Formula
from heptapod.shocks.base import AbstractShock

RULES = ("hermite", "legendre", "equiprobable")


def standard_nodes(rule: str, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a standard normal variate.

    `hermite`: Gauss-Hermite, exact for polynomials of degree $2n-1$. `legendre`: Gauss-Legendre on the quantiles.
    `equiprobable`: conditional means of $n$ cells of equal probability.
    """
    if rule == "hermite":
        nodes, weights = np.polynomial.hermite_e.hermegauss(points)
        return nodes, weights / weights.sum()
    if rule == "legendre":
        x, weights = np.polynomial.legendre.leggauss(points)
        return ndtri(0.5 * (x + 1)), 0.5 * weights
    edges = ndtri(np.linspace(0.0, 1.0, points + 1))
    density = np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi)
    mass = np.diff(ndtr(edges))
    return -np.diff(density) / mass, np.full(points, 1.0 / points)


@dataclass(frozen=True)
class Normal(AbstractShock):
    r"""$\mu + \sigma z$, or in levels $\mu\exp(\sigma z - \sigma^2/2)$, whose mean is $\mu$, with $z$ standard normal.

    **Attributes:** `mean`, `std`: a formula per dimension; `corr`: the lower triangle of the correlation matrix, row by
    row, without the diagonal; `points`: nodes per dimension; `rule`: of the nodes; `log`: whether lognormal.
    """

    mean: tuple[Formula, ...]
    std: tuple[Formula, ...]
    corr: tuple[Formula, ...]
    points: tuple[int, ...]
    rule: str = "hermite"
    log: bool = False

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"]]:
        """The tensor product of the one-dimensional rules, correlated and scaled."""
        rules = [standard_nodes(self.rule, n) for n in self.points]
        z = np.stack([x.ravel() for x in np.meshgrid(*[x for x, _ in rules], indexing="ij")])
        weights = np.prod(np.stack([w.ravel() for w in np.meshgrid(*[w for _, w in rules], indexing="ij")]), axis=0)
        values = self._map(scope, jnp.asarray(z, _dtype(scope)))
        return values, jnp.asarray(weights, _dtype(scope))

    def draws(self, scope: Mapping, key: PRNGKeyArray, count: int) -> dict[str, Float[Array, " count"]]:
        """Standard normal draws through the same map; one key per dimension, so that `i` fixes the draw."""
        keys = [jax.random.fold_in(key, d) for d in range(len(self.dimensions))]
        z = jnp.stack([jax.random.normal(k, (count,), _dtype(scope)) for k in keys])
        return self._map(scope, z)

    def _map(self, scope, z):
        if self.corr:
            z = self._cholesky(scope) @ z
        out = {}
        for name, mean, std, x in zip(self.dimensions, self.mean, self.std, z, strict=True):
            m, s = mean(scope), std(scope)
            out[name] = m * jnp.exp(s * x - 0.5 * s**2) if self.log else m + s * x
        return out

    def _cholesky(self, scope):
        d = len(self.dimensions)
        matrix = jnp.eye(d, dtype=_dtype(scope))
        rows, columns = np.tril_indices(d, -1)
        for i, j, formula in zip(rows, columns, self.corr, strict=True):
            value = jnp.asarray(formula(scope), matrix.dtype)
            matrix = matrix.at[i, j].set(value).at[j, i].set(value)
        return jnp.linalg.cholesky(matrix)


def _dtype(scope):
    return jnp.asarray(scope["t"]).dtype
