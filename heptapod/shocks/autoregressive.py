"""First-order autoregressive shocks as Markov chains, by Rouwenhorst's method or Tauchen's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.formulas import smooth
from heptapod.formulas.formula import Formula
from heptapod.shocks.base import AbstractShock, Moments, dtype_of
from heptapod.shocks.chain import long_run, stationary, step

METHODS = ("rouwenhorst", "tauchen")


def rouwenhorst(rho: Float[Array, ""], points: int) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    r"""Nodes of unit standard deviation and their transition matrix, whose persistence is exactly $\rho$.

    The state counts how many of $n - 1$ independent chains are up; each stays where it is with probability
    $(1 + \rho)/2$. Chains join one by one: row $i$ gets one from row $i - 1$ that is up, row 0 one that is down
    (Rouwenhorst 1995; Kopecky and Suen 2010).
    """
    stay = 0.5 * (1 + rho)
    first = (np.arange(points) == 0)[:, None]

    def join(rows, _):
        before = jnp.where(first, rows, jnp.roll(rows, 1, axis=0))
        up = jnp.roll(before, 1, axis=1)  # The last column is empty until all have joined.
        return jnp.where(first, stay * before + (1 - stay) * up, stay * up + (1 - stay) * before), None

    alone = jnp.zeros((points, points), stay.dtype).at[:, 0].set(1.0)
    transition, _ = lax.scan(join, alone, None, points - 1)
    return jnp.asarray(math.sqrt(points - 1) * _spread(points), stay.dtype), transition


def tauchen(rho: Float[Array, ""], points: int, width: Float[Array, ""]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    r"""Nodes evenly spaced on $\pm m$ standard deviations of the process; cells end halfway between them (Tauchen 1986).

    In units of the unconditional standard deviation the matrix does not depend on that of the innovation.
    """
    nodes = width * jnp.asarray(_spread(points), rho.dtype)
    edges = 0.5 * (nodes[1:] + nodes[:-1])
    z = (edges[None, :] - rho * nodes[:, None]) / jnp.sqrt(1 - rho**2)
    # In the upper half differences are taken of the upper tail, which has digits where the lower one is 1.
    below = jnp.pad(smooth.normcdf(z), ((0, 0), (1, 1)), constant_values=(0.0, 1.0))
    above = jnp.pad(smooth.normcdf(-z), ((0, 0), (1, 1)), constant_values=(1.0, 0.0))
    high = jnp.pad(z[:, 1:] + z[:, :-1] > 0, ((0, 0), (1, 1)), constant_values=(False, True))[:, :points]
    return nodes, jnp.where(high, above[:, :-1] - above[:, 1:], below[:, 1:] - below[:, :-1])


def _spread(points):
    """Evenly spaced on [-1, 1]; the middle if there is one point."""
    return np.linspace(-1.0, 1.0, points) if points > 1 else np.zeros(1)


@dataclass(frozen=True)
class Autoregressive(AbstractShock):
    r"""$x' = \rho x + \varepsilon$ on a chain; the shock is $\mu + x$, or in levels $\mu\,e^x / E[e^x]$.

    **Attributes:** `rho`; `std`: of $\varepsilon$; `mean`: $\mu$, of the shock in the long run; `points`: nodes; `method`;
    `width`: of Tauchen's grid, in unconditional standard deviations; `log`: whether in levels.
    """

    finite = True

    rho: Formula
    std: Formula
    mean: Formula
    points: int
    method: str = "rouwenhorst"
    width: Formula = Formula(("float", 3.0))
    log: bool = False

    @property
    def count(self) -> int:
        """The number of points."""
        return self.points

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, "nodes nodes"]]:
        """The standard chain, scaled; a row of the matrix for each node of the given state."""
        nodes, transition = self._standard(scope)
        return {self.dimensions[0]: self._map(scope, nodes, transition)}, transition

    def draws(
        self, scope: Mapping, key: PRNGKeyArray, count: int, given: Float[Array, " count"] | None = None
    ) -> dict[str, Float[Array, " count"]]:
        """One step of the chain from the nodes nearest to `given`; differentiable in the nodes, but not in the matrix."""
        values, transition = self.nodes(scope)
        (name,) = self.dimensions
        return step(name, values[name], transition, key, count, given)

    def moments(self, scope: Mapping) -> Moments:
        """Of the nodes in the long run, through deviations per unit of standard deviation, which have a limit at zero."""
        nodes, transition = self._standard(scope)
        mean, scale, weights = self._read(scope, "mean"), self._scale(scope), self._weights(transition)
        if self.log:
            growth = nodes * smooth.expm1_ratio(scale * nodes)
            nodes = (growth - weights @ growth) / (1 + scale * (weights @ growth))
            scale = scale * mean
        unit = long_run(nodes, transition, weights)
        return Moments(mean + scale * unit.mean, scale * unit.std, None, unit.persistence)

    def _standard(self, scope):
        rho = self._read(scope, "rho")
        if self.method == "rouwenhorst":
            return rouwenhorst(rho, self.points)
        return tauchen(rho, self.points, self._read(scope, "width"))

    def _map(self, scope, nodes, transition):
        x = self._scale(scope) * nodes
        if not self.log:
            return self._read(scope, "mean") + x
        level = jnp.exp(x - x[-1])  # The last is the largest.
        return self._read(scope, "mean") * level / (self._weights(transition) @ level)

    def _scale(self, scope):
        return self._read(scope, "std") / jnp.sqrt(1 - self._read(scope, "rho") ** 2)

    def _weights(self, transition):
        """Rouwenhorst's chains are up half of the time, whatever their persistence."""
        if self.method == "tauchen":
            return stationary(transition)
        n = self.points - 1
        return jnp.asarray([math.comb(n, k) / 2**n for k in range(n + 1)], transition.dtype)

    def _read(self, scope, name):
        return jnp.asarray(getattr(self, name)(scope), dtype_of(scope))
