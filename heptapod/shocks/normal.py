"""Normal and lognormal shocks, jointly in any number of dimensions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtr, ndtri

from heptapod.formulas import smooth
from heptapod.formulas.formula import Formula
from heptapod.shocks.base import AbstractShock, Moments, dtype_of
from heptapod.shocks.point_mass import PointMass
from heptapod.shocks.standard_normal import standard_normal
from heptapod.shocks.vector import Matrix

RULES = ("hermite", "legendre", "equiprobable")


def standard_nodes(rule: str, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a standard normal variate.

    `hermite`: Gauss-Hermite, exact for polynomials of degree $2n-1$. `legendre`: Gauss-Legendre on the quantiles.
    `equiprobable`: conditional means of $n$ cells of equal probability; of independent lognormals those of the level.
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


def product_nodes(rules: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The tensor product of one-dimensional rules: nodes of shape (dimensions, nodes), and weights."""
    nodes = np.stack([x.ravel() for x in np.meshgrid(*[x for x, _ in rules], indexing="ij")])
    weights = np.stack([w.ravel() for w in np.meshgrid(*[w for _, w in rules], indexing="ij")])
    return nodes, np.prod(weights, axis=0)


@dataclass(frozen=True)
class Normal(AbstractShock):
    r"""$\mu + \sigma z$, or in levels $\mu\exp(\sigma z - \sigma^2/2)$, whose mean is $\mu$, with $z$ standard normal.

    **Attributes:** `mean`, `std`: a formula per dimension; `corr`: the lower triangle of the correlation matrix, row by
    row, without the diagonal, or a matrix parameter; `points`: nodes per dimension; `rule`: of the nodes; `log`: whether
    lognormal; `point_mass`: one more value, beside the law.
    """

    mean: tuple[Formula, ...]
    std: tuple[Formula, ...]
    corr: tuple[Formula, ...] | Matrix
    points: tuple[int, ...]
    rule: str = "hermite"
    log: bool = False
    point_mass: PointMass | None = None

    @property
    def count(self) -> int:
        """Of the tensor product, and one for the point mass."""
        return math.prod(self.points) + (self.point_mass is not None)

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"]]:
        """The tensor product of the one-dimensional rules, correlated and scaled."""
        z, weights = product_nodes([standard_nodes(self.rule, n) for n in self.points])
        z, weights = jnp.asarray(z, dtype_of(scope)), jnp.asarray(weights, dtype_of(scope))
        levels = self.log and self.rule == "equiprobable" and not self.corr
        values = self._cell_means(scope) if levels else self._map(scope, z)
        return (values, weights) if self.point_mass is None else self.point_mass.with_node(scope, values, weights)

    def draws(
        self, scope: Mapping, key: PRNGKeyArray, count: int, given: Float[Array, " count"] | None = None
    ) -> dict[str, Float[Array, " count"]]:
        """Standard normal draws through the same map; one key per dimension, so that `i` fixes the draw."""
        del given  # Independent of the past.
        d = len(self.dimensions)
        keys = [jax.random.fold_in(key, i) for i in range(d)]
        drawn = self._map(scope, jnp.stack([standard_normal(k, count, dtype_of(scope)) for k in keys]))
        return drawn if self.point_mass is None else self.point_mass.mixed(scope, jax.random.fold_in(key, d), drawn)

    def moments(self, scope: Mapping) -> Moments:
        r"""Closed forms; of a lognormal $\mu\sqrt{e^{\sigma^2} - 1}$, written so that it has a derivative at $\sigma = 0$."""
        mean, std, corr = *self._mean_std(scope), self._correlation(scope)
        if self.log:
            root = smooth.sqrt(smooth.expm1_ratio(std**2))
            corr = corr * smooth.expm1_ratio(corr * std[:, None] * std[None, :]) / (root[:, None] * root[None, :])
            std = mean * std * root
        law = Moments(mean, std, corr if len(self.dimensions) > 1 else None)
        return law if self.point_mass is None else self.point_mass.moments(scope, law)

    def _cell_means(self, scope):
        r"""Means of the level, $\mu n[\Phi(z_{i+1} - \sigma) - \Phi(z_i - \sigma)]$, so that their mean is that of the law."""
        found, out = [], {}
        for n, m, s in zip(self.points, *self._mean_std(scope), strict=True):
            edges = jnp.asarray(ndtri(np.linspace(0.0, 1.0, n + 1)), dtype_of(scope))
            found.append(m * n * jnp.diff(jax.scipy.special.ndtr(edges - s)))
        for name, x in zip(self.dimensions, jnp.meshgrid(*found, indexing="ij"), strict=True):
            out[name] = x.ravel()
        return out

    def _map(self, scope, z):
        if self.corr:
            z = jnp.linalg.cholesky(self._correlation(scope)) @ z
        out = {}
        for name, m, s, x in zip(self.dimensions, *self._mean_std(scope), z, strict=True):
            out[name] = m * jnp.exp(s * x - 0.5 * s**2) if self.log else m + s * x
        return out

    def _mean_std(self, scope):
        dtype = dtype_of(scope)
        return [jnp.stack([jnp.asarray(f(scope), dtype) for f in formulas]) for formulas in (self.mean, self.std)]

    def _correlation(self, scope):
        matrix = jnp.eye(len(self.dimensions), dtype=dtype_of(scope))
        if isinstance(self.corr, Matrix):
            lower = jnp.tril(self.corr(scope), -1).astype(matrix.dtype)
            return matrix + lower + lower.T
        # Without `corr` the dimensions are independent.
        for i, j, formula in zip(*np.tril_indices(len(matrix), -1), self.corr, strict=False):
            value = jnp.asarray(formula(scope), matrix.dtype)
            matrix = matrix.at[i, j].set(value).at[j, i].set(value)
        return matrix
